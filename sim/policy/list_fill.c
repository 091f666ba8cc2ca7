#include <string.h>

#include "sim/policy/list_dag.h"

/* Idle time below this is not worth looking further; a task that leaves more than this share of it
 * does not come before its turn. */
static const double LEAST_IDLE_s = 1e-6, STILL_IDLE = 0.8;

static bool all_timed(const list_dag *l, uint32_t t) {
  for (uint64_t i = l->g.first_pred[t]; i < l->g.first_pred[t + 1]; i++)
    if (!l->timed[l->g.pred[i]]) return false;
  return true;
}

/* Is all that t needs timed, but for transfers that need nothing that is not? */
static bool inputs_placed(const list_dag *l, uint32_t t) {
  for (uint64_t i = l->g.first_pred[t]; i < l->g.first_pred[t + 1]; i++) {
    uint32_t u = l->g.pred[i];
    if (!l->timed[u] && (list_dag_is_compute(l->in, u) || !all_timed(l, u))) return false;
  }
  return true;
}

/* Could the engine run it, as far as its group allows? */
static bool may_go(const list_dag *l, uint32_t t, uint32_t engine) {
  uint32_t g = l->in->dag->tasks[t].group;
  return g == DAG_NO_GROUP || l->group_engine[g] == POL_ANY || l->group_engine[g] == engine;
}

static double idle_of(const list_dag *l, const list_choice *c) {
  return c->start - list_free_s(&l->plan, c->proc);
}

/* The place in the order of the task to put next, and where it goes; its transfers are timed. */
static size_t next_of(list_dag *l, const uint32_t *order, size_t i, size_t n, list_choice *c) {
  double link_s = l->link_free_s;
  *c = list_dag_choose(l, order[i], NULL, LIST_NONE);
  double idle_s = idle_of(l, c);
  if (idle_s <= LEAST_IDLE_s || c->slot >= 0) return i;
  size_t best = i;
  double least = STILL_IDLE * idle_s;
  for (size_t k = i + 1; k < n && k < i + LIST_WINDOW; k++) {
    if (!may_go(l, order[k], c->proc) || !inputs_placed(l, order[k])) continue;
    list_dag_forget(l, link_s);
    list_choice x = list_dag_choose(l, order[k], NULL, LIST_NONE);
    if (x.proc != c->proc || idle_of(l, &x) >= least) continue;
    least = idle_of(l, &x);
    best = k;
    if (least <= LEAST_IDLE_s) break;
  }
  list_dag_forget(l, link_s);
  *c = list_dag_choose(l, order[best], NULL, LIST_NONE);
  return best;
}

void list_dag_fill(list_dag *l, uint32_t *order, size_t n, pol_plan *plan) {
  arena scratch = {0};
  l->plan = list_plan_new(&l->g, &scratch);
  for (size_t i = 0; i < n; i++) {
    list_choice c;
    size_t k = next_of(l, order, i, n, &c);
    uint32_t t = order[k];
    memmove(order + i + 1, order + i, (k - i) * sizeof *order);
    order[i] = t;
    list_dag_put(l, t, &c);
    plan->order[i] = t;
    plan->engine[t] = c.proc;
  }
  pol_sort(plan->order, n, l->plan.start);
  arena_free(&scratch);
}
