/* What rooms of their own make a stage take (estimate_phases.h): in closed form, and against
 * schedules of random feed-forward layers in little SRAM. */
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

static uint32_t tensor(dag *d, uint64_t rows, uint64_t columns) {
  return dag_add_tensor(d, "y", DAG_SRAM, DAG_ACT, DT_INT8, 2, (uint64_t[]){rows, columns});
}

static dag_view columns(const dag *d, uint32_t y, uint64_t lo, uint64_t n) {
  uint64_t from[] = {0, lo}, len[] = {d->tensors[y].dim[0], n};
  return dag_box(d, y, from, len);
}

/* to = x w; also after `after`, unless that is OBS_NONE. */
static uint32_t product(dag *d, uint32_t x, uint32_t w, dag_view to, uint32_t group,
                        uint32_t after) {
  dag_view reads[] = {dag_all(d, x), dag_all(d, w)};
  dag_task t = {.name = "product", .group = group, .op = OP_MATMUL};
  return dag_add_task_after(d, &t, reads, 2, &to, 1, &after, after != OBS_NONE);
}

/* A norm makes x of M rows and K columns; then, chunk by chunk, `pieces` products make N columns
 * each of the chunk, from x, and `downs` products read the whole chunk and make `out` columns. */
typedef struct layer {
  uint64_t M, K, N, out, chunks, pieces, downs;
  uint32_t up, down; /* groups */
  bool in_turn;      /* products of a chunk follow those of the one before */
  bool rows;         /* the weights of a piece serve two halves of x */
} layer;

static uint32_t norm(dag *d, uint64_t M, uint64_t K) {
  uint32_t from = fx_weight(d, M, 1), x = tensor(d, M, K);
  product(d, from, fx_weight(d, K, 1), dag_all(d, x), DAG_NO_GROUP, OBS_NONE);
  return x;
}

static void halves(dag *d, uint32_t x, uint32_t w, uint32_t y, const layer *l, uint64_t column) {
  for (uint64_t half = 0; half < 2; half++) {
    uint64_t from[] = {half * l->M / 2, 0}, len[] = {l->M / 2, l->K};
    uint64_t to[] = {half * l->M / 2, column}, made[] = {l->M / 2, l->N};
    dag_view reads[] = {dag_box(d, x, from, len), dag_all(d, w)}, write = dag_box(d, y, to, made);
    dag_task t = {.name = "half", .group = l->up, .op = OP_MATMUL};
    dag_add_task(d, &t, reads, 2, &write, 1);
  }
}

static void add_layer(dag *d, uint32_t x, const layer *l) {
  uint32_t last = OBS_NONE;
  for (uint64_t c = 0; c < l->chunks; c++) {
    uint32_t y = tensor(d, l->M, l->N * l->pieces);
    for (uint64_t i = 0; i < l->pieces; i++) {
      uint32_t w = fx_weight(d, l->N, l->K);
      if (l->rows)
        halves(d, x, w, y, l, i * l->N);
      else
        product(d, x, w, columns(d, y, i * l->N, l->N), l->up, OBS_NONE);
    }
    for (uint64_t i = 0; i < l->downs; i++) {
      uint32_t w = fx_weight(d, l->out, l->N * l->pieces), z = tensor(d, l->M, l->out);
      uint32_t t = product(d, y, w, dag_all(d, z), l->down, l->in_turn ? last : OBS_NONE);
      if (i + 1 == l->downs) last = t;
    }
  }
}

/* 1e9 flop/s and B/s */
static bounds bounds_of(const layer *l, uint64_t sram_B, uint32_t channels) {
  platform p = fx_platform(
      &(fx_chip){.engines = 8, .speed = 1e9, .channels = channels, .sram_B = sram_B}, &mem);
  dag *d = dag_new(&mem);
  add_layer(d, norm(d, l->M, l->K), l);
  bounds b = est_bounds(&p, d, &mem);
  ck_assert_double_le(b.lower_s, fx_run(FX_FLUID, d, &p, "fit", 100, false, &mem)->makespan_s);
  return b;
}

/* x of 10 kB, 2 tiles of 30 kB a chunk of 600 B, loads of 30 us, products of 0.6 ms; then one of
 * 30 kB and 5 kB made, 0.6 ms, on one engine. Beside x and a chunk two tiles fit, and not three:
 * a half each. Without a chunk three loads do: a half only where no more than two are under way.
 * The last chunk's product comes after x, alone. What is free at the cut, 90.5 kB, may be loaded.
 */
