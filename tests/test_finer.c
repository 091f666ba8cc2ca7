/* Long steps in finer pieces (wl_target's pieces, rows, heads, blocks and abreast): the same work
 * in the same groups, cut as asked for, and the same numbers. */
#include <check.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dx_rig.h"
#include "tests/suite.h"
#include "workloads/block.h"
#include "workloads/cost.h"

static arena mem;
static err fault;

static void setup(void) {
  mem = (arena){0};
  fault = (err){0};
}

static void teardown(void) {
  arena_free(&mem);
}

static dag *compile(const model *m, const wl_options *o, const wl_target *t) {
  dag *d;
  ck_assert_msg(wl_compile(m, o, t, &d, &mem, &fault) == ERR_OK, "%s", fault.msg);
  ck_assert_msg(dag_check(d, "dag", &fault) == ERR_OK, "%s", fault.msg);
  return d;
}

static wl_options prefill(uint64_t tokens) {
  wl_options o = wl_defaults();
  o.phase = "prefill";
  o.past = 0;
  o.tokens = tokens;
  o.split = WL_OP;
  return o;
}

static model builtin(const char *name) {
  model m;
  ck_assert_msg(model_load(name, &m, &mem, &fault) == ERR_OK, "%s", fault.msg);
  return m;
}

/* The first or last compute task whose name begins so; and how many there are. */
static uint32_t task_of(const dag *d, const char *name, bool last, size_t *n) {
  uint32_t found = UINT32_MAX;
  *n = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    bool compute = op_kind_of((op)d->tasks[t].op) == OP_COMPUTE;
    if (!compute || strncmp(d->tasks[t].name, name, strlen(name)) != 0) continue;
    if (last || found == UINT32_MAX) found = t;
    ++*n;
  }
  ck_assert_uint_ne(found, UINT32_MAX);
  return found;
}

static uint64_t largest_tile_B(const dag *d) {
  uint64_t most = 0;
  for (size_t i = 0; i < d->n_tensors; i++) {
    bool tile = d->tensors[i].space == DAG_SRAM && d->tensors[i].role == DAG_WEIGHT;
    uint64_t bytes = tile ? dag_tensor_bytes(&d->tensors[i]) : 0;
    most = bytes > most ? bytes : most;
  }
  return most;
}

START_TEST(wl_compile__finer_pieces__same_work_and_groups) {
  static const char *const NAME[] = {"bf16", "int8", "w4a16"};
  model m = builtin("llama-3.2-1b");
  wl_options o = prefill(128);
  int status = wl_dtype_parse(NAME[_i], &o.weight_dtype, &o.act_dtype, &o.kv_dtype, &fault);
  ck_assert_int_eq(status, ERR_OK);
  wl_target t = {.engines = 4, .sram_B = 4 << 20};
  const dag *whole = compile(&m, &o, &t);
  cost_totals x = cost_sum(whole);
  for (uint32_t n = 0; n < 8; n++) {
    t.pieces = n % 2, t.rows = n / 2 % 2, t.heads = n / 4;
    const dag *d = compile(&m, &o, &t);
    cost_totals y = cost_sum(d);
    ck_assert_uint_eq(x.matrix_flops, y.matrix_flops);
    ck_assert_uint_eq(x.weights, y.weights);
    ck_assert_uint_eq(x.kv_write, y.kv_write);
    ck_assert_uint_eq(whole->n_groups, d->n_groups);
    if (t.heads == 0) ck_assert((d->n_tasks > whole->n_tasks) == (n > 0));
  }
}
END_TEST

START_TEST(wl_compile__finer_pieces__as_small_as_asked_for) {
  model m = builtin("llama-3.2-1b");
  wl_options o = prefill(128);
  wl_target t = {.engines = 4, .sram_B = 4 << 20};
  const dag *whole = compile(&m, &o, &t);
  size_t rows, n;
  task_of(whole, "L0.scores", false, &rows);
  for (uint32_t k = 1; k <= 2; k++) {
    t.pieces = k;
    const dag *d = compile(&m, &o, &t);
    ck_assert_uint_le(largest_tile_B(d), 2 * largest_tile_B(whole) / (2 + k));
    t.pieces = 0, t.rows = k;
    task_of(compile(&m, &o, &t), "L0.scores", false, &n);
    ck_assert_uint_ge(2 * n, (2 + k) * rows);
    t.rows = 0, t.heads = k;
    task_of(compile(&m, &o, &t), "L0.k_append", false, &n);
    ck_assert_uint_eq(n, (size_t)1 << k);
    t.heads = 0;
  }
}
END_TEST

