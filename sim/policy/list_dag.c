#include "sim/policy/list_dag.h"

#include <math.h>

static void fill_edges(list_dag *l, arena *a) {
  const dag *d = l->in->dag;
  list_graph *g = &l->g;
  g->first_succ = l->in->succ.first;
  g->succ = l->in->succ.succ;
  g->first_pred = ARENA_NEW(a, uint64_t, d->n_tasks + 1);
  for (uint32_t t = 0; t < d->n_tasks; t++)
    g->first_pred[t + 1] = g->first_pred[t] + d->tasks[t].n_deps;
  g->pred = ARENA_NEW(a, uint32_t, g->first_pred[d->n_tasks] + 1);
  for (uint32_t t = 0; t < d->n_tasks; t++)
    for (uint32_t i = 0; i < d->tasks[t].n_deps; i++)
      g->pred[g->first_pred[t] + i] = dag_deps(d, &d->tasks[t])[i];
}

static void fill_costs(list_dag *l) {
  const dag *d = l->in->dag;
  list_graph *g = &l->g;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    cost c = cost_of(d, t);
    double *row = g->cost + (size_t)t * g->n_columns;
    if (list_dag_is_compute(l->in, t)) {
      for (uint32_t p = 0; p < g->n_columns; p++)
        row[p] =
            pol_may_run(l->in, t, p) ? est_compute(l->in->plat, d, t, &c, p).alone_s : INFINITY;
      double *sum = l->group_s + (size_t)d->tasks[t].group * g->n_columns;
      for (uint32_t p = 0; d->tasks[t].group != DAG_NO_GROUP && p < g->n_columns; p++)
        sum[p] += row[p];
      continue;
    }
    est_parts x = est_transfer(l->in->plat, d, t, &c, 0);
    l->lead_s[t] = x.lead_s + x.latency_s;
    for (uint32_t p = 0; p < g->n_columns; p++) row[p] = x.alone_s;
  }
}

list_dag list_dag_new(const pol_input *in, arena *a) {
  const dag *d = in->dag;
  list_dag l = {.in = in};
  l.g.n = (uint32_t)d->n_tasks;
  l.g.n_procs = (uint32_t)in->plat->n_engines;
  l.g.n_columns = est_engines_alike(in->plat) ? 1 : l.g.n_procs;
  l.g.cost = ARENA_NEW(a, double, d->n_tasks *l.g.n_columns);
  l.lead_s = ARENA_NEW(a, double, d->n_tasks);
  l.group_s = ARENA_NEW(a, double, (d->n_groups + 1) * l.g.n_columns);
  l.promised_s = ARENA_NEW(a, double, l.g.n_procs);
  fill_edges(&l, a);
  fill_costs(&l);
  for (size_t i = 0; i < in->plat->n_dmas; i++) l.channels += in->plat->dmas[i].channels;
  l.stack = ARENA_NEW(a, uint32_t, d->n_tasks + 1);
  l.timed = ARENA_NEW(a, bool, d->n_tasks);
  l.fresh = ARENA_NEW(a, uint32_t, d->n_tasks + 1);
  l.group_engine = ARENA_NEW(a, uint32_t, d->n_groups + 1);
  for (uint32_t g = 0; g < d->n_groups; g++) l.group_engine[g] = POL_ANY;
  return l;
}

/* Times a transfer whose inputs are timed. A load follows the loads before it on the link. */
static void time_transfer(list_dag *l, uint32_t u, double from) {
  double alone_s = l->g.cost[(size_t)u * l->g.n_columns];
  if (op_kind_of((op)l->in->dag->tasks[u].op) == OP_LOAD) {
    from = fmax(from, l->link_free_s);
    l->link_free_s = from + fmax(alone_s - l->lead_s[u], alone_s / l->channels);
  }
  l->plan.start[u] = from;
  l->plan.finish[u] = from + alone_s;
  l->timed[u] = true;
  l->fresh[l->n_fresh++] = u;
}

/* When the task's inputs are there; times the transfers that nobody needed before, depth first. */
static double inputs_there(list_dag *l, uint32_t t) {
  const list_graph *g = &l->g;
  size_t depth = 0;
  l->stack[depth++] = t;
  for (;;) {
    uint32_t u = l->stack[depth - 1], missing = POL_NONE;
    double there = 0;
    for (uint64_t i = g->first_pred[u]; i < g->first_pred[u + 1] && missing == POL_NONE; i++) {
      uint32_t v = g->pred[i];
      if (!l->timed[v]) missing = v;
      if (l->plan.finish[v] > there) there = l->plan.finish[v];
    }
    if (missing != POL_NONE)
      l->stack[depth++] = missing;
    else if (--depth == 0)
      return there;
    else
      time_transfer(l, u, there);
  }
}

static double group_cost(const list_dag *l, uint32_t group, uint32_t p) {
  return l->group_s[(size_t)group * l->g.n_columns + (l->g.n_columns == 1 ? 0 : p)];
}

/* Where a group would end first that no engine has yet. */
static uint32_t engine_for(const list_dag *l, uint32_t t, double from) {
  uint32_t best = LIST_NONE;
  double least = INFINITY;
  for (uint32_t p = 0; p < l->g.n_procs; p++) {
    if (!pol_may_run(l->in, t, p)) continue;
    double end = fmax(from, list_free_s(&l->plan, p)) + l->promised_s[p] +
                 group_cost(l, l->in->dag->tasks[t].group, p);
    if (end < least) least = end, best = p;
  }
  return best;
}

list_choice list_dag_choose(list_dag *l, uint32_t t, const double *oct, uint32_t only) {
  double from = inputs_there(l, t);
  uint32_t g = l->in->dag->tasks[t].group;
  bool opens = g != DAG_NO_GROUP && l->group_engine[g] == POL_ANY;
  if (g != DAG_NO_GROUP && !opens) only = l->group_engine[g];
  if (only != LIST_NONE && !pol_may_run(l->in, t, only)) only = LIST_NONE;
  if (opens && only == LIST_NONE && oct == NULL) only = engine_for(l, t, from);
  return list_choose(&l->plan, t, from, oct, only);
}

void list_dag_forget(list_dag *l, double link_free_s) {
  while (l->n_fresh > 0) l->timed[l->fresh[--l->n_fresh]] = false;
  l->link_free_s = link_free_s;
}

void list_dag_put(list_dag *l, uint32_t t, const list_choice *c) {
  uint32_t g = l->in->dag->tasks[t].group;
  list_put(&l->plan, t, c);
  l->timed[t] = true;
  l->n_fresh = 0;
  if (g == DAG_NO_GROUP) return;
  if (l->group_engine[g] == POL_ANY) l->promised_s[c->proc] += group_cost(l, g, c->proc);
  l->group_engine[g] = c->proc;
  l->promised_s[c->proc] -= list_cost(&l->g, t, c->proc);
}

void list_dag_place(list_dag *l, uint32_t t, const double *oct, uint32_t only) {
  list_choice c = list_dag_choose(l, t, oct, only);
  list_dag_put(l, t, &c);
}

void list_dag_plan(list_dag *l, const uint32_t *order, size_t n, const double *oct,
                   const uint32_t *only, pol_plan *plan) {
  arena scratch = {0};
  l->plan = list_plan_new(&l->g, &scratch);
  size_t k = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t t = order[i];
    if (!list_dag_is_compute(l->in, t)) continue;
    list_dag_place(l, t, oct, only == NULL ? LIST_NONE : only[t]);
    plan->order[k++] = t;
    plan->engine[t] = l->plan.proc[t];
  }
  pol_sort(plan->order, k, l->plan.start);
  arena_free(&scratch);
}
