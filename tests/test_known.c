/* What is found once and handed on: a simulation and a bound that a policy's host knows, rooms and
 * costs that a DAG keeps. It saves work and changes nothing. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "sim/evaluate.h"
#include "tests/fixture.h"
#include "tests/policy_rig.h"
#include "tests/suite.h"
#include "workloads/block.h"
#include "workloads/dag_room.h"

static arena mem;

static void setup(void) {
  mem = (arena){0};
}

static void teardown(void) {
  arena_free(&mem);
}

static bool same_plan(const pol_plan *a, const pol_plan *b, const dag *d) {
  return a->n_order == b->n_order &&
         memcmp(a->order, b->order, a->n_order * sizeof *a->order) == 0 &&
         memcmp(a->engine, b->engine, d->n_tasks * sizeof *a->engine) == 0;
}

/* Little SRAM and shared links: heft's plan is far from the bound, and heft looks at others. */
static dag *far_dag(uint64_t seed, platform *p) {
  fx_random r = {seed};
  *p = fx_platform(&(fx_chip){.engines = (uint32_t)fx_range(&r, 2, 4),
                              .speed = 2e9,
                              .port_Bps = 4e8,
                              .bus_Bps = 6e8,
                              .dram_Bps = 3e8,
                              .channels = 2,
                              .setup_s = 1e-7,
                              .sram_B = 120000},
                   &mem);
  dag *d = dag_new(&mem);
  uint32_t y[60];
  for (uint32_t i = 0; i < 60; i++) {
    uint64_t N = fx_range(&r, 10, 120);
    uint32_t x = i < 6 ? fx_load(d, fx_range(&r, 10, 120)) : y[fx_range(&r, i - 6, i - 1)];
    uint64_t K = d->tensors[x].dim[1];
    y[i] = fx_matmul(d, x, fx_weight(d, N, K), N, K, DAG_NO_GROUP);
  }
  return d;
}

/* A block of LLaMA-3.2-1B in decode: heft's plan is as close to the bound as it wants it. */
static dag *close_dag(platform *p) {
  err e = {0};
  model *m = ARENA_NEW(&mem, model, 1);
  dag *d;
  wl_options o = wl_defaults();
  ck_assert_msg(model_load("llama-3.2-1b", m, &mem, &e) == ERR_OK, "%s", e.msg);
  ck_assert_msg(plat_load("npu4", p, &mem, &e) == ERR_OK, "%s", e.msg);
  wl_target t = {.engines = (uint32_t)p->n_engines, .sram_B = (uint64_t)p->srams[0].capacity_B};
  ck_assert_msg(wl_compile(m, &o, &t, &d, &mem, &e) == ERR_OK, "%s", e.msg);
  return d;
}

static pol_known known_of(const dag *d, const platform *p) {
  pol_known k = {0};
  ck_assert(evaluate_policy(d, p, pol_find("heft"), 2, &k, &mem));
  return k;
}

START_TEST(evaluate_policy__heft__says_what_its_plan_does) {
  platform p;
  dag *d = far_dag((uint64_t)_i, &p);
  pol_known k = known_of(d, &p);
  pol_input in = rig_input(d, &p, NULL, &mem);
  pol_plan plan = rig_plan("heft", &in, &mem);
  pol_event *events = ARENA_NEW(&mem, pol_event, d->n_tasks);
  ck_assert_double_eq(k.makespan_s, evaluate_plan(NULL, &in, &plan, events));
  for (size_t t = 0; t < d->n_tasks; t++) {
    ck_assert_double_eq(k.events[t].start_s, events[t].start_s);
    ck_assert_double_eq(k.events[t].end_s, events[t].end_s);
    ck_assert_uint_eq(k.events[t].by, events[t].by);
  }
}
END_TEST

START_TEST(evaluate_policy__no_room__says_nothing) {
  platform p;
  dag *d = far_dag(1, &p);
  pol_known k = {0};
  p.srams[0].capacity_B = 100;
  ck_assert(!evaluate_policy(d, &p, pol_find("heft"), 2, &k, &mem));
  ck_assert_ptr_null(k.dag);
}
END_TEST

/* 42 s is what no simulation says. */
START_TEST(evaluate_plan__known__taken_for_the_same_run_alone) {
  platform p, less;
  dag *d = far_dag(1, &p), other = *d;
  pol_known k = known_of(d, &p);
  double is = k.makespan_s;
  k.makespan_s = 42;
  pol_host host = evaluate_host(1);
  pol_input alone = rig_input(d, &p, NULL, &mem), in = rig_input(d, &p, &host, &mem);
  pol_plan plan = rig_plan("heft", &alone, &mem);
  pol_event *events = ARENA_NEW(&mem, pol_event, d->n_tasks);
  ck_assert_double_eq(evaluate_plan(NULL, &in, &plan, NULL), is);
  host.known = &k;
  ck_assert_double_eq(evaluate_plan(NULL, &in, &plan, events), 42);
  ck_assert_mem_eq(events, k.events, d->n_tasks * sizeof *events);
  in.prefetch = 3;
  ck_assert_double_lt(evaluate_plan(NULL, &in, &plan, NULL), 42);
  in.prefetch = 2;
  in.dag = &other;
  ck_assert_double_lt(evaluate_plan(NULL, &in, &plan, NULL), 42);
  in.dag = d;
  less = p;
  less.srams = ARENA_NEW(&mem, plat_memory, 1);
  less.srams[0] = p.srams[0];
  less.srams[0].capacity_B--;
  in.plat = &less;
  ck_assert_double_lt(evaluate_plan(NULL, &in, &plan, NULL), 42);
  in.plat = &p;
  plan.serial = true;
  ck_assert_double_lt(evaluate_plan(NULL, &in, &plan, NULL), 42);
  plan.serial = false;
  uint32_t last = plan.order[plan.n_order - 1];
  plan.engine[last] = (plan.engine[last] + 1) % (uint32_t)p.n_engines;
  ck_assert_double_lt(evaluate_plan(NULL, &in, &plan, NULL), 42);
}
END_TEST

