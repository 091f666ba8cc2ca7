/* The compiler against closed forms: FLOPs and bytes of a block are functions of the model's shape
 * alone, whatever the split; and every DAG that it makes passes dag_check. */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/closed_form.h"
#include "tests/fixture.h"
#include "tests/suite.h"
#include "workloads/block.h"

static arena mem;
static err e;

static void setup(void) {
  mem = (arena){0};
  e = (err){0};
}

static void teardown(void) {
  arena_free(&mem);
}

static dag *compile(const model *m, const wl_options *o, uint32_t engines, uint64_t sram_B) {
  dag *d;
  int status = wl_compile(m, o, &(wl_target){.engines = engines, .sram_B = sram_B}, &d, &mem, &e);
  ck_assert_msg(status == ERR_OK, "%s", e.msg);
  return d;
}

static model builtin(const char *name) {
  model m;
  ck_assert_msg(model_load(name, &m, &mem, &e) == ERR_OK, "%s", e.msg);
  return m;
}

START_TEST(wl_compile__default_block__equals_the_contract_to_the_byte) {
  model m = builtin("llama-3.2-1b");
  for (int s = 0; s < WL_SPLIT_COUNT; s++) {
    wl_options o = wl_defaults();
    o.split = (wl_split)s;
    cost_totals t = cost_sum(compile(&m, &o, 4, 8 << 20));
    ck_assert_uint_eq(t.weights, 121643008);
    ck_assert_uint_eq(t.kv_read, 8192);
    ck_assert_uint_eq(t.kv_write, 2048);
    ck_assert_uint_eq(t.matrix_flops, 121675776);
    ck_assert_uint_eq(t.scales, 0);
    ck_assert_uint_eq(t.dram_read, 121643008 + 8192 + 2 * 2048);
    ck_assert_uint_eq(t.dram_write, 2048 + 2 * 2048);
    ck_assert_uint_eq(t.store, s >= WL_HEAD ? 9 : 3);
  }
}
END_TEST

START_TEST(wl_compile__every_model_and_split__equals_the_closed_forms) {
  static const char *const NAME[] = {"llama-3.2-1b", "llama-3.2-3b", "llama-3.1-8b",
                                     "llama-2-7b",   "stories15m",   "tinyllama-1.1b",
                                     "stories110m",  "llama-3.1-70b"};
  model m = builtin(NAME[_i]);
  for (int s = 0; s < WL_SPLIT_COUNT; s++)
    for (uint32_t engines = 1; engines <= 16; engines = engines * 3 + 1) {
      wl_options o = wl_defaults();
      o.split = (wl_split)s;
      o.layers = 2;
      o.past = 37;
      o.tokens = 3;
      o.batch = 2;
      dag *d = compile(&m, &o, engines, 8 << 20);
      ck_assert_msg(dag_check(d, "dag", &e) == ERR_OK, "%s", e.msg);
      cf_check(&m, &o, d);
    }
}
END_TEST

START_TEST(wl_compile__quantised__counts_scales_apart) {
  model m = builtin("llama-3.2-1b");
  static const char *const NAME[] = {"f32",  "f16",   "bf16",  "int8", "int4",
                                     "w8a8", "w8a16", "w4a16", "w4a8"};
  for (size_t i = 0; i < sizeof NAME / sizeof NAME[0]; i++) {
    wl_options o = wl_defaults();
    ck_assert_int_eq(wl_dtype_parse(NAME[i], &o.weight_dtype, &o.act_dtype, &o.kv_dtype, &e),
                     ERR_OK);
    dag *d = compile(&m, &o, 4, 8 << 20);
    ck_assert_msg(dag_check(d, "dag", &e) == ERR_OK, "%s", e.msg);
    cf_check(&m, &o, d);
  }
}
END_TEST

