#include "workloads/dag_hazard.h"

#include <stdlib.h>
#include <string.h>

enum { SORT_STEPS = 32 }; /* what sorting one write is charged, beside one step a comparison */
static const uint64_t MIN_STEPS = (uint64_t)1 << 26, STEPS_A_WRITE = 4096;

static uint64_t view_end(const dag_view *v, int dim) {
  return (uint64_t)v->lo[dim] + v->len[dim];
}

/* Elements in both boxes; 0 where they do not overlap. */
static uint64_t common(const dag_view *a, const dag_view *b) {
  uint64_t n = 1;
  for (int i = 0; i < DAG_RANK; i++) {
    uint64_t lo = a->lo[i] > b->lo[i] ? a->lo[i] : b->lo[i];
    uint64_t ea = view_end(a, i), eb = view_end(b, i), end = ea < eb ? ea : eb;
    if (end <= lo) return 0;
    n *= end - lo;
  }
  return n;
}

static int by_key(const void *a, const void *b) {
  const haz_write *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return (x->order > y->order) - (x->order < y->order);
}

static void sort_along(haz_write *w, size_t n, int dim) {
  bool sorted = true;
  for (size_t i = 0; i < n; i++) {
    w[i].key = w[i].view->lo[dim];
    sorted = sorted && (i == 0 || by_key(&w[i - 1], &w[i]) < 0);
  }
  if (!sorted) qsort(w, n, sizeof *w, by_key);
}

/* Sorts one tensor's writes along the dimension with the most different beginnings. */
static uint8_t index_tensor(haz_write *w, size_t n) {
  int best = 0;
  size_t most = 0;
  for (int dim = 0; n > 1 && dim < DAG_RANK; dim++) {
    sort_along(w, n, dim);
    size_t different = 1;
    for (size_t i = 1; i < n; i++) different += w[i].key != w[i - 1].key;
    if (different > most) most = different, best = dim;
  }
  sort_along(w, n, best);
  uint64_t reach = 0;
  for (size_t i = 0; i < n; i++) {
    uint64_t end = view_end(w[i].view, best);
    if (end > reach) reach = end;
    w[i].reach = reach;
  }
  return (uint8_t)best;
}

hazards haz_new(const haz_write *writes, size_t n, size_t n_tensors, arena *a) {
  hazards h = {.writes = ARENA_NEW(a, haz_write, n),
               .first = ARENA_NEW(a, size_t, n_tensors + 2),
               .dim = ARENA_NEW(a, uint8_t, n_tensors),
               .n_tensors = n_tensors,
               .n_writes = n,
               .steps = MIN_STEPS + STEPS_A_WRITE * n};
  /* count at [t + 2], sum up, then fill while [t + 1] walks from its start to its end */
  for (size_t i = 0; i < n; i++) h.first[writes[i].view->tensor + 2]++;
  for (size_t t = 2; t < n_tensors + 2; t++) h.first[t] += h.first[t - 1];
  for (size_t i = 0; i < n; i++) {
    haz_write *w = &h.writes[h.first[writes[i].view->tensor + 1]++];
    *w = writes[i];
    w->order = (uint32_t)i;
  }
  for (size_t t = 0; t < n_tensors; t++)
    h.dim[t] = index_tensor(h.writes + h.first[t], h.first[t + 1] - h.first[t]);
  return h;
}

bool haz_query(hazards *h, const dag_view *v, haz_hits *hits) {
  hits->n = 0;
  int dim = h->dim[v->tensor];
  const haz_write *base = h->writes + h->first[v->tensor];
  size_t lo = 0, hi = h->first[v->tensor + 1] - h->first[v->tensor];
  uint64_t end = view_end(v, dim);
  while (lo < hi) { /* the first that begins behind the view */
    size_t mid = lo + (hi - lo) / 2;
    if (base[mid].key < end)
      lo = mid + 1;
    else
      hi = mid;
  }
  for (size_t i = lo; i-- > 0 && base[i].reach > v->lo[dim];) {
    if (h->steps == 0) return false;
    h->steps--;
    uint64_t elements = common(v, base[i].view);
    if (elements == 0) continue;
    if (hits->n == hits->cap) {
      hits->cap = hits->cap < 16 ? 16 : hits->cap * 2;
      hits->items = mem_realloc(hits->items, hits->cap, sizeof *hits->items);
    }
    hits->items[hits->n++] = (haz_hit){base[i].task, elements};
  }
  return true;
}

typedef struct range {
  size_t begin, n;
} range;

/* Work on one tensor's writes: ranges still to be separated. Ranges are disjoint and hold two
 * writes at least. */
typedef struct cutter {
  hazards *h;
  haz_write *w;
  range *open;
  size_t n_open;
} cutter;

static bool spend(hazards *h, uint64_t steps) {
  bool enough = h->steps >= steps;
  h->steps = enough ? h->steps - steps : 0;
  return enough;
}

/* Cuts the range along a dimension wherever no box is cut; its parts go on the list. False: no such
 * cut. */
static bool cut(cutter *c, range r, int dim) {
  haz_write *w = c->w + r.begin;
  sort_along(w, r.n, dim);
  uint64_t reach = view_end(w[0].view, dim);
  size_t from = 0;
  for (size_t i = 1; i <= r.n; i++) {
    if (i < r.n && w[i].key < reach) {
      uint64_t end = view_end(w[i].view, dim);
      if (end > reach) reach = end;
      continue;
    }
    if (i == r.n && from == 0) return false;
    if (i - from > 1) c->open[c->n_open++] = (range){r.begin + from, i - from};
    from = i;
    if (i < r.n) reach = view_end(w[i].view, dim);
  }
  return true;
}

static haz_verdict compare_all(cutter *c, range r, haz_write pair[2]) {
  const haz_write *w = c->w + r.begin;
  for (size_t i = 1; i < r.n; i++)
    for (size_t j = 0; j < i; j++) {
      if (!spend(c->h, 1)) return HAZ_TANGLED;
      if (common(w[i].view, w[j].view) == 0) continue;
      bool ordered = w[j].task <= w[i].task;
      pair[0] = ordered ? w[j] : w[i];
      pair[1] = ordered ? w[i] : w[j];
      return HAZ_FOUND;
    }
  return HAZ_NONE;
}

static haz_verdict separate(cutter *c, size_t n, haz_write pair[2]) {
  c->open[0] = (range){0, n};
  c->n_open = n > 1;
  while (c->n_open > 0) {
    range r = c->open[--c->n_open];
    bool parted = false;
    for (int dim = 0; dim < DAG_RANK && !parted; dim++) {
      if (!spend(c->h, SORT_STEPS * r.n)) return HAZ_TANGLED;
      parted = cut(c, r, dim);
    }
    haz_verdict v = parted ? HAZ_NONE : compare_all(c, r, pair);
    if (v != HAZ_NONE) return v;
  }
  return HAZ_NONE;
}

haz_verdict haz_find_double(hazards *h, haz_write pair[2]) {
  arena scratch = {0};
  cutter c = {.h = h, .open = ARENA_NEW(&scratch, range, h->n_writes + 1)};
  haz_write *copy = ARENA_NEW(&scratch, haz_write, h->n_writes);
  if (h->n_writes > 0) memcpy(copy, h->writes, h->n_writes * sizeof *copy);
  haz_verdict v = HAZ_NONE;
  for (size_t t = 0; t < h->n_tensors && v == HAZ_NONE; t++) {
    c.w = copy + h->first[t];
    v = separate(&c, h->first[t + 1] - h->first[t], pair);
  }
  arena_free(&scratch);
  return v;
}
