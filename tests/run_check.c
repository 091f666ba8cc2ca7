#include "tests/run_check.h"

#include <check.h>
#include <math.h>

#include "sim/attribution.h"
#include "sim/estimate.h"
#include "sim/policy.h"

/* As Check's assertions, which note every call in a file: too slow for every task. */
#define HOLDS(condition, task)                                                                     \
  do {                                                                                             \
    if (!(condition)) ck_abort_msg("task %u: not so: %s", (unsigned)(task), #condition);           \
  } while (0)
#define AT_MOST(a, b)                                                                              \
  do {                                                                                             \
    double a_ = (a), b_ = (b);                                                                     \
    if (!(a_ <= b_)) ck_abort_msg("%s is %.17g, and %s only %.17g", #a, a_, #b, b_);               \
  } while (0)

/* SimGrid's clock steps are exact to 1e-13 s (its timing precision) */
static const double STEP_S = 1e-12;

static void check_times(const timeline *tl) {
  const dag *d = tl->dag;
  const platform *p = tl->plat;
  double most = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const tl_record *x = &tl->records[t];
    HOLDS(x->resource != OBS_NONE, t);
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    for (uint32_t i = 0; i < d->tasks[t].n_deps; i++)
      AT_MOST(tl->records[deps[i]].end_s, x->start_s);
    const obs_why *w = &x->why;
    AT_MOST(0, w->ready_s);
    AT_MOST(fmax(fmax(w->ready_s, w->gate_s), fmax(w->room_s, w->free_s)), x->start_s);
    cost k = cost_of(d, t);
    bool compute = op_kind_of((op)d->tasks[t].op) == OP_COMPUTE;
    est_parts alone = compute ? est_compute(p, d, t, &k, x->resource)
                              : est_transfer(p, d, t, &k, tl->resources[x->resource].host);
    AT_MOST(alone.alone_s * (1 - 1e-9) - STEP_S, x->end_s - x->start_s);
    most = fmax(most, x->end_s);
  }
  ck_assert_double_eq(most, tl->makespan_s);
  for (size_t r = 0; r < tl->n_resources; r++)
    AT_MOST(tl->resources[r].busy_s, tl->makespan_s * (1 + 1e-9));
  for (size_t s = 0; s < p->n_srams; s++)
    AT_MOST((double)tl->high_water_B[s], p->srams[s].capacity_B);
}

static void add_flow(const plat_route *r, uint64_t bytes, uint64_t *sum) {
  for (uint32_t i = 0; r != NULL && i < r->n_links; i++) sum[r->link[i]] += bytes;
}

static void check_links(const timeline *tl, arena *a) {
  const platform *p = tl->plat;
  uint64_t *sum = ARENA_NEW(a, uint64_t, p->n_links + 1);
  for (uint32_t t = 0; t < tl->dag->n_tasks; t++) {
    const tl_record *x = &tl->records[t];
    add_flow(x->route, x->flow_B, sum);
    add_flow(x->route2, x->flow2_B, sum);
  }
  for (uint32_t l = 0; l < p->n_links; l++) {
    ck_assert_uint_eq(tl->links[l].bytes, sum[l]);
    AT_MOST(tl->links[l].active_s, tl->makespan_s * (1 + 1e-9));
    /* SimGrid ends a flow up to its timing precision early; the fluid executor, by 1e-15 s */
    double slack_s = 1e-13 * (double)(tl->links[l].flows + 1);
    double at_full = (double)tl->links[l].bytes / p->links[l].bandwidth_Bps;
    if (!p->links[l].fatpipe) AT_MOST(at_full, tl->links[l].active_s * (1 + 1e-9) + slack_s);
  }
}

/* No two tasks of a resource overlap, and a group stays on one engine. */
static void check_exclusive(const timeline *tl, arena *a) {
  const dag *d = tl->dag;
  double *free_s = ARENA_NEW(a, double, tl->n_resources);
  double *start = ARENA_NEW(a, double, d->n_tasks);
  uint32_t *engine = ARENA_NEW(a, uint32_t, d->n_groups + 1u);
  uint32_t *by_start = ARENA_NEW(a, uint32_t, d->n_tasks);
  for (uint32_t t = 0; t < d->n_tasks; t++) by_start[t] = t, start[t] = tl->records[t].start_s;
  pol_sort(by_start, d->n_tasks, start);
  for (size_t i = 0; i < d->n_tasks; i++) {
    const tl_record *x = &tl->records[by_start[i]];
    AT_MOST(free_s[x->resource], x->start_s);
    free_s[x->resource] = x->end_s;
    uint32_t g = d->tasks[by_start[i]].group;
    if (g == DAG_NO_GROUP) continue;
    if (engine[g] == 0) engine[g] = x->resource + 1;
    HOLDS(engine[g] == x->resource + 1, by_start[i]);
  }
}

/* Each way of dividing the makespan sums to it. */
static void check_attribution(const timeline *tl, arena *a) {
  attribution x = attr_walk(tl, a);
  double causes = 0, ops = 0, both = 0, resources = 0, tasks = 0, all_s = tl->makespan_s;
  for (int i = 0; i < ATTR_COUNT; i++) {
    ck_assert_double_ge(x.cause_s[i], 0);
    causes += x.cause_s[i];
  }
  for (int o = 0; o < OP_COUNT; o++) {
    double op_s = 0;
    for (int i = 0; i < ATTR_COUNT; i++) {
      ck_assert_double_ge(x.op_cause_s[o][i], 0);
      op_s += x.op_cause_s[o][i];
    }
    AT_MOST(fabs(op_s - x.op_s[o]), 1e-9 * all_s);
    ops += x.op_s[o];
    both += op_s;
  }
  for (size_t r = 0; r < tl->n_resources; r++) {
    AT_MOST(0, x.resource_s[r]);
    resources += x.resource_s[r];
  }
  for (uint32_t t = 0; t < tl->dag->n_tasks; t++) {
    HOLDS(x.task_s[t] >= 0 && (x.critical[t] || x.task_s[t] == 0), t);
    tasks += x.task_s[t];
  }
  AT_MOST(fabs(causes - all_s), 1e-9 * all_s);
  AT_MOST(fabs(ops - all_s), 1e-9 * all_s);
  AT_MOST(fabs(both - all_s), 1e-9 * all_s);
  AT_MOST(fabs(resources - all_s), 1e-9 * all_s);
  AT_MOST(fabs(tasks - all_s), 1e-9 * all_s);
}

/* The areas, and the areas with what is around them; none is above the makespan. */
static void check_bounds(const timeline *tl, arena *a) {
  bounds b = est_bounds(tl->plat, tl->dag, a);
  AT_MOST(b.engine_s, b.engine_around_s);
  AT_MOST(b.dma_s, b.dma_around_s);
  AT_MOST(fmax(b.critical_path_s, fmax(b.engine_around_s, b.dma_around_s)), b.lower_s);
  for (size_t l = 0; l < tl->plat->n_links; l++) {
    AT_MOST(b.link_s[l], b.link_around_s[l]);
    AT_MOST(b.link_around_s[l], b.lower_s);
  }
  AT_MOST(fmax(b.group_s, b.stages_s), b.lower_s);
  AT_MOST(b.lower_s, tl->makespan_s * (1 + 1e-9));
}

void run_check(const timeline *tl, arena *a) {
  check_times(tl);
  check_links(tl, a);
  check_exclusive(tl, a);
  check_bounds(tl, a);
  check_attribution(tl, a);
}