START_TEST(heft__knows_its_plan__makes_the_same_of_it) {
  platform p;
  dag *d = far_dag((uint64_t)_i, &p);
  pol_known k = known_of(d, &p);
  pol_host host = evaluate_host(1), knows = evaluate_host(1);
  knows.known = &k;
  knows.bound = (pol_bound){d, &p, est_bounds(&p, d, &mem).lower_s};
  pol_input in = rig_input(d, &p, &host, &mem), in_known = rig_input(d, &p, &knows, &mem);
  pol_plan is = rig_plan("heft", &in_known, &mem), was = rig_plan("heft", &in, &mem);
  ck_assert(same_plan(&is, &was, d));
}
END_TEST

START_TEST(heft__knows_its_plan_is_close__simulates_nothing) {
  platform p;
  dag *d = close_dag(&p);
  pol_known k = known_of(d, &p);
  pol_host host = rig_counting_host(0);
  pol_input in = rig_input(d, &p, &host, &mem);
  pol_plan was = rig_plan("heft", &in, &mem);
  ck_assert_uint_eq(rig_simulations, 1);
  host.known = &k;
  pol_plan is = rig_plan("heft", &in, &mem);
  ck_assert_uint_eq(rig_simulations, 1);
  ck_assert(same_plan(&is, &was, d));
}
END_TEST

/* Whose a known plan is, its schedule says. */
START_TEST(heft__knows_another_ones_plan__makes_its_own) {
  platform p;
  dag *d = far_dag(1, &p);
  pol_known k = {0};
  ck_assert(evaluate_policy(d, &p, pol_find("cpop"), 2, &k, &mem));
  pol_host none = rig_counting_host(0), knows = none;
  knows.known = &k;
  pol_input in = rig_input(d, &p, &none, &mem), in_known = rig_input(d, &p, &knows, &mem);
  pol_plan is = rig_plan("heft", &in_known, &mem), was = rig_plan("heft", &in, &mem);
  ck_assert(same_plan(&is, &was, d));
}
END_TEST

START_TEST(pol_lower_bound__known__of_that_dag_and_platform_alone) {
  platform p;
  dag *d = far_dag(1, &p), other = *d;
  platform like = p;
  pol_host host = evaluate_host(1);
  pol_input in = rig_input(d, &p, &host, &mem);
  double s = est_bounds(&p, d, &mem).lower_s;
  ck_assert_double_eq(pol_lower_bound(&in), s);
  host.bound = (pol_bound){d, &p, 42};
  ck_assert_double_eq(pol_lower_bound(&in), 42);
  in.plat = &like;
  ck_assert_double_eq(pol_lower_bound(&in), s);
  in.plat = &p;
  in.dag = &other;
  ck_assert_double_eq(pol_lower_bound(&in), s);
}
END_TEST

static bool same_cost(cost a, cost b) {
  return a.matrix_flops == b.matrix_flops && a.vector_flops == b.vector_flops &&
         a.operand_B == b.operand_B && a.transfer_B == b.transfer_B && a.rate == b.rate &&
         memcmp(a.mnk, b.mnk, sizeof a.mnk) == 0;
}

START_TEST(dag__kept__says_the_same_until_it_grows) {
  platform p;
  dag *d = close_dag(&p);
  uint32_t *rooms = dag_rooms(d, &mem);
  cost *costs = ARENA_NEW(&mem, cost, d->n_tasks);
  for (uint32_t t = 0; t < d->n_tasks; t++) costs[t] = cost_of(d, t);
  dag_keep_rooms(d);
  cost_keep(d);
  ck_assert(d->rooms != NULL && d->costs != NULL);
  uint32_t *copy = dag_rooms(d, &mem);
  ck_assert_ptr_ne(copy, d->rooms); /* callers write to it */
  ck_assert_mem_eq(copy, rooms, d->n_tensors * sizeof *rooms);
  for (uint32_t t = 0; t < d->n_tasks; t++) ck_assert(same_cost(cost_of(d, t), costs[t]));
  fx_load(d, 10);
  ck_assert(d->rooms == NULL && d->costs == NULL);
  ck_assert_uint_eq(cost_of(d, (uint32_t)d->n_tasks - 1).transfer_B, 10);
}
END_TEST

int main(void) {
  Suite *s = suite_create("known");
  TCase *c = tcase_create("known");
  tcase_add_checked_fixture(c, setup, teardown);
  tcase_set_timeout(c, 60);
  tcase_add_loop_test(c, evaluate_policy__heft__says_what_its_plan_does, 0, 6);
  tcase_add_test(c, evaluate_policy__no_room__says_nothing);
  tcase_add_test(c, evaluate_plan__known__taken_for_the_same_run_alone);
  tcase_add_loop_test(c, heft__knows_its_plan__makes_the_same_of_it, 0, 6);
  tcase_add_test(c, heft__knows_its_plan_is_close__simulates_nothing);
  tcase_add_test(c, heft__knows_another_ones_plan__makes_its_own);
  tcase_add_test(c, pol_lower_bound__known__of_that_dag_and_platform_alone);
  tcase_add_test(c, dag__kept__says_the_same_until_it_grows);
  suite_add_tcase(s, c);
  return suite_run(s);
}