START_TEST(est_bounds__two_tiles_fit_beside_x__a_half_each_and_the_last_alone) {
  layer l = {.M = 10, .K = 1000, .N = 30, .out = 500, .chunks = 6, .pieces = 2, .downs = 1};
  l.up = DAG_NO_GROUP;
  for (uint32_t channels = 1; channels <= 4; channels++) {
    double load_s = channels <= 2 ? 30e-6 : 0, product_s = 600e-6;
    double all_s = 6 * 3 * (load_s + product_s) / 2, ahead_s = load_s / 2 * 90500 / 30000;
    SAME(bounds_of(&l, 100500, channels).stages_s,
         21.01e-6 + all_s - ahead_s + (product_s - load_s) / 2);
  }
}
END_TEST

/* x of 100 kB, chunks of 6 kB, 2 tiles of 30 kB each, of 30 us and 6 ms; products of the chunk with
 * 12 kB make 20 kB in 2.4 ms. Beside x and a chunk two fit, of either; without x, of the latter
 * more. When x has gone, there may be chunks left as 95 kB hold. */
static double left_s(double tile_s) {
  double all_s = 20 * (2 * (30e-6 + tile_s) + 2.4e-3) / 2;
  return 201.1e-6 + all_s - 30e-6 / 2 * 95 / 30 - 2.4e-3 / 2 * 95 / 6;
}

START_TEST(est_bounds__products_that_need_no_x__as_many_may_come_later_as_chunks_fit) {
  layer l = {.M = 100, .K = 1000, .N = 30, .out = 200, .chunks = 20, .pieces = 2, .downs = 1};
  l.up = l.down = DAG_NO_GROUP;
  SAME(bounds_of(&l, 195000, 1).stages_s, left_s(6e-3));
  l.rows = true; /* two halves with a tile, side by side: it is in use as long as one takes */
  SAME(bounds_of(&l, 195000, 1).stages_s, left_s(3e-3));
}
END_TEST

/* ---- against schedules ---- */

static dag *random_layer(fx_random *r) {
  dag *d = dag_new(&mem);
  layer l = {.M = 2 * fx_range(r, 1, 40),
             .K = fx_range(r, 20, 200),
             .N = fx_range(r, 10, 200),
             .out = fx_range(r, 1, 60),
             .chunks = fx_range(r, 1, 5),
             .pieces = fx_range(r, 1, 3),
             .downs = fx_range(r, 1, 3)};
  l.up = fx_range(r, 0, 1) == 0 ? DAG_NO_GROUP : 0;
  l.down = fx_range(r, 0, 2) == 0 ? DAG_NO_GROUP : 1;
  l.in_turn = fx_range(r, 0, 1) == 0;
  l.rows = fx_range(r, 0, 2) == 0;
  uint32_t kept = norm(d, l.M, fx_range(r, 10, 200)), x = tensor(d, l.M, l.K);
  product(d, kept, fx_weight(d, l.K, d->tensors[kept].dim[1]), dag_all(d, x), DAG_NO_GROUP,
          OBS_NONE);
  add_layer(d, x, &l);
  if (fx_range(r, 0, 1) == 0) { /* what was there before x is needed at the end */
    uint32_t z = tensor(d, l.M, 3), last = (uint32_t)d->n_tasks - 1;
    product(d, kept, fx_weight(d, 3, d->tensors[kept].dim[1]), dag_all(d, z), l.down, last);
  }
  return d;
}

static platform random_chip(fx_random *r, const dag *d) {
  fx_chip c = {.engines = (uint32_t)fx_range(r, 1, 5), .channels = (uint32_t)fx_range(r, 1, 4)};
  c.speed = exp(log(1e8) + fx_unit(r) * log(1e3));
  c.overhead_s = fx_unit(r) * 1e-5;
  c.setup_s = fx_unit(r) * 1e-4;
  c.apart = fx_range(r, 0, 1) == 0;
  double more = 1 + fx_unit(r) * fx_unit(r);
  c.sram_B = 5000;
  return rig_tight_chip(c, d, 50, more, &mem);
}

START_TEST(est_bounds__random_feed_forward_layers__no_schedule_is_below) {
  fx_random r = {(uint64_t)_i * 7919 + 29};
  dag *d = random_layer(&r);
  platform p = random_chip(&r, d);
  rig_none_below_bound(d, &p, 9, &r, &mem);
}
END_TEST

int main(void) {
  Suite *s = suite_create("phases");
  TCase *c = tcase_create("phases");
  tcase_add_checked_fixture(c, setup, teardown);
  tcase_add_test(c, est_bounds__two_tiles_fit_beside_x__a_half_each_and_the_last_alone);
  tcase_add_test(c, est_bounds__products_that_need_no_x__as_many_may_come_later_as_chunks_fit);
  tcase_add_loop_test(c, est_bounds__random_feed_forward_layers__no_schedule_is_below, 0, 120);
  suite_add_tcase(s, c);
  return suite_run(s);
}
