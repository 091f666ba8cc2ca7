/* What stays in SRAM between steps, and what that saves.
 *
 * Of S decode steps each loads W bytes of weights and `past` rows of K and V when nothing stays.
 * With R bytes of weights that stay, weights loaded are W + (S - 1) (W - R); of the layers whose K
 * and V stay, the rows before the first step are loaded once. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/closed_form.h"
#include "tests/fixture.h"
#include "tests/run_check.h"
#include "tests/suite.h"

static arena mem;

static void setup(void) {
  mem = (arena){0};
}

static void teardown(void) {
  arena_free(&mem);
}

typedef struct setting {
  model m;
  wl_options o;
  wl_target t;
} setting;

static setting make(const char *name, wl_resident r) {
  setting s = {.o = wl_defaults(), .t = {.engines = 4, .sram_B = 8 << 20}};
  err e = {0};
  ck_assert_int_eq(model_load(name, &s.m, &mem, &e), ERR_OK);
  s.o.steps = 4;
  s.o.past = 9;
  s.o.resident = r;
  return s;
}

static const dag *compiled(const setting *s) {
  dag *d;
  err e = {0};
  ck_assert_msg(wl_compile(&s->m, &s->o, &s->t, &d, &mem, &e) == ERR_OK, "%s", e.msg);
  ck_assert_msg(dag_check(d, "compiled", &e) == ERR_OK, "%s", e.msg);
  return d;
}

static cost_totals without(setting s) {
  s.o.resident = WL_RESIDENT_NONE;
  const dag *d = compiled(&s);
  cf_check(&s.m, &s.o, d);
  return cost_sum(d);
}

static uint64_t kv_row_B(const setting *s) { /* K and V of a layer */
  return 2 * s->m.num_key_value_heads * dtype_bytes(s->o.kv_dtype, s->m.head_dim);
}

/* Against the same without: what is computed and written is the same, what is read as the head of
 * this file says. */
static void check_saving(const setting *s, const char *where) {
  cost_totals none = without(*s), t = cost_sum(compiled(s));
  uint64_t S = s->o.steps;
  ck_assert_uint_eq(t.matrix_flops, none.matrix_flops);
  ck_assert_uint_eq(t.vector_flops, none.vector_flops);
  ck_assert_uint_eq(t.dram_write, none.dram_write);
  ck_assert_uint_eq(t.spill, none.spill);
  ck_assert_uint_eq(none.resident_weights, 0);
  ck_assert_uint_eq(none.resident_kv, 0);
  ck_assert_uint_le(t.dram_read, none.dram_read);
  if (s->o.weight_dtype == DT_BF16)
    ck_assert_msg(t.weights + (S - 1) * t.resident_weights == none.weights, "%s: %ju of %ju stay",
                  where, (uintmax_t)t.resident_weights, (uintmax_t)none.weights / S);
  bool weights = s->o.resident == WL_RESIDENT_WEIGHTS || s->o.resident == WL_RESIDENT_ALL;
  bool kv = s->o.resident == WL_RESIDENT_KV || s->o.resident == WL_RESIDENT_ALL;
  if (!weights) ck_assert_uint_eq(t.resident_weights, 0);
  if (!kv) ck_assert_uint_eq(t.resident_kv, 0);
  if (s->o.kv_dtype != DT_BF16) return;
  uint64_t rows = s->o.past + s->o.tokens * S, layer = rows * kv_row_B(s) * s->o.batch;
  ck_assert_uint_eq(t.resident_kv % layer, 0);
  uint64_t stay = t.resident_kv / layer, saved = 0;
  for (uint64_t i = 1; i < S; i++) saved += s->o.past + i * s->o.tokens;
  ck_assert_uint_eq(none.kv_read - t.kv_read, stay * saved * kv_row_B(s) * s->o.batch);
}

/* A loop test: split. */
START_TEST(resident__any_sram__saves_what_stays) {
  static const uint64_t SRAM[] = {256 << 10, 1 << 20, 8 << 20, 40 << 20, 160 << 20};
  for (int r = 1; r < WL_RESIDENT_COUNT; r++)
    for (size_t c = 0; c < sizeof SRAM / sizeof *SRAM; c++)
      for (int flash = 0; flash < 2; flash++)
        for (int u = 0; u < WL_KV_UPDATE_COUNT; u++) {
          setting s = make("stories15m", (wl_resident)r);
          s.o.split = (wl_split)_i;
          s.o.layers = 3;
          s.o.flash = flash;
          s.o.kv_update = (wl_kv_update)u;
          s.t.sram_B = SRAM[c];
          check_saving(&s, wl_resident_name((wl_resident)r));
          s.o.batch = 2;
          s.o.tokens = 3;
          check_saving(&s, "batch 2, 3 tokens");
        }
}
END_TEST

