/* The task graph: derived dependencies, successors, costs in closed form, and every rule of
 * dag_check. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/cost.h"
#include "workloads/dag.h"
#include "tests/suite.h"

static arena mem;
static err fault;
static dag *d;

static void setup(void) {
  mem = (arena){0};
  fault = (err){0};
  d = dag_new(&mem);
}

static void teardown(void) {
  arena_free(&mem);
}

static void restart(void) {
  teardown();
  setup();
}

/* ---- building ---------------------------------------------------------------------------------
 */

/* A tensor from its shape: "4x64", with ":int8" and ":scale" (role) as wanted. */
static uint32_t tensor(dag_space space, const char *text) {
  uint64_t dim[DAG_RANK];
  uint32_t rank = 0;
  char *copy = arena_strdup(&mem, text), *save = NULL, *shape = strtok_r(copy, ":", &save);
  dtype dt = DT_BF16;
  dag_role role = DAG_ACT;
  for (char *p; (p = strtok_r(NULL, ":", &save)) != NULL;) {
    if (dtype_parse(p) != DT_COUNT) dt = dtype_parse(p);
    if (strcmp(p, "scale") == 0) role = DAG_SCALE;
  }
  for (char *p = strtok_r(shape, "x", &save); p != NULL; p = strtok_r(NULL, "x", &save))
    dim[rank++] = strtoull(p, NULL, 10);
  return dag_add_tensor(d, text, space, role, dt, rank, dim);
}

static uint32_t add_at(op o, uint32_t pos, const dag_view *reads, size_t n_reads,
                       const dag_view *writes, size_t n_writes) {
  dag_task t = {.name = "it", .group = DAG_NO_GROUP, .op = (uint8_t)o, .pos = pos};
  return dag_add_task(d, &t, reads, n_reads, writes, n_writes);
}

static uint32_t add(op o, dag_view read, dag_view write) {
  return add_at(o, 0, &read, 1, &write, 1);
}

static dag_view box(uint32_t t, uint64_t row, uint64_t rows, uint64_t col, uint64_t cols) {
  return dag_box(d, t, (uint64_t[]){row, col}, (uint64_t[]){rows, cols});
}

/* A task over tensors of the given shapes ("4x64 32x64"); what it reads is loaded first. */
static uint32_t task_of_shapes(op o, uint32_t pos, const char *reads, const char *writes) {
  dag_view v[2][8];
  size_t n[2] = {0, 0};
  for (int side = 0; side < 2; side++) {
    char *save = NULL, *copy = arena_strdup(&mem, side == 0 ? reads : writes);
    for (char *p = strtok_r(copy, " ", &save); p != NULL; p = strtok_r(NULL, " ", &save)) {
      v[side][n[side]++] = dag_all(d, tensor(DAG_SRAM, p));
      if (side == 0) add(OP_LOAD_ACT, dag_all(d, tensor(DAG_DRAM, p)), v[side][n[side] - 1]);
    }
  }
  return add_at(o, pos, v[0], n[0], v[1], n[1]);
}

/* `want`: '|'-separated texts that the refusal must hold; "": it must pass. */
static void check(const char *want) {
  fault = (err){0};
  int status = dag_check(d, "here", &fault);
  ck_assert_int_eq(status, fault.status);
  if (*want == '\0') {
    ck_assert_msg(status == ERR_OK, "%s", fault.msg);
    return;
  }
  ck_assert_msg(status == ERR_BAD, "passed, but should say: %s", want);
  ck_assert_msg(strncmp(fault.msg, "here: ", 6) == 0, "%s", fault.msg);
  char *save = NULL, *copy = arena_strdup(&mem, want);
  for (char *p = strtok_r(copy, "|", &save); p != NULL; p = strtok_r(NULL, "|", &save))
    ck_assert_msg(strstr(fault.msg, p) != NULL, "'%s' is not in: %s", p, fault.msg);
}

static void deps_are(uint32_t task, size_t n, const uint32_t *want) {
  ck_assert_uint_eq(d->tasks[task].n_deps, n);
  for (size_t i = 0; i < n; i++) ck_assert_uint_eq(dag_deps(d, &d->tasks[task])[i], want[i]);
}

