/* convert.h - f32 to and from the 16-bit floats, to the bit.
 *
 * bf16 is the upper half of an f32; f16 is IEEE binary16. Narrowing rounds to nearest, ties to
 * even; what is beyond the largest finite value becomes infinite; subnormals are kept; a NaN stays
 * a NaN (quiet). Widening is exact. The rounding mode must be the default one. Source: IEEE
 * 754-2008, 4.3.1 and 3.4. */
#ifndef LS_KERNELS_CONVERT_H
#define LS_KERNELS_CONVERT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t kern_f32_bits(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}

static inline float kern_bits_f32(uint32_t u) {
  float x;
  memcpy(&x, &u, sizeof x);
  return x;
}

static inline float kern_bf16_f32(uint16_t h) {
  return kern_bits_f32((uint32_t)h << 16);
}

static inline uint16_t kern_f32_bf16(float x) {
  uint32_t u = kern_f32_bits(x);
  if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
  return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* The exponent and mantissa bits, read as those of an f32, stand for a value 2^112 times too small;
 * multiplying is exact, for subnormals too. Without branches, so that loops over it vectorise. */
static inline float kern_f16_f32(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, a = h & 0x7fff;
  uint32_t special = a > 0x7bff ? 0x7f800000 : 0; /* infinite or NaN */
  return kern_bits_f32(sign | special | kern_f32_bits(kern_bits_f32(a << 13) * 0x1p112f));
}

static inline uint16_t kern_f32_f16(float x) {
  uint32_t u = kern_f32_bits(x), a = u & 0x7fffffff;
  uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
  if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
  if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and more */
  if (a < 0x38800000) /* below 2^-14: a multiple of 2^-24, which is the last place of 0.5f + x */
    return (uint16_t)(sign | (kern_f32_bits(kern_bits_f32(a) + 0.5f) - 0x3f000000));
  return (uint16_t)(sign | ((a + 0xfff + (a >> 13 & 1) - 0x38000000) >> 13));
}

/* y[i] = x[i], n values; y and x do not overlap. Cost: n conversions. Cannot fail. */
void kern_to_bf16(uint16_t *restrict y, const float *restrict x, size_t n);
void kern_to_f16(uint16_t *restrict y, const float *restrict x, size_t n);
void kern_from_bf16(float *restrict y, const uint16_t *restrict x, size_t n);
void kern_from_f16(float *restrict y, const uint16_t *restrict x, size_t n);

#endif
