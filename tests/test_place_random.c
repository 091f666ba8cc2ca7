/* Compiled workloads on random chips with scratchpads: what is computed and loaded is what it is
 * without them, what is moved is known in closed form, and the runs satisfy the model. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/order.h"
#include "sim/report.h"
#include "tests/closed_form.h"
#include "tests/fixture.h"
#include "tests/suite.h"
#include "workloads/place.h"

/* Under the sanitizers a case takes ten times as long; they look for other faults. */
#ifdef TESTS_WITH_SIMGRID
enum { CASES = 120 };
#else
enum { CASES = 30 };
#endif

static arena mem;

static void setup(void) {
  mem = (arena){0};
}

static void teardown(void) {
  arena_free(&mem);
}

static model random_model(fx_random *r) {
  uint64_t kv = fx_range(r, 1, 4), share = fx_range(r, 1, 3);
  return (model){.name = "random",
                 .source = "test",
                 .hidden_size = 32 * fx_range(r, 1, 12),
                 .intermediate_size = 32 * fx_range(r, 1, 24),
                 .num_hidden_layers = 2,
                 .num_attention_heads = kv * share,
                 .num_key_value_heads = kv,
                 .head_dim = 32,
                 .vocab_size = 100,
                 .tie_word_embeddings = fx_range(r, 0, 1) == 0,
                 .max_position_embeddings = 4096,
                 .rms_norm_eps = 1e-5,
                 .rope_theta = 1e4};
}

static wl_options random_options(fx_random *r) {
  static const char *const DTYPE[] = {"f32", "bf16", "int8", "w8a16", "w4a16", "w4a8"};
  wl_options o = wl_defaults();
  err e = {0};
  ck_assert_int_eq(
      wl_dtype_parse(DTYPE[fx_range(r, 0, 5)], &o.weight_dtype, &o.act_dtype, &o.kv_dtype, &e),
      ERR_OK);
  o.past = fx_range(r, 0, 150);
  o.tokens = fx_range(r, 0, 1) == 0 ? 1 : fx_range(r, 2, 40);
  o.batch = fx_range(r, 1, 2);
  o.layers = fx_range(r, 1, 2);
  o.split = (wl_split)fx_range(r, 0, WL_SPLIT_COUNT - 1);
  o.flash = fx_range(r, 0, 1) == 0;
  if (o.past == 0) o.phase = "prefill";
  if (fx_range(r, 0, 3) == 0) o.phase = "hybrid", o.past = 0, o.steps = fx_range(r, 1, 2);
  if (fx_range(r, 0, 3) == 0) o.all = true, o.layers = 2;
  return o;
}

static fx_chip random_chip(fx_random *r) {
  fx_chip c = {.engines = (uint32_t)fx_range(r, 1, 6)};
  c.speed = exp(log(1e11) + fx_unit(r) * log(1e2));
  c.overhead_s = fx_unit(r) * 1e-6;
  c.port_Bps = exp(log(1e10) + fx_unit(r) * log(1e1));
  c.pad_Bps = exp(log(1e10) + fx_unit(r) * log(1e2));
  c.pad_latency_s = fx_range(r, 0, 1) == 0 ? 0 : fx_unit(r) * 1e-7;
  c.bus_Bps = exp(log(1e10) + fx_unit(r) * log(1e2));
  c.dram_Bps = exp(log(1e9) + fx_unit(r) * log(1e2));
  c.channels = (uint32_t)fx_range(r, 1, 4);
  c.setup_s = fx_unit(r) * 3e-7;
  c.sram_B = (uint64_t)exp(log(2e4) + fx_unit(r) * log(1e2));
  c.pad_B = (uint64_t)exp(log(4e3) + fx_unit(r) * log(1e2));
  c.pad_from_dram = fx_range(r, 0, 2) == 0;
  c.pads_only = fx_range(r, 0, 3) == 0;
  return c;
}

static wl_pads pads_of(const fx_chip *c) {
  wl_pad *pad = ARENA_NEW(&mem, wl_pad, c->engines);
  for (uint32_t i = 0; i < c->engines; i++)
    pad[i] = (wl_pad){.space = (dag_space)(DAG_SRAM + 1 + i),
                      .capacity_B = c->pad_B,
                      .from_dram = c->pad_from_dram,
                      .beside_shared = !c->pads_only};
  return (wl_pads){.pad = pad, .n = c->engines, .shared = !c->pads_only};
}

typedef struct scene {
  model m;
  wl_options o;
  fx_chip chip;
  platform p;
  wl_target target;
  dag *in, *d; /* before and after the pass */
  timeline *tl;
} scene;