/* Four writers of 4 columns each, of x (2, 16); and y to copy to. */
static uint32_t four_writers(uint32_t *y) {
  uint32_t from = tensor(DAG_DRAM, "2x16"), x = tensor(DAG_SRAM, "2x16");
  *y = tensor(DAG_DRAM, "2x16");
  for (uint64_t i = 0; i < 4; i++)
    add(OP_LOAD_ACT, box(from, 0, 2, 4 * i, 4), box(x, 0, 2, 4 * i, 4));
  return x;
}

START_TEST(dag_add_task__view_across_writers__depends_on_those_it_overlaps) {
  uint32_t y, x = four_writers(&y);
  deps_are(add(OP_STORE_ACT, box(x, 0, 2, 2, 4), box(y, 0, 2, 2, 4)), 2, (uint32_t[]){0, 1});
  deps_are(add(OP_STORE_ACT, box(x, 0, 2, 7, 2), box(y, 0, 2, 7, 2)), 2, (uint32_t[]){1, 2});
}
END_TEST

START_TEST(dag_add_task__views_that_only_touch__no_dependency) {
  uint32_t y, x = four_writers(&y);
  deps_are(add(OP_STORE_ACT, box(x, 0, 2, 4, 4), box(y, 0, 2, 4, 4)), 1, (uint32_t[]){1});
  deps_are(add(OP_STORE_ACT, box(x, 0, 2, 15, 1), box(y, 0, 2, 15, 1)), 1, (uint32_t[]){3});
}
END_TEST

START_TEST(dag_add_task__overlap_in_one_dimension_only__no_dependency) {
  uint32_t from = tensor(DAG_DRAM, "2x16"), x = tensor(DAG_SRAM, "2x16"),
           y = tensor(DAG_DRAM, "2x16");
  add(OP_LOAD_ACT, box(from, 0, 1, 0, 16), box(x, 0, 1, 0, 16));
  deps_are(add(OP_STORE_ACT, box(x, 1, 1, 0, 16), box(y, 1, 1, 0, 16)), 0, NULL);
}
END_TEST

START_TEST(dag_add_task__two_reads_of_one_writer__one_dependency) {
  uint32_t y, x = four_writers(&y);
  dag_view reads[2] = {box(x, 0, 1, 0, 8), box(x, 1, 1, 0, 8)};
  dag_view writes[2] = {box(y, 0, 1, 0, 8), box(y, 1, 1, 0, 8)};
  deps_are(add_at(OP_STORE_ACT, 0, reads, 2, writes, 2), 2, (uint32_t[]){0, 1});
}
END_TEST

START_TEST(dag_successors__any__the_inverse_of_deps_ascending) {
  uint32_t y, x = four_writers(&y);
  for (uint64_t i = 0; i < 12; i++) add(OP_STORE_ACT, box(x, 0, 2, i, 4), box(y, 0, 2, i, 4));
  dag_succ s = dag_successors(d, &mem);
  size_t edges = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++)
    for (uint64_t k = s.first[t]; k < s.first[t + 1]; k++, edges++) {
      const dag_task *to = &d->tasks[s.succ[k]];
      ck_assert(k == s.first[t] || s.succ[k - 1] < s.succ[k]);
      bool found = false;
      for (uint32_t i = 0; i < to->n_deps; i++) found = found || dag_deps(d, to)[i] == t;
      ck_assert(found);
    }
  ck_assert_uint_eq(edges, d->n_deps);
  ck_assert_uint_eq(s.first[d->n_tasks], d->n_deps);
}
END_TEST

/* ---- costs ------------------------------------------------------------------------------------
 */

static void cost_is(op o, uint32_t pos, const char *reads, const char *writes, uint64_t matrix,
                    uint64_t vector, uint64_t operand_B) {
  cost c = cost_of(d, task_of_shapes(o, pos, reads, writes));
  ck_assert_msg(c.matrix_flops == matrix, "%s: %ju", op_name(o), (uintmax_t)c.matrix_flops);
  ck_assert_msg(c.vector_flops == vector, "%s: %ju", op_name(o), (uintmax_t)c.vector_flops);
  ck_assert_uint_eq(c.operand_B, operand_B);
  ck_assert_uint_eq(c.transfer_B, 0);
}

