/* matmul.h - weight matrices in every stored form, and their products with f32 activations.
 *
 * A kern_matrix is a const view of weights (out, in) where they lie: a mapped checkpoint or a tile
 * in a buffer. Nothing is copied or owned, and nothing need be aligned. Every format means f32
 * values:
 *
 *   F32, F16, BF16   the value itself
 *   INT8             scale * q, f32 scales, one for `group` columns (a row; llama2.c: fewer)
 *   INT4             scale * q, f16 scales, one for 32 columns, packed as in quant.h
 *   Q8_0, Q4_0       GGUF blocks of 32, scale inside
 *
 * with the product scale * q rounded to f32 once (exact for f16 scales). Products use these values
 * and f32 accumulation in one stated order, so that a matmul has the same bits in every format that
 * means the same values, on every machine, for every range of rows and any number of rows of x at
 * once. The order:
 *
 *   Element k of the range k0 .. k1-1 is multiplied and added in lane (k - k0) mod 32, ascending k.
 *   Then lane l gets lane l + 16 added, for l < 16; then l + 8, 4, 2, 1 alike; lane 0 is the sum.
 *   Every product and every sum rounds to f32 (no fused multiply-add).
 *
 * Cutting the k range (accumulate) gives another order, hence other last bits. */
#ifndef LS_KERNELS_MATMUL_H
#define LS_KERNELS_MATMUL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* id, name */
#define KERN_FORMATS(X)                                                                            \
  X(F32, "f32")                                                                                    \
  X(F16, "f16")                                                                                    \
  X(BF16, "bf16")                                                                                  \
  X(INT8, "int8")                                                                                  \
  X(INT4, "int4")                                                                                  \
  X(Q8_0, "q8_0")                                                                                  \
  X(Q4_0, "q4_0")

typedef enum kern_format {
#define X(id, name) KERN_##id,
  KERN_FORMATS(X)
#undef X
      KERN_FORMAT_COUNT
} kern_format;

const char *kern_format_name(kern_format f);

typedef struct kern_matrix {
  const uint8_t *data; /* row r starts at data + r * row_B */
  const uint8_t
      *scales; /* row r's at scales + r * scales_row_B; NULL where the format has none apart */
  size_t rows, cols, row_B, scales_row_B;
  size_t group; /* INT8: columns that share a scale */
  kern_format format;
} kern_matrix;

/* A matrix whose rows follow each other without gaps. `scales` and `group` (1 to cols) are for INT8
 * and INT4 (group 32); others take NULL and 0. Q8_0 and Q4_0 need cols a multiple of 32. */
kern_matrix kern_matrix_new(kern_format f, const void *data, const void *scales, size_t rows,
                            size_t cols, size_t group);

/* y[t,r] (+)= sum_{k=k0}^{k1-1} x[t,k] * w[r,k]  for r = r0 .. r1-1, t = 0 .. T-1
 * x: T rows, ldx apart, columns numbered as those of w; y: T rows, ldy apart, columns numbered as
 * the rows of w; values outside the ranges are neither read nor written. `accumulate`: adds to what
 * y holds, else replaces it (0 where the k range is empty). y overlaps neither x nor w. Cost:
 * 2*T*(r1-r0)*(k1-k0) FLOP; reads the tile of w once for up to 64 rows of x. Cannot fail. */
void kern_matmul(float *restrict y, size_t ldy, const float *restrict x, size_t ldx, size_t T,
                 const kern_matrix *w, size_t r0, size_t r1, size_t k0, size_t k1, bool accumulate);

/* y[k - k0] = w[r, k] for k = k0 .. k1-1, as f32. Cost: k1-k0 conversions. */
void kern_row(float *restrict y, const kern_matrix *w, size_t r, size_t k0, size_t k1);

/* Embedding: y[t,:] = w[ids[t],:], y: (T, cols). Every id is below w->rows (whoever reads ids
 * checks them). */
void kern_gather(float *restrict y, const kern_matrix *w, const uint32_t *restrict ids, size_t T);

/* sum_i x[i] * y[i] in the order above. */
float kern_dot(const float *restrict x, const float *restrict y, size_t n);

/* The same with f64 products (exact) and sums, for what is small and exponentiated or divided by.
 */
double kern_dot_f64(const float *restrict x, const float *restrict y, size_t n);

/* sum_i x[i], in f32 and the same order. */
float kern_sum(const float *x, size_t n);

#endif
