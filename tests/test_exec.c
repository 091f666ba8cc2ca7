/* Times of runs small enough to compute on paper, on both backends: SimGrid and the fluid model. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/attribution.h"
#include "tests/fixture.h"
#include "tests/policy_rig.h"
#include "tests/suite.h"

/* SimGrid sums doubles in steps: contended chains drift by a few 1e-13 a step (model.md), far below
 * this. */
#define TOLERANCE 1e-11

#define ck_time(got, want)                                                                         \
  ck_assert_msg(fabs((got) - (want)) <= TOLERANCE * fmax(1e-9, fabs(want)),                        \
                "%s is %.17g s, want %.17g s (off %.3g)", #got, (double)(got), (double)(want),     \
                (double)((got) - (want)))

static arena mem;

static void setup(void) {
  mem = (arena){0};
}

static void teardown(void) {
  arena_free(&mem);
}

static double end_of(const timeline *tl, uint32_t task) {
  return tl->records[task].end_s;
}

START_TEST(transfer__alone__is_setup_latency_and_bytes_over_bandwidth) {
  platform p =
      fx_platform(&(fx_chip){.dram_Bps = 2e9, .dram_latency_s = 3e-7, .setup_s = 2e-7}, &mem);
  dag *d = dag_new(&mem);
  fx_load(d, 1000000);
  timeline *tl = fx_run((fx_backend)_i, d, &p, "heft", 2, false, &mem);
  ck_time(tl->makespan_s, 2e-7 + 3e-7 + 1e6 / 2e9);
}
END_TEST

START_TEST(transfer__dram_efficiency__stretches_the_flow_by_its_inverse) {
  platform p = fx_platform(&(fx_chip){.dram_Bps = 2e9, .dram_efficiency = 0.8}, &mem);
  dag *d = dag_new(&mem);
  fx_load(d, 1000000);
  timeline *tl = fx_run((fx_backend)_i, d, &p, "heft", 2, false, &mem);
  ck_time(tl->makespan_s, 1e6 / (0.8 * 2e9));
}
END_TEST

/* MatMul 1x500x1000 int8: 1e6 FLOP; operands 1000 + 500000 + 500 B. The loads come first. */
static timeline *one_matmul(fx_backend b, const fx_chip *c, double *start) {
  platform p = fx_platform(c, &mem);
  dag *d = dag_new(&mem);
  uint32_t w = fx_weight(d, 500, 1000);
  fx_matmul(d, OBS_NONE, w, 500, 1000, DAG_NO_GROUP);
  timeline *tl = fx_run(b, d, &p, "heft", 2, false, &mem);
  *start = 501000 / (c->dram_Bps == 0 ? 1e9 : c->dram_Bps);
  return tl;
}

START_TEST(compute__arithmetic_bound__is_overhead_and_flops_over_rate) {
  double start;
  timeline *tl = one_matmul((fx_backend)_i, &(fx_chip){.speed = 1e9, .overhead_s = 5e-7}, &start);
  ck_time(tl->makespan_s, start + 5e-7 + 1e6 / 1e9);
}
END_TEST

START_TEST(compute__stream_bound__is_overhead_and_operands_over_the_narrowest_link) {
  double start;
  fx_chip c = {.overhead_s = 5e-7, .port_Bps = 1e9, .bus_Bps = 4e9};
  timeline *tl = one_matmul((fx_backend)_i, &c, &start);
  ck_time(tl->makespan_s, start + 5e-7 + 501500 / 1e9);
}
END_TEST

START_TEST(compute__native_tile__pays_for_the_padding) {
  double start;
  /* 1 of 4 rows, 500 of 512 columns, 1000 of 1024 deep are filled */
  timeline *tl =
      one_matmul((fx_backend)_i, &(fx_chip){.speed = 1e9, .matrix_shape = "4,64,32"}, &start);
  ck_time(tl->makespan_s, start + 1e6 / (1e9 * (1.0 / 4) * (500.0 / 512) * (1000.0 / 1024)));
}
END_TEST

