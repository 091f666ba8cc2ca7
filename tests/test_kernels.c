/* Vector kernels and RoPE: against golden vectors (f64), and by what must hold for any input. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "kernels/rope.h"
#include "kernels/vector.h"
#include "tests/numeric.h"
#include "tests/suite.h"

/* f32 kernels against f64 results: a few roundings of 6e-8 each. */
static const double TOLERANCE = 1e-6;

static arena mem;
static golden units;

static void setup(void) {
  mem = (arena){0};
  units = num_load("units", &mem);
}

static void teardown(void) {
  arena_free(&mem);
}

/* ---- norms, SiLU, sums, argmax
 * ------------------------------------------------------------------- */

START_TEST(rmsnorm__golden_rows__row_by_row_within_tolerance) {
  static const char *const NAME[2] = {"rmsnorm.y_eps1e-5", "rmsnorm.y_eps1e-6"};
  float *x = num_f32(&units, "rmsnorm.x", &mem), *w = num_f32(&units, "rmsnorm.weight", &mem);
  float *want = num_f32(&units, NAME[_i], &mem), y[4 * 96];
  kern_rmsnorm(y, x, w, 4, 96, _i == 0 ? 1e-5 : 1e-6);
  for (size_t t = 0; t < 4; t++) /* rows differ by 1e5 in size of x */
    ck_assert_double_le(num_error_f32(y + t * 96, want + t * 96, 96), TOLERANCE);
  kern_rmsnorm(x, x, w, 4, 96, _i == 0 ? 1e-5 : 1e-6); /* in place */
  ck_assert(memcmp(x, y, sizeof y) == 0);
}
END_TEST

START_TEST(rmsnorm__any_row__has_mean_square_one_under_unit_weights) {
  float *x = num_random(1, 3 * 500, &mem), ones[500], y[3 * 500];
  for (size_t i = 0; i < 500; i++) ones[i] = 1;
  kern_rmsnorm(y, x, ones, 3, 500, 1e-12);
  for (size_t t = 0; t < 3; t++) {
    double squares = 0;
    for (size_t i = 0; i < 500; i++) squares += (double)y[t * 500 + i] * (double)y[t * 500 + i];
    ck_assert_double_eq_tol(squares / 500, 1, TOLERANCE);
  }
}
END_TEST

START_TEST(silu_mul__golden_values__within_tolerance_and_in_place) {
  float *x = num_f32(&units, "silu.x", &mem), ones[73], y[73];
  const golden_array *want = num_array(&units, "silu.y");
  ck_assert_uint_eq(want->count, 73);
  for (size_t i = 0; i < 73; i++) ones[i] = 1;
  kern_silu_mul(y, x, ones, 73);
  ck_assert_double_le(num_error(y, want), TOLERANCE);
  for (size_t i = 0; i < 73; i++) { /* also small values, each by its own size; subnormals apart */
    double ref = golden_at(want, i);
    ck_assert_double_le(fabs((double)y[i] - ref), TOLERANCE * fabs(ref) + 1e-37);
  }
  float up[73], z[73];
  for (size_t i = 0; i < 73; i++) up[i] = (float)i - 20;
  kern_silu_mul(z, x, up, 73);
  for (size_t i = 0; i < 73; i++) ck_assert_float_eq(z[i], y[i] * up[i]);
  kern_silu_mul(up, x, up, 73);
  ck_assert(memcmp(up, z, sizeof z) == 0);
}
END_TEST

START_TEST(add__values__are_summed) {
  float a[5] = {1, 2, 3, 4, 5}, b[5] = {10, 0, -3, 0.5f, 1e9f}, want[5] = {11, 2, 0, 4.5f, 1e9f};
  kern_add(a, a, b, 5);
  for (int i = 0; i < 5; i++) ck_assert_float_eq(a[i], want[i]);
}
END_TEST

