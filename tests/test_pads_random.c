/* What every run must satisfy on chips with scratchpads, over DAGs made by hand that keep tensors
 * in all SRAMs and move them about. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/order.h"
#include "sim/report.h"
#include "tests/fixture.h"
#include "tests/suite.h"

/* Under the sanitizers a case takes ten times as long; they look for other faults. */
#ifdef TESTS_WITH_SIMGRID
enum { CASES = 120, PEAKS = 60 };
#else
enum { CASES = 30, PEAKS = 16 };
#endif

static arena mem;

static void setup(void) {
  mem = (arena){0};
}

static void teardown(void) {
  arena_free(&mem);
}

enum { PAD0 = DAG_SRAM + 1, STEPS = 40 };

static fx_chip random_chip(fx_random *r) {
  fx_chip c = {.engines = (uint32_t)fx_range(r, 1, 5), .pad_B = 1 << 30};
  c.speed = exp(log(1e9) + fx_unit(r) * log(1e4));
  c.vector_rate = c.speed / 16;
  c.overhead_s = fx_unit(r) * 1e-6;
  c.port_Bps = exp(log(1e9) + fx_unit(r) * log(1e2));
  c.port_latency_s = fx_range(r, 0, 1) == 0 ? 0 : fx_unit(r) * 1e-7;
  c.pad_Bps = exp(log(1e9) + fx_unit(r) * log(1e2));
  c.pad_latency_s = fx_range(r, 0, 1) == 0 ? 0 : fx_unit(r) * 1e-6;
  c.bus_Bps = exp(log(1e9) + fx_unit(r) * log(1e3));
  c.dram_Bps = exp(log(1e9) + fx_unit(r) * log(1e2));
  c.dram_latency_s = fx_unit(r) * 2e-7;
  c.dram_efficiency = 0.5 + fx_unit(r) / 2;
  c.channels = (uint32_t)fx_range(r, 1, 4);
  c.setup_s = fx_unit(r) * 3e-7;
  c.pad_from_dram = fx_range(r, 0, 1) == 0;
  c.pad_by_port = fx_range(r, 0, 2) == 0;
  c.pads_only = fx_range(r, 0, 4) == 0;
  if (fx_range(r, 0, 1) == 0) c.side_Bps = exp(log(1e9) + fx_unit(r) * log(1e3));
  return c;
}

/* Weights to a space, on a way that the chip has. */
static uint32_t weights(dag *d, fx_random *r, const fx_chip *c, int space, uint64_t N, uint64_t K) {
  if (space == DAG_SRAM || (c->pad_from_dram && fx_range(r, 0, 1) == 0))
    return fx_weight_in(d, space, N, K);
  return fx_move(d, fx_weight(d, N, K), space);
}

/* A DAG of matmuls, moves and stores of random sizes and places, so that no two things happen at
 * the same time. Groups keep to one scratchpad each. */
static dag *random_dag(fx_random *r, const fx_chip *c) {
  dag *d = dag_new(&mem);
  uint32_t made[STEPS];
  uint64_t width[STEPS];
  bool moved[STEPS] = {false};
  for (uint32_t i = 0; i < STEPS; i++) {
    uint32_t from = i == 0 ? 0 : (uint32_t)fx_range(r, 0, i - 1);
    uint32_t e = (uint32_t)fx_range(r, 0, c->engines - 1);
    int pad = PAD0 + (int)e, near[2] = {pad, c->pads_only ? pad : DAG_SRAM};
    int at = i == 0 ? DAG_DRAM : d->tensors[made[from]].space;
    bool far = at != near[0] && at != near[1];
    bool fresh = i == 0 || fx_range(r, 0, 3) == 0 || (far && moved[from]);
    uint64_t K = fresh ? fx_range(r, 100, 3000) : width[from], N = fx_range(r, 100, 3000);
    int space = near[fx_range(r, 0, 1)];
    uint32_t x = fresh ? weights(d, r, c, space, 1, K) : made[from];
    if (!fresh && far) x = fx_move(d, x, space), moved[from] = true;
    uint32_t w = weights(d, r, c, near[fx_range(r, 0, 1)], N, K);
    uint32_t group = fx_range(r, 0, 2) == 0 ? 2 * e + (uint32_t)fx_range(r, 0, 1) : DAG_NO_GROUP;
    made[i] = fx_matmul_in(d, near[fx_range(r, 0, 1)], x, w, N, K, group);
    width[i] = N;
    if (fx_range(r, 0, 4) > 0) continue;
    bool stored = d->tensors[made[i]].space == DAG_SRAM || c->pad_from_dram;
    moved[i] = !stored;
    fx_store(d, stored ? made[i] : fx_move(d, made[i], DAG_SRAM));
  }
  return d;
}

