/* serial: program order on one engine (as far as that reaches what tasks work on), nothing
 * overlaps. The baseline: its makespan is the sum of all task times. */
#include "sim/policy.h"

static int plan_serial(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)a, (void)e;
  for (size_t i = 0; i < plan->n_order; i++)
    plan->engine[plan->order[i]] = reach_first(in->reach, plan->order[i]);
  plan->serial = true;
  return ERR_OK;
}

const policy policy_serial = {
    .name = "serial",
    .text = "one thing at a time, in program order, on one engine; nothing overlaps",
    .plan = plan_serial};
