/* cpop: critical path on a processor (Topcuoglu, Hariri, Wu 2002). Tasks by upward plus downward
 * rank; those of the longest path all go to the engine that runs them fastest together, the others
 * where they end first. */
#include <math.h>

#include "sim/policy/list_dag.h"

/* The engine that runs the marked compute tasks in the least time; LIST_NONE where none may run
 * all. */
static uint32_t best_for(const list_dag *l, const bool *on) {
  uint32_t best = LIST_NONE;
  double least = INFINITY;
  for (uint32_t p = 0; p < l->g.n_procs; p++) {
    double sum = 0;
    for (uint32_t t = 0; t < l->g.n; t++)
      if (on[t] && list_dag_is_compute(l->in, t)) sum += list_cost(&l->g, t, p);
    if (sum < least) least = sum, best = p;
  }
  return best;
}

static int plan_cpop(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)a, (void)e;
  arena scratch = {0};
  list_dag l = list_dag_new(in, &scratch);
  double *up = list_rank_up(&l.g, &scratch), *down = list_rank_down(&l.g, &scratch);
  bool *on = list_critical(&l.g, up, down, &scratch);
  uint32_t engine = best_for(&l, on), *only = ARENA_NEW(&scratch, uint32_t, l.g.n);
  for (uint32_t t = 0; t < l.g.n; t++) {
    only[t] = on[t] ? engine : LIST_NONE;
    down[t] += up[t];
  }
  list_dag_plan(&l, list_order(&l.g, down, &scratch), l.g.n, NULL, only, plan);
  arena_free(&scratch);
  return ERR_OK;
}

const policy policy_cpop = {.name = "cpop",
                            .text = "critical path on a processor: the longest path on one engine, "
                                    "the rest where it ends first; knows task and load times",
                            .plan = plan_cpop};
