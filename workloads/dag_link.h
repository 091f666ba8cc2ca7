/* dag_link.h - for readers of DAG files: tasks that come in any order, under any ids, become tasks
 * of a DAG.
 *
 * A task waits for what its file says it depends on, and for every task that writes what it reads.
 * Tasks keep the order of their ids where that is topological; else they are put into the
 * topological order that takes the smallest id first. */
#ifndef LS_DAG_LINK_H
#define LS_DAG_LINK_H

#include "workloads/dag.h"

typedef struct dag_raw_task {
  dag_task t; /* view0: into dag_raw.views; the deps fields are not used */
  uint32_t id;
  uint32_t n_given;
  size_t given0; /* into dag_raw.given */
} dag_raw_task;

typedef struct dag_raw {
  dag_raw_task *tasks;
  dag_view *views;
  uint32_t *given; /* ids, as the file says */
  size_t n_tasks, cap_tasks, n_views, cap_views, n_given, cap_given;
} dag_raw;

/* Adds the tasks to `d`, whose tensors are there. `ids` (in `scratch`): by task of `d`, its id in
 * the file. Refuses (ERR_BAD) duplicate ids, unknown and own ids among the deps, and cycles, whose
 * ids it names. Sorts `raw`. */
ERR_CHECK int dag_link(dag_raw *raw, const char *where, dag *d, uint32_t **ids, arena *scratch,
                       err *e);

#endif
