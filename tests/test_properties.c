/* What every run must satisfy (the simulation model's properties), over random models, platforms,
 * splits and policies. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/order.h"
#include "sim/report.h"
#include "tests/closed_form.h"
#include "tests/fixture.h"
#include "tests/run_check.h"
#include "tests/suite.h"

enum { CASES = 240 };

static arena mem;

static void setup(void) {
  mem = (arena){0};
}

static void teardown(void) {
  arena_free(&mem);
}

typedef struct random_case {
  model m;
  wl_options o;
  platform p;
  dag *d;
  const char *policy;
  uint32_t prefetch;
} random_case;

static model random_model(fx_random *r) {
  uint64_t kv = fx_range(r, 1, 4), share = fx_range(r, 1, 4), hd = 4 * fx_range(r, 1, 16);
  model m = {.name = "random",
             .source = "test",
             .hidden_size = 8 * fx_range(r, 1, 64),
             .intermediate_size = 8 * fx_range(r, 1, 128),
             .num_hidden_layers = 4,
             .num_attention_heads = kv * share,
             .num_key_value_heads = kv,
             .head_dim = hd,
             .vocab_size = 100,
             .tie_word_embeddings = fx_range(r, 0, 1) == 0,
             .max_position_embeddings = 4096,
             .rms_norm_eps = 1e-5,
             .rope_theta = 1e4};
  return m;
}

static wl_options random_options(fx_random *r) {
  static const dtype DT[] = {DT_F32, DT_F16, DT_BF16, DT_INT8, DT_INT4};
  wl_options o = wl_defaults();
  o.past = fx_range(r, 0, 3) == 0 ? 0 : fx_range(r, 1, 200);
  o.tokens = fx_range(r, 0, 2) > 0 ? 1 : fx_range(r, 2, 9);
  o.batch = fx_range(r, 0, 3) > 0 ? 1 : fx_range(r, 2, 3);
  o.layers = fx_range(r, 1, 2);
  o.weight_dtype = DT[fx_range(r, 0, 4)];
  o.act_dtype = DT[fx_range(r, 0, 3)];
  o.kv_dtype = DT[fx_range(r, 0, 4)];
  o.split = (wl_split)fx_range(r, 0, WL_SPLIT_COUNT - 1);
  if (o.past == 0) o.phase = "prefill";
  o.flash = fx_range(r, 0, 2) == 0;
  if (fx_range(r, 0, 3) == 0) {
    o.phase = "hybrid";
    o.past = 0;
    o.steps = fx_range(r, 1, 3);
  }
  if (fx_range(r, 0, 4) == 0) {
    o.all = true;
    o.layers = 4; /* as many as random_model has */
  }
  return o;
}

static fx_chip random_chip(fx_random *r) {
  fx_chip c = {.engines = (uint32_t)fx_range(r, 1, 9)};
  c.speed = exp(log(1e9) + fx_unit(r) * log(1e4));
  c.vector_rate = c.speed / (double)fx_range(r, 1, 64);
  c.overhead_s = fx_unit(r) * 1e-6;
  c.port_Bps = exp(log(1e9) + fx_unit(r) * log(1e2));
  c.port_latency_s = fx_range(r, 0, 1) == 0 ? 0 : fx_unit(r) * 1e-7;
  c.bus_Bps = exp(log(1e9) + fx_unit(r) * log(1e3));
  c.sram_B = (uint64_t)exp(log(2e3) + fx_unit(r) * log(1e4));
  c.dram_Bps = exp(log(1e9) + fx_unit(r) * log(1e2));
  c.dram_latency_s = fx_unit(r) * 2e-7;
  c.dram_efficiency = 0.5 + fx_unit(r) / 2;
  c.apart = fx_range(r, 0, 1) == 0;
  if (fx_range(r, 0, 2) == 0) c.write_Bps = c.dram_Bps * (0.3 + fx_unit(r));
  c.channels = (uint32_t)fx_range(r, 1, 4);
  c.setup_s = fx_unit(r) * 3e-7;
  static const char *const SHAPE[] = {"1,1,1", "16,16,16", "1,64,32", "8,8,4"};
  c.matrix_shape = SHAPE[fx_range(r, 0, 3)];
  return c;
}

/* A random case that fits: where SRAM is too small it doubles, and that it was too small is
 * checked. */
static random_case make_case(uint64_t seed, timeline **tl) {
  fx_random r = {seed * 7919};
  random_case c = {
      .m = random_model(&r), .o = random_options(&r), .prefetch = (uint32_t)fx_range(&r, 0, 4)};
  c.policy = pol_at(fx_range(&r, 0, pol_count() - 1))->name;
  fx_chip chip = random_chip(&r);
  for (;;) {
    err e = {0};
    c.p = fx_platform(&chip, &mem);
    wl_target target = {.engines = (uint32_t)c.p.n_engines,
                        .sram_B = (uint64_t)c.p.srams[0].capacity_B};
    ck_assert_msg(wl_compile(&c.m, &c.o, &target, &c.d, &mem, &e) == ERR_OK, "%s", e.msg);
    int status = fx_try(FX_FLUID, c.d, &c.p, c.policy, c.prefetch, false, tl, &mem, &e);
    if (status == ERR_OK) return c;
    ck_assert_msg(status == ERR_NO && strstr(e.msg, "short") != NULL, "%s", e.msg);
    chip.sram_B *= 2;
  }
}

