/* Attribution, on runs told by hand: every cause at least once, in closed form. With the rig's
 * platform (report_rig.h) an Add of n elements is n ns of vector work behind 1 us of overhead, and
 * a transfer of n bytes is 2 us of setup, 1 us of latency and n ns of flow; its times here are
 * often other ones, as if it shared its links. */
#include <check.h>
#include <math.h>

#include "tests/report_rig.h"
#include "tests/suite.h"

#define US 1e-6

/* Times of a few microseconds, sums of a few terms: 1e-18 s is a few roundings. */
#define ASSERT_TIME(x, y) ck_assert_double_eq_tol((x), (y), 1e-18)

static double total(const attribution *a) {
  double s = 0;
  for (int i = 0; i < ATTR_COUNT; i++) s += a->cause_s[i];
  return s;
}

static double total_ops(const attribution *a) {
  double s = 0;
  for (int i = 0; i < OP_COUNT; i++) s += a->op_s[i];
  return s;
}

/* Every cause that is not in the list (pairs of cause and microseconds, ended by -1) must be zero.
 */
static void assert_causes(const rig *g, const double *pairs) {
  double want[ATTR_COUNT] = {0};
  for (; pairs[0] >= 0; pairs += 2) want[(int)pairs[0]] = pairs[1] * US;
  for (int i = 0; i < ATTR_COUNT; i++)
    ck_assert_msg(fabs(g->report.attr.cause_s[i] - want[i]) < 1e-18,
                  "%s: %.17g s, expected %.17g s", attr_name((attr_cause)i),
                  g->report.attr.cause_s[i], want[i]);
  ASSERT_TIME(total(&g->report.attr), g->tl->makespan_s);
  ASSERT_TIME(total_ops(&g->report.attr), g->tl->makespan_s);
}
#define ASSERT_CAUSES(g, ...) assert_causes((g), (const double[]){__VA_ARGS__, -1})

START_TEST(attribution__no_tasks__all_zero) {
  rig *g = rig_new(1, 1);
  rig_run(g, false);
  ck_assert_double_eq(total(&g->report.attr), 0);
  ck_assert_double_eq(g->report.gap, 0);
  ck_assert_double_eq(g->report.tokens_per_s, 0);
  rig_free(g);
}
END_TEST

START_TEST(attribution__arithmetic__shared_by_matrix_and_vector) {
  rig *g = rig_new(1, 1);
  /* QK: 2 heads, 1 query, 1000 keys, head_dim 1000: 4 Mflop matrix = 4 us, 2000 flop vector = 2 us
   */
  uint32_t q = dag_add_tensor(g->dag, "q", DAG_SRAM, DAG_ACT, DT_BF16, 3, (uint64_t[]){2, 1, 1000});
  uint32_t k =
      dag_add_tensor(g->dag, "k", DAG_SRAM, DAG_KV, DT_BF16, 3, (uint64_t[]){1, 1000, 1000});
  uint32_t s = dag_add_tensor(g->dag, "s", DAG_SRAM, DAG_ACT, DT_BF16, 3, (uint64_t[]){2, 1, 1000});
  dag_view reads[2] = {dag_all(g->dag, q), dag_all(g->dag, k)}, write = dag_all(g->dag, s);
  dag_task t = {.name = "qk", .group = DAG_NO_GROUP, .op = OP_QK, .pos = 999};
  uint32_t task = dag_add_task_deps(g->dag, &t, reads, 2, &write, 1, NULL, 0);
  rig_play_task(g, task, 0, 0, 1 * US, 5 * US, 7 * US);
  rig_run(g, false);
  ASSERT_CAUSES(g, ATTR_OVERHEAD, 1, ATTR_MATRIX, 4, ATTR_VECTOR, 2);
  ASSERT_TIME(g->report.attr.op_s[OP_QK], 7 * US);
  ck_assert_int_eq(g->report.attr.critical[task], 1);
  rig_free(g);
}
END_TEST