START_TEST(compute__vector_op__takes_the_vector_rate) {
  platform p = fx_platform(&(fx_chip){.vector_rate = 1e9, .overhead_s = 1e-6}, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_load(d, 1000),
           w = dag_add_tensor(d, "w", DAG_SRAM, DAG_WEIGHT, DT_INT8, 1, (uint64_t[]){1000});
  uint32_t home = dag_add_tensor(d, "h", DAG_DRAM, DAG_WEIGHT, DT_INT8, 1, (uint64_t[]){1000});
  dag_task load = {.name = "w", .group = DAG_NO_GROUP, .op = OP_LOAD_WEIGHT};
  dag_view from = dag_all(d, home), to = dag_all(d, w);
  dag_add_task(d, &load, &from, 1, &to, 1);
  uint32_t y = dag_add_tensor(d, "y", DAG_SRAM, DAG_ACT, DT_INT8, 2, (uint64_t[]){1, 1000});
  dag_task norm = {.name = "norm", .group = DAG_NO_GROUP, .op = OP_RMSNORM};
  dag_view reads[2] = {dag_all(d, x), to}, out_view = dag_all(d, y);
  dag_add_task(d, &norm, reads, 2, &out_view, 1);
  timeline *tl = fx_run((fx_backend)_i, d, &p, "heft", 2, false, &mem);
  ck_time(tl->makespan_s, 2000 / 1e9 + 1e-6 + 4 * 1000 / 1e9);
}
END_TEST

START_TEST(links__k_equal_flows__each_gets_a_kth) {
  platform p = fx_platform(&(fx_chip){.channels = 5}, &mem);
  dag *d = dag_new(&mem);
  for (int i = 0; i < 5; i++) fx_load(d, 1000000);
  timeline *tl = fx_run((fx_backend)_i, d, &p, "heft", 2, false, &mem);
  for (uint32_t t = 0; t < 5; t++) ck_time(end_of(tl, t), 5 * 1e6 / 1e9);
}
END_TEST

/* Begun one after the other, they end one after the other; the link is never idle in between. The
 * second of two flows that begin l apart, f long each: f + l behind the first's f - l alone, halved
 * since, is l + 2f in all; and the first ends when what it had left at l, f - l, took twice as
 * long.
 */
START_TEST(links__two_flows_with_latency__begin_and_end_one_after_the_other) {
  double l = 1e-4, f = 1e-3;
  platform p = fx_platform(&(fx_chip){.channels = 2, .dram_latency_s = l}, &mem);
  dag *d = dag_new(&mem);
  for (int i = 0; i < 2; i++) fx_load(d, 1000000);
  timeline *tl = fx_run((fx_backend)_i, d, &p, "heft", 2, false, &mem);
  ck_time(end_of(tl, 0), l + l + 2 * (f - l));
  ck_time(end_of(tl, 1), l + 2 * f);
}
END_TEST

START_TEST(links__fatpipe__caps_each_flow_and_shares_nothing) {
  platform p = fx_platform(&(fx_chip){.channels = 5, .dram_fatpipe = true}, &mem);
  dag *d = dag_new(&mem);
  for (int i = 0; i < 5; i++) fx_load(d, 1000000);
  timeline *tl = fx_run((fx_backend)_i, d, &p, "heft", 2, false, &mem);
  ck_time(tl->makespan_s, 1e6 / 1e9);
}
END_TEST

/* Two engines stream 50 MB each over one 50 GB/s bus, the second 100 ns later: shares do not depend
 * on latency (SimGrid would weigh them: model.md). The first is alone for 100 ns. */
START_TEST(links__unequal_latency__shares_are_equal_all_the_same) {
  fx_chip c = {.engines = 2,
               .port_latency_s = 1e-7,
               .bus_Bps = 50e9,
               .dram_Bps = 1e15,
               .apart = true,
               .speed = 1e15,
               .channels = 2};
  platform p = fx_platform(&c, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_load(d, 1000), w = fx_weight(d, 49999, 1000);
  fx_matmul(d, x, w, 49999, 1000, 0);
  fx_matmul(d, x, w, 49999, 1000, 1);
  timeline *tl = fx_run((fx_backend)_i, d, &p, "heft", 2, false, &mem);
  double B = 49999000 + 1000 + 49999, start = tl->records[2].start_s;
  ck_assert_uint_ne(tl->records[2].resource, tl->records[3].resource);
  ck_time(tl->records[3].start_s, start);
  bool first_is_0 = tl->records[2].resource == 0;
  double early = first_is_0 ? end_of(tl, 2) : end_of(tl, 3),
         late = first_is_0 ? end_of(tl, 3) : end_of(tl, 2);
  ck_time(early - start, 1e-7 + (B - 5000) / 25e9);
  ck_time(late - start, 2 * B / 50e9);
}
END_TEST

/* Ports of 64 on a bus of 100: one stream alone gets its port, two get half the bus each. */
START_TEST(links__port_against_bus__the_narrower_share_counts) {
  fx_chip c = {.engines = 2,
               .port_Bps = 64e9,
               .bus_Bps = 100e9,
               .dram_Bps = 1e15,
               .apart = true,
               .speed = 1e15,
               .channels = 2};
  platform p = fx_platform(&c, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_load(d, 1000), w = fx_weight(d, 9999, 1000), v = fx_weight(d, 4999, 1000);
  fx_matmul(d, x, w, 9999, 1000, 0);
  fx_matmul(d, x, v, 4999, 1000, 1);
  timeline *tl = fx_run((fx_backend)_i, d, &p, "heft", 2, false, &mem);
  double big = 9999000 + 1000 + 9999, small = 4999000 + 1000 + 4999;
  ck_assert_uint_ne(tl->records[3].resource, tl->records[4].resource);
  /* the one whose weights came first has its port to itself until the other starts */
  double big_start = tl->records[3].start_s, small_start = tl->records[4].start_s;
  double both = fmax(big_start, small_start), alone = 64e9 * (both - fmin(big_start, small_start));
  double big_done = big_start < both ? alone : 0, small_done = small_start < both ? alone : 0;
  double small_end = both + (small - small_done) / 50e9;
  double big_left = big - big_done - 50e9 * (small_end - both);
  ck_time(end_of(tl, 4), small_end);
  ck_time(end_of(tl, 3), small_end + big_left / 64e9);
}
END_TEST

/* n transfers with setup s and flow f: one channel pays both each time; with two, setups hide
 * behind the other's flow. */
static double n_loads(fx_backend b, uint32_t channels, int n, uint64_t bytes) {
  platform p = fx_platform(&(fx_chip){.channels = channels, .setup_s = 1e-4}, &mem);
  dag *d = dag_new(&mem);
  for (int i = 0; i < n; i++) fx_load(d, bytes);
  return fx_run(b, d, &p, "heft", 2, false, &mem)->makespan_s;
}

START_TEST(dma__one_channel__pays_every_setup) {
  ck_time(n_loads((fx_backend)_i, 1, 6, 1000000), 6 * (1e-4 + 1e-3));
}
END_TEST

/* One sets up while the other flows: the link idles during the first setup only. */
START_TEST(dma__two_channels__hide_setups) {
  ck_time(n_loads((fx_backend)_i, 2, 6, 1000000), 1e-4 + 6e-3);
}
END_TEST

/* Transfers that flow for less than their setup come so that one's flow follows the other's: the
 * second begins one flow after the first, and both channels go round in a setup and a flow. */
START_TEST(dma__two_channels_of_short_transfers__take_turns) {
  double flow = 8e-5, makespan_s = n_loads((fx_backend)_i, 2, 6, 80000);
  ck_assert_double_eq_tol(makespan_s, flow + 3 * (1e-4 + flow), flow / 100);
}
END_TEST

START_TEST(dma__two_channels_of_much_shorter_transfers__take_turns) {
  double flow = 1e-5, makespan_s = n_loads((fx_backend)_i, 2, 6, 10000);
  ck_assert_double_eq_tol(makespan_s, flow + 3 * (1e-4 + flow), flow / 100);
}
END_TEST

/* Out of step by a first short transfer, setups hide: the link idles only during the first. */
START_TEST(dma__two_channels_out_of_step__hide_setups) {
  platform p = fx_platform(&(fx_chip){.channels = 2, .setup_s = 1e-4}, &mem);
  dag *d = dag_new(&mem);
  fx_load(d, 500000);
  for (int i = 0; i < 5; i++) fx_load(d, 1000000);
  timeline *tl = fx_run((fx_backend)_i, d, &p, "heft", 2, false, &mem);
  ck_time(tl->makespan_s, 1e-4 + 5.5e6 / 1e9);
}
END_TEST

/* Four pieces through one engine: loads of 1 ms, computes of 0.6 ms. Without prefetch they
 * alternate; with it, loads follow each other and only the last compute is left over. */
static timeline *pieces(fx_backend b, uint32_t prefetch) {
  platform p = fx_platform(&(fx_chip){.speed = 2e6 / 6e-4}, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_load(d, 1000);
  for (int i = 0; i < 4; i++) fx_matmul(d, x, fx_weight(d, 1000, 1000), 1000, 1000, 0);
  return fx_run(b, d, &p, "heft", prefetch, false, &mem);
}

START_TEST(prefetch__0__loads_and_computes_alternate) {
  timeline *tl = pieces((fx_backend)_i, 0);
  ck_time(tl->makespan_s, 1001000 / 1e9 + 6e-4 + 3 * (1e-3 + 6e-4));
}
END_TEST

START_TEST(prefetch__2__only_the_last_compute_is_left_over) {
  timeline *tl = pieces((fx_backend)_i, 2);
  ck_time(tl->makespan_s, (4 * 1e6 + 1000) / 1e9 + 6e-4);
}
END_TEST

/* The first task loads 1 MB twice, the others 1 MB each: two tiles ahead are 2 MB, as 1 MB is the
 * largest load, and not 4 MB, which the first task has loaded twice over. With the tile in work
 * SRAM holds 3 MB. */
START_TEST(prefetch__a_task_of_two_loads__is_not_the_unit) {
  platform p = fx_platform(&(fx_chip){.speed = 2e8}, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_load(d, 1000), wide = fx_load(d, 1000000);
  fx_matmul(d, wide, fx_weight(d, 1, 1000000), 1, 1000000, 0);
  for (int i = 0; i < 6; i++) fx_matmul(d, x, fx_weight(d, 1000, 1000), 1000, 1000, 0);
  timeline *tl = fx_run((fx_backend)_i, d, &p, "fit", 2, false, &mem);
  ck_assert_uint_ge(tl->high_water_B[0], 3000000);
  ck_assert_uint_lt(tl->high_water_B[0], 3010000);
}
END_TEST

/* One tile of 1 MB ahead; the second task's two loads are more, and come ahead all the same. */
START_TEST(prefetch__next_task_needs_more_than_the_window__has_it_ahead) {
  platform p = fx_platform(&(fx_chip){.speed = 2e8}, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_load(d, 1000);
  fx_matmul(d, x, fx_weight(d, 1000, 1000), 1000, 1000, 0);
  fx_matmul(d, fx_load(d, 1000000), fx_weight(d, 1, 1000000), 1, 1000000, 0);
  timeline *tl = fx_run((fx_backend)_i, d, &p, "fit", 1, false, &mem);
  ck_time(tl->makespan_s, 1001000 / 1e9 + 10e-3 + 10e-3);
}
END_TEST

/* Room for one weight tile besides the small tensors: however deep the prefetch, the second load
 * waits for the first tile. */
START_TEST(sram__room_for_one_tile__loads_wait_for_the_compute) {
  platform p = fx_platform(&(fx_chip){.channels = 2, .speed = 2e6 / 6e-4, .sram_B = 1010000}, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_load(d, 1000);
  for (int i = 0; i < 4; i++) fx_matmul(d, x, fx_weight(d, 1000, 1000), 1000, 1000, 0);
  timeline *tl = fx_run((fx_backend)_i, d, &p, "heft", 9, false, &mem);
  ck_time(tl->makespan_s, 1001000 / 1e9 + 6e-4 + 3 * (1e-3 + 6e-4));
  ck_assert_uint_le(tl->high_water_B[0], 1010000);
  ck_assert(tl->records[3].why.room_s > tl->records[3].why.gate_s);
  ck_assert_uint_eq(tl->records[3].why.room_by, 2);
}
END_TEST

/* A runs for 10 ms on a tile of 1 MB; B, next, has its tile of 0.4 MB and will write 0.4 MB, for
 * which A's end makes room. So C's tile of 0.3 MB comes meanwhile: all three are 1.7 of 1.8 MB. */
START_TEST(sram__room_that_the_running_task_gives_back__is_not_kept_free) {
  platform p = fx_platform(&(fx_chip){.speed = 2e8, .sram_B = 1800000}, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_load(d, 1000), one = fx_load(d, 1);
  fx_matmul(d, x, fx_weight(d, 1000, 1000), 1000, 1000, DAG_NO_GROUP);
  fx_matmul(d, one, fx_weight(d, 400000, 1), 400000, 1, DAG_NO_GROUP);
  fx_matmul(d, x, fx_weight(d, 300, 1000), 300, 1000, DAG_NO_GROUP);
  timeline *tl = fx_run((fx_backend)_i, d, &p, "fit", 2, false, &mem);
  ck_time(end_of(tl, 6), 1701001 / 1e9);
  ck_time(tl->makespan_s, 1001000 / 1e9 + 10e-3 + 4e-3 + 3e-3);
}
END_TEST

START_TEST(sram__smallest_feasible__runs_and_one_byte_less_is_refused) {
  dag *d = dag_new(&mem);
  uint32_t x = fx_load(d, 1000);
  for (int i = 0; i < 3; i++)
    x = fx_matmul(d, x, fx_weight(d, 1000, 1000), 1000, 1000, DAG_NO_GROUP);
  /* a compute holds its input, its weights and its output */
  uint64_t need = 1000 + 1000000 + 1000;
  platform p = fx_platform(&(fx_chip){.sram_B = need}, &mem),
           q = fx_platform(&(fx_chip){.sram_B = need - 1}, &mem);
  timeline *tl;
  err e = {0};
  ck_assert_int_eq(fx_try(FX_FLUID, d, &q, "heft", 2, false, &tl, &mem, &e), ERR_NO);
  ck_assert_ptr_nonnull(strstr(e.msg, "short 1 B"));
  tl = fx_run((fx_backend)_i, d, &p, "heft", 2, false, &mem);
  ck_assert_uint_eq(tl->high_water_B[0], need);
}
END_TEST

START_TEST(serial__any_dag__makespan_is_the_sum_of_all_tasks) {
  fx_chip c = {.engines = 3,
               .channels = 2,
               .setup_s = 1e-7,
               .overhead_s = 3e-7,
               .dram_latency_s = 1e-7,
               .port_Bps = 1e9};
  platform p = fx_platform(&c, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_load(d, 1000);
  for (int i = 0; i < 4; i++)
    x = fx_matmul(d, x, fx_weight(d, 1000, 1000), 1000, 1000, DAG_NO_GROUP);
  fx_store(d, x);
  timeline *tl = fx_run((fx_backend)_i, d, &p, "serial", 2, false, &mem);
  double sum = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    cost k = cost_of(d, t);
    sum += est_best_s(&p, d, t, &k, false);
  }
  ck_time(tl->makespan_s, sum);
}
END_TEST

START_TEST(groups__one_group__stays_on_one_engine_under_every_policy) {
  platform p = fx_platform(&(fx_chip){.engines = 4, .channels = 2, .speed = 1e9}, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_load(d, 100);
  for (uint32_t i = 0; i < 12; i++) fx_matmul(d, x, fx_weight(d, 100, 100), 100, 100, i % 3);
  static const char *const NAME[] = {"eager", "prio", "heft", "serial"};
  for (size_t k = 0; k < 4; k++) {
    timeline *tl = fx_run(FX_FLUID, d, &p, NAME[k], 2, false, &mem);
    uint32_t engine[3] = {OBS_NONE, OBS_NONE, OBS_NONE};
    for (uint32_t t = 0; t < d->n_tasks; t++) {
      uint32_t g = d->tasks[t].group;
      if (g == DAG_NO_GROUP) continue;
      if (engine[g] == OBS_NONE) engine[g] = tl->records[t].resource;
      ck_assert_uint_eq(engine[g], tl->records[t].resource);
    }
    if (k < 3)
      ck_assert(engine[0] != engine[1] && engine[1] != engine[2] && engine[0] != engine[2]);
  }
}
END_TEST

/* Loads and stores each have a link of their own to the SRAM bus: 50 + 50 GB/s, and two streams of
 * 60 want 120 of the bus's 120. All four flows share 120: 30 each. */
START_TEST(links__loads_and_stores_on_links_of_their_own__both_count_on_the_bus) {
  fx_chip c = {.engines = 2,
               .port_Bps = 60e9,
               .bus_Bps = 120e9,
               .dram_Bps = 50e9,
               .write_Bps = 50e9,
               .channels = 2,
               .speed = 1e15,
               .vector_rate = 1e15};
  platform p = fx_platform(&c, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_load(d, 1000), w = fx_weight(d, 1000, 1000);
  uint32_t a = fx_matmul(d, x, w, 1000, 1000, 0), b = fx_matmul(d, x, w, 1000, 1000, 1);
  (void)a, (void)b;
  uint32_t big = fx_load(d, 100000);
  fx_store(d, big);
  timeline *tl = fx_run((fx_backend)_i, d, &p, "heft", 2, false, &mem);
  timeline *other = fx_run(FX_FLUID, d, &p, "heft", 2, false, &mem);
  for (uint32_t t = 0; t < d->n_tasks; t++) ck_time(end_of(tl, t), end_of(other, t));
  for (uint32_t l = 0; l < p.n_links; l++) {
    double full = (double)tl->links[l].bytes / p.links[l].bandwidth_Bps;
    ck_assert_double_le(full, tl->links[l].active_s * (1 + 1e-9));
  }
}
END_TEST

/* A chain through DRAM: a load that waits for a store that waits for a compute task. */
START_TEST(order__load_behind_a_store__runs_at_every_prefetch_under_every_policy) {
  platform p = fx_platform(&(fx_chip){.engines = 2}, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_load(d, 1000);
  for (int i = 0; i < 3; i++) {
    x = fx_matmul(d, x, fx_weight(d, 1000, 1000), 1000, 1000, DAG_NO_GROUP);
    x = fx_round_trip(d, fx_round_trip(d, x));
  }
  fx_matmul(d, x, fx_weight(d, 1000, 1000), 1000, 1000, DAG_NO_GROUP);
  for (size_t i = 0; i < pol_count(); i++)
    for (uint32_t prefetch = 0; prefetch < 4; prefetch++) {
      timeline *tl = fx_run(FX_FLUID, d, &p, pol_at(i)->name, prefetch, false, &mem);
      ck_assert_double_gt(tl->makespan_s, 0);
    }
}
END_TEST

START_TEST(dram__too_small_for_all_tensors__is_refused_with_the_numbers) {
  dag *d = dag_new(&mem);
  fx_load(d, 1000);
  fx_load(d, 500);
  platform p = fx_platform(&(fx_chip){.dram_B = 1500}, &mem),
           q = fx_platform(&(fx_chip){.dram_B = 1499}, &mem);
  timeline *tl;
  err e = {0};
  ck_assert_int_eq(fx_try(FX_FLUID, d, &p, "heft", 2, false, &tl, &mem, &e), ERR_OK);
  ck_assert_int_eq(fx_try(FX_FLUID, d, &q, "heft", 2, false, &tl, &mem, &e), ERR_NO);
  ck_assert_ptr_nonnull(strstr(e.msg, "'dram'"));
  ck_assert_ptr_nonnull(strstr(e.msg, "short 1 B"));
}
END_TEST

/* Two loads behind one that has no room: what they all wait for is room, not a channel and not
 * their gates. */
START_TEST(sram__loads_behind_one_without_room__wait_for_room_too) {
  platform p = fx_platform(&(fx_chip){.channels = 4, .speed = 2e6 / 6e-4, .sram_B = 1012000}, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_load(d, 1000);
  fx_matmul(d, x, fx_weight(d, 1000, 1000), 1000, 1000, 0);
  fx_matmul(d, x, fx_weight(d, 1000, 1000), 1000, 1000, 0);
  uint32_t z = fx_load(d, 1000); /* small, but behind the second weights */
  fx_matmul(d, z, fx_weight(d, 2, 1000), 2, 1000, 0);
  timeline *tl = fx_run((fx_backend)_i, d, &p, "heft", 9, false, &mem);
  attribution a = attr_walk(tl, &mem);
  ck_time(a.cause_s[ATTR_OVERHEAD], 0.0);
  ck_assert_double_gt(a.cause_s[ATTR_WAIT_SRAM_FULL], 5e-4);
}
END_TEST

static int run_policy(fx_backend b, const policy *pol, err *e) {
  platform p = fx_platform(&(fx_chip){.engines = 2}, &mem);
  dag *d = dag_new(&mem);
  uint32_t x = fx_matmul(d, OBS_NONE, fx_weight(d, 100, 100), 100, 100, DAG_NO_GROUP);
  fx_store(d, fx_matmul(d, x, fx_weight(d, 100, 100), 100, 100, 0));
  machine_options opt = {.prefetch = 2};
#ifdef TESTS_WITH_SIMGRID
  if (b == FX_SIMGRID) return exec_simgrid(d, &p, pol, &opt, NULL, &mem, e);
#endif
  (void)b;
  return exec_fluid(d, &p, pol, &opt, NULL, &mem, e);
}

START_TEST(machine__nothing_can_start__internal_error_that_says_who_waits) {
  err e = {0};
  ck_assert_int_eq(run_policy((fx_backend)_i, &rig_idle, &e), ERR_INTERNAL);
  ck_assert_ptr_nonnull(strstr(e.msg, "of 6 tasks unfinished"));
  ck_assert_ptr_nonnull(strstr(e.msg, "waits for"));
}
END_TEST

static int plan_backwards(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)in, (void)a, (void)e;
  for (size_t i = 0; i < plan->n_order; i++) plan->engine[plan->order[i]] = 0;
  uint32_t first = plan->order[0];
  plan->order[0] = plan->order[1];
  plan->order[1] = first;
  return ERR_OK;
}

static int plan_no_engine(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)a, (void)e;
  for (size_t i = 0; i < plan->n_order; i++)
    plan->engine[plan->order[i]] = (uint32_t)in->plat->n_engines;
  return ERR_OK;
}

START_TEST(policy__broken_plan__is_caught_before_the_run) {
  policy backwards = {.name = "backwards", .plan = plan_backwards};
  policy nowhere = {.name = "nowhere", .plan = plan_no_engine};
  err e = {0};
  ck_assert_int_eq(run_policy((fx_backend)_i, &backwards, &e), ERR_INTERNAL);
  ck_assert_ptr_nonnull(strstr(e.msg, "before its input"));
  e = (err){0};
  ck_assert_int_eq(run_policy((fx_backend)_i, &nowhere, &e), ERR_INTERNAL);
  ck_assert_ptr_nonnull(strstr(e.msg, "no engine"));
}
END_TEST

int main(void) {
  Suite *s = suite_create("exec");
  TCase *t = tcase_create("closed forms");
  tcase_add_checked_fixture(t, setup, teardown);
  int n = fx_backends;
  tcase_add_loop_test(t, transfer__alone__is_setup_latency_and_bytes_over_bandwidth, 0, n);
  tcase_add_loop_test(t, transfer__dram_efficiency__stretches_the_flow_by_its_inverse, 0, n);
  tcase_add_loop_test(t, compute__arithmetic_bound__is_overhead_and_flops_over_rate, 0, n);
  tcase_add_loop_test(t, compute__stream_bound__is_overhead_and_operands_over_the_narrowest_link, 0,
                      n);
  tcase_add_loop_test(t, compute__native_tile__pays_for_the_padding, 0, n);
  tcase_add_loop_test(t, compute__vector_op__takes_the_vector_rate, 0, n);
  tcase_add_loop_test(t, links__k_equal_flows__each_gets_a_kth, 0, n);
  tcase_add_loop_test(t, links__two_flows_with_latency__begin_and_end_one_after_the_other, 0, n);
  tcase_add_loop_test(t, links__fatpipe__caps_each_flow_and_shares_nothing, 0, n);
  tcase_add_loop_test(t, links__unequal_latency__shares_are_equal_all_the_same, 0, n);
  tcase_add_loop_test(t, links__port_against_bus__the_narrower_share_counts, 0, n);
  tcase_add_loop_test(t, dma__one_channel__pays_every_setup, 0, n);
  tcase_add_loop_test(t, dma__two_channels__hide_setups, 0, n);
  tcase_add_loop_test(t, dma__two_channels_of_short_transfers__take_turns, 0, n);
  tcase_add_loop_test(t, dma__two_channels_of_much_shorter_transfers__take_turns, 0, n);
  tcase_add_loop_test(t, dma__two_channels_out_of_step__hide_setups, 0, n);
  tcase_add_loop_test(t, prefetch__0__loads_and_computes_alternate, 0, n);
  tcase_add_loop_test(t, prefetch__2__only_the_last_compute_is_left_over, 0, n);
  tcase_add_loop_test(t, prefetch__a_task_of_two_loads__is_not_the_unit, 0, n);
  tcase_add_loop_test(t, prefetch__next_task_needs_more_than_the_window__has_it_ahead, 0, n);
  tcase_add_loop_test(t, sram__room_for_one_tile__loads_wait_for_the_compute, 0, n);
  tcase_add_loop_test(t, sram__room_that_the_running_task_gives_back__is_not_kept_free, 0, n);
  tcase_add_loop_test(t, sram__smallest_feasible__runs_and_one_byte_less_is_refused, 0, n);
  tcase_add_loop_test(t, serial__any_dag__makespan_is_the_sum_of_all_tasks, 0, n);
  tcase_add_loop_test(t, links__loads_and_stores_on_links_of_their_own__both_count_on_the_bus, 0,
                      n);
  tcase_add_test(t, order__load_behind_a_store__runs_at_every_prefetch_under_every_policy);
  tcase_add_test(t, dram__too_small_for_all_tensors__is_refused_with_the_numbers);
  tcase_add_loop_test(t, sram__loads_behind_one_without_room__wait_for_room_too, 0, n);
  tcase_add_loop_test(t, machine__nothing_can_start__internal_error_that_says_who_waits, 0, n);
  tcase_add_loop_test(t, policy__broken_plan__is_caught_before_the_run, 0, n);
  tcase_add_test(t, groups__one_group__stays_on_one_engine_under_every_policy);
  suite_add_tcase(s, t);
  return suite_run(s);
}
