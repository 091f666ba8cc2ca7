#include "sim/estimate_apart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
  LEAST_PART = 24, /* of the capacity: smaller rooms do not tell classes apart */
  LOOK = 512,      /* tasks back that are asked whether all users of a class depend on them */
  PAIRS = 4,       /* of classes, a task of the DAG */
  RESOURCES = 4,   /* links and channels that transfers take the most of */
  NONE = UINT32_MAX
};

typedef struct class {
  uint32_t room[HELD_BESIDES];
  uint64_t own_B;       /* at least */
  uint64_t all_B;       /* with all rooms */
  bool transfer, early; /* early: its loads may start before all the rooms are taken */
  uint8_t size;         /* log2 of own bytes */
  size_t place;         /* in its list */
  double engines_s, group_s;
  double use_s[RESOURCES], per_B[RESOURCES], most_s[RESOURCES]; /* of a load: a byte, and in all */
} class;

typedef struct finder {
  const held *h;
  const platform *p;
  const dag *d;
  const uint32_t *root;
  uint64_t capacity_B;
  class *classes;
  size_t n_classes, cap_classes;
  uint32_t *of;    /* class by task */
  uint32_t *table; /* classes by hash, + 1 */
  size_t mask;
  arena mem;
} finder;

static bool same(const class *a, const class *b) {
  return a->transfer == b->transfer && a->early == b->early && a->size == b->size &&
         memcmp(a->room, b->room, sizeof a->room) == 0;
}

static uint64_t hash(const class *c) {
  uint64_t x = c->size * 4u + c->transfer * 2u + c->early;
  for (int i = 0; i < HELD_BESIDES; i++) x = (x ^ c->room[i]) * 0x9e3779b97f4a7c15u;
  return x ^ x >> 32;
}

static uint8_t log2_of(uint64_t x) {
  uint8_t n = 0;
  for (; x > 0; x >>= 1) n++;
  return n;
}

static bool holds(const uint32_t *rooms, uint32_t room) {
  for (int i = 0; i < HELD_BESIDES && rooms[i] != NONE; i++)
    if (rooms[i] == room) return true;
  return false;
}

/* The first user of a room of few users that this load fills; NONE. */
static uint32_t user_of(const finder *f, uint32_t t) {
  if (op_kind_of((op)f->d->tasks[t].op) != OP_LOAD) return NONE;
  const held *h = f->h;
  uint32_t room = f->root[dag_writes(f->d, &f->d->tasks[t])->tensor];
  uint64_t i = h->first[room];
  bool few = h->kind[room] == HELD_OWN || h->kind[room] == HELD_FED;
  return few && h->user[i] == t && i + 1 < h->first[room + 1] ? h->user[i + 1] : NONE;
}

static class class_of(const finder *f, uint32_t t) {
  op_kind kind = op_kind_of((op)f->d->tasks[t].op);
  const held *h = f->h;
  class c = {.own_B = h->own_B[t], .transfer = kind != OP_COMPUTE};
  if (!c.transfer) c.own_B += h->fed_B[t]; /* else it may be of the other side, too */
  uint32_t user = user_of(f, t);
  if (user != NONE) {
    c.early = true;
    c.own_B = h->bytes[f->root[dag_writes(f->d, &f->d->tasks[t])->tensor]];
  }
  memcpy(c.room, h->besides + (size_t)(user == NONE ? t : user) * HELD_BESIDES, sizeof c.room);
  for (int i = 0; i < HELD_BESIDES; i++) /* the largest first */
    if (c.room[i] != NONE && h->bytes[c.room[i]] < f->capacity_B / LEAST_PART) c.room[i] = NONE;
  c.size = log2_of(c.own_B);
  return c;
}

static uint32_t find_class(finder *f, const class *c) {
  size_t i = hash(c) & f->mask;
  for (; f->table[i] != 0; i = (i + 1) & f->mask)
    if (same(&f->classes[f->table[i] - 1], c)) return f->table[i] - 1;
  ARENA_PUSH(&f->mem, f->classes, f->n_classes, f->cap_classes, *c);
  return (f->table[i] = (uint32_t)f->n_classes) - 1;
}

