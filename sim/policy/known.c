/* What was found out before a run, so that a policy need not find it out again (pol_host). It
 * changes no plan. */
#include <string.h>

#include "sim/policy.h"

static bool of_this_run(const pol_known *k, const pol_input *in) {
  return k != NULL && k->dag == in->dag && k->prefetch == in->prefetch &&
         k->sram_B == in->plat->srams[0].capacity_B;
}

const pol_known *pol_knows(const pol_input *in, const pol_plan *plan) {
  const pol_known *k = in->host == NULL ? NULL : in->host->known;
  if (!of_this_run(k, in)) return NULL;
  const pol_schedule *s = &k->plan;
  bool same = !s->dynamic && s->serial == plan->serial && s->n_order == plan->n_order &&
              memcmp(s->order, plan->order, s->n_order * sizeof *s->order) == 0 &&
              memcmp(s->engine, plan->engine, in->dag->n_tasks * sizeof *s->engine) == 0;
  return same ? k : NULL;
}

bool pol_known_plan(const pol_input *in, const char *name, pol_plan *plan) {
  const pol_known *k = in->host == NULL ? NULL : in->host->known;
  if (!of_this_run(k, in) || strcmp(k->plan.scheduler, name) != 0) return false;
  memcpy(plan->order, k->plan.order, k->plan.n_order * sizeof *plan->order);
  memcpy(plan->engine, k->plan.engine, in->dag->n_tasks * sizeof *plan->engine);
  plan->serial = k->plan.serial;
  return true;
}

double pol_lower_bound(const pol_input *in) {
  const pol_bound *b = in->host == NULL ? NULL : &in->host->bound;
  if (b != NULL && b->dag == in->dag && b->plat == in->plat) return b->s;
  arena scratch = {0};
  double s = est_bounds(in->plat, in->dag, &scratch).lower_s;
  arena_free(&scratch);
  return s;
}