START_TEST(cost_of__each_op__closed_form) {
  /* 2*T*N*K; vector FLOPs an element as cost.h lists them; every operand once, 2 B an element */
  cost_is(OP_MATMUL, 0, "3x64 10x64", "3x10", 2 * 3 * 10 * 64, 0, 2 * (192 + 640 + 30));
  cost_is(OP_RMSNORM, 0, "3x64 64", "3x64", 0, 4 * 192, 2 * (192 + 64 + 192));
  cost_is(OP_ROPE, 4, "3x64", "3x64", 0, 3 * 192, 2 * 384);
  cost_is(OP_KVAPPEND, 4, "3x64", "2x3x32", 0, 0, 2 * 384);
  cost_is(OP_KVAPPEND, 4, "3x64", "1x2x32x3", 0, 0, 2 * 384);
  cost_is(OP_KVSHIFT, 4, "3x64", "2x3x32", 0, 0, 0);
  cost_is(OP_ADD, 0, "3x64 3x64", "3x64", 0, 192, 2 * 576);
  cost_is(OP_SILU_MUL, 0, "3x64 3x64", "3x64", 0, 5 * 192, 2 * 576);
  /* decode, past 4: the one query sees 5 keys; 2 heads of 32 on 1 KV head */
  cost_is(OP_QK, 4, "1x64 1x5x32", "2x1x5", 2 * 32 * 2 * 5, 2 * 5, 2 * (64 + 160 + 10));
  cost_is(OP_QK, 4, "1x64 1x1x32x5", "2x1x5", 2 * 32 * 2 * 5, 2 * 5, 2 * (64 + 160 + 10));
  cost_is(OP_PV, 4, "2x1x5 1x5x32", "1x64", 2 * 32 * 2 * 5, 0, 2 * (10 + 160 + 64));
  cost_is(OP_SOFTMAX_MAX, 4, "2x1x5", "2x1", 0, 2 * 5, 2 * 12);
  cost_is(OP_SOFTMAX_EXP, 4, "2x1x5 2x1", "2x1x5 2x1", 0, 3 * 2 * 5, 2 * 24);
  cost_is(OP_SOFTMAX_NORM, 4, "2x1x5 2x1", "2x1x5", 0, 2 * 5, 2 * 22);
}
END_TEST

START_TEST(cost_of__prefill__only_visible_pairs_count) {
  /* 8 queries from position 0: 1 + 2 + ... + 8 = 36 pairs; 3 from position 4: 5 + 6 + 7 = 18 */
  cost_is(OP_QK, 0, "8x64 1x8x32", "2x8x8", 2 * 32 * 2 * 36, 2 * 36, 2 * (512 + 256 + 128));
  cost_is(OP_PV, 4, "2x3x7 1x7x32", "3x64", 2 * 32 * 2 * 18, 0, 2 * (42 + 224 + 192));
}
END_TEST

START_TEST(cost_of__any_offset__pairs_as_counted_one_by_one) {
  for (uint64_t T = 1; T <= 6; T++)
    for (uint64_t N = 1; N <= 9; N++)
      for (uint32_t pos = 0; pos <= 10; pos++) {
        uint64_t pairs = 0;
        for (uint64_t q = 0; q < T; q++) pairs += pos + q + 1 < N ? pos + q + 1 : N;
        char s[32], m[32];
        snprintf(s, sizeof s, "2x%ux%u", (unsigned)T, (unsigned)N);
        snprintf(m, sizeof m, "2x%u", (unsigned)T);
        ck_assert_uint_eq(cost_of(d, task_of_shapes(OP_SOFTMAX_MAX, pos, s, m)).vector_flops,
                          2 * pairs);
      }
}
END_TEST

START_TEST(cost_of__mixed_dtypes__rate_of_the_widest_input_and_bytes_by_width) {
  cost c = cost_of(d, task_of_shapes(OP_MATMUL, 0, "3x64 10x64:int8 10:f32:scale", "3x10"));
  ck_assert_int_eq(c.rate, DT_BF16);
  ck_assert_uint_eq(c.operand_B, 2 * 192 + 640 + 40 + 2 * 30);
  c = cost_of(d, task_of_shapes(OP_MATMUL, 0, "3x64:int8 10x64:int4 10x2:f16:scale", "3x10:int8"));
  ck_assert_int_eq(c.rate, DT_INT8);
  ck_assert_uint_eq(c.operand_B, 192 + 320 + 40 + 30);
}
END_TEST