START_TEST(wl_compile__prefill__counts_causal_pairs) {
  model m = builtin("stories15m");
  for (int s = 0; s < WL_SPLIT_COUNT; s++) {
    wl_options o = wl_defaults();
    o.phase = "prefill";
    o.past = 0;
    o.tokens = 33;
    o.split = (wl_split)s;
    cost_totals t = cost_sum(compile(&m, &o, 4, 8 << 20));
    uint64_t linear = 4 * 288 * 288 + 3 * 288 * 768, pairs = 33 * 34 / 2;
    ck_assert_uint_eq(t.matrix_flops, 2 * 33 * linear + 2 * 2 * 288 * pairs);
    ck_assert_uint_eq(t.kv_read, 0);
  }
}
END_TEST

static bool depends(const dag *d, uint32_t task, uint32_t on) {
  for (uint32_t k = 0; k < d->tasks[task].n_deps; k++)
    if (dag_deps(d, &d->tasks[task])[k] == on) return true;
  return false;
}

/* The first or last compute task of that block of tokens whose name has `what` in it. */
static uint32_t task_of(const dag *d, uint64_t token0, const char *what, bool last) {
  uint32_t found = UINT32_MAX;
  char prefix[32];
  snprintf(prefix, sizeof prefix, "t%" PRIu64 ".", token0);
  for (uint32_t t = 0; t < d->n_tasks && (last || found == UINT32_MAX); t++) {
    const char *name = d->tasks[t].name;
    bool compute = op_kind_of((op)d->tasks[t].op) == OP_COMPUTE;
    if (compute && strncmp(name, prefix, strlen(prefix)) == 0 && strstr(name, what) != NULL)
      found = t;
  }
  ck_assert_uint_ne(found, UINT32_MAX);
  return found;
}

/* Under op two blocks of tokens are in work at a time. */
START_TEST(wl_compile__blocks_of_tokens__begin_when_the_one_before_last_ended) {
  model m = builtin("llama-3.2-1b");
  for (int s = 0; s < WL_SPLIT_COUNT; s++) {
    wl_options o = wl_defaults();
    o.phase = "prefill";
    o.past = 0;
    o.tokens = 256;
    o.split = (wl_split)s;
    wl_target t = {.engines = 4, .sram_B = 1 << 20};
    uint64_t block = wl_block_tokens(&m, &o, &t, o.tokens);
    dag *d = compile(&m, &o, t.engines, t.sram_B);
    ck_assert_uint_lt(2 * block, o.tokens);
    for (uint64_t k = 1; (k + 1) * block < o.tokens; k++) {
      uint32_t norm = task_of(d, (k + 1) * block, "attn_norm", false);
      ck_assert(depends(d, norm, task_of(d, (k - 1) * block, "", true)) == (s == WL_OP));
      ck_assert(!depends(d, norm, task_of(d, k * block, "", true)));
    }
  }
}
END_TEST

START_TEST(wl_block_tokens__more_blocks_asked_for__quarters_of_what_sram_asks_for) {
  model m = builtin("llama-3.2-1b");
  wl_options o = wl_defaults();
  o.phase = "prefill";
  o.past = 0;
  wl_target t = {.engines = 4, .sram_B = 1 << 20}, more = t;
  uint64_t tokens = 1024, block = wl_block_tokens(&m, &o, &t, tokens);
  uint64_t blocks = (tokens + block - 1) / block;
  more.blocks = 2;
  uint64_t many = blocks + blocks / 2;
  ck_assert_uint_gt(blocks, 1);
  ck_assert_uint_eq(wl_block_tokens(&m, &o, &more, tokens), (tokens + many - 1) / many);
  ck_assert_uint_eq(wl_block_tokens(&m, &o, &more, block), block); /* one stays one */
}
END_TEST

