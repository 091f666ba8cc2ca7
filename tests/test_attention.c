/* Attention kernels: softmax against golden vectors (f64), all of them against plain f64 loops, and
 * online against three-pass. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "kernels/attention.h"
#include "tests/numeric.h"
#include "tests/suite.h"

/* f32 kernels against f64 results: sums of some 40 values, a few roundings of 6e-8 each on top. */
static const double TOLERANCE = 2e-6;

static arena mem;
static golden units;

static void setup(void) {
  mem = (arena){0};
  units = num_load("units", &mem);
}

static void teardown(void) {
  arena_free(&mem);
}

/* The golden scores as 6 heads with one query that sees all 37 keys. */
static const kern_attn GOLDEN = {.H = 6, .T = 1, .N = 37, .m = 1, .d = 1, .pos = 36};

START_TEST(softmax__golden_rows__each_pass_within_tolerance) {
  float *s = num_f32(&units, "softmax.x", &mem), max[6], e[6 * 37], sum[6], p[6 * 37];
  kern_softmax_max(max, s, &GOLDEN);
  kern_softmax_exp(e, sum, s, max, &GOLDEN);
  kern_softmax_norm(p, e, sum, &GOLDEN);
  ck_assert_double_le(num_error(max, num_array(&units, "softmax.max")), 0);
  float *want = num_f32(&units, "softmax.sum", &mem);
  for (int r = 0; r < 6; r++) ck_assert_double_le(num_error_f32(&sum[r], &want[r], 1), TOLERANCE);
  /* expf is right to an ulp of the result; s - max is off by half an ulp of 2e2 in the widest row,
   * hence 1e-5 there if not near 1: relative to the largest, exp(0), nothing of that is seen */
  ck_assert_double_le(num_error(e, num_array(&units, "softmax.exp")), TOLERANCE);
  want = num_f32(&units, "softmax.prob", &mem);
  for (int r = 0; r < 6; r++)
    ck_assert_double_le(num_error_f32(p + 37 * r, want + 37 * r, 37), TOLERANCE);
}
END_TEST

START_TEST(online_softmax__golden_rows_in_blocks__running_max_and_sum_within_tolerance) {
  const size_t block = _i == 0 ? 1 : 8, blocks = (37 + block - 1) / block;
  float *s = num_f32(&units, "softmax.x", &mem);
  float *want_m = num_f32(&units, arena_printf(&mem, "online.block%zu.m", block), &mem);
  float *want_l = num_f32(&units, arena_printf(&mem, "online.block%zu.l", block), &mem);
  for (size_t r = 0; r < 6; r++) {
    float max = -INFINITY, sum = 0;
    for (size_t b = 0; b < blocks; b++) {
      size_t n = 37 - b * block < block ? 37 - b * block : block;
      kern_online_softmax(&max, &sum, NULL, s + r * 37 + b * block, NULL, n, 0);
      ck_assert_float_eq(max, want_m[r * blocks + b]);
      ck_assert_double_le(num_error_f32(&sum, &want_l[r * blocks + b], 1), TOLERANCE);
    }
  }
}
END_TEST

START_TEST(online_softmax__masked_blocks_first__leave_the_state_empty) {
  float max = -INFINITY, sum = 0, o[2] = {0, 0}, v[4] = {1, 2, 3, 4};
  kern_online_softmax(&max, &sum, o, (float[]){-INFINITY, -INFINITY}, v, 2, 2);
  ck_assert(max == -INFINITY && sum == 0 && o[0] == 0 && o[1] == 0);
  kern_online_softmax(&max, &sum, o, (float[]){-INFINITY, 5}, v, 2, 2);
  ck_assert(max == 5 && sum == 1 && o[0] == 3 && o[1] == 4);
  kern_online_softmax(&max, &sum, o, (float[]){-INFINITY, -INFINITY}, v, 2, 2);
  ck_assert(max == 5 && sum == 1 && o[0] == 3 && o[1] == 4);
}
END_TEST

/* ---- against f64 loops
 * --------------------------------------------------------------------------- */

/* Decode, prefill, hybrid; grouped, all heads alike, one KV head; more keys than anyone sees; a
 * query alone. */
static const kern_attn CASES[] = {{.H = 8, .T = 1, .N = 41, .m = 2, .d = 16, .pos = 40},
                                  {.H = 4, .T = 19, .N = 19, .m = 4, .d = 8},
                                  {.H = 6, .T = 7, .N = 40, .m = 1, .d = 33, .pos = 30},
                                  {.H = 3, .T = 1, .N = 1, .m = 3, .d = 64},
                                  {.H = 2, .T = 5, .N = 100, .m = 1, .d = 48, .pos = 60}};
