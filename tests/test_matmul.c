/* Products of weights in every format: against plain f64 sums, and to the bit where the header
 * promises bits. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "kernels/convert.h"
#include "kernels/matmul.h"
#include "kernels/quant.h"
#include "tests/numeric.h"
#include "tests/suite.h"

static arena mem;

static void setup(void) {
  mem = (arena){0};
}

static void teardown(void) {
  arena_free(&mem);
}

/* A matrix of the format from random f32 values. `data` is put on an odd address: mapped files
 * promise none. */
static kern_matrix matrix(kern_format f, size_t rows, size_t cols, size_t group, uint64_t seed) {
  float *x = num_random(seed, rows * cols, &mem);
  uint8_t *data = ARENA_NEW(&mem, uint8_t, rows * cols * 4 + 1),
          *scales = ARENA_NEW(&mem, uint8_t, rows * cols * 4 + 1);
  uint16_t *h = ARENA_NEW(&mem, uint16_t, rows * cols);
  float *s = ARENA_NEW(&mem, float, rows *cols);
  data++, scales++;
  kern_matrix m =
      kern_matrix_new(f, data, f == KERN_INT8 || f == KERN_INT4 ? scales : NULL, rows, cols, group);
  switch (f) {
  case KERN_F32:
    memcpy(data, x, rows * cols * 4);
    break;
  case KERN_F16:
    kern_to_f16(h, x, rows * cols), memcpy(data, h, rows * cols * 2);
    break;
  case KERN_BF16:
    kern_to_bf16(h, x, rows * cols), memcpy(data, h, rows * cols * 2);
    break;
  case KERN_INT8:
    kern_int8_quantise((int8_t *)data, s, x, rows * cols / group, group);
    memcpy(scales, s, rows * m.scales_row_B);
    break;
  case KERN_INT4:
    kern_int4_quantise(data, h, x, rows, cols, KERN_GROUP);
    memcpy(scales, h, rows * m.scales_row_B);
    break;
  case KERN_Q8_0:
    kern_q8_0_quantise(data, x, rows * cols);
    break;
  default:
    kern_q4_0_quantise(data, x, rows * cols);
  }
  return m;
}

/* All of w as an f32 matrix. */
static kern_matrix widened(const kern_matrix *w) {
  float *y = ARENA_NEW(&mem, float, w->rows * w->cols);
  for (size_t r = 0; r < w->rows; r++) kern_row(y + r * w->cols, w, r, 0, w->cols);
  return kern_matrix_new(KERN_F32, y, NULL, w->rows, w->cols, 0);
}

static float at(const kern_matrix *f32, size_t r, size_t k) {
  float v;
  memcpy(&v, f32->data + r * f32->row_B + 4 * k, sizeof v);
  return v;
}

/* The format that loop test _i stands for: INT8 once a row, once in llama2.c's groups. */
enum { KINDS = KERN_FORMAT_COUNT + 1 };
static kern_matrix kind(int i, size_t rows, size_t cols) {
  if (i == KERN_FORMAT_COUNT) return matrix(KERN_INT8, rows, cols, 64, 11);
  return matrix((kern_format)i, rows, cols, i == KERN_INT8 ? cols : i == KERN_INT4 ? 32 : 0, 11);
}

enum { ROWS = 13, COLS = 1216, T = 67 }; /* beyond the blocks of 1024 columns and 64 rows of x */

/* f32 rounding of COLS/32 sums in a row and 5 more: below 6e-8 * 43 of sum |x w|, about sqrt(COLS)
 * of |y|; in practice 2e-6. */
static const double SUM_TOLERANCE = 5e-6;