/* gate begins a chunk when down is done with the one so many before. */
START_TEST(wl_compile__chunks_in_work__as_the_target_says) {
  model m = builtin("llama-3.2-1b");
  wl_options o = wl_defaults();
  o.phase = "prefill";
  o.past = 0;
  o.tokens = 128;
  o.split = WL_OP;
  for (uint32_t n = 2; n <= 4; n++) {
    wl_target t = {.engines = 4, .sram_B = 2 << 20, .chunks = n == 3 ? 0 : n}; /* op: three */
    dag *d;
    ck_assert_msg(wl_compile(&m, &o, &t, &d, &mem, &e) == ERR_OK, "%s", e.msg);
    uint32_t down[4] = {0}, seen = 0, chunk = 0;
    for (uint32_t i = 0; i < d->n_tasks; i++) {
      const char *name = d->tasks[i].name;
      if (op_kind_of((op)d->tasks[i].op) != OP_COMPUTE) continue;
      if (strncmp(name, "L0.gate chunk", 13) == 0 && (uint32_t)atoi(name + 14) == chunk + 1) {
        ck_assert(chunk < n || depends(d, i, down[chunk % n]));
        for (uint32_t k = 1; k < n && k <= chunk; k++)
          ck_assert(!depends(d, i, down[(chunk - k) % n]));
        chunk++;
      }
      if (strncmp(name, "L0.down chunk", 13) == 0) down[((uint32_t)atoi(name + 14) - 1) % n] = i;
      seen = chunk;
    }
    ck_assert_uint_gt(seen, n);
  }
}
END_TEST

/* Tiles of whole ops: each still one group, and the same work. */
START_TEST(wl_compile__op_in_tiles__same_work_and_groups) {
  model m = builtin("llama-3.2-1b");
  static const char *const NAME[] = {"bf16", "int8", "int4"};
  for (size_t i = 0; i < sizeof NAME / sizeof NAME[0]; i++) {
    wl_options o = wl_defaults();
    o.phase = "prefill";
    o.past = 0;
    o.tokens = 128;
    o.split = WL_OP;
    ck_assert_int_eq(wl_dtype_parse(NAME[i], &o.weight_dtype, &o.act_dtype, &o.kv_dtype, &e),
                     ERR_OK);
    wl_target t = {.engines = 4, .sram_B = 2 << 20, .inner = true};
    dag *whole = compile(&m, &o, t.engines, t.sram_B), *d;
    ck_assert_msg(wl_compile(&m, &o, &t, &d, &mem, &e) == ERR_OK, "%s", e.msg);
    ck_assert_msg(dag_check(d, "dag", &e) == ERR_OK, "%s", e.msg);
    cost_totals x = cost_sum(whole), y = cost_sum(d);
    ck_assert_uint_eq(x.matrix_flops, y.matrix_flops);
    ck_assert_uint_eq(x.weights, y.weights);
    ck_assert_uint_eq(whole->n_groups, d->n_groups);
    size_t inner = 0, before = 0;
    for (uint32_t k = 0; k < d->n_tasks; k++) inner += strstr(d->tasks[k].name, " inner ") != NULL;
    for (uint32_t k = 0; k < whole->n_tasks; k++)
      before += strstr(whole->tasks[k].name, "L0.gate.weight chunk 1/") != NULL &&
                strstr(whole->tasks[k].name, " inner ") != NULL;
    ck_assert_uint_gt(inner, 0);
    ck_assert_uint_eq(before, 0);
  }
}
END_TEST

START_TEST(wl_compile__pieces__fit_their_share_of_sram) {
  model m = builtin("llama-3.2-1b");
  wl_options o = wl_defaults();
  for (int s = 0; s < WL_SPLIT_COUNT; s++) {
    o.split = (wl_split)s;
    wl_target t = {.engines = 4, .sram_B = 2 << 20};
    dag *d = compile(&m, &o, t.engines, t.sram_B);
    uint64_t most = 0;
    for (size_t i = 0; i < d->n_tensors; i++)
      if (d->tensors[i].space == DAG_SRAM && d->tensors[i].role == DAG_WEIGHT) {
        uint64_t bytes = dag_tensor_bytes(&d->tensors[i]);
        most = bytes > most ? bytes : most;
      }
    ck_assert_uint_le(most, wl_piece_bytes(&o, &t));
    ck_assert_uint_ge(most, wl_piece_bytes(&o, &t) / 2);
  }
}
END_TEST

