#include <math.h>

#include "sim/policy/search.h"

/* Beyond 1, what may be late comes later still. */
static const double MOST_LATE = 1.2;
/* How far tasks are shifted, and how long the stretch of time is whose tasks are, as shares of the
 * makespan. */
static const double NEAREST = 1e-3, FARTHEST = 5e-2, SHORTEST = 1e-2, LONGEST = 0.5;
/* Times are told apart by that share of the makespan only (SAME in search.c). */
static const double TICK = 1e-9;

void search_late_find(search *s) {
  const search_state *x = &s->now;
  const list_graph *g = &s->l.g;
  arena scratch = {0};
  size_t n_engines = s->in->plat->n_engines;
  double *start_s = ARENA_NEW(&scratch, double, g->n);
  double *next_s = ARENA_NEW(&scratch, double, n_engines);
  uint32_t *task = ARENA_NEW(&scratch, uint32_t, g->n);
  for (uint32_t t = 0; t < g->n; t++) task[t] = t, start_s[t] = x->events[t].start_s;
  for (size_t e = 0; e < n_engines; e++) next_s[e] = x->makespan_s;
  pol_sort(task, g->n, start_s); /* topological, as a task starts after its inputs end */
  for (uint32_t k = g->n; k-- > 0;) {
    uint32_t t = task[k];
    bool compute = s->unit[t] != POL_NONE;
    double end_s = compute ? next_s[x->engine[t]] : x->makespan_s;
    for (uint64_t i = g->first_succ[t]; i < g->first_succ[t + 1]; i++)
      end_s = fmin(end_s, s->late_s[g->succ[i]]);
    s->late_s[t] = end_s - (x->events[t].end_s - x->events[t].start_s);
    if (compute) next_s[x->engine[t]] = s->late_s[t];
  }
  arena_free(&scratch);
}

static double ticks(const search *s, double time_s) {
  return rint(time_s / (s->now.makespan_s * TICK));
}

void search_late_order(search *s, double late) {
  for (uint32_t t = 0; t < s->l.g.n; t++)
    if (s->unit[t] != POL_NONE)
      s->tried.key[t] = -ticks(s, (1 - late) * s->now.events[t].start_s + late * s->late_s[t]);
}

/* Of each magnitude as likely as of any other. */
static double share(search *s, double least, double most) {
  return least * exp(pol_rand_unit(&s->rand) * log(most / least));
}

/* What the unit starts between these times, later. */
static void shift(search *s, uint32_t unit, double from_s, double to_s, double by_s) {
  for (uint32_t i = s->first[unit]; i < s->first[unit + 1]; i++) {
    uint32_t t = s->member[i];
    double start_s = s->now.events[t].start_s;
    if (start_s >= from_s && start_s < to_s) s->tried.key[t] -= ticks(s, by_s);
  }
}

void search_late_move(search *s) {
  double all_s = s->now.makespan_s, from_s = 0, to_s = INFINITY;
  search_late_order(s, MOST_LATE * pol_rand_unit(&s->rand));
  uint32_t how = pol_rand_below(&s->rand, 4);
  if (how == 0) return;
  double by_s = all_s * share(s, NEAREST, FARTHEST);
  if (pol_rand_below(&s->rand, 2) == 0) by_s = -by_s;
  if (how > 1) {
    from_s = all_s * pol_rand_unit(&s->rand);
    to_s = from_s + all_s * share(s, SHORTEST, LONGEST);
  }
  shift(s, pol_rand_below(&s->rand, s->n_units), from_s, to_s, by_s);
}
