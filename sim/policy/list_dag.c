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

/* What a transfer takes of the link. */
static double flow_s(const list_dag *l, uint32_t u) {
  double alone_s = l->g.cost[(size_t)u * l->g.n_columns];
  return fmax(alone_s - l->lead_s[u], alone_s / l->channels);
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

void list_dag_on(list_dag *l, uint32_t n) {
  if (n < l->g.n_procs && l->g.n_columns == 1 && l->in->reach->of == NULL) l->g.n_procs = n;
}

void list_dag_with_room(list_dag *l, arena *a) {
  const dag *d = l->in->dag;
  double load_s = 0, all_s = 0;
  l->left = ARENA_NEW(a, uint32_t, d->n_tasks + 1);
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    l->left[t] = d->tasks[t].n_deps;
    all_s += list_mean(&l->g, t);
    if (op_kind_of((op)d->tasks[t].op) == OP_LOAD) load_s += flow_s(l, t);
  }
  l->seen = ARENA_NEW(a, uint32_t, d->n_tasks + 1);
  l->room = list_room_new(l->in, load_s, all_s, a);
}

/* Times a transfer whose inputs are timed. A load follows the loads before it on the link. */
static void time_transfer(list_dag *l, uint32_t u, double from) {
  double alone_s = l->g.cost[(size_t)u * l->g.n_columns], flowed_s = 0;
  bool load = op_kind_of((op)l->in->dag->tasks[u].op) == OP_LOAD;
  if (load && l->room != NULL) {
    from = list_room_load(l->room, fmax(from, l->from_s), flow_s(l, u), &flowed_s);
  } else if (load) {
    from = fmax(from, l->link_free_s);
    l->link_free_s = from + flow_s(l, u);
  }
  l->plan.start[u] = from;
  l->plan.finish[u] = fmax(from + alone_s, flowed_s);
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

/* When the task's loads may begin: when there is room for it and for the transfers before it that
 * are not timed; but no earlier than they have to, and one task of that length more, for the engine
 * that is to run it or the first that is free. */
static double loads_from(list_dag *l, uint32_t t, uint32_t only) {
  const list_graph *g = &l->g;
  size_t depth = 0;
  double there = 0, lead_s = 2 * list_mean(g, t), free_s = INFINITY;
  l->visit++;
  l->stack[depth++] = t;
  while (depth > 0) {
    uint32_t u = l->stack[--depth];
    list_room_ask(l->room, u);
    if (u != t) lead_s += l->g.cost[(size_t)u * g->n_columns];
    for (uint64_t i = g->first_pred[u]; i < g->first_pred[u + 1]; i++) {
      uint32_t v = g->pred[i];
      if (l->timed[v]) there = fmax(there, l->plan.finish[v]);
      if (l->timed[v] || l->seen[v] == l->visit) continue;
      l->seen[v] = l->visit;
      l->stack[depth++] = v;
    }
  }
  for (uint32_t p = 0; p < g->n_procs; p++)
    if (only == LIST_NONE || only == p) free_s = fmin(free_s, list_free_s(&l->plan, p));
  return fmax(list_room_from_s(l->room), fmax(there, free_s) - lead_s);
}

list_choice list_dag_choose(list_dag *l, uint32_t t, const double *oct, uint32_t only) {
  uint32_t g = l->in->dag->tasks[t].group;
  bool opens = g != DAG_NO_GROUP && l->group_engine[g] == POL_ANY;
  if (g != DAG_NO_GROUP && !opens) only = l->group_engine[g];
  if (only != LIST_NONE && !pol_may_run(l->in, t, only)) only = LIST_NONE;
  l->from_s = l->room == NULL ? 0 : loads_from(l, t, only);
  double from = fmax(l->from_s, inputs_there(l, t));
  if (opens && only == LIST_NONE && oct == NULL) only = engine_for(l, t, from);
  return list_choose(&l->plan, t, from, oct, only);
}

void list_dag_forget(list_dag *l, double link_free_s) {
  while (l->n_fresh > 0) l->timed[l->fresh[--l->n_fresh]] = false;
  l->link_free_s = link_free_s;
}

/* The task is placed or timed: its rooms, and the stores that waited only for it. */
static void put_room(list_dag *l, uint32_t t) {
  size_t depth = 0;
  l->stack[depth++] = t;
  while (depth > 0) {
    uint32_t u = l->stack[--depth];
    list_room_put(l->room, u, l->plan.start[u], l->plan.finish[u]);
    for (uint64_t i = l->g.first_succ[u]; i < l->g.first_succ[u + 1]; i++) {
      uint32_t s = l->g.succ[i];
      if (--l->left[s] > 0 || l->timed[s] || op_kind_of((op)l->in->dag->tasks[s].op) != OP_STORE)
        continue;
      double from = 0;
      for (uint64_t k = l->g.first_pred[s]; k < l->g.first_pred[s + 1]; k++)
        from = fmax(from, l->plan.finish[l->g.pred[k]]);
      time_transfer(l, s, from);
      l->n_fresh--;
      l->stack[depth++] = s;
    }
  }
}

void list_dag_put(list_dag *l, uint32_t t, const list_choice *c) {
  uint32_t g = l->in->dag->tasks[t].group;
  list_put(&l->plan, t, c);
  l->timed[t] = true;
  size_t n_fresh = l->room == NULL ? 0 : l->n_fresh;
  for (size_t i = 0; i < n_fresh; i++) put_room(l, l->fresh[i]);
  if (l->room != NULL) put_room(l, t);
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
