#include "sim/policy/list_room.h"

#include <math.h>
#include <string.h>

#include "workloads/dag_room.h"

enum {
  LINK_SLICES = 4096, /* that all loads fill, one after the other */
  TASK_SLICES = 64,   /* of SRAM's time, a task */
  LEAST_SLICES = 1 << 10,
  MOST_SLICES = 1 << 19
};

/* What an SRAM holds, slice by slice: a tree of maxima. A node's bytes are for all below it. */
typedef struct space {
  uint64_t capacity_B, asked_B;
  int64_t *add_B, *most_B; /* by node: 1 is the root, its children 2 i and 2 i + 1 */
} space;

struct list_room {
  const dag *d;
  arena *mem;
  space *space;
  size_t n_spaces;
  uint32_t *root;  /* by tensor */
  uint32_t *users; /* by room: operand views still to come */
  double *end_s;   /* by room: of its users so far */
  bool *taken, *asked;
  uint32_t *asking; /* rooms asked for */
  size_t n_asking;
  size_t n_time; /* slices of SRAM's time, a power of two; the last one goes on for ever */
  double time_s; /* of each */
  double slice_s, *left_s; /* by slice: of the link's time in it */
  uint32_t *next;          /* by slice: itself, or one behind it before which all are full */
  size_t n_slices, cap_left, cap_next;
};

static bool in_sram(const list_room *r, uint32_t tensor) {
  return r->d->tensors[tensor].space != DAG_DRAM;
}

static space *space_of(const list_room *r, uint32_t room) {
  return &r->space[r->d->tensors[room].space - DAG_SRAM];
}

list_room *list_room_new(const pol_input *in, double load_s, double all_s, arena *a) {
  const dag *d = in->dag;
  list_room *r = ARENA_NEW(a, list_room, 1);
  r->d = d;
  r->mem = a;
  r->n_spaces = in->plat->n_srams;
  r->space = ARENA_NEW(a, space, r->n_spaces);
  r->n_time = LEAST_SLICES;
  while (r->n_time < MOST_SLICES && r->n_time < TASK_SLICES * d->n_tasks) r->n_time *= 2;
  r->time_s = all_s / (double)r->n_time;
  for (size_t s = 0; s < r->n_spaces; s++) {
    r->space[s].capacity_B = (uint64_t)fmin(in->plat->srams[s].capacity_B, 0x1p62);
    r->space[s].add_B = ARENA_NEW(a, int64_t, 2 * r->n_time);
    r->space[s].most_B = ARENA_NEW(a, int64_t, 2 * r->n_time);
  }
  r->root = dag_room_roots(d, a);
  r->users = ARENA_NEW(a, uint32_t, d->n_tensors + 1);
  r->end_s = ARENA_NEW(a, double, d->n_tensors + 1);
  r->taken = ARENA_NEW(a, bool, d->n_tensors + 1);
  r->asked = ARENA_NEW(a, bool, d->n_tensors + 1);
  r->asking = ARENA_NEW(a, uint32_t, d->n_tensors + 1);
  r->slice_s = load_s / LINK_SLICES;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const dag_view *v = dag_reads(d, &d->tasks[t]);
    for (uint32_t k = 0; k < (uint32_t)d->tasks[t].n_reads + d->tasks[t].n_writes; k++)
      if (in_sram(r, v[k].tensor)) r->users[r->root[v[k].tensor]]++;
  }
  return r;
}

void list_room_ask(list_room *r, uint32_t task) {
  const dag_task *t = &r->d->tasks[task];
  for (uint32_t k = 0; k < t->n_writes; k++) {
    uint32_t room = dag_writes(r->d, t)[k].tensor;
    if (!in_sram(r, room)) continue;
    room = r->root[room];
    if (r->taken[room] || r->asked[room]) continue;
    r->asked[room] = true;
    r->asking[r->n_asking++] = room;
    space_of(r, room)->asked_B += dag_tensor_bytes(&r->d->tensors[room]);
  }
}

static size_t slice_at(const list_room *r, double at_s) {
  if (!(r->time_s > 0)) return 0;
  double i = at_s / r->time_s;
  return i < (double)(r->n_time - 1) ? (size_t)i : r->n_time - 1;
}