/* A random workload that fits: where an SRAM is too small, that is said, and all double. */
static const scene *make_scene(fx_random *r, fx_backend backend) {
  scene *s = ARENA_NEW(&mem, scene, 1); /* the timeline points to its platform */
  *s = (scene){.m = random_model(r), .o = random_options(r), .chip = random_chip(r)};
  const char *name = pol_at(fx_range(r, 0, pol_count() - 1))->name;
  uint32_t prefetch = (uint32_t)fx_range(r, 0, 3);
  for (;; s->chip.sram_B *= 2, s->chip.pad_B *= 2) {
    err e = {0};
    s->p = fx_platform(&s->chip, &mem);
    wl_pads pads = pads_of(&s->chip);
    s->target = (wl_target){.engines = s->chip.engines, .sram_B = s->chip.sram_B};
    wl_pads_target(&pads, &s->target);
    ck_assert_uint_eq(s->target.pad_B, s->chip.pad_B);
    ck_assert_msg(wl_compile(&s->m, &s->o, &s->target, &s->in, &mem, &e) == ERR_OK, "%s", e.msg);
    s->d = wl_place(s->in, &pads, &mem);
    ck_assert_msg(dag_check(s->d, "random", &e) == ERR_OK, "%s", e.msg);
    int status = fx_try(FX_FLUID, s->d, &s->p, name, prefetch, false, &s->tl, &mem, &e);
    if (status != ERR_OK) {
      ck_assert_msg(status == ERR_NO && strstr(e.msg, "short") != NULL, "%s", e.msg);
      continue;
    }
    if (backend == FX_FLUID) return s;
    tl_free(s->tl);
    s->tl = fx_run(backend, s->d, &s->p, name, prefetch, false, &mem);
    return s;
  }
}

static void check_same_work(const scene *s) {
  cf_check(&s->m, &s->o, s->d);
  cost_totals a = cost_sum(s->in), b = cost_sum(s->d);
  ck_assert_uint_eq(a.dram_read, b.dram_read);
  ck_assert_uint_eq(a.dram_write, b.dram_write);
  ck_assert_uint_eq(a.weights, b.weights);
  ck_assert_uint_eq(a.spill, b.spill);
  ck_assert_uint_eq(a.matrix_flops, b.matrix_flops);
  ck_assert_uint_eq(a.vector_flops, b.vector_flops);
  ck_assert_uint_eq(a.compute, b.compute);
}

/* Bytes of weights and scales of linear layers that are loaded, and the most that one load brings.
 */
static uint64_t linear_bytes(const scene *s, uint64_t *largest) {
  uint64_t all = 0;
  *largest = 0;
  for (uint32_t t = 0; t < s->in->n_tasks; t++) {
    const dag_task *task = &s->in->tasks[t];
    if (task->op != OP_LOAD_WEIGHT) continue;
    if (s->in->tensors[dag_writes(s->in, task)->tensor].rank == 1) continue; /* a norm's */
    uint64_t bytes = cost_of(s->in, t).transfer_B;
    all += bytes;
    if (bytes > *largest) *largest = bytes;
  }
  return all;
}

/* Bytes that moves bring into scratchpads, and out of them. */
static uint64_t moved(const dag *d, bool outwards) {
  uint64_t sum = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const dag_task *task = &d->tasks[t];
    if (task->op != OP_MOVE_SRAM) continue;
    if ((d->tensors[dag_writes(d, task)[0].tensor].space == DAG_SRAM) != outwards) continue;
    sum += cost_of(d, t).transfer_B;
  }
  return sum;
}

static uint64_t results(const dag *d) {
  uint64_t sum = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++)
    for (uint32_t i = 0; op_kind_of((op)d->tasks[t].op) == OP_COMPUTE && i < d->tasks[t].n_writes;
         i++)
      sum += dag_view_bytes(d, &dag_writes(d, &d->tasks[t])[i]);
  return sum;
}

/* Where engines reach the shared SRAM: each weight of a linear layer is moved once, or not at all
 * if DRAM feeds scratchpads; nothing else is moved. Where they do not, every result is moved out.
 */
static void check_moves(const scene *s) {
  uint64_t largest, linear = linear_bytes(s, &largest), widest = s->m.intermediate_size;
  if (s->m.hidden_size > widest) widest = s->m.hidden_size;
  ck_assert_uint_eq(cost_sum(s->d).moved, moved(s->d, false) + moved(s->d, true));
  if (s->chip.pads_only) {
    ck_assert_uint_eq(moved(s->d, true), results(s->in));
    return;
  }
  ck_assert_uint_eq(moved(s->d, true), 0);
  if (s->chip.pad_from_dram)
    ck_assert_uint_eq(moved(s->d, false), 0);
  else if (s->chip.pad_B >= 2 * largest + 4 * widest) /* int8's scales are kept beside the tiles */
    ck_assert_uint_eq(moved(s->d, false), linear);
  else
    ck_assert_uint_le(moved(s->d, false), linear);
}

