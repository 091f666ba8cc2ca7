/* dag_rooms: a tensor takes over another one's room only where nobody else can still need it, and
 * where it can, it does. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fixture.h"
#include "tests/suite.h"
#include "workloads/block.h"
#include "workloads/dag_room.h"

static arena mem;
static dag *d;

static void setup(void) {
  mem = (arena){0};
  d = dag_new(&mem);
}

static void teardown(void) {
  arena_free(&mem);
}

static uint32_t act(const char *name, dtype dt, uint64_t rows, uint64_t cols) {
  return dag_add_tensor(d, name, DAG_SRAM, DAG_ACT, dt, 2, (uint64_t[]){rows, cols});
}

static uint32_t loaded(const char *name, uint64_t rows, uint64_t cols) {
  uint32_t t = act(name, DT_BF16, rows, cols);
  uint32_t home =
      dag_add_tensor(d, "home", DAG_DRAM, DAG_ACT, DT_BF16, 2, (uint64_t[]){rows, cols});
  dag_view from = dag_all(d, home), to = dag_all(d, t);
  dag_add_task(d, &(dag_task){.name = name, .group = DAG_NO_GROUP, .op = OP_LOAD_ACT}, &from, 1,
               &to, 1);
  return t;
}

static void add_views(dag_view x1, dag_view x2, dag_view y) {
  dag_view in[2] = {x1, x2};
  dag_add_task(d, &(dag_task){.name = "add", .group = DAG_NO_GROUP, .op = OP_ADD}, in, 2, &y, 1);
}

static void add(uint32_t x1, uint32_t x2, uint32_t y) {
  add_views(dag_all(d, x1), dag_all(d, x2), dag_all(d, y));
}

static dag_view rows_of(uint32_t t, uint64_t row, uint64_t rows) {
  return dag_box(d, t, (uint64_t[]){row, 0}, (uint64_t[]){rows, d->tensors[t].dim[1]});
}

START_TEST(dag_rooms__last_use__room_is_taken_over) {
  uint32_t x = loaded("x", 4, 8), z = loaded("z", 4, 8), y = act("y", DT_BF16, 4, 8);
  add(x, z, y);
  ck_assert_uint_eq(dag_rooms(d, &mem)[y], x);
}
END_TEST

START_TEST(dag_rooms__needed_later__second_operand_gives_its_room) {
  uint32_t x = loaded("x", 4, 8), z = loaded("z", 4, 8);
  uint32_t y = act("y", DT_BF16, 4, 8), y2 = act("y2", DT_BF16, 4, 8);
  add(x, z, y);
  add(x, y, y2);
  uint32_t *over = dag_rooms(d, &mem);
  ck_assert_uint_eq(over[y], z);
  ck_assert_uint_eq(over[y2], x); /* by now x has no other use that is not over: y came of it */
}
END_TEST

/* Another reader of x that the writer does not depend on may come later. */
START_TEST(dag_rooms__reader_on_the_side__no) {
  uint32_t x = loaded("x", 4, 8), y = act("y", DT_BF16, 4, 8), y2 = act("y2", DT_BF16, 4, 8);
  add(x, x, y);
  add(x, x, y2);
  uint32_t *over = dag_rooms(d, &mem);
  ck_assert_uint_eq(over[y], DAG_NO_ROOM);
  ck_assert_uint_eq(over[y2], DAG_NO_ROOM);
}
END_TEST

START_TEST(dag_rooms__other_shape_or_dtype__no) {
  uint32_t x = loaded("x", 4, 8), z = loaded("z", 4, 8), f = act("f", DT_F32, 4, 8);
  add(x, z, f);
  ck_assert_uint_eq(dag_rooms(d, &mem)[f], DAG_NO_ROOM);
}
END_TEST

/* Two tasks write y, each over the box of x that it reads; a third that reads all of x before is
 * over only where both depend on it. */
START_TEST(dag_rooms__by_parts__all_boxes_must_agree) {
  for (int crossed = 0; crossed < 2; crossed++) {
    uint32_t x = loaded("x", 4, 8), z = loaded("z", 4, 8), y = act("y", DT_BF16, 4, 8);
    add_views(rows_of(x, 0, 2), rows_of(z, 0, 2), rows_of(y, crossed ? 2 : 0, 2));
    add_views(rows_of(x, 2, 2), rows_of(z, 2, 2), rows_of(y, crossed ? 0 : 2, 2));
    ck_assert_uint_eq(dag_rooms(d, &mem)[y], crossed ? DAG_NO_ROOM : x);
  }
}
END_TEST

/* x -> y1 -> y2 share one room: of three tensors of 64 bytes and one operand, two rooms are held.
 */
START_TEST(run__chain_in_place__high_water_is_two_rooms) {
  uint32_t x = loaded("x", 4, 8), z = loaded("z", 4, 8);
  for (int i = 0; i < 3; i++) {
    uint32_t y = act("y", DT_BF16, 4, 8);
    add(x, z, y);
    x = y;
  }
  platform p = fx_platform(&(fx_chip){0}, &mem);
  timeline *tl = fx_run((fx_backend)_i, d, &p, "heft", 2, false, &mem);
  ck_assert_uint_eq(tl->high_water_B[0], 2 * 64);
}
END_TEST

