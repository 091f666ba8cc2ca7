/* A simulation in a process that was prepared for a platform that is alike, or that has simulated
 * before, is the simulation that it would be without: the same events, to the bit. */
#include <check.h>
#include <string.h>

#include "sim/jobs.h"
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

/* Streams that are quiet and streams that are flows, two channels that share the bus with them. */
static const fx_chip CHIP = {.engines = 3,
                             .channels = 2,
                             .setup_s = 1e-7,
                             .dram_latency_s = 3e-7,
                             .dram_Bps = 7e9,
                             .bus_Bps = 3e10,
                             .port_Bps = 2e10,
                             .overhead_s = 2e-7};

static platform other_bandwidths(bool fatpipe) {
  fx_chip c = CHIP;
  c.dram_fatpipe = fatpipe;
  c.dram_Bps = 1.3e9;
  c.bus_Bps = 9.7e9;
  c.port_Bps = 4.1e9;
  c.port_latency_s = 1e-8;
  return fx_platform(&c, &mem);
}

/* `pads`: some weights are moved to scratchpads. */
static dag *some_work(bool pads) {
  dag *d = dag_new(&mem);
  for (int chain = 0; chain < 4; chain++) {
    uint32_t x = OBS_NONE;
    for (int i = 0; i < 8; i++) {
      uint32_t w = fx_weight(d, 100, 100);
      if (pads && chain < 3 && i % 2 == 1) w = fx_move(d, w, DAG_SRAM + 1 + chain);
      x = fx_matmul(d, x, w, 100, 100, DAG_NO_GROUP);
    }
    fx_store(d, x);
  }
  return d;
}

static void print_records(const dag *d, const platform *p, const char *policy_name, out *result) {
  ck_assert(exec_simgrid_again(p));
  timeline *tl = fx_run(FX_SIMGRID, d, p, policy_name, 2, true, &mem);
  for (size_t t = 0; t < d->n_tasks; t++) {
    const tl_record *x = &tl->records[t];
    out_printf(result, "%a %a %a %a %u\n", x->start_s, x->flow_start_s, x->flow_end_s, x->end_s,
               x->resource);
  }
}

/* Piece 0 is not prepared, the others are: all at work on the other platform. */
static int simulate(void *ctx, size_t i, out *result, err *e) {
  const platform *made = ctx;
  platform p = other_bandwidths(made->links[0].fatpipe);
  const dag *d = some_work(false);
  if (i > 0 && exec_simgrid_prepare(i == 1 ? made : NULL, e)) return e->status;
  print_records(d, &p, "heft", result);
  return ERR_OK;
}

static char *first; /* what piece 0 said */

static int compare(void *ctx, size_t i, const jobs_result *r, err *e) {
  (void)ctx, (void)e;
  ck_assert_msg(r->status == ERR_OK, "piece %zu: %s", i, r->msg);
  if (i == 0)
    first = arena_strdup(&mem, r->data);
  else
    ck_assert_msg(strcmp(r->data, first) == 0, "piece %zu: other records", i);
  return ERR_OK;
}

START_TEST(exec_simgrid_prepare__other_bandwidths__same_records_as_without) {
  fx_chip c = CHIP;
  c.dram_fatpipe = _i == 1;
  platform made = fx_platform(&c, &mem), other = other_bandwidths(_i == 1);
  ck_assert(made.links[0].fatpipe == (_i == 1));
  ck_assert(exec_simgrid_alike(&made, &other));
  err e = {0};
  ck_assert_msg(jobs_run(3, 1, simulate, compare, &made, &e) == ERR_OK, "%s", e.msg);
  ck_assert_ptr_nonnull(strstr(first, "0x1")); /* times are not all 0 */
}
END_TEST

enum { REPEATS = 12 };

/* The k-th platform: alike all, quiet streams on some, flows on others. */
static platform kth_platform(const fx_chip *chip, size_t k) {
  fx_chip c = *chip;
  c.dram_Bps *= 1 + (double)(k % 3);
  c.bus_Bps /= 1 + (double)(k % 5);
  c.port_Bps /= 1 + (double)(k % 2);
  return fx_platform(&c, &mem);
}

static const fx_chip *repeated;

/* Piece k < REPEATS is simulation k in a process of its own; the last one is all of them. */
static int simulate_kth(void *ctx, size_t i, out *result, err *e) {
  (void)ctx, (void)e;
  const char *policies[] = {"heft", "eager", "lws"};
  const dag *d = some_work(repeated->pad_B > 0);
  for (size_t k = 0; k < REPEATS; k++) {
    if (i < REPEATS && i != k) continue;
    platform p = kth_platform(repeated, k);
    print_records(d, &p, policies[k % 3], result);
  }
  return ERR_OK;
}

