/* fit: heft's placement in the program's order. The compiler emits tasks so that what SRAM must
 * hold at a time stays small; heft's order by rank knows nothing of that and waits for room where
 * SRAM is tight. Tasks are placed as they stand in the program, each where it ends first, and each
 * engine runs its tasks by planned start. */
#include "sim/policy/list_dag.h"

static int fit_on(const pol_input *in, uint32_t engines, pol_plan *plan) {
  arena scratch = {0};
  list_dag l = list_dag_new(in, &scratch);
  list_dag_on(&l, engines);
  uint32_t *order = ARENA_NEW(&scratch, uint32_t, plan->n_order + 1);
  for (size_t i = 0; i < plan->n_order; i++) order[i] = plan->order[i];
  list_dag_plan(&l, order, plan->n_order, NULL, NULL, plan);
  arena_free(&scratch);
  return ERR_OK;
}

static int plan_fit(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)a, (void)e;
  return fit_on(in, UINT32_MAX, plan);
}

static int plan_few(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)a, (void)e;
  return fit_on(in, LIST_FEW, plan);
}

const policy policy_fit = {.name = "fit",
                           .text = "the program's order, which suits SRAM, each task where it ends "
                                   "first; knows task and load times",
                           .plan = plan_fit};

/* For those who choose among plans; no user asks for it by name. */
const policy policy_fit_few = {.name = "fit_few", .text = "fit on few engines", .plan = plan_few};
