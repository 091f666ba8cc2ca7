#include <math.h>
#include <stdlib.h>

#include "sim/policy.h"

typedef struct keyed {
  double key;
  uint32_t task;
} keyed;

static int by_key(const void *a, const void *b) {
  const keyed *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return (x->task > y->task) - (x->task < y->task);
}

void pol_sort(uint32_t *tasks, size_t n, const double *key) {
  keyed *list = mem_alloc(n, sizeof *list);
  for (size_t i = 0; i < n; i++) list[i] = (keyed){key[tasks[i]], tasks[i]};
  qsort(list, n, sizeof *list, by_key);
  for (size_t i = 0; i < n; i++) tasks[i] = list[i].task;
  free(list);
}

double *pol_upward_rank(const pol_input *in, arena *a) {
  const dag *d = in->dag;
  double *rank = ARENA_NEW(a, double, d->n_tasks);
  bool alike = est_engines_alike(in->plat);
  for (uint32_t t = (uint32_t)d->n_tasks; t-- > 0;) {
    double tail = 0;
    for (uint64_t s = in->succ.first[t]; s < in->succ.first[t + 1]; s++)
      tail = fmax(tail, rank[in->succ.succ[s]]);
    cost c = cost_of(d, t);
    rank[t] = tail + est_best_s(in->plat, d, t, &c, alike);
  }
  return rank;
}
