/* search: makes a schedule better, as far as --search-budget goes. It starts from the best of what
 * the other policies do (the dynamic ones as they happen, as plans) and of the program order on
 * their engines, heft first, and goes on from there by simulated annealing (search.h). Each
 * evaluation is a simulation, also a dynamic policy's run; those with which heft makes its plan are
 * heft's own, and not counted, so that no budget is so small that search is worse than heft.
 * Without a host it is heft. It stops at the lower bound, where nothing is left to win. The result
 * is never worse than the best start: where a dynamic policy is, as it happens, still better than
 * all plans, that is it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/policy/search.h"

extern const policy policy_heft;

/* The temperature at the first evaluation, as a share of the makespan. */
static const double HOT = 1e-4;

static bool starts(const policy *p) {
  static const char *const NOT[] = {"search", "exact", "serial"};
  for (size_t i = 0; i < sizeof NOT / sizeof *NOT; i++)
    if (strcmp(p->name, NOT[i]) == 0) return false;
  return true;
}

/* The best start that decides while it runs, as it happened. */
typedef struct dynamic_start {
  const policy *p;
  double makespan_s;
} dynamic_start;

/* The policy's schedule, and the program order on its engines where it is a static one. */
static int start_from(search *s, const policy *p, dynamic_start *best, err *e) {
  pol_plan plan = {.order = s->tried.order, .engine = s->tried.engine, .n_order = s->n};
  if (p->pick == NULL) {
    if (pol_make_plan(p, s->in, &plan, s->mem, e)) return e->status;
  } else {
    if (s->done + 1 >= s->budget) return ERR_OK; /* one for the start itself */
    s->done++;
    double makespan_s = s->host->record(s->host->self, s->in, p, &plan);
    if (makespan_s < best->makespan_s) *best = (dynamic_start){p, makespan_s};
    if (!(makespan_s < INFINITY)) return ERR_OK;
  }
  if (s->done < s->budget) search_from(s, &plan);
  if (p->pick != NULL || s->done >= s->budget) return ERR_OK;
  size_t k = 0;
  for (uint32_t t = 0; t < s->in->dag->n_tasks; t++)
    if (s->unit[t] != POL_NONE) plan.order[k++] = t;
  search_from(s, &plan);
  return ERR_OK;
}

static int start(search *s, dynamic_start *best, err *e) {
  if (start_from(s, &policy_heft, best, e)) return e->status;
  for (size_t i = 0; i < pol_count() && s->done < s->budget; i++)
    if (starts(pol_at(i)) && pol_at(i) != &policy_heft && start_from(s, pol_at(i), best, e))
      return e->status;
  return ERR_OK;
}

static int plan_search(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  if (in->host == NULL) return policy_heft.plan(in, plan, a, e);
  if (plan->n_order == 0) return ERR_OK;
  arena scratch = {0};
  search s =
      search_new(in, in->host, in->host->budget, plan->n_order, pol_lower_bound(in), &scratch);
  dynamic_start best = {NULL, INFINITY};
  if (start(&s, &best, e) == ERR_OK && s.best.makespan_s < INFINITY) {
    double start_s = fmin(s.best.makespan_s, best.makespan_s);
    search_anneal(&s, HOT, 1e-9);
    search_result(&s, plan);
    double found_s = s.best.makespan_s;
    if (best.makespan_s < found_s) plan->instead = best.p, found_s = best.makespan_s;
    char text[200];
    snprintf(text, sizeof text, "search: %.6g s after %llu evaluations, from %.6g s (bound %.6g s)",
             found_s, (unsigned long long)s.done, start_s, s.bound_s);
    if (in->host->say != NULL) in->host->say(in->host->self, text);
    arena_free(&scratch);
    return ERR_OK;
  }
  arena_free(&scratch);
  if (e->status != ERR_OK) return e->status;
  return policy_heft.plan(in, plan, a, e); /* nothing runs: the machine will say why */
}

const policy policy_search = {
    .name = "search",
    .text = "simulated annealing of order and engines from the best of the "
            "others, --search-budget simulations beyond heft's; knows the simulator",
    .plan = plan_search};