enum { N_CASES = sizeof CASES / sizeof CASES[0] };

typedef struct attention {
  kern_attn a;
  float *q, *k, *v;
  float *s, *max, *e, *sum, *p, *o;
} attention;

static attention random_attention(const kern_attn *a) {
  size_t cells = a->H * a->T * a->N, rows = a->H * a->T;
  attention x = {.a = *a};
  x.q = num_random(1, rows * a->d, &mem);
  x.k = num_random(2, a->m * a->N * a->d, &mem);
  x.v = num_random(3, a->m * a->N * a->d, &mem);
  for (size_t i = 0; i < rows * a->d; i++) x.q[i] *= 4; /* scores that differ */
  x.s = ARENA_NEW(&mem, float, cells), x.e = ARENA_NEW(&mem, float, cells);
  x.p = ARENA_NEW(&mem, float, cells), x.o = ARENA_NEW(&mem, float, rows * a->d);
  x.max = ARENA_NEW(&mem, float, rows), x.sum = ARENA_NEW(&mem, float, rows);
  return x;
}

static attention f64_loops(const attention *in) {
  attention y = random_attention(&in->a);
  const kern_attn *a = &in->a;
  for (size_t h = 0; h < a->H; h++)
    for (size_t t = 0; t < a->T; t++) {
      size_t row = h * a->T + t, kv = h * a->m / a->H * a->N;
      double s[128], most = -INFINITY, sum = 0;
      for (size_t j = 0; j < a->N && a->key + j <= a->pos + t; j++) {
        s[j] = 0;
        for (size_t i = 0; i < a->d; i++)
          s[j] += (double)in->q[(t * a->H + h) * a->d + i] * (double)in->k[(kv + j) * a->d + i];
        s[j] /= sqrt((double)a->d);
        y.s[row * a->N + j] = (float)s[j];
        most = fmax(most, s[j]);
      }
      for (size_t j = 0; j < a->N && a->key + j <= a->pos + t; j++) sum += exp(s[j] - most);
      y.max[row] = (float)most, y.sum[row] = (float)sum;
      for (size_t i = 0; i < a->d; i++) {
        double o = 0;
        for (size_t j = 0; j < a->N && a->key + j <= a->pos + t; j++) {
          y.e[row * a->N + j] = (float)exp(s[j] - most);
          y.p[row * a->N + j] = (float)(exp(s[j] - most) / sum);
          o += exp(s[j] - most) / sum * (double)in->v[(kv + j) * a->d + i];
        }
        y.o[(t * a->H + h) * a->d + i] = (float)o;
      }
    }
  return y;
}

static void three_pass(attention *x) {
  kern_scores(x->s, x->q, x->k, &x->a);
  kern_softmax_max(x->max, x->s, &x->a);
  kern_softmax_exp(x->e, x->sum, x->s, x->max, &x->a);
  kern_softmax_norm(x->p, x->e, x->sum, &x->a);
  kern_values(x->o, x->p, x->v, &x->a);
}

START_TEST(attention_three_pass__any_shape__equals_f64_loops) {
  attention x = random_attention(&CASES[_i]), want = f64_loops(&x);
  size_t rows = x.a.H * x.a.T, cells = rows * x.a.N;
  three_pass(&x);
  ck_assert_double_le(num_error_f32(x.s, want.s, cells), TOLERANCE);
  ck_assert_double_le(num_error_f32(x.max, want.max, rows), TOLERANCE);
  ck_assert_double_le(num_error_f32(x.e, want.e, cells), TOLERANCE);
  ck_assert_double_le(num_error_f32(x.sum, want.sum, rows), TOLERANCE);
  ck_assert_double_le(num_error_f32(x.p, want.p, cells), TOLERANCE);
  ck_assert_double_le(num_error_f32(x.o, want.o, rows * x.a.d), TOLERANCE);
  for (size_t row = 0; row < rows; row++) {
    double sum = 0;
    for (size_t j = 0; j < x.a.N; j++) {
      bool hidden = j > x.a.pos + row % x.a.T;
      if (hidden) ck_assert(x.s[row * x.a.N + j] == 0 && x.p[row * x.a.N + j] == 0);
      sum += (double)x.p[row * x.a.N + j];
    }
    ck_assert_double_eq_tol(sum, 1, TOLERANCE);
  }
}
END_TEST

