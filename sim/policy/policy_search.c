/* search: makes a schedule better, as far as --search-budget goes. It starts from the best of what
 * the other policies do (the dynamic ones as they happen, as plans) and of the program order, and
 * goes on from there by simulated annealing. Each evaluation is a simulation (pol_host); without a
 * host it is heft. The result is never worse than the best start, which is kept beside the present
 * state, and stops at the lower bound, where nothing is left to win.
 *
 * State: for every unit (a group, or a task without one) an engine, for every task a place. The
 * plan orders tasks by place as far as dependencies allow. Moves: a unit comes earlier or later;
 * all from one place on change places with a stretch behind them; a unit goes to another engine;
 * two units change engines. How far and how bold shrinks with what is left of the budget. A move
 * that changes nothing is not evaluated. Random numbers come from --seed alone. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/policy/list_dag.h"
#include "sim/policy/rand.h"

extern const policy policy_heft;

/* A move is tried again where it changes nothing, up to so many times for each evaluation. */
enum { TRIES = 20 };
/* The temperature, as a share of the makespan, at the first and at the last evaluation. */
static const double HOT = 3e-3, COLD = 1e-5;

typedef struct state {
  double *key;      /* by task: later places are smaller, as list_order wants it */
  uint32_t *engine; /* by task */
  uint32_t *order;  /* compute tasks */
  double makespan_s;
} state;

typedef struct search {
  const pol_input *in;
  const pol_host *host;
  list_dag l;
  arena *mem;
  pol_rand rand;
  uint32_t n_units, *unit;  /* by task; POL_NONE for transfers */
  uint32_t *first, *member; /* unit u: member[first[u] .. first[u + 1] - 1] */
  uint64_t done;
  double bound_s;
  state now, best, tried;
} search;

static state new_state(search *s) {
  size_t n = s->in->dag->n_tasks;
  return (state){ARENA_NEW(s->mem, double, n), ARENA_NEW(s->mem, uint32_t, n),
                 ARENA_NEW(s->mem, uint32_t, n), INFINITY};
}