START_TEST(wl_compile__groups__follow_the_split) {
  model m = builtin("llama-3.2-1b");
  uint32_t groups[WL_SPLIT_COUNT];
  for (int s = 0; s < WL_SPLIT_COUNT; s++) {
    wl_options o = wl_defaults();
    o.split = (wl_split)s;
    dag *d = compile(&m, &o, 4, 8 << 20);
    groups[s] = d->n_groups;
    for (uint32_t t = 0; t < d->n_tasks; t++)
      if (op_kind_of((op)d->tasks[t].op) == OP_COMPUTE && s < WL_HEAD)
        ck_assert_uint_ne(d->tasks[t].group, DAG_NO_GROUP);
  }
  ck_assert_uint_eq(groups[WL_NONE], 1);
  ck_assert_uint_eq(groups[WL_OP], 7 + 2 + 3 + 9); /* linear, norms, elementwise, attention */
  ck_assert_uint_eq(groups[WL_HEAD], 7 * 4);
  ck_assert_uint_eq(groups[WL_TILE], 7 * 4);
}
END_TEST

/* Under the sanitizers a quarter of the cases. */
#ifdef __SANITIZE_ADDRESS__
enum { SLOW = 1 };
#else
enum { SLOW = 0 };
#endif

/* Every phase, split, attention and dtype, on little and on much SRAM: what is counted does not
 * depend on how it is cut. */
START_TEST(wl_compile__every_combination__equals_the_closed_forms) {
  model m = builtin("stories15m");
  static const char *const DTYPE[] = {"f32", "bf16", "w8a8", "w4a16"};
  static const struct {
    const char *phase;
    uint64_t past, tokens, steps, batch;
  } PHASE[] = {{"decode", 4, 1, 1, 1},   {"decode", 0, 1, 1, 1},   {"decode", 100, 7, 1, 2},
               {"prefill", 0, 97, 1, 1}, {"prefill", 0, 20, 1, 3}, {"hybrid", 0, 40, 3, 1},
               {"hybrid", 0, 5, 2, 2}};
  for (int split = 0; split < WL_SPLIT_COUNT; split++)
    for (size_t dt = 0; dt < 4; dt++)
      for (size_t ph = 0; ph < sizeof PHASE / sizeof PHASE[0]; ph++)
        for (int bits = 0; bits < 4; bits++) {
          wl_options o = wl_defaults();
          o.split = (wl_split)split;
          o.phase = PHASE[ph].phase;
          o.past = PHASE[ph].past;
          o.tokens = PHASE[ph].tokens;
          o.steps = PHASE[ph].steps;
          o.batch = PHASE[ph].batch;
          o.flash = bits & 1;
          o.all = bits & 2;
          o.layers = o.all ? m.num_hidden_layers : 2;
          if (o.all && dt > 1 && split < WL_HEAD) continue; /* enough */
          if (SLOW && (dt + ph + (size_t)bits) % 4 != 0) continue;
          ck_assert_int_eq(
              wl_dtype_parse(DTYPE[dt], &o.weight_dtype, &o.act_dtype, &o.kv_dtype, &e), ERR_OK);
          for (uint64_t sram = 100 << 10; sram <= 8 << 20; sram *= 9) {
            arena scratch = mem;
            mem = (arena){0};
            dag *d = compile(&m, &o, 4, sram);
            ck_assert_msg(dag_check(d, "dag", &e) == ERR_OK, "%s", e.msg);
            cf_check(&m, &o, d);
            arena_free(&mem);
            mem = scratch;
          }
        }
}
END_TEST

