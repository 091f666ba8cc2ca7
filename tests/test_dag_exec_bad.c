/* What the DAG executor must refuse, with the task named: small DAGs by hand. And single ops on
 * boxes inside tensors, to the bit. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/convert.h"
#include "kernels/matmul.h"
#include "kernels/quant.h"
#include "tests/dx_rig.h"
#include "tests/numeric.h"
#include "tests/suite.h"

static arena mem;
static err fault;
static model m;
static dag *d;
static dx *x;

/* Weights of the hand-made DAGs: element (r, c) of any tensor; and how many were asked for. */
static uint64_t asked;

static float weight(uint64_t r, uint64_t c) {
  return (float)((r * 37 + c * 11) % 101) / 50 - 1;
}

static int box(void *user, const char *name, uint64_t row0, uint64_t rows, uint64_t col0,
               uint64_t cols, float *y, err *e) {
  (void)user;
  if (strcmp(name, "absent") == 0) return err_set(e, ERR_BAD, "no weights '%s' here", name);
  for (uint64_t r = 0; r < rows; r++)
    for (uint64_t c = 0; c < cols; c++) *y++ = weight(row0 + r, col0 + c);
  asked += rows * cols;
  return ERR_OK;
}

static const dx_weights SOURCE = {box, NULL};

static void setup(void) {
  mem = (arena){0};
  fault = (err){0};
  m = rig_model(true, &mem);
  d = dag_new(&mem);
  x = NULL;
}

static void teardown(void) {
  dx_free(x);
  arena_free(&mem);
}

static uint32_t tensor(const char *name, dag_space space, dag_role role, dtype dt, uint64_t rows,
                       uint64_t cols) {
  return dag_add_tensor(d, name, space, role, dt, 2, (uint64_t[]){rows, cols});
}

static uint32_t act(const char *name) {
  return tensor(name, DAG_SRAM, DAG_ACT, DT_F32, 2, 8);
}

static dag_view rows_of(uint32_t t, uint64_t row, uint64_t n) {
  return dag_box(d, t, (uint64_t[]){row, 0}, (uint64_t[]){n, d->tensors[t].dim[1]});
}

/* Without deps: dag_check is not what is tested here. */
static uint32_t task(op o, const char *name, dag_view a, dag_view b, dag_view y) {
  dag_view in[2] = {a, b};
  size_t n = o == OP_ADD ? 2 : 1;
  dag_task t = {.name = name, .group = DAG_NO_GROUP, .op = (uint8_t)o};
  return dag_add_task_deps(d, &t, in, n, &y, 1, NULL, 0);
}

static uint32_t home;

/* Loads 2 x 8 ones. */
static uint32_t load(const char *name, uint32_t to) {
  if (d->n_tasks == 0) home = tensor("home", DAG_DRAM, DAG_ACT, DT_F32, 2, 8);
  return task(OP_LOAD_ACT, name, dag_all(d, home), (dag_view){0}, dag_all(d, to));
}

static void begin(void) {
  float ones[16];
  x = dx_new(d, &m, &SOURCE, NULL, &mem, &fault);
  ck_assert_ptr_nonnull(x);
  for (int i = 0; i < 16; i++) ones[i] = 1;
  dag_view all = dag_all(d, home);
  ck_assert_int_eq(dx_set(x, home, &all, ones, &fault), ERR_OK);
}

static void take(uint32_t t) {
  ck_assert_msg(dx_take(x, t, &fault) == ERR_OK, "%s", fault.msg);
}

static void give(uint32_t t) {
  ck_assert_msg(dx_give(x, t, &fault) == ERR_OK, "%s", fault.msg);
}

static void run(uint32_t t) {
  ck_assert_msg(dx_task(x, t, &fault) == ERR_OK, "%s", fault.msg);
}

static void refused(int got, int want, const char *message) {
  ck_assert_int_eq(got, want);
  ck_assert_str_eq(fault.msg, message);
}

