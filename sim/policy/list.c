#include "sim/policy/list.h"

#include <math.h>

/* ---- the graph ------------------------------------------------------------------------------ */

list_graph list_graph_new(uint32_t n, uint32_t n_procs, const list_edge *edges, size_t n_edges,
                          arena *a) {
  list_graph g = {.n = n, .n_procs = n_procs, .n_columns = n_procs};
  g.cost = ARENA_NEW(a, double, (size_t)n *n_procs);
  g.first_pred = ARENA_NEW(a, uint64_t, n + 2u);
  g.first_succ = ARENA_NEW(a, uint64_t, n + 2u);
  g.pred = ARENA_NEW(a, uint32_t, n_edges + 1);
  g.succ = ARENA_NEW(a, uint32_t, n_edges + 1);
  g.pred_cost = ARENA_NEW(a, double, n_edges + 1);
  g.succ_cost = ARENA_NEW(a, double, n_edges + 1);
  for (size_t i = 0; i < n_edges; i++)
    g.first_pred[edges[i].to + 2]++, g.first_succ[edges[i].from + 2]++;
  for (uint32_t t = 0; t < n; t++) {
    g.first_pred[t + 2] += g.first_pred[t + 1];
    g.first_succ[t + 2] += g.first_succ[t + 1];
  }
  for (size_t i = 0; i < n_edges; i++) {
    uint64_t p = g.first_pred[edges[i].to + 1]++, s = g.first_succ[edges[i].from + 1]++;
    g.pred[p] = edges[i].from, g.pred_cost[p] = edges[i].cost;
    g.succ[s] = edges[i].to, g.succ_cost[s] = edges[i].cost;
  }
  return g;
}

double list_mean(const list_graph *g, uint32_t t) {
  const double *row = g->cost + (size_t)t * g->n_columns;
  double sum = 0;
  uint32_t n = 0;
  for (uint32_t p = 0; p < g->n_columns; p++)
    if (row[p] < INFINITY) sum += row[p], n++;
  return n == 0 ? 0 : sum / n;
}

static double edge_cost(const double *cost, uint64_t i) {
  return cost == NULL ? 0 : cost[i];
}

static double later(double a, double b) { /* fmax minds NaN, and is a call */
  return a > b ? a : b;
}

/* ---- ranks ---------------------------------------------------------------------------------- */

double *list_rank_up(const list_graph *g, arena *a) {
  double *rank = ARENA_NEW(a, double, g->n);
  for (uint32_t t = g->n; t-- > 0;) {
    double tail = 0;
    for (uint64_t i = g->first_succ[t]; i < g->first_succ[t + 1]; i++)
      tail = later(tail, edge_cost(g->succ_cost, i) + rank[g->succ[i]]);
    rank[t] = list_mean(g, t) + tail;
  }
  return rank;
}

double *list_rank_down(const list_graph *g, arena *a) {
  double *rank = ARENA_NEW(a, double, g->n);
  for (uint32_t t = 0; t < g->n; t++)
    for (uint64_t i = g->first_pred[t]; i < g->first_pred[t + 1]; i++) {
      uint32_t p = g->pred[i];
      rank[t] = later(rank[t], rank[p] + list_mean(g, p) + edge_cost(g->pred_cost, i));
    }
  return rank;
}

/* The two smallest of OCT(s,q) + w(s,q) over q: the smallest serves every p, as p's own entry is
 * the only one without c. */
static double least_ahead(const list_graph *g, const double *oct, uint32_t s) {
  double least = INFINITY;
  for (uint32_t q = 0; q < g->n_columns; q++) {
    size_t at = (size_t)s * g->n_columns + q;
    double x = oct[at] + g->cost[at];
    if (x < least) least = x;
  }
  return least;
}