START_TEST(attribution__inputs__chain_from_load_to_store) {
  rig *g = rig_new(1, 1);
  uint32_t load = rig_load(g, 1000), aside = rig_load(g, 100);
  uint32_t add = rig_add(g, 1000, &load, 1), store = rig_store(g, 1000, &add, 1);
  rig_play_task(g, load, 1, 0, 3 * US, 5 * US, 5 * US);
  rig_play_task(g, aside, 1, 5 * US, 8 * US, 8.2 * US, 8.2 * US)->why.free_s = 5 * US;
  g->plays[1].why.free_by = load;
  /* the stream, 6000 B at 2 GB/s, is slower than the arithmetic */
  rig_play *p = rig_play_task(g, add, 0, 5 * US, 6 * US, 9 * US, 9 * US);
  p->why.ready_s = 5 * US, p->why.ready_by = load;
  p = rig_play_task(g, store, 1, 9 * US, 12 * US, 14 * US, 14 * US);
  p->why.ready_s = 9 * US, p->why.ready_by = add;
  rig_run(g, false);
  ASSERT_CAUSES(g, ATTR_OVERHEAD, 2 + 1 + 2, ATTR_DRAM, 3 + 3, ATTR_SRAM, 3);
  ck_assert_int_eq(g->report.attr.critical[load], 1);
  ck_assert_int_eq(g->report.attr.critical[aside], 0);
  ASSERT_TIME(g->report.attr.op_s[OP_STORE_ACT], 5 * US);
  ck_assert_ptr_null(attr_wait_cause(g->tl, store));
  ck_assert_str_eq(attr_wait_cause(g->tl, aside), "dma_busy");
  ck_assert_str_eq(attr_idle_cause(g->tl, store), "inputs");
  rig_free(g);
}
END_TEST

START_TEST(attribution__room__waits_since_it_could_have_started) {
  rig *g = rig_new(1, 1);
  uint32_t first = rig_add(g, 3000, NULL, 0), load = rig_load(g, 1000), other = rig_load(g, 500);
  rig_play_task(g, first, 0, 0, 0, 0, 4 * US);
  rig_play_task(g, other, 1, 0, 1 * US, 2 * US, 2 * US);
  rig_play *p = rig_play_task(g, load, 1, 4 * US, 7 * US, 9 * US, 9 * US);
  p->why.room_s = 4 * US, p->why.room_by = first;
  p->why.free_s = 2 * US, p->why.free_by = other; /* the walk goes on with what else held it back */
  rig_run(g, false);
  /* other: as a holder that kept nobody waiting for want of room? It did: load could start but for
   * the channel until 2 us, and until 1 us nothing moved on the DRAM link */
  ASSERT_CAUSES(g, ATTR_OVERHEAD, 2, ATTR_DRAM, 3 + 1, ATTR_WAIT_SRAM_FULL, 2, ATTR_WAIT_DMA, 1);
  ck_assert_str_eq(attr_wait_cause(g->tl, load), "sram_full");
  ck_assert_int_eq(g->report.attr.critical[first], 0);
  rig_free(g);
}
END_TEST

START_TEST(attribution__gate__goes_to_the_task_that_opened_it) {
  rig *g = rig_new(1, 1);
  uint32_t first = rig_add(g, 3000, NULL, 0), load = rig_load(g, 1000);
  rig_play_task(g, first, 0, 0, 0, 0, 4 * US);
  rig_play *p = rig_play_task(g, load, 1, 4 * US, 7 * US, 9 * US, 9 * US);
  p->why.gate_s = p->why.room_s = 4 * US; /* a tie: the gate is named first */
  p->why.gate_by = p->why.room_by = first;
  rig_run(g, false);
  ASSERT_CAUSES(g, ATTR_OVERHEAD, 1 + 2, ATTR_VECTOR, 3, ATTR_DRAM, 3);
  ck_assert_str_eq(attr_wait_cause(g->tl, load), "prefetch");
  rig_free(g);
}
END_TEST

START_TEST(attribution__inputs_and_engine_at_once__inputs_are_named_first) {
  rig *g = rig_new(2, 1);
  uint32_t holder = rig_add(g, 3000, NULL, 0), producer = rig_add(g, 3000, NULL, 0);
  uint32_t last = rig_add(g, 1000, &producer, 1);
  rig_play_task(g, holder, 0, 0, 0, 0, 4 * US);
  rig_play_task(g, producer, 1, 0, 0, 0, 4 * US);
  rig_play *p = rig_play_task(g, last, 0, 4 * US, 0, 0, 6 * US);
  p->why.ready_s = p->why.free_s = 4 * US;
  p->why.ready_by = producer, p->why.free_by = holder;
  rig_run(g, false);
  ASSERT_CAUSES(g, ATTR_OVERHEAD, 2, ATTR_VECTOR, 4);
  ck_assert_int_eq(g->report.attr.critical[producer], 1);
  ck_assert_int_eq(g->report.attr.critical[holder], 0);
  rig_free(g);
}
END_TEST

