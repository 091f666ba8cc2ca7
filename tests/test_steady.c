/* No idle pipe: a memory-bound decode keeps the DRAM link busy. Read off the timeline of one
 * LLaMA-3.2-1B block on npu4.
 *
 * Busy is a time at which at least one transfer streams on the link; its setup and latency are not
 * streaming. What is asked of is the time from the start of the first load to the end of the last.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/estimate.h"
#include "tests/fixture.h"
#include "tests/suite.h"
#include "workloads/block.h"

static arena mem;

static void setup(void) {
  mem = (arena){0};
}

static void teardown(void) {
  arena_free(&mem);
}

typedef struct span {
  double from_s, to_s;
} span;

static int by_begin(const void *a, const void *b) {
  const span *x = a, *y = b;
  return (x->from_s > y->from_s) - (x->from_s < y->from_s);
}

static bool crosses(const plat_route *r, uint32_t link) {
  for (uint32_t i = 0; r != NULL && i < r->n_links; i++)
    if (r->link[i] == link) return true;
  return false;
}

/* The share of the time between the first load's start and the last one's end at which something
 * streams on the link. */
static double busy_share(const timeline *tl, uint32_t link) {
  span *flow = ARENA_NEW(&mem, span, tl->dag->n_tasks), loads = {INFINITY, 0};
  size_t n = 0;
  for (uint32_t t = 0; t < tl->dag->n_tasks; t++) {
    const tl_record *x = &tl->records[t];
    if (crosses(x->route, link)) flow[n++] = (span){x->flow_start_s, x->flow_end_s};
    if (op_kind_of((op)tl->dag->tasks[t].op) != OP_LOAD) continue;
    loads.from_s = fmin(loads.from_s, x->start_s);
    loads.to_s = fmax(loads.to_s, x->end_s);
  }
  qsort(flow, n, sizeof *flow, by_begin);
  double busy_s = 0, done_s = loads.from_s;
  for (size_t i = 0; i < n; i++) {
    double from = fmax(flow[i].from_s, done_s), to = fmin(flow[i].to_s, loads.to_s);
    if (to > from) busy_s += to - from, done_s = to;
  }
  return busy_s / (loads.to_s - loads.from_s);
}

static const struct {
  const char *dtype;
  uint64_t past;
} CASE[] = {{"bf16", 4}, {"bf16", 1024}, {"bf16", 4096},
            {"int8", 4}, {"int8", 1024}, {"int8", 4096}};
enum { CASES = sizeof CASE / sizeof CASE[0], SPLITS = 2 };

static timeline *decode(size_t i, wl_split split, platform *p) {
  err e = {0};
  model m;
  dag *d;
  wl_options o = wl_defaults();
  ck_assert_msg(model_load("llama-3.2-1b", &m, &mem, &e) == ERR_OK, "%s", e.msg);
  ck_assert_msg(plat_load("npu4", p, &mem, &e) == ERR_OK, "%s", e.msg);
  ck_assert_int_eq(wl_dtype_parse(CASE[i].dtype, &o.weight_dtype, &o.act_dtype, &o.kv_dtype, &e),
                   ERR_OK);
  o.past = CASE[i].past;
  o.split = split;
  wl_target target = {.engines = (uint32_t)p->n_engines,
                      .sram_B = (uint64_t)p->srams[0].capacity_B};
  ck_assert_msg(wl_compile(&m, &o, &target, &d, &mem, &e) == ERR_OK, "%s", e.msg);
  return fx_run((fx_backend)(fx_backends - 1), d, p, "heft", 2, false, &mem);
}

START_TEST(dram_link__memory_bound_decode__streams_99_percent_of_the_time) {
  wl_split split = _i % SPLITS == 0 ? WL_HEAD : WL_TILE;
  size_t i = (size_t)_i / SPLITS;
  platform p;
  timeline *tl = decode(i, split, &p);
  uint32_t link = 0;
  while (link < p.n_links && strcmp(p.links[link].name, "dram_bus") != 0) link++;
  ck_assert_uint_lt(link, p.n_links);
  ck_assert_str_eq(est_bounds(&p, tl->dag, &mem).binding, "dram_bus"); /* it is memory-bound */
  double share = busy_share(tl, link);
  ck_assert_msg(share >= 0.99, "%s, past %u, split %s: the link streams %.3f %% of the time",
                CASE[i].dtype, (unsigned)CASE[i].past, wl_split_name(split), 100 * share);
}
END_TEST

/* What is measured, by hand: two loads of 500 B at 1 GB/s on one channel, each after 1 us of setup
 * and 0.5 us of latency: 1 of 4 us. With two channels the setups overlap, as the loads are shorter
 * than half of them: both stream from 1.5 us on, for 1 us: 1 of 2.5 us. */
START_TEST(busy_share__two_loads__is_the_time_that_data_flows) {
  for (uint32_t channels = 1; channels <= 2; channels++) {
    platform p = fx_platform(
        &(fx_chip){.channels = channels, .setup_s = 1e-6, .dram_latency_s = 5e-7}, &mem);
    dag *d = dag_new(&mem);
    fx_load(d, 500);
    fx_load(d, 500);
    timeline *tl = fx_run(FX_FLUID, d, &p, "heft", 2, false, &mem);
    double expected = channels == 1 ? 1 / 4.0 : 1 / 2.5;
    ck_assert_double_eq_tol(busy_share(tl, 0), expected, 1e-9);
  }
}
END_TEST

int main(void) {
  Suite *s = suite_create("steady");
  TCase *t = tcase_create("dram link");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, busy_share__two_loads__is_the_time_that_data_flows);
  tcase_add_loop_test(t, dram_link__memory_bound_decode__streams_99_percent_of_the_time, 0,
                      CASES * SPLITS);
  suite_add_tcase(s, t);
  return suite_run(s);
}
