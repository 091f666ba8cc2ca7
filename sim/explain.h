/* explain.h - what would change the makespan: re-simulates a run with one thing changed at a time.
 *
 *   sensitivity  each rate, bandwidth, latency, capacity, overhead and setup (a "knob": the same
 * property of all hosts or links of a role) by -10% and +10%; channels and engines by one less and
 * one more. elasticity = ln(T(+10%) / T(-10%)) / ln(1.1 / 0.9) free ops     all tasks of an op, or
 * of a family of ops (softmax's three passes, MatMul's forms), take no time: the most that a faster
 * kernel could gain knees        of each rate and bandwidth: the value at which the resource that
 * is used most (report_bound_by) becomes another one. A knob of the present bottleneck is raised,
 * any other lowered, in steps of 4 to a factor of 1024; then the interval is cut in 8, three times:
 * the value found is at most 0.3% beyond the knee
 *
 * A change is a list of --set assignments and nothing else: re-running with them by hand gives the
 * same makespan, to the last bit. The DAG is compiled again where it comes from a model, as tiles
 * follow the platform. A point that cannot run (SRAM too small) has the reason instead.
 *
 * Every point is a process (jobs.h), so the caller must not have run SimGrid yet. Which points are
 * tried does not depend on the number of cores, nor do the results. Like any simulation, the points
 * may show Graham anomalies: more of something may make the run longer; they are printed as they
 * are, and marked. */
#ifndef LS_EXPLAIN_H
#define LS_EXPLAIN_H

#include "sim/base/units.h"
#include "sim/exec.h"
#include "sim/report.h"

/* Property `key` of all hosts or links of a role. */
typedef struct explain_knob {
  const char *label; /* "dram_bus": the only link of its role; "engine.speed" */
  const char *key;   /* of --set: "dram.bandwidth" */
  units_kind kind;
  bool step;                /* a number of things: changes by one */
  bool rate;                /* has a knee */
  const char *const *names; /* of its hosts or links; NULL: `key` has no names ("engines") */
  double *value;            /* of each */
  size_t n;
  /* as report_bound_by names what it makes faster (streams through ports keep engines busy, too);
   * all NULL: one of `names` */
  const char *owner[2];
} explain_knob;

/* All knobs of the platform that can matter to the DAG, in a fixed order. */
size_t explain_knobs(const platform *p, const dag *d, explain_knob **knobs, arena *a);

/* The assignments that make every value `factor` times what it is (a `step`: that much more, -1 or
 * 1), ended by NULL; NULL where there is no such value. Values have six digits. */
const char **explain_assign(const explain_knob *k, double factor, arena *a);

typedef struct explain_point {
  const char **set;     /* assignments; NULL: none */
  const char *free_ops; /* a family that takes no time; NULL: none */
  int status;           /* ERR_OK: */
  double makespan_s, share;
  const char *bound_by;
  const char *why; /* else: why it does not run */
} explain_point;

/* What to re-simulate and how. */
typedef struct explain_run {
  const platform *plat;
  const dag *dag; /* the run's own */
  const policy *pol;
  machine_options opt;
  int (*exec)(const dag *d, const platform *p, const policy *pol, const machine_options *opt,
              const observer *obs, arena *a, err *e);
  /* The DAG for a changed platform; called in the point's process. */
  int (*compile)(void *ctx, const platform *p, const dag **d, arena *a, err *e);
  /* May be NULL. */
  void (*progress)(void *ctx, size_t done, size_t of);
  void *ctx;
} explain_run;

typedef struct explain_knee {
  const explain_knob *knob;
  bool up; /* looked for above the present value */
  bool found;
  double factor;    /* the first tried beyond the knee */
  explain_point at; /* that run */
} explain_knee;

typedef struct explain {
  explain_point base; /* the run itself, once more */
  explain_knob *knobs;
  explain_point *less,
      *more; /* by knob; status ERR_NO and why = NULL where there is no such value */
  explain_point *free_op;
  explain_knee *knees;
  size_t n_knobs, n_free, n_knees;
  size_t n_points; /* simulations */
} explain;

/* ERR_INTERNAL where the base does not run, or a process cannot be started. */
ERR_CHECK int explain_study(const explain_run *run, explain *x, arena *a, err *e);

/* Family of an op: "softmax", "MatMul", "FlashAttn", or its own name. */
const char *explain_family(op o);

/* Attribution: causes, critical path by op, resources; then the study. */
void explain_print(const report *r, const explain *x, out *o);

#endif
