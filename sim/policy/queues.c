#include "sim/policy/queues.h"

/* Two lists an engine: FREE tasks that others may steal, and those BOUND to it by their group. */
enum { FREE, BOUND, LISTS };

typedef struct end {
  uint32_t first, last;
} end;

struct queues {
  const dag *dag;
  const reach *reach;
  end *list;              /* by engine and kind */
  uint32_t *next, *prev;  /* by task, within its list */
  uint32_t *in;           /* by task: its list, POL_NONE where in none */
  uint32_t *seq, n_seq;   /* by task: when it came */
  uint32_t *group_engine; /* by group */
  uint32_t *group_first,
      *group_next; /* ready tasks of a group that nobody took yet: by group, by task */
};

queues *queues_new(const pol_input *in, arena *a) {
  queues *q = ARENA_NEW(a, queues, 1);
  size_t n = in->dag->n_tasks, g = in->dag->n_groups + 1u, lists = in->plat->n_engines * LISTS;
  q->dag = in->dag;
  q->reach = in->reach;
  q->list = ARENA_NEW(a, end, lists);
  q->next = ARENA_NEW(a, uint32_t, n);
  q->prev = ARENA_NEW(a, uint32_t, n);
  q->in = ARENA_NEW(a, uint32_t, n);
  q->seq = ARENA_NEW(a, uint32_t, n);
  q->group_engine = ARENA_NEW(a, uint32_t, g);
  q->group_first = ARENA_NEW(a, uint32_t, g);
  q->group_next = ARENA_NEW(a, uint32_t, n);
  for (size_t i = 0; i < lists; i++) q->list[i] = (end){POL_NONE, POL_NONE};
  for (size_t i = 0; i < n; i++) q->in[i] = POL_NONE;
  for (size_t i = 0; i < g; i++) q->group_engine[i] = POL_ANY, q->group_first[i] = POL_NONE;
  return q;
}

static void append(queues *q, uint32_t list, uint32_t t) {
  end *l = &q->list[list];
  q->in[t] = list;
  q->next[t] = POL_NONE;
  q->prev[t] = l->last;
  if (l->last == POL_NONE)
    l->first = t;
  else
    q->next[l->last] = t;
  l->last = t;
}

static void leave(queues *q, uint32_t t) {
  if (q->in[t] == POL_NONE) return;
  end *l = &q->list[q->in[t]];
  if (q->prev[t] == POL_NONE)
    l->first = q->next[t];
  else
    q->next[q->prev[t]] = q->next[t];
  if (q->next[t] == POL_NONE)
    l->last = q->prev[t];
  else
    q->prev[q->next[t]] = q->prev[t];
  q->in[t] = POL_NONE;
}

uint32_t queues_bound(const queues *q, uint32_t task) {
  uint32_t g = q->dag->tasks[task].group;
  return g == DAG_NO_GROUP ? POL_ANY : q->group_engine[g];
}

void queues_add(queues *q, uint32_t task, uint32_t engine) {
  uint32_t g = q->dag->tasks[task].group, bound = queues_bound(q, task);
  q->seq[task] = q->n_seq++;
  append(q, bound != POL_ANY ? bound * LISTS + BOUND : engine * LISTS + FREE, task);
  if (g == DAG_NO_GROUP || bound != POL_ANY) return;
  q->group_next[task] = q->group_first[g];
  q->group_first[g] = task;
}

uint32_t queues_oldest(const queues *q, uint32_t engine) {
  uint32_t x = q->list[engine * LISTS + FREE].first, y = q->list[engine * LISTS + BOUND].first;
  if (x == POL_NONE || y == POL_NONE) return x == POL_NONE ? y : x;
  return q->seq[x] < q->seq[y] ? x : y;
}

uint32_t queues_newest_free(const queues *q, uint32_t from, uint32_t engine) {
  uint32_t t = q->list[from * LISTS + FREE].last;
  while (t != POL_NONE && !reach_may_run(q->reach, t, engine)) t = q->prev[t];
  return t;
}

/* The list of a group is newest first; it is turned round, so that tasks move in the order in which
 * they came. */
void queues_take(queues *q, uint32_t task, uint32_t engine) {
  uint32_t g = q->dag->tasks[task].group, turned = POL_NONE;
  leave(q, task);
  if (g == DAG_NO_GROUP || q->group_engine[g] != POL_ANY) return;
  q->group_engine[g] = engine;
  for (uint32_t t = q->group_first[g], after; t != POL_NONE; t = after) {
    after = q->group_next[t];
    q->group_next[t] = turned;
    turned = t;
  }
  for (uint32_t t = turned; t != POL_NONE; t = q->group_next[t]) {
    if (q->in[t] == POL_NONE) continue;
    leave(q, t);
    append(q, engine * LISTS + BOUND, t);
  }
}