double *list_oct(const list_graph *g, arena *a) {
  double *oct = ARENA_NEW(a, double, (size_t)g->n * g->n_columns);
  double *ahead = ARENA_NEW(a, double, g->n);
  for (uint32_t t = g->n; t-- > 0;) {
    for (uint32_t p = 0; p < g->n_columns; p++) {
      double most = 0;
      for (uint64_t i = g->first_succ[t]; i < g->first_succ[t + 1]; i++) {
        size_t here = (size_t)g->succ[i] * g->n_columns + p;
        double same = oct[here] + g->cost[here],
               other = ahead[g->succ[i]] + edge_cost(g->succ_cost, i);
        most = later(most, same < other ? same : other);
      }
      oct[(size_t)t * g->n_columns + p] = most;
    }
    ahead[t] = least_ahead(g, oct, t);
  }
  return oct;
}

double *list_oct_rank(const list_graph *g, const double *oct, arena *a) {
  double *rank = ARENA_NEW(a, double, g->n);
  for (uint32_t t = 0; t < g->n; t++) {
    for (uint32_t p = 0; p < g->n_columns; p++) rank[t] += oct[(size_t)t * g->n_columns + p];
    rank[t] /= g->n_columns;
  }
  return rank;
}

bool *list_critical(const list_graph *g, const double *up, const double *down, arena *a) {
  bool *on = ARENA_NEW(a, bool, g->n);
  uint32_t at = LIST_NONE;
  for (uint32_t t = 0; t < g->n; t++) /* of tasks with nothing before them */
    if (g->first_pred[t] == g->first_pred[t + 1] && (at == LIST_NONE || up[t] > up[at])) at = t;
  double length = at == LIST_NONE ? 0 : up[at];
  while (at != LIST_NONE) {
    on[at] = true;
    uint32_t next = LIST_NONE;
    for (uint64_t i = g->first_succ[at]; i < g->first_succ[at + 1]; i++) {
      uint32_t s = g->succ[i];
      if (next == LIST_NONE || up[s] + down[s] > up[next] + down[next]) next = s;
    }
    if (next != LIST_NONE && up[next] + down[next] < length * (1 - 1e-9)) break;
    at = next;
  }
  return on;
}

/* ---- the order ------------------------------------------------------------------------------ */

typedef struct heap {
  uint32_t *task;
  size_t n;
  const double *key;
} heap;

static bool before(const heap *h, uint32_t x, uint32_t y) {
  return h->key[x] > h->key[y] || (h->key[x] == h->key[y] && x < y);
}

static void push(heap *h, uint32_t t) {
  size_t i = h->n++;
  for (; i > 0 && before(h, t, h->task[(i - 1) / 2]); i = (i - 1) / 2)
    h->task[i] = h->task[(i - 1) / 2];
  h->task[i] = t;
}

static uint32_t pop(heap *h) {
  uint32_t top = h->task[0], last = h->task[--h->n];
  size_t i = 0;
  for (size_t c; (c = 2 * i + 1) < h->n; i = c) {
    if (c + 1 < h->n && before(h, h->task[c + 1], h->task[c])) c++;
    if (!before(h, h->task[c], last)) break;
    h->task[i] = h->task[c];
  }
  h->task[i] = last;
  return top;
}

uint32_t *list_order(const list_graph *g, const double *key, arena *a) {
  uint32_t *order = ARENA_NEW(a, uint32_t, g->n + 1u), n = 0;
  uint32_t *left = ARENA_NEW(a, uint32_t, g->n + 1u);
  heap h = {.task = ARENA_NEW(a, uint32_t, g->n + 1u), .key = key};
  for (uint32_t t = 0; t < g->n; t++) {
    left[t] = (uint32_t)(g->first_pred[t + 1] - g->first_pred[t]);
    if (left[t] == 0) push(&h, t);
  }
  while (h.n > 0) {
    uint32_t t = pop(&h);
    order[n++] = t;
    for (uint64_t i = g->first_succ[t]; i < g->first_succ[t + 1]; i++)
      if (--left[g->succ[i]] == 0) push(&h, g->succ[i]);
  }
  return order;
}

/* ---- placement ------------------------------------------------------------------------------ */

typedef struct gap {
  double from, to;
} gap;

struct list_lane { /* a processor's plan so far */
  double free_s;
  gap gaps[LIST_GAPS];
  int n_gaps, oldest;
};

