/* estimate_joins.h - whole groups that come before a task. For the bounds of estimate.h alone.
 *
 * A task that depends on all tasks of a group waits until the last of them has ended. These may be
 * the end of a pipeline, such as attention's: each step of it is a group, which one engine runs one
 * after another. So their end is no earlier than around_end (estimate_around.h) of any step's
 * tasks, each not before its head and with the longest chain from it to the group's tasks after it.
 */
#ifndef LS_ESTIMATE_JOINS_H
#define LS_ESTIMATE_JOINS_H

#include "sim/estimate_around.h"

typedef struct joins joins;

joins *joins_new(const dag *d, const double *best_s, arena *a);

/* The least time until all groups have ended that `task` depends on whole; 0 where there are none.
 * The heads of all tasks before it stand. Cost, all tasks together: tasks and deps, some times
 * each. */
double joins_end(joins *j, uint32_t task, const double *head_s);

#endif
