/* Scratchpads beside a shared SRAM: times on paper on both backends, who may run what, room in each
 * SRAM, and the figures of the report. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/report.h"
#include "tests/fixture.h"
#include "tests/suite.h"

/* As in test_exec.c: SimGrid drifts by a few 1e-13 a step. */
#define TOLERANCE 1e-11

#define ck_time(got, want)                                                                         \
  ck_assert_msg(fabs((got) - (want)) <= TOLERANCE * fmax(1e-9, fabs(want)),                        \
                "%s is %.17g s, want %.17g s (off %.3g)", #got, (double)(got), (double)(want),     \
                (double)((got) - (want)))

static arena mem;
static dag *d;

static void setup(void) {
  mem = (arena){0};
  d = dag_new(&mem);
}

static void teardown(void) {
  arena_free(&mem);
}

enum { PAD0 = DAG_SRAM + 1, PAD1 };

static double span(const timeline *tl, uint32_t task) {
  return tl->records[task].end_s - tl->records[task].start_s;
}

START_TEST(move__alone__is_setup_and_bytes_over_the_route_without_dram_efficiency) {
  platform p = fx_platform(
      &(fx_chip){.pad_B = 1 << 20, .bus_Bps = 4e9, .dram_efficiency = 0.5, .setup_s = 2e-7}, &mem);
  fx_move(d, fx_load(d, 1000000), PAD0);
  timeline *tl = fx_run((fx_backend)_i, d, &p, "heft", 2, false, &mem);
  ck_time(span(tl, 0), 2e-7 + 1e6 / (0.5 * 1e9));
  ck_time(span(tl, 1), 2e-7 + 1e6 / 4e9);
  ck_time(tl->makespan_s, 2 * 2e-7 + 1e6 / (0.5 * 1e9) + 1e6 / 4e9);
}
END_TEST

/* MatMul 1x500x1000: x (1000 B) and y (500 B) in the shared SRAM, w (500000 B) in the scratchpad */
static double two_streams(fx_backend b, const fx_chip *c) {
  platform p = fx_platform(c, &mem);
  uint32_t w = fx_move(d, fx_weight(d, 500, 1000), PAD0);
  fx_matmul(d, OBS_NONE, w, 500, 1000, DAG_NO_GROUP);
  timeline *tl = fx_run(b, d, &p, "heft", 2, false, &mem);
  const uint32_t task = 3;
  cost k = cost_of(d, task);
  ck_time(span(tl, task), est_compute(&p, d, task, &k, 0).alone_s);
  ck_assert_ptr_ne(tl->records[task].route, tl->records[task].route2);
  ck_assert_uint_eq(tl->records[task].flow_B + tl->records[task].flow2_B, 501500);
  return span(tl, task);
}

START_TEST(streams__from_two_srams__the_slower_counts) {
  fx_chip c = {.pad_B = 1 << 20, .overhead_s = 5e-7, .pad_Bps = 1e9, .port_Bps = 1e8};
  ck_time(two_streams((fx_backend)_i, &c), 5e-7 + 500000 / 1e9);
}
END_TEST

START_TEST(streams__from_two_srams__the_shared_one_may_be_the_slower) {
  fx_chip c = {.pad_B = 1 << 20, .overhead_s = 5e-7, .pad_Bps = 1e12, .port_Bps = 1e8};
  ck_time(two_streams((fx_backend)_i, &c), 5e-7 + 1500 / 1e8);
}
END_TEST

START_TEST(streams__from_two_srams__each_with_its_own_latency) {
  fx_chip c = {.pad_B = 1 << 20, .pad_Bps = 1e11, .port_Bps = 1e9, .pad_latency_s = 3e-6};
  ck_time(two_streams((fx_backend)_i, &c), 3e-6 + 500000 / 1e11);
}
END_TEST

START_TEST(streams__from_two_srams_and_arithmetic__the_slowest_counts) {
  fx_chip c = {.pad_B = 1 << 20, .speed = 1e9, .pad_Bps = 1e9};
  ck_time(two_streams((fx_backend)_i, &c), 1e6 / 1e9);
}
END_TEST

/* both cross the engine's port: it carries all bytes at its rate, whoever is first */
START_TEST(streams__that_share_a_port__sum_up_there) {
  fx_chip c = {.pad_B = 1 << 20, .port_Bps = 1e9, .pad_by_port = true};
  ck_time(two_streams((fx_backend)_i, &c), 501500 / 1e9);
}
END_TEST

/* Two channels load and move four tiles each 1 ms long on the DRAM: moves must not make the DRAM
 * stand still, so that the loads end at 4 ms sharp. */