/* ---- lives and order --------------------------------------------------------------------------
 */

START_TEST(dx_task__reads_what_no_task_wrote__refused) {
  uint32_t a = act("a"), y = act("y");
  load("a", a);
  task(OP_ADD, "sum", dag_all(d, a), dag_all(d, a), dag_all(d, y));
  begin();
  take(a);
  take(y);
  refused(dx_task(x, 1, &fault), ERR_NO,
          "task 1 Add 'sum' reads 'a'[0:2,0:8]: no task has written it");
}
END_TEST

START_TEST(dx_task__reads_what_is_partly_written__refused) {
  uint32_t a = act("a"), y = act("y");
  load("a", a);
  task(OP_COPY, "top", rows_of(a, 0, 1), (dag_view){0}, rows_of(y, 1, 1));
  task(OP_COPY, "all", dag_all(d, y), (dag_view){0}, dag_all(d, act("z")));
  begin();
  take(a);
  take(y);
  run(0);
  run(1);
  refused(dx_task(x, 2, &fault), ERR_NO,
          "task 2 Copy 'all' reads 'y'[0:2,0:8]: no task has written all of it");
}
END_TEST

START_TEST(dx_task__reads_after_the_end_of_life__refused) {
  uint32_t a = act("a"), y = act("y");
  load("a", a);
  task(OP_ADD, "sum", dag_all(d, a), dag_all(d, a), dag_all(d, y));
  begin();
  take(a);
  run(0);
  give(a);
  take(y);
  refused(dx_task(x, 1, &fault), ERR_NO,
          "task 1 Add 'sum' reads 'a'[0:2,0:8]: its buffer was given back before");
}
END_TEST

START_TEST(dx_task__writes_outside_of_a_life__refused) {
  uint32_t a = act("a");
  load("a", a);
  begin();
  refused(dx_task(x, 0, &fault), ERR_NO,
          "task 0 LoadAct 'a' writes 'a'[0:2,0:8]: its buffer has not been taken");
  fault = (err){0};
  take(a);
  give(a);
  refused(dx_task(x, 0, &fault), ERR_NO,
          "task 0 LoadAct 'a' writes 'a'[0:2,0:8]: its buffer was given back before");
}
END_TEST

START_TEST(dx_task__writes_or_runs_twice__refused) {
  uint32_t a = act("a");
  load("a", a);
  load("again", a);
  begin();
  take(a);
  run(0);
  refused(dx_task(x, 1, &fault), ERR_NO,
          "task 1 LoadAct 'again' writes 'a'[0:2,0:8]: elements of it are written already");
  fault = (err){0};
  refused(dx_task(x, 0, &fault), ERR_NO, "task 0 LoadAct 'a' is executed a second time");
}
END_TEST

/* y is written over a, row by row, by tasks that come after all others that touch a. Runs the first
 * load. */
enum { LOAD, AGAIN, SIDE, SIDE2, SUM, SUM2 };

static void room(uint32_t *a, uint32_t *y) {
  *a = act("a"), *y = act("y");
  uint32_t z = act("z");
  load("a", *a);
  task(OP_LOAD_ACT, "again", rows_of(home, 0, 1), (dag_view){0}, rows_of(*a, 0, 1));
  for (uint64_t i = 0; i < 2; i++)
    task(OP_COPY, i == 0 ? "side" : "side2", rows_of(*a, 0, 1), (dag_view){0}, rows_of(z, i, 1));
  for (uint64_t i = 0; i < 2; i++) {
    dag_view in[2] = {rows_of(*a, i, 1), rows_of(z, 0, 1)}, target = rows_of(*y, i, 1);
    dag_task t = {.name = "sum", .group = DAG_NO_GROUP, .op = OP_ADD};
    dag_add_task_deps(d, &t, in, 2, &target, 1, (uint32_t[]){LOAD, AGAIN, SIDE, SIDE2}, 4);
  }
  begin();
  take(*a);
  take(z);
  run(LOAD);
  run(SIDE);
}

