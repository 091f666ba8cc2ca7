#include "workloads/dag_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/dag_hazard.h"

enum { MAX_CYCLE_SHOWN = 12 };
static const size_t MAX_EDGES = (size_t)1 << 26; /* 256 MiB of them */

typedef struct linker {
  dag_raw *raw;
  const char *where;
  arena *mem;
  err *e;
  /* raw task i waits for from[first[i] .. first[i+1]-1], ascending raw indices */
  uint64_t *first;
  uint32_t *from; /* malloced */
  size_t n_from, cap_from;
  bool ordered; /* every edge points to a smaller index */
} linker;

static int by_id(const void *a, const void *b) {
  const dag_raw_task *x = a, *y = b;
  return (x->id > y->id) - (x->id < y->id);
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static int fail(const linker *l, size_t i, const char *why, uint32_t id) {
  return err_set(l->e, ERR_BAD, "%s: task %u '%.200s': %s %u", l->where, l->raw->tasks[i].id,
                 l->raw->tasks[i].t.name, why, id);
}

static int sort_tasks(linker *l) {
  dag_raw *raw = l->raw;
  bool sorted = true;
  for (size_t i = 1; i < raw->n_tasks; i++)
    sorted = sorted && raw->tasks[i - 1].id < raw->tasks[i].id;
  if (sorted) return ERR_OK;
  qsort(raw->tasks, raw->n_tasks, sizeof *raw->tasks, by_id);
  for (size_t i = 1; i < raw->n_tasks; i++)
    if (raw->tasks[i - 1].id == raw->tasks[i].id)
      return err_set(l->e, ERR_BAD, "%s: task id %u stands there twice; every task needs its own",
                     l->where, raw->tasks[i].id);
  return ERR_OK;
}

static int push_edge(linker *l, size_t to, size_t from) {
  if (l->n_from == MAX_EDGES)
    return err_set(l->e, ERR_BAD,
                   "%s: its tasks have more than %zu dependencies, which is the limit", l->where,
                   MAX_EDGES);
  if (l->n_from == l->cap_from) {
    l->cap_from *= 2;
    l->from = mem_realloc(l->from, l->cap_from, sizeof *l->from);
  }
  l->from[l->n_from++] = (uint32_t)from;
  if (from >= to) l->ordered = false;
  return ERR_OK;
}

static int given_edges(linker *l, size_t i) {
  const dag_raw_task *t = &l->raw->tasks[i];
  for (uint32_t k = 0; k < t->n_given; k++) {
    dag_raw_task key = {.id = l->raw->given[t->given0 + k]}, *at;
    bool guess = key.id < l->raw->n_tasks && l->raw->tasks[key.id].id == key.id;
    at = guess ? &l->raw->tasks[key.id]
               : bsearch(&key, l->raw->tasks, l->raw->n_tasks, sizeof key, by_id);
    if (at == NULL) return fail(l, i, "it depends on a task that does not exist:", key.id);
    if (at == t) return fail(l, i, "it depends on itself, task", key.id);
    if (push_edge(l, i, (size_t)(at - l->raw->tasks))) return l->e->status;
  }
  return ERR_OK;
}

/* A task that reads what it writes itself gets no edge: dag_check refuses it, and says so. */
static int derived_edges(linker *l, size_t i, hazards *haz, haz_hits *hits) {
  const dag_task *t = &l->raw->tasks[i].t;
  for (uint32_t k = 0; k < t->n_reads; k++) {
    if (!haz_query(haz, &l->raw->views[t->view0 + k], hits))
      return fail(l, i, "reads and writes lie too intricately to be followed, as of task",
                  l->raw->tasks[i].id);
    for (size_t h = 0; h < hits->n; h++)
      if (hits->items[h].task != i && push_edge(l, i, hits->items[h].task)) return l->e->status;
  }
  return ERR_OK;
}

/* Sorts the edges from `begin` on and drops doubles. */
static void tidy_edges(linker *l, size_t begin) {
  size_t n = l->n_from - begin, kept = 1;
  if (n < 2) return;
  uint32_t *from = l->from + begin;
  qsort(from, n, sizeof *from, by_value);
  for (size_t k = 1; k < n; k++)
    if (from[k] != from[kept - 1]) from[kept++] = from[k];
  l->n_from = begin + kept;
}

static int find_edges(linker *l, size_t n_tensors) {
  dag_raw *raw = l->raw;
  haz_write *writes = ARENA_NEW(l->mem, haz_write, raw->n_views);
  size_t n = 0;
  for (uint32_t i = 0; i < raw->n_tasks; i++)
    for (uint32_t k = 0; k < raw->tasks[i].t.n_writes; k++)
      writes[n++] = (haz_write){
          .view = &raw->views[raw->tasks[i].t.view0 + raw->tasks[i].t.n_reads + k], .task = i};
  hazards haz = haz_new(writes, n, n_tensors, l->mem);
  haz_hits hits = {0};
  l->first = ARENA_NEW(l->mem, uint64_t, raw->n_tasks + 1);
  int status = ERR_OK;
  for (size_t i = 0; i < raw->n_tasks && status == ERR_OK; i++) {
    size_t begin = l->n_from;
    status = given_edges(l, i);
    if (status == ERR_OK) status = derived_edges(l, i, &haz, &hits);
    if (status == ERR_OK) tidy_edges(l, begin);
    l->first[i + 1] = l->n_from;
  }
  free(hits.items);
  return status;
}

/* ---- order ------------------------------------------------------------------------------------
 */

/* A heap of raw indices, the smallest on top. */
typedef struct heap {
  uint32_t *items;
  size_t n;
} heap;

static void heap_push(heap *h, uint32_t v) {
  size_t i = h->n++;
  for (; i > 0 && h->items[(i - 1) / 2] > v; i = (i - 1) / 2) h->items[i] = h->items[(i - 1) / 2];
  h->items[i] = v;
}

static uint32_t heap_pop(heap *h) {
  uint32_t top = h->items[0], v = h->items[--h->n];
  size_t i = 0;
  for (size_t child; (child = 2 * i + 1) < h->n; i = child) {
    if (child + 1 < h->n && h->items[child + 1] < h->items[child]) child++;
    if (h->items[child] >= v) break;
    h->items[i] = h->items[child];
  }
  h->items[i] = v;
  return top;
}

/* Names a cycle among the tasks that still wait: from the smallest on, each waits for the next. */
static int refuse_cycle(const linker *l, const uint32_t *waits, uint32_t start) {
  size_t n = l->raw->n_tasks, len = 0;
  uint32_t *path = ARENA_NEW(l->mem, uint32_t, n + 1), *seen = ARENA_NEW(l->mem, uint32_t, n);
  uint32_t at = start;
  while (seen[at] == 0) {
    path[len++] = at;
    seen[at] = (uint32_t)len;
    uint64_t k = l->first[at];
    while (waits[l->from[k]] == 0) k++; /* a task that waits has an input that waits */
    at = l->from[k];
  }
  char text[512] = "";
  size_t begin = seen[at] - 1, used = 0, shown = 0;
  for (size_t i = begin; i < len && shown < MAX_CYCLE_SHOWN; i++, shown++)
    used += (size_t)snprintf(text + used, sizeof text - used, "%u waits for ",
                             l->raw->tasks[path[i]].id);
  if (len - begin > shown)
    used += (size_t)snprintf(text + used, sizeof text - used, "... waits for ");
  snprintf(text + used, sizeof text - used, "%u", l->raw->tasks[at].id);
  return err_set(l->e, ERR_BAD, "%s: task %u '%.200s': its dependencies form a cycle: %s", l->where,
                 l->raw->tasks[at].id, l->raw->tasks[at].t.name, text);
}

/* Kahn's algorithm, smallest id first: order[place] = raw index. */
static int topological(linker *l, uint32_t *order) {
  size_t n = l->raw->n_tasks, done = 0;
  uint32_t *waits = ARENA_NEW(l->mem, uint32_t, n), *next = ARENA_NEW(l->mem, uint32_t, l->n_from);
  uint64_t *begin = ARENA_NEW(l->mem, uint64_t, n + 2);
  for (size_t k = 0; k < l->n_from; k++) begin[l->from[k] + 2]++;
  for (size_t i = 2; i < n + 2; i++) begin[i] += begin[i - 1];
  heap ready = {.items = ARENA_NEW(l->mem, uint32_t, n + 1)};
  for (uint32_t i = 0; i < n; i++) {
    waits[i] = (uint32_t)(l->first[i + 1] - l->first[i]);
    if (waits[i] == 0) heap_push(&ready, i);
    for (uint64_t k = l->first[i]; k < l->first[i + 1]; k++) next[begin[l->from[k] + 1]++] = i;
  }
  while (ready.n > 0) {
    uint32_t i = heap_pop(&ready);
    order[done++] = i;
    for (uint64_t k = begin[i]; k < begin[i + 1]; k++)
      if (--waits[next[k]] == 0) heap_push(&ready, next[k]);
  }
  if (done == n) return ERR_OK;
  uint32_t start = 0;
  while (waits[start] == 0) start++;
  return refuse_cycle(l, waits, start);
}

static void add_tasks(const linker *l, const uint32_t *order, dag *d, uint32_t *ids) {
  const dag_raw *raw = l->raw;
  uint32_t *place = ARENA_NEW(l->mem, uint32_t, raw->n_tasks);
  for (uint32_t p = 0; p < raw->n_tasks; p++) place[order[p]] = p;
  for (uint32_t p = 0; p < raw->n_tasks; p++) {
    uint32_t i = order[p];
    const dag_task *t = &raw->tasks[i].t;
    const dag_view *v = &raw->views[t->view0];
    uint32_t *deps = l->from + l->first[i];
    size_t n = l->first[i + 1] - l->first[i];
    for (size_t k = 0; k < n; k++) deps[k] = place[deps[k]];
    if (!l->ordered && n > 1) qsort(deps, n, sizeof *deps, by_value);
    ids[p] = raw->tasks[i].id;
    dag_add_task_deps(d, t, v, t->n_reads, v + t->n_reads, t->n_writes, deps, n);
  }
}

int dag_link(dag_raw *raw, const char *where, dag *d, uint32_t **ids, arena *scratch, err *e) {
  linker l = {.raw = raw, .where = where, .mem = scratch, .e = e, .ordered = true};
  l.cap_from = 1024;
  l.from = mem_alloc(l.cap_from, sizeof *l.from);
  uint32_t *order = ARENA_NEW(scratch, uint32_t, raw->n_tasks);
  for (uint32_t i = 0; i < raw->n_tasks; i++) order[i] = i;
  int status = sort_tasks(&l);
  if (status == ERR_OK) status = find_edges(&l, d->n_tensors);
  if (status == ERR_OK && !l.ordered) status = topological(&l, order);
  if (status == ERR_OK) {
    *ids = ARENA_NEW(scratch, uint32_t, raw->n_tasks);
    add_tasks(&l, order, d, *ids);
  }
  free(l.from);
  return status;
}
