#include <stdbool.h>

#include "sim/policy.h"

/* Ready tasks as binary heaps on (key, seq): one for each class of tasks that the same engines may
 * run, which those share, and one an engine for tasks whose group it took. A task whose group is
 * taken later moves over when it reaches the top of the shared heap or at once with its group's
 * first task (the group's list). */
typedef struct entry {
  double key;
  uint32_t seq, task;
} entry;

typedef struct heap {
  entry *e;
  size_t n, cap;
} heap;

struct pol_pool {
  const dag *dag;
  arena *mem;
  const reach *reach;
  heap *shared, *own;     /* by class, by engine */
  bool *gone;             /* by task: picked or taken */
  bool *moved;            /* by task: lives in its engine's heap now */
  double *key;            /* by task */
  uint32_t *group_engine; /* by group */
  uint32_t *group_ready;  /* by group: newest ready task of it, in a list by `next` */
  uint32_t *next;
  uint32_t *seq, n_seq;
};

static bool before(const entry *a, const entry *b) {
  return a->key < b->key || (a->key == b->key && a->seq < b->seq);
}

static void push(arena *a, heap *h, entry x) {
  ARENA_PUSH(a, h->e, h->n, h->cap, x);
  size_t i = h->n - 1;
  for (; i > 0 && before(&x, &h->e[(i - 1) / 2]); i = (i - 1) / 2) h->e[i] = h->e[(i - 1) / 2];
  h->e[i] = x;
}

static void pop(heap *h) {
  entry last = h->e[--h->n];
  size_t i = 0;
  for (;;) {
    size_t c = 2 * i + 1;
    if (c >= h->n) break;
    if (c + 1 < h->n && before(&h->e[c + 1], &h->e[c])) c++;
    if (!before(&h->e[c], &last)) break;
    h->e[i] = h->e[c];
    i = c;
  }
  if (h->n > 0) h->e[i] = last;
}

pol_pool *pol_pool_new(const pol_input *in, arena *a) {
  pol_pool *p = ARENA_NEW(a, pol_pool, 1);
  size_t n = in->dag->n_tasks, g = in->dag->n_groups + 1u;
  p->dag = in->dag;
  p->mem = a;
  p->reach = in->reach;
  p->shared = ARENA_NEW(a, heap, in->reach->n_classes);
  p->own = ARENA_NEW(a, heap, in->plat->n_engines);
  p->gone = ARENA_NEW(a, bool, n);
  p->moved = ARENA_NEW(a, bool, n);
  p->key = ARENA_NEW(a, double, n);
  p->seq = ARENA_NEW(a, uint32_t, n);
  p->next = ARENA_NEW(a, uint32_t, n);
  p->group_engine = ARENA_NEW(a, uint32_t, g);
  p->group_ready = ARENA_NEW(a, uint32_t, g);
  for (size_t i = 0; i < g; i++) p->group_engine[i] = POL_ANY, p->group_ready[i] = POL_NONE;
  return p;
}

static void to_engine(pol_pool *p, uint32_t task, uint32_t engine) {
  p->moved[task] = true;
  push(p->mem, &p->own[engine], (entry){p->key[task], p->seq[task], task});
}

void pol_pool_add(pol_pool *p, uint32_t task, double key) {
  uint32_t g = p->dag->tasks[task].group;
  p->key[task] = key;
  p->seq[task] = p->n_seq++;
  if (g != DAG_NO_GROUP && p->group_engine[g] != POL_ANY) {
    to_engine(p, task, p->group_engine[g]);
    return;
  }
  if (g != DAG_NO_GROUP) p->next[task] = p->group_ready[g], p->group_ready[g] = task;
  push(p->mem, &p->shared[reach_class(p->reach, task)], (entry){key, p->seq[task], task});
}

void pol_pool_taken(pol_pool *p, uint32_t task, uint32_t engine) {
  uint32_t g = p->dag->tasks[task].group;
  p->gone[task] = true;
  if (g == DAG_NO_GROUP || p->group_engine[g] != POL_ANY) return;
  p->group_engine[g] = engine;
  for (uint32_t t = p->group_ready[g]; t != POL_NONE; t = p->next[t])
    if (!p->gone[t]) to_engine(p, t, engine);
}

/* The most urgent task that the engine shares with others; drops those that are gone or moved. */
static heap *first_shared(pol_pool *p, uint32_t engine) {
  heap *best = NULL;
  for (uint32_t c = 0; c < p->reach->n_classes; c++) {
    heap *h = &p->shared[c];
    if (h->n == 0 || !reach_has(p->reach, c, engine)) continue;
    while (h->n > 0 && (p->gone[h->e[0].task] || p->moved[h->e[0].task])) pop(h);
    if (h->n > 0 && (best == NULL || before(&h->e[0], &best->e[0]))) best = h;
  }
  return best;
}

uint32_t pol_pool_pick(pol_pool *p, uint32_t engine) {
  heap *own = &p->own[engine], *shared = first_shared(p, engine);
  while (own->n > 0 && p->gone[own->e[0].task]) pop(own);
  /* what the engine has begun goes first, unless something strictly more urgent is there */
  heap *h = own->n > 0 && (shared == NULL || own->e[0].key <= shared->e[0].key) ? own : shared;
  if (h == NULL) return POL_NONE;
  uint32_t task = h->e[0].task;
  pop(h);
  pol_pool_taken(p, task, engine);
  return task;
}
