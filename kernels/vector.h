/* vector.h - the kernels that work on activations alone, element by element or row by row, in f32.
 *
 * Shapes are contiguous, outermost first; T is rows (tokens). exp and sqrt are the C library's.
 * None can fail. */
#ifndef LS_KERNELS_VECTOR_H
#define LS_KERNELS_VECTOR_H

#include <stddef.h>
#include <stdint.h>

/* y[t,i] = x[t,i] * (1 / sqrt(mean_i(x[t,i]^2) + eps)) * w[i]
 * x, y: (T, C), y may be x. w: (C). eps > 0 (1e-5 for LLaMA 2 and 3). In f64 (the sum of squares in
 * the lanes of matmul.h), rounded to f32 once. A row of zeros gives zeros. Cost: 4*T*C FLOP.
 * Source: Zhang & Sennrich 2019, eq. 4. */
void kern_rmsnorm(float *y, const float *x, const float *w, size_t T, size_t C, double eps);

/* y[i] = gate[i] / (1 + exp(-gate[i])) * up[i], n values; y may be gate or up. Cost: about 5*n
 * FLOP. Where exp overflows (gate < -88.7) the limit, 0, is right to 4e-37. Source: Shazeer 2020
 * (SwiGLU). */
void kern_silu_mul(float *y, const float *gate, const float *up, size_t n);

/* y[i] = a[i] + b[i], n values; y may be a or b. Cost: n FLOP. */
void kern_add(float *y, const float *a, const float *b, size_t n);

/* The index of the largest of n > 0 values, the first of equals; a NaN is less than any number.
 * Cost: n. */
size_t kern_argmax(const float *x, size_t n);

#endif