START_TEST(wl_compile__finer_pieces_of_parts__as_small_as_asked_for_and_heads_together) {
  model m = builtin("llama-3.2-1b");
  wl_options o = prefill(128);
  o.split = _i == 0 ? WL_HEAD : WL_TILE;
  wl_target t = {.engines = 4, .sram_B = 4 << 20}, finer = t;
  const dag *whole = compile(&m, &o, &t);
  size_t rows, n;
  task_of(whole, "L0.scores", false, &rows);
  finer.pieces = 2;
  ck_assert_uint_le(largest_tile_B(compile(&m, &o, &finer)), largest_tile_B(whole) / 2);
  finer = t, finer.rows = 2;
  task_of(compile(&m, &o, &finer), "L0.scores", false, &n);
  ck_assert_uint_ge(n, 2 * rows);
  finer = t, finer.heads = 1;
  ck_assert_uint_eq(compile(&m, &o, &finer)->n_tasks, whole->n_tasks);
}
END_TEST

/* Each of few blocks of tokens counts; of many, a quarter of them. */
START_TEST(wl_block_tokens__more_blocks__as_many_as_asked_for) {
  model m = builtin("llama-3.2-1b");
  wl_options o = prefill(1024);
  static const uint64_t SRAM_B[] = {8 << 20, 4 << 20, 1 << 20};
  for (size_t s = 0; s < 3; s++) {
    wl_target t = {.engines = 4, .sram_B = SRAM_B[s]};
    uint64_t few =
        (1024 + wl_block_tokens(&m, &o, &t, 1024) - 1) / wl_block_tokens(&m, &o, &t, 1024);
    ck_assert_uint_gt(few, 1);
    for (t.blocks = 1; t.blocks <= 4; t.blocks++) {
      uint64_t n = few < 4 ? few + t.blocks : few + few * t.blocks / 4;
      ck_assert_uint_eq(wl_block_tokens(&m, &o, &t, 1024), (1024 + n - 1) / n);
    }
  }
  wl_target t = {.engines = 4, .sram_B = 64 << 20, .blocks = 2}; /* one block stays one */
  ck_assert_uint_eq(wl_block_tokens(&m, &o, &t, 1024), 1024);
}
END_TEST

/* What the task waits for, and what that waits for, and so on. */
static bool waits_for(const dag *d, uint32_t task, uint32_t on) {
  bool *before = ARENA_NEW(&mem, bool, d->n_tasks);
  before[task] = true;
  for (uint32_t t = task; t > on; t--) {
    for (uint32_t k = 0; before[t] && k < d->tasks[t].n_deps; k++)
      before[dag_deps(d, &d->tasks[t])[k]] = true;
  }
  return before[on];
}

START_TEST(wl_compile__few_heads_at_a_time__output_begins_before_the_last_are_projected) {
  model m = builtin("llama-3.2-1b");
  wl_options o = prefill(128);
  o.flash = _i;
  for (uint32_t heads = 0; heads <= 2; heads++) {
    wl_target t = {.engines = 4, .sram_B = 4 << 20, .heads = heads};
    const dag *d = compile(&m, &o, &t);
    size_t n;
    uint32_t last_q = task_of(d, "L0.q_proj", true, &n);
    uint32_t first_o = task_of(d, "L0.o_proj", false, &n);
    ck_assert((first_o > last_q) == (heads == 0));
    ck_assert(waits_for(d, task_of(d, "L0.o_proj", true, &n), last_q));
    if (heads == 0) ck_assert(waits_for(d, first_o, last_q));
  }
}
END_TEST

/* Heads of 48 columns: two, four or all six at a time. */
START_TEST(wl_compile__few_heads_at_a_time__int4_is_cut_between_its_groups) {
  model m = builtin("stories15m");
  wl_options o = prefill(128);
  o.weight_dtype = DT_INT4;
  for (uint32_t heads = 1; heads <= 3; heads++) {
    wl_target t = {.engines = 4, .sram_B = 1 << 20, .heads = heads};
    const dag *d = compile(&m, &o, &t);
    size_t n;
    task_of(d, "L0.k_append", false, &n);
    ck_assert_uint_eq(n, heads == 1 ? 2 : 3);
    for (uint32_t i = 0; i < d->n_tasks; i++) {
      const dag_view *v = dag_reads(d, &d->tasks[i]);
      const dag_tensor *x = &d->tensors[v->tensor];
      if (x->space == DAG_DRAM && x->role == DAG_WEIGHT && x->dtype == DT_INT4)
        ck_assert_uint_eq(v->lo[1] % 32, 0);
    }
  }
}
END_TEST

