#include "sim/estimate_held.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/estimate_stages.h"

enum {
  MOST_OWNERS = 8,  /* users of an own room: one with more is rather held beside others */
  LEAST_PART = 256, /* of the capacity: smaller rooms are not followed from user to user */
  BUDGET = 16,      /* deps looked at, a dep of the DAG */
  MOST_SIZES = 16
};

typedef struct finder {
  const dag *d;
  const uint32_t *root;
  uint64_t *first; /* as in held */
  uint32_t *user;
  uint64_t *bytes;
  bool *after, *before; /* by task: one that touches the present room, or depends on such a one; or
                           is one, or one that such a one depends on */
} finder;

static bool met_before(const finder *f, const dag_view *v, uint32_t i) {
  for (uint32_t k = 0; k < i; k++)
    if (f->root[v[k].tensor] == f->root[v[i].tensor]) return true;
  return false;
}

static void find_users(finder *f, arena *a) {
  const dag *d = f->d;
  f->first = ARENA_NEW(a, uint64_t, d->n_tensors + 2);
  f->user = ARENA_NEW(a, uint32_t, d->n_views + 1);
  for (int fill = 0; fill < 2; fill++) {
    for (uint32_t t = 0; t < d->n_tasks; t++) {
      const dag_view *v = dag_reads(d, &d->tasks[t]);
      for (uint32_t i = 0; i < (uint32_t)d->tasks[t].n_reads + d->tasks[t].n_writes; i++) {
        if (d->tensors[v[i].tensor].space == DAG_DRAM || met_before(f, v, i)) continue;
        uint32_t r = f->root[v[i].tensor];
        /* first[r + 1] walks from its own start to its own end, which is the next one's start */
        if (fill)
          f->user[f->first[r + 1]++] = t;
        else
          f->first[r + 2]++;
      }
    }
    for (size_t i = 2; i < d->n_tensors + 2 && !fill; i++) f->first[i] += f->first[i - 1];
  }
}

static bool depends(const dag *d, uint32_t task, uint32_t on) {
  const dag_task *t = &d->tasks[task];
  for (uint32_t i = 0; i < t->n_deps; i++)
    if (dag_deps(d, t)[i] == on) return true;
  return false;
}

/* Few users, each of which depends on the one before. */
static bool is_own(const finder *f, uint32_t room) {
  uint64_t lo = f->first[room], hi = f->first[room + 1];
  if (hi - lo > MOST_OWNERS) return false;
  for (uint64_t i = lo + 1; i < hi; i++)
    if (!depends(f->d, f->user[i], f->user[i - 1])) return false;
  return true;
}

/* A load fills it for few others, which may be at it side by side. */
static bool is_fed(const finder *f, uint32_t room) {
  uint64_t lo = f->first[room], hi = f->first[room + 1];
  if (hi - lo > MOST_OWNERS || op_kind_of((op)f->d->tasks[f->user[lo]].op) != OP_LOAD) return false;
  for (uint64_t i = lo + 1; i < hi; i++)
    if (!depends(f->d, f->user[i], f->user[lo])) return false;
  return true;
}

static void add_users(const finder *f, uint32_t room, held *h) {
  for (uint64_t i = f->first[room]; i < f->first[room + 1]; i++) {
    uint32_t t = f->user[i];
    (h->kind[room] == HELD_OWN ? h->own_B : h->beside_B)[t] += f->bytes[room];
    if (h->kind[room] == HELD_FED) h->fed_B[t] += f->bytes[room];
  }
}

static void list_beside(held *h, uint32_t task, uint32_t room) {
  uint32_t *list = h->besides + (size_t)task * HELD_BESIDES;
  for (int i = 0; i < HELD_BESIDES; i++) {
    if (list[i] != UINT32_MAX) continue;
    list[i] = room;
    return;
  }
}

/* Counts the room for the tasks between its users, too. */
static void follow(finder *f, uint32_t room, held *h) {
  const dag *d = f->d;
  uint32_t lo = f->user[f->first[room]], hi = f->user[f->first[room + 1] - 1];
  for (uint64_t i = f->first[room]; i < f->first[room + 1]; i++)
    f->after[f->user[i]] = f->before[f->user[i]] = true;
  for (uint32_t t = lo; t <= hi; t++) {
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    for (uint32_t i = 0; i < d->tasks[t].n_deps && !f->after[t]; i++)
      f->after[t] = deps[i] >= lo && f->after[deps[i]];
  }
  for (uint32_t t = hi + 1; t-- > lo;) {
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    for (uint32_t i = 0; i < d->tasks[t].n_deps && f->before[t]; i++)
      if (deps[i] >= lo) f->before[deps[i]] = true;
    if (!f->after[t] || !f->before[t]) continue;
    h->beside_B[t] += f->bytes[room];
    if (h->kind[room] == HELD_FED)
      h->fed_B[t] += f->bytes[room];
    else
      list_beside(h, t, room);
  }
  for (uint32_t t = lo; t <= hi; t++) f->after[t] = f->before[t] = false;
}