/* Two pieces fit a scratchpad, or else it is so small that it would cost half a piece. */
static void check_pieces(const scene *s) {
  uint64_t piece = wl_piece_bytes(&s->o, &s->target),
           streams = s->o.split == WL_NONE ? 1 : s->chip.engines;
  wl_target none = {.engines = s->target.engines, .sram_B = s->target.sram_B};
  uint64_t alone = wl_piece_bytes(&s->o, &none);
  if (s->chip.pads_only)
    ck_assert_uint_le(4 * piece, s->chip.pad_B);
  else if (2 * piece > s->chip.pad_B)
    ck_assert(piece == alone && s->chip.pad_B / 2 < alone / 2);
  else
    ck_assert(piece == alone || piece == s->chip.pad_B / 2);
  ck_assert_uint_le(4 * streams * piece, s->chip.sram_B);
}

static void check_run(const scene *s) {
  const timeline *tl = s->tl;
  for (uint32_t t = 0; t < s->d->n_tasks; t++) {
    ck_assert_uint_ne(tl->records[t].resource, OBS_NONE);
    for (uint32_t i = 0; i < s->d->tasks[t].n_deps; i++)
      ck_assert_double_ge(tl->records[t].start_s,
                          tl->records[dag_deps(s->d, &s->d->tasks[t])[i]].end_s);
  }
  for (size_t i = 0; i < s->p.n_srams; i++)
    ck_assert_double_le((double)tl->high_water_B[i], s->p.srams[i].capacity_B);
  for (uint32_t l = 0; l < s->p.n_links; l++) {
    double at_full = (double)tl->links[l].bytes / s->p.links[l].bandwidth_Bps;
    ck_assert_double_le(at_full, tl->makespan_s * (1 + 1e-9));
  }
  bounds b = est_bounds(&s->p, s->d, &mem);
  ck_assert_double_le(b.lower_s, tl->makespan_s * (1 + 1e-9));
  attribution at = attr_walk(tl, &mem);
  double sum = 0;
  for (int i = 0; i < ATTR_COUNT; i++) sum += at.cause_s[i];
  ck_assert_double_le(fabs(sum - tl->makespan_s), 1e-9 * tl->makespan_s);
}

START_TEST(run__random_workload_on_scratchpads__satisfies_the_model) {
  fx_random r = {(uint64_t)_i * 7919 + 17};
  const scene *s = make_scene(&r, (fx_backend)(fx_backends - 1));
  check_same_work(s);
  check_moves(s);
  check_pieces(s);
  check_run(s);
  tl_free(s->tl);
}
END_TEST

/* In the full order, no compute task stands between a task and the move that takes its result out
 * of the scratchpad: else results would pile up there. */
START_TEST(order_make__engines_reach_scratchpads_only__results_leave_at_once) {
  fx_random r = {(uint64_t)_i + 271828};
  scene s = {.m = random_model(&r), .o = random_options(&r), .chip = random_chip(&r)};
  s.chip.pads_only = true;
  wl_pads pads = pads_of(&s.chip);
  s.target = (wl_target){.engines = s.chip.engines, .sram_B = s.chip.sram_B};
  wl_pads_target(&pads, &s.target);
  err e = {0};
  ck_assert_msg(wl_compile(&s.m, &s.o, &s.target, &s.in, &mem, &e) == ERR_OK, "%s", e.msg);
  s.d = wl_place(s.in, &pads, &mem);
  uint32_t *program = ARENA_NEW(&mem, uint32_t, s.d->n_tasks);
  size_t n = 0, seen = 0;
  for (uint32_t t = 0; t < s.d->n_tasks; t++)
    if (op_kind_of((op)s.d->tasks[t].op) == OP_COMPUTE) program[n++] = t;
  dag_succ succ = dag_successors(s.d, &mem);
  order full = order_make(s.d, &succ, program, n, &mem);
  uint32_t last = 0; /* compute task */
  for (size_t k = 0; k < s.d->n_tasks; k++) {
    const dag_task *task = &s.d->tasks[full.task[k]];
    if (op_kind_of((op)task->op) == OP_COMPUTE) last = full.task[k];
    if (task->op != OP_MOVE_SRAM) continue;
    if (s.d->tensors[dag_writes(s.d, task)[0].tensor].space != DAG_SRAM) continue;
    const dag_view *from = dag_reads(s.d, task), *to = dag_writes(s.d, &s.d->tasks[last]);
    bool made = false;
    for (uint32_t i = 0; i < s.d->tasks[last].n_writes; i++) made |= to[i].tensor == from->tensor;
    ck_assert(made);
    seen++;
  }
  ck_assert_uint_gt(seen, 0);
}
END_TEST

int main(void) {
  Suite *s = suite_create("place_random");
  TCase *t = tcase_create("random");
  tcase_set_timeout(t, 60);
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_loop_test(t, run__random_workload_on_scratchpads__satisfies_the_model, 0, CASES);
  tcase_add_loop_test(t, order_make__engines_reach_scratchpads_only__results_leave_at_once, 0, 20);
  suite_add_tcase(s, t);
  return suite_run(s);
}
