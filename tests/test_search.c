/* search: the latest starts in a schedule, and the orders made of them. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "sim/evaluate.h"
#include "sim/policy/search.h"
#include "tests/fixture.h"
#include "tests/policy_rig.h"
#include "tests/suite.h"

static arena mem;

static void setup(void) {
  mem = (arena){0};
}

static void teardown(void) {
  arena_free(&mem);
}

/* An input of 1 us, and then tasks of LOAD_s and TASK_s on two engines with one DMA channel: B, on
 * engine 1, needs nothing else; C needs A, both on engine 0; D, on engine 1 behind B, nothing
 * else. The plan's order is theirs. */
static const double INPUT_s = 1e-6, LOAD_s = 1e-3, TASK_s = 2e-3, EXACT = 1e-9;
enum { B, A, C, D };

typedef struct chains {
  platform p;
  pol_input in;
  pol_host host;
  uint32_t task[4];
  search s;
} chains;

static uint32_t add(dag *d, uint32_t x, uint32_t *task) {
  uint32_t y = fx_matmul(d, x, fx_weight(d, 1000, 1000), 1000, 1000, DAG_NO_GROUP);
  *task = (uint32_t)d->n_tasks - 1;
  return y;
}

/* The first `n` of them, searched from there with so many simulations, the first one included. */
static chains *searched(uint32_t n, uint64_t budget, uint64_t seed) {
  chains *c = ARENA_NEW(&mem, chains, 1);
  dag *d = dag_new(&mem);
  c->p = fx_platform(&(fx_chip){.engines = 2, .speed = 2e6 / TASK_s}, &mem);
  uint32_t x = fx_load(d, 1000);
  add(d, x, &c->task[B]);
  uint32_t y = add(d, x, &c->task[A]);
  add(d, y, &c->task[C]);
  if (n > D) add(d, x, &c->task[D]);
  c->host = evaluate_host(budget);
  c->in = rig_input(d, &c->p, &c->host, &mem);
  c->in.seed = seed;
  c->s = search_new(&c->in, &c->host, budget, n, 0, &mem);
  pol_plan plan = {.order = c->task, .n_order = n};
  plan.engine = ARENA_NEW(&mem, uint32_t, d->n_tasks);
  for (uint32_t t = 0; t < d->n_tasks; t++) plan.engine[t] = POL_ANY;
  for (uint32_t i = 0; i < n; i++) plan.engine[c->task[i]] = i == B || i == D;
  search_from(&c->s, &plan);
  search_anneal(&c->s, 0, 0);
  return c;
}

/* Loads come in the plan's order, one after the other, so A starts a load later than B, and C,
 * which ends last, with it; D's load ends when C starts, and D with C. All but B stand as late as
 * they can; B has what is between its end and D's start. */
START_TEST(search_late__engine_with_slack__all_of_it_is_found) {
  chains *c = searched(4, 1, 0);
  const pol_event *x = c->s.now.events;
  double all_s = INPUT_s + 2 * LOAD_s + 2 * TASK_s;
  ck_assert_double_eq_tol(c->s.now.makespan_s, all_s, EXACT * all_s);
  search_late_find(&c->s);
  ck_assert_double_eq_tol(x[c->task[B]].start_s, INPUT_s + LOAD_s, EXACT * all_s);
  ck_assert_double_eq_tol(c->s.late_s[c->task[B]], all_s - 2 * TASK_s, EXACT * all_s);
  for (uint32_t i = A; i <= D; i++)
    ck_assert_double_eq_tol(c->s.late_s[c->task[i]], x[c->task[i]].start_s, EXACT * all_s);
}
END_TEST

/* Without D, B may slip to the end. The first thing that a search tries is the order of latest
 * starts: A's load goes before B's, and all ends a load earlier. With any seed. */
START_TEST(search__slack_before_what_all_wait_for__first_step_turns_them) {
  chains *c = searched(3, 1, 0), *next = searched(3, 2, (uint64_t)_i);
  double was_s = INPUT_s + 2 * LOAD_s + 2 * TASK_s, is_s = was_s - LOAD_s;
  ck_assert_double_eq_tol(c->s.best.makespan_s, was_s, EXACT * was_s);
  ck_assert_uint_eq(next->s.done, 2);
  ck_assert_double_eq_tol(next->s.best.makespan_s, is_s, EXACT * was_s);
  ck_assert_uint_eq(next->s.best.order[0], next->task[A]);
}
END_TEST

/* Half of the way from the starts to the latest starts, times are halfway. */
START_TEST(search_late_order__part_of_the_way__keys_are_between) {
  chains *c = searched(4, 1, 0);
  search *s = &c->s;
  uint32_t b = c->task[B], a = c->task[A];
  search_late_find(s);
  double key[3];
  for (int i = 0; i < 3; i++) search_late_order(s, i / 2.0), key[i] = s->tried.key[b];
  ck_assert_double_gt(key[0], key[2]);
  ck_assert_double_eq_tol(key[1], (key[0] + key[2]) / 2, 1);
  ck_assert_double_gt(key[0], s->tried.key[a]); /* A starts later than B, */
  ck_assert_double_gt(s->tried.key[a], s->tried.key[c->task[C]]);
}
END_TEST

int main(void) {
  Suite *s = suite_create("search");
  TCase *c = tcase_create("search");
  tcase_add_checked_fixture(c, setup, teardown);
  tcase_add_test(c, search_late__engine_with_slack__all_of_it_is_found);
  tcase_add_loop_test(c, search__slack_before_what_all_wait_for__first_step_turns_them, 0, 10);
  tcase_add_test(c, search_late_order__part_of_the_way__keys_are_between);
  suite_add_tcase(s, c);
  return suite_run(s);
}