static void check_bounds(random_case *c, uint64_t seed) {
  bounds b = est_bounds(&c->p, c->d, &mem);
  fx_random r = {seed};
  static const char *const KEY[] = {"dram_bus.bandwidth", "sram_bus.bandwidth", "port0.bandwidth",
                                    "engine.speed", "engine.vector_rate"};
  const char *key = KEY[fx_range(&r, 0, 4)];
  double now = strcmp(key, "dram_bus.bandwidth") == 0   ? c->p.links[0].bandwidth_Bps
               : strcmp(key, "sram_bus.bandwidth") == 0 ? c->p.links[1].bandwidth_Bps
               : strcmp(key, "port0.bandwidth") == 0    ? c->p.links[2].bandwidth_Bps
               : strcmp(key, "engine.speed") == 0       ? c->p.engines[0].speed_flops
                                                        : c->p.engines[0].vector_rate_flops;
  err e = {0};
  platform faster = c->p;
  int status =
      plat_set(&faster, arena_printf(&mem, "%s=%.17g", key, now * (1 + fx_unit(&r) * 3)), &mem, &e);
  ck_assert_msg(status == ERR_OK, "%s", e.msg);
  ck_assert_double_le(est_bounds(&faster, c->d, &mem).lower_s, b.lower_s * (1 + 1e-12));
}

static void check_splits(const random_case *c) {
  for (int s = 0; s < WL_SPLIT_COUNT; s++) {
    err e = {0};
    wl_options o = c->o;
    o.split = (wl_split)s;
    dag *d;
    wl_target target = {.engines = (uint32_t)c->p.n_engines,
                        .sram_B = (uint64_t)c->p.srams[0].capacity_B};
    ck_assert_msg(wl_compile(&c->m, &o, &target, &d, &mem, &e) == ERR_OK, "%s", e.msg);
    ck_assert_msg(dag_check(d, "random", &e) == ERR_OK, "%s", e.msg);
    cf_check(&c->m, &o, d);
  }
}

START_TEST(run__random_case__satisfies_the_model) {
  timeline *fluid, *tl;
  random_case c = make_case((uint64_t)_i + 1, &fluid);
  tl = fx_run((fx_backend)(fx_backends - 1), c.d, &c.p, c.policy, c.prefetch, false, &mem);
  check_splits(&c);
  run_check(tl, &mem);
  check_bounds(&c, (uint64_t)_i);
  /* the same input gives the same run */
  timeline *again = fx_run(FX_FLUID, c.d, &c.p, c.policy, c.prefetch, false, &mem);
  ck_assert_int_eq(memcmp(again->records, fluid->records, c.d->n_tasks * sizeof *again->records),
                   0);
  if (strcmp(c.policy, "serial") != 0) return;
  double sum = 0;
  for (uint32_t t = 0; t < c.d->n_tasks; t++) {
    cost k = cost_of(c.d, t);
    bool compute = op_kind_of((op)c.d->tasks[t].op) == OP_COMPUTE;
    sum += compute ? est_compute(&c.p, c.d, t, &k, 0).alone_s
                   : est_transfer(&c.p, c.d, t, &k, 0).alone_s;
  }
  ck_assert_double_le(fabs(tl->makespan_s - sum), 1e-9 * sum);
}
END_TEST

/* A DAG of matmuls, transfers and stores of random sizes, so that no two things happen at the same
 * time. */
static dag *random_dag(fx_random *r) {
  dag *d = dag_new(&mem);
  uint32_t made[40];
  uint64_t width[40];
  for (uint32_t i = 0; i < 40; i++) {
    uint32_t from = i == 0 ? 0 : (uint32_t)fx_range(r, 0, i - 1);
    bool fresh = i == 0 || fx_range(r, 0, 3) == 0;
    uint64_t K = fresh ? fx_range(r, 100, 3000) : width[from], N = fx_range(r, 100, 3000);
    uint32_t group = fx_range(r, 0, 2) == 0 ? (uint32_t)fx_range(r, 0, 5) : DAG_NO_GROUP;
    made[i] = fx_matmul(d, fresh ? OBS_NONE : made[from], fx_weight(d, N, K), N, K, group);
    width[i] = N;
    if (fx_range(r, 0, 4) == 0)
      fx_store(d, made[i]);
    else if (fx_range(r, 0, 4) == 0)
      made[i] = fx_round_trip(d, made[i]); /* a load that waits for a store */
  }
  return d;
}

/* The two executors share the control but not the clock: an independent check of every time that
 * SimGrid gives, of the quiet streams' shortcut, and of the order of events. 1e-9: SimGrid's
 * rounding over some hundred steps. */