START_TEST(dx_task__in_place__shares_the_room) {
  uint32_t a, y;
  room(&a, &y);
  refused(dx_take(x, y, &fault), ERR_INTERNAL,
          "tensor 'y' takes over the room of 'a', which is taken and given for both");
  fault = (err){0};
  for (uint32_t t = SIDE2; t <= SUM2; t++) run(t);
  give(a);
}
END_TEST

START_TEST(dx_task__reads_what_was_written_over__refused) {
  uint32_t a, y;
  room(&a, &y);
  run(SUM);
  refused(dx_task(x, SIDE2, &fault), ERR_NO,
          "task 3 Copy 'side2' reads 'a'[0:1,0:8]: 'y' was written over it");
  fault = (err){0};
  run(SUM2); /* the other row is there */
}
END_TEST

START_TEST(dx_task__writes_where_another_took_over__refused) {
  uint32_t a, y;
  room(&a, &y);
  run(SIDE2);
  run(SUM);
  refused(dx_task(x, AGAIN, &fault), ERR_NO,
          "task 1 LoadAct 'again' writes 'a'[0:1,0:8]: 'y', which takes over its room, is there");
}
END_TEST

START_TEST(dx_take__twice_or_never__refused) {
  uint32_t a = act("a");
  load("a", a);
  begin();
  refused(dx_give(x, a, &fault), ERR_NO, "the buffer of 'a' is given back, but is not held");
  fault = (err){0};
  take(a);
  refused(dx_take(x, a, &fault), ERR_NO, "the buffer of 'a' is taken a second time");
  fault = (err){0};
  refused(dx_take(x, home, &fault), ERR_INTERNAL,
          "tensor 'home' is in dram, which is not taken or given");
}
END_TEST

START_TEST(dx_set_get__what_dram_does_not_hold__refused) {
  uint32_t a = act("a"), w = tensor("w", DAG_DRAM, DAG_WEIGHT, DT_F32, 2, 8);
  uint32_t q = tensor("q", DAG_DRAM, DAG_KV, DT_INT8, 2, 8);
  uint32_t target = tensor("out", DAG_DRAM, DAG_ACT, DT_F32, 2, 8);
  load("a", a);
  begin();
  float y[16] = {0};
  dag_view v = dag_all(d, a);
  refused(dx_set(x, a, &v, y, &fault), ERR_BAD,
          "tensor 'a' is in sram; only what DRAM holds is set and got");
  fault = (err){0};
  v = dag_all(d, w);
  refused(dx_get(x, w, &v, y, &fault), ERR_BAD,
          "tensor 'w' has weights, which come from their source");
  fault = (err){0};
  v = dag_all(d, q);
  refused(dx_set(x, q, &v, y, &fault), ERR_BAD,
          "tensor 'q' is int8: it is set in whole rows, which have scales");
  fault = (err){0};
  v = dag_all(d, target);
  refused(dx_get(x, target, &v, y, &fault), ERR_NO,
          "'out'[0:2,0:8] is asked for: no task has written it");
}
END_TEST

START_TEST(dx_run__order_is_no_permutation__refused) {
  load("a", act("a"));
  load("b", act("b"));
  begin();
  refused(dx_run(x, (uint32_t[]){1, 1}, &fault), ERR_BAD,
          "order: place 1 has task 1, which stands there twice");
  fault = (err){0};
  refused(dx_run(x, (uint32_t[]){0, 2}, &fault), ERR_BAD,
          "order: place 1 has task 2, which does not exist");
}
END_TEST

START_TEST(dx_new__a_tensor_beyond_any_memory__refused) {
  tensor("huge", DAG_DRAM, DAG_ACT, DT_F32, 1 << 20, 1 << 20);
  ck_assert_ptr_null(dx_new(d, &m, &SOURCE, NULL, &mem, &fault));
  ck_assert_str_eq(fault.msg,
                   "tensor 'huge' has 4398046511104 B; the executor keeps at most 2^36 B "
                   "of a tensor");
}
END_TEST

