/* List scheduling over a cost matrix, held to the examples that the papers print. */
#include <check.h>
#include <math.h>

#include "sim/policy/list.h"
#include "tests/suite.h"

enum { N = 10, P = 3 };

static arena mem;

static void setup(void) {
  mem = (arena){0};
}

static void teardown(void) {
  arena_free(&mem);
}

/* Topcuoglu, Hariri, Wu 2002, Fig. 3: costs of tasks 1..10 on P1..P3, and edges. */
static const double HEFT_COST[N][P] = {{14, 16, 9},  {13, 19, 18}, {11, 13, 19}, {13, 8, 17},
                                       {12, 13, 10}, {13, 16, 9},  {7, 15, 11},  {5, 11, 14},
                                       {18, 12, 20}, {21, 7, 16}};
static const list_edge HEFT_EDGE[] = {{1, 2, 18},  {1, 3, 12},  {1, 4, 9},  {1, 5, 11},
                                      {1, 6, 14},  {2, 8, 19},  {2, 9, 16}, {3, 7, 23},
                                      {4, 8, 27},  {4, 9, 23},  {5, 9, 13}, {6, 8, 15},
                                      {7, 10, 17}, {8, 10, 11}, {9, 10, 13}};

/* Arabnejad, Barbosa 2014, Fig. 1: the same form. */
static const double PEFT_COST[N][P] = {{22, 21, 36}, {22, 18, 18}, {32, 27, 43}, {7, 10, 4},
                                       {29, 27, 35}, {26, 17, 24}, {14, 25, 30}, {29, 23, 36},
                                       {15, 21, 8},  {13, 16, 33}};
static const list_edge PEFT_EDGE[] = {{1, 2, 17}, {1, 3, 31}, {1, 4, 29}, {1, 5, 13},  {1, 6, 7},
                                      {2, 8, 3},  {2, 9, 30}, {3, 7, 16}, {4, 8, 11},  {4, 9, 7},
                                      {5, 9, 57}, {6, 8, 5},  {7, 10, 9}, {8, 10, 42}, {9, 10, 7}};

static list_graph graph_of(const double cost[N][P], const list_edge *edge) {
  list_edge from_0[15];
  for (int i = 0; i < 15; i++)
    from_0[i] = (list_edge){edge[i].from - 1, edge[i].to - 1, edge[i].cost};
  list_graph g = list_graph_new(N, P, from_0, 15, &mem);
  for (uint32_t t = 0; t < N; t++)
    for (uint32_t p = 0; p < P; p++) g.cost[t * P + p] = cost[t][p];
  return g;
}

/* Places in the order of the keys and gives the makespan; `only`: by task, or NULL. */
static double schedule(const list_graph *g, const double *key, const double *oct,
                       const uint32_t *only, list_plan *plan) {
  *plan = list_plan_new(g, &mem);
  const uint32_t *order = list_order(g, key, &mem);
  double end = 0;
  for (uint32_t i = 0; i < g->n; i++) {
    uint32_t t = order[i];
    ck_assert_uint_ne(list_place(plan, t, 0, oct, only == NULL ? LIST_NONE : only[t]), LIST_NONE);
    end = fmax(end, plan->finish[t]);
  }
  return end;
}

/* What every schedule satisfies, whoever made it. */
static void ck_valid(const list_graph *g, const list_plan *p) {
  for (uint32_t t = 0; t < g->n; t++) {
    ck_assert_double_eq_tol(p->finish[t] - p->start[t], list_cost(g, t, p->proc[t]), 1e-9);
    for (uint64_t i = g->first_pred[t]; i < g->first_pred[t + 1]; i++) {
      uint32_t u = g->pred[i];
      double arrives = p->finish[u] + (p->proc[u] == p->proc[t] ? 0 : g->pred_cost[i]);
      ck_assert_double_ge(p->start[t], arrives - 1e-9);
    }
    for (uint32_t u = 0; u < t; u++)
      if (p->proc[u] == p->proc[t])
        ck_assert(p->finish[u] <= p->start[t] + 1e-9 || p->finish[t] <= p->start[u] + 1e-9);
  }
}

/* Table 3 of the paper; it prints three decimals. */
START_TEST(list_rank_up__heft_paper__published_ranks) {
  static const double UP[N] = {108.000, 77.000, 80.000, 80.000, 69.000,
                               63.333,  42.667, 35.667, 44.333, 14.667};
  list_graph g = graph_of(HEFT_COST, HEFT_EDGE);
  double *up = list_rank_up(&g, &mem);
  for (int t = 0; t < N; t++) ck_assert_double_eq_tol(up[t], UP[t], 5e-4);
}
END_TEST

