/* heft: heterogeneous earliest finish time (Topcuoglu, Hariri, Wu 2002). Compute tasks, by
 * descending upward rank, each go to the engine that ends them first, in the earliest gap that is
 * long enough; ties go to the engine that is free first.
 *
 * Transfers are tasks here, not edge costs: a load is timed when its first reader is planned, on
 * one DRAM link that moves loads one after the other in that order; a store ends its uncontended
 * time after its inputs. SRAM's size is not modelled: the machine's admission sees to it. To stay
 * linear, an engine remembers only its GAPS latest gaps. */
#include <math.h>

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

static void place(heft *h, uint32_t t, pol_plan *plan) {
  const dag *d = h->in->dag;
  const platform *p = h->in->plat;
  double from = inputs_there(h, t);
  cost c = cost_of(d, t);
  uint32_t g = d->tasks[t].group, best = 0, lo = 0, hi = (uint32_t)p->n_engines;
  if (g != DAG_NO_GROUP && h->group_engine[g] != POL_ANY) lo = h->group_engine[g], hi = lo + 1;
  double best_start = 0, best_dur = 0, best_end = INFINITY, dur = 0;
  while (!pol_may_run(h->in, t, lo)) lo++;
  best = lo;
  int best_slot = -1;
  for (uint32_t e = lo; e < hi; e++) {
    if (!pol_may_run(h->in, t, e)) continue;
    if (e == lo || !h->alike) dur = est_compute(p, d, t, &c, e).alone_s;
    int slot;
    double s = earliest(&h->lanes[e], from, dur, &slot);
    bool tie = s + dur == best_end && h->lanes[e].free_s < h->lanes[best].free_s;
    if (s + dur < best_end || tie)
      best = e, best_start = s, best_dur = dur, best_end = s + dur, best_slot = slot;
  }
  occupy(&h->lanes[best], best_start, best_dur, best_slot);
  if (g != DAG_NO_GROUP) h->group_engine[g] = best;
  plan->engine[t] = best;
  h->start[t] = best_start;
  h->finish[t] = best_end;
}

static int plan_heft(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)e;
  const dag *d = in->dag;
  arena scratch = {0};
  heft h = {.in = in, .alike = est_engines_alike(in->plat)};
  h.lanes = ARENA_NEW(&scratch, lane, in->plat->n_engines);
  h.start = ARENA_NEW(&scratch, double, d->n_tasks);
  h.finish = ARENA_NEW(&scratch, double, d->n_tasks);
  h.stack = ARENA_NEW(&scratch, uint32_t, d->n_tasks + 1);
  h.group_engine = ARENA_NEW(&scratch, uint32_t, d->n_groups + 1);
  for (uint32_t g = 0; g < d->n_groups; g++) h.group_engine[g] = POL_ANY;
  for (uint32_t t = 0; t < d->n_tasks; t++) h.finish[t] = -1;
  for (size_t i = 0; i < in->plat->n_dmas; i++) h.channels += in->plat->dmas[i].channels;

  double *key = pol_upward_rank(in, &scratch);
  for (uint32_t t = 0; t < d->n_tasks; t++) key[t] = -key[t];
  pol_sort(plan->order, plan->n_order, key);
  for (size_t i = 0; i < plan->n_order; i++) place(&h, plan->order[i], plan);
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
