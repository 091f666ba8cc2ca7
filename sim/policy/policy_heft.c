/* heft: heterogeneous earliest finish time (Topcuoglu, Hariri, Wu 2002). Compute tasks, by
 * descending upward rank, each go to the engine that ends them first, in the earliest gap that is
 * long enough; ties go to the engine that is free first.
 *
 * Transfers are tasks here, not edge costs: a load is timed when its first reader is planned, on
 * one DRAM link that moves loads one after the other in that order; a store ends its uncontended
 * time after its inputs. SRAM's size is not modelled: the machine's admission sees to it. To stay
 * linear, an engine remembers only its GAPS latest gaps. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/policy.h"

enum { GAPS = 16 };

typedef struct gap {
  double from, to;
} gap;

typedef struct lane { /* an engine's plan so far */
  double free_s;
  gap gaps[GAPS];
  int n_gaps, oldest;
} lane;

typedef struct heft {
  const pol_input *in;
  lane *lanes;
  double *start, *finish; /* by task; finish < 0: not planned */
  double link_free_s;
  uint32_t channels;
  uint32_t *group_engine, *stack;
  bool alike; /* engines differ in nothing: one estimate serves all */
  uint32_t *timed; /* transfers timed since the last task was placed */
  size_t n_timed;
} heft;

/* Times a transfer whose inputs are timed. A load follows the loads before it on the link. */
static void time_transfer(heft *h, uint32_t u, double from) {
  const dag *d = h->in->dag;
  cost c = cost_of(d, u);
  est_parts x = est_transfer(h->in->plat, d, u, &c, 0);
  if (op_kind_of((op)d->tasks[u].op) == OP_LOAD) {
    from = fmax(from, h->link_free_s);
    double flow = x.alone_s - x.lead_s - x.latency_s;
    h->link_free_s = from + fmax(flow, x.alone_s / h->channels);
  }
  h->finish[u] = from + x.alone_s;
  h->timed[h->n_timed++] = u;
}

/* When the task's inputs are there; times the transfers that nobody needed before, depth first. */
static double inputs_there(heft *h, uint32_t t) {
  const dag *d = h->in->dag;
  size_t depth = 0;
  h->stack[depth++] = t;
  for (;;) {
    uint32_t u = h->stack[depth - 1], missing = POL_NONE;
    const uint32_t *deps = dag_deps(d, &d->tasks[u]);
    double there = 0;
    for (uint32_t i = 0; i < d->tasks[u].n_deps && missing == POL_NONE; i++) {
      if (h->finish[deps[i]] < 0) missing = deps[i];
      there = fmax(there, h->finish[deps[i]]);
    }
    if (missing != POL_NONE) {
      h->stack[depth++] = missing;
    } else if (--depth == 0) {
      return there;
    } else {
      time_transfer(h, u, there);
    }
  }
}

static double later(double a, double b) { /* fmax minds NaN, and is a call */
  return a > b ? a : b;
}

/* The earliest start on the lane at or after `from` for `dur` seconds; *slot is the gap used, or -1
 * for the end. */
static double earliest(const lane *l, double from, double dur, int *slot) {
  double best = later(l->free_s, from);
  *slot = -1;
  if (best <= from) return best; /* no gap is earlier */
  for (int i = 0; i < l->n_gaps; i++) {
    double start = later(l->gaps[i].from, from);
    if (start + dur <= l->gaps[i].to && start < best) best = start, *slot = i;
  }
  return best;
}

static void add_gap(lane *l, gap g) {
  if (g.to <= g.from) return;
  if (l->n_gaps < GAPS) {
    l->gaps[l->n_gaps++] = g;
  } else {
    l->gaps[l->oldest] = g;
    l->oldest = (l->oldest + 1) % GAPS;
  }
}

static void occupy(lane *l, double start, double dur, int slot) {
  if (slot >= 0) {
    gap g = l->gaps[slot];
    l->gaps[slot] = (gap){g.from, start};
    add_gap(l, (gap){start + dur, g.to});
    return;
  }
  add_gap(l, (gap){l->free_s, start});
  l->free_s = start + dur;
}

typedef struct choice {
  uint32_t engine;
  double start, dur, end;
  int slot;
} choice;

/* The engine that ends the task first, with the transfers that it needs timed. */
static choice choose(heft *h, uint32_t t) {
  const dag *d = h->in->dag;
  const platform *p = h->in->plat;
  double from = inputs_there(h, t), dur = 0;
  cost c = cost_of(d, t);
  uint32_t g = d->tasks[t].group, lo = 0, hi = (uint32_t)p->n_engines;
  if (g != DAG_NO_GROUP && h->group_engine[g] != POL_ANY) lo = h->group_engine[g], hi = lo + 1;
  while (!pol_may_run(h->in, t, lo)) lo++;
  choice best = {.engine = lo, .end = INFINITY, .slot = -1};
  for (uint32_t e = lo; e < hi; e++) {
    if (!pol_may_run(h->in, t, e)) continue;
    if (e == lo || !h->alike) dur = est_compute(p, d, t, &c, e).alone_s;
    int slot;
    double s = earliest(&h->lanes[e], from, dur, &slot);
    bool tie = s + dur == best.end && h->lanes[e].free_s < h->lanes[best.engine].free_s;
    if (s + dur < best.end || tie) best = (choice){e, s, dur, s + dur, slot};
  }
  return best;
}