START_TEST(argmax__equals_and_nan__first_of_the_largest_numbers) {
  ck_assert_uint_eq(kern_argmax((float[]){1, 7, 3, 7}, 4), 1);
  ck_assert_uint_eq(kern_argmax((float[]){-INFINITY, -INFINITY}, 2), 0);
  ck_assert_uint_eq(kern_argmax((float[]){-1, -3, -0.5f}, 3), 2);
  ck_assert_uint_eq(kern_argmax((float[]){NAN, -5, NAN, -4}, 4), 3);
  ck_assert_uint_eq(kern_argmax((float[]){3, NAN}, 2), 0);
}
END_TEST

/* ---- RoPE --------------------------------------------------------------------------------------
 */

static const struct rope_case {
  const char *name;
  size_t head_dim;
  double theta, factor;
} ROPES[5] = {{"llama2_hd128", 128, 1e4, 0},
              {"l31_8b_hd128", 128, 5e5, 8},
              {"l32_1b_hd64", 64, 5e5, 32},
              {"tiny_hd16_x32", 16, 5e5, 32},
              {"tiny_hd32_x8", 32, 5e5, 8}};

static void frequencies(const struct rope_case *c, double *inv) {
  kern_rope_scaling s = {c->factor, 1, 4, 8192};
  kern_rope_inv_freq(inv, c->head_dim, c->theta, s);
}

static const golden_array *rope_array(const char *name, const char *what) {
  return num_array(&units, arena_printf(&mem, "rope.%s.%s", name, what));
}

START_TEST(rope_inv_freq__golden_models__equal_f64) {
  const struct rope_case *c = &ROPES[_i];
  const golden_array *want = rope_array(c->name, "inv_freq_f64");
  double inv[64];
  frequencies(c, inv);
  ck_assert_uint_eq(want->count, c->head_dim / 2);
  for (size_t i = 0; i < want->count; i++)
    ck_assert_double_le(fabs(inv[i] - golden_at(want, i)), 1e-14 * golden_at(want, i));
  if (c->factor == 0) return;
  float *factors = num_f32(&units, arena_printf(&mem, "rope.%s.freq_factors", c->name), &mem);
  kern_rope_inv_freq_factors(inv, c->head_dim, c->theta, factors);
  for (size_t i = 0; i < want->count; i++) /* the factors are f32 */
    ck_assert_double_le(fabs(inv[i] - golden_at(want, i)), 1e-7 * golden_at(want, i));
}
END_TEST

/* Rotating (1, 0) gives (cos, sin). */
START_TEST(rope__unit_vectors_at_golden_positions__give_cos_and_sin) {
  const struct rope_case *c = &ROPES[_i];
  const golden_array *pos = num_array(&units, "rope.positions");
  const golden_array *cs = rope_array(c->name, "cos_f64"), *sn = rope_array(c->name, "sin_f64");
  size_t half = c->head_dim / 2;
  double inv[64];
  float x[128] = {0}, y[128];
  frequencies(c, inv);
  for (size_t i = 0; i < half; i++) x[i] = 1;
  for (size_t p = 0; p < pos->count; p++) {
    kern_rope(y, x, 1, c->head_dim, c->head_dim, (uint64_t)golden_at(pos, p), inv,
              KERN_ROPE_HALF_SPLIT);
    for (size_t i = 0; i < half; i++) {
      /* 1e-7: f32 results of f64 angles. An f32 angle would be off by 4e-3 at position 131071. */
      ck_assert_double_eq_tol((double)y[i], golden_at(cs, p * half + i), 1e-7);
      ck_assert_double_eq_tol((double)y[half + i], golden_at(sn, p * half + i), 1e-7);
    }
  }
}
END_TEST

