/* Stages in the lower bound: cuts, what stages take, and what SRAM lets run ahead; in closed form,
 * and against schedules of random layers. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "sim/estimate.h"
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

#define SAME(got, want) ck_assert_double_eq_tol((got), (want), 1e-12)

/* A layer: its products, and what they write. */
enum { WIDEST = 8 };
typedef struct layer {
  uint32_t n, task[WIDEST], y[WIDEST];
} layer;

/* y = x w, N columns, x as wide as it is; after all tasks of `before`. Takes K*N*2 / speed. */
static void add_product(dag *d, layer *l, const layer *before, uint32_t x, uint32_t w, uint64_t N,
                        uint32_t group) {
  dag_view reads[] = {dag_all(d, x), dag_all(d, w)};
  uint32_t y = dag_add_tensor(d, "y", DAG_SRAM, DAG_ACT, DT_INT8, 2, (uint64_t[]){1, N});
  dag_view to = dag_all(d, y);
  dag_task t = {.name = "product", .group = group, .op = OP_MATMUL};
  l->task[l->n] = dag_add_task_after(d, &t, reads, 2, &to, 1, before->task, before->n);
  l->y[l->n++] = y;
}

/* `n` products of 1 ms, of what was there before all layers. */
static layer add_layer(dag *d, const layer *before, uint32_t x, uint32_t w, uint32_t n,
                       uint32_t groups) {
  layer l = {0};
  uint32_t g0 = d->n_groups;
  for (uint32_t i = 0; i < n; i++)
    add_product(d, &l, before, x, w, 500, groups == 0 ? DAG_NO_GROUP : g0 + i % groups);
  return l;
}

START_TEST(est_bounds__layers__each_takes_its_own_time) {
  platform p = fx_platform(&(fx_chip){.engines = 2, .speed = 1e9, .channels = 2}, &mem);
  dag *d = dag_new(&mem);
  uint32_t w = fx_weight(d, 500, 1000), x = fx_load(d, 1000);
  layer a = add_layer(d, &(layer){0}, x, w, 3, 0), b = add_layer(d, &a, x, w, 3, 0);
  add_layer(d, &b, x, w, 1, 0);
  bounds k = est_bounds(&p, d, &mem);
  /* three on two engines take one and a half; the last follows each of the second layer */
  SAME(k.engine_s, 3.5e-3);
  SAME(k.stages_s, 500e-6 + 1.5e-3 + 2.5e-3);
  SAME(k.lower_s, k.stages_s);
}
END_TEST

START_TEST(est_bounds__a_layer_that_does_not_wait_for_all__no_stage) {
  platform p = fx_platform(&(fx_chip){.engines = 2, .speed = 1e9, .channels = 2}, &mem);
  dag *d = dag_new(&mem);
  uint32_t w = fx_weight(d, 500, 1000), x = fx_load(d, 1000);
  layer a = add_layer(d, &(layer){0}, x, w, 3, 0), two = a;
  two.n = 2;
  layer b = add_layer(d, &two, x, w, 3, 0);
  b.task[b.n++] = a.task[2]; /* the third goes on beside the second layer */
  add_layer(d, &b, x, w, 1, 0);
  bounds k = est_bounds(&p, d, &mem);
  SAME(k.lower_s, 500e-6 + 3e-3 + 1e-3); /* six, spread evenly, and one behind them */
}
END_TEST

START_TEST(est_bounds__more_groups_than_engines__two_share_one) {
  platform p = fx_platform(&(fx_chip){.engines = 2, .speed = 1e9, .channels = 2}, &mem);
  dag *d = dag_new(&mem);
  uint32_t w = fx_weight(d, 500, 1000), x = fx_load(d, 1000);
  layer a = add_layer(d, &(layer){0}, x, w, 6, 3), b = add_layer(d, &a, x, w, 1, 0);
  add_layer(d, &b, x, w, 1, 0);
  bounds k = est_bounds(&p, d, &mem);
  SAME(k.stages_s,
       4e-3 + 2e-3); /* the first loads may take place beside groups: that is not seen */
}
END_TEST

/* For each of 4 tasks of `from` (or none) one of 1 ms, one of 3 ms behind it, and one of 1 ms
 * behind that and `also`: three groups. Returns the last layer. */
static layer add_pipeline(dag *d, const layer *from, const layer *also, uint32_t x, uint32_t w,
                          uint32_t w3) {
  layer last = {0};
  uint32_t g = d->n_groups;
  for (int i = 0; i < 4; i++) {
    layer a = {0}, b = {0};
    add_product(d, &a, from, x, w, 500, g);
    add_product(d, &b, &a, x, w3, 1500, g + 1);
    for (uint32_t k = 0; k < also->n; k++) b.task[b.n++] = also->task[k];
    add_product(d, &last, &b, x, w, 500, g + 2);
  }
  return last;
}

