/* Conversions and quantisers: to the bit against golden vectors, and their error bounds. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "kernels/convert.h"
#include "kernels/quant.h"
#include "tests/numeric.h"
#include "tests/suite.h"

static arena mem;
static golden units;

static void setup(void) {
  mem = (arena){0};
  units = num_load("units", &mem);
}

static void teardown(void) {
  arena_free(&mem);
}

/* ---- conversions -------------------------------------------------------------------------------
 */

START_TEST(convert_narrowing__golden_bits__equal_but_for_nan_payloads) {
  const golden_array *from = num_array(&units, "convert.f32_bits");
  const golden_array *bf16 = num_array(&units, "convert.bf16_bits");
  const golden_array *f16 = num_array(&units, "convert.f16_bits");
  for (uint64_t i = 0; i < from->count; i++) {
    float x = kern_bits_f32((uint32_t)golden_at(from, i));
    uint16_t b = kern_f32_bf16(x), h = kern_f32_f16(x);
    if (isnan(x)) {
      ck_assert(isnan(kern_bf16_f32(b)) && isnan(kern_f16_f32(h)));
    } else {
      ck_assert_uint_eq(b, (uint16_t)golden_at(bf16, i));
      ck_assert_uint_eq(h, (uint16_t)golden_at(f16, i));
    }
  }
}
END_TEST

/* The value of an f16 by its definition. */
static double f16_value(uint16_t h) {
  int exponent = h >> 10 & 31, mantissa = h & 1023;
  double v = exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);
  return h & 0x8000 ? -v : v;
}

START_TEST(convert_f16__all_bit_patterns__mean_their_value_and_come_back) {
  for (uint32_t h = 0; h < 65536; h++) {
    float x = kern_f16_f32((uint16_t)h), y;
    uint16_t in = (uint16_t)h, back;
    kern_from_f16(&y, &in, 1);
    kern_to_f16(&back, &x, 1);
    if ((h & 0x7fff) > 0x7c00) {
      ck_assert(isnan(x) && isnan(y) && isnan(kern_f16_f32(back)));
      continue;
    }
    if ((h & 0x7fff) == 0x7c00)
      ck_assert(isinf(x) && (x > 0) == (h == 0x7c00));
    else
      ck_assert_double_eq((double)x, f16_value(in));
    ck_assert_uint_eq(kern_f32_bits(x), kern_f32_bits(y));
    ck_assert_uint_eq(back, h);
  }
}
END_TEST

START_TEST(convert_f16__between_neighbours__goes_to_the_nearer_and_halves_to_even) {
  for (uint16_t h = 0; h < 0x7bff; h++) {
    float lo = kern_f16_f32(h), hi = kern_f16_f32((uint16_t)(h + 1)), mid = (lo + hi) / 2;
    ck_assert_uint_eq(kern_f32_f16(mid), h % 2 == 0 ? h : h + 1);
    ck_assert_uint_eq(kern_f32_f16(nextafterf(mid, lo)), h);
    ck_assert_uint_eq(kern_f32_f16(-nextafterf(mid, hi)), 0x8000u | (h + 1u));
  }
  ck_assert_uint_eq(kern_f32_f16(nextafterf(65520, 0)), 0x7bff);
  ck_assert_uint_eq(kern_f32_f16(65520), 0x7c00);
}
END_TEST

START_TEST(convert_bf16__between_neighbours__goes_to_the_nearer_and_halves_to_even) {
  for (uint32_t b = 0; b < 0x7f80; b++) {
    uint32_t mid = b << 16 | 0x8000;
    ck_assert_uint_eq(kern_f32_bf16(kern_bits_f32(b << 16)), b);
    ck_assert_uint_eq(kern_f32_bf16(kern_bits_f32(mid)), b + b % 2);
    ck_assert_uint_eq(kern_f32_bf16(kern_bits_f32(mid - 1)), b);
    ck_assert_uint_eq(kern_f32_bf16(kern_bits_f32(mid + 1)), b + 1);
  }
  float x[3] = {1, -2.5f, 3.140625f}, y[3];
  uint16_t h[3];
  kern_to_bf16(h, x, 3);
  kern_from_bf16(y, h, 3);
  ck_assert_mem_eq(x, y, sizeof x);
}
END_TEST

/* ---- quantisers against golden bytes
 * ------------------------------------------------------------- */

