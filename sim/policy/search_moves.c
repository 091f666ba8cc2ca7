#include <math.h>

#include "sim/policy/search.h"

static uint32_t below(search *s, size_t n) {
  return pol_rand_below(&s->rand, (uint32_t)n);
}

/* A distance of up to `most` places, short ones as likely as long ones of each magnitude. */
static double distance(search *s, double most) {
  return exp(pol_rand_unit(&s->rand) * log(most + 1)) - 0.5;
}

static bool may_all_run(const search *s, uint32_t u, uint32_t engine) {
  for (uint32_t i = s->first[u]; i < s->first[u + 1]; i++)
    if (!pol_may_run(s->in, s->member[i], engine)) return false;
  return true;
}

static void set_engine(search *s, uint32_t u, uint32_t engine) {
  for (uint32_t i = s->first[u]; i < s->first[u + 1]; i++) s->tried.engine[s->member[i]] = engine;
}

/* The task, and what follows it: of those that need it the next one, and so on. */
static void chain_earlier(search *s, uint32_t t, double by) {
  const list_graph *g = &s->l.g;
  uint32_t n = 2 + below(s, 8);
  while (t != POL_NONE && n-- > 0) {
    s->tried.key[t] += by;
    uint32_t next = POL_NONE;
    for (uint64_t i = g->first_succ[t]; i < g->first_succ[t + 1]; i++) {
      uint32_t u = g->succ[i];
      if (s->unit[u] != POL_NONE && (next == POL_NONE || s->now.key[u] > s->now.key[next]))
        next = u;
    }
    t = next;
  }
}

/* The task alone, with what follows it, or all of its unit. */
static void come_earlier(search *s, uint32_t t, double by) {
  uint32_t how = below(s, 4);
  bool alone = how == 0;
  if (how > 1) {
    chain_earlier(s, t, by);
    return;
  }
  uint32_t u = s->unit[t];
  for (uint32_t i = s->first[u]; i < s->first[u + 1]; i++)
    if (!alone || s->member[i] == t) s->tried.key[s->member[i]] += by;
}

static void change_engine(search *s, uint32_t t) {
  uint32_t to = below(s, s->in->plat->n_engines);
  if (may_all_run(s, s->unit[t], to)) set_engine(s, s->unit[t], to);
}

static void swap_engines(search *s, uint32_t x, uint32_t y) {
  uint32_t ex = s->now.engine[x], ey = s->now.engine[y];
  if (!may_all_run(s, s->unit[x], ey) || !may_all_run(s, s->unit[y], ex)) return;
  set_engine(s, s->unit[x], ey);
  set_engine(s, s->unit[y], ex);
}

/* ---- blind moves ----------------------------------------------------------------------------- */

static void move_stretch(search *s, double left) {
  uint32_t at = below(s, s->n), len = 1 + below(s, 1 + (size_t)(left * (double)s->n / 4));
  double by = distance(s, 2.0 * len + 2);
  if (below(s, 2) == 0) by = -by;
  for (uint32_t i = at; i < at + len && i < s->n; i++) s->tried.key[s->now.order[i]] += by;
}

/* So many times as often as any other one, a task comes earlier or later: that gains most. */
enum { MOSTLY = 7 };

static void move_blindly(search *s, double left) {
  size_t i = below(s, s->n), k = i + 1 + below(s, 64);
  double by = distance(s, 2 + left * (double)s->n);
  uint32_t how = below(s, s->in->plat->n_engines == 1 ? MOSTLY + 1 : MOSTLY + 3);
  switch (how < MOSTLY ? 0 : how - MOSTLY + 1) {
  case 0:
    come_earlier(s, s->now.order[i], below(s, 2) == 0 ? by : -by);
    break;
  case 1:
    move_stretch(s, left);
    break;
  case 2:
    change_engine(s, s->now.order[i]);
    break;
  default:
    swap_engines(s, s->now.order[i], s->now.order[k < s->n ? k : s->n - 1]);
    break;
  }
}

/* ---- moves on the critical chain ------------------------------------------------------------- */

/* Did something stand still? Not where an engine went on to its next task, nor where one load
 * followed another. */