/* Every engine reaches what it works on; nothing starts before its inputs are there or takes less
 * than alone; room, bounds and attribution hold. */
static void check_run(const dag *d, const platform *p, const timeline *tl) {
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const tl_record *x = &tl->records[t];
    ck_assert_uint_ne(x->resource, OBS_NONE);
    for (uint32_t i = 0; i < d->tasks[t].n_deps; i++)
      ck_assert_double_ge(x->start_s, tl->records[dag_deps(d, &d->tasks[t])[i]].end_s);
    cost k = cost_of(d, t);
    bool compute = op_kind_of((op)d->tasks[t].op) == OP_COMPUTE;
    est_parts alone =
        compute ? est_compute(p, d, t, &k, x->resource) : est_transfer(p, d, t, &k, 0);
    ck_assert(isfinite(alone.alone_s));
    /* the difference of two times of a clock that stands at the makespan in the end */
    ck_assert_double_ge(x->end_s - x->start_s, alone.alone_s * (1 - 1e-9) - 1e-12 * tl->makespan_s);
  }
  for (size_t s = 0; s < p->n_srams; s++)
    ck_assert_double_le((double)tl->high_water_B[s], p->srams[s].capacity_B);
  for (uint32_t l = 0; l < p->n_links; l++) {
    double at_full = (double)tl->links[l].bytes / p->links[l].bandwidth_Bps;
    ck_assert_double_le(at_full, tl->links[l].active_s * (1 + 1e-9) + 1e-15);
  }
  bounds b = est_bounds(p, d, &mem);
  ck_assert_double_le(b.lower_s, tl->makespan_s * (1 + 1e-9));
  attribution at = attr_walk(tl, &mem);
  double sum = 0;
  for (int i = 0; i < ATTR_COUNT; i++) sum += at.cause_s[i];
  ck_assert_double_le(fabs(sum - tl->makespan_s), 1e-9 * tl->makespan_s);
}

static void check_same(const dag *d, const platform *p, const timeline *fluid, const timeline *tl) {
  double eps = 1e-9 * tl->makespan_s;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const tl_record *a = &tl->records[t], *b = &fluid->records[t];
    ck_assert_uint_eq(a->resource, b->resource);
    ck_assert_double_le(fabs(a->start_s - b->start_s), eps);
    ck_assert_double_le(fabs(a->flow_start_s - b->flow_start_s), eps);
    ck_assert_double_le(fabs(a->flow_end_s - b->flow_end_s), eps);
    ck_assert_double_le(fabs(a->end_s - b->end_s), eps);
  }
  for (size_t i = 1; i < tl->n_log; i++) ck_assert_double_ge(tl->log[i].t_s, tl->log[i - 1].t_s);
  for (size_t s = 0; s < p->n_srams; s++)
    ck_assert_uint_eq(tl->high_water_B[s], fluid->high_water_B[s]);
  for (uint32_t l = 0; l < p->n_links; l++) {
    ck_assert_uint_eq(tl->links[l].bytes, fluid->links[l].bytes);
    ck_assert_double_le(fabs(tl->links[l].active_s - fluid->links[l].active_s), 10 * eps);
  }
}

START_TEST(run__random_dag_on_scratchpads__satisfies_the_model_on_both_backends) {
  fx_random r = {(uint64_t)_i + 991};
  fx_chip chip = random_chip(&r);
  dag *d = random_dag(&r, &chip);
  err e = {0};
  ck_assert_msg(dag_check(d, "random", &e) == ERR_OK, "%s", e.msg);
  chip.sram_B = fx_range(&r, 15000000, 60000000);
  chip.pad_B = fx_range(&r, 15000000, 60000000);
  platform p = fx_platform(&chip, &mem);
  const char *name = pol_at(fx_range(&r, 0, pol_count() - 1))->name;
  uint32_t prefetch = (uint32_t)fx_range(&r, 0, 3);
  timeline *fluid;
  int status = fx_try(FX_FLUID, d, &p, name, prefetch, true, &fluid, &mem, &e);
  if (status == ERR_NO && strstr(e.msg, "short") != NULL) { /* too small for this one */
    for (size_t s = 0; s < p.n_srams; s++) p.srams[s].capacity_B = 1e9;
    fluid = fx_run(FX_FLUID, d, &p, name, prefetch, true, &mem);
  }
  check_run(d, &p, fluid);
  if (fx_backends > 1) {
    timeline *tl = fx_run(FX_SIMGRID, d, &p, name, prefetch, true, &mem);
    check_run(d, &p, tl);
    check_same(d, &p, fluid, tl);
    tl_free(tl);
  }
  tl_free(fluid);
}
END_TEST

/* Nothing overlaps: the makespan is the sum of the tasks, but for what two streams of one task take
 * from each other. */