START_TEST(dma__loads_and_moves_on_several_channels__dram_never_idles) {
  platform p = fx_platform(&(fx_chip){.pad_B = 1 << 24, .channels = 2, .bus_Bps = 4e9}, &mem);
  uint32_t loads[4];
  for (int i = 0; i < 4; i++) {
    loads[i] = (uint32_t)d->n_tasks;
    fx_move(d, fx_load(d, 1000000), PAD0);
  }
  timeline *tl = fx_run((fx_backend)_i, d, &p, "heft", 2, false, &mem);
  double last = 0;
  for (int i = 0; i < 4; i++) last = fmax(last, tl->records[loads[i]].end_s);
  ck_time(last, 4e-3);
  ck_time(tl->links[0].active_s, 4e-3);
}
END_TEST

/* Who runs what. */

static void refused(const platform *p, const char *want) {
  err e = {0};
  timeline *tl;
  for (size_t i = 0; i < pol_count(); i++) {
    e = (err){0};
    ck_assert_int_eq(fx_try(FX_FLUID, d, p, pol_at(i)->name, 2, false, &tl, &mem, &e), ERR_NO);
    ck_assert_msg(strstr(e.msg, want) != NULL, "want '%s', got: %s", want, e.msg);
  }
}

START_TEST(tasks__with_weights_in_a_scratchpad__run_on_its_engine_under_every_policy) {
  platform p = fx_platform(&(fx_chip){.engines = 3, .pad_B = 1 << 20, .channels = 2}, &mem);
  uint32_t x = fx_load(d, 100);
  for (int i = 0; i < 12; i++) {
    uint32_t w = fx_weight(d, 100, 100);
    uint32_t group = i % 2 == 0 ? DAG_NO_GROUP : (uint32_t)i % 3;
    fx_matmul(d, x, i % 4 == 3 ? w : fx_move(d, w, PAD0 + i % 3), 100, 100, group);
  }
  for (size_t k = 0; k < pol_count(); k++) {
    timeline *tl = fx_run(FX_FLUID, d, &p, pol_at(k)->name, 2, false, &mem);
    for (uint32_t t = 0; t < d->n_tasks; t++) {
      if (d->tasks[t].op != OP_MATMUL) continue;
      uint32_t space = d->tensors[dag_reads(d, &d->tasks[t])[1].tensor].space;
      uint32_t g = d->tasks[t].group;
      if (space != DAG_SRAM) ck_assert_uint_eq(tl->records[t].resource, space - PAD0);
      if (g != DAG_NO_GROUP) ck_assert_uint_eq(tl->records[t].resource, g);
    }
  }
}
END_TEST

START_TEST(task__with_operands_in_two_scratchpads__refused_with_where_they_are) {
  platform p = fx_platform(&(fx_chip){.engines = 2, .pad_B = 1 << 20}, &mem);
  uint32_t w = fx_move(d, fx_weight(d, 10, 10), PAD0), x = fx_move(d, fx_load(d, 10), PAD1);
  fx_matmul_in(d, PAD0, x, w, 10, 10, DAG_NO_GROUP);
  refused(&p,
          "infeasible: no engine reaches all operands of task 4 'MatMul mm' ('there' in 'pad1', "
          "'there' in 'pad0')");
}
END_TEST

START_TEST(task__with_operands_in_three_srams__refused) {
  platform p = fx_platform(&(fx_chip){.engines = 2, .pad_B = 1 << 20}, &mem);
  uint32_t w = fx_move(d, fx_weight(d, 10, 10), PAD0), x = fx_move(d, fx_load(d, 10), PAD1);
  fx_matmul(d, x, w, 10, 10, DAG_NO_GROUP);
  refused(&p, "has operands in more than two srams ('there' in 'pad1', 'there' in 'pad0', 'y' in "
              "'sram')");
}
END_TEST

START_TEST(group__with_tasks_in_two_scratchpads__refused) {
  platform p = fx_platform(&(fx_chip){.engines = 2, .pad_B = 1 << 20}, &mem);
  uint32_t x = fx_load(d, 10);
  fx_matmul(d, x, fx_move(d, fx_weight(d, 10, 10), PAD0), 10, 10, 0);
  fx_matmul(d, x, fx_move(d, fx_weight(d, 10, 10), PAD1), 10, 10, 0);
  refused(&p, "group 0 is to run on one engine");
}
END_TEST

START_TEST(transfer__without_a_route__refused) {
  platform p = fx_platform(&(fx_chip){.pad_B = 1 << 20}, &mem);
  fx_weight_in(d, PAD0, 10, 10);
  refused(&p, "infeasible: task 0 'LoadWeight load' goes from 'dram' to 'pad0', and platform 'fx' "
              "has no route that way");
}
END_TEST

START_TEST(tensor__in_an_sram_that_is_not_there__refused) {
  platform p = fx_platform(&(fx_chip){.engines = 2}, &mem);
  fx_move(d, fx_load(d, 10), PAD1);
  refused(&p, "is in sram2, but platform 'fx' has 1 sram");
}
END_TEST