static bool is_wait(const search *s, uint32_t v) {
  uint32_t u = s->now.events[v].by;
  if (u == POL_NONE) return false;
  if (s->unit[v] == POL_NONE)
    return s->unit[u] != POL_NONE || op_kind_of((op)s->in->dag->tasks[v].op) == OP_STORE;
  return s->unit[u] == POL_NONE || s->now.engine[u] != s->now.engine[v];
}

void search_chain(search *s) {
  const pol_event *x = s->now.events;
  uint32_t at = 0;
  for (uint32_t t = 1; t < s->in->dag->n_tasks; t++)
    if (x[t].end_s > x[at].end_s) at = t;
  s->n_chain = 0;
  for (; at != POL_NONE; at = x[at].by) s->chain[s->n_chain++] = at;
  s->n_waits = 0;
  for (size_t i = 0; i < s->n_chain; i++)
    if (is_wait(s, s->chain[i])) s->waits[s->n_waits++] = s->chain[i];
}

/* A compute task itself; the first compute task that reads what a load brings; the last before a
 * store. */
static uint32_t user_of(const search *s, uint32_t t) {
  const list_graph *g = &s->l.g;
  uint32_t best = POL_NONE;
  if (s->unit[t] != POL_NONE) return t;
  for (uint64_t i = g->first_succ[t]; i < g->first_succ[t + 1]; i++) {
    uint32_t u = g->succ[i];
    if (s->unit[u] == POL_NONE) continue;
    if (best == POL_NONE || s->now.key[u] > s->now.key[best]) best = u;
  }
  for (uint64_t i = g->first_pred[t]; best == POL_NONE && i < g->first_pred[t + 1]; i++)
    if (s->unit[g->pred[i]] != POL_NONE) best = g->pred[i];
  return best;
}

/* One of the next tasks of t's engine goes before t. */
static void fill_before(search *s, uint32_t t) {
  uint32_t skip = below(s, 6);
  for (size_t i = (size_t)-s->now.key[t] + 1; i < s->n; i++) {
    uint32_t w = s->now.order[i];
    if (s->now.engine[w] != s->now.engine[t] || skip-- > 0) continue;
    s->tried.key[w] = s->now.key[t] + 0.5;
    return;
  }
}

/* A unit that has its turn not far from t's. */
static uint32_t one_near(search *s, uint32_t t) {
  size_t k = (size_t)-s->now.key[t] + below(s, 128);
  k = k < 64 ? 0 : k - 64;
  return s->now.order[k < s->n ? k : s->n - 1];
}

static void hurry_transfer(search *s, uint32_t waited_for, uint32_t waits, double left) {
  uint32_t a = user_of(s, waited_for), b = user_of(s, waits);
  if (b == POL_NONE) return;
  switch (below(s, 3)) {
  case 0:
    fill_before(s, b);
    break;
  case 1:
    if (a != POL_NONE && a != b) s->tried.key[b] = s->now.key[a] + 0.5;
    break;
  default:
    come_earlier(s, b, distance(s, 2 + left * (double)s->n));
    break;
  }
}

static void hurry_compute(search *s, uint32_t waited_for, uint32_t waits, double left) {
  bool queued = s->now.engine[waited_for] == s->now.engine[waits];
  switch (below(s, s->in->plat->n_engines == 1 ? 2 : 4)) {
  case 0:
    come_earlier(s, queued ? waits : waited_for, distance(s, 2 + left * (double)s->n));
    break;
  case 1:
    if (queued)
      s->tried.key[waits] = s->now.key[waited_for] + 0.5;
    else
      fill_before(s, waits);
    break;
  case 2:
    change_engine(s, waits);
    break;
  default:
    swap_engines(s, waits, one_near(s, waits));
    break;
  }
}

void search_move(search *s, double left) {
  bool at_wait = s->n_waits > 0 && below(s, 4) > 0;
  uint32_t v = at_wait ? s->waits[below(s, s->n_waits)] : s->chain[below(s, s->n_chain)];
  uint32_t u = s->now.events[v].by;
  if (u == POL_NONE || below(s, 4) == 0)
    move_blindly(s, left);
  else if (s->unit[u] == POL_NONE || s->unit[v] == POL_NONE)
    hurry_transfer(s, u, v, left);
  else
    hurry_compute(s, u, v, left);
}
