#include "kernels/matmul.h"

#include <assert.h>
#include <string.h>

#include "kernels/clones.h"
#include "kernels/convert.h"
#include "kernels/quant.h"

/* CHUNK: columns that are converted to f32 at a time, 4 KiB, so that they stay in the first-level
 * cache. AHEAD: how far before its use memory is asked for, in bytes; hardware stops at page ends.
 * LINE: of a cache. */
enum { LANES = 32, CHUNK = 1024, ROWS_AT_ONCE = 64, AHEAD = 8192, LINE = 64 };

static const char *const NAME[KERN_FORMAT_COUNT] = {
#define X(id, name) [KERN_##id] = name,
    KERN_FORMATS(X)
#undef X
};

const char *kern_format_name(kern_format f) {
  return NAME[f];
}

static size_t min_size(size_t a, size_t b) {
  return a < b ? a : b;
}

kern_matrix kern_matrix_new(kern_format f, const void *data, const void *scales, size_t rows,
                            size_t cols, size_t group) {
  size_t blocks = cols / KERN_GROUP;
  kern_matrix m = {.data = data, .scales = scales, .rows = rows, .cols = cols, .format = f};
  m.group = f == KERN_INT8 ? group : KERN_GROUP;
  switch (f) {
  case KERN_F32:
    m.row_B = 4 * cols;
    break;
  case KERN_F16:
  case KERN_BF16:
    m.row_B = 2 * cols;
    break;
  case KERN_INT8:
    assert(scales != NULL && group >= 1 && group <= cols);
    m.row_B = cols;
    m.scales_row_B = 4 * ((cols + group - 1) / group);
    break;
  case KERN_INT4:
    assert(scales != NULL && group == KERN_GROUP);
    m.row_B = kern_int4_row_bytes(cols, KERN_GROUP);
    m.scales_row_B = 2 * ((cols + KERN_GROUP - 1) / KERN_GROUP);
    break;
  case KERN_Q8_0:
  case KERN_Q4_0:
    assert(cols % KERN_GROUP == 0);
    m.row_B = blocks * (f == KERN_Q8_0 ? KERN_Q8_0_B : KERN_Q4_0_B);
    break;
  case KERN_FORMAT_COUNT:
    assert(false);
  }
  return m;
}

/* ---- sums in lanes -----------------------------------------------------------------------------
 */

/* Asks for a byte of memory that will be read soon. Only a hint: `at` may lie outside of any
 * object. */
static inline void prefetch(uintptr_t at) {
  __builtin_prefetch((const void *)at);
}

/* n > 0 values go on where the lanes stand; only the last call of a sum may have n not a multiple
 * of LANES. What lies `ahead` bytes behind x will be read soon. */
KERN_CLONES static void add_products(float lane[restrict LANES], const float *restrict x,
                                     const float *restrict y, size_t n, size_t ahead) {
  float acc[LANES];
  memcpy(acc, lane, sizeof acc);
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    prefetch((uintptr_t)(x + i) + ahead);
    prefetch((uintptr_t)(x + i) + ahead + LINE);
    for (size_t l = 0; l < LANES; l++) acc[l] += x[i + l] * y[i + l];
  }
  memcpy(lane, acc, sizeof acc);
  for (size_t l = 0; i + l < n; l++) lane[l] += x[i + l] * y[i + l];
}

static float add_lanes(float lane[LANES]) {
  for (size_t half = LANES / 2; half > 0; half /= 2)
    for (size_t l = 0; l < half; l++) lane[l] += lane[l + half];
  return lane[0];
}

float kern_dot(const float *restrict x, const float *restrict y, size_t n) {
  float lane[LANES] = {0};
  add_products(lane, x, y, n, 0);
  return add_lanes(lane);
}

