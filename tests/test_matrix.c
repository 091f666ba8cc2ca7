/* Every combination of what can be asked for: phase, split, dtype, attention and KV-cache update,
 * on three models and four platforms. Each costs what the closed forms say and satisfies the
 * model's properties, or is refused with the numbers.
 *
 * A test is one (model, platform, phase) and runs the others in loops, on the fluid executor; a
 * seeded sample of them all runs in SimGrid, one a process. Under the sanitizers, which take some
 * twenty times as long, a seeded eighth runs, and no SimGrid. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/units.h"
#include "sim/cli.h"
#include "tests/closed_form.h"
#include "tests/fixture.h"
#include "tests/run_check.h"
#include "tests/suite.h"
#include "workloads/place.h"

static arena mem;

static void setup(void) {
  mem = (arena){0};
}

static void teardown(void) {
  arena_free(&mem);
}

/* ---- the table ------------------------------------------------------------------------------- */

static const char *const MODEL[] = {"stories15m", "llama-3.2-1b", "tinyllama-1.1b"};
static const char *const PLATFORM[] = {"npu4", "npu16", "npu4-sram1m", "npu4-pads"};
static const char *const DTYPE[] = {"f32", "f16", "bf16", "int8", "int4", "w8a8", "w8a16", "w4a16"};

/* Token counts that divide by nothing, small enough to stay fast; two decode steps after the
 * prefill; where the whole model is small, all of it. */
static const struct {
  const char *phase;
  uint64_t past, tokens, steps, batch;
} PHASE[] = {{"decode", 37, 1, 1, 1},
             {"prefill", 0, 67, 1, 1},
             {"hybrid", 0, 19, 2, 1},
             {"decode", 53, 5, 1, 2}};

#ifdef WL_KV_UPDATES
#define KV_UPDATES WL_KV_UPDATE_COUNT
#else
#define KV_UPDATES                                                                                 \
  1 /* smart-mask; offered__by_the_command_line__is_in_the_table fails when there are more */
#endif

#define LENGTH(x) (sizeof(x) / sizeof(x)[0])
enum {
  MODELS = LENGTH(MODEL),
  PLATFORMS = LENGTH(PLATFORM),
  PHASES = LENGTH(PHASE),
  DTYPES_ = LENGTH(DTYPE),
  PLACES = MODELS * PLATFORMS * PHASES,
  INSIDE = WL_SPLIT_COUNT * DTYPES_ * 2 * KV_UPDATES,
  SAMPLE = 96
};

typedef struct combination {
  model m;
  platform p;
  wl_options o;
  const char *dtype_name;
  size_t kv_update;
} combination;

/* The model, platform and phase of a place; in `a`, as they serve many combinations. */
static combination make(size_t place, arena *a) {
  combination c = {.o = wl_defaults()};
  err e = {0};
  size_t im = place % MODELS, ip = place / MODELS % PLATFORMS, iph = place / MODELS / PLATFORMS;
  ck_assert_msg(model_load(MODEL[im], &c.m, a, &e) == ERR_OK, "%s", e.msg);
  ck_assert_msg(plat_load(PLATFORM[ip], &c.p, a, &e) == ERR_OK, "%s", e.msg);
  c.o.phase = PHASE[iph].phase;
  c.o.past = PHASE[iph].past;
  c.o.tokens = PHASE[iph].tokens;
  c.o.steps = PHASE[iph].steps;
  c.o.batch = PHASE[iph].batch;
  c.o.all = im == 0;
  if (c.o.all) c.m.num_hidden_layers = c.o.layers = 2;
  return c;
}

static void choose(combination *c, size_t inside) {
  err e = {0};
  c->o.split = (wl_split)(inside % WL_SPLIT_COUNT);
  c->dtype_name = DTYPE[inside / WL_SPLIT_COUNT % DTYPES_];
  c->o.flash = inside / WL_SPLIT_COUNT / DTYPES_ % 2;
  c->kv_update = inside / WL_SPLIT_COUNT / DTYPES_ / 2;
#ifdef WL_KV_UPDATES
  c->o.kv_update = (wl_kv_update)c->kv_update;
#endif
  int status =
      wl_dtype_parse(c->dtype_name, &c->o.weight_dtype, &c->o.act_dtype, &c->o.kv_dtype, &e);
  ck_assert_msg(status == ERR_OK, "%s", e.msg);
}

