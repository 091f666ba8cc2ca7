/* numeric.h - what the numeric suites share: golden data, random values, distances. Everything
 * fails the test at hand where data is missing. */
#ifndef LS_TESTS_NUMERIC_H
#define LS_TESTS_NUMERIC_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/golden.h"
#include "sim/base/arena.h"

/* TESTS_DIR/golden/<stem>.{json,bin} */
golden num_load(const char *stem, arena *a);
const golden_array *num_array(const golden *g, const char *name);
/* Its values as f32; exact for f32, f16 and small integers. */
float *num_f32(const golden *g, const char *name, arena *a);

/* max|x - ref| / max|ref| (or max|x| where ref is 0). Infinities must be equal and count as 0; a
 * NaN on one side only, or unequal infinities, give infinity. */
double num_error(const float *x, const golden_array *ref);
double num_error_f32(const float *x, const float *ref, size_t n);

/* n values in (-1,1), a pure function of the seed. */
float *num_random(uint64_t seed, size_t n, arena *a);
/* A whole number from lo to hi. */
size_t num_pick(uint64_t *state, size_t lo, size_t hi);

#endif
