/* heft: heterogeneous earliest finish time (Topcuoglu, Hariri, Wu 2002). Compute tasks, by
 * descending upward rank, each go to the engine that ends them first, in the earliest gap that is
 * long enough; ties go to the engine that is free first. list_dag.h says how transfers are timed.
 */
#include "sim/policy/list_dag.h"

static int plan_heft(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)a, (void)e;
  arena scratch = {0};
  list_dag l = list_dag_new(in, &scratch);
  double *key = list_rank_up(&l.g, &scratch);
  for (uint32_t t = 0; t < l.g.n; t++) key[t] = -key[t];
  pol_sort(plan->order, plan->n_order, key);
  uint32_t *order = ARENA_NEW(&scratch, uint32_t, plan->n_order + 1);
  for (size_t i = 0; i < plan->n_order; i++) order[i] = plan->order[i];
  list_dag_plan(&l, order, plan->n_order, NULL, NULL, plan);
  arena_free(&scratch);
  return ERR_OK;
}

const policy policy_heft = {.name = "heft",
                            .text = "heterogeneous earliest finish time: plans all tasks by upward "
                                    "rank; knows task and load times",
                            .plan = plan_heft};