static const char *name_of(const combination *c) {
  return arena_printf(&mem, "%s on %s, %s, past %u, %u tokens, %s, split %s, %s, kv-update %zu",
                      c->m.name, c->p.name, c->o.phase, (unsigned)c->o.past, (unsigned)c->o.tokens,
                      c->dtype_name, wl_split_name(c->o.split), c->o.flash ? "flash" : "three-pass",
                      c->kv_update);
}

/* The scratchpads of a chip on which engines reach the shared SRAM, too, as npu4-pads. */
static wl_pads pads_of(const platform *p) {
  wl_pad *pad = ARENA_NEW(&mem, wl_pad, p->n_srams);
  wl_pads pads = {.pad = pad, .shared = true};
  for (size_t s = 1; s < p->n_srams; s++) {
    bool from_dram = plat_find_route(p, plat_host_dram(p), plat_host_sram(p, s)) != NULL;
    pad[pads.n++] = (wl_pad){.space = (dag_space)(DAG_SRAM + s),
                             .capacity_B = (uint64_t)p->srams[s].capacity_B,
                             .from_dram = from_dram,
                             .beside_shared = true};
  }
  return pads;
}

/* ---- one combination ------------------------------------------------------------------------- */

static dag *compile(const combination *c) {
  err e = {0};
  dag *d;
  wl_target target = {.engines = (uint32_t)c->p.n_engines,
                      .sram_B = (uint64_t)c->p.srams[0].capacity_B};
  ck_assert_msg(wl_compile(&c->m, &c->o, &target, &d, &mem, &e) == ERR_OK, "%s: %s", name_of(c),
                e.msg);
  wl_pads pads = pads_of(&c->p);
  d = wl_place(d, &pads, &mem);
  ck_assert_msg(dag_check(d, "dag", &e) == ERR_OK, "%s: %s", name_of(c), e.msg);
  cf_check(&c->m, &c->o, d);
  return d;
}

/* The most that one task's operands take in an SRAM. */
static uint64_t hungriest_B(const dag *d, size_t sram) {
  uint64_t most = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const dag_view *v = dag_reads(d, &d->tasks[t]);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < (uint32_t)d->tasks[t].n_reads + d->tasks[t].n_writes; i++) {
      bool again = d->tensors[v[i].tensor].space != DAG_SRAM + sram;
      for (uint32_t k = 0; k < i; k++) again = again || v[k].tensor == v[i].tensor;
      if (!again) sum += dag_tensor_bytes(&d->tensors[v[i].tensor]);
    }
    most = sum > most ? sum : most;
  }
  return most;
}

/* The size that stands behind `key` in the message. */
static double size_after(const char *msg, const char *key) {
  const char *at = strstr(msg, key);
  ck_assert_msg(at != NULL, "no '%s' in: %s", key, msg);
  double value = 0;
  char unit[8] = "", text[64];
  ck_assert_int_eq(sscanf(at + strlen(key), "%lf %7[A-Za-z]", &value, unit), 2);
  snprintf(text, sizeof text, "%.17g%s", value, unit);
  err e = {0};
  ck_assert_msg(units_parse(UNITS_SIZE, text, false, &value, &e) == ERR_OK, "%s", e.msg);
  return value;
}

/* "needs 2.1 MiB in 'sram' (...), capacity 2.0 MiB, short 0.1 MiB": the sizes add up, as far as
 * they are printed, and it is true: a single task's operands do not fit. */
