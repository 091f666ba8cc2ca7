/* estimate_groups.h - tasks of one group run one after another, as they share an engine: what that
 * means for a task that all of them come before, or after. For the bounds of estimate.h alone. */
#ifndef LS_ESTIMATE_GROUPS_H
#define LS_ESTIMATE_GROUPS_H

#include "workloads/dag.h"

typedef struct groups_item {
  uint32_t group;
  double from_s, takes_s;
} groups_item;

/* The least time until all of `tasks` have ended, if none begins before its from_s: of each group's
 * by itself, in the order of from_s, which is the best order for the last to end. The same holds
 * backwards, with what follows each of them for from_s. `space`: n items. */
double groups_end(const dag *d, const uint32_t *tasks, size_t n, const double *from_s,
                  const double *takes_s, groups_item *space);

/* What the engine with the most groups takes at least, of n groups that take group_s, which it
 * sorts: of any k * engines + 1, an engine has k + 1. */
double groups_shared_s(double *group_s, size_t n, size_t engines);

/* The same for groups anywhere in the DAG: those that cannot begin before some time, with that time
 * before them, or that have some time behind them, with that; and the least of the other end. */
double groups_packed_s(const dag *d, size_t engines, const double *best_s, const double *head_s,
                       const double *tail_s);

#endif