/* ---- operands ---------------------------------------------------------------------------------
 */

/* Loads (rows, cols) of weights of a dtype, with scales; returns the tile. */
static uint32_t load_weights(dtype dt, uint64_t rows, uint64_t cols, uint32_t *scale) {
  bool scaled = dt == DT_INT8 || dt == DT_INT4;
  uint64_t groups = dt == DT_INT4 ? (cols + 31) / 32 : 1;
  dtype sdt = dt == DT_INT8 ? DT_F32 : DT_F16;
  uint32_t from = tensor("w", DAG_DRAM, DAG_WEIGHT, dt, rows, cols);
  uint32_t tile = tensor("w[]", DAG_SRAM, DAG_WEIGHT, dt, rows, cols);
  uint32_t s = tensor("s", DAG_DRAM, DAG_SCALE, sdt, rows, groups);
  *scale = tensor("s[]", DAG_SRAM, DAG_SCALE, sdt, rows, groups);
  dag_view in[2] = {dag_all(d, from), dag_all(d, s)},
           target[2] = {dag_all(d, tile), dag_all(d, *scale)};
  dag_task t = {.name = "w", .group = DAG_NO_GROUP, .op = OP_LOAD_WEIGHT};
  dag_add_task(d, &t, in, scaled ? 2 : 1, target, scaled ? 2 : 1);
  return tile;
}

/* Elements (r, c) of the weights as they are stored. */
static float *stored(dtype dt, uint64_t rows, uint64_t cols) {
  float *y = ARENA_NEW(&mem, float, rows *cols), *w = ARENA_NEW(&mem, float, rows *cols);
  uint16_t *h = ARENA_NEW(&mem, uint16_t, rows * cols);
  int8_t *q = ARENA_NEW(&mem, int8_t, rows * cols);
  float *s = ARENA_NEW(&mem, float, rows);
  box(NULL, "w", 0, rows, 0, cols, w, &fault);
  memcpy(y, w, rows * cols * sizeof *w);
  if (dt == DT_F16) kern_to_f16(h, w, rows * cols), kern_from_f16(y, h, rows * cols);
  if (dt == DT_BF16) kern_to_bf16(h, w, rows * cols), kern_from_bf16(y, h, rows * cols);
  if (dt == DT_INT8)
    kern_int8_quantise(q, s, w, rows, cols), kern_int8_dequantise(y, q, s, rows, cols);
  if (dt == DT_INT4)
    kern_int4_quantise((uint8_t *)q, h, w, rows, cols, 32),
        kern_int4_dequantise(y, (uint8_t *)q, h, rows, cols, 32);
  return y;
}

static const dtype WEIGHTS[] = {DT_F32, DT_F16, DT_BF16, DT_INT8, DT_INT4};

/* y = x w^T with rows 3 .. 7 and columns 32 .. 86 of a tile of 11 x 87, and with activations of
 * each dtype: the bits of the kernels on such values. */
