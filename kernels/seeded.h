/* seeded.h - weights without a checkpoint: every value is a pure function of a seed, the tensor's
 * HF name and its index.
 *
 * Element i of a tensor, all arithmetic on 64-bit unsigned numbers, G = 0x9E3779B97F4A7C15:
 *   z = finalise((fnv1a64(name) ^ seed * G) + (i + 1) * G)
 *   u = (2 * (z >> 40) + 1 - 2^24) / 2^24
 *
 * with the finaliser of splitmix64 (Steele et al. 2014); u is exact in f32 and in (-1, 1). Norm
 * weights (vectors) are 1 + 0.25 u, the embedding 0.0875 u, matrices gain * sqrt(3 / columns) * u
 * with gain 1.75 for q_proj and k_proj, 1.5 for gate_proj, 2 for lm_head, 1 for the others; factor
 * and product are rounded to f32. So each product has about unit variance, and attention and gates
 * are neither flat nor saturated. A model whose torch_dtype is bf16 or f16 has its weights rounded
 * to that, and any file of that dtype holds them exactly. */
#ifndef LS_KERNELS_SEEDED_H
#define LS_KERNELS_SEEDED_H

#include <stddef.h>
#include <stdint.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"
#include "workloads/model.h"

/* w[i] = element first + i of the tensor, i = 0 .. n-1, rounded to `exact` where that is DT_BF16 or
 * DT_F16. */
void seeded_fill(float *w, uint64_t seed, const model_tensor *t, uint64_t first, uint64_t n,
                 dtype exact);

/* All weights of a model, as a source of rows (reference.h). Owner: the arena; `m` must outlive it.
 */
typedef struct seeded {
  const model *m;
  const model_tensor *tensors;
  size_t n;
  uint64_t seed;
} seeded;

seeded *seeded_new(const model *m, uint64_t seed, arena *a);

/* Rows row0 .. row0+n-1 of the tensor with that HF name; a vector is one row. `user` is a seeded.
 * ERR_INTERNAL where the model has no such tensor or row. */
ERR_CHECK int seeded_rows(void *user, const char *name, uint64_t row0, uint64_t n, float *rows,
                          err *e);

#endif
