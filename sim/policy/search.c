#include "sim/policy/search.h"

#include <math.h>
#include <string.h>

/* A move is tried again where it changes nothing, up to so many times for each simulation. */
enum { TRIES = 20 };
/* The temperature at the last simulation. */
static const double COLD = 1e-5;
/* A difference below it is none, so that a platform whose numbers differ by rounding goes the same
 * way. */
static const double SAME = 1e-9;
/* What is a gain to who has no patience for less. */
static const double WORTH = 1e-3;
/* That share of the moves that change engines changes the order, too; and so much a plan may be
 * better than what engines made of it themselves. */
static const double REORDERED = 0.75, REPLAY = 0.01;
/* Late orders at first, and that share of the moves behind them. */
static const double SWEEP[] = {1, 0.5, 0.25}, LATE = 0.5;
enum { SWEEPS = sizeof SWEEP / sizeof *SWEEP };

static search_state new_state(const search *s) {
  size_t n = s->in->dag->n_tasks;
  return (search_state){ARENA_NEW(s->mem, double, n), ARENA_NEW(s->mem, uint32_t, n),
                        ARENA_NEW(s->mem, uint32_t, n), ARENA_NEW(s->mem, pol_event, n), INFINITY};
}

/* But for what comes of it. */
static void copy_plan(const search *s, search_state *to, const search_state *from) {
  size_t n = s->in->dag->n_tasks;
  memcpy(to->key, from->key, n * sizeof *to->key);
  memcpy(to->engine, from->engine, n * sizeof *to->engine);
  memcpy(to->order, from->order, n * sizeof *to->order);
}

static void copy_state(const search *s, search_state *to, const search_state *from) {
  size_t n = s->in->dag->n_tasks;
  copy_plan(s, to, from);
  memcpy(to->events, from->events, n * sizeof *to->events);
  to->makespan_s = from->makespan_s;
}

static void make_units(search *s) {
  const dag *d = s->in->dag;
  arena *a = s->mem;
  uint32_t *of_group = ARENA_NEW(a, uint32_t, d->n_groups + 1);
  s->unit = ARENA_NEW(a, uint32_t, d->n_tasks);
  for (uint32_t g = 0; g < d->n_groups; g++) of_group[g] = POL_NONE;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    uint32_t g = d->tasks[t].group;
    s->unit[t] = POL_NONE;
    if (!list_dag_is_compute(s->in, t)) continue;
    if (g == DAG_NO_GROUP || of_group[g] == POL_NONE) s->unit[t] = s->n_units++;
    if (g != DAG_NO_GROUP && of_group[g] == POL_NONE) of_group[g] = s->unit[t];
    if (g != DAG_NO_GROUP) s->unit[t] = of_group[g];
  }
  s->first = ARENA_NEW(a, uint32_t, s->n_units + 2u);
  s->member = ARENA_NEW(a, uint32_t, d->n_tasks + 1);
  for (uint32_t t = 0; t < d->n_tasks; t++)
    if (s->unit[t] != POL_NONE) s->first[s->unit[t] + 2]++;
  for (uint32_t u = 0; u < s->n_units; u++) s->first[u + 2] += s->first[u + 1];
  for (uint32_t t = 0; t < d->n_tasks; t++)
    if (s->unit[t] != POL_NONE) s->member[s->first[s->unit[t] + 1]++] = t;
}

search search_new(const pol_input *in, const pol_host *host, uint64_t budget, size_t n,
                  double bound_s, arena *a) {
  search s = {.in = in,
              .host = host,
              .mem = a,
              .rand = {in->seed},
              .n = n,
              .budget = budget,
              .bound_s = bound_s};
  s.l = list_dag_new(in, a);
  make_units(&s);
  s.chain = ARENA_NEW(a, uint32_t, in->dag->n_tasks + 1);
  s.waits = ARENA_NEW(a, uint32_t, in->dag->n_tasks + 1);
  s.late_s = ARENA_NEW(a, double, in->dag->n_tasks);
  s.now = new_state(&s), s.best = new_state(&s), s.tried = new_state(&s);
  return s;
}

/* Simulates `tried`. */
static void evaluate(search *s) {
  search_state *x = &s->tried;
  pol_plan plan = {.order = x->order, .n_order = s->n, .engine = x->engine};
  x->makespan_s = s->host->makespan(s->host->self, s->in, &plan, x->events);
  s->done++;
  if (s->host->progress != NULL && !s->quiet)
    s->host->progress(s->host->self, s->done, s->budget, fmin(x->makespan_s, s->best.makespan_s));
}

/* Has the move changed engines? Then the order, made for those that were, suits it no more: most
 * times engines take the tasks of `tried` as they become ready, first in order first, which is its
 * order then. What that makes of it, or 0 where nothing is done. */