static void check_refusal(const combination *c, const dag *d, int status, const char *msg) {
  ck_assert_msg(status == ERR_NO, "%s: status %d: %s", name_of(c), status, msg);
  size_t s = 0;
  while (s < c->p.n_srams &&
         strstr(msg, arena_printf(&mem, " in '%s' (", c->p.srams[s].name)) == NULL)
    s++;
  ck_assert_msg(s < c->p.n_srams, "no SRAM is named: %s", msg);
  double need = size_after(msg, "needs "), capacity = size_after(msg, "capacity "),
         missing = size_after(msg, "short ");
  ck_assert_double_eq(capacity, c->p.srams[s].capacity_B);
  ck_assert_double_le(fabs(need - capacity - missing), 0.01 * need);
  ck_assert_double_gt((double)hungriest_B(d, s), capacity);
}

/* NULL where it is refused. */
static timeline *run(fx_backend backend, const combination *c) {
  dag *d = compile(c);
  timeline *tl;
  err e = {0};
  int status = fx_try(backend, d, &c->p, "heft", 2, false, &tl, &mem, &e);
  if (status != ERR_OK) {
    check_refusal(c, d, status, e.msg);
    return NULL;
  }
  cost_totals t = cost_sum(d);
  uint64_t dram_B = 0;
  for (uint32_t l = 0; l < c->p.n_links; l++)
    if (strcmp(c->p.links[l].name, "dram_bus") == 0) dram_B = tl->links[l].bytes;
  ck_assert_uint_eq(dram_B, t.dram_read + t.dram_write); /* these chips' efficiency is 1 */
  run_check(tl, &mem);
  return tl;
}

static const char *const OFFERED[] = {
#define X(id, name, kind, value, standard, lo, hi, help) [CLI_##id] = value,
    CLI_OPTIONS(X)
#undef X
};

static size_t words(const char *list) {
  size_t n = 1;
  for (const char *c = list; *c != 0; c++) n += *c == '|';
  return n;
}

/* A value that the command line learns must come into this table, too. */
START_TEST(offered__by_the_command_line__is_in_the_table) {
  ck_assert_uint_eq(words(OFFERED[CLI_SPLIT]), WL_SPLIT_COUNT);
  ck_assert_uint_eq(words(OFFERED[CLI_ATTENTION]), 2);
  ck_assert_uint_eq(words(OFFERED[CLI_KV_UPDATE]), KV_UPDATES);
  ck_assert_uint_eq(words(OFFERED[CLI_PHASE]), 3);
  for (size_t i = 0; i < PHASES; i++)
    ck_assert_ptr_nonnull(strstr(OFFERED[CLI_PHASE], PHASE[i].phase));
}
END_TEST

START_TEST(combination__everywhere__costs_the_closed_forms_or_says_why_not) {
  arena place = {0};
  combination c = make((size_t)_i, &place);
  fx_random r = {(uint64_t)_i * 31 + 5};
  for (size_t i = 0; i < INSIDE; i++) {
    if (fx_backends < 2 && fx_range(&r, 0, 7) != 0) continue;
    choose(&c, i);
    bool ran = run(FX_FLUID, &c) != NULL;
    /* 67 tokens in f32: three activations of 536 KiB, in 1 MiB */
    bool large = c.o.tokens == 67 && c.o.act_dtype == DT_F32 && c.m.hidden_size == 2048;
    bool may_not = large && c.p.srams[0].capacity_B == 1 << 20;
    ck_assert_msg(ran || may_not, "refused: %s", name_of(&c));
    arena_free(&mem);
    mem = (arena){0};
  }
  arena_free(&place);
}
END_TEST

/* Within 0.2 %: where several tasks end at the same instant, the two executors may go on with
 * another one first, and a schedule of equal parts is full of such ties. Without ties they agree to
 * 1e-9 (test_properties.c). */
START_TEST(combination__seeded_sample__ends_in_simgrid_when_it_ends_in_the_fluid_model) {
  if (fx_backends < 2) return;
  fx_random r = {(uint64_t)_i * 977 + 11};
  combination c = make(fx_range(&r, 0, PLACES - 1), &mem);
  choose(&c, fx_range(&r, 0, INSIDE - 1));
  timeline *tl = run(FX_SIMGRID, &c), *fluid = run(FX_FLUID, &c);
  ck_assert_int_eq(tl == NULL, fluid == NULL);
  if (tl != NULL)
    ck_assert_msg(fabs(tl->makespan_s - fluid->makespan_s) < 2e-3 * tl->makespan_s,
                  "%s: %.9g s in SimGrid, %.9g s in the fluid model", name_of(&c), tl->makespan_s,
                  fluid->makespan_s);
}
END_TEST

