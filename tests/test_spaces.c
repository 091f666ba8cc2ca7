/* Several SRAMs in a DAG: names of spaces, what each kind of task may join, costs, and back from
 * JSON. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/suite.h"
#include "workloads/cost.h"
#include "workloads/dag.h"

static arena mem;
static dag *d;

static void setup(void) {
  mem = (arena){0};
  d = dag_new(&mem);
}

static void teardown(void) {
  arena_free(&mem);
}

static dag_view tensor(int space) {
  return dag_all(d, dag_add_tensor(d, arena_printf(&mem, "t%zu", d->n_tensors), (dag_space)space,
                                   DAG_ACT, DT_BF16, 2, (uint64_t[]){2, 16}));
}

static void add(op o, const dag_view *from, const dag_view *to, size_t n) {
  dag_add_task(d, &(dag_task){.name = "it", .group = DAG_NO_GROUP, .op = (uint8_t)o}, from, n, to,
               n);
}

static void check(const char *want) {
  err e = {0};
  int status = dag_check(d, "here", &e);
  ck_assert_msg((status == ERR_OK) == (*want == '\0') && strstr(e.msg, want) != NULL,
                "want '%s', got: %s", want, e.msg);
}

START_TEST(dag_space__names__there_and_back) {
  char buf[DAG_SPACE_TEXT];
  for (int s = 0; s < DAG_SPACE_COUNT; s++)
    ck_assert_int_eq(dag_space_parse(dag_space_name((dag_space)s, buf)), s);
  ck_assert_str_eq(dag_space_name(DAG_DRAM, buf), "dram");
  ck_assert_str_eq(dag_space_name(DAG_SRAM, buf), "sram");
  ck_assert_str_eq(dag_space_name((dag_space)(DAG_SRAM + 17), buf), "sram17");
  static const char *const NONE[] = {"",          "sra",    "sram0",  "sram01",
                                     "sram-1",    "sram 1", "sram+1", "sram1024",
                                     "sram99999", "sram1x", "dram1",  "SRAM"};
  for (size_t i = 0; i < sizeof NONE / sizeof *NONE; i++)
    ck_assert_int_eq(dag_space_parse(NONE[i]), DAG_SPACE_COUNT);
}
END_TEST

static const struct {
  op op;
  int from, to; /* 0: dram; 1, 2, ...: srams */
  const char *want;
} JOINS[] = {
    {OP_LOAD_ACT, 0, 1, ""},
    {OP_LOAD_ACT, 0, 3, ""},
    {OP_LOAD_ACT, 2, 1, "operand 0 goes from sram1 to sram; a load goes from dram to sram"},
    {OP_STORE_ACT, 1, 0, ""},
    {OP_STORE_ACT, 4, 0, ""},
    {OP_STORE_ACT, 2, 3, "operand 0 goes from sram1 to sram2; a store goes from sram to dram"},
    {OP_MOVE_SRAM, 1, 2, ""},
    {OP_MOVE_SRAM, 5, 1, ""},
    {OP_MOVE_SRAM, 2, 2,
     "operand 0 goes from sram1 to sram1; a move goes from one sram to another"},
    {OP_MOVE_SRAM, 0, 1, "operand 0 goes from dram to sram; a move"},
    {OP_MOVE_SRAM, 1, 0, "operand 0 goes from sram to dram; a move"},
};

START_TEST(dag_check__spaces_of_transfers__as_their_kind_wants) {
  dag_view from = tensor(JOINS[_i].from), to = tensor(JOINS[_i].to);
  if (JOINS[_i].from != 0) {
    dag_view home = tensor(DAG_DRAM);
    add(OP_LOAD_ACT, &home, &from, 1);
  }
  add(JOINS[_i].op, &from, &to, 1);
  check(JOINS[_i].want);
}
END_TEST

START_TEST(dag_check__transfer_to_two_srams__refused) {
  dag_view from[2] = {tensor(DAG_DRAM), tensor(DAG_DRAM)}, to[2] = {tensor(1), tensor(2)};
  add(OP_LOAD_WEIGHT, from, to, 2);
  check("operand 1 goes from dram to sram1, and operand 0 elsewhere; a load is one copy");
}
END_TEST

/* x in sram1 + x in sram2 -> sram; checked, counted, and back from JSON */
START_TEST(compute__operands_in_several_srams__passes_and_streams_all) {
  dag_view home = tensor(0), a = tensor(2), b = tensor(3), y = tensor(1);
  add(OP_LOAD_ACT, &home, &a, 1);
  add(OP_MOVE_SRAM, &a, &b, 1);
  dag_add_task(d, &(dag_task){.name = "sum", .group = DAG_NO_GROUP, .op = OP_ADD},
               (dag_view[]){a, b}, 2, &y, 1);
  check("");
  ck_assert_uint_eq(cost_of(d, 1).transfer_B, 64);
  ck_assert_uint_eq(cost_of(d, 2).operand_B, 3 * 64);
  cost_totals s = cost_sum(d);
  ck_assert_uint_eq(s.move, 1);
  ck_assert_uint_eq(s.moved, 64);
  ck_assert_uint_eq(s.dram_read, 64);

  out *o = out_memory();
  dag_write_json(d, o);
  size_t len;
  const char *text = out_text(o, &len);
  ck_assert_ptr_nonnull(strstr(text, "\"kind\": \"move\""));
  err e = {0};
  dag *back;
  int status = dag_read_json("back", (const unsigned char *)text, len, &back, &mem, &e);
  ck_assert_msg(status == ERR_OK, "%s", e.msg);
  for (size_t i = 0; i < d->n_tensors; i++)
    ck_assert_uint_eq(back->tensors[i].space, d->tensors[i].space);
  out_abort(o);
}
END_TEST

START_TEST(dag_check__read_of_scratchpad_that_nothing_wrote__refused) {
  dag_view a = tensor(3), b = tensor(1);
  add(OP_MOVE_SRAM, &a, &b, 1);
  check("it reads elements of 't0' in sram2 that no earlier task writes");
}
END_TEST

int main(void) {
  Suite *s = suite_create("spaces");
  TCase *t = tcase_create("spaces");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, dag_space__names__there_and_back);
  tcase_add_loop_test(t, dag_check__spaces_of_transfers__as_their_kind_wants, 0,
                      sizeof JOINS / sizeof *JOINS);
  tcase_add_test(t, dag_check__transfer_to_two_srams__refused);
  tcase_add_test(t, compute__operands_in_several_srams__passes_and_streams_all);
  tcase_add_test(t, dag_check__read_of_scratchpad_that_nothing_wrote__refused);
  suite_add_tcase(s, t);
  return suite_run(s);
}
