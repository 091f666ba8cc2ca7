/* list.h - list scheduling over a plain cost matrix: ranks, and placement with insertion. It knows
 * tasks, processors and numbers; no platform, no DAG file, no memory. The policies heft, peft and
 * cpop are made of it (list_dag.h fills it from a task DAG), and its tests hold it to the examples
 * that their papers print.
 *
 * Task ids are topological: every predecessor has a smaller id. An edge's cost is paid where its
 * two tasks run on different processors. Where processors are alike one column of costs serves all;
 * there must then be no edge costs.
 *
 *   upward rank    rank(t) = w(t) + max over successors s of c(t,s) + rank(s)          (Topcuoglu,
 * Hariri, Wu 2002, eq. 8) downward rank  down(t) = max over predecessors p of down(p) + w(p) +
 * c(p,t)         (the same, eq. 9) OCT(t,p)       max over successors s of min over processors q of
 *                  OCT(s,q) + w(s,q) + (q == p ? 0 : c(t,s))                            (Arabnejad,
 * Barbosa 2014, eq. 4) with w(t) the mean over the processors that may run t.
 *
 * Owner: the arena given to each function. */
#ifndef LS_LIST_H
#define LS_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/arena.h"

#define LIST_NONE UINT32_MAX

typedef struct list_graph {
  uint32_t n, n_procs;
  uint32_t n_columns;                /* n_procs, or 1 */
  double *cost;                      /* n rows of n_columns seconds; INFINITY: may not run there */
  uint64_t *first_pred, *first_succ; /* n + 1 */
  uint32_t *pred, *succ;
  double *pred_cost, *succ_cost; /* by edge, in the order of pred and succ; NULL: all 0 */
} list_graph;

typedef struct list_edge {
  uint32_t from, to;
  double cost;
} list_edge;

/* Room for costs, and the edges; `edges` in any order. */
list_graph list_graph_new(uint32_t n, uint32_t n_procs, const list_edge *edges, size_t n_edges,
                          arena *a);

static inline double list_cost(const list_graph *g, uint32_t t, uint32_t p) {
  return g->n_columns == 1 ? g->cost[t] : g->cost[(size_t)t * g->n_columns + p];
}
double list_mean(const list_graph *g, uint32_t t);

double *list_rank_up(const list_graph *g, arena *a);
double *list_rank_down(const list_graph *g, arena *a);
double *list_oct(const list_graph *g, arena *a);                         /* n rows of n_columns */
double *list_oct_rank(const list_graph *g, const double *oct, arena *a); /* mean of each row */

/* All tasks, each after its predecessors; of those that could come next the one of the largest key,
 * ties to the smaller id. */
uint32_t *list_order(const list_graph *g, const double *key, arena *a);

/* The longest path as CPOP has it: from the first task of the largest up + down along successors on
 * it; marks by task. */
bool *list_critical(const list_graph *g, const double *up, const double *down, arena *a);

/* A schedule that grows task by task. To stay linear a processor remembers its LIST_GAPS latest
 * gaps only. */
enum { LIST_GAPS = 16 };
typedef struct list_lane list_lane;
typedef struct list_plan {
  const list_graph *g;
  list_lane *lanes;
  double *start, *finish; /* by task */
  uint32_t *proc;         /* by task; LIST_NONE: not placed */
} list_plan;
list_plan list_plan_new(const list_graph *g, arena *a);
double list_free_s(const list_plan *p, uint32_t proc); /* when its last task ends */

/* Where t, whose predecessors have been placed, would go, no earlier than `from`: to the processor
 * where finish + oct[t, p] is least (`oct` NULL: where it finishes first), in the earliest gap that
 * is long enough; ties go to the processor that is free first, then to the smaller number. `only`:
 * the one processor that it may go to, or LIST_NONE. `proc` is LIST_NONE where none may run it. */
typedef struct list_choice {
  uint32_t proc;
  int slot; /* the gap, or -1 for the end */
  double start, finish;
} list_choice;
list_choice list_choose(const list_plan *p, uint32_t t, double from, const double *oct,
                        uint32_t only);
void list_put(list_plan *p, uint32_t t, const list_choice *c);

/* Both. Returns the processor, or LIST_NONE where none may run it. */
uint32_t list_place(list_plan *p, uint32_t t, double from, const double *oct, uint32_t only);

#endif
