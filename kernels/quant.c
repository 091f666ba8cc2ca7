#include "kernels/quant.h"

#include <math.h>
#include <string.h>

#include "kernels/convert.h"

static size_t min_size(size_t a, size_t b) {
  return a < b ? a : b;
}

static float amax(const float *x, size_t n) {
  float most = 0;
  for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(x[i]));
  return most;
}

/* A whole number, or something that is none (NaN, from x = infinity * 0), to int8. */
static int8_t to_int8(float v) {
  if (!(v >= -127)) return v < -127 ? -127 : 0;
  return (int8_t)(v > 127 ? 127 : v);
}

/* 1/d, or 0 where d is so small that it does not exist. */
static float inverse(float d) {
  float inv = d == 0 ? 0 : 1 / d;
  return isfinite(inv) ? inv : 0;
}

static void put_f16(uint8_t *p, uint16_t h) {
  p[0] = (uint8_t)(h & 0xff);
  p[1] = (uint8_t)(h >> 8);
}

static float get_f16(const uint8_t *p) {
  return kern_f16_f32((uint16_t)(p[0] | p[1] << 8));
}

/* ---- 8 bits ------------------------------------------------------------------------------------
 */

float kern_int8_scale(const float *x, size_t C) {
  return amax(x, C) / 127;
}

void kern_int8_round(int8_t *restrict q, const float *restrict x, float scale, size_t n) {
  for (size_t i = 0; i < n; i++) q[i] = scale == 0 ? 0 : to_int8(rintf(x[i] / scale));
}

void kern_int8_quantise(int8_t *restrict q, float *restrict scale, const float *restrict x,
                        size_t R, size_t C) {
  for (size_t r = 0; r < R; r++) {
    scale[r] = kern_int8_scale(x + r * C, C);
    kern_int8_round(q + r * C, x + r * C, scale[r], C);
  }
}

void kern_int8_f16_quantise(int8_t *restrict q, uint16_t *restrict scale, const float *restrict x,
                            size_t R, size_t C) {
  for (size_t r = 0; r < R; r++) {
    scale[r] = kern_f32_f16(amax(x + r * C, C) / 127);
    kern_int8_round(q + r * C, x + r * C, kern_f16_f32(scale[r]), C);
  }
}

void kern_int8_part(float *restrict y, const int8_t *restrict q, float scale, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = scale * (float)q[i];
}

void kern_int8_dequantise(float *restrict y, const int8_t *restrict q, const float *restrict scale,
                          size_t R, size_t C) {
  for (size_t r = 0; r < R; r++) kern_int8_part(y + r * C, q + r * C, scale[r], C);
}

void kern_int8_f16_dequantise(float *restrict y, const int8_t *restrict q,
                              const uint16_t *restrict scale, size_t R, size_t C) {
  for (size_t r = 0; r < R; r++) kern_int8_part(y + r * C, q + r * C, kern_f16_f32(scale[r]), C);
}

void kern_q8_0_quantise(uint8_t *restrict blocks, const float *restrict x, size_t n) {
  for (; n >= KERN_GROUP; n -= KERN_GROUP, x += KERN_GROUP, blocks += KERN_Q8_0_B) {
    float d = amax(x, KERN_GROUP) / 127, inv = inverse(d);
    put_f16(blocks, kern_f32_f16(d));
    for (size_t i = 0; i < KERN_GROUP; i++) blocks[2 + i] = (uint8_t)to_int8(roundf(x[i] * inv));
  }
}

void kern_q8_0_dequantise(float *restrict y, const uint8_t *restrict blocks, size_t n) {
  for (; n >= KERN_GROUP; n -= KERN_GROUP, y += KERN_GROUP, blocks += KERN_Q8_0_B)
    kern_int8_part(y, (const int8_t *)blocks + 2, get_f16(blocks), KERN_GROUP);
}

/* ---- 4 bits ------------------------------------------------------------------------------------
 */

/* Packs a group of n values; returns its scale. */
static uint16_t int4_group(uint8_t *q, const float *x, size_t n) {
  float extreme = 0;
  for (size_t i = 0; i < n; i++)
    if (fabsf(x[i]) > fabsf(extreme)) extreme = x[i];
  float d = extreme / -8, inv = inverse(d);
  size_t half = (n + 1) / 2;
  memset(q, 0, half);
  for (size_t i = 0; i < n; i++) {
    float v = x[i] * inv + 8.5f;
    uint32_t nibble = v >= 15 ? 15 : v > 0 ? (uint32_t)v : 0;
    q[i % half] |= (uint8_t)(i < half ? nibble : nibble << 4);
  }
  return kern_f32_f16(d);
}

void kern_int4_part(float *restrict y, const uint8_t *restrict q, float scale, size_t first,
                    size_t n, size_t of) {
  size_t half = (of + 1) / 2, end = first + n, i = first;
  for (; i < min_size(half, end); i++) y[i - first] = scale * (float)((q[i] & 15) - 8);
  for (; i < end; i++) y[i - first] = scale * (float)((q[i - half] >> 4) - 8);
}

void kern_q4_0_quantise(uint8_t *restrict blocks, const float *restrict x, size_t n) {
  for (; n >= KERN_GROUP; n -= KERN_GROUP, x += KERN_GROUP, blocks += KERN_Q4_0_B)
    put_f16(blocks, int4_group(blocks + 2, x, KERN_GROUP));
}

void kern_q4_0_dequantise(float *restrict y, const uint8_t *restrict blocks, size_t n) {
  for (; n >= KERN_GROUP; n -= KERN_GROUP, y += KERN_GROUP, blocks += KERN_Q4_0_B)
    kern_int4_part(y, blocks + 2, get_f16(blocks), 0, KERN_GROUP, KERN_GROUP);
}

void kern_int4_quantise(uint8_t *restrict q, uint16_t *restrict scale, const float *restrict x,
                        size_t R, size_t C, size_t group) {
  for (size_t r = 0; r < R; r++)
    for (size_t i = 0; i < C; i += group) {
      size_t n = min_size(group, C - i);
      *scale++ = int4_group(q, x, n);
      q += (n + 1) / 2, x += n;
    }
}

void kern_int4_dequantise(float *restrict y, const uint8_t *restrict q,
                          const uint16_t *restrict scale, size_t R, size_t C, size_t group) {
  for (size_t r = 0; r < R; r++)
    for (size_t i = 0; i < C; i += group) {
      size_t n = min_size(group, C - i);
      kern_int4_part(y, q, kern_f16_f32(*scale++), 0, n, n);
      q += (n + 1) / 2, y += n;
    }
}
