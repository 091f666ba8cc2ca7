#include "workloads/dag.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_WRITER UINT32_MAX

/* One region written by one task; the regions of a tensor form a list, newest first. */
struct dag_writer {
  uint32_t task, view, next;
};

const char *dag_role_name(dag_role r) {
  static const char *const NAME[DAG_ROLE_COUNT] = {
#define X(id, name) [DAG_##id] = name,
      DAG_ROLES(X)
#undef X
  };
  return NAME[r];
}

const char *dag_space_name(dag_space s, char buf[DAG_SPACE_TEXT]) {
  if (s <= DAG_SRAM) return s == DAG_DRAM ? "dram" : "sram";
  snprintf(buf, DAG_SPACE_TEXT, "sram%u", (unsigned)(s - DAG_SRAM));
  return buf;
}

dag_space dag_space_parse(const char *name) {
  static const char STEM[] = "sram";
  size_t stem = sizeof STEM - 1;
  if (strcmp(name, "dram") == 0) return DAG_DRAM;
  if (strncmp(name, STEM, stem) != 0) return DAG_SPACE_COUNT;
  const char *digits = name + stem;
  size_t n = strlen(digits);
  if (n == 0) return DAG_SRAM;
  /* one way to write each: no sign, no leading zero */
  if (n > 4 || digits[0] == '0' || strspn(digits, "0123456789") != n) return DAG_SPACE_COUNT;
  unsigned long i = strtoul(digits, NULL, 10);
  return i < DAG_MAX_SRAMS ? (dag_space)(DAG_SRAM + i) : DAG_SPACE_COUNT;
}

dag *dag_new(arena *a) {
  dag *d = ARENA_NEW(a, dag, 1);
  d->mem = a;
  d->workload = (dag_workload){.model = "",
                               .phase = "",
                               .split = "",
                               .attention = "",
                               .kv_update = "",
                               .resident = "",
                               .fuse = "",
                               .weight_dtype = DT_BF16,
                               .act_dtype = DT_BF16,
                               .kv_dtype = DT_BF16};
  d->deps = arena_grow(a, NULL, 0, &d->cap_deps, sizeof *d->deps); /* never NULL: dag_deps adds */
  d->views = arena_grow(a, NULL, 0, &d->cap_views, sizeof *d->views);
  return d;
}

static void forget_kept(dag *d) {
  d->rooms = NULL;
  d->costs = NULL;
}

uint32_t dag_add_tensor(dag *d, const char *name, dag_space space, dag_role role, dtype dt,
                        uint32_t rank, const uint64_t *dim) {
  assert(rank >= 1 && rank <= DAG_RANK && d->n_tensors < UINT32_MAX - 1);
  forget_kept(d);
  dag_tensor t = {.name = name,
                  .dim = {1, 1, 1, 1},
                  .rank = (uint8_t)rank,
                  .dtype = (uint8_t)dt,
                  .role = (uint8_t)role,
                  .space = (uint16_t)space};
  for (uint32_t i = 0; i < rank; i++) {
    assert(dim[i] > 0 && dim[i] < UINT32_MAX);
    t.dim[i] = dim[i];
  }
  uint32_t id = (uint32_t)d->n_tensors;
  ARENA_PUSH(d->mem, d->tensors, d->n_tensors, d->cap_tensors, t);
  size_t heads = id;
  ARENA_PUSH(d->mem, d->writer_head, heads, d->cap_heads, NO_WRITER);
  return id;
}

dag_view dag_all(const dag *d, uint32_t tensor) {
  dag_view v = {.tensor = tensor};
  for (int i = 0; i < DAG_RANK; i++) v.len[i] = (uint32_t)d->tensors[tensor].dim[i];
  return v;
}

dag_view dag_box(const dag *d, uint32_t tensor, const uint64_t *lo, const uint64_t *len) {
  dag_view v = dag_all(d, tensor);
  for (int i = 0; i < d->tensors[tensor].rank; i++) {
    assert(len[i] > 0 && lo[i] + len[i] <= d->tensors[tensor].dim[i]);
    v.lo[i] = (uint32_t)lo[i];
    v.len[i] = (uint32_t)len[i];
  }
  return v;
}

static bool overlap(const dag_view *a, const dag_view *b) {
  for (int i = 0; i < DAG_RANK; i++)
    if (a->lo[i] >= b->lo[i] + b->len[i] || b->lo[i] >= a->lo[i] + a->len[i]) return false;
  return true;
}

