/* Tasks and transfers that SRAM has no room for at the same time (estimate_apart.h): in closed
 * form, and against schedules of random blocks in little SRAM. */
#include <check.h>
#include <math.h>

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

/* The first `rows` of x times w; also after `after`, unless that is OBS_NONE. Returns the task. */
static uint32_t product(dag *d, uint32_t x, uint64_t rows, uint32_t w, uint32_t group,
                        uint32_t after) {
  uint64_t K = d->tensors[x].dim[1], N = d->tensors[w].dim[0];
  dag_view reads[] = {dag_box(d, x, (uint64_t[]){0, 0}, (uint64_t[]){rows, K}), dag_all(d, w)};
  uint32_t y = dag_add_tensor(d, "y", DAG_SRAM, DAG_ACT, DT_INT8, 2, (uint64_t[]){rows, N});
  dag_view to = dag_all(d, y);
  dag_task t = {.name = "product", .group = group, .op = OP_MATMUL};
  return dag_add_task_after(d, &t, reads, 2, &to, 1, &after, after != OBS_NONE);
}

/* x of 400 kB that ten products of one engine use, 0.8 ms each with 1 kB; x' of 400 kB that ten
 * short ones use, each with a tile of 300 kB, 0.3 ms on the link. */
static dag *busy_and_loading(void) {
  dag *d = dag_new(&mem);
  uint32_t x[] = {fx_weight(d, 400, 1000), fx_weight(d, 400, 1000)};
  for (int i = 0; i < 10; i++) product(d, x[0], 400, fx_weight(d, 1, 1000), 0, OBS_NONE);
  for (int i = 0; i < 10; i++) product(d, x[1], 1, fx_weight(d, 300, 1000), 1, OBS_NONE);
  return d;
}

START_TEST(est_bounds__tiles_do_not_fit_beside_the_rooms_of_both__after_the_others_tasks) {
  fx_chip c = {.engines = 4, .speed = 1e9, .sram_B = 1000000};
  platform p = fx_platform(&c, &mem);
  dag *d = busy_and_loading();
  bounds b = est_bounds(&p, d, &mem);
  SAME(b.room_s, 10 * 800e-6 + (10 - 2) * 300e-6); /* two fit beside x' before there is x */
  ck_assert_str_eq(b.binding, "room");
  ck_assert_double_le(b.lower_s, fx_run(FX_FLUID, d, &p, "fit", 100, false, &mem)->makespan_s);
  c.sram_B = 1102000; /* both, a tile, and what a task has of its own */
  p = fx_platform(&c, &mem);
  ck_assert_str_ne(est_bounds(&p, d, &mem).binding, "room");
}
END_TEST

/* Ten products with a tile of 300 kB each come after one of 4 ms, all with x of 400 kB: until that
 * has ended, as many tiles come as fit. */
START_TEST(est_bounds__all_users_come_after_a_task__so_do_their_loads_but_for_what_fits) {
  for (uint64_t fit = 1; fit <= 3; fit++) {
    fx_chip c = {.engines = 4, .speed = 1e9, .sram_B = 405000 + fit * 300000};
    platform p = fx_platform(&c, &mem);
    dag *d = dag_new(&mem);
    uint32_t x = fx_weight(d, 400, 1000);
    uint32_t first = product(d, x, 400, fx_weight(d, 5, 1000), 0, OBS_NONE);
    for (int i = 0; i < 10; i++) product(d, x, 1, fx_weight(d, 300, 1000), 1, first);
    bounds b = est_bounds(&p, d, &mem);
    ck_assert_double_ge(b.room_s, 4e-3 + (double)(10 - fit) * 300e-6 - 1e-12);
    ck_assert_double_le(b.lower_s, fx_run(FX_FLUID, d, &p, "fit", 100, false, &mem)->makespan_s);
  }
}
END_TEST

