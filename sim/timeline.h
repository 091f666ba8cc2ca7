/* timeline.h - what happened, recorded by an observer: one record a task, statistics a resource,
 * and (on request) the log of events in order of time, from which the trace is written in one pass.
 *
 * All reports read this and never the executor. */
#ifndef LS_TIMELINE_H
#define LS_TIMELINE_H

#include <stddef.h>
#include <stdint.h>

#include "sim/observer.h"
#include "sim/platform.h"
#include "workloads/dag.h"

typedef struct tl_record {
  double start_s, end_s;
  double flow_start_s, flow_end_s; /* transfer or operand streams; both = start_s without one */
  obs_why why;
  const plat_route *route; /* that its data took; NULL where it moved nothing */
  uint64_t flow_B;         /* bytes that occupied the route */
  const plat_route *route2; /* of a second operand stream, the later to begin; NULL: there was none */
  uint64_t flow2_B;
  uint32_t resource;       /* as in observer.h; OBS_NONE: it never ran */
} tl_record;

/* The log: in order of time, ties in order of happening. */
#define TL_EVENTS(X)                                                                               \
  X(READY)      /* what = task */                                                                  \
  X(START)      /* what = task */                                                                  \
  X(FLOW_BEGIN) /* what = task */                                                                  \
  X(FLOW_END)   /* what = task */                                                                  \
  X(FLOW2_BEGIN) /* what = task */                                                                 \
  X(FLOW2_END)  /* what = task */                                                                  \
  X(END)        /* what = task */                                                                  \
  X(TAKE)       /* what = tensor */                                                                \
  X(GIVE)       /* what = tensor */

typedef enum tl_kind {
#define X(id) TL_##id,
  TL_EVENTS(X)
#undef X
} tl_kind;

typedef struct tl_event {
  double t_s;
  uint32_t what;
  uint32_t kind;
} tl_event;

typedef struct tl_resource { /* engine or DMA channel */
  const char *name;          /* "engine0"; "dma0" with one channel, "dma0.1" with more */
  const char *role;          /* "engine", "dma" */
  uint32_t host;             /* index of the engine, or of the DMA that the channel belongs to */
  double busy_s;
  uint64_t tasks;
  uint64_t bytes; /* of its flows, as occupied: report.h has the plain ones */
} tl_resource;

typedef struct tl_link {
  uint64_t bytes; /* that crossed it, DRAM efficiency included (as occupied) */
  uint64_t flows;
  double active_s; /* time with at least one flow on it */
  double since_s;  /* working state */
  uint32_t now;
} tl_link;

typedef struct timeline {
  const dag *dag;
  const platform *plat;
  const char *scheduler;
  /* Options of the run, for the reports. Whoever runs sets them; 2 and 0 until then. */
  uint32_t prefetch;
  uint64_t seed;
  double makespan_s;
  tl_record *records;     /* n_tasks */
  tl_resource *resources; /* n_resources: engines, then DMA channels */
  size_t n_resources;
  tl_link *links;        /* n_links of the platform */
  uint64_t *high_water_B; /* by sram */
  bool logging;
  tl_event *log; /* n_log, empty unless logging */
  size_t n_log, cap_log;
} timeline;

/* An empty timeline; everything but the log lives in `a`; the log is malloced: give it back with
 * tl_free. */
timeline *tl_new(const dag *d, const platform *p, const char *scheduler, bool log, arena *a);
void tl_free(timeline *tl);
observer tl_observer(timeline *tl);

/* Is it an engine, or else a DMA channel? */
static inline bool tl_is_engine(const timeline *tl, uint32_t resource) {
  return resource < tl->plat->n_engines;
}

/* The route that a task's data took: DRAM<->SRAM for a transfer, SRAM->its engine for a compute
 * task; NULL where it moved nothing. And the bytes that occupied it. */
const plat_route *tl_route(const timeline *tl, uint32_t task, uint64_t *bytes);

#endif
