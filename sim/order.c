#include "sim/order.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/units.h"
#include "workloads/dag_room.h"

#define UNPLACED UINT32_MAX

typedef struct placing {
  const dag *d;
  const dag_succ *succ;
  order o;
  uint32_t n;     /* places given */
  uint32_t *left; /* deps of a store that are not placed yet; what is said of stores holds for
                     moves out of scratchpads, too */
  uint32_t *stack, *next_dep;
  uint32_t *ready; /* stores that became placeable */
} placing;

static op_kind kind_of(const dag *d, uint32_t t) {
  return op_kind_of((op)d->tasks[t].op);
}

/* A store, or a move out of a scratchpad into the SRAM that engines share: it makes room there. */
static bool leaves(const dag *d, uint32_t t) {
  const dag_task *task = &d->tasks[t];
  op_kind kind = kind_of(d, t);
  return kind == OP_STORE ||
         (kind == OP_MOVE && d->tensors[dag_writes(d, task)[0].tensor].space == DAG_SRAM);
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
      if (--p->left[v] == 0 && p->o.pos[v] == UNPLACED && leaves(p->d, v)) p->ready[n_ready++] = v;
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
  arena scratch = {0};
  const uint32_t *root = dag_room_roots(d, &scratch);
  for (size_t i = 0; i < d->n_tensors; i++) {
    b[i].room = root[i];
    b[i].first = UNPLACED;
    if (d->tensors[i].space == DAG_DRAM || root[i] != i) continue;
    b[i].bytes = dag_tensor_bytes(&d->tensors[i]);
    b[i].sram = (uint32_t)d->tensors[i].space - DAG_SRAM;
  }
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const dag_task *task = &d->tasks[t];
    const dag_view *v = dag_reads(d, task);
    uint32_t pos = o->pos[t];
    for (uint32_t i = 0; i < (uint32_t)task->n_reads + task->n_writes; i++) {
      order_buffer *x = &b[b[v[i].tensor].room];
      x->users++;
      if (pos > x->last) x->last = pos;
      if (i >= task->n_reads && pos < x->first) x->first = pos;
    }
  }
  arena_free(&scratch);
  return b;
}

static bool takes_room(const order_buffer *b) {
  return b->bytes > 0 && b->first <= b->last;
}

/* One sram: a piece a place. */
static void plan_places(const dag *d, const order_buffer *b, order_profile *p, arena *a) {
  uint64_t *held = ARENA_NEW(a, uint64_t, d->n_tasks + 1);
  for (size_t i = 0; i < d->n_tensors; i++) {
    if (!takes_room(&b[i])) continue;
    held[b[i].first] += b[i].bytes;
    held[b[i].last + 1] -= b[i].bytes; /* wraps, and unwraps in the sum */
  }
  for (size_t k = 1; k < d->n_tasks; k++) held[k] += held[k - 1];
  *p = (order_profile){.held_B = held, .n = d->n_tasks};
}

typedef struct edge {
  uint32_t place;
  uint64_t bytes; /* negative ones wrap */
} edge;

static int by_place(const void *a, const void *b) {
  const edge *x = a, *y = b;
  return (x->place > y->place) - (x->place < y->place);
}

/* Pieces from the edges of an sram's lives; place 0 always begins one. */
static void plan_pieces(edge *x, size_t n, order_profile *p, arena *a) {
  p->place = ARENA_NEW(a, uint32_t, n + 1);
  p->held_B = ARENA_NEW(a, uint64_t, n + 1);
  p->n = 1;
  qsort(x, n, sizeof *x, by_place);
  for (size_t i = 0; i < n; i++) {
    if (x[i].place > p->place[p->n - 1]) {
      p->place[p->n] = x[i].place;
      p->held_B[p->n] = p->held_B[p->n - 1];
      p->n++;
    }
    p->held_B[p->n - 1] += x[i].bytes;
  }
}

order_profile *order_planned(const dag *d, const order_buffer *b, size_t n_srams, arena *a) {
  order_profile *p = ARENA_NEW(a, order_profile, n_srams);
  if (n_srams == 1) {
    plan_places(d, b, p, a);
    return p;
  }
  /* all srams together take no more than two edges a buffer */
  arena scratch = {0};
  size_t *first = ARENA_NEW(&scratch, size_t, n_srams + 2);
  for (size_t i = 0; i < d->n_tensors; i++)
    if (takes_room(&b[i])) first[b[i].sram + 2] += 2;
  for (size_t s = 2; s < n_srams + 2; s++) first[s] += first[s - 1];
  edge *edges = ARENA_NEW(&scratch, edge, first[n_srams + 1]);
  for (size_t i = 0; i < d->n_tensors; i++) {
    if (!takes_room(&b[i])) continue;
    size_t *at = &first[b[i].sram + 1]; /* walks from its start to its end */
    edges[(*at)++] = (edge){b[i].first, b[i].bytes};
    edges[(*at)++] = (edge){b[i].last + 1, (uint64_t)0 - b[i].bytes};
  }
  for (size_t s = 0; s < n_srams; s++)
    plan_pieces(edges + first[s], first[s + 1] - first[s], &p[s], a);
  arena_free(&scratch);
  return p;
}

size_t order_piece(const order_profile *p, size_t place) {
  if (p->place == NULL) return place;
  size_t lo = 0, hi = p->n; /* place[lo] <= place < place[hi] */
  while (hi - lo > 1) {
    size_t mid = lo + (hi - lo) / 2;
    if (p->place[mid] <= place)
      lo = mid;
    else
      hi = mid;
  }
  return lo;
}

size_t order_short(const platform *p, const order_profile *planned) {
  for (size_t s = 0; s < p->n_srams; s++)
    for (size_t k = 0; k < planned[s].n; k++)
      if ((double)planned[s].held_B[k] > p->srams[s].capacity_B) return s;
  return p->n_srams;
}

int order_refuse(const dag *d, const platform *p, const order *o, const order_buffer *b,
                 const order_profile *planned, err *e) {
  enum { NAMED = 3 };
  size_t sram = order_short(p, planned), piece = 0;
  const order_profile *plan = &planned[sram];
  for (size_t k = 1; k < plan->n; k++)
    if (plan->held_B[k] > plan->held_B[piece]) piece = k;
  uint64_t most = plan->held_B[piece];
  size_t peak = plan->place == NULL ? piece : plan->place[piece];
  /* the largest buffers at that place, largest first */
  size_t top[NAMED], n = 0, live = 0;
  for (size_t i = 0; i < d->n_tensors; i++) {
    if (b[i].bytes == 0 || b[i].sram != sram || b[i].first > peak || b[i].last < peak) continue;
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
  const plat_memory *m = &p->srams[sram];
  uint32_t t = o->task[peak];
  return err_set(
      e, ERR_NO,
      "infeasible: task %u '%s %s' needs %s in '%s' (%s), capacity %s, short %s; even one task at "
      "a time does "
      "not fit: enlarge %s.capacity, or use a finer split, fewer tokens or a smaller dtype",
      t, op_name((op)d->tasks[t].op), d->tasks[t].name, units_size(need, (double)most), m->name,
      list, units_size(have, m->capacity_B), units_size(lack, (double)most - m->capacity_B),
      m->name);
}
