/* wl_place: what is computed and loaded stays the same, weights spread evenly over the scratchpads,
 * and what comes out runs, on chips with and without a way round the shared SRAM. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "sim/estimate.h"
#include "tests/closed_form.h"
#include "tests/fixture.h"
#include "tests/suite.h"
#include "workloads/place.h"

static arena mem;

static void setup(void) {
  mem = (arena){0};
}

static void teardown(void) {
  arena_free(&mem);
}

enum { PADS = 4, SHARED_B = 1 << 20, PAD_B = 1 << 18 };

/* n_layers 2 of a small model with all that matters: grouped heads, several pieces a part */
static model small_model(void) {
  return (model){.name = "small",
                 .source = "test",
                 .hidden_size = 256,
                 .intermediate_size = 640,
                 .num_hidden_layers = 2,
                 .num_attention_heads = 8,
                 .num_key_value_heads = 4,
                 .head_dim = 32,
                 .vocab_size = 300,
                 .max_position_embeddings = 256,
                 .rms_norm_eps = 1e-5,
                 .rope_theta = 1e4};
}

static wl_options options(wl_split split, dtype weight) {
  wl_options o = wl_defaults();
  o.layers = 2;
  o.split = split;
  o.weight_dtype = weight;
  return o;
}

static dag *compiled(const wl_options *o) {
  model m = small_model();
  wl_target target = {.engines = PADS, .sram_B = SHARED_B};
  dag *d;
  err e = {0};
  ck_assert_msg(wl_compile(&m, o, &target, &d, &mem, &e) == ERR_OK, "%s", e.msg);
  return d;
}

static wl_pads pads(uint64_t capacity_B, bool from_dram, bool beside_shared) {
  wl_pad *pad = ARENA_NEW(&mem, wl_pad, PADS);
  for (int i = 0; i < PADS; i++)
    pad[i] = (wl_pad){.space = (dag_space)(DAG_SRAM + 1 + i),
                      .capacity_B = capacity_B,
                      .from_dram = from_dram,
                      .beside_shared = beside_shared};
  return (wl_pads){.pad = pad, .n = PADS, .shared = beside_shared};
}

static dag *placed(dag *in, const wl_pads *p) {
  dag *d = wl_place(in, p, &mem);
  err e = {0};
  ck_assert_msg(dag_check(d, "placed", &e) == ERR_OK, "%s", e.msg);
  return d;
}

/* Bytes of weights that compute tasks read in each space. */
static void weights_by_space(const dag *d, uint64_t bytes[PADS + 2]) {
  memset(bytes, 0, (PADS + 2) * sizeof *bytes);
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    if (op_kind_of((op)d->tasks[t].op) != OP_COMPUTE) continue;
    for (uint32_t i = 0; i < d->tasks[t].n_reads; i++) {
      const dag_view *v = &dag_reads(d, &d->tasks[t])[i];
      if (d->tensors[v->tensor].role == DAG_WEIGHT)
        bytes[d->tensors[v->tensor].space] += dag_view_bytes(d, v);
    }
  }
}

static const dtype WEIGHT[] = {DT_BF16, DT_INT8, DT_INT4};
enum { WEIGHTS = sizeof WEIGHT / sizeof *WEIGHT, VARIANTS = 3 * WEIGHTS * WL_SPLIT_COUNT };

/* Loop index -> split, dtype, and how data gets into the pads. */
static wl_options variant(int i, wl_pads *p) {
  int way = i / (WEIGHTS * WL_SPLIT_COUNT);
  *p = pads(PAD_B, way == 1, way != 2);
  return options((wl_split)(i % WL_SPLIT_COUNT), WEIGHT[i / WL_SPLIT_COUNT % WEIGHTS]);
}

START_TEST(wl_place__any_split_and_dtype__computes_and_loads_the_same) {
  wl_pads p;
  wl_options o = variant(_i, &p);
  dag *in = compiled(&o), *d = placed(in, &p);
  model m = small_model();
  cf_check(&m, &o, d);
  cost_totals a = cost_sum(in), b = cost_sum(d);
  ck_assert_uint_eq(a.compute, b.compute);
  ck_assert_uint_eq(a.load, b.load);
  ck_assert_uint_eq(a.store, b.store);
  ck_assert_uint_eq(a.vector_flops, b.vector_flops);
  ck_assert_uint_eq(a.dram_read, b.dram_read);
  ck_assert_uint_eq(a.dram_write, b.dram_write);
  ck_assert_uint_eq(d->n_groups, in->n_groups);
  if (p.pad[0].from_dram && p.pad[0].beside_shared) ck_assert_uint_eq(b.move, 0);
  if (!p.pad[0].from_dram) ck_assert_uint_ge(b.moved, b.weights / 2);
}
END_TEST

START_TEST(wl_place__split_into_parts__a_quarter_of_the_weights_in_each) {
  for (int s = WL_HEAD; s <= WL_TILE; s++) {
    wl_options o = options((wl_split)s, DT_BF16);
    wl_pads p = pads(PAD_B, false, true);
    uint64_t bytes[PADS + 2], linear = 0;
    dag *d = placed(compiled(&o), &p);
    weights_by_space(d, bytes);
    for (int i = 0; i < PADS; i++) linear += bytes[DAG_SRAM + 1 + i];
    for (int i = 0; i < PADS; i++) ck_assert_uint_eq(bytes[DAG_SRAM + 1 + i], linear / PADS);
    ck_assert_uint_eq(bytes[DAG_SRAM], cost_sum(d).weights - linear); /* the norms' */
    ck_assert_uint_eq(bytes[DAG_SRAM], 2 * 2 * 256 * 2);
  }
}
END_TEST

