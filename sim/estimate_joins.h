/* estimate_joins.h - whole groups that come before a task, or after it. For the bounds of
 * estimate.h alone.
 *
 * A task that depends on all tasks of a group waits until the last of them has ended. It does so
 * where the group's last tasks, those that no other of the group depends on, are among what it
 * depends on directly: such as all columns of a linear layer, each of which is a chain of partial
 * sums. These may be the end of a pipeline, such as attention's: each step of it is a group, which
 * one engine runs one after another. So their end is no earlier than around_end
 * (estimate_around.h) of any step's tasks, each not before its head and with the longest chain from
 * it to the group's tasks after it.
 *
 * And the same backwards, with what follows for what comes before: a group whose first tasks all
 * depend directly on a task follows it as a whole. */
#ifndef LS_ESTIMATE_JOINS_H
#define LS_ESTIMATE_JOINS_H

#include "sim/estimate_around.h"

typedef struct joins joins;

/* `succ`: NULL: groups before a task; else the DAG's successors, and groups after it. */
joins *joins_new(const dag *d, const dag_succ *succ, const double *best_s, arena *a);

/* The least time until all groups have ended that `task` depends on whole; 0 where there are none.
 * The heads of all tasks before it stand. Backwards: from the start of all groups that depend on
 * `task` as a whole; the tails of all tasks after it stand. Cost, all tasks together: tasks and
 * deps, some times each. */
double joins_s(joins *j, uint32_t task, const double *head_s);

#endif