/* Adds to all slices from `from` on. */
static void add_from(const list_room *r, space *x, size_t from, int64_t bytes) {
  size_t i = from + r->n_time;
  x->add_B[i] += bytes;
  x->most_B[i] += bytes;
  for (; i > 1; i /= 2) {
    if (i % 2 == 0) x->add_B[i + 1] += bytes, x->most_B[i + 1] += bytes;
    int64_t left = x->most_B[i & ~(size_t)1], right = x->most_B[i | 1];
    x->most_B[i / 2] = x->add_B[i / 2] + (left > right ? left : right);
  }
}

/* The slice behind the last one that holds more than so much. */
static size_t behind_last(const list_room *r, const space *x, int64_t bytes) {
  size_t i = 1;
  if (x->most_B[1] <= bytes) return 0;
  while (i < r->n_time) {
    bytes -= x->add_B[i];
    i = x->most_B[2 * i + 1] > bytes ? 2 * i + 1 : 2 * i;
  }
  return i - r->n_time + 1;
}

double list_room_from_s(list_room *r) {
  double from_s = 0;
  for (size_t s = 0; s < r->n_spaces; s++) {
    space *x = &r->space[s];
    if (x->asked_B == 0) continue;
    size_t i = behind_last(r, x, (int64_t)x->capacity_B - (int64_t)x->asked_B);
    from_s = fmax(from_s, (double)i * r->time_s);
    x->asked_B = 0;
  }
  while (r->n_asking > 0) r->asked[r->asking[--r->n_asking]] = false;
  return from_s;
}

/* The first slice from i on that has time left. */
static uint32_t open_slice(list_room *r, uint32_t i) {
  uint32_t j = i;
  for (;; j = r->next[j]) {
    while (j >= r->n_slices) {
      size_t n = r->n_slices;
      uint32_t itself = (uint32_t)n;
      ARENA_PUSH(r->mem, r->left_s, n, r->cap_left, r->slice_s);
      ARENA_PUSH(r->mem, r->next, r->n_slices, r->cap_next, itself);
    }
    if (r->next[j] == j) break;
  }
  for (uint32_t k; i != j; i = k) k = r->next[i], r->next[i] = j;
  return j;
}

double list_room_load(list_room *r, double from_s, double flow_s, double *flowed_s) {
  /* what is far behind all that flows goes uncounted */
  if (!(r->slice_s > 0) || from_s / r->slice_s > 64.0 * LINK_SLICES) {
    *flowed_s = from_s + flow_s;
    return from_s;
  }
  uint32_t i = open_slice(r, (uint32_t)(from_s / r->slice_s));
  double start_s = fmax(from_s, ((double)i + 1) * r->slice_s - r->left_s[i]);
  for (double left_s = flow_s;; i = open_slice(r, i + 1)) {
    if (left_s < r->left_s[i]) {
      r->left_s[i] -= left_s;
      *flowed_s = fmax(start_s + flow_s, ((double)i + 1) * r->slice_s - r->left_s[i]);
      return start_s;
    }
    left_s -= r->left_s[i];
    r->left_s[i] = 0;
    r->next[i] = i + 1;
  }
}

void list_room_put(list_room *r, uint32_t task, double start_s, double end_s) {
  const dag_task *t = &r->d->tasks[task];
  const dag_view *v = dag_reads(r->d, t);
  for (uint32_t k = 0; k < (uint32_t)t->n_reads + t->n_writes; k++) {
    if (!in_sram(r, v[k].tensor)) continue;
    uint32_t room = r->root[v[k].tensor];
    int64_t bytes = (int64_t)dag_tensor_bytes(&r->d->tensors[room]);
    if (!r->taken[room]) add_from(r, space_of(r, room), slice_at(r, start_s), bytes);
    r->taken[room] = true;
    r->end_s[room] = fmax(r->end_s[room], end_s);
    if (--r->users[room] == 0) add_from(r, space_of(r, room), slice_at(r, r->end_s[room]), -bytes);
  }
}
