/* A simulation in a process that was prepared for a platform that is alike is the simulation that
 * it would be without: the same events, to the bit. */
#include <check.h>
#include <string.h>

#include "sim/jobs.h"
#include "tests/fixture.h"
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

static dag *some_work(void) {
  dag *d = dag_new(&mem);
  for (int chain = 0; chain < 4; chain++) {
    uint32_t x = OBS_NONE;
    for (int i = 0; i < 8; i++) x = fx_matmul(d, x, fx_weight(d, 100, 100), 100, 100, DAG_NO_GROUP);
    fx_store(d, x);
  }
  return d;
}

/* Piece 0 is not prepared, the others are: all at work on the other platform. */
static int simulate(void *ctx, size_t i, out *result, err *e) {
  const platform *made = ctx;
  platform p = other_bandwidths(made->links[0].fatpipe);
  const dag *d = some_work();
  if (i > 0 && exec_simgrid_prepare(i == 1 ? made : NULL, e)) return e->status;
  timeline *tl = fx_run(FX_SIMGRID, d, &p, "heft", 2, true, &mem);
  for (size_t t = 0; t < d->n_tasks; t++) {
    const tl_record *x = &tl->records[t];
    out_printf(result, "%a %a %a %a %u\n", x->start_s, x->flow_start_s, x->flow_end_s, x->end_s,
               x->resource);
  }
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
  suite_add_tcase(s, t);
  return suite_run(s);
}