START_TEST(quant_q8_0__golden_blocks__equal_bytes_and_values) {
  const golden_array *blocks = num_array(&units, "quant.q8_0_bytes");
  float *x = num_f32(&units, "quant.x", &mem), *want = num_f32(&units, "quant.q8_0_deq", &mem);
  float y[24 * 32];
  uint8_t got[24 * KERN_Q8_0_B];
  ck_assert_uint_eq(blocks->count, sizeof got);
  kern_q8_0_quantise(got, x, 24 * 32);
  ck_assert_mem_eq(got, blocks->data, sizeof got);
  kern_q8_0_dequantise(y, got, 24 * 32);
  ck_assert(memcmp(y, want, sizeof y) == 0);
}
END_TEST

START_TEST(quant_q4_0__golden_blocks__equal_bytes_and_values) {
  const golden_array *blocks = num_array(&units, "quant.q4_0_bytes");
  float *x = num_f32(&units, "quant.x", &mem), *want = num_f32(&units, "quant.q4_0_deq", &mem);
  float y[24 * 32];
  uint8_t got[24 * KERN_Q4_0_B];
  ck_assert_uint_eq(blocks->count, sizeof got);
  kern_q4_0_quantise(got, x, 24 * 32);
  ck_assert_mem_eq(got, blocks->data, sizeof got);
  kern_q4_0_dequantise(y, got, 24 * 32);
  for (size_t i = 0; i < 24 * 32; i++) ck_assert_float_eq(y[i], want[i]); /* -0 is 0 */
}
END_TEST

START_TEST(quant_int4__same_values_as_q4_0__scales_and_nibbles_apart) {
  const golden_array *blocks = num_array(&units, "quant.q4_0_bytes");
  float *x = num_f32(&units, "quant.x", &mem);
  uint8_t q[6 * 64];
  uint16_t scale[24];
  kern_int4_quantise(q, scale, x, 6, 128, KERN_GROUP);
  for (size_t g = 0; g < 24; g++) {
    ck_assert_mem_eq(&scale[g], blocks->data + g * KERN_Q4_0_B, 2);
    ck_assert_mem_eq(q + g * 16, blocks->data + g * KERN_Q4_0_B + 2, 16);
  }
}
END_TEST

START_TEST(quant_int8__golden_llama2c_groups__equal) {
  const golden_array *want_q = num_array(&units, "quant.l2c_q");
  const golden_array *want_scale = num_array(&units, "quant.l2c_scale");
  float *x = num_f32(&units, "quant.l2c_x", &mem), scale[19];
  int8_t q[19 * 32];
  kern_int8_quantise(q, scale, x, 19, 32);
  ck_assert_mem_eq(q, want_q->data, sizeof q);
  ck_assert_mem_eq(scale, want_scale->data, sizeof scale);
}
END_TEST

/* ---- bounds ------------------------------------------------------------------------------------
 */

enum { R = 9, C = 77 }; /* C: not a multiple of the group */

static float *rows_of_all_sizes(void) {
  float *x = num_random(7, R * C, &mem);
  for (size_t r = 0; r < R; r++)
    for (size_t i = 0; i < C; i++) x[r * C + i] *= r == 3 ? 0 : powf(10, (float)r - 4);
  return x;
}

static double amax(const float *x, size_t n) {
  double most = 0;
  for (size_t i = 0; i < n; i++) most = fmax(most, (double)fabsf(x[i]));
  return most;
}

START_TEST(quant_int8__any_row__error_is_at_most_half_a_step) {
  float *x = rows_of_all_sizes(), scale[R], y[R * C];
  uint16_t half_scale[R];
  int8_t q[R * C];
  kern_int8_quantise(q, scale, x, R, C);
  kern_int8_dequantise(y, q, scale, R, C);
  for (size_t i = 0; i < R * C; i++) /* a few f32 roundings of x on top */
    ck_assert_double_le(fabs((double)y[i] - (double)x[i]),
                        amax(x + i / C * C, C) / 127 * 0.5 + fabs((double)x[i]) * 3e-7);
  kern_int8_f16_quantise(q, half_scale, x, R, C);
  kern_int8_f16_dequantise(y, q, half_scale, R, C);
  for (size_t i = 0; i < R * C; i++) { /* the largest may be cut by the scale's own rounding: 2^-11,
                                          or 2^-25 where subnormal */
    double most = amax(x + i / C * C, C);
    ck_assert_double_le(fabs((double)y[i] - (double)x[i]),
                        most / 127 * 0.5 + most * 0x1p-10 + 127 * 0x1p-24);
  }
}
END_TEST