static void copy_state(search *s, state *to, const state *from) {
  size_t n = s->in->dag->n_tasks;
  memcpy(to->key, from->key, n * sizeof *to->key);
  memcpy(to->engine, from->engine, n * sizeof *to->engine);
  memcpy(to->order, from->order, n * sizeof *to->order);
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

/* The order that the keys say, into x->order, and keys that are places again. True if it, or an
 * engine, differs from `from`. */
static bool settle(search *s, state *x, const state *from, size_t n) {
  arena scratch = {0};
  uint32_t *order = list_order(&s->l.g, x->key, &scratch);
  size_t k = 0;
  for (size_t i = 0; i < s->in->dag->n_tasks; i++)
    if (s->unit[order[i]] != POL_NONE) x->order[k++] = order[i];
  for (size_t i = 0; i < n; i++) x->key[x->order[i]] = -(double)i;
  arena_free(&scratch);
  if (memcmp(x->order, from->order, n * sizeof *x->order) != 0) return true;
  return memcmp(x->engine, from->engine, s->in->dag->n_tasks * sizeof *x->engine) != 0;
}

static void report(search *s, double makespan_s) {
  s->done++;
  if (makespan_s < s->best.makespan_s) s->best.makespan_s = makespan_s;
  if (s->host->progress != NULL)
    s->host->progress(s->host->self, s->done, s->host->budget, s->best.makespan_s);
}

static void evaluate(search *s, state *x, size_t n) {
  pol_plan plan = {.order = x->order, .n_order = n, .engine = x->engine};
  x->makespan_s = s->host->makespan(s->host->self, s->in, &plan);
}

/* ---- starts --------------------------------------------------------------------------------- */

static void consider(search *s, size_t n) {
  for (size_t t = 0; t < s->in->dag->n_tasks; t++) s->tried.key[t] = 1; /* transfers: at once */
  for (size_t i = 0; i < n; i++) s->tried.key[s->tried.order[i]] = -(double)i;
  evaluate(s, &s->tried, n);
  if (s->tried.makespan_s < s->now.makespan_s) copy_state(s, &s->now, &s->tried);
  report(s, s->tried.makespan_s);
}

/* Every policy's schedule; and the program order on each static one's engines. */
static int try_policies(search *s, size_t n, err *e) {
  const dag *d = s->in->dag;
  for (size_t i = 0; i < pol_count() && s->done < s->host->budget; i++) {
    const policy *p = pol_at(i);
    if (strcmp(p->name, "search") == 0 || strcmp(p->name, "exact") == 0) continue;
    if (strcmp(p->name, "serial") == 0) continue;
    pol_plan plan;
    if (p->pick == NULL) {
      if (pol_make_plan(p, s->in, &plan, s->mem, e)) return e->status;
    } else {
      plan = (pol_plan){.order = s->tried.order, .engine = s->tried.engine, .n_order = n};
      double as_it_happens = s->host->record(s->host->self, s->in, p, &plan);
      s->done++;
      if (!(as_it_happens < INFINITY) || s->done == s->host->budget) continue;
    }
    memmove(s->tried.order, plan.order, n * sizeof *plan.order);
    memmove(s->tried.engine, plan.engine, d->n_tasks * sizeof *plan.engine);
    consider(s, n);
    if (p->pick != NULL || s->done >= s->host->budget) continue;
    size_t k = 0;
    for (uint32_t t = 0; t < d->n_tasks; t++)
      if (s->unit[t] != POL_NONE) s->tried.order[k++] = t;
    consider(s, n);
  }
  return ERR_OK;
}

/* ---- moves ---------------------------------------------------------------------------------- */

static bool may_all_run(const search *s, uint32_t u, uint32_t engine) {
  for (uint32_t i = s->first[u]; i < s->first[u + 1]; i++)
    if (!pol_may_run(s->in, s->member[i], engine)) return false;
  return true;
}

static void set_engine(search *s, uint32_t u, uint32_t engine) {
  for (uint32_t i = s->first[u]; i < s->first[u + 1]; i++) s->tried.engine[s->member[i]] = engine;
}

/* A distance of up to `most` places, short ones as likely as long ones of each magnitude. */
static double distance(search *s, double most) {
  double d = exp(pol_rand_unit(&s->rand) * log(most + 1)) - 0.5;
  return pol_rand_below(&s->rand, 2) == 0 ? d : -d;
}

static void move_unit(search *s, size_t n, double reach_share) {
  uint32_t t = s->now.order[pol_rand_below(&s->rand, (uint32_t)n)], u = s->unit[t];
  double by = distance(s, 2 + reach_share * (double)n);
  bool alone = pol_rand_below(&s->rand, 2) == 0;
  for (uint32_t i = s->first[u]; i < s->first[u + 1]; i++)
    if (!alone || s->member[i] == t) s->tried.key[s->member[i]] += by;
}

static void move_stretch(search *s, size_t n, double reach_share) {
  uint32_t most = 1 + (uint32_t)(reach_share * (double)n / 4);
  uint32_t at = pol_rand_below(&s->rand, (uint32_t)n), len = 1 + pol_rand_below(&s->rand, most);
  double by = distance(s, 2.0 * len + 2);
  for (uint32_t i = at; i < at + len && i < n; i++) s->tried.key[s->now.order[i]] += by;
}

static void change_engine(search *s, size_t n) {
  uint32_t engines = (uint32_t)s->in->plat->n_engines;
  uint32_t u = s->unit[s->now.order[pol_rand_below(&s->rand, (uint32_t)n)]];
  uint32_t to = pol_rand_below(&s->rand, engines);
  if (may_all_run(s, u, to)) set_engine(s, u, to);
}

static void swap_engines(search *s, size_t n) {
  size_t i = pol_rand_below(&s->rand, (uint32_t)n), k = i + 1 + pol_rand_below(&s->rand, 64);
  uint32_t x = s->now.order[i], y = s->now.order[k < n ? k : n - 1];
  uint32_t ex = s->now.engine[x], ey = s->now.engine[y];
  if (!may_all_run(s, s->unit[x], ey) || !may_all_run(s, s->unit[y], ex)) return;
  set_engine(s, s->unit[x], ey);
  set_engine(s, s->unit[y], ex);
}

static bool move(search *s, size_t n, double left) {
  bool one = s->in->plat->n_engines == 1;
  for (int i = 0; i < TRIES; i++) {
    copy_state(s, &s->tried, &s->now);
    switch (pol_rand_below(&s->rand, one ? 2 : 4)) {
    case 0:
      move_unit(s, n, left);
      break;
    case 1:
      move_stretch(s, n, left);
      break;
    case 2:
      change_engine(s, n);
      break;
    default:
      swap_engines(s, n);
      break;
    }
    if (settle(s, &s->tried, &s->now, n)) return true;
  }
  return false;
}

static void anneal(search *s, size_t n) {
  uint64_t begin = s->done, budget = s->host->budget;
  while (s->done < budget && s->best.makespan_s > s->bound_s * (1 + 1e-9)) {
    double left = (double)(budget - s->done) / (double)(budget - begin);
    if (!move(s, n, left)) return; /* there is only one schedule */
    evaluate(s, &s->tried, n);
    double worse = (s->tried.makespan_s - s->now.makespan_s) / s->now.makespan_s;
    double heat = COLD * pow(HOT / COLD, left);
    if (worse <= 0 || pol_rand_unit(&s->rand) < exp(-worse / heat))
      copy_state(s, &s->now, &s->tried);
    if (s->now.makespan_s < s->best.makespan_s) copy_state(s, &s->best, &s->now);
    report(s, s->best.makespan_s);
  }
}

static int plan_search(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  if (in->host == NULL) return policy_heft.plan(in, plan, a, e);
  if (plan->n_order == 0) return ERR_OK;
  arena scratch = {0};
  search s = {.in = in, .host = in->host, .mem = &scratch, .rand = {in->seed}};
  s.l = list_dag_new(in, &scratch);
  make_units(&s);
  s.now = new_state(&s), s.best = new_state(&s), s.tried = new_state(&s);
  bounds b = est_bounds(in->plat, in->dag, &scratch);
  s.bound_s = b.lower_s;
  if (try_policies(&s, plan->n_order, e) == ERR_OK && s.now.makespan_s < INFINITY) {
    double start_s = s.now.makespan_s;
    copy_state(&s, &s.best, &s.now);
    anneal(&s, plan->n_order);
    memcpy(plan->order, s.best.order, plan->n_order * sizeof *plan->order);
    memcpy(plan->engine, s.best.engine, in->dag->n_tasks * sizeof *plan->engine);
    char text[200];
    snprintf(text, sizeof text, "search: %.6g s after %llu evaluations, from %.6g s (bound %.6g s)",
             s.best.makespan_s, (unsigned long long)s.done, start_s, s.bound_s);
    if (in->host->say != NULL) in->host->say(in->host->self, text);
    arena_free(&scratch);
    return ERR_OK;
  }
  arena_free(&scratch);
  if (e->status != ERR_OK) return e->status;
  return policy_heft.plan(in, plan, a, e); /* nothing runs: the machine will say why */
}

const policy policy_search = {.name = "search",
                              .text =
                                  "simulated annealing of order and engines from the best of the "
                                  "others, --search-budget simulations; knows the simulator",
                              .plan = plan_search};