START_TEST(cost_sum__loads_and_stores__by_role) {
  task_of_shapes(OP_MATMUL, 0, "3x64 10x64:int8 10:f32:scale", "3x10");
  cost_totals s = cost_sum(d);
  ck_assert_uint_eq(s.compute, 1);
  ck_assert_uint_eq(s.load, 3);
  ck_assert_uint_eq(s.store, 0);
  ck_assert_uint_eq(s.dram_read, 384 + 640 + 40);
  ck_assert_uint_eq(s.scales, 40);
  ck_assert_uint_eq(s.matrix_flops, 2 * 3 * 10 * 64);
}
END_TEST

/* ---- dag_check: shapes ------------------------------------------------------------------------
 */

static const struct {
  op op;
  const char *reads, *writes, *want;
} SHAPES[] = {
    {OP_MATMUL, "3x64 10x64", "3x10", ""},
    {OP_MATMUL, "3x64 10x32", "3x10", "reads[1] '10x32' has shape (10, 32)|K = 64"},
    {OP_MATMUL, "3x64 10x64", "3x11", "writes[0]|(3, 11)|MatMul wants x(T,K) w(N,K)"},
    {OP_MATMUL, "3x64", "3x10", "it reads 1 and writes 1 operands"},
    {OP_MATMUL, "3x64 10x64", "3x10 3x10", "it reads 2 and writes 2 operands"},
    {OP_MATMUL, "3x64x1 10x64", "3x10", "reads[0]|(3, 64, 1)"},
    {OP_MATMUL, "3x64 10x64:int8 10:f32:scale", "3x10", ""},
    {OP_MATMUL, "3x64 10x64:int8 10x1:f32:scale", "3x10", ""},
    {OP_MATMUL, "3x64 10x64:int8 10x2:f32:scale", "3x10", "have 2 columns|has 1"},
    {OP_MATMUL, "3x64 10x64:int8 11:f32:scale", "3x10", "reads[2]|N = 10"},
    {OP_MATMUL, "3x64 10x64:int4 10x2:f16:scale", "3x10", ""},
    {OP_MATMUL, "3x65 10x65:int4 10x3:f16:scale", "3x10", ""},
    {OP_MATMUL, "3x64 10x64:int4 10x1:f16:scale", "3x10", "have 1 columns|has 2"},
    {OP_MATMUL, "3x64 10x64 10:f32:scale", "3x10", "which takes none"},
    {OP_MATMUL, "3x64 10x64:int8 10:f32", "3x10", "reads[2]|?scales"},
    {OP_RMSNORM, "3x64 64", "3x64", ""},
    {OP_RMSNORM, "3x64 63", "3x64", "reads[1]|C = 64"},
    {OP_RMSNORM, "3x64 64", "3x63", "writes[0]|C = 64"},
    {OP_RMSNORM, "3x64 1x64", "3x64", "reads[1]|(1, 64)"},
    {OP_ROPE, "3x64", "3x64", ""},
    {OP_ROPE, "3x64", "4x64", "writes[0]|T = 3"},
    {OP_ROPE, "3x63", "3x63", "63 columns are not whole heads"},
    {OP_KVAPPEND, "3x64", "2x3x32", ""},
    {OP_KVAPPEND, "3x64", "2x4x32", "writes[0]|T = 3"},
    {OP_KVAPPEND, "3x64", "2x3x16", "64 columns are not 2 heads of 16"},
    {OP_KVAPPEND, "3x64", "2x3x32:int8 2x3x1:f16:scale", ""},
    {OP_KVAPPEND, "3x64", "2x3x32:int8 2x4x1:f16:scale", "writes[1]"},
    {OP_KVAPPEND, "3x64", "2x3x32 2x3:f16:scale", "which takes none"},
    {OP_KVAPPEND, "3x64", "1x2x32x3", ""},
    {OP_KVAPPEND, "3x64", "1x2x3x32", "writes[0]"},
    {OP_KVSHIFT, "3x64", "2x3x32", ""},
    {OP_KVSHIFT, "3x64", "1x2x32x3", "writes[0]"},
    {OP_KVSHIFT, "3x64", "2x3x16", "64 columns are not 2 heads of 16"},
    {OP_QK, "3x128 1x2x32x7", "4x3x7", ""},
    {OP_QK, "3x128 1x2x7x32", "4x3x7", "writes[0]"},
    {OP_QK, "3x128 2x7x32", "4x3x7", ""},
    {OP_QK, "3x128 2x7x32:int8 2x7x1:f16:scale", "4x3x7", ""},
    {OP_QK, "3x128 2x7x32:int8 2x7:f16:scale", "4x3x7", ""},
    {OP_QK, "3x128 2x7x32:int8 2x6:f16:scale", "4x3x7", "reads[2]"},
    {OP_QK, "3x128 2x7x32", "4x3x8", "writes[0]|N = 7"},
    {OP_QK, "3x128 2x7x32", "4x2x7", "writes[0]|T = 3"},
    {OP_QK, "3x96 2x7x32", "3x3x7", "3 heads do not share 2 KV heads evenly"},
    {OP_QK, "3x100 2x7x32", "4x3x7", "100 columns are not 4 heads of 32"},
    {OP_SOFTMAX_MAX, "4x3x7", "4x3", ""},
    {OP_SOFTMAX_MAX, "4x3x7", "4x7", "writes[0]|T = 3"},
    {OP_SOFTMAX_EXP, "4x3x7 4x3", "4x3x7 4x3", ""},
    {OP_SOFTMAX_EXP, "4x3x7 4x3", "4x3x7", "it reads 2 and writes 1 operands"},
    {OP_SOFTMAX_EXP, "4x3x7 3x4", "4x3x7 4x3", "reads[1]|H = 4"},
    {OP_SOFTMAX_NORM, "4x3x7 4x3", "4x3x7", ""},
    {OP_SOFTMAX_NORM, "4x3x7 4x3", "4x3x6", "writes[0]|N = 7"},
    {OP_PV, "4x3x7 2x7x32", "3x128", ""},
    {OP_PV, "4x3x7 2x6x32", "3x128", "reads[1]|N = 7"},
    {OP_PV, "4x3x7 2x7x32", "3x64", "64 columns are not 4 heads of 32"},
    {OP_ADD, "3x64 3x64", "3x64", ""},
    {OP_ADD, "2x3x4x5 2x3x4x5", "2x3x4x5", ""},
    {OP_ADD, "3x64 3x63", "3x64", "reads[1]|(3, 63)"},
    {OP_ADD, "3x64 3x64", "3x64x1", "writes[0]"},
    {OP_SILU_MUL, "3x64 3x64", "3x64", ""},
    {OP_SILU_MUL, "3x64 64x3", "3x64", "reads[1]|(64, 3)"},
    {OP_LOAD_ACT, "3x64", "3x64",
     "operand 0 goes from sram to sram; a load goes from dram to sram"},
    {OP_STORE_ACT, "3x64", "3x64", "operand 0 goes from sram to sram|sram to dram"},
};