START_TEST(dx_task__matmul_of_a_box_inside_a_tile__bits_of_the_kernel) {
  enum { R = 11, C = 87, R0 = 3, N = 5, K0 = 32, K = 55, T = 2 };
  static const dtype ACT[] = {DT_F32, DT_BF16, DT_INT8, DT_INT4};
  dtype w_dt = WEIGHTS[_i / 4], a_dt = ACT[_i % 4];
  uint32_t s, w = load_weights(w_dt, R, C, &s);
  home = tensor("home", DAG_DRAM, DAG_ACT, a_dt, T, K);
  uint32_t in = tensor("x", DAG_SRAM, DAG_ACT, a_dt, T, K);
  uint32_t y = tensor("y", DAG_SRAM, DAG_ACT, DT_F32, T, N);
  uint32_t target = tensor("out", DAG_DRAM, DAG_ACT, DT_F32, T, N);
  task(OP_LOAD_ACT, "x", dag_all(d, home), (dag_view){0}, dag_all(d, in));
  dag_view r[3] = {dag_all(d, in), dag_box(d, w, (uint64_t[]){R0, K0}, (uint64_t[]){N, K}),
                   w_dt == DT_INT4 ? dag_box(d, s, (uint64_t[]){R0, 1}, (uint64_t[]){N, 2})
                                   : rows_of(s, w_dt == DT_INT8 ? R0 : 0, N)},
           to = dag_all(d, y);
  dag_task t = {.name = "mm", .group = DAG_NO_GROUP, .op = OP_MATMUL};
  dag_add_task(d, &t, r, w_dt >= DT_INT8 ? 3 : 2, &to, 1);
  task(OP_STORE_ACT, "y", to, (dag_view){0}, dag_all(d, target));
  ck_assert_msg(dag_check(d, "dag", &fault) == ERR_OK || d->tasks[3].n_deps == 0, "%s", fault.msg);
  fault = (err){0};
  x = dx_new(d, &m, &SOURCE, NULL, &mem, &fault);
  float *in_x = num_random(3, T * K, &mem), got[T * N], want[T * N], wide[T * R];
  dag_view all = dag_all(d, home);
  ck_assert_int_eq(dx_set(x, home, &all, in_x, &fault), ERR_OK);
  ck_assert_msg(dx_run(x, NULL, &fault) == ERR_OK, "%s", fault.msg);
  all = dag_all(d, target);
  ck_assert_int_eq(dx_get(x, target, &all, got, &fault), ERR_OK);

  uint16_t h[T * K];
  int8_t q[T * K];
  float scale[T];
  if (a_dt == DT_BF16) kern_to_bf16(h, in_x, T * K), kern_from_bf16(in_x, h, T * K);
  if (a_dt == DT_INT8)
    kern_int8_quantise(q, scale, in_x, T, K), kern_int8_dequantise(in_x, q, scale, T, K);
  if (a_dt == DT_INT4)
    kern_int4_quantise((uint8_t *)q, h, in_x, T, K, 32),
        kern_int4_dequantise(in_x, (uint8_t *)q, h, T, K, 32);
  kern_matrix values = kern_matrix_new(KERN_F32, stored(w_dt, R, C) + K0, NULL, R, K, 0);
  values.row_B = C * sizeof(float);
  kern_matmul(wide, R, in_x, K, T, &values, R0, R0 + N, 0, K, false);
  for (int row = 0; row < T; row++) memcpy(want + row * N, wide + row * R + R0, N * sizeof *want);
  ck_assert_mem_eq(got, want, sizeof got);
}
END_TEST