static void place(heft *h, uint32_t t, const choice *c, pol_plan *plan) {
  uint32_t g = h->in->dag->tasks[t].group;
  occupy(&h->lanes[c->engine], c->start, c->dur, c->slot);
  if (g != DAG_NO_GROUP) h->group_engine[g] = c->engine;
  plan->engine[t] = c->engine;
  h->start[t] = c->start;
  h->finish[t] = c->end;
  h->n_timed = 0;
}

static void forget(heft *h, double link_free_s) {
  while (h->n_timed > 0) h->finish[h->timed[--h->n_timed]] = -1;
  h->link_free_s = link_free_s;
}

/* Are all compute tasks that it needs placed? */
static bool placed_before(heft *h, uint32_t t) {
  const dag *d = h->in->dag;
  size_t depth = 0;
  h->stack[depth++] = t;
  while (depth > 0) {
    const dag_task *u = &d->tasks[h->stack[--depth]];
    for (uint32_t i = 0; i < u->n_deps; i++) {
      uint32_t w = dag_deps(d, u)[i];
      if (h->finish[w] >= 0) continue;
      if (op_kind_of((op)d->tasks[w].op) == OP_COMPUTE) return false;
      h->stack[depth++] = w;
    }
  }
  return true;
}

enum { WINDOW = 64 };

/* The task at order[i], or one behind it that an engine can run without waiting, while order[i] would wait for its loads. */
static size_t next_of(heft *h, const uint32_t *order, size_t i, size_t n, choice *c) {
  double link = h->link_free_s;
  *c = choose(h, order[i]);
  double idle = c->start - h->lanes[c->engine].free_s;
  if (getenv("DBG") && i < 60) fprintf(stderr, "%s eng %u start %.1f free %.1f link %.1f slot %d\n", h->in->dag->tasks[order[i]].name, c->engine, c->start*1e6, h->lanes[c->engine].free_s*1e6, link*1e6, c->slot);
  if (idle <= 1e-6 || c->slot >= 0 || link >= h->lanes[c->engine].free_s) return i;
  for (size_t k = i + 1; k < n && k < i + WINDOW; k++) {
    if (!placed_before(h, order[k])) continue;
    uint32_t g = h->in->dag->tasks[order[k]].group;
    if (g != DAG_NO_GROUP && h->group_engine[g] != POL_ANY && h->group_engine[g] != c->engine) continue;
    forget(h, link);
    choice x = choose(h, order[k]);
    if (x.engine == c->engine && x.start - h->lanes[x.engine].free_s < 0.2 * idle) {
      *c = x;
      return k;
    }
  }
  forget(h, link);
  *c = choose(h, order[i]);
  return i;
}

static int plan_heft(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)e;
  const dag *d = in->dag;
  arena scratch = {0};
  heft h = {.in = in, .alike = est_engines_alike(in->plat)};
  h.lanes = ARENA_NEW(&scratch, lane, in->plat->n_engines);
  h.start = ARENA_NEW(&scratch, double, d->n_tasks);
  h.finish = ARENA_NEW(&scratch, double, d->n_tasks);
  h.timed = ARENA_NEW(&scratch, uint32_t, d->n_tasks + 1);
  h.stack = ARENA_NEW(&scratch, uint32_t, d->n_tasks + 1);
  h.group_engine = ARENA_NEW(&scratch, uint32_t, d->n_groups + 1);
  for (uint32_t g = 0; g < d->n_groups; g++) h.group_engine[g] = POL_ANY;
  for (uint32_t t = 0; t < d->n_tasks; t++) h.finish[t] = -1;
  for (size_t i = 0; i < in->plat->n_dmas; i++) h.channels += in->plat->dmas[i].channels;

  double *key = pol_upward_rank(in, &scratch);
  for (uint32_t t = 0; t < d->n_tasks; t++) key[t] = -key[t];
  pol_sort(plan->order, plan->n_order, key);
  for (size_t i = 0; i < plan->n_order; i++) {
    choice c;
    size_t k = next_of(&h, plan->order, i, plan->n_order, &c);
    uint32_t t = plan->order[k];
    memmove(plan->order + i + 1, plan->order + i, (k - i) * sizeof *plan->order);
    plan->order[i] = t;
    place(&h, t, &c, plan);
  }
  /* each engine runs its tasks by planned start; that order is topological, as a task starts after
   * its inputs end */
  pol_sort(plan->order, plan->n_order, h.start);
  arena_free(&scratch);
  (void)a;
  return ERR_OK;
}

const policy policy_heft = {.name = "heft",
                            .text = "heterogeneous earliest finish time: plans all tasks by upward "
                                    "rank; knows task and load times",
                            .plan = plan_heft};