START_TEST(matmul_any_format__whole__equals_f64_sums_of_its_values) {
  kern_matrix w = kind(_i, ROWS, COLS), f = widened(&w);
  float *x = num_random(5, T * COLS, &mem), *want = ARENA_NEW(&mem, float, T *ROWS), y[T * ROWS];
  for (size_t t = 0; t < T; t++)
    for (size_t r = 0; r < ROWS; r++) {
      double sum = 0;
      for (size_t k = 0; k < COLS; k++) sum += (double)x[t * COLS + k] * (double)at(&f, r, k);
      want[t * ROWS + r] = (float)sum;
    }
  kern_matmul(y, ROWS, x, COLS, T, &w, 0, ROWS, 0, COLS, false);
  ck_assert_double_le(num_error_f32(y, want, T * ROWS), SUM_TOLERANCE);
  kern_matmul(y, ROWS, x, COLS, T, &f, 0, ROWS, 0, COLS, false);
  ck_assert_double_le(num_error_f32(y, want, T * ROWS), SUM_TOLERANCE);
}
END_TEST

START_TEST(matmul_any_format__values_as_f32__gives_the_same_bits) {
  kern_matrix w = kind(_i, ROWS, COLS), f = widened(&w);
  float *x = num_random(5, T * COLS, &mem), y[T * ROWS], z[T * ROWS];
  kern_matmul(y, ROWS, x, COLS, T, &w, 0, ROWS, 0, COLS, false);
  kern_matmul(z, ROWS, x, COLS, T, &f, 0, ROWS, 0, COLS, false);
  ck_assert(memcmp(y, z, sizeof y) == 0);
}
END_TEST

START_TEST(matmul_row_ranges__in_any_pieces__give_the_bits_of_the_whole) {
  kern_matrix w = kind(_i, ROWS, COLS);
  float *x = num_random(5, T * COLS, &mem), whole[T * ROWS], y[T * ROWS];
  uint64_t random = 1;
  kern_matmul(whole, ROWS, x, COLS, T, &w, 0, ROWS, 0, COLS, false);
  for (size_t t = 0; t < T;) {
    size_t n = num_pick(&random, 1, T - t);
    for (size_t r = 0; r < ROWS;) {
      size_t to = num_pick(&random, r + 1, ROWS);
      kern_matmul(y + t * ROWS, ROWS, x + t * COLS, COLS, n, &w, r, to, 0, COLS, false);
      r = to;
    }
    t += n;
  }
  ck_assert(memcmp(y, whole, sizeof y) == 0);
}
END_TEST

START_TEST(matmul_k_ranges__in_any_pieces__sum_to_the_whole) {
  kern_matrix w = kind(_i, ROWS, COLS);
  float *x = num_random(5, T * COLS, &mem), whole[T * ROWS], y[T * ROWS];
  kern_matmul(whole, ROWS, x, COLS, T, &w, 0, ROWS, 0, COLS, false);
  for (uint64_t random = 1; random < 6;) {
    uint64_t state = random++;
    for (size_t k = 0; k < COLS;) {
      size_t to = num_pick(&state, k + 1, COLS < k + 300 ? COLS : k + 300);
      kern_matmul(y, ROWS, x, COLS, T, &w, 0, ROWS, k, to, k > 0);
      k = to;
    }
    ck_assert_double_le(num_error_f32(y, whole, T * ROWS), SUM_TOLERANCE);
  }
}
END_TEST

START_TEST(row__any_part__has_the_values_of_the_whole) {
  kern_matrix w = kind(_i, 2, 192), f = widened(&w);
  float part[192];
  for (size_t k = 0; k < 192; k += 7)
    for (size_t to = k + 1; to <= 192; to += 5) {
      kern_row(part, &w, 1, k, to);
      for (size_t i = k; i < to; i++)
        ck_assert(kern_f32_bits(part[i - k]) == kern_f32_bits(at(&f, 1, i)));
    }
}
END_TEST

START_TEST(gather__any_format__is_the_rows_that_ids_name) {
  kern_matrix w = kind(_i, ROWS, 64), f = widened(&w);
  uint32_t ids[5] = {3, 12, 0, 3, 7};
  float y[5 * 64];
  kern_gather(y, &w, ids, 5);
  for (size_t t = 0; t < 5; t++)
    for (size_t i = 0; i < 64; i++) ck_assert_float_eq(y[t * 64 + i], at(&f, ids[t], i));
}
END_TEST

