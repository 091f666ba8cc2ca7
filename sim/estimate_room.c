#include <math.h>
#include <string.h>

#include "sim/estimate_stages.h"

/* What SRAM's capacity makes a stage take. */

enum { GROUPS = 4 }; /* told apart in a room */

typedef struct room {
  uint64_t bytes;
  uint32_t lo, hi;         /* first and last stage of fixed users */
  uint32_t writer;         /* the one task that writes it before all others use it, or STAGE_NONE */
  bool written;            /* by any task so far */
  bool fed;                /* by a load that may come before its stage */
  uint32_t stage, task;    /* + 1: seen in, and by */
  double longest_s, all_s; /* in the present stage; all users, one after the other */
  uint32_t n_groups, group[GROUPS];
  double group_s[GROUPS];
} room;

typedef struct keeper {
  const stages *s;
  const dag *d;
  const double *best_s;
  uint64_t capacity_B;
  size_t n_engines;
  room *rooms;          /* by tensor: the first of those that share it */
  const uint32_t *root; /* by tensor */
  uint64_t *through_B;  /* by stage: held from before it to after it */
  uint32_t *list;       /* rooms of the present stage */
  size_t n_list;
} keeper;

static bool on_chip(const dag *d, const dag_view *v) {
  return d->tensors[v->tensor].space != DAG_DRAM;
}

static void use_room(keeper *k, uint32_t t, const dag_view *v, bool writes) {
  uint32_t root = k->root[v->tensor];
  room *r = &k->rooms[root];
  if (writes && root == v->tensor && r->writer != t) {
    r->writer = r->written ? STAGE_NONE : t;
    r->written = true;
    r->fed = r->fed || !k->s->fixed[t];
  }
  if (!k->s->fixed[t]) return;
  uint32_t stage = k->s->of[t];
  if (r->lo == STAGE_NONE || stage < r->lo) r->lo = stage;
  if (stage > r->hi) r->hi = stage;
}

/* Lives in whole stages; what is held from before a stage to after it, and when it ends. */
static void find_lives(keeper *k, uint64_t *held_B) {
  const dag *d = k->d;
  for (uint32_t i = 0; i < d->n_tensors; i++)
    k->rooms[i] =
        (room){.bytes = dag_tensor_bytes(&d->tensors[i]), .lo = STAGE_NONE, .writer = STAGE_NONE};
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const dag_task *task = &d->tasks[t];
    const dag_view *v = dag_reads(d, task);
    for (uint32_t i = 0; i < (uint32_t)task->n_reads + task->n_writes; i++)
      if (on_chip(d, &v[i])) use_room(k, t, &v[i], i >= task->n_reads);
  }
  /* wraps round where it falls, and is right again in the sum */
  for (uint32_t i = 0; i < d->n_tensors; i++) {
    room *r = &k->rooms[i];
    if (k->root[i] != i || r->lo == STAGE_NONE || r->lo == r->hi) continue;
    if (!r->fed || r->writer != STAGE_NONE) { /* else a later load may have its room here */
      held_B[r->lo] += r->bytes;
      held_B[r->hi] -= r->bytes;
    }
    k->through_B[r->lo + 1] += r->bytes;
    k->through_B[r->hi] -= r->bytes;
  }
  for (uint32_t j = 1; j < k->s->n; j++) {
    held_B[j] += held_B[j - 1];
    k->through_B[j] += k->through_B[j - 1];
  }
}

static void add_group(room *r, uint32_t group, double s) {
  uint32_t i = 0;
  while (i < r->n_groups && r->group[i] != group) i++;
  if (i == GROUPS) return;
  if (i == r->n_groups) {
    r->group[r->n_groups++] = group;
    r->group_s[i] = 0;
  }
  r->group_s[i] += s;
}