/* A block of tokens begins when the one so many before it is over, and waits for no other's end. */
START_TEST(wl_compile__blocks_abreast__as_many_in_work_as_asked_for) {
  model m = builtin("llama-3.2-1b");
  wl_options o = prefill(1024);
  for (uint32_t more = 0; more <= 2; more++) {
    wl_target t = {.engines = 4, .sram_B = 2 << 20, .abreast = more};
    uint64_t block = wl_block_tokens(&m, &o, &t, 1024);
    ck_assert_uint_gt(1024 / block, 4);
    const dag *d = compile(&m, &o, &t);
    size_t n;
    for (uint64_t k = 1; k <= 4; k++)
      for (uint64_t before = 0; before < k; before++) {
        const char *begin = arena_printf(&mem, "t%" PRIu64 ".L0.attn_norm", k * block);
        const char *end = arena_printf(&mem, "t%" PRIu64 ".", before * block);
        bool waits = waits_for(d, task_of(d, begin, false, &n), task_of(d, end, true, &n));
        bool shall = (k - before) % (2 + more) == 0;
        ck_assert_msg(waits == shall, "%u: %" PRIu64 ", %" PRIu64, more, k, before);
      }
  }
}
END_TEST

#ifdef __SANITIZE_ADDRESS__ /* takes long */
enum { EVERY = 5 };
#else
enum { EVERY = 1 };
#endif
enum { WAYS = 2 * WL_FUSE_COUNT * WL_KV_UPDATE_COUNT };

/* Two sequences of 40 tokens, in SRAM that holds them whole, or in blocks. */
START_TEST(dx_run__finer_pieces__yield_the_reference) {
  static const uint64_t SRAM_B[] = {1 << 20, 60 << 10};
  static const struct {
    const char *weight;
    double tolerance; /* as test_dag_exec.c has them */
  } MIX[] = {{"f32", 5e-6}, {"int8", 5e-6}, {"int4", 5e-6}};
  model m = rig_model(true, &mem);
  wl_options o = prefill(40);
  o.batch = 2;
  o.layers = m.num_hidden_layers;
  o.all = true;
  o.act_dtype = o.kv_dtype = DT_F32;
  o.weight_dtype = dtype_parse(MIX[_i].weight);
  rig g = rig_new(&m, &o, &mem);
  for (uint32_t n = 0; n < 6 * WAYS; n += EVERY) {
    wl_target t = {.engines = 3, .sram_B = SRAM_B[n % 2]};
    o.split = (wl_split[]){WL_OP, WL_HEAD, WL_TILE}[n / (2 * WAYS)];
    t.blocks = n / 6 % 3, t.abreast = n / 5 % 3;
    t.heads = n % 4, t.rows = n % 3, t.pieces = n / 3 % 3, t.inner = n / 4 % 2;
    uint32_t way = n / 2 % WAYS;
    o.flash = way % 2;
    o.fuse = (wl_fuse)(way / 2 % WL_FUSE_COUNT);
    o.kv_update = (wl_kv_update)(way / 2 / WL_FUSE_COUNT);
    rig_run run;
    rig_begin(&run, &g, compile(&m, &o, &t));
    ck_assert_msg(dx_run(run.x, NULL, &fault) == ERR_OK, "%u: %s", n, fault.msg);
    double error = rig_error(&run, true);
    rig_end(&run);
    ck_assert_msg(error <= MIX[_i].tolerance, "%u: error %g", n, error);
  }
}
END_TEST

int main(void) {
  Suite *s = suite_create("finer");
  TCase *t = tcase_create("finer pieces");
  tcase_set_timeout(t, 240);
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_loop_test(t, wl_compile__finer_pieces__same_work_and_groups, 0, 3);
  tcase_add_test(t, wl_compile__finer_pieces__as_small_as_asked_for);
  tcase_add_loop_test(
      t, wl_compile__finer_pieces_of_parts__as_small_as_asked_for_and_heads_together, 0, 2);
  tcase_add_test(t, wl_block_tokens__more_blocks__as_many_as_asked_for);
  tcase_add_loop_test(
      t, wl_compile__few_heads_at_a_time__output_begins_before_the_last_are_projected, 0, 2);
  tcase_add_test(t, wl_compile__few_heads_at_a_time__int4_is_cut_between_its_groups);
  tcase_add_test(t, wl_compile__blocks_abreast__as_many_in_work_as_asked_for);
  tcase_add_loop_test(t, dx_run__finer_pieces__yield_the_reference, 0, 3);
  suite_add_tcase(s, t);
  return suite_run(s);
}