START_TEST(dag_check__shapes_of_each_op__as_it_wants_them) {
  task_of_shapes(SHAPES[_i].op, 0, SHAPES[_i].reads, SHAPES[_i].writes);
  check(SHAPES[_i].want);
}
END_TEST

START_TEST(dag_check__rope_with_known_head_dim__whole_heads) {
  d->workload.head_dim = 64;
  task_of_shapes(OP_ROPE, 0, "3x128", "3x128");
  check("");
  task_of_shapes(OP_ROPE, 0, "3x96", "3x96");
  check("task 3 'it' (RoPE)|96 columns are not whole heads of 64");
}
END_TEST

/* ---- dag_check: transfers, records, hazards ---------------------------------------------------
 */

START_TEST(dag_check__transfer_that_is_no_copy__refused) {
  uint32_t a = tensor(DAG_DRAM, "2x16"), b = tensor(DAG_SRAM, "2x16");
  add(OP_LOAD_ACT, box(a, 0, 2, 0, 8), box(b, 0, 1, 0, 16));
  check("reads[0] has shape (2, 8) and writes[0] (1, 16); a copy keeps the shape");
  restart();
  a = tensor(DAG_DRAM, "2x16"), b = tensor(DAG_SRAM, "2x16:int8");
  add(OP_LOAD_ACT, dag_all(d, a), dag_all(d, b));
  check("reads[0] is bf16 and writes[0] is int8");
}
END_TEST