static double reorder(search *s) {
  search_state *x = &s->tried;
  size_t n_tasks = s->in->dag->n_tasks;
  if (memcmp(x->engine, s->now.engine, n_tasks * sizeof *x->engine) == 0) return 0;
  if (pol_rand_unit(&s->rand) >= REORDERED) return 0;
  pol_schedule given = {.order = x->order, .n_order = s->n, .engine = x->engine};
  pol_plan plan = {.order = x->order, .n_order = s->n, .engine = x->engine};
  pol_input in = *s->in;
  in.given = &given;
  s->done++;
  double makespan_s = s->host->record(s->host->self, &in, &policy_placed, &plan);
  for (size_t i = 0; i < s->n; i++) x->key[x->order[i]] = -(double)i;
  return makespan_s;
}

static bool better(const search_state *x, const search_state *y) {
  return x->makespan_s < y->makespan_s * (1 - SAME);
}

void search_from(search *s, const pol_plan *plan) {
  size_t n_tasks = s->in->dag->n_tasks;
  memmove(s->tried.order, plan->order, s->n * sizeof *plan->order);
  memmove(s->tried.engine, plan->engine, n_tasks * sizeof *plan->engine);
  for (size_t t = 0; t < n_tasks; t++) s->tried.key[t] = 1; /* transfers: at once */
  for (size_t i = 0; i < s->n; i++) s->tried.key[s->tried.order[i]] = -(double)i;
  evaluate(s);
  if (!better(&s->tried, &s->best)) return;
  copy_state(s, &s->now, &s->tried);
  copy_state(s, &s->best, &s->tried);
}

/* The order that the keys say, into `tried`, and keys that are places again. True if it, or an
 * engine, differs from `now`. */
static bool settle(search *s) {
  arena scratch = {0};
  search_state *x = &s->tried;
  uint32_t *order = list_order(&s->l.g, x->key, &scratch);
  size_t k = 0, n_tasks = s->in->dag->n_tasks;
  for (size_t i = 0; i < n_tasks; i++)
    if (s->unit[order[i]] != POL_NONE) x->order[k++] = order[i];
  for (size_t i = 0; i < s->n; i++) x->key[x->order[i]] = -(double)i;
  arena_free(&scratch);
  if (memcmp(x->order, s->now.order, s->n * sizeof *x->order) != 0) return true;
  return memcmp(x->engine, s->now.engine, n_tasks * sizeof *x->engine) != 0;
}

static bool move(search *s, double left) {
  for (; s->swept < SWEEPS; s->swept++) {
    copy_plan(s, &s->tried, &s->now);
    search_late_order(s, SWEEP[s->swept]);
    if (settle(s)) return true;
  }
  for (int i = 0; i < TRIES; i++) {
    copy_plan(s, &s->tried, &s->now);
    if (pol_rand_unit(&s->rand) < LATE)
      search_late_move(s);
    else
      search_move(s, left);
    if (settle(s)) return true;
  }
  return false;
}

bool search_close(const search *s, double share) {
  return s->best.makespan_s <= s->bound_s * (1 + share);
}

/* What moves want to know of a `now` that is new. */
static void arrive(search *s) {
  search_chain(s);
  search_late_find(s);
}

void search_anneal(search *s, double hot, double close) {
  uint64_t begin = s->done;
  if (!(s->now.makespan_s < INFINITY)) return;
  arrive(s);
  s->swept = 0;
  double gained_s = s->best.makespan_s;
  uint64_t gained = begin;
  while (s->done < s->budget && !search_close(s, close)) {
    if (s->best.makespan_s < gained_s * (1 - WORTH))
      gained_s = s->best.makespan_s, gained = s->done;
    if (s->patience > 0 && s->done - gained >= s->patience) return;
    double left = (double)(s->budget - s->done) / (double)(s->budget - begin);
    if (!move(s, left)) return; /* there is only one schedule */
    if (reorder(s) > s->now.makespan_s * (1 + REPLAY) || s->done >= s->budget) continue;
    evaluate(s);
    double worse = (s->tried.makespan_s - s->now.makespan_s) / s->now.makespan_s;
    if (s->swept < SWEEPS) s->swept = worse < -WORTH ? 0 : s->swept + 1;
    bool bold = hot > 0 && pol_rand_unit(&s->rand) < exp(-worse / (COLD * pow(hot / COLD, left)));
    if (worse > SAME && !bold) continue;
    copy_state(s, &s->now, &s->tried);
    arrive(s);
    if (better(&s->now, &s->best)) copy_state(s, &s->best, &s->now);
  }
}

void search_result(const search *s, pol_plan *plan) {
  memcpy(plan->order, s->best.order, s->n * sizeof *plan->order);
  memcpy(plan->engine, s->best.engine, s->in->dag->n_tasks * sizeof *plan->engine);
}