/* Room for all: each weight is loaded once, each past row once. A loop test: split. */
START_TEST(resident__all_with_room__loads_everything_once) {
  setting s = make("stories15m", WL_RESIDENT_ALL);
  s.o.split = (wl_split)_i;
  s.o.layers = s.m.num_hidden_layers;
  s.o.all = true;
  s.t.sram_B = (uint64_t)160 << 20;
  cost_totals none = without(s), t = cost_sum(compiled(&s));
  uint64_t gathered = s.o.steps * 2 * s.m.hidden_size; /* embedding rows, another one each step */
  uint64_t once = (none.weights - gathered) / s.o.steps;
  ck_assert_uint_eq(t.weights, once + gathered);
  ck_assert_uint_eq(t.resident_weights, once);
  ck_assert_uint_eq(t.kv_read, s.o.layers * s.o.past * kv_row_B(&s));
}
END_TEST

/* More SRAM, no more traffic; and at no size more than without. A loop test: what stays. */
START_TEST(resident__more_sram__never_more_traffic) {
  setting s = make("stories15m", (wl_resident)_i);
  s.o.layers = 6;
  s.o.tile_B = 64 << 10;
  uint64_t before = UINT64_MAX;
  for (s.t.sram_B = 600 << 10; s.t.sram_B < 40 << 20; s.t.sram_B += s.t.sram_B / 7) {
    cost_totals t = cost_sum(compiled(&s));
    ck_assert_uint_le(t.dram_read, before);
    before = t.dram_read;
  }
  ck_assert_uint_lt(before, without(s).dram_read);
}
END_TEST

/* Integer weights and caches: scales stay with what they belong to. */
START_TEST(resident__integers__never_more_than_without) {
  static const char *const DTYPE[] = {"int8", "int4", "w8a8", "w4a16"};
  for (size_t i = 0; i < 4; i++)
    for (int split = 0; split < WL_SPLIT_COUNT; split++)
      for (uint64_t sram = 1 << 19; sram <= 64 << 20; sram *= 8) {
        setting s = make("stories15m", WL_RESIDENT_ALL);
        err e = {0};
        ck_assert_int_eq(
            wl_dtype_parse(DTYPE[i], &s.o.weight_dtype, &s.o.act_dtype, &s.o.kv_dtype, &e), ERR_OK);
        s.o.split = (wl_split)split;
        s.o.layers = 2;
        s.t.sram_B = sram;
        check_saving(&s, DTYPE[i]);
        ck_assert_uint_le(cost_sum(compiled(&s)).scales, without(s).scales);
      }
}
END_TEST

/* After a prefill the decode steps keep their tiles; the prefill itself keeps none. */
START_TEST(resident__hybrid__stays_from_the_first_decode_step) {
  setting s = make("stories15m", WL_RESIDENT_ALL);
  s.o.phase = "hybrid";
  s.o.past = 0;
  s.o.tokens = 20;
  s.o.layers = s.m.num_hidden_layers;
  s.o.all = true;
  s.t.sram_B = (uint64_t)160 << 20;
  cost_totals none = without(s), t = cost_sum(compiled(&s));
  uint64_t gathered = (s.o.tokens + s.o.steps) * 2 * s.m.hidden_size; /* embedding rows */
  uint64_t once = (none.weights - gathered) / (s.o.steps + 1);
  ck_assert_uint_eq(t.weights, 2 * once + gathered);
  ck_assert_uint_eq(t.kv_read, s.o.layers * s.o.tokens * kv_row_B(&s));
}
END_TEST

/* Simulated, from the least SRAM on: every property of a run holds, and no step waits for ever. */
START_TEST(resident__simulated__keeps_the_models_promises) {
  for (int split = 0; split < WL_SPLIT_COUNT; split++)
    for (uint64_t sram = 96 << 10; sram < 16 << 20; sram *= 3) {
      setting s = make("stories15m", WL_RESIDENT_ALL);
      s.o.split = (wl_split)split;
      s.o.layers = 2;
      s.t.sram_B = sram;
      const dag *d = compiled(&s);
      platform p;
      err e = {0};
      timeline *tl;
      ck_assert_int_eq(plat_load("npu4", &p, &mem, &e), ERR_OK);
      p.srams[0].capacity_B = (double)sram;
      int status = fx_try(FX_FLUID, d, &p, "heft", 2, false, &tl, &mem, &e);
      if (status == ERR_NO) continue; /* refused with the numbers: not even one step fits */
      ck_assert_msg(status == ERR_OK, "%s", e.msg);
      run_check(tl, &mem);
    }
}
END_TEST

static Suite *resident_suite(void) {
  Suite *s = suite_create("resident");
  TCase *t = tcase_create("resident");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, resident__any_sram__saves_what_stays, 0, WL_SPLIT_COUNT);
  tcase_add_loop_test(t, resident__all_with_room__loads_everything_once, 0, WL_SPLIT_COUNT);
  tcase_add_loop_test(t, resident__more_sram__never_more_traffic, 1, WL_RESIDENT_COUNT);
  tcase_add_test(t, resident__integers__never_more_than_without);
  tcase_add_test(t, resident__hybrid__stays_from_the_first_decode_step);
  tcase_add_test(t, resident__simulated__keeps_the_models_promises);
  suite_add_tcase(s, t);
  return s;
}

int main(void) {
  return suite_run(resident_suite());
}