START_TEST(attention_three_pass__what_is_masked__is_never_read) {
  attention x = random_attention(&CASES[_i]), y = random_attention(&CASES[_i]);
  const kern_attn *a = &x.a;
  size_t seen = kern_visible(a, a->T - 1);
  three_pass(&x);
  for (size_t kv = 0; kv < a->m; kv++)
    for (size_t j = seen; j < a->N; j++)
      for (size_t i = 0; i < a->d; i++)
        y.k[(kv * a->N + j) * a->d + i] = y.v[(kv * a->N + j) * a->d + i] = NAN;
  three_pass(&y);
  ck_assert(memcmp(x.o, y.o, a->H * a->T * a->d * sizeof *x.o) == 0);
  /* the same where the first token's values are not a number: it is the only one that all see */
  y.v[0] = NAN;
  three_pass(&y);
  ck_assert(isnan(y.o[0]));
}
END_TEST

START_TEST(softmax__in_place__same_bits) {
  attention x = random_attention(&CASES[_i]);
  three_pass(&x);
  kern_softmax_exp(x.s, x.sum, x.s, x.max, &x.a);
  ck_assert(memcmp(x.s, x.e, x.a.H * x.a.T * x.a.N * sizeof *x.s) == 0);
  kern_softmax_norm(x.s, x.s, x.sum, &x.a);
  ck_assert(memcmp(x.s, x.p, x.a.H * x.a.T * x.a.N * sizeof *x.s) == 0);
}
END_TEST

/* Keys key .. key+n-1 of every KV head, as a tile. */
static float *tile(const float *kv, const kern_attn *a, size_t key, size_t n) {
  float *y = ARENA_NEW(&mem, float, a->m *n * a->d);
  for (size_t g = 0; g < a->m; g++)
    memcpy(y + g * n * a->d, kv + (g * a->N + key) * a->d, n * a->d * sizeof *y);
  return y;
}

START_TEST(attention_flash__any_block_size__equals_three_pass) {
  attention x = random_attention(&CASES[_i]);
  const kern_attn *a = &x.a;
  size_t rows = a->H * a->T;
  three_pass(&x);
  for (size_t block = 1; block <= a->N; block++) {
    float *o = ARENA_NEW(&mem, float, rows * a->d), *max = ARENA_NEW(&mem, float, rows);
    float *sum = ARENA_NEW(&mem, float, rows), *y = ARENA_NEW(&mem, float, rows * a->d),
          scratch[128];
    memset(o, 0xff, rows * a->d * sizeof *o); /* NaN: the first block needs no state */
    memset(max, 0xff, rows * sizeof *max), memset(sum, 0xff, rows * sizeof *sum);
    for (size_t key = 0; key < a->N; key += block) {
      kern_attn b = *a;
      b.key = key, b.N = a->N - key < block ? a->N - key : block;
      kern_flash(o, max, sum, x.q, tile(x.k, a, key, b.N), tile(x.v, a, key, b.N), scratch, &b,
                 key == 0);
    }
    kern_flash_norm(y, o, sum, a);
    ck_assert(memcmp(max, x.max, rows * sizeof *max) == 0); /* the same scores */
    ck_assert_double_le(num_error_f32(sum, x.sum, rows), TOLERANCE);
    ck_assert_double_le(num_error_f32(y, x.o, rows * a->d), TOLERANCE);
  }
}
END_TEST

int main(void) {
  Suite *s = suite_create("attention");
  TCase *t = tcase_create("attention");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, softmax__golden_rows__each_pass_within_tolerance);
  tcase_add_loop_test(
      t, online_softmax__golden_rows_in_blocks__running_max_and_sum_within_tolerance, 0, 2);
  tcase_add_test(t, online_softmax__masked_blocks_first__leave_the_state_empty);
  tcase_add_loop_test(t, attention_three_pass__any_shape__equals_f64_loops, 0, N_CASES);
  tcase_add_loop_test(t, attention_three_pass__what_is_masked__is_never_read, 0, N_CASES);
  tcase_add_loop_test(t, softmax__in_place__same_bits, 0, N_CASES);
  tcase_add_loop_test(t, attention_flash__any_block_size__equals_three_pass, 0, N_CASES);
  suite_add_tcase(s, t);
  return suite_run(s);
}
