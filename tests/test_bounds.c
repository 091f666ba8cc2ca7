/* Lower bounds: the areas, and what stands around them, in closed form and against all subsets of
 * small cases. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "sim/estimate_around.h"
#include "tests/fixture.h"
#include "tests/policy_rig.h"
#include "tests/suite.h"

static arena mem;

static void setup(void) {
  mem = (arena){0};
}

static void teardown(void) {
  arena_free(&mem);
}

/* a sum of a few terms of microseconds */
#define SAME(got, want) ck_assert_double_eq_tol((got), (want), 1e-15)

START_TEST(est_bounds__load_compute_store__each_area_has_the_rest_around_it) {
  /* MatMul 1x500x1000 int8: 1 us overhead, 1 MFLOP in 1 ms; its operands flow in 0.5015 us, so that
   * they never count; transfers: 3 us before the flow, 1 ns a byte */
  platform p = fx_platform(
      &(fx_chip){.speed = 1e9, .overhead_s = 1e-6, .setup_s = 2e-6, .dram_latency_s = 1e-6}, &mem);
  dag *d = dag_new(&mem);
  uint32_t w = fx_weight(d, 500, 1000);
  fx_store(d, fx_matmul(d, OBS_NONE, w, 500, 1000, DAG_NO_GROUP));
  bounds b = est_bounds(&p, d, &mem);
  double x_s = 3e-6 + 1e-6, w_s = 3e-6 + 500e-6, y_s = 3e-6 + 0.5e-6, matmul_s = 1e-6 + 1e-3;
  SAME(b.critical_path_s, w_s + matmul_s + y_s);
  SAME(b.engine_s, matmul_s);
  SAME(b.engine_around_s, w_s + matmul_s + y_s);
  SAME(b.dma_s, x_s + w_s + y_s);
  /* one channel: both loads, then the rest; or all three transfers, and nothing around */
  SAME(b.dma_around_s, x_s + w_s + matmul_s + y_s);
  SAME(b.lower_s, b.dma_around_s);
  ck_assert_str_eq(b.binding, "dma");
  for (uint32_t l = 0; l < p.n_links; l++) {
    if (strstr(p.links[l].name, "dram") == NULL) continue;
    SAME(b.link_s[l], 501.5e-6);
    SAME(b.link_around_s[l], 3e-6 + 501e-6 + matmul_s + y_s);
  }
}
END_TEST

START_TEST(est_bounds__tasks_enough_for_both_engines__half_of_their_time_behind_the_load) {
  platform p = fx_platform(&(fx_chip){.engines = 2, .speed = 1e9}, &mem);
  dag *d = dag_new(&mem);
  uint32_t w = fx_weight(d, 500, 1000), x = fx_load(d, 1000);
  for (int i = 0; i < 6; i++) fx_matmul(d, x, w, 500, 1000, DAG_NO_GROUP);
  bounds b = est_bounds(&p, d, &mem);
  SAME(b.engine_s, 3e-3);
  SAME(b.engine_around_s, 500e-6 + 3e-3);
  ck_assert_str_eq(b.binding, "engine");
}
END_TEST

START_TEST(est_bounds__groups__each_takes_one_engine) {
  /* three engines, six matmuls of 1 ms behind loads of 1 us and 500 us; the weights come first */
  for (uint32_t n_groups = 1; n_groups <= 6; n_groups++) {
    platform p = fx_platform(&(fx_chip){.engines = 3, .speed = 1e9, .channels = 2}, &mem);
    dag *d = dag_new(&mem);
    uint32_t w = fx_weight(d, 500, 1000), x = fx_load(d, 1000);
    for (uint32_t i = 0; i < 6; i++) fx_matmul(d, x, w, 500, 1000, i % n_groups);
    bounds b = est_bounds(&p, d, &mem);
    uint32_t most = (6 + n_groups - 1) / n_groups, shared = n_groups > 3 ? 2 : 0;
    SAME(b.engine_s, 2e-3);
    SAME(b.group_s, 500e-6 + 1e-3 * (most > shared ? most : shared));
    /* behind both loads, which share a link, come all tasks of the largest group */
    SAME(b.lower_s, fmax(501e-6 + 1e-3 * most, 500e-6 + 2e-3));
    ck_assert_str_eq(b.binding, most > 1 ? "dram_bus" : "engine");
  }
}
END_TEST

/* y = x w for groups of `n` products of 1 ms that a last task needs all of: it follows the sum of
 * each group's. */