/* Room. */

START_TEST(sram__each_has_its_own_room__one_byte_less_is_refused_by_name) {
  uint32_t x = fx_load(d, 1000);
  for (int i = 0; i < 3; i++)
    fx_matmul(d, x, fx_move(d, fx_weight(d, 1000, 1000), PAD0), 1000, 1000, DAG_NO_GROUP);
  /* shared: x, a tile on its way, or x and all of y; the scratchpad holds the tile in use */
  platform p = fx_platform(&(fx_chip){.pad_B = 1000000, .sram_B = 1001000}, &mem);
  platform q = p;
  q.srams = ARENA_NEW(&mem, plat_memory, 2);
  memcpy(q.srams, p.srams, 2 * sizeof *q.srams);
  q.srams[1].capacity_B--;
  refused(&q, "in 'pad0' (there 976.6 KiB), capacity");
  q.srams[1].capacity_B++, q.srams[0].capacity_B--;
  refused(&q, "in 'sram' (");
  for (size_t i = 0; i < pol_count(); i++) {
    timeline *tl = fx_run(FX_FLUID, d, &p, pol_at(i)->name, 2, false, &mem);
    ck_assert_uint_eq(tl->high_water_B[0], 1001000);
    ck_assert_uint_eq(tl->high_water_B[1], 1000000);
  }
}
END_TEST

START_TEST(report__of_a_run_with_moves__counts_them_and_each_srams_energy) {
  platform p = fx_platform(&(fx_chip){.pad_B = 1 << 20}, &mem);
  p.srams[0].energy_J = 2e-12, p.srams[1].energy_J = 1e-12, p.dram.energy_J = 40e-12;
  uint32_t x = fx_load(d, 100);
  fx_matmul(d, x, fx_move(d, fx_weight(d, 100, 100), PAD0), 100, 100, DAG_NO_GROUP);
  timeline *tl = fx_run(FX_FLUID, d, &p, "heft", 2, true, &mem);
  bounds b = est_bounds(&p, d, &mem);
  report r = report_make(tl, &b, &mem);
  ck_assert_uint_eq(r.totals.move, 1);
  ck_assert_uint_eq(r.totals.moved, 10000);
  ck_assert_uint_eq(r.memory[0].high_water_B, 10100);
  ck_assert_uint_eq(r.memory[1].high_water_B, 10000);
  /* shared: x and tile loaded, tile moved out, x and y streamed; pad: tile moved in and streamed */
  ck_time(r.energy_sram_J * 1e6, (2 * (100 + 10000 + 10000 + 200) + 1 * (10000 + 10000)) * 1e-6);
  ck_time(r.energy_dram_J * 1e6, 40 * 10100 * 1e-6);
  double sum = 0;
  for (int i = 0; i < ATTR_COUNT; i++) sum += r.attr.cause_s[i];
  ck_time(sum, tl->makespan_s);
  tl_free(tl);
}
END_TEST

int main(void) {
  Suite *s = suite_create("pads");
  TCase *t = tcase_create("pads");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_loop_test(t, move__alone__is_setup_and_bytes_over_the_route_without_dram_efficiency, 0,
                      fx_backends);
  tcase_add_loop_test(t, streams__from_two_srams__the_slower_counts, 0, fx_backends);
  tcase_add_loop_test(t, streams__from_two_srams__the_shared_one_may_be_the_slower, 0, fx_backends);
  tcase_add_loop_test(t, streams__from_two_srams__each_with_its_own_latency, 0, fx_backends);
  tcase_add_loop_test(t, streams__from_two_srams_and_arithmetic__the_slowest_counts, 0,
                      fx_backends);
  tcase_add_loop_test(t, streams__that_share_a_port__sum_up_there, 0, fx_backends);
  tcase_add_loop_test(t, dma__loads_and_moves_on_several_channels__dram_never_idles, 0,
                      fx_backends);
  tcase_add_test(t, tasks__with_weights_in_a_scratchpad__run_on_its_engine_under_every_policy);
  tcase_add_test(t, task__with_operands_in_two_scratchpads__refused_with_where_they_are);
  tcase_add_test(t, task__with_operands_in_three_srams__refused);
  tcase_add_test(t, group__with_tasks_in_two_scratchpads__refused);
  tcase_add_test(t, transfer__without_a_route__refused);
  tcase_add_test(t, tensor__in_an_sram_that_is_not_there__refused);
  tcase_add_test(t, sram__each_has_its_own_room__one_byte_less_is_refused_by_name);
  tcase_add_test(t, report__of_a_run_with_moves__counts_them_and_each_srams_energy);
  suite_add_tcase(s, t);
  return suite_run(s);
}
