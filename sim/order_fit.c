#include <string.h>

#include "sim/order.h"
#include "workloads/dag_room.h"

/* Tasks put off, at most: beyond it the order is too far from what fits. */
enum { MOST_LATE = 256 };

typedef struct fitting {
  const dag *d;
  const dag_succ *succ;
  const platform *plat;
  uint32_t *room;   /* by tensor: the first of those that share its buffer */
  uint32_t *users;  /* by room: operand views still to come */
  bool *taken;      /* by room */
  uint64_t *used_B; /* by sram */
  uint64_t *need_B; /* by sram: of the task that is looked at */
  bool *placed;     /* by task */
  uint32_t *left;   /* by task: deps that are not placed */
  uint32_t *stack, *set,
      *mark; /* for walks; mark: by task, the walk that came by; by room, likewise */
  uint32_t *room_mark, walk;
  size_t n_set;
} fitting;

static op_kind kind_of(const fitting *f, uint32_t t) {
  return op_kind_of((op)f->d->tasks[t].op);
}

static bool in_sram(const fitting *f, uint32_t tensor) {
  return f->d->tensors[tensor].space != DAG_DRAM;
}

/* Gathers t and the transfers before it that are not placed yet, those first; false where a compute
 * task stands before it. */
static bool gather(fitting *f, uint32_t t) {
  size_t depth = 0;
  f->walk++;
  f->n_set = 0;
  f->stack[depth++] = t;
  f->mark[t] = f->walk;
  while (depth > 0) {
    uint32_t u = f->stack[--depth];
    f->set[f->n_set++] = u;
    const uint32_t *deps = dag_deps(f->d, &f->d->tasks[u]);
    for (uint32_t i = 0; i < f->d->tasks[u].n_deps && f->left[u] > 0; i++) {
      if (f->placed[deps[i]] || f->mark[deps[i]] == f->walk) continue;
      if (kind_of(f, deps[i]) == OP_COMPUTE) return false;
      f->mark[deps[i]] = f->walk;
      f->stack[depth++] = deps[i];
    }
  }
  return true;
}

/* Do the rooms that the gathered tasks take fit beside what is held? */
static bool fits(fitting *f) {
  memset(f->need_B, 0, f->plat->n_srams * sizeof *f->need_B);
  for (size_t i = 0; i < f->n_set; i++) {
    const dag_task *task = &f->d->tasks[f->set[i]];
    const dag_view *w = dag_writes(f->d, task);
    for (uint32_t k = 0; k < task->n_writes; k++) {
      if (!in_sram(f, w[k].tensor)) continue;
      uint32_t r = f->room[w[k].tensor];
      if (f->taken[r] || f->room_mark[r] == f->walk) continue;
      f->room_mark[r] = f->walk;
      f->need_B[f->d->tensors[r].space - DAG_SRAM] += dag_tensor_bytes(&f->d->tensors[r]);
    }
  }
  for (size_t s = 0; s < f->plat->n_srams; s++)
    if ((double)(f->used_B[s] + f->need_B[s]) > f->plat->srams[s].capacity_B) return false;
  return true;
}

static void take(fitting *f, uint32_t t) {
  const dag_task *task = &f->d->tasks[t];
  const dag_view *w = dag_writes(f->d, task);
  for (uint32_t k = 0; k < task->n_writes; k++) {
    uint32_t r = f->room[w[k].tensor];
    if (!in_sram(f, w[k].tensor) || f->taken[r]) continue;
    f->taken[r] = true;
    f->used_B[f->d->tensors[r].space - DAG_SRAM] += dag_tensor_bytes(&f->d->tensors[r]);
  }
}

/* The task is over: rooms that nobody uses any more are free; and then come the stores that waited
 * only for it. */
static void put(fitting *f, uint32_t t) {
  size_t depth = 0;
  f->stack[depth++] = t;
  while (depth > 0) {
    uint32_t u = f->stack[--depth];
    const dag_task *task = &f->d->tasks[u];
    const dag_view *v = dag_reads(f->d, task);
    take(f, u);
    f->placed[u] = true;
    for (uint32_t k = 0; k < (uint32_t)task->n_reads + task->n_writes; k++) {
      uint32_t r = f->room[v[k].tensor];
      if (!in_sram(f, v[k].tensor) || --f->users[r] > 0) continue;
      f->used_B[f->d->tensors[r].space - DAG_SRAM] -= dag_tensor_bytes(&f->d->tensors[r]);
    }
    for (uint64_t s = f->succ->first[u]; s < f->succ->first[u + 1]; s++) {
      uint32_t next = f->succ->succ[s];
      if (--f->left[next] == 0 && kind_of(f, next) == OP_STORE && !f->placed[next])
        f->stack[depth++] = next;
    }
  }
}

static bool try_task(fitting *f, uint32_t t) {
  if (!gather(f, t) || !fits(f)) return false;
  for (size_t i = 0; i < f->n_set; i++) take(f, f->set[i]); /* all are there while t runs */
  for (size_t i = f->n_set; i-- > 0;) put(f, f->set[i]);
  return true;
}

static void count_users(fitting *f, arena *scratch) {
  const dag *d = f->d;
  f->room = dag_room_roots(d, scratch);
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const dag_view *v = dag_reads(d, &d->tasks[t]);
    f->left[t] = d->tasks[t].n_deps;
    for (uint32_t k = 0; k < (uint32_t)d->tasks[t].n_reads + d->tasks[t].n_writes; k++)
      if (in_sram(f, v[k].tensor)) f->users[f->room[v[k].tensor]]++;
  }
}

bool order_fit(const dag *d, const dag_succ *succ, const platform *p, uint32_t *compute, size_t n) {
  arena scratch = {0};
  fitting f = {.d = d, .succ = succ, .plat = p};
  f.users = ARENA_NEW(&scratch, uint32_t, d->n_tensors);
  f.taken = ARENA_NEW(&scratch, bool, d->n_tensors);
  f.room_mark = ARENA_NEW(&scratch, uint32_t, d->n_tensors);
  f.used_B = ARENA_NEW(&scratch, uint64_t, p->n_srams);
  f.need_B = ARENA_NEW(&scratch, uint64_t, p->n_srams);
  f.placed = ARENA_NEW(&scratch, bool, d->n_tasks);
  f.left = ARENA_NEW(&scratch, uint32_t, d->n_tasks);
  f.mark = ARENA_NEW(&scratch, uint32_t, d->n_tasks);
  f.stack = ARENA_NEW(&scratch, uint32_t, d->n_tasks + 1);
  f.set = ARENA_NEW(&scratch, uint32_t, d->n_tasks + 1);
  count_users(&f, &scratch);
  uint32_t late[MOST_LATE], *fitted = ARENA_NEW(&scratch, uint32_t, n);
  size_t n_late = 0, done = 0, next = 0;
  bool stuck = false;
  while (done < n && !stuck) {
    size_t i = 0;
    while (i < n_late && !try_task(&f, late[i])) i++;
    if (i < n_late) {
      fitted[done++] = late[i];
      memmove(late + i, late + i + 1, (--n_late - i) * sizeof *late);
    } else if (next == n || n_late == MOST_LATE) {
      stuck = true;
    } else if (try_task(&f, compute[next])) {
      fitted[done++] = compute[next++];
    } else {
      late[n_late++] = compute[next++];
    }
  }
  if (!stuck) memcpy(compute, fitted, n * sizeof *compute);
  arena_free(&scratch);
  return !stuck;
}
