#include "tests/run_check.h"

#include <check.h>
#include <math.h>

#include "sim/attribution.h"
#include "sim/estimate.h"
#include "sim/policy.h"

/* SimGrid's clock steps are exact to 1e-13 s (its timing precision) */
static const double STEP_S = 1e-12;

static void check_times(const timeline *tl) {
  const dag *d = tl->dag;
  const platform *p = tl->plat;
  double most = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const tl_record *x = &tl->records[t];
    ck_assert_uint_ne(x->resource, OBS_NONE);
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    for (uint32_t i = 0; i < d->tasks[t].n_deps; i++)
      ck_assert_double_ge(x->start_s, tl->records[deps[i]].end_s);
    const obs_why *w = &x->why;
    ck_assert_double_ge(w->ready_s, 0);
    ck_assert_double_ge(x->start_s, fmax(fmax(w->ready_s, w->gate_s), fmax(w->room_s, w->free_s)));
    cost k = cost_of(d, t);
    bool compute = op_kind_of((op)d->tasks[t].op) == OP_COMPUTE;
    est_parts alone = compute ? est_compute(p, d, t, &k, x->resource)
                              : est_transfer(p, d, t, &k, tl->resources[x->resource].host);
    ck_assert_double_ge(x->end_s - x->start_s, alone.alone_s * (1 - 1e-9) - STEP_S);
    most = fmax(most, x->end_s);
  }
  ck_assert_double_eq(most, tl->makespan_s);
  for (size_t r = 0; r < tl->n_resources; r++)
    ck_assert_double_le(tl->resources[r].busy_s, tl->makespan_s * (1 + 1e-9));
  for (size_t s = 0; s < p->n_srams; s++)
    ck_assert_double_le((double)tl->high_water_B[s], p->srams[s].capacity_B);
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
    ck_assert_double_le(tl->links[l].active_s, tl->makespan_s * (1 + 1e-9));
    double at_full = (double)tl->links[l].bytes / p->links[l].bandwidth_Bps;
    if (!p->links[l].fatpipe)
      ck_assert_double_le(at_full, tl->links[l].active_s * (1 + 1e-9) + 1e-15);
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
    ck_assert_double_ge(x->start_s, free_s[x->resource]);
    free_s[x->resource] = x->end_s;
    uint32_t g = d->tasks[by_start[i]].group;
    if (g == DAG_NO_GROUP) continue;
    if (engine[g] == 0) engine[g] = x->resource + 1;
    ck_assert_uint_eq(engine[g], x->resource + 1);
  }
}

static void check_attribution(const timeline *tl, arena *a) {
  attribution x = attr_walk(tl, a);
  double sum = 0;
  for (int i = 0; i < ATTR_COUNT; i++) {
    ck_assert_double_ge(x.cause_s[i], 0);
    sum += x.cause_s[i];
  }
  ck_assert_double_le(fabs(sum - tl->makespan_s), 1e-9 * tl->makespan_s);
}

void run_check(const timeline *tl, arena *a) {
  check_times(tl);
  check_links(tl, a);
  check_exclusive(tl, a);
  bounds b = est_bounds(tl->plat, tl->dag, a);
  ck_assert_double_le(b.lower_s, tl->makespan_s * (1 + 1e-9));
  check_attribution(tl, a);
}
