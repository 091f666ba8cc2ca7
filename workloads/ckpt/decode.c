#include "workloads/ckpt/decode.h"

#include "kernels/convert.h"
#include "sim/base/bytes.h"

enum { BLOCK = 32, Q8_0_BYTES = 34, Q4_0_BYTES = 18 };

static float f16(const unsigned char *p) {
  return kern_f16_f32(bytes_u16(p));
}

static float bf16(const unsigned char *p) {
  return kern_bf16_f32(bytes_u16(p));
}

/* `first` is the index of the first element in the tensor; the rest follow it. */
static void decode_q8_0(const unsigned char *data, uint64_t first, uint64_t n, float *y) {
  const unsigned char *block = NULL;
  float scale = 0;
  for (uint64_t i = 0; i < n; i++) {
    uint64_t at = first + i, k = at % BLOCK;
    if (block == NULL || k == 0) scale = f16(block = data + at / BLOCK * Q8_0_BYTES);
    y[i] = scale * (float)(int8_t)block[2 + k];
  }
}

static void decode_q4_0(const unsigned char *data, uint64_t first, uint64_t n, float *y) {
  const unsigned char *block = NULL;
  float scale = 0;
  for (uint64_t i = 0; i < n; i++) {
    uint64_t at = first + i, k = at % BLOCK;
    if (block == NULL || k == 0) scale = f16(block = data + at / BLOCK * Q4_0_BYTES);
    int q = k < 16 ? block[2 + k] & 15 : block[2 + k - 16] >> 4;
    y[i] = scale * (float)(q - 8);
  }
}

static void decode_q8_l2c(const raw_tensor *t, uint64_t first, uint64_t n, float *y) {
  const int8_t *q = (const int8_t *)t->data + first;
  for (uint64_t i = 0; i < n;) {
    uint64_t group = (first + i) / t->group, end = (group + 1) * t->group - first;
    float scale = bytes_f32(t->scales + 4 * group);
    if (end > n) end = n;
    for (; i < end; i++) y[i] = scale * (float)q[i];
  }
}

void raw_decode(const raw_tensor *t, uint64_t row, uint64_t col, uint64_t n, float *y) {
  uint64_t step = t->rank == 2 ? t->stride[1] : t->stride[0];
  uint64_t first = (t->rank == 2 ? row * t->stride[0] : 0) + col * step;
  switch (t->format) {
  case RAW_F32:
    for (uint64_t i = 0; i < n; i++) y[i] = bytes_f32(t->data + (first + i * step) * 4);
    break;
  case RAW_F16:
    for (uint64_t i = 0; i < n; i++) y[i] = f16(t->data + (first + i * step) * 2);
    break;
  case RAW_BF16:
    for (uint64_t i = 0; i < n; i++) y[i] = bf16(t->data + (first + i * step) * 2);
    break;
  case RAW_Q8_0:
    decode_q8_0(t->data, first, n, y);
    break;
  case RAW_Q4_0:
    decode_q4_0(t->data, first, n, y);
    break;
  case RAW_Q8_L2C:
    decode_q8_l2c(t, first, n, y);
    break;
  case RAW_FORMAT_COUNT:
    break;
  }
}