/* More tokens than the vocabulary has rows: the gather names rows, it does not walk them. */
START_TEST(wl_compile__more_tokens_than_vocabulary__gathers_all_the_same) {
  model m = builtin("stories15m");
  m.vocab_size = 20;
  wl_options o = wl_defaults();
  o.phase = "prefill";
  o.past = 0;
  o.tokens = 100;
  o.all = true;
  o.layers = m.num_hidden_layers;
  dag *d = compile(&m, &o, 4, 8 << 20);
  ck_assert_msg(dag_check(d, "dag", &e) == ERR_OK, "%s", e.msg);
  cf_check(&m, &o, d);
}
END_TEST

/* Given tokens: as many rows of prompt_ids, read by the first steps; later ones read what was
 * sampled. Nothing else changes. */
START_TEST(wl_compile__forced_tokens__come_from_the_prompt) {
  model m = builtin("stories15m");
  wl_options o = wl_defaults();
  o.all = true, o.layers = m.num_hidden_layers;
  o.batch = 2, o.steps = 5;
  cost_totals free_run = cost_sum(compile(&m, &o, 4, 8 << 20));
  o.forced = 3;
  dag *d = compile(&m, &o, 4, 8 << 20);
  ck_assert_msg(dag_check(d, "dag", &e) == ERR_OK, "%s", e.msg);
  uint32_t gathers = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const dag_task *task = &d->tasks[t];
    if (task->op != OP_LOAD_EMBED) continue;
    const dag_view *ids = &dag_reads(d, task)[task->n_reads - 1];
    bool given = strcmp(d->tensors[ids->tensor].name, "embed.ids") == 0;
    ck_assert_int_eq(given, task->step < 3);
    ck_assert_uint_eq(ids->lo[0], given ? 2 * task->step : 0);
    ck_assert_uint_eq(ids->len[0], 2);
    if (given) ck_assert_uint_eq(d->tensors[ids->tensor].dim[0], 2 * 3);
    gathers++;
  }
  ck_assert_uint_eq(gathers, 5);
  cost_totals t = cost_sum(d);
  ck_assert_uint_eq(t.matrix_flops, free_run.matrix_flops);
  ck_assert_uint_eq(t.dram_read, free_run.dram_read + 2 * 2 * sizeof(int32_t));
  static const char *const PHASE[] = {"prefill", "hybrid", "decode"};
  for (int i = 0; i < 3; i++) {
    o.phase = PHASE[i], o.past = i == 2 ? 4 : 0, o.steps = i == 2 ? 2 : 1;
    e = (err){0};
    ck_assert_int_eq(
        wl_compile(&m, &o, &(wl_target){.engines = 4, .sram_B = 8 << 20}, &d, &mem, &e), ERR_BAD);
    ck_assert_msg(strstr(e.msg, "tokens are given to 3 steps") != NULL, "%s", e.msg);
  }
}
END_TEST

/* Layers alone: a decode step's input is the row before it, of its own sequence; also where the
 * prefill went through in blocks of tokens. */
START_TEST(wl_compile__hybrid_layers_alone__next_input_is_the_last_row) {
  static const uint64_t SRAM_B[] = {8 << 20, 96 << 10};
  model m = builtin("stories15m");
  wl_options o = wl_defaults();
  o.phase = "hybrid", o.past = 0, o.tokens = 60, o.steps = 2, o.batch = 2;
  dag *d = compile(&m, &o, 4, SRAM_B[_i]);
  ck_assert_msg(dag_check(d, "dag", &e) == ERR_OK, "%s", e.msg);
  uint64_t seen[3] = {0};
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const dag_task *task = &d->tasks[t];
    if (task->op != OP_LOAD_ACT) continue;
    const dag_view *from = dag_reads(d, task);
    const char *name = d->tensors[from->tensor].name;
    if (strstr(name, "input") == NULL && strstr(name, "output") == NULL) continue;
    uint64_t *n = &seen[task->step];
    ck_assert_uint_eq(d->tensors[from->tensor].dim[0], task->step == 2 ? 2 : 2 * 60);
    for (uint64_t row = from->lo[0]; row < from->lo[0] + from->len[0]; row++, ++*n)
      if (task->step > 0) ck_assert_uint_eq(row, task->step == 1 ? 60 * (*n + 1) - 1 : *n);
  }
  ck_assert_uint_eq(seen[0], 2 * 60);
  ck_assert_uint_eq(seen[1], 2);
  ck_assert_uint_eq(seen[2], 2);
}
END_TEST

