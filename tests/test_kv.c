/* KV-cache updates: what they cost by the formulas that they are known by, and that the compiled
 * tasks, bytes and buffers are those. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/suite.h"
#include "workloads/cost.h"
#include "workloads/kv.h"

static arena mem;

static void setup(void) {
  mem = (arena){0};
}

static void teardown(void) {
  arena_free(&mem);
}

/* The table of the source, a column an expression, written apart from kv.c. */
START_TEST(kv_cost_of__any_shape__the_formulas_of_the_source) {
  for (uint64_t num_head = 1; num_head <= 32; num_head *= 2)
    for (uint64_t head_dim = 8; head_dim <= 128; head_dim += 40)
      for (uint64_t seq_len = 1; seq_len < 5000; seq_len = 3 * seq_len + 1) {
        kv_cost shift = kv_cost_of(WL_SHIFT_POINTER, num_head, head_dim, seq_len);
        ck_assert_uint_eq(shift.time_k, num_head * head_dim);
        ck_assert_uint_eq(shift.time_v, 1);
        ck_assert_uint_eq(shift.space_k, num_head * (head_dim + 1) * seq_len);
        ck_assert_uint_eq(shift.space_v, (num_head + 1) * head_dim * (seq_len - 1));
        kv_cost mask = kv_cost_of(WL_SMART_MASK, num_head, head_dim, seq_len);
        ck_assert_uint_eq(mask.time_k, num_head * head_dim);
        ck_assert_uint_eq(mask.time_v, num_head * head_dim);
        ck_assert_uint_eq(mask.space_k, num_head * seq_len * head_dim);
        ck_assert_uint_eq(mask.space_v, num_head * seq_len * head_dim);
      }
}
END_TEST

static uint64_t tensor_elements(const dag *d, const char *name) {
  for (size_t i = 0; i < d->n_tensors; i++) {
    const dag_tensor *t = &d->tensors[i];
    if (strcmp(t->name, name) == 0) return t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3];
  }
  ck_abort_msg("no tensor '%s'", name);
}

/* New elements of one kind that are copied into the cache's tiles, and pointers that move. */
static void copied(const dag *d, char kind, uint64_t *elements, uint64_t *pointers) {
  char append[16], shift[16];
  snprintf(append, sizeof append, "L0.%c_append", kind);
  snprintf(shift, sizeof shift, "L0.%c_shift", kind);
  *elements = *pointers = 0;
  for (uint32_t i = 0; i < d->n_tasks; i++) {
    const dag_task *t = &d->tasks[i];
    bool appends = strncmp(t->name, append, strlen(append)) == 0;
    bool shifts = strncmp(t->name, shift, strlen(shift)) == 0;
    ck_assert(!shifts || t->op == OP_KVSHIFT);
    if (appends) *elements += dag_view_elements(dag_writes(d, t));
    if (shifts) {
      ck_assert_uint_eq(cost_of(d, i).operand_B, 0);
      *pointers += dag_writes(d, t)->lo[0] == 0; /* heads are shifted by one pointer */
    }
  }
}

static const dag *compiled(wl_options *o, const model *m, wl_target *t) {
  dag *d;
  err e = {0};
  ck_assert_msg(wl_compile(m, o, t, &d, &mem, &e) == ERR_OK, "%s", e.msg);
  ck_assert_msg(dag_check(d, "compiled", &e) == ERR_OK, "%s", e.msg);
  return d;
}

/* A loop test: split and attention. */
START_TEST(compile__one_token__costs_what_the_table_says) {
  static const char *const MODEL[] = {"llama-3.2-1b", "stories15m"};
  err e = {0};
  model m;
  ck_assert_int_eq(model_load(MODEL[_i % 2], &m, &mem, &e), ERR_OK);
  uint64_t H = m.num_key_value_heads, hd = m.head_dim, pasts[] = {0, 4, 130};
  for (size_t p = 0; p < 3; p++)
    for (int split = 0; split < WL_SPLIT_COUNT; split++)
      for (int u = 0; u < WL_KV_UPDATE_COUNT; u++) {
        wl_options o = wl_defaults();
        wl_target t = {.engines = 4, .sram_B = 8 << 20};
        o.past = pasts[p];
        o.split = (wl_split)split;
        o.flash = _i / 2;
        o.kv_update = (wl_kv_update)u;
        const dag *d = compiled(&o, &m, &t);
        uint64_t rows = o.past + 1, seq = u == WL_SHIFT_POINTER ? rows + 1 : rows;
        kv_cost want = kv_cost_of(o.kv_update, H, hd, seq);
        ck_assert_uint_eq(tensor_elements(d, "L0.k_cache"), want.space_k);
        ck_assert_uint_eq(tensor_elements(d, "L0.v_cache"), want.space_v);
        uint64_t k, v, pointers, none;
        copied(d, 'k', &k, &none);
        ck_assert_uint_eq(none, 0);
        copied(d, 'v', &v, &pointers);
        ck_assert_uint_eq(k, want.time_k);
        ck_assert_uint_eq(v, u == WL_SHIFT_POINTER ? 0 : want.time_v);
        ck_assert_uint_eq(pointers > 0, u == WL_SHIFT_POINTER);
        /* what crosses DRAM is the same: the past rows and the new ones */
        cost_totals sum = cost_sum(d);
        ck_assert_uint_eq(sum.kv_read, 2 * H * hd * 2 * o.past);
        ck_assert_uint_eq(sum.kv_write, 2 * H * hd * 2);
      }
}
END_TEST

/* A projection cannot leave its rows in place where the cache has another dtype. */
START_TEST(compile__shift_pointer__converts_v_for_a_cache_of_another_dtype) {
  err e = {0};
  model m;
  ck_assert_int_eq(model_load("stories15m", &m, &mem, &e), ERR_OK);
  dtype kv[] = {DT_F16, DT_INT8, DT_INT4};
  for (size_t i = 0; i < 3; i++) {
    wl_options o = wl_defaults();
    wl_target t = {.engines = 4, .sram_B = 8 << 20};
    o.kv_update = WL_SHIFT_POINTER;
    o.kv_dtype = kv[i];
    uint64_t v, pointers;
    copied(compiled(&o, &m, &t), 'v', &v, &pointers);
    ck_assert_uint_eq(v, m.num_key_value_heads * m.head_dim);
    ck_assert_uint_eq(pointers, 0);
  }
}
END_TEST

static Suite *kv_suite(void) {
  Suite *s = suite_create("kv");
  TCase *t = tcase_create("kv");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 60);
  tcase_add_test(t, kv_cost_of__any_shape__the_formulas_of_the_source);
  tcase_add_loop_test(t, compile__one_token__costs_what_the_table_says, 0, 4);
  tcase_add_test(t, compile__shift_pointer__converts_v_for_a_cache_of_another_dtype);
  suite_add_tcase(s, t);
  return s;
}

int main(void) {
  return suite_run(kv_suite());
}
