#include "tests/numeric.h"

#include <check.h>
#include <math.h>

golden num_load(const char *stem, arena *a) {
  golden g;
  err e = {0};
  ck_assert_msg(golden_read(arena_printf(a, "%s/golden/%s", TESTS_DIR, stem), &g, a, &e) == ERR_OK,
                "%s", e.msg);
  return g;
}

const golden_array *num_array(const golden *g, const char *name) {
  const golden_array *x = golden_find(g, name);
  ck_assert_msg(x != NULL, "no array '%s'", name);
  return x;
}

float *num_f32(const golden *g, const char *name, arena *a) {
  const golden_array *x = num_array(g, name);
  float *y = ARENA_NEW(a, float, x->count);
  for (uint64_t i = 0; i < x->count; i++) y[i] = (float)golden_at(x, i);
  return y;
}

typedef struct distance {
  double most, scale, own;
} distance;

static void compare(distance *d, double x, double ref) {
  if (isfinite(x) && isfinite(ref)) {
    d->most = fmax(d->most, fabs(x - ref));
    d->scale = fmax(d->scale, fabs(ref));
    d->own = fmax(d->own, fabs(x));
  } else if (!(x == ref || (isnan(x) && isnan(ref)))) {
    d->most = INFINITY;
  }
}

static double relative(const distance *d) {
  double scale = d->scale > 0 ? d->scale : d->own;
  return d->most == 0 ? 0 : d->most / (scale > 0 ? scale : 1);
}

double num_error(const float *x, const golden_array *ref) {
  distance d = {0};
  for (uint64_t i = 0; i < ref->count; i++) compare(&d, (double)x[i], golden_at(ref, i));
  return relative(&d);
}

double num_error_f32(const float *x, const float *ref, size_t n) {
  distance d = {0};
  for (size_t i = 0; i < n; i++) compare(&d, (double)x[i], (double)ref[i]);
  return relative(&d);
}

static uint64_t next(uint64_t *state) {
  uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
  return z ^ z >> 31;
}

float *num_random(uint64_t seed, size_t n, arena *a) {
  float *x = ARENA_NEW(a, float, n);
  for (size_t i = 0; i < n; i++) x[i] = ((float)(next(&seed) >> 41) + 0.5f) * 0x1p-22f - 1;
  return x;
}

size_t num_pick(uint64_t *state, size_t lo, size_t hi) {
  return lo + (size_t)(next(state) % (hi - lo + 1));
}
