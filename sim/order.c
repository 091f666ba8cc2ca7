#include "sim/order.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/units.h"

#define UNPLACED UINT32_MAX

typedef struct placing {
  const dag *d;
  const dag_succ *succ;
  order o;
  uint32_t n;     /* places given */
  uint32_t *left; /* deps of a store that are not placed yet */
  uint32_t *stack, *next_dep;
  uint32_t *ready; /* stores that became placeable */
} placing;

static op_kind kind_of(const dag *d, uint32_t t) {
  return op_kind_of((op)d->tasks[t].op);
}

/* Gives t the next place, and then the stores (and theirs) that waited only for it. */
static void give_place(placing *p, uint32_t t) {
  size_t n_ready = 0;
  p->ready[n_ready++] = t;
  for (size_t i = 0; i < n_ready; i++) {
    uint32_t u = p->ready[i];
    p->o.pos[u] = p->n;
    p->o.task[p->n++] = u;
    for (uint64_t s = p->succ->first[u]; s < p->succ->first[u + 1]; s++) {
      uint32_t v = p->succ->succ[s];
      if (--p->left[v] == 0 && kind_of(p->d, v) == OP_STORE && p->o.pos[v] == UNPLACED)
        p->ready[n_ready++] = v;
    }
  }
}

/* Places t after everything it needs, depth first. */
static void place(placing *p, uint32_t t) {
  size_t depth = 0;
  p->stack[depth] = t;
  p->next_dep[depth++] = 0;
  while (depth > 0) {
    uint32_t u = p->stack[depth - 1];
    const dag_task *task = &p->d->tasks[u];
    uint32_t i = p->next_dep[depth - 1]++;
    if (i == task->n_deps) {
      depth--;
      if (p->o.pos[u] == UNPLACED) give_place(p, u);
      continue;
    }
    uint32_t dep = dag_deps(p->d, task)[i];
    if (p->o.pos[dep] != UNPLACED) continue;
    p->stack[depth] = dep;
    p->next_dep[depth++] = 0;
  }
}

order order_make(const dag *d, const dag_succ *succ, const uint32_t *compute, size_t n, arena *a) {
  arena scratch = {0};
  placing p = {.d = d, .succ = succ};
  p.o.task = ARENA_NEW(a, uint32_t, d->n_tasks);
  p.o.pos = ARENA_NEW(a, uint32_t, d->n_tasks);
  p.left = ARENA_NEW(&scratch, uint32_t, d->n_tasks);
  p.stack = ARENA_NEW(&scratch, uint32_t, d->n_tasks + 1);
  p.next_dep = ARENA_NEW(&scratch, uint32_t, d->n_tasks + 1);
  p.ready = ARENA_NEW(&scratch, uint32_t, d->n_tasks + 1);
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    p.o.pos[t] = UNPLACED;
    p.left[t] = d->tasks[t].n_deps;
  }
  for (size_t i = 0; i < n; i++)
    if (p.o.pos[compute[i]] == UNPLACED) place(&p, compute[i]);
  for (uint32_t t = 0; t < d->n_tasks; t++)
    if (p.o.pos[t] == UNPLACED) place(&p, t);
  assert(p.n == d->n_tasks);
  arena_free(&scratch);
  return p.o;
}

order_buffer *order_buffers(const dag *d, const order *o, arena *a) {
  order_buffer *b = ARENA_NEW(a, order_buffer, d->n_tensors);
  for (size_t i = 0; i < d->n_tensors; i++) {
    b[i].first = UNPLACED;
    b[i].bytes = d->tensors[i].space == DAG_SRAM ? dag_tensor_bytes(&d->tensors[i]) : 0;
  }
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const dag_task *task = &d->tasks[t];
    const dag_view *v = dag_reads(d, task);
    uint32_t pos = o->pos[t];
    for (uint32_t i = 0; i < (uint32_t)task->n_reads + task->n_writes; i++) {
      order_buffer *x = &b[v[i].tensor];
      x->users++;
      if (pos > x->last) x->last = pos;
      if (i >= task->n_reads && pos < x->first) x->first = pos;
    }
  }
  return b;
}

uint64_t *order_planned(const dag *d, const order_buffer *b, arena *a) {
  uint64_t *held = ARENA_NEW(a, uint64_t, d->n_tasks + 1);
  for (size_t i = 0; i < d->n_tensors; i++) {
    if (b[i].bytes == 0 || b[i].first > b[i].last) continue;
    held[b[i].first] += b[i].bytes;
    held[b[i].last + 1] -= b[i].bytes; /* wraps, and unwraps in the sum */
  }
  for (size_t k = 1; k < d->n_tasks; k++) held[k] += held[k - 1];
  return held;
}

int order_refuse(const dag *d, const platform *p, const order *o, const order_buffer *b,
                 const uint64_t *planned, err *e) {
  enum { NAMED = 3 };
  size_t peak = 0;
  for (size_t k = 1; k < d->n_tasks; k++)
    if (planned[k] > planned[peak]) peak = k;
  /* the largest buffers at that place, largest first */
  size_t top[NAMED], n = 0, live = 0;
  for (size_t i = 0; i < d->n_tensors; i++) {
    if (b[i].bytes == 0 || b[i].first > peak || b[i].last < peak) continue;
    live++;
    size_t at = n < NAMED ? n++ : NAMED;
    for (; at > 0 && b[top[at - 1]].bytes < b[i].bytes; at--)
      if (at < NAMED) top[at] = top[at - 1];
    if (at < NAMED) top[at] = i;
  }
  char list[1024] = "", need[UNITS_TEXT], have[UNITS_TEXT], lack[UNITS_TEXT], size[UNITS_TEXT];
  size_t len = 0;
  for (size_t i = 0; i < n && len < sizeof list; i++)
    len += (size_t)snprintf(list + len, sizeof list - len, "%s%.200s %s", i > 0 ? " + " : "",
                            d->tensors[top[i]].name, units_size(size, (double)b[top[i]].bytes));
  if (live > n && len < sizeof list)
    snprintf(list + len, sizeof list - len, " + %zu smaller", live - n);
  const plat_memory *m = &p->srams[0];
  uint32_t t = o->task[peak];
  return err_set(
      e, ERR_NO,
      "infeasible: task %u '%s %s' needs %s in '%s' (%s), capacity %s, short %s; even one task at "
      "a time does "
      "not fit: enlarge sram.capacity, or use a finer split, fewer tokens or a smaller dtype",
      t, op_name((op)d->tasks[t].op), d->tasks[t].name, units_size(need, (double)planned[peak]),
      m->name, list, units_size(have, m->capacity_B),
      units_size(lack, (double)planned[peak] - m->capacity_B));
}