static uint64_t rooms_B(const finder *f, const uint32_t *rooms) {
  uint64_t sum = 0;
  for (int i = 0; i < HELD_BESIDES && rooms[i] != NONE; i++) sum += f->h->bytes[rooms[i]];
  return sum;
}

/* The group whose tasks take the longest. */
static uint32_t longest_group(finder *f, const double *best_s) {
  uint32_t best = DAG_NO_GROUP;
  double *sum_s = ARENA_NEW(&f->mem, double, f->d->n_groups + 1);
  for (uint32_t t = 0; t < f->d->n_tasks; t++) {
    uint32_t g = f->d->tasks[t].group;
    if (g != DAG_NO_GROUP) sum_s[g] += best_s[t];
  }
  for (uint32_t g = 0; g < f->d->n_groups; g++)
    if (best == DAG_NO_GROUP || sum_s[g] > sum_s[best]) best = g;
  return best;
}

static void make_classes(finder *f, const double *best_s) {
  const dag *d = f->d;
  size_t size = 64;
  while (size < 2 * d->n_tasks) size *= 2;
  f->mask = size - 1;
  f->table = ARENA_NEW(&f->mem, uint32_t, size);
  f->of = ARENA_NEW(&f->mem, uint32_t, d->n_tasks + 1);
  uint32_t group = longest_group(f, best_s);
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    class c = class_of(f, t), *x;
    f->of[t] = find_class(f, &c);
    x = &f->classes[f->of[t]];
    if (c.own_B < x->own_B) x->own_B = c.own_B;
    if (c.transfer) continue;
    x->engines_s += best_s[t] / (double)f->p->n_engines;
    if (d->tasks[t].group == group && group != DAG_NO_GROUP) x->group_s += best_s[t];
  }
  for (size_t i = 0; i < f->n_classes; i++)
    f->classes[i].all_B = f->classes[i].own_B + rooms_B(f, f->classes[i].room);
}

static bool is_transfer_use(const finder *f, const use *u, size_t n_shared) {
  return u->resource != ENGINES && u->resource < n_shared && f->classes[f->of[u->task]].transfer;
}

/* Less what loads may do before the class's rooms are all taken: as many as there is room for. */
static void less_early(const finder *f, class *c) {
  uint64_t held_B = rooms_B(f, c->room), free_B = 0;
  if (held_B < f->capacity_B) free_B = f->capacity_B - held_B;
  for (int k = 0; k < RESOURCES; k++) {
    double s = c->use_s[k];
    if (c->own_B > 0)
      s = fmin(c->per_B[k] * (double)free_B, c->most_s[k] * (double)(free_B / c->own_B));
    c->use_s[k] = fmax(0, c->use_s[k] - s);
  }
}

/* The resources that transfers take the most of, and what each class takes of them. */
static void add_uses(finder *f, const use *uses, size_t n_uses) {
  size_t n_shared = LINKS + f->p->n_links;
  double *sum_s = ARENA_NEW(&f->mem, double, n_shared);
  uint32_t *place = ARENA_NEW(&f->mem, uint32_t, n_shared); /* + 1 */
  for (size_t i = 0; i < n_uses; i++)
    if (is_transfer_use(f, &uses[i], n_shared)) sum_s[uses[i].resource] += uses[i].p_s;
  for (uint32_t k = 0; k < RESOURCES; k++) {
    uint32_t best = CHANNELS;
    for (uint32_t r = CHANNELS; r < n_shared; r++)
      if (sum_s[r] > sum_s[best]) best = r;
    if (sum_s[best] == 0) break;
    place[best] = k + 1;
    sum_s[best] = 0;
  }
  for (size_t i = 0; i < n_uses; i++) {
    const use *u = &uses[i];
    if (!is_transfer_use(f, u, n_shared) || place[u->resource] == 0) continue;
    class *c = &f->classes[f->of[u->task]];
    uint32_t k = place[u->resource] - 1;
    c->use_s[k] += u->p_s;
    if (!c->early) continue;
    uint32_t room = f->root[dag_writes(f->d, &f->d->tasks[u->task])->tensor];
    c->most_s[k] = fmax(c->most_s[k], u->p_s);
    if (f->h->bytes[room] > 0) c->per_B[k] = fmax(c->per_B[k], u->p_s / (double)f->h->bytes[room]);
  }
  for (size_t i = 0; i < f->n_classes; i++)
    if (f->classes[i].early) less_early(f, &f->classes[i]);
}