START_TEST(serial__random_dag_on_scratchpads__sum_of_all_tasks) {
  fx_random r = {(uint64_t)_i + 5150};
  fx_chip chip = random_chip(&r);
  chip.pad_by_port = false;
  platform p = fx_platform(&chip, &mem);
  dag *d = random_dag(&r, &chip);
  timeline *tl = fx_run((fx_backend)(fx_backends - 1), d, &p, "serial", 2, false, &mem);
  double sum = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    cost k = cost_of(d, t);
    bool compute = op_kind_of((op)d->tasks[t].op) == OP_COMPUTE;
    sum += compute ? est_compute(&p, d, t, &k, tl->records[t].resource).alone_s
                   : est_transfer(&p, d, t, &k, 0).alone_s;
  }
  ck_assert_double_le(fabs(tl->makespan_s - sum), 1e-9 * sum);
}
END_TEST

/* Each SRAM just large enough for program order: no policy, no prefetch may deadlock. */
START_TEST(sram__exactly_the_peaks_of_program_order__every_policy_finishes) {
  fx_random r = {(uint64_t)_i + 31337};
  fx_chip chip = random_chip(&r);
  platform p = fx_platform(&chip, &mem);
  dag *d = random_dag(&r, &chip);
  uint32_t *program = ARENA_NEW(&mem, uint32_t, d->n_tasks);
  size_t n = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++)
    if (op_kind_of((op)d->tasks[t].op) == OP_COMPUTE) program[n++] = t;
  dag_succ succ = dag_successors(d, &mem);
  order full = order_make(d, &succ, program, n, &mem);
  order_profile *planned = order_planned(d, order_buffers(d, &full, &mem), p.n_srams, &mem);
  size_t used = 0;
  for (size_t s = 0; s < p.n_srams; s++) {
    uint64_t peak = 0;
    for (size_t k = 0; k < planned[s].n; k++)
      peak = planned[s].held_B[k] > peak ? planned[s].held_B[k] : peak;
    p.srams[s].capacity_B = (double)(peak > 0 ? peak : 1);
    if (peak > 0 && fx_range(&r, 0, 2) == 0) used = s;
  }
  platform small = p;
  small.srams = ARENA_NEW(&mem, plat_memory, p.n_srams);
  memcpy(small.srams, p.srams, p.n_srams * sizeof *p.srams);
  small.srams[used].capacity_B--;
  for (size_t i = 0; i < pol_count(); i++)
    for (uint32_t prefetch = 0; prefetch <= 100; prefetch = prefetch * 10 + 1) {
      timeline *tl = fx_run(FX_FLUID, d, &p, pol_at(i)->name, prefetch, false, &mem);
      check_run(d, &p, tl);
      err e = {0};
      ck_assert_int_le(fx_try(FX_FLUID, d, &small, pol_at(i)->name, prefetch, false, &tl, &mem, &e),
                       ERR_NO);
    }
}
END_TEST

/* Profiles in pieces say the same as place by place. */
START_TEST(order_planned__in_pieces__agrees_place_by_place) {
  fx_random r = {(uint64_t)_i + 8};
  fx_chip chip = random_chip(&r);
  dag *d = random_dag(&r, &chip);
  dag_succ succ = dag_successors(d, &mem);
  uint32_t *program = ARENA_NEW(&mem, uint32_t, d->n_tasks);
  size_t n = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++)
    if (op_kind_of((op)d->tasks[t].op) == OP_COMPUTE) program[n++] = t;
  order full = order_make(d, &succ, program, n, &mem);
  order_buffer *b = order_buffers(d, &full, &mem);
  order_profile *planned = order_planned(d, b, chip.engines + 1, &mem);
  for (uint32_t s = 0; s <= chip.engines; s++)
    for (size_t k = 0; k < d->n_tasks; k++) {
      uint64_t held = 0;
      for (size_t i = 0; i < d->n_tensors; i++)
        if (b[i].bytes > 0 && b[i].sram == s && b[i].first <= k && k <= b[i].last)
          held += b[i].bytes;
      ck_assert_uint_eq(planned[s].held_B[order_piece(&planned[s], k)], held);
    }
}
END_TEST

int main(void) {
  Suite *s = suite_create("pads_random");
  TCase *t = tcase_create("random");
  tcase_set_timeout(t, 60);
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_loop_test(t, run__random_dag_on_scratchpads__satisfies_the_model_on_both_backends, 0,
                      CASES);
  tcase_add_loop_test(t, serial__random_dag_on_scratchpads__sum_of_all_tasks, 0, PEAKS);
  tcase_add_loop_test(t, sram__exactly_the_peaks_of_program_order__every_policy_finishes, 0, PEAKS);
  tcase_add_loop_test(t, order_planned__in_pieces__agrees_place_by_place, 0, 8);
  suite_add_tcase(s, t);
  return suite_run(s);
}