static int by_id(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

/* Stores the task and its views; the caller adds its deps. */
static uint32_t push_task(dag *d, const dag_task *t, const dag_view *reads, size_t n_reads,
                          const dag_view *writes, size_t n_writes) {
  assert(n_reads + n_writes <= DAG_MAX_OPERANDS && d->n_tasks < UINT32_MAX - 1);
  forget_kept(d);
  dag_task task = *t;
  task.view0 = (uint32_t)d->n_views;
  task.n_reads = (uint8_t)n_reads;
  task.n_writes = (uint8_t)n_writes;
  task.dep0 = d->n_deps;
  task.n_deps = 0;
  if (t->group != DAG_NO_GROUP && t->group >= d->n_groups) d->n_groups = t->group + 1;
  for (size_t i = 0; i < n_reads; i++)
    ARENA_PUSH(d->mem, d->views, d->n_views, d->cap_views, reads[i]);
  uint32_t id = (uint32_t)d->n_tasks;
  for (size_t i = 0; i < n_writes; i++) {
    uint32_t *head = &d->writer_head[writes[i].tensor];
    struct dag_writer w = {.task = id, .view = (uint32_t)d->n_views, .next = *head};
    *head = (uint32_t)d->n_writers;
    ARENA_PUSH(d->mem, d->writers, d->n_writers, d->cap_writers, w);
    ARENA_PUSH(d->mem, d->views, d->n_views, d->cap_views, writes[i]);
  }
  ARENA_PUSH(d->mem, d->tasks, d->n_tasks, d->cap_tasks, task);
  return id;
}

uint32_t dag_add_task(dag *d, const dag_task *t, const dag_view *reads, size_t n_reads,
                      const dag_view *writes, size_t n_writes) {
  return dag_add_task_after(d, t, reads, n_reads, writes, n_writes, NULL, 0);
}

/* Sorts d->deps[first, n_deps), which consists of runs that are sorted: run k ends where the next
 * one begins. A task stands once in the result. */
static void merge_deps(dag *d, const size_t *begin, size_t n_runs) {
  size_t at[DAG_MAX_OPERANDS + 1], first = begin[0], from = d->n_deps, n = 0;
  for (size_t k = 0; k < n_runs; k++) at[k] = begin[k];
  for (;;) {
    size_t least = n_runs;
    for (size_t k = 0; k < n_runs; k++)
      if (at[k] < begin[k + 1] && (least == n_runs || d->deps[at[k]] < d->deps[at[least]]))
        least = k;
    if (least == n_runs) break;
    uint32_t task = d->deps[at[least]++];
    if (n > 0 && d->deps[from + n - 1] == task) continue;
    ARENA_PUSH(d->mem, d->deps, d->n_deps, d->cap_deps, task);
    n++;
  }
  memmove(d->deps + first, d->deps + from, n * sizeof *d->deps);
  d->n_deps = first + n;
}

static void reverse(uint32_t *x, size_t n) {
  for (size_t i = 0; i < n / 2; i++) {
    uint32_t y = x[i];
    x[i] = x[n - 1 - i];
    x[n - 1 - i] = y;
  }
}

static bool ascends(const uint32_t *x, size_t n) {
  for (size_t i = 1; i < n; i++)
    if (x[i] < x[i - 1]) return false;
  return true;
}

uint32_t dag_add_task_after(dag *d, const dag_task *t, const dag_view *reads, size_t n_reads,
                            const dag_view *writes, size_t n_writes, const uint32_t *after,
                            size_t n_after) {
  size_t first = d->n_deps, begin[DAG_MAX_OPERANDS + 2] = {first};
  assert(n_reads <= DAG_MAX_OPERANDS);
  for (size_t i = 0; i < n_after; i++) {
    assert(after[i] < d->n_tasks);
    ARENA_PUSH(d->mem, d->deps, d->n_deps, d->cap_deps, after[i]);
  }
  if (!ascends(d->deps + first, n_after)) qsort(d->deps + first, n_after, sizeof *after, by_id);
  for (size_t i = 0; i < n_reads; i++) {
    begin[i + 1] = d->n_deps;
    for (uint32_t w = d->writer_head[reads[i].tensor]; w != NO_WRITER; w = d->writers[w].next)
      if (overlap(&reads[i], &d->views[d->writers[w].view]))
        ARENA_PUSH(d->mem, d->deps, d->n_deps, d->cap_deps, d->writers[w].task);
    reverse(d->deps + begin[i + 1], d->n_deps - begin[i + 1]); /* the latest writer comes first */
  }
  begin[n_reads + 1] = d->n_deps;
  if (d->n_deps > first + 1) merge_deps(d, begin, n_reads + 1);
  size_t n = d->n_deps - first;
  uint32_t id = push_task(d, t, reads, n_reads, writes, n_writes);
  d->tasks[id].dep0 = first;
  d->tasks[id].n_deps = (uint32_t)n;
  return id;
}

uint32_t dag_add_task_deps(dag *d, const dag_task *t, const dag_view *reads, size_t n_reads,
                           const dag_view *writes, size_t n_writes, const uint32_t *deps,
                           size_t n_deps) {
  uint32_t id = push_task(d, t, reads, n_reads, writes, n_writes);
  for (size_t i = 0; i < n_deps; i++) {
    assert(deps[i] < id && (i == 0 || deps[i - 1] < deps[i]));
    ARENA_PUSH(d->mem, d->deps, d->n_deps, d->cap_deps, deps[i]);
  }
  d->tasks[id].n_deps = (uint32_t)n_deps;
  return id;
}

dag_succ dag_successors(const dag *d, arena *a) {
  dag_succ s = {.first = ARENA_NEW(a, uint64_t, d->n_tasks + 2),
                .succ = ARENA_NEW(a, uint32_t, d->n_deps)};
  /* count at [id + 2], sum up, then fill while [id + 1] walks from its start to its end */
  for (size_t i = 0; i < d->n_deps; i++) s.first[d->deps[i] + 2]++;
  for (size_t i = 2; i < d->n_tasks + 2; i++) s.first[i] += s.first[i - 1];
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    for (uint32_t i = 0; i < d->tasks[t].n_deps; i++) s.succ[s.first[deps[i] + 1]++] = t;
  }
  return s;
}
