#include "kernels/convert.h"

#include "kernels/clones.h"

void kern_to_bf16(uint16_t *restrict y, const float *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = kern_f32_bf16(x[i]);
}

void kern_to_f16(uint16_t *restrict y, const float *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = kern_f32_f16(x[i]);
}

KERN_CLONES void kern_from_bf16(float *restrict y, const uint16_t *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = kern_bf16_f32(x[i]);
}

KERN_CLONES void kern_from_f16(float *restrict y, const uint16_t *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = kern_f16_f32(x[i]);
}
