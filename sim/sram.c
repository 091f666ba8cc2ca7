#include "sim/sram.h"

#include <assert.h>

/* A complete binary tree over `leaves` (a power of two) leaves; leaf i+1 is place i, so that open
 * bounds on both sides exist. top[v] = maximum of the subtree, with the additions pending at v and
 * below; add[v] = addition pending at v. */
struct sram {
  uint64_t capacity_B;
  size_t leaves;
  int64_t *top, *add;
};

/* Below any sum, and far enough from the end that additions cannot wrap. */
#define NOTHING (INT64_MIN / 4)

static int64_t max_i64(int64_t a, int64_t b) {
  return a > b ? a : b;
}

sram *sram_new(uint64_t capacity_B, const uint64_t *planned, size_t n, arena *a) {
  sram *s = ARENA_NEW(a, sram, 1);
  s->capacity_B = capacity_B;
  s->leaves = 2;
  while (s->leaves < n + 2) s->leaves *= 2;
  s->top = ARENA_NEW(a, int64_t, 2 * s->leaves);
  s->add = ARENA_NEW(a, int64_t, 2 * s->leaves);
  for (size_t i = 0; i < n; i++) s->top[s->leaves + i + 1] = (int64_t)planned[i];
  for (size_t v = s->leaves - 1; v >= 1; v--) s->top[v] = max_i64(s->top[2 * v], s->top[2 * v + 1]);
  return s;
}

static void range_add(sram *s, size_t lo, size_t hi, int64_t bytes) {
  size_t l = s->leaves + lo, r = s->leaves + hi + 1; /* open bounds around lo+1 .. hi */
  int64_t *top = s->top, *add = s->add;
  while ((l ^ r) != 1) {
    if ((l & 1) == 0) top[l ^ 1] += bytes, add[l ^ 1] += bytes;
    if ((r & 1) == 1) top[r ^ 1] += bytes, add[r ^ 1] += bytes;
    l >>= 1, r >>= 1;
    top[l] = max_i64(top[2 * l], top[2 * l + 1]) + add[l];
    top[r] = max_i64(top[2 * r], top[2 * r + 1]) + add[r];
  }
  for (l >>= 1; l >= 1; l >>= 1) {
    int64_t t = max_i64(top[2 * l], top[2 * l + 1]) + add[l];
    if (t == top[l]) return; /* nothing changes further up */
    top[l] = t;
  }
}

uint64_t sram_promised(const sram *s, size_t lo, size_t hi) {
  if (lo >= hi) return 0;
  size_t l = s->leaves + lo, r = s->leaves + hi + 1;
  int64_t left = NOTHING, right = NOTHING;
  while ((l ^ r) != 1) {
    if ((l & 1) == 0) left = max_i64(left, s->top[l ^ 1]);
    if ((r & 1) == 1) right = max_i64(right, s->top[r ^ 1]);
    l >>= 1, r >>= 1;
    left += s->add[l];
    right += s->add[r];
  }
  left = max_i64(left, right);
  for (l >>= 1; l >= 1; l >>= 1) left += s->add[l];
  return (uint64_t)left;
}

bool sram_take(sram *s, size_t frontier, size_t p, uint64_t bytes) {
  if (p <= frontier) return true; /* at its planned place: promised from the start */
  if ((uint64_t)s->top[1] + bytes > s->capacity_B &&
      sram_promised(s, frontier, p) + bytes > s->capacity_B)
    return false;
  range_add(s, frontier, p, (int64_t)bytes);
  return true;
}

void sram_untake(sram *s, size_t frontier, size_t p, uint64_t bytes) {
  if (p > frontier) range_add(s, frontier, p, -(int64_t)bytes);
}

void sram_give(sram *s, size_t frontier, size_t r, uint64_t bytes) {
  if (r >= frontier) range_add(s, frontier, r + 1, -(int64_t)bytes);
}