/* `holder` runs on e0 from 0 to 11 us, `waiting` after it, ready at `ready_us`; e1 is busy from 3
 * to 6 us. */
static rig *engine_wait(double ready_us) {
  rig *g = rig_new(2, 1);
  uint32_t holder = rig_add(g, 10000, NULL, 0), beside = rig_add(g, 2000, NULL, 0);
  uint32_t waiting = rig_add(g, 1000, NULL, 0);
  rig_play_task(g, holder, 0, 0, 0, 0, 11 * US);
  rig_play_task(g, beside, 1, 3 * US, 0, 0, 6 * US);
  rig_play *p = rig_play_task(g, waiting, 0, 11 * US, 0, 0, 13 * US);
  p->why.free_s = 11 * US, p->why.free_by = holder;
  p->why.ready_s = ready_us * US;
  rig_run(g, false);
  ck_assert_str_eq(attr_wait_cause(g->tl, waiting), "engine_busy");
  return g;
}

START_TEST(attribution__engine_held_while_another_idles__waits_for_engine) {
  rig *g = engine_wait(0);
  ASSERT_CAUSES(g, ATTR_OVERHEAD, 1, ATTR_VECTOR, 3 + 1, ATTR_WAIT_ENGINE, 3 + 5);
  rig_free(g);
}
END_TEST

START_TEST(attribution__engine_held_before_it_was_ready__holders_own_time) {
  rig *g = engine_wait(5);
  ASSERT_CAUSES(g, ATTR_OVERHEAD, 1 + 1, ATTR_VECTOR, 4 + 1 + 1, ATTR_WAIT_ENGINE, 5);
  rig_free(g);
}
END_TEST

START_TEST(attribution__only_engine_held__saturated) {
  rig *g = rig_new(1, 1);
  uint32_t a = rig_add(g, 3000, NULL, 0), b = rig_add(g, 1000, NULL, 0);
  rig_play_task(g, a, 0, 0, 0, 0, 4 * US);
  rig_play *p = rig_play_task(g, b, 0, 4 * US, 0, 0, 6 * US);
  p->why.free_s = 4 * US, p->why.free_by = a;
  rig_run(g, false);
  ASSERT_CAUSES(g, ATTR_OVERHEAD, 2, ATTR_VECTOR, 4);
  rig_free(g);
}
END_TEST

START_TEST(attribution__channel_held__waits_for_dma_while_dram_is_still) {
  rig *g = rig_new(1, 1);
  uint32_t a = rig_load(g, 1000), b = rig_load(g, 1000);
  rig_play_task(g, a, 1, 0, 3 * US, 5 * US, 5 * US);
  rig_play *p = rig_play_task(g, b, 1, 5 * US, 8 * US, 10 * US, 10 * US);
  p->why.free_s = 5 * US, p->why.free_by = a;
  rig_run(g, false);
  ASSERT_CAUSES(g, ATTR_OVERHEAD, 2, ATTR_DRAM, 2 + 1 + 2, ATTR_WAIT_DMA, 3);
  rig_free(g);
}
END_TEST

START_TEST(attribution__channel_held__dram_where_another_channel_moves_data) {
  rig *g = rig_new(1, 2);
  uint32_t a = rig_load(g, 1000), b = rig_load(g, 1000), c = rig_load(g, 250);
  rig_play_task(g, a, 1, 1 * US, 4 * US, 6 * US, 6 * US);
  rig_play_task(g, c, 2, 0, 1.5 * US, 2 * US, 2 * US);
  rig_play *p = rig_play_task(g, b, 1, 6 * US, 9 * US, 11 * US, 11 * US);
  p->why.free_s = 6 * US, p->why.free_by = a;
  g->plays[0].why.gate_s = 1 * US; /* by nobody: what is left unexplained is overhead */
  rig_run(g, false);
  ASSERT_CAUSES(g, ATTR_OVERHEAD, 2 + 1, ATTR_DRAM, 3 + 2 + 0.5, ATTR_WAIT_DMA, 2.5);
  rig_free(g);
}
END_TEST