START_TEST(list_place__heft_paper__makespan_80) {
  list_graph g = graph_of(HEFT_COST, HEFT_EDGE);
  list_plan p;
  double end = schedule(&g, list_rank_up(&g, &mem), NULL, NULL, &p);
  ck_valid(&g, &p);
  ck_assert_double_eq_tol(end, 80, 1e-9);
}
END_TEST

/* The paper's Fig. 4b: 86 by CPOP, whose critical path is tasks 1, 2, 9, 10, on P2. */
START_TEST(list_critical__cpop_paper__published_path_and_makespan_86) {
  list_graph g = graph_of(HEFT_COST, HEFT_EDGE);
  double *up = list_rank_up(&g, &mem), *down = list_rank_down(&g, &mem);
  bool *on = list_critical(&g, up, down, &mem);
  uint32_t only[N];
  double key[N];
  for (uint32_t t = 0; t < N; t++) {
    ck_assert_int_eq(on[t], t == 0 || t == 1 || t == 8 || t == 9);
    only[t] = on[t] ? 1 : LIST_NONE; /* P2 runs the path in 54, P1 in 66, P3 in 63 */
    key[t] = up[t] + down[t];
  }
  list_plan p;
  double end = schedule(&g, key, NULL, only, &p);
  ck_valid(&g, &p);
  ck_assert_double_eq_tol(end, 86, 1e-9);
}
END_TEST

/* The paper's Table 1. */
START_TEST(list_oct__peft_paper__published_table) {
  static const double OCT[N][P] = {{64, 68, 86}, {42, 39, 42}, {27, 41, 43}, {42, 39, 50},
                                   {28, 37, 28}, {42, 39, 44}, {13, 16, 22}, {13, 16, 33},
                                   {13, 16, 20}, {0, 0, 0}};
  static const double RANK[N] = {72.7, 41.0, 37.0, 43.7, 31.0, 41.7, 17.0, 20.7, 16.3, 0};
  list_graph g = graph_of(PEFT_COST, PEFT_EDGE);
  double *oct = list_oct(&g, &mem), *rank = list_oct_rank(&g, oct, &mem);
  for (int t = 0; t < N; t++) {
    for (int p = 0; p < P; p++)
      ck_assert_msg(oct[t * P + p] == OCT[t][p], "T%d P%d: %g, not %g", t + 1, p + 1,
                    oct[t * P + p], OCT[t][p]);
    ck_assert_double_eq_tol(rank[t], RANK[t], 0.05);
  }
}
END_TEST

START_TEST(list_place__peft_paper__makespan_122) {
  list_graph g = graph_of(PEFT_COST, PEFT_EDGE);
  double *oct = list_oct(&g, &mem);
  list_plan p;
  double end = schedule(&g, list_oct_rank(&g, oct, &mem), oct, NULL, &p);
  ck_valid(&g, &p);
  ck_assert_double_eq_tol(end, 122, 1e-9);
}
END_TEST

/* The PEFT paper's comparison: HEFT takes 133 on its example. */
START_TEST(list_place__peft_paper_by_heft__makespan_133) {
  list_graph g = graph_of(PEFT_COST, PEFT_EDGE);
  list_plan p;
  double end = schedule(&g, list_rank_up(&g, &mem), NULL, NULL, &p);
  ck_valid(&g, &p);
  ck_assert_double_eq_tol(end, 133, 1e-9);
}
END_TEST

/* A processor that may not run a task is never chosen, and where none may, there is no place. */
START_TEST(list_place__infinite_cost__is_avoided) {
  list_graph g = list_graph_new(2, 2, NULL, 0, &mem);
  g.cost[0] = INFINITY, g.cost[1] = 100;
  g.cost[2] = g.cost[3] = INFINITY;
  list_plan p = list_plan_new(&g, &mem);
  ck_assert_uint_eq(list_place(&p, 0, 0, NULL, LIST_NONE), 1);
  ck_assert_uint_eq(list_place(&p, 1, 0, NULL, LIST_NONE), LIST_NONE);
}
END_TEST

int main(void) {
  Suite *s = suite_create("list");
  TCase *c = tcase_create("papers");
  tcase_add_checked_fixture(c, setup, teardown);
  tcase_add_test(c, list_rank_up__heft_paper__published_ranks);
  tcase_add_test(c, list_place__heft_paper__makespan_80);
  tcase_add_test(c, list_critical__cpop_paper__published_path_and_makespan_86);
  tcase_add_test(c, list_oct__peft_paper__published_table);
  tcase_add_test(c, list_place__peft_paper__makespan_122);
  tcase_add_test(c, list_place__peft_paper_by_heft__makespan_133);
  tcase_add_test(c, list_place__infinite_cost__is_avoided);
  suite_add_tcase(s, c);
  return suite_run(s);
}