START_TEST(est_bounds__task_behind_groups__waits_for_the_longest_of_them) {
  platform p = fx_platform(&(fx_chip){.engines = 8, .speed = 1e9, .channels = 2}, &mem);
  dag *d = dag_new(&mem);
  uint32_t w = fx_weight(d, 500, 1000), x = fx_load(d, 1000), before[9], n = 0;
  const uint32_t of[] = {2, 3, 4};
  for (uint32_t g = 0; g < 3; g++)
    for (uint32_t i = 0; i < of[g]; i++) {
      fx_matmul(d, x, w, 500, 1000, g);
      before[n++] = (uint32_t)d->n_tasks - 1;
    }
  dag_view reads[] = {dag_all(d, x), dag_all(d, w)};
  uint32_t y = dag_add_tensor(d, "y", DAG_SRAM, DAG_ACT, DT_INT8, 2, (uint64_t[]){1, 500});
  dag_view to = dag_all(d, y);
  dag_task t = {.name = "last", .group = DAG_NO_GROUP, .op = OP_MATMUL};
  dag_add_task_after(d, &t, reads, 2, &to, 1, before, n);
  /* 500 us for the weights, 1 us for x, on one link; 4 products; and the last */
  SAME(est_bounds(&p, d, &mem).lower_s, 501e-6 + 4e-3 + 1e-3);
}
END_TEST

/* Two engines, three groups of 2 ms that begin behind a task of 1 ms, one of 0.1 ms that does not:
 * two of the three share an engine. */
START_TEST(est_bounds__late_groups__share_engines_after_what_comes_before_them) {
  platform p = fx_platform(&(fx_chip){.engines = 2, .speed = 1e9, .channels = 2}, &mem);
  dag *d = dag_new(&mem);
  uint32_t w = fx_weight(d, 500, 1000), x = fx_load(d, 1000), few = fx_weight(d, 50, 1000);
  fx_matmul(d, x, few, 50, 1000, 0);
  uint32_t y = fx_matmul(d, x, w, 500, 1000, DAG_NO_GROUP), v = fx_weight(d, 2000, 500);
  for (uint32_t g = 1; g < 4; g++) fx_matmul(d, y, v, 2000, 500, g);
  bounds b = est_bounds(&p, d, &mem);
  SAME(b.group_s, 500e-6 + 1e-3 + 2 * 2e-3);
}
END_TEST

/* ---- against all subsets ---- */

enum { STEPS = 6, MOST = 2 * STEPS };

static void random_stretches(fx_random *r) {
  stretch s[MOST], used[MOST];
  size_t n = fx_range(r, 1, MOST);
  for (size_t i = 0; i < n; i++) {
    used[i] = s[i] =
        (stretch){.r = (double)fx_range(r, 0, 9), .p = fx_unit(r), .q = (double)fx_range(r, 0, 9)};
  }
  around_space space = around_space_new(n, &mem);
  double best = 0;
  for (unsigned set = 1; set < 1u << n; set++) {
    double h = INFINITY, q = INFINITY, area = 0;
    for (size_t i = 0; i < n; i++) {
      if (!(set >> i & 1)) continue;
      h = fmin(h, s[i].r);
      q = fmin(q, s[i].q);
      area += s[i].p;
    }
    best = fmax(best, h + area + q);
  }
  ck_assert_double_eq_tol(around_end(used, n, &space), best, 1e-12 * best);
}

START_TEST(around_end__random_stretches__the_best_of_all_subsets) {
  fx_random r = {4711};
  for (int i = 0; i < 200; i++) random_stretches(&r);
}
END_TEST

/* Chains of loads, matmuls and round trips to DRAM and back, so that transfers have heads as well
 * as tails; then the best subset of the transfers by trying all of them. */
