#include "workloads/dag_room.h"

#include <string.h>

/* A tensor with more users than this keeps a room of its own: pairs of users are compared. */
enum { MOST_USERS = 256 };

/* The search for what a task depends on through others gives up beyond so many tasks. */
enum { MOST_VISITS = 4096 };

/* The tasks that touch each tensor, in id order, each once: users[first[i] .. first[i+1]-1]. */
typedef struct touch {
  uint64_t *first;
  uint32_t *users;
} touch;

static bool met_before(const dag_view *v, uint32_t i) {
  for (uint32_t k = 0; k < i; k++)
    if (v[k].tensor == v[i].tensor) return true;
  return false;
}

static touch find_users(const dag *d, arena *a) {
  touch x = {.first = ARENA_NEW(a, uint64_t, d->n_tensors + 2),
             .users = ARENA_NEW(a, uint32_t, d->n_views + 1)};
  for (int fill = 0; fill < 2; fill++) {
    for (uint32_t t = 0; t < d->n_tasks; t++) {
      const dag_view *v = dag_reads(d, &d->tasks[t]);
      for (uint32_t i = 0; i < (uint32_t)d->tasks[t].n_reads + d->tasks[t].n_writes; i++) {
        if (met_before(v, i)) continue;
        /* first[i + 1] walks from its own start to its own end, which is the next one's start */
        if (fill)
          x.users[x.first[v[i].tensor + 1]++] = t;
        else
          x.first[v[i].tensor + 2]++;
      }
    }
    for (size_t i = 2; i < d->n_tensors + 2 && !fill; i++) x.first[i] += x.first[i - 1];
  }
  return x;
}

static bool overlap(const dag_view *x, const dag_view *y) {
  for (int i = 0; i < DAG_RANK; i++)
    if (x->lo[i] + x->len[i] <= y->lo[i] || y->lo[i] + y->len[i] <= x->lo[i]) return false;
  return true;
}

static bool alike(const dag_tensor *x, const dag_tensor *y) {
  return x->space != DAG_DRAM && x->space == y->space && x->dtype == y->dtype &&
         x->rank == y->rank && memcmp(x->dim, y->dim, sizeof x->dim) == 0;
}

static bool depends(const dag *d, uint32_t task, uint32_t on) {
  const uint32_t *deps = dag_deps(d, &d->tasks[task]);
  size_t lo = 0, hi = d->tasks[task].n_deps;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (deps[mid] == on) return true;
    if (deps[mid] < on)
      lo = mid + 1;
    else
      hi = mid;
  }
  return false;
}

/* The box of `to` that the task writes over the same box of `from`, or NULL where it does anything
 * else with either. */
static const dag_view *box_in_place(const dag *d, uint32_t task, uint32_t from, uint32_t to) {
  const dag_task *t = &d->tasks[task];
  const dag_view *v = dag_reads(d, t), *w = NULL;
  uint32_t read = UINT32_MAX, n = (uint32_t)t->n_reads + t->n_writes;
  for (uint32_t i = 0; i < n; i++) {
    if (v[i].tensor == from && (i >= t->n_reads || read != UINT32_MAX)) return NULL;
    if (v[i].tensor == to && (i < t->n_reads || w != NULL)) return NULL;
    if (v[i].tensor == from) read = i;
    if (v[i].tensor == to) w = &v[i];
  }
  if (w == NULL || read == UINT32_MAX) return NULL;
  uint32_t write = (uint32_t)(w - v) - t->n_reads;
  if (!op_in_place((op)t->op, read, t->n_reads, write)) return NULL;
  bool same = memcmp(v[read].lo, w->lo, sizeof w->lo) == 0 &&
              memcmp(v[read].len, w->len, sizeof w->len) == 0;
  return same ? w : NULL;
}

/* Tasks known to be over before any writer of a tensor starts. */
typedef struct past {
  uint32_t *stamp; /* by task: the tensor for which it is known */
  uint32_t *stack;
  uint32_t tensor;
} past;

static bool writes(const dag *d, uint32_t task, uint32_t tensor) {
  for (uint32_t k = 0; k < d->tasks[task].n_writes; k++)
    if (dag_writes(d, &d->tasks[task])[k].tensor == tensor) return true;
  return false;
}

/* Finds what all writers of `to` depend on: the deps that they share, and all that those depend on,
 * back to task `oldest`. */
