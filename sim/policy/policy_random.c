/* random: any topological order, any engine that may run the task; --seed decides. The yardstick
 * that shows what knowing anything is worth. */
#include "sim/policy/list_dag.h"
#include "sim/policy/rand.h"

static int plan_random(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)a, (void)e;
  const dag *d = in->dag;
  arena scratch = {0};
  pol_rand r = {in->seed};
  list_dag l = list_dag_new(in, &scratch);
  double *key = ARENA_NEW(&scratch, double, d->n_tasks);
  uint32_t *group = ARENA_NEW(&scratch, uint32_t, d->n_groups + 1);
  for (uint32_t g = 0; g < d->n_groups; g++) group[g] = POL_ANY;
  for (uint32_t t = 0; t < d->n_tasks; t++) key[t] = pol_rand_unit(&r);
  uint32_t *order = list_order(&l.g, key, &scratch);
  size_t n = 0;
  for (size_t i = 0; i < d->n_tasks; i++) {
    uint32_t t = order[i], g = d->tasks[t].group;
    if (!list_dag_is_compute(in, t)) continue;
    uint32_t engine = pol_rand_below(&r, (uint32_t)in->plat->n_engines);
    if (g != DAG_NO_GROUP && group[g] != POL_ANY) engine = group[g];
    while (!pol_may_run(in, t, engine)) engine = (engine + 1) % (uint32_t)in->plat->n_engines;
    if (g != DAG_NO_GROUP) group[g] = engine;
    plan->order[n++] = t;
    plan->engine[t] = engine;
  }
  arena_free(&scratch);
  return ERR_OK;
}

const policy policy_random = {.name = "random",
                              .text = "any order, any engine, by --seed; knows nothing",
                              .plan = plan_random};
