/* compare.h - runs side by side: what differs in their reports, and where the makespan moved.
 *
 * A run is read from a report (`run --report`), or from its trace (`run --trace`, plain or
 * gzipped), which holds the report, too, in its metadata. Only a trace knows single tasks.
 *
 *   fields  every value of the report by its path ("bounds.gap", "resources.engine0.busy_s":
 * elements of lists go by their name). A field differs where the texts or numbers are not equal, or
 * where a run lacks it moved   an op's share of the makespan (attribution_by_op) against A's; sums
 * to the difference of the makespans. With traces of both it is parted: tasks that match, by id and
 * name, and those that only one of the two has
 *
 * The first run, A, is what others are compared with. */
#ifndef LS_COMPARE_H
#define LS_COMPARE_H

#include "sim/base/json.h"

typedef struct compare_field {
  const char *key;
  const json *value; /* number, string or bool */
} compare_field;

typedef struct compare_task {
  uint64_t id;
  const char *name, *op; /* name as in the trace: the op's name first */
  double start_s, dur_s, critical_s;
} compare_task;

typedef struct compare_run {
  const char *path;
  json_doc doc; /* holds the report; compare_free gives it back */
  const json *report;
  compare_field *fields, *by_key; /* in the report's order, and sorted */
  size_t n_fields;
  double makespan_s;
  const unsigned char *text; /* the whole trace, unpacked; NULL: there is none */
  size_t len;
  compare_task *tasks; /* ascending ids; only with a trace */
  size_t n_tasks;
} compare_run;

/* The largest file that is read. */
#define COMPARE_LIMIT ((size_t)1 << 31)

/* Reads a report or a trace. Errors (ERR_BAD) begin with the path. compare_free in any case. */
ERR_CHECK int compare_read(const char *path, compare_run *r, arena *a, err *e);

/* The same from bytes (which must stay). */
ERR_CHECK int compare_parse(const char *path, const unsigned char *text, size_t len, compare_run *r,
                            arena *a, err *e);

/* Adds its trace to a run that came from a report. */
ERR_CHECK int compare_add_trace(compare_run *r, const unsigned char *text, size_t len, arena *a,
                                err *e);
void compare_free(compare_run *r);

/* The value of a field, or NULL. */
const json *compare_field_of(const compare_run *r, const char *key);

/* Are two fields' values equal? NULL: the field is missing. */
bool compare_same(const json *x, const json *y);

/* Prints all of the above; returns the number of differences (fields, and tasks that moved or have
 * no match). */
size_t compare_print(const compare_run *r, size_t n, out *o, arena *a);

/* One trace of all runs, which must have theirs: processes A, B, ..., tracks in the order of each.
 * Their events come one run after the other, as they are but for pid, tid and the ids of
 * dependencies; metadata has each run's, keys with "A.", "B.", ... before them. ERR_BAD where a
 * trace is not one that `run --trace` writes. */
ERR_CHECK int compare_merge(const compare_run *r, size_t n, out *o, err *e);

/* "A", "B", ..., "Z", "AA", ...; in `buf`. */
enum { COMPARE_LABEL = 16 };
const char *compare_label(char buf[COMPARE_LABEL], size_t i);

#endif