START_TEST(wl_compile__bad_options__are_refused_with_the_limit) {
  model m = builtin("llama-3.2-1b");
  static const struct {
    const char *phase, *message;
    uint64_t past, tokens, batch, layers, first;
  } CASE[] = {{"prefill", "empty cache", 4, 8, 1, 1, 0},
              {"decode", "131072 positions", 131072, 1, 1, 1, 0},
              {"decode", "131072 positions", UINT64_MAX, 1, 1, 1, 0},
              {"decode", "tokens must be at least 1", 4, 0, 1, 1, 0},
              {"decode", "batch from 1 to 1024", 4, 1, 5000, 1, 0},
              {"decode", "layers 0..15", 4, 1, 1, 17, 0},
              {"decode", "layers 0..15", 4, 1, 1, 1, 16}};
  for (size_t i = 0; i < sizeof CASE / sizeof CASE[0]; i++) {
    wl_options o = wl_defaults();
    o.phase = CASE[i].phase;
    o.past = CASE[i].past;
    o.tokens = CASE[i].tokens;
    o.batch = CASE[i].batch;
    o.layers = CASE[i].layers;
    o.first_layer = CASE[i].first;
    e = (err){0};
    dag *d;
    ck_assert_int_eq(
        wl_compile(&m, &o, &(wl_target){.engines = 4, .sram_B = 8 << 20}, &d, &mem, &e), ERR_BAD);
    ck_assert_msg(strstr(e.msg, CASE[i].message) != NULL, "case %zu: %s", i, e.msg);
  }
}
END_TEST

int main(void) {
  Suite *s = suite_create("block");
  TCase *t = tcase_create("compiler");
  tcase_set_timeout(t, 240);
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, wl_compile__default_block__equals_the_contract_to_the_byte);
  tcase_add_loop_test(t, wl_compile__every_model_and_split__equals_the_closed_forms, 0, 8);
  tcase_add_test(t, wl_compile__quantised__counts_scales_apart);
  tcase_add_test(t, wl_compile__prefill__counts_causal_pairs);
  tcase_add_test(t, wl_compile__blocks_of_tokens__begin_when_the_one_before_last_ended);
  tcase_add_test(t, wl_block_tokens__more_blocks_asked_for__quarters_of_what_sram_asks_for);
  tcase_add_test(t, wl_compile__chunks_in_work__as_the_target_says);
  tcase_add_test(t, wl_compile__op_in_tiles__same_work_and_groups);
  tcase_add_test(t, wl_compile__pieces__fit_their_share_of_sram);
  tcase_add_test(t, wl_compile__groups__follow_the_split);
  tcase_add_test(t, wl_compile__every_combination__equals_the_closed_forms);
  tcase_add_test(t, wl_compile__more_tokens_than_vocabulary__gathers_all_the_same);
  tcase_add_test(t, wl_compile__forced_tokens__come_from_the_prompt);
  tcase_add_loop_test(t, wl_compile__hybrid_layers_alone__next_input_is_the_last_row, 0, 2);
  tcase_add_test(t, wl_compile__bad_options__are_refused_with_the_limit);
  suite_add_tcase(s, t);
  return suite_run(s);
}
