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

typedef struct pol_input {
  const dag *dag;
  const platform *plat;
  dag_succ succ;
  const reach *reach;
  uint32_t prefetch; /* as the run's option */
  uint64_t seed;
} pol_input;

typedef struct pol_plan {
  uint32_t *order;  /* the compute tasks, topological */
  size_t n_order;
  uint32_t *engine; /* by task id; POL_ANY for transfers, and for what is decided at run time */
  bool serial;      /* one thing at a time: a task starts when the one before it in the full order has ended */
} pol_plan;

typedef struct policy {
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
} policy;

/* NULL where there is none of that name. */
const policy *pol_find(const char *name);
size_t pol_count(void);
const policy *pol_at(size_t i); /* in the order of the registry: simplest first */

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