/* Weights' groups of 32, and one group a row as in a KV cache. */
START_TEST(quant_int4__any_row_length__error_is_at_most_a_step_and_the_extreme_is_exact) {
  const size_t group = _i == 0 ? KERN_GROUP : C, groups = (C + group - 1) / group;
  float *x = rows_of_all_sizes(), y[R * C];
  uint16_t scale[R * 3];
  uint8_t q[R * 39];
  ck_assert_uint_eq(kern_int4_row_bytes(C, group), 39);
  kern_int4_quantise(q, scale, x, R, C, group);
  kern_int4_dequantise(y, q, scale, R, C, group);
  for (size_t r = 0; r < R; r++)
    for (size_t i = 0; i < C; i++) {
      size_t g = i / group, n = g + 1 == groups ? C - g * group : group;
      double got = (double)y[r * C + i], want = (double)x[r * C + i];
      double most = amax(x + r * C + g * group, n);
      double f16 = most * 0x1p-11 + 8 * 0x1p-25; /* the scale's rounding, times q */
      ck_assert_double_le(fabs(got - want), most / 8 * 1.0001 + f16);
      if (fabs(want) == most) ck_assert_double_le(fabs(got - want), f16);
    }
}
END_TEST

START_TEST(quant_all__zeros_and_values_too_small_for_a_scale__give_zero) {
  float x[64] = {0}, y[64], scale[2];
  uint16_t half_scale[2];
  int8_t q[64];
  uint8_t bytes[2 * KERN_Q8_0_B];
  for (int i = 32; i < 64; i++) x[i] = 1e-44f * (float)(i % 3);
  kern_int8_quantise(q, scale, x, 2, 32);
  kern_int8_dequantise(y, q, scale, 2, 32);
  for (int i = 0; i < 64; i++) ck_assert_float_eq(y[i], 0);
  kern_int8_f16_quantise(q, half_scale, x, 2, 32);
  kern_int8_f16_dequantise(y, q, half_scale, 2, 32);
  for (int i = 0; i < 64; i++) ck_assert_float_eq(y[i], 0);
  kern_q8_0_quantise(bytes, x, 64);
  kern_q8_0_dequantise(y, bytes, 64);
  for (int i = 0; i < 64; i++) ck_assert_float_eq(y[i], 0);
  kern_q4_0_quantise(bytes, x, 64);
  kern_q4_0_dequantise(y, bytes, 64);
  for (int i = 0; i < 64; i++) ck_assert_float_eq(y[i], 0);
}
END_TEST

START_TEST(quant_int4_part__any_part_of_any_group__equals_the_whole) {
  float *x = num_random(3, 32, &mem), whole[32], part[32];
  for (size_t of = 1; of <= 32; of++) {
    uint8_t q[16];
    uint16_t scale;
    kern_int4_quantise(q, &scale, x, 1, of, KERN_GROUP);
    kern_int4_dequantise(whole, q, &scale, 1, of, KERN_GROUP);
    for (size_t first = 0; first < of; first++)
      for (size_t n = 1; first + n <= of; n++) {
        kern_int4_part(part, q, kern_f16_f32(scale), first, n, of);
        ck_assert(memcmp(part, whole + first, n * sizeof *part) == 0);
      }
  }
}
END_TEST

int main(void) {
  Suite *s = suite_create("quant");
  TCase *t = tcase_create("quant");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, convert_narrowing__golden_bits__equal_but_for_nan_payloads);
  tcase_add_test(t, convert_f16__all_bit_patterns__mean_their_value_and_come_back);
  tcase_add_test(t, convert_f16__between_neighbours__goes_to_the_nearer_and_halves_to_even);
  tcase_add_test(t, convert_bf16__between_neighbours__goes_to_the_nearer_and_halves_to_even);
  tcase_add_test(t, quant_q8_0__golden_blocks__equal_bytes_and_values);
  tcase_add_test(t, quant_q4_0__golden_blocks__equal_bytes_and_values);
  tcase_add_test(t, quant_int4__same_values_as_q4_0__scales_and_nibbles_apart);
  tcase_add_test(t, quant_int8__golden_llama2c_groups__equal);
  tcase_add_test(t, quant_int8__any_row__error_is_at_most_half_a_step);
  tcase_add_loop_test(
      t, quant_int4__any_row_length__error_is_at_most_a_step_and_the_extreme_is_exact, 0, 2);
  tcase_add_test(t, quant_all__zeros_and_values_too_small_for_a_scale__give_zero);
  tcase_add_test(t, quant_int4_part__any_part_of_any_group__equals_the_whole);
  suite_add_tcase(s, t);
  return suite_run(s);
}
