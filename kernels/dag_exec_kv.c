#include <string.h>

#include "kernels/convert.h"
#include "kernels/dag_exec_priv.h"
#include "kernels/quant.h"

/* Slots of this file: rows, scales, one row rounded. */
enum { ROWS = 12, SCALES = 13, ONE = 14 };

dx_kv dx_kv_of(const dx *x, const dag_view *v) {
  bool transposed = x->d->tensors[v->tensor].rank == 4;
  if (transposed) return (dx_kv){v->len[1], v->len[3], v->len[2], true};
  return (dx_kv){v->len[0], v->len[1], v->len[2], false};
}

/* y[h,j,i] = x[h,i,j], x: (m, a, b) */
static void transpose(float *restrict y, const float *restrict x, size_t m, size_t a, size_t b) {
  for (size_t h = 0; h < m; h++, x += a * b, y += a * b)
    for (size_t i = 0; i < a; i++)
      for (size_t j = 0; j < b; j++) y[j * a + i] = x[i * b + j];
}

void dx_kv_read(dx *x, const dag_view *v, const dag_view *scale, bool by_row, float *y) {
  dx_kv k = dx_kv_of(x, v);
  size_t n = k.m * k.N;
  float *rows = k.transposed ? dx_floats(x, ROWS, n * k.d) : y;
  dx_read(x, v, y);
  if (k.transposed) transpose(rows, y, k.m, k.d, k.N);
  if (scale != NULL) {
    float *s = dx_floats(x, SCALES, n);
    dx_read(x, scale, s);
    for (size_t r = 0; r < n; r++)
      for (size_t i = 0; i < k.d; i++) rows[r * k.d + i] = s[r] * rows[r * k.d + i];
  }
  if (!k.transposed) return;
  if (by_row)
    memcpy(y, rows, n * k.d * sizeof *y);
  else
    transpose(y, rows, k.m, k.N, k.d);
}

/* Rows to whole numbers and their scales. */
static void quantise(dx *x, dtype form, float *y, float *scale, size_t rows, size_t d) {
  int8_t *q = (int8_t *)dx_floats(x, ONE, d);
  uint16_t unit = kern_f32_f16(1), s;
  for (size_t r = 0; r < rows; r++, y += d) {
    if (form == DT_INT8) {
      kern_int8_f16_quantise(q, &s, y, 1, d);
      for (size_t i = 0; i < d; i++) y[i] = q[i];
    } else {
      kern_int4_quantise((uint8_t *)q, &s, y, 1, d, d);
      kern_int4_dequantise(y, (uint8_t *)q, &unit, 1, d, d);
    }
    scale[r] = kern_f16_f32(s);
  }
}

void dx_kv_write(dx *x, const dag_view *v, const dag_view *scale, bool by_row, const float *y) {
  dx_kv k = dx_kv_of(x, v);
  size_t n = k.m * k.N;
  float *rows = dx_floats(x, ROWS, 2 * n * k.d), *box = rows + n * k.d;
  if (k.transposed && !by_row)
    transpose(rows, y, k.m, k.d, k.N);
  else
    memcpy(rows, y, n * k.d * sizeof *y);
  if (scale != NULL) {
    float *s = dx_floats(x, SCALES, n);
    quantise(x, x->t[v->tensor].form, rows, s, n, k.d);
    dx_write(x, scale, s);
  }
  if (k.transposed) transpose(box, rows, k.m, k.N, k.d);
  dx_write(x, v, k.transposed ? box : rows);
}

bool dx_kv_scales(const dx *x, const dag_view *v, dag_view *scale) {
  uint32_t s = x->t[v->tensor].scale;
  const dag_tensor *t = &x->d->tensors[v->tensor];
  if (s == DX_NONE || t->role != DAG_KV || t->rank < 3) return false;
  dx_kv k = dx_kv_of(x, v);
  const dag_tensor *st = &x->d->tensors[s];
  uint64_t shift = k.transposed ? 0 : t->dim[0] - st->dim[0];
  uint32_t h = v->lo[k.transposed ? 1 : 0], row = v->lo[k.transposed ? 3 : 1];
  if (k.d != x->m->head_dim || h < shift || st->dim[0] > t->dim[k.transposed ? 1 : 0] ||
      h - shift + k.m > st->dim[0] || row + k.N > st->dim[1])
    return false;
  uint64_t lo[3] = {h - shift, row, 0}, len[3] = {k.m, k.N, 1};
  *scale = dag_box(x->d, s, lo, len);
  return true;
}