/* A load of a part of the columns has the values, and the scales, of the whole rows. */
START_TEST(dx_task__weights_loaded_in_tiles__as_rounded_whole) {
  enum { R = 6, C = 96, K0 = 32, K = 64 };
  dtype dt = WEIGHTS[_i];
  bool scaled = dt >= DT_INT8;
  uint32_t from = tensor("w", DAG_DRAM, DAG_WEIGHT, dt, R, C);
  uint32_t tile = tensor("w[]", DAG_SRAM, DAG_WEIGHT, dt, 3, K);
  uint64_t groups = dt == DT_INT4 ? 2 : 1;
  dtype sdt = dt == DT_INT8 ? DT_F32 : DT_F16;
  uint32_t s = tensor("s", DAG_DRAM, DAG_SCALE, sdt, R, dt == DT_INT4 ? 3 : 1);
  uint32_t scale = tensor("s[]", DAG_SRAM, DAG_SCALE, sdt, 3, groups);
  dag_view in[2] = {dag_box(d, from, (uint64_t[]){2, K0}, (uint64_t[]){3, K}),
                    dag_box(d, s, (uint64_t[]){2, dt == DT_INT4}, (uint64_t[]){3, groups})};
  dag_view target[2] = {dag_all(d, tile), dag_all(d, scale)};
  dag_task t = {.name = "w", .group = DAG_NO_GROUP, .op = OP_LOAD_WEIGHT};
  dag_add_task(d, &t, in, scaled ? 2 : 1, target, scaled ? 2 : 1);
  uint32_t y = tensor("y", DAG_SRAM, DAG_ACT, DT_F32, 3, K);
  home = tensor("out", DAG_DRAM, DAG_ACT, DT_F32, 3, K);
  dag_task embed = {.name = "y", .group = DAG_NO_GROUP, .op = OP_EMBED};
  dag_view to = dag_all(d, y), dram = dag_all(d, home);
  dag_add_task(d, &embed, target, scaled ? 2 : 1, &to, 1);
  task(OP_STORE_ACT, "out", to, (dag_view){0}, dram);
  x = dx_new(d, &m, &SOURCE, NULL, &mem, &fault);
  ck_assert_msg(dx_run(x, NULL, &fault) == ERR_OK, "%s", fault.msg);
  float got[3 * K], *want = stored(dt, R, C);
  ck_assert_int_eq(dx_get(x, home, &dram, got, &fault), ERR_OK);
  for (int r = 0; r < 3; r++)
    ck_assert_mem_eq(got + r * K, want + (r + 2) * C + K0, K * sizeof(float));
}
END_TEST

/* Of weights, only the box that is loaded is asked for (twice where scales are), of int8 besides
 * the rows once. */
START_TEST(dx_task__loads_weights__asks_for_no_more) {
  static const uint64_t MOST[] = {1, 1, 1, 2, 2};
  uint32_t s;
  load_weights(WEIGHTS[_i], 64, 128, &s);
  x = dx_new(d, &m, &SOURCE, NULL, &mem, &fault);
  asked = 0;
  ck_assert_msg(dx_run(x, NULL, &fault) == ERR_OK, "%s", fault.msg);
  ck_assert_uint_eq(asked, MOST[_i] * 64 * 128);
}
END_TEST

START_TEST(dx_task__int4_cut_inside_a_group__refused) {
  uint32_t from = tensor("w", DAG_DRAM, DAG_WEIGHT, DT_INT4, 2, 64);
  uint32_t tile = tensor("w[]", DAG_SRAM, DAG_WEIGHT, DT_INT4, 2, 32);
  home = tensor("home", DAG_DRAM, DAG_ACT, DT_F32, 2, 8);
  task(OP_LOAD_WEIGHT, "w", dag_box(d, from, (uint64_t[]){0, 16}, (uint64_t[]){2, 32}),
       (dag_view){0}, dag_all(d, tile));
  begin();
  refused(
      dx_run(x, NULL, &fault), ERR_BAD,
      "task 0 LoadWeight 'w' reads 'w'[0:2,16:48]: int4 weights may be cut between groups of 32 "
      "columns only");
}
END_TEST

START_TEST(dx_task__integers_without_scales__refused) {
  uint32_t from = tensor("w", DAG_DRAM, DAG_WEIGHT, DT_INT8, 4, 8);
  uint32_t tile = tensor("w[]", DAG_SRAM, DAG_WEIGHT, DT_INT8, 4, 8), a = act("a");
  uint32_t y = tensor("y", DAG_SRAM, DAG_ACT, DT_F32, 2, 4);
  load("a", a);
  task(OP_LOAD_WEIGHT, "w", dag_all(d, from), (dag_view){0}, dag_all(d, tile));
  dag_view in[2] = {dag_all(d, a), dag_all(d, tile)}, target = dag_all(d, y);
  dag_task t = {.name = "mm", .group = DAG_NO_GROUP, .op = OP_MATMUL};
  dag_add_task(d, &t, in, 2, &target, 1);
  begin();
  refused(dx_run(x, NULL, &fault), ERR_BAD,
          "task 2 MatMul 'mm' reads 'w[]'[0:4,0:8], which is int8, without its scales");
}
END_TEST