START_TEST(run__random_dag__simgrid_and_fluid_agree_on_every_task) {
  if (fx_backends < 2) return;
  fx_random r = {(uint64_t)_i + 77};
  dag *d = random_dag(&r);
  fx_chip chip = random_chip(&r);
  chip.sram_B = fx_range(&r, 20000000, 60000000);
  platform p = fx_platform(&chip, &mem);
  const char *name = pol_at(fx_range(&r, 0, pol_count() - 1))->name;
  uint32_t prefetch = (uint32_t)fx_range(&r, 0, 3);
  timeline *fluid = fx_run(FX_FLUID, d, &p, name, prefetch, true, &mem);
  timeline *tl = fx_run(FX_SIMGRID, d, &p, name, prefetch, true, &mem);
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
  for (uint32_t l = 0; l < p.n_links; l++) {
    ck_assert_uint_eq(tl->links[l].bytes, fluid->links[l].bytes);
    ck_assert_double_le(fabs(tl->links[l].active_s - fluid->links[l].active_s), 10 * eps);
  }
  tl_free(tl);
  tl_free(fluid);
}
END_TEST

/* The smallest SRAM in which program order fits: no policy, no prefetch may deadlock in it. One
 * byte less is refused. */
START_TEST(sram__exactly_the_peak_of_program_order__every_policy_finishes) {
  fx_random r = {(uint64_t)_i + 4242};
  dag *d = _i % 2 == 0 ? random_dag(&r) : NULL;
  if (d == NULL) {
    err e = {0};
    model m = random_model(&r);
    wl_options o = random_options(&r);
    wl_target target = {.engines = (uint32_t)fx_range(&r, 1, 8),
                        .sram_B = fx_range(&r, 1000, 1000000)};
    ck_assert_msg(wl_compile(&m, &o, &target, &d, &mem, &e) == ERR_OK, "%s", e.msg);
  }
  uint32_t *program = ARENA_NEW(&mem, uint32_t, d->n_tasks);
  size_t n = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++)
    if (op_kind_of((op)d->tasks[t].op) == OP_COMPUTE) program[n++] = t;
  dag_succ succ = dag_successors(d, &mem);
  order full = order_make(d, &succ, program, n, &mem);
  uint64_t *planned = order_planned(d, order_buffers(d, &full, &mem), 1, &mem)->held_B, peak = 0;
  for (size_t k = 0; k < d->n_tasks; k++) peak = planned[k] > peak ? planned[k] : peak;
  fx_chip chip = random_chip(&r);
  chip.sram_B = peak;
  platform p = fx_platform(&chip, &mem);
  chip.sram_B = peak - 1;
  platform small = fx_platform(&chip, &mem);
  for (size_t i = 0; i < pol_count(); i++)
    for (uint32_t prefetch = 0; prefetch <= 100; prefetch = prefetch * 10 + 1) {
      timeline *tl = fx_run(FX_FLUID, d, &p, pol_at(i)->name, prefetch, false, &mem);
      ck_assert_uint_le(tl->high_water_B[0], peak);
      err e = {0};
      ck_assert_int_le(fx_try(FX_FLUID, d, &small, pol_at(i)->name, prefetch, false, &tl, &mem, &e),
                       ERR_NO);
    }
}
END_TEST

START_TEST(link__busy_for_the_whole_run__moved_bandwidth_times_time) {
  platform p = fx_platform(&(fx_chip){.channels = 3, .dram_Bps = 3e9}, &mem);
  dag *d = dag_new(&mem);
  for (uint64_t i = 0; i < 17; i++) fx_load(d, 1000 + 777 * i);
  timeline *tl = fx_run((fx_backend)(fx_backends - 1), d, &p, "heft", 2, false, &mem);
  ck_assert_double_le(fabs(tl->links[0].active_s - tl->makespan_s), 1e-12 * tl->makespan_s);
  ck_assert_double_le(fabs((double)tl->links[0].bytes - 3e9 * tl->makespan_s),
                      1e-9 * (double)tl->links[0].bytes);
}
END_TEST

int main(void) {
  Suite *s = suite_create("properties");
  TCase *t = tcase_create("random");
  tcase_set_timeout(t, 60);
  tcase_add_checked_fixture(t, setup, teardown);
  /* under the sanitizers (no SimGrid) the same code runs some twenty times slower: fewer cases */
  int cases = fx_backends > 1 ? CASES : CASES / 6;
  tcase_add_loop_test(t, run__random_case__satisfies_the_model, 0, cases);
  tcase_add_loop_test(t, run__random_dag__simgrid_and_fluid_agree_on_every_task, 0, 120);
  tcase_add_loop_test(t, sram__exactly_the_peak_of_program_order__every_policy_finishes, 0,
                      cases / 4);
  tcase_add_test(t, link__busy_for_the_whole_run__moved_bandwidth_times_time);
  suite_add_tcase(s, t);
  return suite_run(s);
}
