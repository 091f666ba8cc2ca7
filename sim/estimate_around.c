#include "sim/estimate_around.h"

#include <math.h>
#include <stdlib.h>

static int by_r(const void *a, const void *b) {
  const stretch *x = a, *y = b;
  return (x->r > y->r) - (x->r < y->r);
}

/* A heap of stretches, the largest q on top: ties do not matter to the result. */
static void sift_down(stretch **heap, size_t n, size_t i) {
  for (size_t k = 2 * i + 1; k < n; i = k, k = 2 * i + 1) {
    if (k + 1 < n && heap[k + 1]->q > heap[k]->q) k++;
    if (heap[i]->q >= heap[k]->q) return;
    stretch *x = heap[i];
    heap[i] = heap[k];
    heap[k] = x;
  }
}

static void sift_up(stretch **heap, size_t i) {
  for (size_t up; i > 0 && heap[up = (i - 1) / 2]->q < heap[i]->q; i = up) {
    stretch *x = heap[i];
    heap[i] = heap[up];
    heap[up] = x;
  }
}

double around_end(stretch *s, size_t n, stretch **heap) {
  size_t n_heap = 0, next = 0;
  double t = 0, end = 0;
  qsort(s, n, sizeof *s, by_r);
  while (next < n || n_heap > 0) {
    if (n_heap == 0) t = fmax(t, s[next].r);
    for (; next < n && s[next].r <= t; next++) {
      heap[n_heap] = &s[next];
      sift_up(heap, n_heap++);
    }
    stretch *x = heap[0];
    double until = next < n ? s[next].r : INFINITY;
    if (t + x->p > until) { /* somebody comes before it is done */
      x->p -= until - t;
      t = until;
      continue;
    }
    t += x->p;
    end = fmax(end, t + x->q);
    heap[0] = heap[--n_heap];
    sift_down(heap, n_heap, 0);
  }
  return end;
}