START_TEST(matmul_int4__columns_not_in_whole_groups__count_each_once) {
  kern_matrix w = matrix(KERN_INT4, 3, 77, 32, 9), f = widened(&w);
  float x[77], y[3];
  for (size_t k = 0; k < 77; k++) { /* unit vectors take the matrix apart */
    memset(x, 0, sizeof x);
    x[k] = 1;
    kern_matmul(y, 3, x, 77, 1, &w, 0, 3, 0, 77, false);
    for (size_t r = 0; r < 3; r++) ck_assert_float_eq(y[r], at(&f, r, k));
  }
}
END_TEST

START_TEST(matmul__ranges__touch_nothing_else) {
  kern_matrix w = matrix(KERN_F32, 8, 40, 0, 2);
  float *x = num_random(3, 2 * 50, &mem), y[2 * 10];
  for (int i = 0; i < 20; i++) y[i] = 100;
  for (int t = 0; t < 2; t++) /* what lies outside of the range is no number */
    for (int k = 0; k < 50; k++)
      if (k < 5 || k >= 30) x[t * 50 + k] = NAN;
  kern_matmul(y, 10, x, 50, 2, &w, 2, 6, 5, 30, true);
  for (int i = 0; i < 20; i++) {
    ck_assert(isfinite(y[i]));
    ck_assert_int_eq(y[i] == 100, i % 10 < 2 || i % 10 >= 6);
  }
  kern_matmul(y, 10, x, 50, 2, &w, 2, 6, 5, 5, true); /* no columns: adds 0 */
  ck_assert(y[3] != 0);
  kern_matmul(y, 10, x, 50, 2, &w, 2, 6, 5, 5, false);
  for (int i = 0; i < 20; i++) ck_assert_float_eq(y[i], i % 10 < 2 || i % 10 >= 6 ? 100 : 0);
}
END_TEST

/* The order that the header states, written down once more. */
static float stated_order(const float *x, const float *y, size_t n) {
  float lane[32] = {0};
  for (size_t i = 0; i < n; i++) {
    volatile float product = x[i] * y[i]; /* rounded by itself */
    lane[i % 32] += product;
  }
  for (size_t half = 16; half > 0; half /= 2)
    for (size_t l = 0; l < half; l++) lane[l] += lane[l + half];
  return lane[0];
}

START_TEST(dot_and_sum__any_length__have_the_stated_order) {
  float *x = num_random(5, 2100, &mem), *y = num_random(6, 2100, &mem), ones[2100], z;
  for (size_t i = 0; i < 2100; i++) ones[i] = 1;
  for (size_t n = 0; n <= 2100; n += n < 130 ? 1 : 131) {
    kern_matrix w = kern_matrix_new(KERN_F32, y, NULL, 1, n, 0);
    float want = stated_order(x, y, n);
    ck_assert_float_eq(kern_dot(x, y, n), want);
    ck_assert_float_eq(kern_sum(x, n), stated_order(x, ones, n));
    kern_matmul(&z, 1, x, n, 1, &w, 0, 1, 0, n, false);
    ck_assert_float_eq(z, want);
  }
}
END_TEST

int main(void) {
  Suite *s = suite_create("matmul");
  TCase *t = tcase_create("matmul");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_loop_test(t, matmul_any_format__whole__equals_f64_sums_of_its_values, 0, KINDS);
  tcase_add_loop_test(t, matmul_any_format__values_as_f32__gives_the_same_bits, 0, KINDS);
  tcase_add_loop_test(t, matmul_row_ranges__in_any_pieces__give_the_bits_of_the_whole, 0, KINDS);
  tcase_add_loop_test(t, matmul_k_ranges__in_any_pieces__sum_to_the_whole, 0, KINDS);
  tcase_add_loop_test(t, row__any_part__has_the_values_of_the_whole, 0, KINDS);
  tcase_add_loop_test(t, gather__any_format__is_the_rows_that_ids_name, 0, KINDS);
  tcase_add_test(t, matmul_int4__columns_not_in_whole_groups__count_each_once);
  tcase_add_test(t, matmul__ranges__touch_nothing_else);
  tcase_add_test(t, dot_and_sum__any_length__have_the_stated_order);
  suite_add_tcase(s, t);
  return suite_run(s);
}