static uint64_t deps_between(const dag *d, uint32_t lo, uint32_t hi) {
  return d->tasks[hi].dep0 + d->tasks[hi].n_deps - d->tasks[lo].dep0 + (hi - lo + 1);
}

typedef struct sized {
  uint64_t bytes;
  uint32_t room;
} sized;

static int largest_first(const void *a, const void *b) {
  const sized *x = a, *y = b;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
  return (x->room > y->room) - (x->room < y->room);
}

held held_find(const dag *d, const uint32_t *root, uint64_t capacity_B, arena *a) {
  held h = {.own_B = ARENA_NEW(a, uint64_t, d->n_tasks + 1),
            .beside_B = ARENA_NEW(a, uint64_t, d->n_tasks + 1),
            .fed_B = ARENA_NEW(a, uint64_t, d->n_tasks + 1),
            .bytes = ARENA_NEW(a, uint64_t, d->n_tensors + 1),
            .kind = ARENA_NEW(a, uint8_t, d->n_tensors + 1)};
  h.besides = ARENA_NEW(a, uint32_t, (d->n_tasks + 1) * HELD_BESIDES);
  memset(h.besides, 0xff, d->n_tasks * HELD_BESIDES * sizeof *h.besides);
  arena scratch = {0};
  finder f = {.d = d, .root = root, .bytes = h.bytes};
  sized *list = ARENA_NEW(&scratch, sized, d->n_tensors + 1);
  size_t n = 0;
  find_users(&f, a);
  h.first = f.first;
  h.user = f.user;
  f.after = ARENA_NEW(&scratch, bool, d->n_tasks + 1);
  f.before = ARENA_NEW(&scratch, bool, d->n_tasks + 1);
  for (uint32_t r = 0; r < d->n_tensors; r++) {
    uint64_t lo = f.first[r], hi = f.first[r + 1];
    if (lo == hi) continue;
    f.bytes[r] = dag_tensor_bytes(&d->tensors[r]);
    h.kind[r] = is_own(&f, r) ? HELD_OWN : is_fed(&f, r) ? HELD_FED : HELD_BESIDE;
    if (h.kind[r] == HELD_OWN || hi - lo < 2 || f.bytes[r] < capacity_B / LEAST_PART)
      add_users(&f, r, &h);
    else
      list[n++] = (sized){f.bytes[r], r};
  }
  qsort(list, n, sizeof *list, largest_first);
  uint64_t left = BUDGET * (d->n_deps + d->n_tasks);
  for (size_t i = 0; i < n; i++) {
    uint32_t r = list[i].room;
    uint64_t lo = f.first[r], hi = f.first[r + 1],
             looks = deps_between(d, f.user[lo], f.user[hi - 1]);
    if (looks <= left) {
      left -= looks;
      follow(&f, r, &h);
    } else {
      add_users(&f, r, &h);
    }
  }
  arena_free(&scratch);
  return h;
}

/* What all tasks' own rooms take of SRAM, for the best f. */
static double own_s(const dag *d, const held *h, uint64_t capacity_B, const double *best_s,
                    uint64_t *best) {
  double area_s[ROOM_SHARES] = {0};
  *best = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    if (h->own_B[t] == 0 || h->beside_B[t] >= capacity_B) continue; /* the run will say so */
    for (uint64_t k = 0; k < ROOM_SHARES; k++)
      area_s[k] += best_s[t] * room_share(h->own_B[t], capacity_B - h->beside_B[t], k);
  }
  for (uint64_t k = 1; k < ROOM_SHARES; k++)
    if (area_s[k] > area_s[*best]) *best = k;
  return area_s[*best];
}

/* How long one at least runs of the tasks that leave less than `size_B`: by own rooms, by engines,
 * and by the engine of a group. */
