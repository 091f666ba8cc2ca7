/* peft: predict earliest finish time (Arabnejad, Barbosa 2014). Of the tasks whose inputs are
 * planned, the one with the largest mean row of the optimistic cost table comes next; it goes where
 * its end and the table's look-ahead from there sum to least. */
#include "sim/policy/list_dag.h"

static int plan_peft(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)a, (void)e;
  arena scratch = {0};
  list_dag l = list_dag_new(in, &scratch);
  double *oct = list_oct(&l.g, &scratch);
  double *rank = list_oct_rank(&l.g, oct, &scratch);
  list_dag_plan(&l, list_order(&l.g, rank, &scratch), l.g.n, oct, NULL, plan);
  arena_free(&scratch);
  return ERR_OK;
}

const policy policy_peft = {.name = "peft",
                            .text =
                                "predict earliest finish time: as heft, with a look-ahead table "
                                "for order and place; knows task and load times",
                            .plan = plan_peft};