START_TEST(dag_check__transfer_with_unequal_sides_or_group__refused) {
  uint32_t a = tensor(DAG_DRAM, "2x16"), b = tensor(DAG_SRAM, "2x16");
  dag_view w[2] = {box(b, 0, 1, 0, 16), box(b, 1, 1, 0, 16)};
  add_at(OP_LOAD_ACT, 0, (dag_view[]){box(a, 0, 1, 0, 16)}, 1, w, 2);
  check("it reads 1 and writes 2 operands; a transfer copies each read to one write");
  d->n_groups = 1, d->tasks[0].group = 0;
  check("it has a group");
}
END_TEST

START_TEST(dag_check__compute_on_dram__refused) {
  uint32_t a = tensor(DAG_DRAM, "2x16"), y = tensor(DAG_SRAM, "2x16");
  add_at(OP_ADD, 0, (dag_view[]){dag_all(d, a), dag_all(d, a)}, 2, (dag_view[]){dag_all(d, y)}, 1);
  check("task 0 'it' (Add): reads[0] '2x16' is in dram");
}
END_TEST

START_TEST(dag_check__broken_record__refused) {
  uint32_t t = task_of_shapes(OP_ADD, 0, "2x16 2x16", "2x16");
  dag_task good = d->tasks[t];
  dag_view *v = &d->views[good.view0], view = *v;
  check("");
  v->tensor = 99;
  check("task 2 'it' (Add): reads[0]: there is no tensor 99");
  *v = view, v->lo[1] = 1;
  check("reads[0]: elements 1..16 of dimension 1|has 0..15");
  *v = view, v->lo[1] = UINT32_MAX;
  check("reads[0]: elements 4294967295..4294967310");
  *v = view, v->len[0] = 0;
  check("reads[0]: elements");
  *v = view, v->len[3] = 2;
  check("of dimension 3");
  *v = view;
  d->tasks[t].n_reads = 0, d->tasks[t].n_writes = 3;
  check("it reads 0 and writes 3 operands; it must read and write at least one");
  d->tasks[t] = good, d->tasks[t].op = OP_COUNT;
  check("does not exist");
  d->tasks[t] = good, d->tasks[t].group = 0;
  check("group 0 does not exist; there are 0");
  d->tasks[t] = good, d->tasks[t].n_reads = 60, d->tasks[t].n_writes = 60;
  check("it has 120 operands; the limit is 64");
}
END_TEST

START_TEST(dag_check__broken_tensor__refused) {
  uint32_t t = tensor(DAG_SRAM, "2x16");
  dag_tensor good = d->tensors[t];
  d->tensors[t].dim[0] = 0;
  check("tensor 0 '2x16': dimension 0 is 0; it must be from 1");
  d->tensors[t].dim[0] = (uint64_t)1 << 32;
  check("dimension 0 is 4294967296");
  d->tensors[t] = good;
  d->tensors[t].dim[0] = d->tensors[t].dim[1] = (uint64_t)1 << 25;
  check("more than 2^50 bytes");
  d->tensors[t] = good, d->tensors[t].rank = 5;
  check("its rank, dtype, role or space is none that exists");
  d->tensors[t] = good, d->tensors[t].dtype = DT_COUNT;
  check("none that exists");
  d->tensors[t] = good, d->tensors[t].role = DAG_ROLE_COUNT;
  check("none that exists");
  d->tensors[t] = good, d->tensors[t].space = DAG_SPACE_COUNT;
  check("none that exists");
}
END_TEST

START_TEST(dag_check__sums_beyond_the_limit__refused) {
  /* 2^17 x 2^31 by 2^17 x 2^31: 2 * 2^65 FLOPs */
  task_of_shapes(OP_MATMUL, 0, "131072x2147483648 131072x2147483648", "131072x131072");
  check("it takes more than 2^62 FLOPs");
  restart();
  dag_view from[2], to[2];
  for (int i = 0; i < 2; i++) {
    from[i] = dag_all(d, tensor(DAG_DRAM, "16777216x33554432"));
    to[i] = dag_all(d, tensor(DAG_SRAM, "16777216x33554432"));
  }
  add_at(OP_LOAD_ACT, 0, from, 1, to, 1);
  check("");
  add_at(OP_LOAD_ACT, 0, from, 2, to, 2);
  check("it moves more than 2^50 bytes");
  restart();
  for (int i = 0; i < 4097; i++) tensor(DAG_DRAM, "16777216x33554432");
  check("its tensors hold more than 2^62 bytes");
}
END_TEST

