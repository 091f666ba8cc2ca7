/* kernel_bits: a checksum a kernel over fixed random input, a line each. test_kernel_bits.sh
 * compares builds of it for different instruction sets: kernels/clones.h promises the same bits. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/attention.h"
#include "kernels/convert.h"
#include "kernels/matmul.h"
#include "kernels/quant.h"
#include "kernels/vector.h"

enum { ROWS = 37, COLS = 2 * 1024 + 5 * 32, T = 3, CELLS = ROWS * COLS };

static float random_at(uint64_t i) {
  uint64_t z = (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
  return (float)((z ^ z >> 31) >> 40) * 0x1p-23f - 1;
}

static void print(const char *name, const float *x, size_t n) {
  uint64_t h = UINT64_C(0xCBF29CE484222325);
  for (size_t i = 0; i < n; i++) h = (h ^ kern_f32_bits(x[i])) * UINT64_C(0x100000001B3);
  printf("%s %016" PRIx64 "\n", name, h);
}

static void product(const char *name, kern_format f, const void *data, const void *scales,
                    size_t group, const float *x) {
  float y[T * ROWS];
  kern_matrix w = kern_matrix_new(f, data, scales, ROWS, COLS, group);
  kern_matmul(y, ROWS, x, COLS, T, &w, 0, ROWS, 0, COLS, false);
  kern_matmul(y, ROWS, x, COLS, T, &w, 0, ROWS, 5, COLS - 3, true);
  print(name, y, T * ROWS);
}

int main(void) {
  static float w[CELLS], x[T * COLS], y[CELLS], scale[CELLS];
  static uint16_t half[CELLS];
  static uint8_t bytes[CELLS * 2];
  for (size_t i = 0; i < CELLS; i++) w[i] = random_at(i);
  for (size_t i = 0; i < T * COLS; i++) x[i] = random_at(CELLS + i);
  product("f32", KERN_F32, w, NULL, 0, x);
  kern_to_f16(half, w, CELLS);
  product("f16", KERN_F16, half, NULL, 0, x);
  kern_from_f16(y, half, CELLS);
  print("from_f16", y, CELLS);
  kern_to_bf16(half, w, CELLS);
  product("bf16", KERN_BF16, half, NULL, 0, x);
  kern_from_bf16(y, half, CELLS);
  print("from_bf16", y, CELLS);
  kern_int8_quantise((int8_t *)bytes, scale, w, ROWS, COLS);
  product("int8", KERN_INT8, bytes, scale, COLS, x);
  kern_int8_quantise((int8_t *)bytes, scale, w, CELLS / 64, 64);
  product("int8_64", KERN_INT8, bytes, scale, 64, x);
  kern_int4_quantise(bytes, half, w, ROWS, COLS, KERN_GROUP);
  product("int4", KERN_INT4, bytes, half, KERN_GROUP, x);
  kern_q8_0_quantise(bytes, w, CELLS);
  product("q8_0", KERN_Q8_0, bytes, NULL, 0, x);
  kern_q4_0_quantise(bytes, w, CELLS);
  product("q4_0", KERN_Q4_0, bytes, NULL, 0, x);

  kern_rmsnorm(y, w, x, ROWS, COLS, 1e-5);
  print("rmsnorm", y, CELLS);
  kern_silu_mul(y, w, w + 1, CELLS - 1);
  print("silu_mul", y, CELLS - 1);
  enum { H = 4, N = 30, D = 24, Q = 8 };
  kern_attn a = {.H = H, .T = Q, .N = N, .m = 2, .d = D, .pos = 20};
  float *s = y, max[H * Q], sum[H * Q], o[H * Q * D];
  kern_scores(s, w, w + 5000, &a);
  print("scores", s, H * Q * N);
  kern_softmax_max(max, s, &a);
  kern_softmax_exp(s, sum, s, max, &a);
  kern_softmax_norm(s, s, sum, &a);
  print("softmax", s, H * Q * N);
  kern_values(o, s, w + 9000, &a);
  print("values", o, H * Q * D);
  kern_flash(o, max, sum, w, w + 5000, w + 9000, scale, &a, true);
  print("flash", o, H * Q * D);
  return 0;
}