static bool are_apart(const finder *f, const class *a, const class *b) {
  uint64_t sum = a->all_B + b->own_B;
  for (int i = 0; i < HELD_BESIDES && b->room[i] != NONE; i++)
    if (!holds(a->room, b->room[i])) sum += f->h->bytes[b->room[i]];
  return sum > f->capacity_B;
}

static int most_first(const void *a, const void *b) {
  const class *x = *(class *const *)a, *y = *(class *const *)b;
  if (x->all_B != y->all_B) return x->all_B < y->all_B ? 1 : -1;
  return (x > y) - (x < y);
}

/* The classes of compute tasks, and those of transfers; and which of the one are apart from which
 * of the other. */
typedef struct sides {
  size_t n[2];
  class **list[2];
  bool *apart; /* n[0] * n[1] */
} sides;

/* What all users of a class of early loads depend on. */
typedef struct ahead {
  uint64_t *first; /* by class: its tasks are task[first[c] .. first[c + 1] - 1] */
  uint32_t *task;
  uint32_t *count; /* by task: users that depend on it directly */
  uint32_t *found; /* by class: of its tasks */
  bool *before;    /* by task: all users depend on it */
} ahead;

static ahead ahead_new(finder *f) {
  size_t n = f->d->n_tasks;
  ahead x = {.first = ARENA_NEW(&f->mem, uint64_t, f->n_classes + 2),
             .task = ARENA_NEW(&f->mem, uint32_t, n + 1),
             .count = ARENA_NEW(&f->mem, uint32_t, n + 1),
             .found = ARENA_NEW(&f->mem, uint32_t, f->n_classes + 1),
             .before = ARENA_NEW(&f->mem, bool, n + 1)};
  for (uint32_t t = 0; t < n; t++) x.first[f->of[t] + 2]++;
  for (size_t c = 2; c < f->n_classes + 2; c++) x.first[c] += x.first[c - 1];
  for (uint32_t t = 0; t < n; t++) x.task[x.first[f->of[t] + 1]++] = t;
  return x;
}

/* Adds to the counts, or clears them; returns the last task that any user depends on. */
static uint32_t count_deps(const finder *f, ahead *x, uint64_t from, uint64_t to, bool clear) {
  uint32_t last = 0;
  for (uint64_t i = from; i < to; i++) {
    const dag_task *u = &f->d->tasks[user_of(f, x->task[i])];
    const uint32_t *deps = dag_deps(f->d, u);
    for (uint32_t k = 0; k < u->n_deps; k++) {
      x->count[deps[k]] = clear ? 0 : x->count[deps[k]] + 1;
      if (deps[k] > last) last = deps[k];
    }
  }
  return last;
}

/* Early loads of class c: classes of compute tasks that all their users come after are apart. */
static void find_before(const finder *f, const sides *s, ahead *x, const class *c) {
  uint64_t from = x->first[c - f->classes], to = x->first[c - f->classes + 1];
  uint32_t last = count_deps(f, x, from, to, false), lo = last > LOOK ? last - LOOK : 0;
  for (uint32_t t = last + 1; t-- > lo;) {
    if (x->count[t] == to - from) x->before[t] = true;
    if (!x->before[t]) continue;
    uint32_t a = f->of[t];
    if (++x->found[a] == x->first[a + 1] - x->first[a] && !f->classes[a].transfer)
      s->apart[f->classes[a].place * s->n[1] + c->place] = true;
    const uint32_t *deps = dag_deps(f->d, &f->d->tasks[t]);
    for (uint32_t i = 0; i < f->d->tasks[t].n_deps; i++)
      if (deps[i] >= lo) x->before[deps[i]] = true;
  }
  for (uint32_t t = lo; t <= last; t++) x->before[t] = false, x->found[f->of[t]] = 0;
  count_deps(f, x, from, to, true);
}

