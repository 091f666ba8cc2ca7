#include "workloads/dag_room.h"

#include <string.h>

/* What is known of the tasks that touch a tensor, in id order. */
typedef struct usage {
  uint32_t last;     /* the last task so far */
  uint32_t n;        /* tasks so far */
  uint32_t writers;  /* of these */
  uint32_t n_at_dep; /* of these, how many are deps of the task being looked at */
  uint32_t stamp;    /* for which task n_at_dep counts */
} usage;

static bool whole(const dag *d, const dag_view *v) {
  const dag_tensor *t = &d->tensors[v->tensor];
  for (uint32_t i = 0; i < t->rank; i++)
    if (v->len[i] != t->dim[i]) return false;
  return true;
}

static bool alike(const dag_tensor *x, const dag_tensor *y) {
  return x->space != DAG_DRAM && x->space == y->space && x->dtype == y->dtype &&
         x->rank == y->rank && memcmp(x->dim, y->dim, sizeof x->dim) == 0;
}

/* Counts each tensor that a task touches once. */
static void count(const dag *d, uint32_t t, usage *u) {
  const dag_task *task = &d->tasks[t];
  const dag_view *v = dag_reads(d, task);
  for (uint32_t i = 0; i < (uint32_t)task->n_reads + task->n_writes; i++) {
    usage *x = &u[v[i].tensor];
    if (x->n > 0 && x->last == t) continue;
    x->last = t;
    x->n++;
    for (uint32_t k = task->n_reads; k < (uint32_t)task->n_reads + task->n_writes; k++)
      if (v[k].tensor == v[i].tensor) {
        x->writers++;
        break;
      }
  }
}

/* For each tensor that t reads: how many of t's deps touch it. */
static void count_deps(const dag *d, uint32_t t, usage *u) {
  const dag_task *task = &d->tasks[t];
  const dag_view *r = dag_reads(d, task);
  for (uint32_t i = 0; i < task->n_reads; i++) {
    u[r[i].tensor].stamp = t;
    u[r[i].tensor].n_at_dep = 0;
  }
  for (uint32_t i = 0; i < task->n_deps; i++) {
    const dag_task *dep = &d->tasks[dag_deps(d, task)[i]];
    const dag_view *v = dag_reads(d, dep);
    for (uint32_t k = 0; k < (uint32_t)dep->n_reads + dep->n_writes; k++) {
      bool again = false;
      for (uint32_t j = 0; j < k; j++) again = again || v[j].tensor == v[k].tensor;
      if (!again && u[v[k].tensor].stamp == t) u[v[k].tensor].n_at_dep++;
    }
  }
}

static bool may_work_in_place(const dag_task *t) {
  for (uint32_t r = 0; r < t->n_reads; r++)
    if (op_in_place((op)t->op, r, t->n_reads, 0)) return true;
  return false;
}

/* Writes of t, each over the first of its operands that it may take over. */
static void take_over(const dag *d, uint32_t t, const usage *u, uint32_t *over, bool *given) {
  const dag_task *task = &d->tasks[t];
  const dag_view *r = dag_reads(d, task), *w = dag_writes(d, task);
  for (uint32_t i = 0; i < task->n_writes; i++) {
    const usage *y = &u[w[i].tensor];
    if (y->writers != 1 || !whole(d, &w[i])) continue;
    for (uint32_t k = 0; k < task->n_reads && over[w[i].tensor] == DAG_NO_ROOM; k++) {
      uint32_t x = r[k].tensor;
      if (!op_in_place((op)task->op, k, task->n_reads, i) || given[x]) continue;
      if (!alike(&d->tensors[x], &d->tensors[w[i].tensor]) || !whole(d, &r[k])) continue;
      if (u[x].last != t || u[x].n_at_dep + 1 != u[x].n) continue;
      over[w[i].tensor] = x;
      given[x] = true;
    }
  }
}

uint32_t *dag_rooms(const dag *d, arena *a) {
  arena scratch = {0};
  uint32_t *over = ARENA_NEW(a, uint32_t, d->n_tensors);
  usage *u = ARENA_NEW(&scratch, usage, d->n_tensors);
  bool *given = ARENA_NEW(&scratch, bool, d->n_tensors);
  for (size_t i = 0; i < d->n_tensors; i++) over[i] = DAG_NO_ROOM;
  for (uint32_t t = 0; t < d->n_tasks; t++) count(d, t, u);
  for (size_t i = 0; i < d->n_tensors; i++) u[i].stamp = UINT32_MAX;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    if (!may_work_in_place(&d->tasks[t])) continue;
    count_deps(d, t, u);
    take_over(d, t, u, over, given);
  }
  arena_free(&scratch);
  return over;
}