/* The same x for both: that is held once, and two tiles fit beside it. */
START_TEST(est_bounds__one_room_beside_both__tiles_come_meanwhile) {
  platform p = fx_platform(&(fx_chip){.engines = 4, .speed = 1e9, .sram_B = 1050000}, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_weight(d, 400, 1000);
  for (int i = 0; i < 10; i++) product(d, x, 400, fx_weight(d, 1, 1000), 0, OBS_NONE);
  for (int i = 0; i < 10; i++) product(d, x, 1, fx_weight(d, 300, 1000), 1, OBS_NONE);
  double run_s = fx_run(FX_FLUID, d, &p, "fit", 100, false, &mem)->makespan_s;
  ck_assert_double_lt(run_s, 10 * 800e-6 + (10 - 3) * 300e-6);
  ck_assert_double_le(est_bounds(&p, d, &mem).lower_s, run_s * (1 + 1e-12));
}
END_TEST

/* Tiles of 3 ms each, two at a time, and a task of 40 ms. Half of their users do not come after
 * that; or all do, but not after one more such task of that engine. */
START_TEST(est_bounds__not_all_come_after__loads_beside_the_task) {
  for (int aside = 0; aside < 2; aside++) {
    fx_chip c = {.engines = 4, .speed = 1e9, .dram_Bps = 1e8, .sram_B = 1100000};
    platform p = fx_platform(&c, &mem);
    dag *d = dag_new(&mem);
    uint32_t x = fx_weight(d, 400, 1000), w = fx_weight(d, 50, 1000);
    uint32_t first = product(d, x, 400, w, 0, OBS_NONE);
    if (aside) product(d, x, 400, w, 0, OBS_NONE);
    for (int i = 0; i < 10; i++)
      product(d, x, 1, fx_weight(d, 300, 1000), 1, aside || i >= 5 ? first : OBS_NONE);
    double run_s = fx_run(FX_FLUID, d, &p, "fit", 100, false, &mem)->makespan_s;
    ck_assert_double_lt(run_s, (aside ? 2 : 1) * 40e-3 + (10 - 2) * 3e-3);
    ck_assert_double_le(est_bounds(&p, d, &mem).lower_s, run_s * (1 + 1e-12));
  }
}
END_TEST

/* The task's tile of 600 kB comes while another task of x works; a third comes after it. So x lies
 * beside both, filled by a load for few: once, not twice. */
START_TEST(est_bounds__a_load_between_users_of_a_fed_room__that_counts_once) {
  fx_chip c = {.engines = 4, .speed = 3.3e9, .dram_Bps = 1e8, .sram_B = 900000};
  platform p = fx_platform(&c, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_weight(d, 200, 1000), tile = fx_weight(d, 50, 1000),
           small = fx_weight(d, 1, 1000);
  uint32_t first = product(d, x, 1, small, DAG_NO_GROUP, OBS_NONE);
  product(d, x, 200, tile, 0, OBS_NONE);
  uint64_t shape[] = {600, 1000};
  dag_view from = dag_all(d, dag_add_tensor(d, "w", DAG_DRAM, DAG_WEIGHT, DT_INT8, 2, shape));
  uint32_t w = dag_add_tensor(d, "w", DAG_SRAM, DAG_WEIGHT, DT_INT8, 2, shape);
  dag_view to = dag_all(d, w);
  dag_task load = {.name = "load", .group = DAG_NO_GROUP, .op = OP_LOAD_WEIGHT};
  uint32_t loaded = dag_add_task_after(d, &load, &from, 1, &to, 1, &first, 1);
  for (int i = 0; i < 10; i++) product(d, w, 1, fx_weight(d, 1, 1000), DAG_NO_GROUP, OBS_NONE);
  product(d, x, 1, fx_weight(d, 1, 1000), DAG_NO_GROUP, loaded);
  double run_s = fx_run(FX_FLUID, d, &p, "fit", 100, false, &mem)->makespan_s;
  ck_assert_double_lt(run_s, 9e-3); /* 6 ms each, one after the other: 12 */
  ck_assert_double_le(est_bounds(&p, d, &mem).lower_s, run_s * (1 + 1e-12));
}
END_TEST

/* ---- against schedules ---- */

/* What several tasks use, some with a tile, which some share; some after others. */
static void add_block(dag *d, fx_random *r) {
  uint64_t M = fx_range(r, 1, 40), K = fx_range(r, 20, 120), users = fx_range(r, 6, 14);
  uint32_t x = fx_weight(d, M, K), group = d->n_groups, after = OBS_NONE, w = 0;
  uint64_t grouped = fx_range(r, 0, 2);
  for (uint64_t i = 0; i < users; i++) {
    if (i == 0 || fx_range(r, 0, 3) > 0)
      w = fx_weight(d, fx_range(r, 0, 1) == 0 ? 1 : fx_range(r, 10, 120), K);
    uint64_t rows = fx_range(r, 0, 1) == 0 ? 1 : M;
    uint32_t t = product(d, x, rows, w, fx_range(r, 0, 2) < grouped ? group : DAG_NO_GROUP, after);
    if (fx_range(r, 0, 7) == 0) after = t;
  }
  if (fx_range(r, 0, 2) == 0) fx_store(d, x);
}

static platform random_chip(fx_random *r, const dag *d) {
  fx_chip c = {.engines = (uint32_t)fx_range(r, 1, 4), .channels = (uint32_t)fx_range(r, 1, 3)};
  c.speed = exp(log(1e7) + fx_unit(r) * log(1e3));
  c.setup_s = fx_range(r, 0, 1) == 0 ? 0 : fx_unit(r) * 1e-5;
  c.apart = fx_range(r, 0, 1) == 0;
  double more = 1 + fx_unit(r) * fx_unit(r);
  c.sram_B = 1000;
  return rig_tight_chip(c, d, 50, more, &mem);
}

START_TEST(est_bounds__random_blocks__no_schedule_is_below) {
  fx_random r = {(uint64_t)_i * 7919 + 43};
  dag *d = dag_new(&mem);
  for (uint64_t n = fx_range(&r, 1, 3); n > 0; n--) add_block(d, &r);
  platform p = random_chip(&r, d);
  rig_none_below_bound(d, &p, 9, &r, &mem);
}
END_TEST

#ifdef __SANITIZE_ADDRESS__ /* takes long */
enum { BLOCKS = 20 };
#else
enum { BLOCKS = 60 };
#endif

int main(void) {
  Suite *s = suite_create("apart");
  TCase *c = tcase_create("apart");
  tcase_add_checked_fixture(c, setup, teardown);
  tcase_add_test(c, est_bounds__tiles_do_not_fit_beside_the_rooms_of_both__after_the_others_tasks);
  tcase_add_test(c, est_bounds__all_users_come_after_a_task__so_do_their_loads_but_for_what_fits);
  tcase_add_test(c, est_bounds__one_room_beside_both__tiles_come_meanwhile);
  tcase_add_test(c, est_bounds__not_all_come_after__loads_beside_the_task);
  tcase_add_test(c, est_bounds__a_load_between_users_of_a_fed_room__that_counts_once);
  tcase_add_loop_test(c, est_bounds__random_blocks__no_schedule_is_below, 0, BLOCKS);
  suite_add_tcase(s, c);
  return suite_run(s);
}