static void random_case(uint64_t seed) {
  fx_random r = {seed};
  fx_chip c = {.engines = 2, .channels = (uint32_t)fx_range(&r, 1, 3), .speed = 1e9};
  c.setup_s = fx_unit(&r) * 1e-5;
  platform p = fx_platform(&c, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_load(d, 300), move[MOST];
  for (int i = 1; i < STEPS; i++) {
    uint64_t K = d->tensors[x].dim[1], what = fx_range(&r, 0, 3);
    if (what == 0)
      x = fx_load(d, fx_range(&r, 1, 4000));
    else if (what == 1)
      x = fx_round_trip(d, x);
    else
      x = fx_matmul(d, x, fx_weight(d, 200, K), 200, K, DAG_NO_GROUP);
  }
  unsigned n_moves = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++)
    if (op_kind_of((op)d->tasks[t].op) != OP_COMPUTE) move[n_moves++] = t;
  size_t n = d->n_tasks;
  double *head = ARENA_NEW(&mem, double, n), *tail = ARENA_NEW(&mem, double, n),
         *time = ARENA_NEW(&mem, double, n);
  for (uint32_t t = 0; t < n; t++) {
    cost k = cost_of(d, t);
    time[t] = est_best_s(&p, d, t, &k, true);
  }
  for (uint32_t t = 0; t < n; t++)
    for (uint32_t i = 0; i < d->tasks[t].n_deps; i++) {
      uint32_t from = dag_deps(d, &d->tasks[t])[i];
      head[t] = fmax(head[t], head[from] + time[from]);
    }
  for (uint32_t t = (uint32_t)n; t-- > 0;)
    for (uint32_t i = 0; i < d->tasks[t].n_deps; i++) {
      uint32_t from = dag_deps(d, &d->tasks[t])[i];
      tail[from] = fmax(tail[from], tail[t] + time[t]);
    }
  double best = 0;
  for (unsigned set = 1; set < 1u << n_moves; set++) {
    double h = INFINITY, q = INFINITY, area = 0;
    for (int i = 0; i < (int)n_moves; i++) {
      if (!(set >> i & 1)) continue;
      h = fmin(h, head[move[i]]);
      q = fmin(q, tail[move[i]]);
      area += time[move[i]] / c.channels;
    }
    best = fmax(best, h + area + q);
  }
  ck_assert_double_ge(est_bounds(&p, d, &mem).dma_around_s,
                      best * (1 - 1e-12)); /* stages add to it */
}

START_TEST(est_bounds__random_transfers__no_less_than_the_best_of_all_subsets) {
  for (uint64_t seed = 1; seed <= 200; seed++) {
    random_case(seed * 7919);
    arena_free(&mem);
  }
}
END_TEST

/* ---- against schedules ---- */

/* Products that feed one another, some kept in DRAM meanwhile, in groups or not. */
static dag *random_groups(fx_random *r) {
  enum { PRODUCTS = 24 };
  dag *d = dag_new(&mem);
  uint32_t made[PRODUCTS];
  uint64_t width[PRODUCTS], groups = fx_range(r, 1, 6);
  for (uint32_t i = 0; i < PRODUCTS; i++) {
    bool fresh = i == 0 || fx_range(r, 0, 3) == 0;
    uint32_t from = fresh ? 0 : i - 1 - (uint32_t)fx_range(r, 0, i < 4 ? i - 1 : 3);
    uint64_t K = fresh ? fx_range(r, 100, 900) : width[from], N = fx_range(r, 100, 900);
    uint32_t group = fx_range(r, 0, 3) == 0 ? DAG_NO_GROUP : (uint32_t)fx_range(r, 0, groups - 1);
    made[i] = fx_matmul(d, fresh ? OBS_NONE : made[from], fx_weight(d, N, K), N, K, group);
    width[i] = N;
    if (fx_range(r, 0, 7) == 0) made[i] = fx_round_trip(d, made[i]);
  }
  return d;
}

START_TEST(est_bounds__random_groups__no_schedule_is_below) {
  fx_random r = {(uint64_t)_i * 7919 + 5};
  dag *d = random_groups(&r);
  fx_chip c = {.engines = (uint32_t)fx_range(&r, 1, 4), .channels = (uint32_t)fx_range(&r, 1, 3)};
  c.speed = exp(log(1e8) + fx_unit(&r) * log(1e3));
  c.overhead_s = fx_unit(&r) * 1e-5;
  c.setup_s = fx_unit(&r) * 1e-5;
  c.sram_B = fx_range(&r, 4000000, 9000000);
  if (fx_range(&r, 0, 1) == 0) c.bus_Bps = 2e9;
  platform p = fx_platform(&c, &mem);
  rig_none_below_bound(d, &p, 4, &r, &mem);
}
END_TEST

int main(void) {
  Suite *s = suite_create("bounds");
  TCase *c = tcase_create("bounds");
  tcase_add_checked_fixture(c, setup, teardown);
  tcase_add_test(c, est_bounds__load_compute_store__each_area_has_the_rest_around_it);
  tcase_add_test(c, est_bounds__tasks_enough_for_both_engines__half_of_their_time_behind_the_load);
  tcase_add_test(c, est_bounds__random_transfers__no_less_than_the_best_of_all_subsets);
  tcase_add_test(c, around_end__random_stretches__the_best_of_all_subsets);
  tcase_add_test(c, est_bounds__groups__each_takes_one_engine);
  tcase_add_test(c, est_bounds__task_behind_groups__waits_for_the_longest_of_them);
  tcase_add_test(c, est_bounds__late_groups__share_engines_after_what_comes_before_them);
  tcase_add_loop_test(c, est_bounds__random_groups__no_schedule_is_below, 0, 60);
  suite_add_tcase(s, c);
  return suite_run(s);
}