START_TEST(est_bounds__pipeline_of_groups__what_needs_all_of_it_waits_for_its_longest_step) {
  platform p = fx_platform(&(fx_chip){.engines = 16, .speed = 1e9}, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_load(d, 1000), w = fx_weight(d, 500, 1000), w3 = fx_weight(d, 1500, 1000);
  layer none = {0}, q = add_layer(d, &none, x, w, 4, 1);
  layer aside =
      add_layer(d, &none, x, w, 1, 1); /* not needed by all, so that there are no stages */
  layer first = add_pipeline(d, &q, &aside, x, w, w3), join = {0};
  add_product(d, &join, &first, x, w, 500, DAG_NO_GROUP);
  layer more = add_layer(d, &none, x, w, 1, 1);
  add_pipeline(d, &join, &more, x, w, w3);
  double run_s = fx_run(FX_FLUID, d, &p, "fit", 100, false, &mem)->makespan_s;
  double rest_s = 4e-3 + (1 + 4 * 3 + 1) * 1e-3 + 1e-3 + (1 + 4 * 3 + 1) * 1e-3;
  SAME(run_s, 0.501e-3 + rest_s);
  SAME(est_bounds(&p, d, &mem).lower_s, run_s);
}
END_TEST

/* A group of three chains of two products of 1 ms, behind `before`; returns their ends. */
static layer add_chains(dag *d, const layer *before, uint32_t x, uint32_t w) {
  layer ends = {0};
  uint32_t g = d->n_groups;
  for (int i = 0; i < 3; i++) {
    layer first = {0};
    add_product(d, &first, before, x, w, 500, g);
    add_product(d, &ends, &first, x, w, 500, g);
  }
  return ends;
}

/* Engines are what takes long on one side of the group, so that it counts whole on the other side.
 * One product goes on beside all, so that there are no stages. */
START_TEST(est_bounds__chains_of_a_group__all_of_them_before_what_needs_their_ends) {
  platform p = fx_platform(&(fx_chip){.engines = 2, .speed = 1e9}, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_load(d, 1000), w = fx_weight(d, 500, 1000);
  layer none = {0}, aside = add_layer(d, &none, x, w, 1, 0), ends = add_chains(d, &none, x, w);
  layer wide = add_layer(d, &ends, x, w, 8, 0), join = {0};
  wide.task[0] = aside.task[0];
  add_product(d, &join, &wide, x, w, 500, DAG_NO_GROUP);
  double run_s = fx_run(FX_FLUID, d, &p, "fit", 100, false, &mem)->makespan_s;
  SAME(run_s, 0.501e-3 + 6e-3 + 4e-3 + 1e-3);
  bounds k = est_bounds(&p, d, &mem);
  SAME(k.engine_around_s, 0.5e-3 + 6e-3 + 3.5e-3 + 1e-3); /* one wide one is not waited for */
}
END_TEST

START_TEST(est_bounds__chains_of_a_group__all_of_them_after_what_their_starts_need) {
  platform p = fx_platform(&(fx_chip){.engines = 2, .speed = 1e9}, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_load(d, 1000), w = fx_weight(d, 500, 1000);
  layer none = {0}, wide = add_layer(d, &none, x, w, 8, 0), gate = {0}, join = {0};
  layer aside = add_layer(d, &none, x, w, 1, 0);
  add_product(d, &gate, &wide, x, w, 500, DAG_NO_GROUP);
  layer ends = add_chains(d, &gate, x, w);
  ends.task[ends.n++] = aside.task[0];
  add_product(d, &join, &ends, x, w, 500, DAG_NO_GROUP);
  double run_s = fx_run(FX_FLUID, d, &p, "fit", 100, false, &mem)->makespan_s;
  SAME(run_s, 0.501e-3 + 4e-3 + 1e-3 + 6e-3 + 1e-3);
  SAME(est_bounds(&p, d, &mem).engine_around_s, run_s - 0.001e-3); /* the longest load alone */
}
END_TEST

START_TEST(est_bounds__loads_behind_a_long_layer__as_many_ahead_as_sram_holds) {
  /* 8 products of 11 ms on one engine, behind a load of 5 ms; then 8 on eight, behind one such
   * each; then a small one */
  for (uint64_t sram_B = 2700000; sram_B <= 4300000; sram_B += 100000) {
    fx_chip c = {.engines = 8, .speed = 1e9, .overhead_s = 10e-3, .dram_Bps = 1e8};
    c.channels = 2;
    c.sram_B = sram_B;
    platform p = fx_platform(&c, &mem);
    dag *d = dag_new(&mem);
    uint32_t w = fx_weight(d, 500, 1000), x = fx_load(d, 1000);
    layer a = add_layer(d, &(layer){0}, x, w, 8, 1), b = {0}, last = {0};
    for (int i = 0; i < 8; i++)
      add_product(d, &b, &a, x, fx_weight(d, 500, 1000), 500, DAG_NO_GROUP);
    add_product(d, &last, &b, x, w, 500, DAG_NO_GROUP);
    bounds k = est_bounds(&p, d, &mem);
    /* a byte a task is for transfers that are rounded up */
    double left_B = 4000000 - ((double)sram_B - 501000) - (double)d->n_tasks;
    SAME(k.stages_s, 93e-3 + left_B / 1e8 + 22e-3);
    ck_assert_double_le(k.lower_s, fx_run(FX_FLUID, d, &p, "fit", 100, false, &mem)->makespan_s);
  }
}
END_TEST

/* Rows row .. row + 499 of the tensors, loaded; and a product with them. */
static void load_rows(dag *d, uint32_t from, uint32_t to, uint64_t row) {
  uint64_t lo[] = {row, 0}, len[] = {500, 1000};
  dag_view home = dag_box(d, from, lo, len), tile = dag_box(d, to, lo, len);
  dag_task t = {.name = "rows", .group = DAG_NO_GROUP, .op = OP_LOAD_WEIGHT};
  dag_add_task(d, &t, &home, 1, &tile, 1);
}

static layer use_rows(dag *d, const layer *before, uint32_t x, uint32_t w, uint64_t row) {
  layer l = {0};
  dag_view reads[] = {dag_all(d, x), dag_box(d, w, (uint64_t[]){row, 0}, (uint64_t[]){500, 1000})};
  uint32_t y = dag_add_tensor(d, "y", DAG_SRAM, DAG_ACT, DT_INT8, 2, (uint64_t[]){1, 500});
  dag_view to = dag_all(d, y);
  dag_task t = {.name = "product", .group = DAG_NO_GROUP, .op = OP_MATMUL};
  l.task[l.n++] = dag_add_task_after(d, &t, reads, 2, &to, 1, before->task, before->n);
  return l;
}

START_TEST(est_bounds__tensor_loaded_in_two_parts__the_second_has_its_room_already) {
  /* loads of 50 ms, products of 101 ms; all of the weights' room is taken with the first load */
  fx_chip c = {.speed = 1e9, .overhead_s = 100e-3, .dram_Bps = 1e7, .sram_B = 1010000};
  platform p = fx_platform(&c, &mem);
  dag *d = dag_new(&mem);
  uint64_t dim[] = {1000, 1000};
  uint32_t home = dag_add_tensor(d, "home", DAG_DRAM, DAG_WEIGHT, DT_INT8, 2, dim);
  uint32_t w = dag_add_tensor(d, "w", DAG_SRAM, DAG_WEIGHT, DT_INT8, 2, dim);
  uint32_t x = fx_load(d, 1000);
  load_rows(d, home, w, 0);
  layer a = use_rows(d, &(layer){0}, x, w, 0);
  load_rows(d, home, w, 500);
  layer b = use_rows(d, &a, x, w, 500);
  use_rows(d, &b, x, w, 0);
  double run_s = fx_run(FX_FLUID, d, &p, "fit", 100, false, &mem)->makespan_s;
  SAME(run_s, 0.1e-3 + 50e-3 + 3 * 101e-3);
  SAME(est_bounds(&p, d, &mem).lower_s, run_s);
}
END_TEST

START_TEST(est_bounds__sram_for_so_many_tiles__so_many_at_once) {
  /* 12 products behind loads of 500 kB each, 0.5 ms and 1 ms; four engines, four fast channels */
  for (uint32_t fit = 1; fit <= 3; fit++) {
    platform p = fx_platform(&(fx_chip){.engines = 4,
                                        .speed = 1e9,
                                        .channels = 4,
                                        .dram_Bps = 1e11,
                                        .setup_s = 495e-6,
                                        .sram_B = 510000 * fit + 400000},
                             &mem);
    dag *d = dag_new(&mem);
    uint32_t x = fx_load(d, 1000);
    layer l = {0}, none = {0};
    for (int i = 0; i < 12; i++) {
      l.n = 0;
      add_product(d, &l, &none, x, fx_weight(d, 500, 1000), 500, DAG_NO_GROUP);
    }
    bounds k = est_bounds(&p, d, &mem);
    SAME(k.stages_s, 12.0 / fit * 1.5e-3);
    ck_assert_double_ge(k.lower_s, k.stages_s); /* room (estimate_held.h) has heads besides */
  }
}
END_TEST

/* ---- against schedules ---- */

/* Layers of products, mostly with all of the layer before behind them, of what any layer before
 * them made or of loads; some kept in DRAM meanwhile, some in groups. */
static dag *random_layers(fx_random *r) {
  dag *d = dag_new(&mem);
  layer all[6] = {0};
  for (int i = 0; i < 6; i++) {
    layer before = {0};
    uint32_t g0 = d->n_groups, groups = (uint32_t)fx_range(r, 0, 3);
    if (i > 0) before = all[i - 1];
    uint64_t n = fx_range(r, 1, 5);
    for (uint64_t k = 0; k < n; k++) {
      const layer *from =
          &all[i == 0 ? 0 : fx_range(r, i < 2 ? 0 : (uint64_t)i - 2, (uint64_t)i - 1)];
      bool fresh = from->n == 0 || fx_range(r, 0, 3) == 0;
      uint32_t x = fresh ? fx_load(d, fx_range(r, 100, 900)) : from->y[fx_range(r, 0, from->n - 1)];
      uint64_t K = d->tensors[x].dim[1], N = fx_range(r, 100, 900);
      layer some = before;
      if (fx_range(r, 0, 9) == 0) some.n /= 2;
      if (k > 0 && fx_range(r, 0, 3) == 0) /* a chain, in one group or across two */
        some.task[some.n++] = all[i].task[fx_range(r, 0, k - 1)];
      uint32_t group = groups == 0 ? DAG_NO_GROUP : g0 + (uint32_t)fx_range(r, 0, groups - 1);
      add_product(d, &all[i], &some, x, fx_weight(d, N, K), N, group);
      uint32_t *y = &all[i].y[all[i].n - 1];
      if (fx_range(r, 0, 9) == 0) *y = fx_round_trip(d, *y);
    }
  }
  return d;
}

/* A chip for it, whose SRAM is little more than what the plan's order needs. */
static platform random_chip(fx_random *r, const dag *d) {
  fx_chip c = {.engines = (uint32_t)fx_range(r, 1, 5), .channels = (uint32_t)fx_range(r, 1, 4)};
  c.speed = exp(log(1e8) + fx_unit(r) * log(1e3));
  c.overhead_s = fx_unit(r) * 1e-5;
  c.setup_s = fx_unit(r) * 1e-4;
  c.dram_efficiency = 0.5 + fx_unit(r) / 2;
  c.dram_latency_s = fx_range(r, 0, 1) == 0 ? 0 : fx_unit(r) * 1e-5;
  if (fx_range(r, 0, 1) == 0) c.bus_Bps = 2e9;
  c.apart = fx_range(r, 0, 1) == 0;
  double more = 1 + fx_unit(r);
  c.sram_B = 200000;
  return rig_tight_chip(c, d, 20, more, &mem);
}

START_TEST(est_bounds__random_layers__no_schedule_is_below) {
  fx_random r = {(uint64_t)_i * 7919 + 17};
  dag *d = random_layers(&r);
  platform p = random_chip(&r, d);
  rig_none_below_bound(d, &p, 9, &r, &mem);
}
END_TEST

int main(void) {
  Suite *s = suite_create("stages");
  TCase *c = tcase_create("stages");
  tcase_add_checked_fixture(c, setup, teardown);
  tcase_add_test(c, est_bounds__layers__each_takes_its_own_time);
  tcase_add_test(c, est_bounds__a_layer_that_does_not_wait_for_all__no_stage);
  tcase_add_test(c, est_bounds__more_groups_than_engines__two_share_one);
  tcase_add_test(c,
                 est_bounds__pipeline_of_groups__what_needs_all_of_it_waits_for_its_longest_step);
  tcase_add_test(c, est_bounds__chains_of_a_group__all_of_them_before_what_needs_their_ends);
  tcase_add_test(c, est_bounds__chains_of_a_group__all_of_them_after_what_their_starts_need);
  tcase_add_test(c, est_bounds__loads_behind_a_long_layer__as_many_ahead_as_sram_holds);
  tcase_add_test(c, est_bounds__tensor_loaded_in_two_parts__the_second_has_its_room_already);
  tcase_add_test(c, est_bounds__sram_for_so_many_tiles__so_many_at_once);
  tcase_add_loop_test(c, est_bounds__random_layers__no_schedule_is_below, 0, 200);
  suite_add_tcase(s, c);
  return suite_run(s);
}
