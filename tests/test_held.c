/* What SRAM's size makes a DAG take: what is held while tasks run, tasks of which no two fit at
 * once, and loads that find no room beside them; in closed form. That no schedule is below these
 * bounds is in test_stages.c and test_bounds.c, on random DAGs with little SRAM. */
#include <check.h>

#include "sim/estimate_held.h"
#include "tests/fixture.h"
#include "tests/suite.h"
#include "workloads/dag_room.h"

static arena mem;

static void setup(void) {
  mem = (arena){0};
}

static void teardown(void) {
  arena_free(&mem);
}

#define SAME(got, want) ck_assert_double_eq_tol((got), (want), 1e-12)

/* Chains that begin with a load of K bytes and have `n` products with it, each with a tile of N x K
 * bytes; nothing joins the chains. */
static dag *chains(uint32_t n_chains, uint32_t n, uint64_t N, uint64_t K) {
  dag *d = dag_new(&mem);
  for (uint32_t c = 0; c < n_chains; c++) {
    uint32_t y = fx_load(d, K);
    for (uint32_t i = 0; i < n; i++) fx_matmul(d, y, fx_weight(d, N, K), N, K, DAG_NO_GROUP);
  }
  return d;
}

/* y is read from the first product to the last: held beside each of them, though no product needs
 * another. A tile is its product's own. */
START_TEST(held_find__a_chain__tiles_are_own_and_what_all_read_is_beside) {
  dag *d = chains(1, 3, 1, 300000);
  held h = held_find(d, dag_room_roots(d, &mem), 1000000, &mem);
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    bool product = d->tasks[t].op == OP_MATMUL, of_y = t == 0;
    ck_assert_uint_eq(h.own_B[t], product ? 300001 : of_y ? 0 : 300000);
    ck_assert_uint_eq(h.beside_B[t], product || of_y ? 300000 : 0);
  }
}
END_TEST

/* x <- load; y = a(x), z = b(y), last(z, x): while b runs x is held, which b does not touch. */
START_TEST(held_find__task_between_users_of_a_room__has_it_beside) {
  dag *d = dag_new(&mem);
  uint32_t x = fx_load(d, 50000), y = fx_matmul(d, x, fx_weight(d, 1, 50000), 1, 50000, 0);
  uint32_t z = fx_matmul(d, y, fx_weight(d, 700, 1), 700, 1, 0), b = (uint32_t)d->n_tasks - 1;
  dag_view reads[] = {dag_all(d, x), dag_all(d, fx_weight(d, 1, 50000))};
  uint32_t w = dag_add_tensor(d, "w", DAG_SRAM, DAG_ACT, DT_INT8, 2, (uint64_t[]){1, 1});
  dag_view to = dag_all(d, w);
  dag_task t = {.name = "last", .group = DAG_NO_GROUP, .op = OP_MATMUL};
  dag_add_task_after(d, &t, reads, 2, &to, 1, &b, 1);
  held h = held_find(d, dag_room_roots(d, &mem), 200000, &mem);
  ck_assert_uint_eq(h.beside_B[b], 50000);
  ck_assert_uint_eq(h.own_B[b], 1 + 700 + dag_tensor_bytes(&d->tensors[z]));
}
END_TEST

/* Two chains on four engines. A product leaves 0.2 MB of 1 MB, so that no load of a tile is under
 * way while one runs, and no two run at once: 8 products and 8 loads follow one another, on one
 * channel. With 3 MB all fit, and engines and link are what counts. */
START_TEST(est_bounds__no_two_products_fit__they_and_their_loads_follow_one_another) {
  dag *d = chains(2, 4, 1, 400000);
  fx_chip c = {.engines = 4, .speed = 1e9, .sram_B = 1000000};
  platform p = fx_platform(&c, &mem);
  bounds b = est_bounds(&p, d, &mem);
  double product_s = 800e-6, load_s = 400e-6;
  ck_assert_str_eq(b.binding, "room");
  ck_assert_double_ge(b.room_s, 8 * (product_s + load_s) * (1 - 1e-12));
  ck_assert_double_le(b.room_s, fx_run(FX_FLUID, d, &p, "fit", 2, false, &mem)->makespan_s);
  c.sram_B = 3000000;
  p = fx_platform(&c, &mem);
  ck_assert_str_ne(est_bounds(&p, d, &mem).binding, "room");
}
END_TEST

/* Three tiles of 300 kB fit beside y of 60 kB: four engines, and three products at a time. */
START_TEST(est_bounds__three_products_fit__a_third_of_their_time) {
  dag *d = chains(1, 12, 5, 60000);
  platform p = fx_platform(
      &(fx_chip){.engines = 4, .speed = 1e8, .channels = 4, .dram_Bps = 1e12, .sram_B = 1000000},
      &mem);
  ck_assert_double_ge(est_bounds(&p, d, &mem).lower_s, 12 * 6e-3 / 3 * (1 - 1e-12));
}
END_TEST

START_TEST(est_bounds__two_srams__no_bound_by_room) {
  dag *d = chains(2, 4, 1, 400000);
  platform p = fx_platform(&(fx_chip){.engines = 2, .speed = 1e9, .sram_B = 1000000}, &mem);
  plat_memory two[] = {p.srams[0], p.srams[0]};
  p.srams = two;
  p.n_srams = 2;
  double zero = held_s(NULL, &p, d, NULL, NULL, NULL, NULL, 0);
  SAME(zero, 0);
}
END_TEST

int main(void) {
  Suite *s = suite_create("held");
  TCase *c = tcase_create("held");
  tcase_add_checked_fixture(c, setup, teardown);
  tcase_add_test(c, held_find__a_chain__tiles_are_own_and_what_all_read_is_beside);
  tcase_add_test(c, held_find__task_between_users_of_a_room__has_it_beside);
  tcase_add_test(c, est_bounds__no_two_products_fit__they_and_their_loads_follow_one_another);
  tcase_add_test(c, est_bounds__three_products_fit__a_third_of_their_time);
  tcase_add_test(c, est_bounds__two_srams__no_bound_by_room);
  suite_add_tcase(s, c);
  return suite_run(s);
}