KERN_CLONES double kern_dot_f64(const float *restrict x, const float *restrict y, size_t n) {
  double lane[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (size_t l = 0; l < LANES; l++) lane[l] += (double)x[i + l] * (double)y[i + l];
  for (size_t l = 0; i + l < n; l++) lane[l] += (double)x[i + l] * (double)y[i + l];
  for (size_t half = LANES / 2; half > 0; half /= 2)
    for (size_t l = 0; l < half; l++) lane[l] += lane[l + half];
  return lane[0];
}

float kern_sum(const float *x, size_t n) {
  float lane[LANES] = {0};
  for (size_t i = 0; i < n; i++) lane[i % LANES] += x[i];
  return add_lanes(lane);
}

/* ---- weights as f32 ----------------------------------------------------------------------------
 */

static uint16_t get_u16(const uint8_t *p) {
  uint16_t h;
  memcpy(&h, p, sizeof h);
  return h;
}

KERN_CLONES static void from_f16(float *restrict y, const uint8_t *restrict p, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = kern_f16_f32(get_u16(p + 2 * i));
}

KERN_CLONES static void from_bf16(float *restrict y, const uint8_t *restrict p, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = kern_bf16_f32(get_u16(p + 2 * i));
}

KERN_CLONES static void from_int8(float *restrict y, const int8_t *restrict q, float scale,
                                  size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = scale * (float)q[i];
}

/* Whole groups: values at q, q + q_step, ...; f16 scales at s, s + s_step, ... */
KERN_CLONES static void from_q8(float *restrict y, const uint8_t *restrict q, size_t q_step,
                                const uint8_t *restrict s, size_t s_step, size_t groups) {
  for (size_t g = 0; g < groups; g++, q += q_step, s += s_step, y += KERN_GROUP) {
    float scale = kern_f16_f32(get_u16(s));
    for (size_t i = 0; i < KERN_GROUP; i++) y[i] = scale * (float)(int8_t)q[i];
  }
}

KERN_CLONES static void from_q4(float *restrict y, const uint8_t *restrict q, size_t q_step,
                                const uint8_t *restrict s, size_t s_step, size_t groups) {
  enum { HALF = KERN_GROUP / 2 };
  for (size_t g = 0; g < groups; g++, q += q_step, s += s_step, y += KERN_GROUP) {
    float scale = kern_f16_f32(get_u16(s));
    for (size_t i = 0; i < HALF; i++) y[i] = scale * (float)((q[i] & 15) - 8);
    for (size_t i = 0; i < HALF; i++) y[HALF + i] = scale * (float)((q[i] >> 4) - 8);
  }
}

/* INT8: run by run of columns that share a scale. */
static void int8_row(float *y, const kern_matrix *w, size_t r, size_t k0, size_t k1) {
  const uint8_t *q = w->data + r * w->row_B, *s = w->scales + r * w->scales_row_B;
  for (size_t k = k0; k < k1;) {
    size_t group = k / w->group, end = min_size(k1, (group + 1) * w->group);
    float scale;
    memcpy(&scale, s + 4 * group, sizeof scale);
    from_int8(y + (k - k0), (const int8_t *)q + k, scale, end - k);
    k = end;
  }
}

/* INT4, Q8_0, Q4_0: whole groups together, the cut ones at the ends apart. */
static void group_row(float *y, const kern_matrix *w, size_t r, size_t k0, size_t k1) {
  bool q8 = w->format == KERN_Q8_0, apart = w->format == KERN_INT4;
  size_t q_step = q8 ? KERN_Q8_0_B : apart ? KERN_GROUP / 2 : KERN_Q4_0_B;
  size_t s_step = apart ? 2 : q_step;
  const uint8_t *row = w->data + r * w->row_B;
  const uint8_t *s = apart ? w->scales + r * w->scales_row_B : row, *q = apart ? row : row + 2;
  for (size_t k = k0; k < k1;) {
    size_t group = k / KERN_GROUP, first = k % KERN_GROUP;
    size_t of = min_size(KERN_GROUP, w->cols - group * KERN_GROUP),
           n = min_size(of - first, k1 - k);
    const uint8_t *gq = q + group * q_step, *gs = s + group * s_step;
    if (n == KERN_GROUP) {
      size_t whole = (k1 - k) / KERN_GROUP;
      (q8 ? from_q8 : from_q4)(y + (k - k0), gq, q_step, gs, s_step, whole);
      n = whole * KERN_GROUP;
    } else if (q8) {
      kern_int8_part(y + (k - k0), (const int8_t *)gq + first, kern_f16_f32(get_u16(gs)), n);
    } else {
      kern_int4_part(y + (k - k0), gq, kern_f16_f32(get_u16(gs)), first, n, of);
    }
    k += n;
  }
}

void kern_row(float *restrict y, const kern_matrix *w, size_t r, size_t k0, size_t k1) {
  const uint8_t *row = w->data + r * w->row_B;
  switch (w->format) {
  case KERN_F32:
    memcpy(y, row + 4 * k0, 4 * (k1 - k0));
    break;
  case KERN_F16:
    from_f16(y, row + 2 * k0, k1 - k0);
    break;
  case KERN_BF16:
    from_bf16(y, row + 2 * k0, k1 - k0);
    break;
  case KERN_INT8:
    int8_row(y, w, r, k0, k1);
    break;
  default:
    group_row(y, w, r, k0, k1);
  }
}

void kern_gather(float *restrict y, const kern_matrix *w, const uint32_t *restrict ids, size_t T) {
  for (size_t t = 0; t < T; t++) {
    assert(ids[t] < w->rows);
    kern_row(y + t * w->cols, w, ids[t], 0, w->cols);
  }
}

/* ---- the product -------------------------------------------------------------------------------
 */

/* Values k .. k+n-1 of a row: where they lie, or converted. */
static const float *row_part(float buf[CHUNK], const kern_matrix *w, size_t r, size_t k, size_t n) {
  const uint8_t *row = w->data + r * w->row_B, *f32 = row + 4 * k;
  if (w->format == KERN_F32 && (uintptr_t)f32 % _Alignof(float) == 0) return (const void *)f32;
  size_t at = k * w->row_B / w->cols, bytes = n * w->row_B / w->cols;
  for (size_t i = 0; i < bytes; i += LINE) prefetch((uintptr_t)(row + at) + AHEAD + i);
  kern_row(buf, w, r, k, k + n);
  return buf;
}

/* At most ROWS_AT_ONCE rows of x. */
static void some_rows(float *restrict y, size_t ldy, const float *restrict x, size_t ldx, size_t T,
                      const kern_matrix *w, size_t r0, size_t r1, size_t k0, size_t k1,
                      bool accumulate) {
  float lane[ROWS_AT_ONCE][LANES], buf[CHUNK];
  for (size_t r = r0; r < r1; r++) {
    memset(lane, 0, T * sizeof lane[0]);
    for (size_t k = k0; k < k1; k += CHUNK) {
      size_t n = min_size(CHUNK, k1 - k);
      const float *part = row_part(buf, w, r, k, n);
      size_t ahead = part == buf || T > 1 ? 0 : AHEAD;
      for (size_t t = 0; t < T; t++) add_products(lane[t], part, x + t * ldx + k, n, ahead);
    }
    for (size_t t = 0; t < T; t++) {
      float sum = add_lanes(lane[t]), *to = &y[t * ldy + r];
      *to = accumulate ? *to + sum : sum;
    }
  }
}

void kern_matmul(float *restrict y, size_t ldy, const float *restrict x, size_t ldx, size_t T,
                 const kern_matrix *w, size_t r0, size_t r1, size_t k0, size_t k1,
                 bool accumulate) {
  assert(r0 <= r1 && r1 <= w->rows && k0 <= k1 && k1 <= w->cols);
  for (size_t t = 0; t < T; t += ROWS_AT_ONCE)
    some_rows(y + t * ldy, ldy, x + t * ldx, ldx, min_size(ROWS_AT_ONCE, T - t), w, r0, r1, k0, k1,
              accumulate);
}