START_TEST(attribution__gap_that_nothing_explains__overhead) {
  rig *g = rig_new(1, 1);
  uint32_t a = rig_add(g, 1000, NULL, 0), b = rig_add(g, 1000, &a, 1);
  rig_play_task(g, a, 0, 0, 0, 0, 2 * US);
  rig_play *p = rig_play_task(g, b, 0, 2.5 * US, 0, 0, 4.5 * US);
  p->why.ready_s = 2 * US, p->why.ready_by = a;
  rig_run(g, false);
  ASSERT_CAUSES(g, ATTR_OVERHEAD, 2.5, ATTR_VECTOR, 2);
  rig_free(g);
}
END_TEST

START_TEST(attribution__tasks_of_no_length__end) {
  rig *g = rig_new(1, 1);
  uint32_t a = rig_add(g, 1000, NULL, 0), b = rig_add(g, 1, &a, 1), c = rig_add(g, 1, &b, 1);
  rig_play_task(g, a, 0, 0, 0, 0, 2 * US);
  rig_play *p = rig_play_task(g, b, 0, 2 * US, 0, 0, 2 * US);
  p->why.ready_s = 2 * US, p->why.ready_by = a;
  p = rig_play_task(g, c, 0, 2 * US, 0, 0, 2 * US);
  p->why.ready_s = 2 * US, p->why.ready_by = b;
  rig_run(g, false);
  ASSERT_CAUSES(g, ATTR_OVERHEAD, 1, ATTR_VECTOR, 1);
  /* even where each names the other */
  g->tl->records[a].why.ready_by = c;
  g->tl->records[a].end_s = g->tl->records[a].start_s = 2 * US;
  attribution at = attr_walk(g->tl, &g->mem);
  ASSERT_TIME(total(&at), 2 * US);
  rig_free(g);
}
END_TEST

START_TEST(attribution__random_runs__sums_to_makespan) {
  rig *g = rig_new(1 + (uint32_t)_i % 4, 1 + (uint32_t)_i % 3);
  rig_random(g, (uint32_t)_i, 20 + 40 * (uint32_t)_i);
  double span = g->tl->makespan_s;
  ck_assert_double_eq_tol(total(&g->report.attr), span, 1e-12 * span);
  ck_assert_double_eq_tol(total_ops(&g->report.attr), span, 1e-12 * span);
  for (int i = 0; i < ATTR_COUNT; i++) ck_assert_double_ge(g->report.attr.cause_s[i], 0);
  for (size_t i = 0; i < g->tl->n_resources; i++)
    ck_assert_double_le(g->report.resources[i].utilization, 1);
  rig_free(g);
}
END_TEST

int main(void) {
  Suite *s = suite_create("attribution");
  TCase *t = tcase_create("attribution");
  tcase_add_test(t, attribution__no_tasks__all_zero);
  tcase_add_test(t, attribution__arithmetic__shared_by_matrix_and_vector);
  tcase_add_test(t, attribution__inputs__chain_from_load_to_store);
  tcase_add_test(t, attribution__room__waits_since_it_could_have_started);
  tcase_add_test(t, attribution__gate__goes_to_the_task_that_opened_it);
  tcase_add_test(t, attribution__inputs_and_engine_at_once__inputs_are_named_first);
  tcase_add_test(t, attribution__engine_held_while_another_idles__waits_for_engine);
  tcase_add_test(t, attribution__engine_held_before_it_was_ready__holders_own_time);
  tcase_add_test(t, attribution__only_engine_held__saturated);
  tcase_add_test(t, attribution__channel_held__waits_for_dma_while_dram_is_still);
  tcase_add_test(t, attribution__channel_held__dram_where_another_channel_moves_data);
  tcase_add_test(t, attribution__gap_that_nothing_explains__overhead);
  tcase_add_test(t, attribution__tasks_of_no_length__end);
  tcase_add_loop_test(t, attribution__random_runs__sums_to_makespan, 0, 24);
  suite_add_tcase(s, t);
  return suite_run(s);
}