static double full_s(const dag *d, const held *h, uint64_t capacity_B, uint64_t size_B,
                     const double *best_s, size_t engines, double *group_s) {
  double area_s[ROOM_SHARES] = {0}, all_s = 0, most_s = 0;
  for (size_t g = 0; g < d->n_groups; g++) group_s[g] = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    uint64_t own = h->own_B[t], beside = h->beside_B[t];
    if (beside >= capacity_B || own + beside + size_B <= capacity_B) continue;
    if (op_kind_of((op)d->tasks[t].op) != OP_COMPUTE) continue;
    all_s += best_s[t];
    uint32_t g = d->tasks[t].group;
    if (g != DAG_NO_GROUP) most_s = fmax(most_s, group_s[g] += best_s[t]);
    for (uint64_t k = 0; own > 0 && k < ROOM_SHARES; k++)
      area_s[k] += best_s[t] * room_share(own, capacity_B - beside, k);
  }
  for (uint64_t k = 0; k < ROOM_SHARES; k++) most_s = fmax(most_s, area_s[k]);
  return fmax(most_s, all_s / (double)engines);
}

static double around_s(const dag *d, const held *h, uint64_t capacity_B, uint64_t k,
                       const double *best_s, const double *head_s, const double *tail_s, arena *a) {
  stretch *s = ARENA_NEW(a, stretch, d->n_tasks + 1);
  size_t n = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    if (h->beside_B[t] >= capacity_B) continue;
    double share = room_share(h->own_B[t], capacity_B - h->beside_B[t], k);
    if (share > 0) s[n++] = (stretch){.r = head_s[t], .p = share * best_s[t], .q = tail_s[t]};
  }
  around_space space = around_space_new(n, a);
  return n == 0 ? 0 : around_end(s, n, &space);
}

static int descending(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x < y) - (x > y);
}

/* Sizes of loads to ask for: the different ones, or some of them. */
static size_t load_sizes(const dag *d, const held *h, uint64_t *size_B) {
  size_t n = 0, different = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++)
    if (op_kind_of((op)d->tasks[t].op) == OP_LOAD && h->own_B[t] > 0) size_B[n++] = h->own_B[t];
  qsort(size_B, n, sizeof *size_B, descending);
  for (size_t i = 0; i < n; i++)
    if (different == 0 || size_B[i] != size_B[different - 1]) size_B[different++] = size_B[i];
  if (different <= MOST_SIZES) return different;
  for (size_t i = 0; i < MOST_SIZES; i++) size_B[i] = size_B[i * different / MOST_SIZES];
  return MOST_SIZES;
}

/* What loads of that size or more take of a link or of the channels. */
static double loads_s(const dag *d, const held *h, uint64_t size_B, const use *uses, size_t n_uses,
                      double *sum_s, size_t n_shared) {
  double most = 0;
  for (size_t r = 0; r < n_shared; r++) sum_s[r] = 0;
  for (size_t i = 0; i < n_uses; i++) {
    uint32_t t = uses[i].task, r = uses[i].resource;
    if (r == ENGINES || r >= n_shared || op_kind_of((op)d->tasks[t].op) != OP_LOAD) continue;
    if (h->own_B[t] < size_B) continue;
    sum_s[r] += uses[i].p_s;
    most = fmax(most, sum_s[r]);
  }
  return most;
}

bool held_bounds(const platform *p) {
  return p->n_srams == 1 && p->srams[0].capacity_B < ROOM_MOST_B;
}

double held_s(const held *h, const platform *p, const dag *d, const double *best_s,
              const double *head_s, const double *tail_s, const use *uses, size_t n_uses) {
  if (!held_bounds(p)) return 0;
  arena scratch = {0};
  uint64_t capacity_B = (uint64_t)p->srams[0].capacity_B, best;
  double most = own_s(d, h, capacity_B, best_s, &best);
  most = fmax(most, around_s(d, h, capacity_B, best, best_s, head_s, tail_s, &scratch));
  uint64_t *size_B = ARENA_NEW(&scratch, uint64_t, d->n_tasks + 1);
  size_t n_shared = LINKS + p->n_links, n = load_sizes(d, h, size_B);
  double *sum_s = ARENA_NEW(&scratch, double, n_shared),
         *group_s = ARENA_NEW(&scratch, double, d->n_groups + 1);
  for (size_t i = 0; i < n; i++) {
    double s = full_s(d, h, capacity_B, size_B[i], best_s, p->n_engines, group_s);
    if (s > 0) most = fmax(most, s + loads_s(d, h, size_B[i], uses, n_uses, sum_s, n_shared));
  }
  arena_free(&scratch);
  return most;
}
