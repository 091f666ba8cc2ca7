/* policy.h - who decides what runs where, and in which order.
 *
 * A policy is one struct with a name and a line of description; adding one is a file in sim/policy/ and a line in
 * policy_registry.c. The executor asks the policy; a policy never calls the executor.
 *
 * Every policy makes a plan before the run: a topological order of the compute tasks. A static policy (`pick` is NULL)
 * also names the engine of every compute task; each engine then runs its tasks in the plan's order. A dynamic policy leaves
 * engines at POL_ANY and decides while the simulation runs: it is told which tasks became ready (all their inputs but loads are
 * there), and asked what an engine should do next. Its planned order is then what memory admission falls back on (machine.h).
 * Transfers are not planned: they follow the order of the compute tasks that need them.
 *
 * Tasks of one group must get the same engine, and every task one that its operands' SRAMs reach (pol_may_run; there is
 * always one, also for a group). A plan is checked before it is used. */
#ifndef LS_POLICY_H
#define LS_POLICY_H

#include "sim/estimate.h"
#include "sim/reach.h"

#define POL_ANY UINT32_MAX
#define POL_NONE UINT32_MAX

typedef struct pol_input pol_input;
typedef struct pol_plan pol_plan;
typedef struct policy policy;

/* A schedule that happened or was given: what `pol_given` replays (sim/policy/given.c) and a recorder writes down. Of a
 * dynamic policy that is the order in which engines took tasks, with the planned order beside it, as memory admission
 * falls back on that; and which tasks the machine itself put on an engine (`taken`, not `pick`). */
typedef struct pol_schedule {
  const char *scheduler; /* whose it is */
  bool dynamic, serial;
  uint32_t *order; /* the compute tasks: as planned; dynamic: as taken */
  size_t n_order;
  uint32_t *engine; /* by task */
  uint32_t *planned; /* dynamic: the planned order */
  bool *forced;      /* dynamic, by task: the machine took it itself */
} pol_schedule;

/* What happened to a task when a plan was simulated: `by` ended last of what had to end before it could start (an input, the
 * task before it on its resource, one that made room or way for its load), or POL_NONE. */
typedef struct pol_event {
  double start_s, end_s;
  uint32_t by;
} pol_event;

/* No schedule of the DAG is shorter on the platform. */
typedef struct pol_bound {
  const dag *dag; /* NULL: nothing is known */
  const platform *plat;
  double s;
} pol_bound;

/* A simulation that was made before: what a plan does on the run's platform, but with `sram_B` of its first SRAM. */
typedef struct pol_known {
  const dag *dag; /* NULL: nothing is known */
  double sram_B;
  uint32_t prefetch;
  pol_schedule plan;
  pol_event *events; /* by task */
  double makespan_s;
} pol_known;

/* What a driver above the policies lends to one that searches. The policy asks; it never sees the executor. */
typedef struct pol_host {
  void *self;
  /* The makespan of the plan on `in`'s platform, simulated; INFINITY where it does not run. `events`: by task, or NULL. */
  double (*makespan)(void *self, const pol_input *in, const pol_plan *plan, pol_event *events);
  /* Runs the policy and turns what happened into a plan with an engine for every task; its makespan, or INFINITY. */
  double (*record)(void *self, const pol_input *in, const policy *p, pol_plan *plan);
  uint64_t budget; /* calls of either that `search` may make */
  bool in_short;   /* one of many cuts that are compared: a policy that looks on while that helps shall not */
  const pol_known *known;    /* saves a policy its plan, and `makespan` a simulation; or NULL */
  pol_bound bound;           /* saves a policy est_bounds */
  void (*progress)(void *self, uint64_t done, uint64_t budget, double best_s);
  void (*say)(void *self, const char *text); /* what is worth knowing beside the plan, in one line */
} pol_host;

struct pol_input {
  const dag *dag;
  const platform *plat;
  dag_succ succ;
  const reach *reach;
  uint32_t prefetch; /* as the run's option */
  uint64_t seed;
  const pol_schedule *given; /* for pol_given and pol_replayed */
  const pol_host *host;      /* NULL: nobody simulates for a policy that would like it */
  struct pol_recorder *recorder; /* for pol_recording_*; else NULL */
};

