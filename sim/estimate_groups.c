#include "sim/estimate_groups.h"

#include <math.h>
#include <stdlib.h>

static bool before(const groups_item *x, const groups_item *y) {
  return x->group < y->group || (x->group == y->group && x->from_s < y->from_s);
}

static int compare(const void *a, const void *b) {
  return before(a, b) ? -1 : before(b, a);
}

enum { FEW = 64 };

/* Mostly they are in order: tasks of a group follow one another. */
static void sort(groups_item *x, size_t n) {
  size_t i = 1;
  while (i < n && !before(&x[i], &x[i - 1])) i++;
  if (i >= n) return;
  if (n > FEW) {
    qsort(x, n, sizeof *x, compare);
    return;
  }
  for (; i < n; i++) {
    groups_item y = x[i];
    size_t k = i;
    for (; k > 0 && before(&y, &x[k - 1]); k--) x[k] = x[k - 1];
    x[k] = y;
  }
}

double groups_end(const dag *d, const uint32_t *tasks, size_t n, const double *from_s,
                  const double *takes_s, groups_item *space) {
  size_t m = 0;
  double most = 0, end = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t t = tasks[i];
    if (d->tasks[t].group == DAG_NO_GROUP) continue;
    space[m++] = (groups_item){d->tasks[t].group, from_s[t], takes_s[t]};
  }
  if (m < 2) return 0;
  sort(space, m);
  for (size_t i = 0; i < m; i++) {
    if (i == 0 || space[i].group != space[i - 1].group) end = 0;
    end = fmax(end, space[i].from_s) + space[i].takes_s;
    most = fmax(most, end);
  }
  return most;
}

static int descending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x < y) - (x > y);
}

enum { MOST_SHARED = 64, MOST_SETS = 32 };

double groups_shared_s(double *group_s, size_t n, size_t engines) {
  double most = 0;
  qsort(group_s, n, sizeof *group_s, descending);
  for (size_t k = 1; k * engines < n && k <= MOST_SHARED; k++) {
    double sum = 0;
    for (size_t i = 0; i <= k; i++) sum += group_s[k * engines - i];
    most = fmax(most, sum);
  }
  return most;
}

typedef struct packed {
  double near_s, far_s, takes_s; /* before it, and after; or the other way round */
} packed;

static int latest_first(const void *a, const void *b) {
  const packed *x = a, *y = b;
  return (x->near_s < y->near_s) - (x->near_s > y->near_s);
}

/* Over sets of those with the largest near_s. */
static double sets_s(packed *g, size_t n, size_t engines, double *space) {
  double most = 0, far_s = INFINITY;
  size_t step = (n + MOST_SETS - 1) / MOST_SETS, next = engines + 1;
  qsort(g, n, sizeof *g, latest_first);
  for (size_t i = 0; i < n; i++) {
    far_s = fmin(far_s, g[i].far_s);
    if (i + 1 < next && i + 1 < n) continue;
    next = i + 1 + step;
    for (size_t k = 0; k <= i; k++) space[k] = g[k].takes_s;
    most = fmax(most, g[i].near_s + groups_shared_s(space, i + 1, engines) + far_s);
  }
  return most;
}

double groups_packed_s(const dag *d, size_t engines, const double *best_s, const double *head_s,
                       const double *tail_s) {
  if (d->n_groups <= engines) return 0;
  arena scratch = {0};
  size_t n = d->n_groups;
  packed *g = ARENA_NEW(&scratch, packed, n);
  double *space = ARENA_NEW(&scratch, double, n);
  for (size_t i = 0; i < n; i++) g[i] = (packed){.near_s = INFINITY, .far_s = INFINITY};
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    if (d->tasks[t].group == DAG_NO_GROUP) continue;
    packed *x = &g[d->tasks[t].group];
    x->near_s = fmin(x->near_s, head_s[t]);
    x->far_s = fmin(x->far_s, tail_s[t]);
    x->takes_s += best_s[t];
  }
  size_t used = 0;
  for (size_t i = 0; i < n; i++)
    if (g[i].near_s < INFINITY) g[used++] = g[i];
  n = used;
  double most = sets_s(g, n, engines, space);
  for (size_t i = 0; i < n; i++) {
    double near_s = g[i].near_s;
    g[i].near_s = g[i].far_s;
    g[i].far_s = near_s;
  }
  most = fmax(most, sets_s(g, n, engines, space));
  arena_free(&scratch);
  return most;
}
