#include "sim/estimate_around.h"

#include <math.h>
#include <string.h>

around_space around_space_new(size_t n, arena *a) {
  return (around_space){.spare = ARENA_NEW(a, stretch, n / 2 + 1),
                        .heap = ARENA_NEW(a, waiting, n + 1)};
}

/* Sorts by r and keeps the order of those that are equal; what is sorted is left alone. A merge
 * sort of our own, as qsort's calls cost more than all the rest here. */
static void sort_by_r(stretch *s, size_t n, stretch *spare) {
  if (n <= 8) {
    for (size_t i = 1; i < n; i++) {
      stretch x = s[i];
      size_t k = i;
      for (; k > 0 && s[k - 1].r > x.r; k--) s[k] = s[k - 1];
      s[k] = x;
    }
    return;
  }
  size_t half = n / 2;
  sort_by_r(s, half, spare);
  sort_by_r(s + half, n - half, spare);
  if (s[half - 1].r <= s[half].r) return;
  memcpy(spare, s, half * sizeof *s);
  for (size_t i = 0, k = half, to = 0; i < half; to++)
    s[to] = k < n && s[k].r < spare[i].r ? s[k++] : spare[i++];
}

static void sift_down(waiting *heap, size_t n, size_t i) {
  waiting x = heap[i];
  for (size_t k = 2 * i + 1; k < n; i = k, k = 2 * i + 1) {
    k += k + 1 < n && heap[k + 1].q > heap[k].q;
    if (x.q >= heap[k].q) break;
    heap[i] = heap[k];
  }
  heap[i] = x;
}

static void sift_up(waiting *heap, size_t i) {
  waiting x = heap[i];
  for (size_t up; i > 0 && heap[up = (i - 1) / 2].q < x.q; i = up) heap[i] = heap[up];
  heap[i] = x;
}

double around_end(stretch *s, size_t n, around_space *a) {
  waiting *heap = a->heap;
  size_t n_heap = 0, next = 0;
  double t = 0, end = 0;
  sort_by_r(s, n, a->spare);
  while (next < n || n_heap > 0) {
    if (n_heap == 0) t = fmax(t, s[next].r);
    for (; next < n && s[next].r <= t; next++) {
      heap[n_heap] = (waiting){.q = s[next].q, .of = &s[next]};
      sift_up(heap, n_heap++);
    }
    stretch *x = heap[0].of;
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