START_TEST(dag_check__dependencies__ascending_earlier_and_complete) {
  uint32_t y, x = four_writers(&y);
  uint32_t t = add(OP_STORE_ACT, box(x, 0, 2, 2, 4), box(y, 0, 2, 2, 4));
  uint32_t *deps = d->deps + d->tasks[t].dep0;
  check("");
  deps[0] = 1, deps[1] = 0;
  check("its dependencies are not in ascending order");
  deps[0] = 0, deps[1] = t;
  check("task 4 'it' (StoreAct): it depends on task 4, which does not come before it");
  deps[1] = 2;
  check("reads elements of '2x16' that task 1 writes, but does not depend on it");
  deps[1] = 1, d->tasks[t].n_deps = 1;
  check("that task 1 writes, but does not depend on it");
}
END_TEST

START_TEST(dag_check__element_written_twice__refused) {
  uint32_t y, x = four_writers(&y);
  uint32_t from = tensor(DAG_DRAM, "2x16");
  add(OP_LOAD_ACT, box(from, 1, 1, 7, 2), box(x, 1, 1, 7, 2));
  check("task 4 'it' (LoadAct): it writes elements of '2x16' that task 1 'it' writes, too");
}
END_TEST

START_TEST(dag_check__element_written_twice_by_one_task__refused) {
  uint32_t a = tensor(DAG_DRAM, "2x16"), b = tensor(DAG_SRAM, "2x16");
  dag_view r[2] = {box(a, 0, 1, 0, 16), box(a, 1, 1, 0, 16)};
  dag_view w[2] = {box(b, 0, 1, 0, 16), box(b, 0, 1, 0, 16)};
  add_at(OP_LOAD_ACT, 0, r, 2, w, 2);
  check("task 0 'it' (LoadAct): it writes elements of '2x16' twice");
}
END_TEST

START_TEST(dag_check__pieces_that_no_cut_separates__accepted_when_disjoint) {
  /* a pinwheel: four 2x1 boxes around a middle element */
  uint32_t a = tensor(DAG_DRAM, "3x3"), b = tensor(DAG_SRAM, "3x3");
  const uint64_t BOX[5][4] = {{0, 1, 0, 2}, {0, 2, 2, 1}, {2, 1, 1, 2}, {1, 2, 0, 1}, {1, 1, 1, 1}};
  for (int i = 0; i < 5; i++)
    add(OP_LOAD_ACT, box(a, BOX[i][0], BOX[i][1], BOX[i][2], BOX[i][3]),
        box(b, BOX[i][0], BOX[i][1], BOX[i][2], BOX[i][3]));
  check("");
  add(OP_LOAD_ACT, box(a, 1, 1, 1, 1), box(b, 1, 1, 1, 1));
  check("task 5 'it' (LoadAct)|task 4");
}
END_TEST

START_TEST(dag_check__sram_read_before_written__refused) {
  uint32_t x = tensor(DAG_SRAM, "2x16"), from = tensor(DAG_DRAM, "2x16"),
           y = tensor(DAG_DRAM, "2x16");
  add(OP_LOAD_ACT, box(from, 0, 2, 0, 8), box(x, 0, 2, 0, 8));
  uint32_t t = add(OP_STORE_ACT, box(x, 0, 2, 8, 8), box(y, 0, 2, 8, 8));
  check("task 1 'it' (StoreAct): it reads elements of '2x16' in sram that no earlier task writes");
  d->views[d->tasks[t].view0].lo[1] = 4;
  d->tasks[t].n_deps = 1, d->n_deps = 1, d->deps = ARENA_NEW(&mem, uint32_t, 1);
  check("it reads some elements of '2x16' in sram that no earlier task writes");
  add(OP_LOAD_ACT, box(from, 0, 2, 8, 8), box(x, 0, 2, 8, 8));
  check("it reads elements of '2x16' that the later task 2 writes");
}
END_TEST