/* A fixed task of the stage uses a room for part of it. */
static void add_user(keeper *k, uint32_t stage, uint32_t t, uint32_t root) {
  room *r = &k->rooms[root];
  if ((r->lo < stage && r->hi > stage) || r->task == t + 1) return;
  if (r->stage != stage + 1) {
    r->stage = stage + 1;
    r->longest_s = r->all_s = 0;
    r->n_groups = 0;
    k->list[k->n_list++] = root;
  }
  r->task = t + 1;
  if (t == r->writer) return; /* its time comes before the others' */
  double s = k->best_s[t];
  if (r->lo < stage) s += k->s->before_s[t];
  if (r->hi > stage) s += k->s->after_s[t];
  r->longest_s = fmax(r->longest_s, s);
  if (op_kind_of((op)k->d->tasks[t].op) == OP_COMPUTE) r->all_s += k->best_s[t];
  if (k->d->tasks[t].group != DAG_NO_GROUP) add_group(r, k->d->tasks[t].group, k->best_s[t]);
}

/* How long the room is held in the stage, at least. */
static double held_s(const keeper *k, uint32_t stage, const room *r) {
  double s = fmax(r->longest_s, r->all_s / (double)k->n_engines);
  for (uint32_t i = 0; i < r->n_groups; i++) s = fmax(s, r->group_s[i]);
  if (r->lo < stage || r->writer == STAGE_NONE) return s;
  s += k->best_s[r->writer];
  if (r->hi > stage && k->s->fixed[r->writer])
    s = fmax(s, k->best_s[r->writer] + k->s->after_s[r->writer]);
  return s;
}

double room_share(uint64_t bytes, uint64_t capacity, uint64_t k) {
  if (bytes >= capacity) return 1;
  uint64_t x = (k + 1) * bytes;
  if (k == 0 || x % capacity == 0) return (double)bytes / (double)capacity;
  return (double)(x / capacity) / (double)k;
}

static double least_s(keeper *k, uint32_t stage) {
  uint64_t through = k->through_B[stage];
  if (through >= k->capacity_B) return 0; /* does not fit: the run will say so */
  uint64_t capacity = k->capacity_B - through;
  double ahead_s = 0, area_s[ROOM_SHARES] = {0}, most_s = 0;
  for (size_t i = 0; i < k->n_list; i++) {
    const room *r = &k->rooms[k->list[i]];
    if (r->lo == stage && r->writer != STAGE_NONE && !k->s->fixed[r->writer])
      ahead_s = fmax(ahead_s, k->best_s[r->writer]);
    double s = held_s(k, stage, r);
    for (uint64_t f = 0; f < ROOM_SHARES; f++) area_s[f] += s * room_share(r->bytes, capacity, f);
  }
  for (uint64_t f = 0; f < ROOM_SHARES; f++) most_s = fmax(most_s, area_s[f] - ahead_s);
  k->n_list = 0;
  return most_s;
}

stage_room stages_room(const stages *s, const platform *p, const dag *d, const double *best_s,
                       const uint32_t *root, arena *a) {
  stage_room made = {.least_s = ARENA_NEW(a, double, s->n), .held_B = ARENA_NEW(a, uint64_t, s->n)};
  if (p->n_srams != 1 || !(p->srams[0].capacity_B < ROOM_MOST_B)) return made;
  arena scratch = {0};
  keeper k = {.s = s,
              .d = d,
              .best_s = best_s,
              .root = root,
              .n_engines = p->n_engines,
              .capacity_B = (uint64_t)p->srams[0].capacity_B};
  k.rooms = ARENA_NEW(&scratch, room, d->n_tensors);
  k.list = ARENA_NEW(&scratch, uint32_t, d->n_tensors);
  k.through_B = ARENA_NEW(&scratch, uint64_t, s->n + 1);
  find_lives(&k, made.held_B);
  uint32_t stage = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    if (!s->fixed[t]) continue;
    for (; stage < s->of[t]; stage++) made.least_s[stage] = least_s(&k, stage);
    const dag_task *task = &d->tasks[t];
    const dag_view *v = dag_reads(d, task);
    for (uint32_t i = 0; i < (uint32_t)task->n_reads + task->n_writes; i++)
      if (on_chip(d, &v[i])) add_user(&k, stage, t, k.root[v[i].tensor]);
  }
  for (; stage < s->n; stage++) made.least_s[stage] = least_s(&k, stage);
  arena_free(&scratch);
  return made;
}