struct pol_plan {
  uint32_t *order;  /* the compute tasks, topological */
  size_t n_order;
  uint32_t *engine; /* by task id; POL_ANY for transfers, and for what is decided at run time */
  bool serial;      /* one thing at a time: a task starts when the one before it in the full order has ended */
  const policy *instead; /* not NULL: better still is what this policy does, which then plans and decides */
};

struct policy {
  const char *name;
  const char *text;  /* one line: what it does and what it knows */
  /* `plan` comes with order and engine allocated (n_order compute tasks; engine all POL_ANY) and order = id order. */
  ERR_CHECK int (*plan)(const pol_input *in, pol_plan *plan, arena *a, err *e);
  /* Dynamic policies only: state, in `a`; then ready tasks; then `pick`: the next task for the engine, or POL_NONE. A picked
   * task is that engine's. The executor may also take a task itself, without asking (machine.h): `taken`. */
  void *(*start)(const pol_input *in, const pol_plan *plan, arena *a);
  void (*ready)(void *state, uint32_t task);
  uint32_t (*pick)(void *state, uint32_t engine);
  void (*taken)(void *state, uint32_t task, uint32_t engine);
};

/* Replays in->given: a static one as its plan, a dynamic one (whose engines take their tasks in the given order, each as soon as
 * it is ready) to the same events, on the same DAG and platform. Not in the registry. */
const policy *pol_replay_of(const pol_schedule *s);

/* in->given as a dynamic policy: its engines, and of its order what comes first of what is ready. Not in the registry. */
extern const policy policy_placed;

/* Runs as `p` does and writes down what happens. Lives as long as `a`. `in->recorder` must be the recorder when its policy runs. */
typedef struct pol_recorder {
  const policy *p;
  const char *name; /* NULL: p's; else whose the schedule is said to be */
  pol_schedule *out;
  arena *mem;
} pol_recorder;
const policy *pol_recording_of(const policy *p);

/* The policy that a plan names instead of the one that made it; recorded, if that one was, under the name of that one. */
const policy *pol_instead(const pol_input *in, const policy *p);

/* NULL where there is none of that name. */
const policy *pol_find(const char *name);
size_t pol_count(void);
const policy *pol_at(size_t i); /* in the order of the registry: simplest first */

/* sim/policy/known.c. What in->host knows of that plan, or NULL; the plan of that policy into `plan`, or false; and the lower
 * bound, which is found where the host does not know it. */
const pol_known *pol_knows(const pol_input *in, const pol_plan *plan);
bool pol_known_plan(const pol_input *in, const char *name, pol_plan *plan);
double pol_lower_bound(const pol_input *in);

/* A complete, checked plan of `p`. ERR_INTERNAL where a policy breaks its promise. */
ERR_CHECK int pol_make_plan(const policy *p, const pol_input *in, pol_plan *plan, arena *a, err *e);

/* May the engine run the task (and, where it has a group, the rest of the group)? */
static inline bool pol_may_run(const pol_input *in, uint32_t task, uint32_t engine) {
  return reach_may_run(in->reach, task, engine);
}

/* For policies: upward rank of every task, in seconds: its best time plus the largest rank among its successors
 * (Topcuoglu, Hariri, Wu 2002, eq. 8, with transfers as tasks instead of edge costs). */
double *pol_upward_rank(const pol_input *in, arena *a);

/* Sorts tasks by key[task], smallest first, ties by id. */
void pol_sort(uint32_t *tasks, size_t n, const double *key);

/* For dynamic policies: a pool of ready tasks, smallest (key, id) first, that honours groups: once an engine took a
 * task of a group, the group's other tasks go to that engine only. An engine is given only what it may run. */
typedef struct pol_pool pol_pool;
pol_pool *pol_pool_new(const pol_input *in, arena *a);
void pol_pool_add(pol_pool *p, uint32_t task, double key);
uint32_t pol_pool_pick(pol_pool *p, uint32_t engine);
void pol_pool_taken(pol_pool *p, uint32_t task, uint32_t engine);

#endif