list_plan list_plan_new(const list_graph *g, arena *a) {
  list_plan p = {.g = g};
  p.lanes = ARENA_NEW(a, list_lane, g->n_procs);
  p.start = ARENA_NEW(a, double, g->n);
  p.finish = ARENA_NEW(a, double, g->n);
  p.proc = ARENA_NEW(a, uint32_t, g->n);
  for (uint32_t t = 0; t < g->n; t++) p.proc[t] = LIST_NONE;
  return p;
}

double list_free_s(const list_plan *p, uint32_t proc) {
  return p->lanes[proc].free_s;
}

/* The earliest start on the lane at or after `from` for `dur` seconds; *slot is the gap used, or -1
 * for the end. */
static double earliest(const list_lane *l, double from, double dur, int *slot) {
  double best = later(l->free_s, from);
  *slot = -1;
  if (best <= from) return best; /* no gap is earlier */
  for (int i = 0; i < l->n_gaps; i++) {
    double start = later(l->gaps[i].from, from);
    if (start + dur <= l->gaps[i].to && start < best) best = start, *slot = i;
  }
  return best;
}

static void add_gap(list_lane *l, gap g) {
  if (g.to <= g.from) return;
  if (l->n_gaps < LIST_GAPS) {
    l->gaps[l->n_gaps++] = g;
  } else {
    l->gaps[l->oldest] = g;
    l->oldest = (l->oldest + 1) % LIST_GAPS;
  }
}

static void occupy(list_lane *l, double start, double dur, int slot) {
  if (slot >= 0) {
    gap g = l->gaps[slot];
    l->gaps[slot] = (gap){g.from, start};
    add_gap(l, (gap){start + dur, g.to});
    return;
  }
  add_gap(l, (gap){l->free_s, start});
  l->free_s = start + dur;
}

/* When what t needs is there, on processor q. */
static double inputs_there(const list_plan *p, uint32_t t, uint32_t q, double from) {
  const list_graph *g = p->g;
  for (uint64_t i = g->first_pred[t]; i < g->first_pred[t + 1]; i++) {
    uint32_t u = g->pred[i];
    if (p->proc[u] == LIST_NONE) continue; /* timed by the caller, in `from` */
    from = later(from, p->finish[u] + (p->proc[u] == q ? 0 : edge_cost(g->pred_cost, i)));
  }
  return from;
}

list_choice list_choose(const list_plan *p, uint32_t t, double from, const double *oct,
                        uint32_t only) {
  const list_graph *g = p->g;
  uint32_t lo = only == LIST_NONE ? 0 : only, hi = only == LIST_NONE ? g->n_procs : only + 1;
  list_choice best = {.proc = LIST_NONE, .slot = -1};
  double best_score = INFINITY;
  if (g->pred_cost == NULL) from = inputs_there(p, t, 0, from);
  for (uint32_t q = lo; q < hi; q++) {
    double dur = list_cost(g, t, q);
    if (!(dur < INFINITY)) continue;
    int slot;
    double s = earliest(&p->lanes[q], g->pred_cost == NULL ? from : inputs_there(p, t, q, from),
                        dur, &slot);
    double score = s + dur;
    if (oct != NULL) score += oct[(size_t)t * g->n_columns + (g->n_columns == 1 ? 0 : q)];
    bool tie = score == best_score && p->lanes[q].free_s < p->lanes[best.proc].free_s;
    if (score < best_score || tie) best = (list_choice){q, slot, s, s + dur}, best_score = score;
  }
  return best;
}

void list_put(list_plan *p, uint32_t t, const list_choice *c) {
  occupy(&p->lanes[c->proc], c->start, list_cost(p->g, t, c->proc), c->slot);
  p->proc[t] = c->proc;
  p->start[t] = c->start;
  p->finish[t] = c->finish;
}

uint32_t list_place(list_plan *p, uint32_t t, double from, const double *oct, uint32_t only) {
  list_choice c = list_choose(p, t, from, oct, only);
  if (c.proc != LIST_NONE) list_put(p, t, &c);
  return c.proc;
}