START_TEST(wl_place__a_group__has_one_scratchpad) {
  wl_options o = options(WL_HEAD, DT_INT8);
  wl_pads p = pads(PAD_B, false, true);
  dag *d = placed(compiled(&o), &p);
  uint8_t *of = ARENA_NEW(&mem, uint8_t, d->n_groups + 1);
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    if (d->tasks[t].group == DAG_NO_GROUP) continue;
    for (uint32_t i = 0; i < (uint32_t)d->tasks[t].n_reads + d->tasks[t].n_writes; i++) {
      uint16_t space = d->tensors[dag_reads(d, &d->tasks[t])[i].tensor].space;
      if (space == DAG_SRAM) continue;
      if (of[d->tasks[t].group] == 0) of[d->tasks[t].group] = (uint8_t)space;
      ck_assert_uint_eq(of[d->tasks[t].group], space);
    }
  }
  bool used[PADS] = {false}; /* by some group: else nothing was checked */
  for (uint32_t g = 0; g < d->n_groups; g++)
    if (of[g] != 0) used[of[g] - DAG_SRAM - 1] = true;
  for (int i = 0; i < PADS; i++) ck_assert(used[i]);
}
END_TEST

START_TEST(wl_place__tiles_larger_than_the_scratchpad__stay_in_the_shared_sram) {
  wl_options o = options(WL_HEAD, DT_BF16);
  wl_pads p = pads(100, false, true);
  dag *in = compiled(&o), *d = placed(in, &p);
  ck_assert_uint_eq(cost_sum(d).move, 0);
  ck_assert_uint_eq(d->n_tasks, in->n_tasks);
}
END_TEST

/* The parts of q, k and v in a scratchpad run one after the other: what they all read is moved in
 * once, and not at all where it was made just before. */
START_TEST(wl_place__engines_reach_scratchpads_only__shared_operands_come_in_once) {
  wl_options o = options(WL_HEAD, DT_BF16);
  wl_pads p = pads(PAD_B, false, false);
  dag *d = placed(compiled(&o), &p);
  uint32_t moves = 0, readers = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const dag_task *task = &d->tasks[t];
    bool move = task->op == OP_MOVE_SRAM;
    for (uint32_t i = 0; i < task->n_reads; i++) {
      const char *name = d->tensors[dag_reads(d, task)[i].tensor].name;
      moves += move && strcmp(name, "L0.attn_norm") == 0;
      readers += !move && strcmp(name, "L0.attn_norm.local") == 0;
    }
  }
  ck_assert_uint_eq(moves, PADS - 1); /* one of them has made it */
  ck_assert_uint_ge(readers, 3 * PADS);
}
END_TEST

START_TEST(wl_place__no_scratchpads__the_dag_itself) {
  wl_options o = options(WL_HEAD, DT_BF16);
  dag *in = compiled(&o);
  ck_assert_ptr_eq(wl_place(in, &(wl_pads){0}, &mem), in);
}
END_TEST

/* Each way, split and dtype runs under every policy, in the room that the pass counted with. */
START_TEST(wl_place__any_split_and_dtype__runs_under_every_policy) {
  wl_pads w;
  wl_options o = variant(_i, &w);
  fx_chip c = {.engines = PADS,
               .channels = 3,
               .sram_B = SHARED_B,
               .pad_B = PAD_B,
               .pad_from_dram = w.pad[0].from_dram,
               .pads_only = !w.shared,
               .dram_Bps = 51.2e9,
               .bus_Bps = 256e9,
               .port_Bps = 64e9,
               .pad_Bps = 128e9};
  platform p = fx_platform(&c, &mem);
  dag *d = placed(compiled(&o), &w);
  for (size_t i = 0; i < pol_count(); i++)
    for (uint32_t prefetch = 0; prefetch < 4; prefetch += 2) {
      timeline *tl = fx_run(FX_FLUID, d, &p, pol_at(i)->name, prefetch, false, &mem);
      for (size_t s = 0; s < p.n_srams; s++)
        ck_assert_double_le((double)tl->high_water_B[s], p.srams[s].capacity_B);
      ck_assert_double_le(est_bounds(&p, d, &mem).lower_s, tl->makespan_s * (1 + 1e-9));
    }
}
END_TEST

int main(void) {
  Suite *s = suite_create("place");
  TCase *t = tcase_create("place");
  tcase_set_timeout(t, 60);
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_loop_test(t, wl_place__any_split_and_dtype__computes_and_loads_the_same, 0, VARIANTS);
  tcase_add_test(t, wl_place__split_into_parts__a_quarter_of_the_weights_in_each);
  tcase_add_test(t, wl_place__a_group__has_one_scratchpad);
  tcase_add_test(t, wl_place__tiles_larger_than_the_scratchpad__stay_in_the_shared_sram);
  tcase_add_test(t, wl_place__engines_reach_scratchpads_only__shared_operands_come_in_once);
  tcase_add_test(t, wl_place__no_scratchpads__the_dag_itself);
  tcase_add_loop_test(t, wl_place__any_split_and_dtype__runs_under_every_policy, 0, VARIANTS);
  suite_add_tcase(s, t);
  return suite_run(s);
}