START_TEST(rope__golden_vectors__both_orders_within_tolerance) {
  const golden_array *pos = num_array(&units, "rope.positions");
  float *hf = num_f32(&units, "rope.apply.x_hf", &mem);
  float *meta = num_f32(&units, "rope.apply.x_meta", &mem), y[11 * 64];
  double inv[32];
  frequencies(&ROPES[2], inv);
  for (size_t p = 0; p < 11; p++)
    kern_rope(y + p * 64, hf + p * 64, 1, 64, 64, (uint64_t)golden_at(pos, p), inv,
              KERN_ROPE_HALF_SPLIT);
  ck_assert_double_le(num_error(y, num_array(&units, "rope.apply.y_hf")), TOLERANCE);
  for (size_t p = 0; p < 11; p++)
    kern_rope(y + p * 64, meta + p * 64, 1, 64, 64, (uint64_t)golden_at(pos, p), inv,
              KERN_ROPE_INTERLEAVED);
  ck_assert_double_le(num_error(y, num_array(&units, "rope.apply.y_meta")), TOLERANCE);
}
END_TEST

static double dot(const float *a, const float *b, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
  return sum;
}

START_TEST(rope__any_heads__is_a_rotation_by_relative_position) {
  kern_rope_order order = _i == 0 ? KERN_ROPE_HALF_SPLIT : KERN_ROPE_INTERLEAVED;
  enum { HD = 16, C = 3 * HD };
  float *q = num_random(1, C, &mem), *k = num_random(2, C, &mem), a[C], b[C], c[C];
  double inv[HD / 2];
  frequencies(&ROPES[3], inv);
  kern_rope(a, q, 1, C, HD, 0, inv, order);
  ck_assert(memcmp(a, q, sizeof a) == 0); /* position 0 turns nothing */
  kern_rope(a, q, 1, C, HD, 1005, inv, order);
  ck_assert(memcmp(a, q, sizeof a) != 0);
  for (size_t h = 0; h < C; h += HD) /* norms stay */
    ck_assert_double_eq_tol(dot(a + h, a + h, HD), dot(q + h, q + h, HD), TOLERANCE * HD);
  kern_rope(b, k, 1, C, HD, 1000, inv, order);
  for (size_t h = 0; h < C; h += HD) { /* q at 1005 . k at 1000 = q at 5 . k at 0 */
    kern_rope(c, q, 1, C, HD, 5, inv, order);
    ck_assert_double_eq_tol(dot(a + h, b + h, HD), dot(c + h, k + h, HD), TOLERANCE * HD);
  }
}
END_TEST

START_TEST(rope__rows_at_once_and_in_place__same_bits_as_one_by_one) {
  float *x = num_random(4, 5 * 32, &mem), y[5 * 32], one[32];
  double inv[8];
  frequencies(&ROPES[3], inv);
  kern_rope(y, x, 5, 32, 16, 70, inv, KERN_ROPE_HALF_SPLIT);
  for (size_t t = 0; t < 5; t++) {
    kern_rope(one, x + t * 32, 1, 32, 16, 70 + t, inv, KERN_ROPE_HALF_SPLIT);
    ck_assert(memcmp(one, y + t * 32, sizeof one) == 0);
  }
  kern_rope(x, x, 5, 32, 16, 70, inv, KERN_ROPE_HALF_SPLIT);
  ck_assert(memcmp(x, y, sizeof y) == 0);
}
END_TEST

int main(void) {
  Suite *s = suite_create("kernels");
  TCase *t = tcase_create("kernels");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_loop_test(t, rmsnorm__golden_rows__row_by_row_within_tolerance, 0, 2);
  tcase_add_test(t, rmsnorm__any_row__has_mean_square_one_under_unit_weights);
  tcase_add_test(t, silu_mul__golden_values__within_tolerance_and_in_place);
  tcase_add_test(t, add__values__are_summed);
  tcase_add_test(t, argmax__equals_and_nan__first_of_the_largest_numbers);
  tcase_add_loop_test(t, rope_inv_freq__golden_models__equal_f64, 0, 5);
  tcase_add_loop_test(t, rope__unit_vectors_at_golden_positions__give_cos_and_sin, 0, 5);
  tcase_add_test(t, rope__golden_vectors__both_orders_within_tolerance);
  tcase_add_loop_test(t, rope__any_heads__is_a_rotation_by_relative_position, 0, 2);
  tcase_add_test(t, rope__rows_at_once_and_in_place__same_bits_as_one_by_one);
  suite_add_tcase(s, t);
  return suite_run(s);
}