static void find_apart(finder *f, sides *x) {
  x->apart = ARENA_NEW(&f->mem, bool, x->n[0] * x->n[1] + 1);
  for (int side = 0; side < 2; side++)
    for (size_t i = 0; i < x->n[side]; i++) x->list[side][i]->place = i;
  for (size_t i = 0; i < x->n[0]; i++)
    for (size_t k = 0; k < x->n[1]; k++)
      x->apart[i * x->n[1] + k] = are_apart(f, x->list[0][i], x->list[1][k]);
  ahead y = ahead_new(f);
  for (size_t k = 0; k < x->n[1]; k++)
    if (x->list[1][k]->early) find_before(f, x, &y, x->list[1][k]);
}

static bool is_apart(const sides *x, int side, const class *a, const class *b) {
  return side == 0 ? x->apart[a->place * x->n[1] + b->place]
                   : x->apart[b->place * x->n[1] + a->place];
}

/* X and L, as far as they are chosen. */
typedef struct pick {
  double engines_s, group_s, use_s[RESOURCES];
} pick;

static pick plus(pick x, const class *c, double sign) {
  x.engines_s += sign * c->engines_s;
  x.group_s += sign * c->group_s;
  for (int k = 0; k < RESOURCES; k++) x.use_s[k] += sign * c->use_s[k];
  return x;
}

static double pick_s(const pick *x) {
  double most = 0;
  for (int k = 0; k < RESOURCES; k++) most = fmax(most, x->use_s[k]);
  return most + fmax(x->engines_s, x->group_s);
}

/* The classes of one kind, `side`, one after another, each with all of the other kind that are
 * apart from all of these so far. `choosy`: those that cost more of the other kind than they bring
 * are passed over. */
static double sweep(const sides *x, int side, bool choosy, class **left) {
  size_t n_left = x->n[!side];
  pick now = {0};
  double most = 0;
  memcpy(left, x->list[!side], n_left * sizeof *left);
  for (size_t i = 0; i < n_left; i++) now = plus(now, left[i], 1);
  for (size_t i = 0; i < x->n[side] && n_left > 0; i++) {
    const class *c = x->list[side][i];
    pick next = plus(now, c, 1);
    size_t kept = 0;
    for (size_t k = 0; k < n_left; k++)
      if (!is_apart(x, side, c, left[k])) next = plus(next, left[k], -1);
    if (choosy && pick_s(&next) < pick_s(&now)) continue;
    for (size_t k = 0; k < n_left; k++)
      if (is_apart(x, side, c, left[k])) left[kept++] = left[k];
    n_left = kept;
    now = next;
    most = fmax(most, pick_s(&now));
  }
  return most;
}

double apart_s(const held *h, const platform *p, const dag *d, const uint32_t *root,
               const double *best_s, const use *uses, size_t n_uses) {
  finder f = {.h = h, .p = p, .d = d, .root = root};
  f.capacity_B = (uint64_t)p->srams[0].capacity_B;
  make_classes(&f, best_s);
  sides x = {.n = {0, 0}};
  for (int k = 0; k < 2; k++) x.list[k] = ARENA_NEW(&f.mem, class *, f.n_classes + 1);
  for (size_t i = 0; i < f.n_classes; i++) {
    int side = f.classes[i].transfer;
    x.list[side][x.n[side]++] = &f.classes[i];
  }
  double most = 0;
  if (x.n[0] * x.n[1] <= PAIRS * d->n_tasks) {
    add_uses(&f, uses, n_uses);
    for (int k = 0; k < 2; k++) qsort(x.list[k], x.n[k], sizeof *x.list[k], most_first);
    find_apart(&f, &x);
    class **left = ARENA_NEW(&f.mem, class *, f.n_classes + 1);
    for (int i = 0; i < 4; i++) most = fmax(most, sweep(&x, i / 2, i % 2, left));
  }
  arena_free(&f.mem);
  return most;
}