/* ---- against brute force over compiled DAGs ---- */

static bool overlap(const dag_view *x, const dag_view *y) {
  for (int i = 0; i < DAG_RANK; i++)
    if (x->lo[i] + x->len[i] <= y->lo[i] || y->lo[i] + y->len[i] <= x->lo[i]) return false;
  return true;
}

/* before[t * n + u]: u is over when t starts */
static bool *closure(const dag *g) {
  size_t n = g->n_tasks;
  bool *before = calloc(n * n, 1);
  for (uint32_t t = 0; t < n; t++)
    for (uint32_t i = 0; i < g->tasks[t].n_deps; i++) {
      uint32_t u = dag_deps(g, &g->tasks[t])[i];
      before[t * n + u] = true;
      for (uint32_t k = 0; k < u; k++) before[t * n + k] |= before[u * n + k];
    }
  return before;
}

/* Every task that writes b writes a box of it that no task touches in a later, or side by side. */
static void check_taken(const dag *g, const bool *before, uint32_t a, uint32_t b) {
  size_t n = g->n_tasks;
  for (uint32_t w = 0; w < n; w++) {
    const dag_task *t = &g->tasks[w];
    for (uint32_t i = 0; i < t->n_writes; i++) {
      const dag_view *box = &dag_writes(g, t)[i];
      if (box->tensor != b) continue;
      for (uint32_t u = 0; u < n; u++) {
        const dag_view *v = dag_reads(g, &g->tasks[u]);
        for (uint32_t k = 0; k < (uint32_t)g->tasks[u].n_reads + g->tasks[u].n_writes; k++)
          if (v[k].tensor == a && overlap(&v[k], box))
            ck_assert_msg(u == w || before[w * n + u], "task %u '%s' touches '%s' beside task %u",
                          u, g->tasks[u].name, g->tensors[a].name, w);
      }
    }
  }
}

static const model SMALL = {.name = "small",
                            .source = "test",
                            .hidden_size = 64,
                            .intermediate_size = 160,
                            .num_hidden_layers = 2,
                            .num_attention_heads = 4,
                            .num_key_value_heads = 2,
                            .head_dim = 16,
                            .vocab_size = 100,
                            .max_position_embeddings = 256,
                            .rms_norm_eps = 1e-5,
                            .rope_theta = 1e4};

static size_t check_compiled(wl_split split, bool flash, uint64_t tokens, uint64_t sram_B) {
  wl_options o = wl_defaults();
  o.layers = 2;
  o.split = split;
  o.flash = flash;
  o.tokens = tokens;
  o.fuse = tokens % 2 == 0 ? WL_FUSE_ALL : WL_FUSE_NONE;
  dag *g;
  err e = {0};
  ck_assert_int_eq(
      wl_compile(&SMALL, &o, &(wl_target){.engines = 3, .sram_B = sram_B}, &g, &mem, &e), ERR_OK);
  uint32_t *over = dag_rooms(g, &mem);
  bool *before = closure(g);
  size_t taken = 0;
  for (uint32_t b = 0; b < g->n_tensors; b++) {
    if (over[b] == DAG_NO_ROOM) continue;
    taken++;
    check_taken(g, before, over[b], b);
    for (uint32_t c = 0; c < b; c++) ck_assert(over[c] != over[b]);
  }
  free(before);
  return taken;
}

START_TEST(dag_rooms__compiled__nobody_else_can_need_it) {
  size_t taken = 0;
  for (int split = 0; split < WL_SPLIT_COUNT; split++)
    for (int flash = 0; flash < 2; flash++)
      for (uint64_t tokens = 1; tokens < 40; tokens = 2 * tokens + 1)
        for (uint64_t sram_B = 16384; sram_B <= 1 << 20; sram_B *= 8)
          taken += check_compiled((wl_split)split, flash, tokens + (sram_B > 1 << 16), sram_B);
  ck_assert_uint_gt(taken, 500);
}
END_TEST

int main(void) {
  Suite *s = suite_create("room");
  TCase *t = tcase_create("room");
  tcase_set_timeout(t, 120);
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, dag_rooms__last_use__room_is_taken_over);
  tcase_add_test(t, dag_rooms__needed_later__second_operand_gives_its_room);
  tcase_add_test(t, dag_rooms__reader_on_the_side__no);
  tcase_add_test(t, dag_rooms__other_shape_or_dtype__no);
  tcase_add_test(t, dag_rooms__by_parts__all_boxes_must_agree);
  tcase_add_test(t, dag_rooms__compiled__nobody_else_can_need_it);
  tcase_add_loop_test(t, run__chain_in_place__high_water_is_two_rooms, 0, fx_backends);
  suite_add_tcase(s, t);
  return suite_run(s);
}