START_TEST(dag_check__task_reads_its_own_output__refused) {
  uint32_t x = tensor(DAG_SRAM, "2x16");
  dag_view v = dag_all(d, x);
  add_at(OP_ADD, 0, (dag_view[]){v, v}, 2, &v, 1);
  check("it reads elements of '2x16' that it writes itself, as task 0 writes");
}
END_TEST

/* Rings of four arms around each other, 20,000 boxes that no cut separates: comparing all pairs
 * would be quadratic. */
START_TEST(dag_check__hostile_writes__refused_in_bounded_time) {
  enum { RINGS = 5000, SIDE = 2 * RINGS + 1 };
  const uint64_t dim[2] = {SIDE, SIDE};
  uint32_t a = dag_add_tensor(d, "a", DAG_DRAM, DAG_ACT, DT_BF16, 2, dim);
  uint32_t b = dag_add_tensor(d, "b", DAG_SRAM, DAG_ACT, DT_BF16, 2, dim);
  dag_task t = {.name = "it", .group = DAG_NO_GROUP, .op = OP_LOAD_ACT};
  for (uint64_t k = 0; k < RINGS; k++) {
    uint64_t n = SIDE - 1 - 2 * k,
             end = SIDE - 1 - k; /* an arm, and the ring's last row and column */
    const uint64_t ARM[4][4] = {{k, 1, k, n}, {k, n, end, 1}, {end, 1, k + 1, n}, {k + 1, n, k, 1}};
    for (int i = 0; i < 4; i++) {
      dag_view from = box(a, ARM[i][0], ARM[i][1], ARM[i][2], ARM[i][3]), to = from;
      to.tensor = b;
      dag_add_task_deps(d, &t, &from, 1, &to, 1, NULL, 0);
    }
  }
  check("too intricately");
}
END_TEST

int main(void) {
  Suite *s = suite_create("dag");
  TCase *t = tcase_create("dag");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 60);
  tcase_add_test(t, dag_add_task__view_across_writers__depends_on_those_it_overlaps);
  tcase_add_test(t, dag_add_task__views_that_only_touch__no_dependency);
  tcase_add_test(t, dag_add_task__overlap_in_one_dimension_only__no_dependency);
  tcase_add_test(t, dag_add_task__two_reads_of_one_writer__one_dependency);
  tcase_add_test(t, dag_successors__any__the_inverse_of_deps_ascending);
  tcase_add_test(t, cost_of__each_op__closed_form);
  tcase_add_test(t, cost_of__prefill__only_visible_pairs_count);
  tcase_add_test(t, cost_of__any_offset__pairs_as_counted_one_by_one);
  tcase_add_test(t, cost_of__mixed_dtypes__rate_of_the_widest_input_and_bytes_by_width);
  tcase_add_test(t, cost_sum__loads_and_stores__by_role);
  tcase_add_loop_test(t, dag_check__shapes_of_each_op__as_it_wants_them, 0,
                      (int)(sizeof SHAPES / sizeof SHAPES[0]));
  tcase_add_test(t, dag_check__rope_with_known_head_dim__whole_heads);
  tcase_add_test(t, dag_check__transfer_that_is_no_copy__refused);
  tcase_add_test(t, dag_check__transfer_with_unequal_sides_or_group__refused);
  tcase_add_test(t, dag_check__compute_on_dram__refused);
  tcase_add_test(t, dag_check__broken_record__refused);
  tcase_add_test(t, dag_check__broken_tensor__refused);
  tcase_add_test(t, dag_check__sums_beyond_the_limit__refused);
  tcase_add_test(t, dag_check__dependencies__ascending_earlier_and_complete);
  tcase_add_test(t, dag_check__element_written_twice__refused);
  tcase_add_test(t, dag_check__element_written_twice_by_one_task__refused);
  tcase_add_test(t, dag_check__pieces_that_no_cut_separates__accepted_when_disjoint);
  tcase_add_test(t, dag_check__sram_read_before_written__refused);
  tcase_add_test(t, dag_check__task_reads_its_own_output__refused);
  tcase_add_test(t, dag_check__hostile_writes__refused_in_bounded_time);
  suite_add_tcase(s, t);
  return suite_run(s);
}
