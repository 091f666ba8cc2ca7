/* reach.h - which engines may run which compute tasks, and whether what a DAG asks of the routes is
 * there at all.
 *
 * An engine may run a task where every SRAM that holds an operand of the task has a route to the
 * engine, and where the engine may run the other tasks of its group, too. Tasks with the same set
 * of engines form a class: there are few of them, one for each scratchpad as a rule.
 *
 * Refused (ERR_NO), with the task, the operands and where they are: a tensor in an SRAM that the
 * platform does not have; a transfer without a route; a compute task with operands in more than
 * REACH_SRAMS SRAMs (estimate.h: it has two streams at most); a task or a group that no engine
 * reaches. */
#ifndef LS_REACH_H
#define LS_REACH_H

#include "sim/platform.h"
#include "workloads/dag.h"

enum { REACH_SRAMS = 2 };

typedef struct reach {
  uint32_t n_classes;
  const uint32_t *of;  /* by task, class 0 for transfers; NULL: all tasks are of class 0 */
  const uint64_t *set; /* by class: `words` words, a bit an engine */
  size_t words;
} reach;

ERR_CHECK int reach_make(reach *r, const platform *p, const dag *d, arena *a, err *e);

static inline uint32_t reach_class(const reach *r, uint32_t task) {
  return r->of == NULL ? 0 : r->of[task];
}

static inline bool reach_has(const reach *r, uint32_t class, uint32_t engine) {
  return (r->set[class * r->words + engine / 64] >> (engine % 64) & 1) != 0;
}

static inline bool reach_may_run(const reach *r, uint32_t task, uint32_t engine) {
  return r->of == NULL || reach_has(r, r->of[task], engine);
}

/* The first engine that may run the task. */
uint32_t reach_first(const reach *r, uint32_t task);

#endif