START_TEST(dx_task__source_has_no_such_weights__its_message) {
  uint32_t from = tensor("absent", DAG_DRAM, DAG_WEIGHT, DT_BF16, 4, 8);
  uint32_t tile = tensor("w[]", DAG_SRAM, DAG_WEIGHT, DT_BF16, 4, 8);
  load("a", act("a"));
  task(OP_LOAD_WEIGHT, "w", dag_all(d, from), (dag_view){0}, dag_all(d, tile));
  begin();
  refused(dx_run(x, NULL, &fault), ERR_BAD, "no weights 'absent' here");
}
END_TEST

START_TEST(dx_task__token_beyond_the_table__refused) {
  uint32_t table = tensor("table", DAG_DRAM, DAG_WEIGHT, DT_F32, 50, 8);
  home = tensor("ids", DAG_DRAM, DAG_ACT, DT_INT32, 2, 1);
  uint32_t ids = tensor("ids[]", DAG_SRAM, DAG_ACT, DT_INT32, 2, 1), y = act("rows");
  task(OP_LOAD_ACT, "ids", dag_all(d, home), (dag_view){0}, dag_all(d, ids));
  dag_view in[2] = {dag_all(d, table), dag_all(d, ids)}, target = dag_all(d, y);
  dag_task t = {.name = "embedding", .group = DAG_NO_GROUP, .op = OP_LOAD_EMBED};
  dag_add_task(d, &t, in, 2, &target, 1);
  x = dx_new(d, &m, &SOURCE, NULL, &mem, &fault);
  dag_view all = dag_all(d, home);
  ck_assert_int_eq(dx_set(x, home, &all, (float[]){49, 50}, &fault), ERR_OK);
  refused(dx_run(x, NULL, &fault), ERR_BAD,
          "task 1 LoadEmbed 'embedding' gathers row 50 for token 1; the table has rows 0 to 49");
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("dag_exec_bad");
  TCase *t = tcase_create("lives");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, dx_task__reads_what_no_task_wrote__refused);
  tcase_add_test(t, dx_task__reads_what_is_partly_written__refused);
  tcase_add_test(t, dx_task__reads_after_the_end_of_life__refused);
  tcase_add_test(t, dx_task__writes_outside_of_a_life__refused);
  tcase_add_test(t, dx_task__writes_or_runs_twice__refused);
  tcase_add_test(t, dx_task__in_place__shares_the_room);
  tcase_add_test(t, dx_task__reads_what_was_written_over__refused);
  tcase_add_test(t, dx_task__writes_where_another_took_over__refused);
  tcase_add_test(t, dx_take__twice_or_never__refused);
  tcase_add_test(t, dx_set_get__what_dram_does_not_hold__refused);
  tcase_add_test(t, dx_run__order_is_no_permutation__refused);
  tcase_add_test(t, dx_new__a_tensor_beyond_any_memory__refused);
  suite_add_tcase(s, t);
  t = tcase_create("operands");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_loop_test(t, dx_task__matmul_of_a_box_inside_a_tile__bits_of_the_kernel, 0, 20);
  tcase_add_loop_test(t, dx_task__weights_loaded_in_tiles__as_rounded_whole, 0, 5);
  tcase_add_loop_test(t, dx_task__loads_weights__asks_for_no_more, 0, 5);
  tcase_add_test(t, dx_task__int4_cut_inside_a_group__refused);
  tcase_add_test(t, dx_task__integers_without_scales__refused);
  tcase_add_test(t, dx_task__source_has_no_such_weights__its_message);
  tcase_add_test(t, dx_task__token_beyond_the_table__refused);
  suite_add_tcase(s, t);
  return s;
}

int main(void) {
  return suite_run(suite());
}