static out *apart; /* what the processes of one simulation said */

static int collect(void *ctx, size_t i, const jobs_result *r, err *e) {
  (void)ctx, (void)e;
  ck_assert_msg(r->status == ERR_OK, "piece %zu: %s", i, r->msg);
  if (i < REPEATS)
    out_write(apart, r->data, r->len);
  else
    ck_assert_msg(strcmp(r->data, out_text(apart, NULL)) == 0, "other records");
  return ERR_OK;
}

START_TEST(exec_simgrid_again__many_in_a_process__records_of_fresh_ones) {
  fx_chip c = CHIP;
  c.dram_fatpipe = _i == 1;
  c.apart = _i == 2;
  if (_i == 3) { /* two streams that meet: an engine's second one has an actor of its own */
    c.pad_B = 1 << 20;
    c.pad_by_port = true;
  }
  repeated = &c;
  apart = out_memory();
  err e = {0};
  ck_assert_msg(jobs_run(REPEATS + 1, 2, simulate_kth, collect, NULL, &e) == ERR_OK, "%s", e.msg);
  size_t len;
  (void)out_text(apart, &len);
  ck_assert_uint_gt(len, 0);
  out_abort(apart);
}
END_TEST

START_TEST(exec_simgrid_again__unlike_or_after_a_failure__no) {
  platform p = fx_platform(&CHIP, &mem), unlike = fx_platform(&CHIP, &mem);
  const dag *d = some_work(false);
  err e = {0};
  ck_assert(plat_set(&unlike, "engines=2", &mem, &e) == ERR_OK);
  ck_assert(exec_simgrid_again(&p) && exec_simgrid_again(&unlike));
  (void)fx_run(FX_SIMGRID, d, &p, "heft", 2, true, &mem);
  ck_assert(exec_simgrid_again(&p));
  ck_assert(!exec_simgrid_again(&unlike));
  machine_options opt = {.prefetch = 2};
  ck_assert_int_eq(exec_simgrid(d, &p, &rig_idle, &opt, NULL, &mem, &e), ERR_INTERNAL);
  ck_assert(!exec_simgrid_again(&p));
}
END_TEST

static bool alike_but(const char *set) {
  platform a = fx_platform(&CHIP, &mem), b = fx_platform(&CHIP, &mem);
  err e = {0};
  ck_assert_msg(plat_set(&b, set, &mem, &e) == ERR_OK, "%s", e.msg);
  ck_assert_int_eq(exec_simgrid_alike(&a, &b), exec_simgrid_alike(&b, &a));
  return exec_simgrid_alike(&a, &b);
}

START_TEST(exec_simgrid_alike__what_simgrid_cannot_change_later__differs) {
  ck_assert(alike_but("dram.bandwidth=3GBps"));
  ck_assert(alike_but("sram.latency=3ns"));
  ck_assert(alike_but("engine.speed=3Tf"));
  ck_assert(alike_but("sram.capacity=3MiB"));
  ck_assert(!alike_but("engines=4"));
  ck_assert(!alike_but("engines=2"));
  ck_assert(!alike_but("dma.channels=3"));
  fx_chip c = CHIP;
  platform a = fx_platform(&c, &mem);
  c.dram_fatpipe = true;
  platform fat = fx_platform(&c, &mem);
  ck_assert(!exec_simgrid_alike(&a, &fat));
  c.dram_fatpipe = false;
  c.apart = true; /* the same links and hosts, other routes */
  platform routed = fx_platform(&c, &mem);
  ck_assert(!exec_simgrid_alike(&a, &routed));
}
END_TEST

START_TEST(exec_simgrid_alike__another_name__differs) {
  platform a = fx_platform(&CHIP, &mem), b = fx_platform(&CHIP, &mem);
  b.links[0].name = "other";
  ck_assert(!exec_simgrid_alike(&a, &b));
  b = fx_platform(&CHIP, &mem);
  b.dram.name = "other";
  ck_assert(!exec_simgrid_alike(&a, &b));
}
END_TEST

int main(void) {
  Suite *s = suite_create("prepare");
  TCase *t = tcase_create("alike");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_loop_test(t, exec_simgrid_prepare__other_bandwidths__same_records_as_without, 0, 2);
  tcase_add_test(t, exec_simgrid_alike__what_simgrid_cannot_change_later__differs);
  tcase_add_test(t, exec_simgrid_alike__another_name__differs);
  tcase_add_loop_test(t, exec_simgrid_again__many_in_a_process__records_of_fresh_ones, 0, 4);
  tcase_add_test(t, exec_simgrid_again__unlike_or_after_a_failure__no);
  suite_add_tcase(s, t);
  return suite_run(s);
}
