/* report_trace.h - shared by the files that write the Perfetto trace: how an event begins, and the
 * counters. For report_trace*.c only.
 *
 * Times of the trace are whole nanoseconds; both ends of a slice are rounded, so that what follows
 * never overlaps. */
#ifndef LS_REPORT_TRACE_H
#define LS_REPORT_TRACE_H

#include <math.h>

#include "sim/report.h"

/* The stream of events; one a line. */
typedef struct trace_out {
  out *o;
  bool any; /* an event was written */
} trace_out;

#define TRACE_LITERAL(o, s) out_write((o), (s), sizeof(s) - 1)

static inline int64_t trace_ns(double t_s) {
  return llround(t_s * 1e9);
}

/* The separator before the next event. */
static inline out *trace_next(trace_out *t) {
  if (t->any) TRACE_LITERAL(t->o, ",\n");
  t->any = true;
  return t->o;
}

/* Bandwidth in use per link, SRAM occupancy, ready tasks. Told of every event of the log in order,
 * they write what changed once all events of one nanosecond are in. */
typedef struct counters counters;
counters *counters_new(const timeline *tl, uint32_t pid, trace_out *t, arena *a);
void counters_event(counters *c, const tl_event *e);
/* The last values, then zeros at the end of the run. */
void counters_end(counters *c);

#endif
