/* The one list of policies, simplest first, and what is common to all: a plan is made, then
 * checked. */
#include <string.h>

#include "sim/policy.h"

extern const policy policy_serial, policy_eager, policy_prio, policy_random, policy_lws,
    policy_dmda, policy_heft, policy_cpop, policy_peft, policy_heads, policy_search, policy_exact,
    policy_fit;

static const policy *const REGISTRY[] = {
    &policy_serial, &policy_random, &policy_eager, &policy_lws,  &policy_prio,
    &policy_dmda,   &policy_heads,  &policy_heft,  &policy_cpop, &policy_peft,
    &policy_fit,    &policy_search, &policy_exact};

size_t pol_count(void) {
  return sizeof REGISTRY / sizeof REGISTRY[0];
}

const policy *pol_at(size_t i) {
  return REGISTRY[i];
}

const policy *pol_find(const char *name) {
  for (size_t i = 0; i < pol_count(); i++)
    if (strcmp(REGISTRY[i]->name, name) == 0) return REGISTRY[i];
  return NULL;
}

static bool is_compute(const dag *d, uint32_t t) {
  return op_kind_of((op)d->tasks[t].op) == OP_COMPUTE;
}

/* Every compute task once, after the compute tasks it depends on; engines in range and in reach,
 * one a group. */
static int check_plan(const policy *p, const pol_input *in, const pol_plan *plan, err *e) {
  arena scratch = {0};
  const dag *d = in->dag;
  uint32_t *place = ARENA_NEW(&scratch, uint32_t, d->n_tasks);
  uint32_t *group = ARENA_NEW(&scratch, uint32_t, d->n_groups + 1);
  for (size_t i = 0; i < plan->n_order && e->status == ERR_OK; i++) {
    uint32_t t = plan->order[i];
    if (t >= d->n_tasks || !is_compute(d, t) || place[t] != 0) {
      err_set(e, ERR_INTERNAL, "policy '%s' lists task %u twice, or it is no compute task", p->name,
              t);
      break;
    }
    place[t] = (uint32_t)i + 1;
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    for (uint32_t k = 0; k < d->tasks[t].n_deps; k++)
      if (is_compute(d, deps[k]) && place[deps[k]] == 0)
        err_set(e, ERR_INTERNAL, "policy '%s' puts task %u before its input, task %u", p->name, t,
                deps[k]);
    uint32_t engine = plan->engine[t], g = d->tasks[t].group;
    if (p->pick == NULL && engine >= in->plat->n_engines)
      err_set(e, ERR_INTERNAL, "policy '%s' gives task %u no engine", p->name, t);
    else if (p->pick == NULL && !pol_may_run(in, t, engine))
      err_set(e, ERR_INTERNAL, "policy '%s' gives task %u to engine %u, which cannot reach it",
              p->name, t, engine);
    if (p->pick != NULL || g == DAG_NO_GROUP) continue;
    if (group[g] != 0 && group[g] != engine + 1)
      err_set(e, ERR_INTERNAL, "policy '%s' gives group %u two engines, %u and %u", p->name, g,
              group[g] - 1, engine);
    group[g] = engine + 1;
  }
  arena_free(&scratch);
  return e->status;
}

int pol_make_plan(const policy *p, const pol_input *in, pol_plan *plan, arena *a, err *e) {
  const dag *d = in->dag;
  *plan = (pol_plan){.order = ARENA_NEW(a, uint32_t, d->n_tasks),
                     .engine = ARENA_NEW(a, uint32_t, d->n_tasks)};
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    plan->engine[t] = POL_ANY;
    if (is_compute(d, t)) plan->order[plan->n_order++] = t;
  }
  size_t n = plan->n_order;
  if (p->plan(in, plan, a, e)) return e->status;
  if (plan->n_order != n)
    return err_set(e, ERR_INTERNAL, "policy '%s' planned %zu of %zu compute tasks", p->name,
                   plan->n_order, n);
  return check_plan(p, in, plan, e);
}
