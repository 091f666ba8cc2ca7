/* list_dag.h - a task DAG as list.h wants it, and the times of transfers that list.h does not know.
 *
 * Every task is a node; a compute task costs what it takes alone on each engine, a transfer the
 * same everywhere. Edges cost nothing: data is in an SRAM that several engines reach, or a transfer
 * task brings it. Transfers take no place on an engine: a load is timed when its first reader is
 * placed, on one DRAM link that moves loads one after the other in that order; a store or move ends
 * its uncontended time after its inputs. SRAM's size is not modelled, as the machine's admission
 * sees to it, but where that is asked for (list_dag_with_room): then loads and tasks wait for room
 * (list_room.h), and loads come late: no earlier than their task has to have them, and one task of
 * its length more.
 *
 * Groups. The first task of a group decides for all of it. Where it would end first says little:
 * while loads are late all engines wait, and several groups would go to one. So it goes where the
 * group would end first if nothing came between: to the engine of the least max(inputs there,
 * free) + promised + the group's time, `promised` being what is left of the groups it has. With a
 * look-ahead table (`oct`) the table decides, as for all tasks. */
#ifndef LS_LIST_DAG_H
#define LS_LIST_DAG_H

#include "sim/policy.h"
#include "sim/policy/list.h"
#include "sim/policy/list_room.h"

typedef struct list_dag {
  const pol_input *in;
  list_graph g;
  list_plan plan;
  double *lead_s; /* of transfers: what of their time the link is free */
  double link_free_s;
  uint32_t channels;
  uint32_t *group_engine, *stack;
  double *group_s;       /* by group and column: all of its tasks, one after the other */
  double *promised_s;    /* by engine */
  bool *timed;           /* by task */
  double from_s;         /* with room: when there is room for the present task and its loads */
  list_room *room;       /* NULL: SRAM's size is not modelled */
  uint32_t *seen, visit; /* with room: by task, the last walk that came by */
  uint32_t *left;        /* by task, with room: inputs that are not put */
  uint32_t *fresh;       /* transfers timed since a task was last put */
  size_t n_fresh;
} list_dag;

list_dag list_dag_new(const pol_input *in, arena *a);

/* From here on there are only the first n engines, if all of them are alike and reach all. Before
 * anything is placed. LIST_FEW: gate, up and down of one block of tokens, and one for the next. */
enum { LIST_FEW = 4 };
void list_dag_on(list_dag *l, uint32_t n);

/* From here on SRAM's size counts. Before anything is placed; for orders that fit SRAM one at a
 * time. */
void list_dag_with_room(list_dag *l, arena *a);

static inline bool list_dag_is_compute(const pol_input *in, uint32_t t) {
  return op_kind_of((op)in->dag->tasks[t].op) == OP_COMPUTE;
}

/* Where a compute task goes: where its group is if it has one, else as list_choose. `only` gives
 * way to both the group and reach. Times the transfers before it, which list_dag_forget takes back
 * (to the link as it was); list_dag_put places the task where it was chosen to go. */
list_choice list_dag_choose(list_dag *l, uint32_t t, const double *oct, uint32_t only);
void list_dag_forget(list_dag *l, double link_free_s);
void list_dag_put(list_dag *l, uint32_t t, const list_choice *c);
void list_dag_place(list_dag *l, uint32_t t, const double *oct, uint32_t only); /* both */

/* The compute tasks of the order, placed one after the other, become the plan: each engine runs its
 * tasks by planned start (topological, as a task starts after its inputs end). `only`: by task, or
 * NULL. */
void list_dag_plan(list_dag *l, const uint32_t *order, size_t n, const double *oct,
                   const uint32_t *only, pol_plan *plan);

/* The same, but waits for loads are filled: where the next task of the order would leave its engine
 * idle, that one of the LIST_WINDOW tasks behind it goes first whose inputs are placed and which
 * leaves the same engine idle for least time, if that is clearly less. Changes `order` to what was
 * taken. */
enum { LIST_WINDOW = 64 };
void list_dag_fill(list_dag *l, uint32_t *order, size_t n, pol_plan *plan);

#endif