/* LLaMA-3.2-1B with embedding, head and sampling: a decode step, and a prompt of 128 with 32 decode
 * steps (360 thousand tasks; under the sanitizers 1 step). */
START_TEST(whole_model__decode_and_hybrid__cost_the_closed_forms) {
  err e = {0};
  combination c = {.o = wl_defaults(), .dtype_name = "bf16"};
  ck_assert_msg(model_load("llama-3.2-1b", &c.m, &mem, &e) == ERR_OK, "%s", e.msg);
  ck_assert_msg(plat_load("npu4", &c.p, &mem, &e) == ERR_OK, "%s", e.msg);
  c.o.all = true;
  c.o.layers = c.m.num_hidden_layers;
  if (_i == 1) {
    c.o.phase = "hybrid";
    c.o.past = 0;
    c.o.tokens = 128;
    c.o.steps = fx_backends > 1 ? 32 : 1;
  }
  ck_assert_ptr_nonnull(run((fx_backend)(fx_backends - 1), &c));
}
END_TEST

/* Where nothing spills: what attention moves is what the closed forms say, and with flash nothing
 * of queries x keys has a place in memory at all. Several blocks of keys and of query rows. */
START_TEST(attention__nothing_spills__moves_the_closed_form) {
  static const struct {
    const char *phase;
    uint64_t past, tokens, steps, batch, sram_B;
  } CASE[] = {{"decode", 1000, 1, 1, 1, 8 << 20},  {"decode", 4096, 1, 1, 2, 8 << 20},
              {"decode", 4096, 1, 1, 1, 2 << 20},  {"decode", 777, 7, 1, 2, 8 << 20},
              {"prefill", 0, 301, 1, 1, 32 << 20}, {"prefill", 0, 301, 1, 1, 16 << 20},
              {"hybrid", 0, 129, 3, 1, 8 << 20}};
  arena place = {0};
  combination c = make((size_t)_i % MODELS, &place);
  c.m.max_position_embeddings = 8192;
  c.o.all = false;
  size_t checked = 0;
  for (size_t k = 0; k < LENGTH(CASE); k++)
    for (size_t i = 0; i < INSIDE; i++) {
      choose(&c, i);
      c.o.phase = CASE[k].phase;
      c.o.past = CASE[k].past;
      c.o.tokens = CASE[k].tokens;
      c.o.steps = CASE[k].steps;
      c.o.batch = CASE[k].batch;
      dag *d;
      err e = {0};
      int status = wl_compile(&c.m, &c.o, &(wl_target){.engines = 4, .sram_B = CASE[k].sram_B}, &d,
                              &mem, &e);
      ck_assert_msg(status == ERR_OK, "%s: %s", name_of(&c), e.msg);
      if (cost_sum(d).spill == 0) {
        cf_check_attention(&c.m, &c.o, d);
        checked++;
      }
      arena_free(&mem);
      mem = (arena){0};
    }
  ck_assert_uint_gt(checked, LENGTH(CASE) * INSIDE * 9 / 10); /* few spill */
  arena_free(&place);
}
END_TEST

int main(void) {
  Suite *s = suite_create("matrix");
  TCase *t = tcase_create("combinations");
  tcase_set_timeout(t, 120);
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, offered__by_the_command_line__is_in_the_table);
  tcase_add_loop_test(t, combination__everywhere__costs_the_closed_forms_or_says_why_not, 0,
                      PLACES);
  tcase_add_loop_test(
      t, combination__seeded_sample__ends_in_simgrid_when_it_ends_in_the_fluid_model, 0, SAMPLE);
  tcase_add_loop_test(t, whole_model__decode_and_hybrid__cost_the_closed_forms, 0, 2);
  tcase_add_loop_test(t, attention__nothing_spills__moves_the_closed_form, 0, MODELS);
  suite_add_tcase(s, t);
  return suite_run(s);
}
