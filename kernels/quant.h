/* quant.h - rounding f32 to the integer formats that weights, activations and KV caches are stored
 * in.
 *
 * A group of values shares a scale; a value is scale * q. What the formats differ in:
 *
 *   format     group       scale  scale is      q          rounding               stored
 *   int8       a row       f32    amax / 127    -127..127  nearest, ties to even  q, scales apart
 *   llama2.c   the file's  f32    amax / 127    -127..127  nearest, ties to even  q, scales apart
 *   int8 KV    a row       f16    amax / 127    -127..127  nearest, ties to even  q, scales apart
 *   Q8_0       32          f16    amax / 127    -127..127  nearest, ties outward  scale, 32 B of q
 *   Q4_0       32          f16    extreme / -8  -8..7      floor(x/scale + 0.5)   scale, 16 B of q
 *   int4       32          f16    extreme / -8  -8..7      floor(x/scale + 0.5)   q, scales apart
 *   int4 KV    a row       f16    extreme / -8  -8..7      floor(x/scale + 0.5)   q, scales apart
 *
 * amax is the largest |x| of the group; the extreme is that x with its sign (the first of equals),
 * so that it is exact as -8. Two 4-bit values share a byte: of a group of n (32, a row, or what is
 * left at the end of a row), byte j holds value j in its low and value j + ceil(n/2) in its high
 * nibble, each as q + 8. The int8 KV scale is rounded to f16 before q is computed; GGUF computes q
 * with the f32 scale and stores it rounded. A scale that underflows to 0 makes the group 0.
 *
 * Error, |x - scale*q|: at most scale/2 (8 bits), plus the rounding of the scale (2^-11 relative)
 * where that is f16; 4 bits: at most |scale| (what is opposite to the extreme is cut off at 7).
 *
 * Sources: llama2.c export.py (version 2); GGML (block_q8_0, block_q4_0). */
#ifndef LS_KERNELS_QUANT_H
#define LS_KERNELS_QUANT_H

#include <stddef.h>
#include <stdint.h>

enum { KERN_GROUP = 32, KERN_Q8_0_B = 34, KERN_Q4_0_B = 18 };

/* q: (R, C), scale: (R), x: (R, C), none overlapping. For llama2.c groups C is the group's size and
 * R the number of groups. Cost: 3*R*C FLOP. Cannot fail. */
void kern_int8_quantise(int8_t *restrict q, float *restrict scale, const float *restrict x,
                        size_t R, size_t C);
void kern_int8_dequantise(float *restrict y, const int8_t *restrict q, const float *restrict scale,
                          size_t R, size_t C);

/* Its parts, for rows that come in pieces: the scale of a row of C values (amax / 127), and q of n
 * of them by a given scale (0: all 0). Cost: C, 2*n FLOP. */
float kern_int8_scale(const float *x, size_t C);
void kern_int8_round(int8_t *restrict q, const float *restrict x, float scale, size_t n);

/* The same with f16 scales: a row is a token's values of one KV head. */
void kern_int8_f16_quantise(int8_t *restrict q, uint16_t *restrict scale, const float *restrict x,
                            size_t R, size_t C);
void kern_int8_f16_dequantise(float *restrict y, const int8_t *restrict q,
                              const uint16_t *restrict scale, size_t R, size_t C);

/* GGUF: n values, a multiple of KERN_GROUP, to n / KERN_GROUP blocks of KERN_Q8_0_B or KERN_Q4_0_B
 * bytes (little-endian f16 scale first). */
void kern_q8_0_quantise(uint8_t *restrict blocks, const float *restrict x, size_t n);
void kern_q8_0_dequantise(float *restrict y, const uint8_t *restrict blocks, size_t n);
void kern_q4_0_quantise(uint8_t *restrict blocks, const float *restrict x, size_t n);
void kern_q4_0_dequantise(float *restrict y, const uint8_t *restrict blocks, size_t n);

/* Bytes of a row of C int4 values in groups of `group` (the last may be shorter): every group
 * starts on a byte. */
static inline size_t kern_int4_row_bytes(size_t C, size_t group) {
  return C / group * ((group + 1) / 2) + (C % group + 1) / 2;
}

/* q: R rows of kern_int4_row_bytes(C, group); scale: (R, ceil(C/group)); x: (R, C). Weights have
 * groups of KERN_GROUP; a KV cache has one group a row (a token's values of one KV head): group C.
 */
void kern_int4_quantise(uint8_t *restrict q, uint16_t *restrict scale, const float *restrict x,
                        size_t R, size_t C, size_t group);
void kern_int4_dequantise(float *restrict y, const uint8_t *restrict q,
                          const uint16_t *restrict scale, size_t R, size_t C, size_t group);

/* Pieces of dequantisation, for mat-vecs: values first .. first+n-1 of a group of `of` values. */
void kern_int8_part(float *restrict y, const int8_t *restrict q, float scale, size_t n);
void kern_int4_part(float *restrict y, const uint8_t *restrict q, float scale, size_t first,
                    size_t n, size_t of);

#endif