static void find_past(const dag *d, const touch *x, uint32_t to, uint32_t oldest, past *p) {
  if (p->tensor == to) return;
  p->tensor = to;
  size_t depth = 0, visits = 0;
  uint32_t first = x->users[x->first[to]];
  const uint32_t *deps = dag_deps(d, &d->tasks[first]);
  for (uint32_t i = 0; i < d->tasks[first].n_deps && depth < MOST_VISITS; i++) {
    bool shared = deps[i] >= oldest;
    for (uint64_t k = x->first[to]; k < x->first[to + 1] && shared; k++)
      shared = !writes(d, x->users[k], to) || depends(d, x->users[k], deps[i]);
    if (!shared) continue;
    p->stamp[deps[i]] = to;
    p->stack[depth++] = deps[i];
  }
  while (depth > 0 && visits++ < MOST_VISITS) {
    const dag_task *t = &d->tasks[p->stack[--depth]];
    for (uint32_t i = t->n_deps; i-- > 0;) {
      uint32_t u = dag_deps(d, t)[i];
      if (u < oldest || depth == MOST_VISITS) break;
      if (p->stamp[u] == to) continue;
      p->stamp[u] = to;
      p->stack[depth++] = u;
    }
  }
}

/* Nobody else touches the box of `from` that the task writes over, but tasks that are over. */
static bool nobody_else(const dag *d, const touch *x, uint32_t task, uint32_t from, uint32_t to,
                        const dag_view *box, past *p) {
  for (uint64_t i = x->first[from]; i < x->first[from + 1]; i++) {
    uint32_t u = x->users[i];
    if (u == task || depends(d, task, u)) continue;
    const dag_view *v = dag_reads(d, &d->tasks[u]);
    bool apart = true;
    for (uint32_t k = 0; k < (uint32_t)d->tasks[u].n_reads + d->tasks[u].n_writes; k++)
      apart = apart && (v[k].tensor != from || !overlap(&v[k], box));
    if (apart) continue;
    if (u > task) return false;
    find_past(d, x, to, x->users[x->first[from]], p);
    if (p->stamp[u] != to) return false;
  }
  return true;
}

static bool may_take_over(const dag *d, const touch *x, uint32_t from, uint32_t to, past *p) {
  if (from == to || !alike(&d->tensors[from], &d->tensors[to])) return false;
  if (x->first[from + 1] - x->first[from] > MOST_USERS) return false;
  for (uint64_t i = x->first[to]; i < x->first[to + 1]; i++) {
    uint32_t t = x->users[i];
    if (!writes(d, t, to)) continue;
    const dag_view *box = box_in_place(d, t, from, to);
    if (box == NULL || !nobody_else(d, x, t, from, to, box, p)) return false;
  }
  return true;
}

uint32_t *dag_rooms(const dag *d, arena *a) {
  uint32_t *over = ARENA_NEW(a, uint32_t, d->n_tensors);
  if (d->rooms != NULL) return memcpy(over, d->rooms, d->n_tensors * sizeof *over);
  arena scratch = {0};
  bool *given = ARENA_NEW(&scratch, bool, d->n_tensors);
  touch x = find_users(d, &scratch);
  past p = {.stamp = ARENA_NEW(&scratch, uint32_t, d->n_tasks + 1),
            .stack = ARENA_NEW(&scratch, uint32_t, MOST_VISITS),
            .tensor = DAG_NO_ROOM};
  for (size_t i = 0; i < d->n_tasks; i++) p.stamp[i] = DAG_NO_ROOM;
  for (size_t i = 0; i < d->n_tensors; i++) over[i] = DAG_NO_ROOM;
  for (uint32_t b = 0; b < d->n_tensors; b++) {
    uint64_t n = x.first[b + 1] - x.first[b];
    if (d->tensors[b].space == DAG_DRAM || n == 0 || n > MOST_USERS) continue;
    /* the first that touches it is a writer: what it reads are the candidates */
    const dag_task *t = &d->tasks[x.users[x.first[b]]];
    for (uint32_t k = 0; k < t->n_reads && over[b] == DAG_NO_ROOM; k++) {
      uint32_t from = dag_reads(d, t)[k].tensor;
      if (given[from] || !may_take_over(d, &x, from, b, &p)) continue;
      over[b] = from;
      given[from] = true;
    }
  }
  arena_free(&scratch);
  return over;
}

void dag_keep_rooms(dag *d) {
  d->rooms = dag_rooms(d, d->mem);
}

uint32_t *dag_room_roots(const dag *d, arena *a) {
  const uint32_t *over = dag_rooms(d, a);
  uint32_t *root = ARENA_NEW(a, uint32_t, d->n_tensors + 1);
  memset(root, 0xff, (d->n_tensors + 1) * sizeof *root);
  for (uint32_t i = 0; i < d->n_tensors; i++) {
    uint32_t top = i;
    /* tensors that nobody writes may be found to take over each other in a ring */
    while (root[top] == UINT32_MAX && over[top] != DAG_NO_ROOM && over[top] != i) top = over[top];
    if (root[top] != UINT32_MAX) top = root[top];
    for (uint32_t j = i; root[j] == UINT32_MAX; j = over[j]) {
      root[j] = top;
      if (j == top) break;
    }
  }
  return root;
}
