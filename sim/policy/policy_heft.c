/* heft: heterogeneous earliest finish time (Topcuoglu, Hariri, Wu 2002). Compute tasks, by
 * descending upward rank, each go to the engine that ends them first, in the earliest gap that is
 * long enough; ties go to the engine that is free first. list_dag.h says how transfers are timed,
 * and what decides for groups.
 *
 * What SRAM's size, shared links and DMA channels make of a plan, list scheduling does not know: of
 * plans that it takes for equal one may be half as fast as another, and a little more bandwidth may
 * get the worse one. So where somebody simulates (pol_host), heft looks. Unless its plan is within
 * CLOSE of the lower bound, others are simulated, too, until one is: the same placement in the
 * program's order, which suits SRAM; waits for loads filled (list_dag_fill); the program's order
 * with SRAM's size in the plan (list_dag_with_room); the program's order on few engines, as every
 * engine at work holds tiles and whole ops side by side may hold more than SRAM has; and while none
 * is within FAR of it, what other policies do. The best is taken, and a few steps further
 * (search.h); where it is still not within VERY_FAR, and this is the run and not one of many cuts
 * that are compared, many more steps, until they gain less than 0.1 % for a while. --seed has no
 * part in them. What that costs is limited in simulated tasks, so that it is the same everywhere;
 * of a DAG with more than MOST_TASKS only the plan by rank is simulated, and unless that is close
 * the program's order. */
#include <math.h>
#include <string.h>

#include "sim/policy/search.h"

extern const policy policy_heft, policy_prio, policy_peft, policy_dmda, policy_eager, policy_heads,
    policy_lws;

static const double CLOSE = 5e-3, FAR = 2e-2, VERY_FAR = 5e-2;
enum { MOST_TASKS = 1 << 16 };
/* Tasks simulated for plans, for steps, for more of them, and for those that gain nothing. */
enum { PLANS = 1 << 18, STEPS = 1 << 13, MORE_STEPS = 1 << 19, PATIENCE = 1 << 17 };

typedef struct way {
  bool by_rank, fill, room;
  uint32_t engines; /* 0: all */
} way;
static const way WAYS[] = {{.by_rank = true},
                           {.fill = true},
                           {.by_rank = true, .fill = true},
                           {.room = true},
                           {.engines = LIST_FEW}};
enum { WAYS_COUNT = sizeof WAYS / sizeof *WAYS };

static void plan_way(const pol_input *in, way w, pol_plan *plan) {
  arena scratch = {0};
  list_dag l = list_dag_new(in, &scratch);
  if (w.engines > 0) list_dag_on(&l, w.engines);
  uint32_t *order = ARENA_NEW(&scratch, uint32_t, plan->n_order + 1);
  size_t n = 0;
  for (uint32_t t = 0; t < l.g.n; t++)
    if (list_dag_is_compute(in, t)) order[n++] = t;
  if (w.by_rank) {
    double *key = list_rank_up(&l.g, &scratch);
    for (uint32_t t = 0; t < l.g.n; t++) key[t] = -key[t];
    pol_sort(order, n, key);
  }
  if (w.room) list_dag_with_room(&l, &scratch);
  if (w.fill)
    list_dag_fill(&l, order, n, plan);
  else
    list_dag_plan(&l, order, n, NULL, NULL, plan);
  arena_free(&scratch);
}

/* May another plan be simulated? */
static bool go_on(const search *s, double close) {
  return !search_close(s, close) && (s->done + 1) * s->in->dag->n_tasks <= PLANS;
}

/* In the order in which they help most. */
static int look_at_others(search *s, pol_plan *spare, err *e) {
  const policy *const other[] = {&policy_prio,  &policy_peft,  &policy_dmda,
                                 &policy_eager, &policy_heads, &policy_lws};
  for (size_t i = 0; i < sizeof other / sizeof *other && go_on(s, FAR); i++) {
    pol_plan plan = *spare;
    if (other[i]->pick == NULL) {
      if (pol_make_plan(other[i], s->in, &plan, s->mem, e)) return e->status;
    } else {
      s->done++;
      if (!(s->host->record(s->host->self, s->in, other[i], &plan) < INFINITY)) continue;
    }
    search_from(s, &plan);
  }
  return ERR_OK;
}

/* A few steps, and many more, as long as they help, where the best is still far from the bound. */
static void take_steps(search *s) {
  uint64_t n_tasks = s->in->dag->n_tasks;
  s->budget = s->done + STEPS / n_tasks;
  search_anneal(s, 0, CLOSE);
  if (s->host->in_short || search_close(s, VERY_FAR)) return;
  s->budget = s->done + MORE_STEPS / n_tasks;
  s->patience = PATIENCE / n_tasks + 1;
  search_anneal(s, 0, CLOSE);
}

/* The best of all plans, and steps from there. */
static int look(const pol_input *in, pol_plan *plan, err *e) {
  arena scratch = {0};
  double bound_s = pol_lower_bound(in);
  const pol_known *known = pol_knows(in, plan);
  if (known != NULL && known->makespan_s <= bound_s * (1 + CLOSE)) return ERR_OK;
  search s = search_new(in, in->host, UINT64_MAX, plan->n_order, bound_s, &scratch);
  s.quiet = true;
  s.rand = (pol_rand){0};
  search_from(&s, plan);
  for (size_t i = 1; i < WAYS_COUNT && go_on(&s, CLOSE); i++) {
    if (WAYS[i].engines >= in->plat->n_engines) continue;
    plan_way(in, WAYS[i], plan);
    search_from(&s, plan);
  }
  int status = look_at_others(&s, plan, e);
  if (status == ERR_OK) take_steps(&s);
  if (s.best.makespan_s < INFINITY)
    search_result(&s, plan);
  else
    plan_way(in, WAYS[0], plan); /* nothing runs: the machine will say why */
  arena_free(&scratch);
  return status;
}

/* Of a large DAG: by rank, or in the program's order. */
static void look_twice(const pol_input *in, pol_plan *plan) {
  arena scratch = {0};
  size_t n_tasks = in->dag->n_tasks;
  const pol_host *h = in->host;
  pol_plan other = *plan;
  other.order = ARENA_NEW(&scratch, uint32_t, n_tasks);
  other.engine = ARENA_NEW(&scratch, uint32_t, n_tasks);
  double by_rank_s = h->makespan(h->self, in, plan, NULL);
  if (by_rank_s > pol_lower_bound(in) * (1 + CLOSE)) {
    memcpy(other.engine, plan->engine, n_tasks * sizeof *plan->engine);
    plan_way(in, (way){.by_rank = false}, &other);
    if (h->makespan(h->self, in, &other, NULL) < by_rank_s) {
      memcpy(plan->order, other.order, plan->n_order * sizeof *plan->order);
      memcpy(plan->engine, other.engine, n_tasks * sizeof *plan->engine);
    }
  }
  arena_free(&scratch);
}

static int plan_heft(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)a;
  if (!pol_known_plan(in, policy_heft.name, plan)) plan_way(in, WAYS[0], plan);
  if (in->host == NULL || plan->n_order == 0) return ERR_OK;
  if (in->dag->n_tasks <= MOST_TASKS) return look(in, plan, e);
  return look_twice(in, plan), ERR_OK;
}

const policy policy_heft = {.name = "heft",
                            .text = "heterogeneous earliest finish time by upward rank; simulates "
                                    "a few other plans where that is far from the lower bound; "
                                    "knows task and load times",
                            .plan = plan_heft};
