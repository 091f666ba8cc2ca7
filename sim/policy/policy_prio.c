/* prio: an idle engine takes the ready task with the longest way to the end (critical path first).
 */
#include "sim/policy.h"

typedef struct prio {
  pol_pool *pool;
  double *rank;
} prio;

/* Descending rank is topological: a task's rank is larger than its successors' by its own time, and
 * ties go to the id. */
static int plan_prio(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)e;
  double *key = pol_upward_rank(in, a);
  for (size_t t = 0; t < in->dag->n_tasks; t++) key[t] = -key[t];
  pol_sort(plan->order, plan->n_order, key);
  return ERR_OK;
}

static void *start_prio(const pol_input *in, const pol_plan *plan, arena *a) {
  (void)plan;
  prio *p = ARENA_NEW(a, prio, 1);
  p->pool = pol_pool_new(in, a);
  p->rank = pol_upward_rank(in, a);
  return p;
}

static void ready_prio(void *state, uint32_t task) {
  prio *p = state;
  pol_pool_add(p->pool, task, -p->rank[task]);
}

static uint32_t pick_prio(void *state, uint32_t engine) {
  return pol_pool_pick(((prio *)state)->pool, engine);
}

static void taken_prio(void *state, uint32_t task, uint32_t engine) {
  pol_pool_taken(((prio *)state)->pool, task, engine);
}

const policy policy_prio = {
    .name = "prio",
    .text =
        "an idle engine takes the ready task with the longest path to the end; knows task times",
    .plan = plan_prio,
    .start = start_prio,
    .ready = ready_prio,
    .pick = pick_prio,
    .taken = taken_prio};
