#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/convert.h"
#include "kernels/dag_exec_priv.h"
#include "kernels/quant.h"

/* ---- boxes as runs ----------------------------------------------------------------------------
 */

dx_runs dx_runs_of(const dag_tensor *t, const dag_view *v, bool rows) {
  dx_runs r = {.left = 1};
  int k = rows ? t->rank - 1 : DAG_RANK - 1;
  uint64_t inner = 1;
  while (!rows && k > 0 && v->len[k] == t->dim[k]) inner *= t->dim[k--];
  r.n = v->len[k] * inner;
  r.at = v->lo[k] * inner;
  for (int i = k; i-- > 0;) {
    inner *= t->dim[i + 1];
    r.at += v->lo[i] * inner;
    r.count[i] = v->len[i];
    r.step[i] = inner;
    r.left *= v->len[i];
  }
  return r;
}

void dx_runs_next(dx_runs *r) {
  r->left--;
  for (int k = DAG_RANK; k-- > 0;) {
    if (r->count[k] == 0) continue;
    r->at += r->step[k];
    if (++r->i[k] < r->count[k]) return;
    r->at -= r->count[k] * r->step[k];
    r->i[k] = 0;
  }
}

/* ---- buffers ----------------------------------------------------------------------------------
 */

static bool integer(dtype d) {
  return d == DT_INT8 || d == DT_INT4;
}

void dx_lay_out(dx *x, uint32_t tensor) {
  const dag_tensor *t = &x->d->tensors[tensor];
  dx_tensor *s = &x->t[tensor];
  uint64_t cols = t->dim[t->rank - 1];
  s->form = t->role == DAG_ACT && integer((dtype)t->dtype) ? DT_F32 : (dtype)t->dtype;
  s->group = t->role == DAG_KV ? (uint32_t)cols : KERN_GROUP;
  s->row_B = s->form == DT_INT4 ? kern_int4_row_bytes(cols, s->group) : dtype_bytes(s->form, cols);
  s->elements = t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3];
  s->bytes = s->elements / cols * s->row_B;
}

uint8_t *dx_buffer(dx *x, uint64_t bytes) {
  for (size_t i = x->n_pool; i-- > 0;)
    if (x->pool[i].bytes == bytes) {
      uint8_t *data = x->pool[i].data;
      x->pool[i] = x->pool[--x->n_pool];
      return data;
    }
  uint8_t *data = mem_alloc(bytes, 1);
  memset(data, 0xff, bytes);
  return data;
}

void dx_buffer_back(dx *x, uint8_t *data, uint64_t bytes) {
  if (data == NULL) return;
  memset(data, 0xff, bytes);
  if (x->n_pool == DX_POOL) {
    free(x->pool[0].data);
    x->pool[0] = x->pool[--x->n_pool];
  }
  x->pool[x->n_pool++] = (dx_free_buffer){data, bytes};
}

/* ---- what is written --------------------------------------------------------------------------
 */

/* Bits from .. to-1 of word i of a run at .. at+n-1. */
static uint64_t word_mask(uint64_t i, uint64_t at, uint64_t n) {
  uint64_t mask = UINT64_MAX, end = at + n;
  if (i == at / 64) mask &= UINT64_MAX << at % 64;
  if (i == (end - 1) / 64 && end % 64 != 0) mask &= UINT64_MAX >> (64 - end % 64);
  return mask;
}

bool dx_all_written(const dx *x, const dag_view *v, uint64_t *missing) {
  const dx_tensor *s = &x->t[v->tensor];
  if (s->n_written == s->elements) return true;
  for (dx_runs r = dx_runs_of(&x->d->tensors[v->tensor], v, false); r.left > 0; dx_runs_next(&r))
    for (uint64_t i = r.at / 64; i <= (r.at + r.n - 1) / 64; i++) {
      uint64_t mask = word_mask(i, r.at, r.n);
      uint64_t lacks = s->n_written == 0 ? mask : mask & ~s->written[i];
      if (lacks == 0) continue;
      *missing = i * 64 + (uint64_t)__builtin_ctzll(lacks);
      return false;
    }
  return true;
}

bool dx_any_written(const dx *x, const dag_view *v) {
  const dx_tensor *s = &x->t[v->tensor];
  if (s->n_written == 0) return false;
  for (dx_runs r = dx_runs_of(&x->d->tensors[v->tensor], v, false); r.left > 0; dx_runs_next(&r))
    for (uint64_t i = r.at / 64; i <= (r.at + r.n - 1) / 64; i++)
      if ((s->written[i] & word_mask(i, r.at, r.n)) != 0) return true;
  return false;
}

static uint64_t ones(uint64_t w) {
  return (uint64_t)__builtin_popcountll(w);
}

void dx_mark(dx *x, const dag_view *v) {
  dx_tensor *s = &x->t[v->tensor];
  size_t words = (size_t)(s->elements / 64 + 1);
  if (s->written == NULL)
    s->written = memset(mem_alloc(words, sizeof *s->written), 0, words * sizeof *s->written);
  for (dx_runs r = dx_runs_of(&x->d->tensors[v->tensor], v, false); r.left > 0; dx_runs_next(&r))
    for (uint64_t i = r.at / 64; i <= (r.at + r.n - 1) / 64; i++) {
      uint64_t mask = word_mask(i, r.at, r.n);
      s->n_written += ones(mask & ~s->written[i]);
      s->written[i] |= mask;
    }
}

void dx_unmark(dx *x, uint32_t tensor, const dag_view *v) {
  dx_tensor *s = &x->t[tensor];
  if (s->n_written == 0) return;
  for (dx_runs r = dx_runs_of(&x->d->tensors[tensor], v, false); r.left > 0; dx_runs_next(&r))
    for (uint64_t i = r.at / 64; i <= (r.at + r.n - 1) / 64; i++) {
      uint64_t mask = word_mask(i, r.at, r.n);
      s->n_written -= ones(mask & s->written[i]);
      s->written[i] &= ~mask;
    }
}

/* ---- elements ---------------------------------------------------------------------------------
 */

/* The byte that holds column `col` of a packed row, and whether in its high half. */
static size_t nibble(const dx_tensor *s, uint64_t cols, uint64_t col, bool *high) {
  uint64_t g = col / s->group, i = col % s->group;
  uint64_t left = cols - g * s->group, of = left < s->group ? left : s->group, half = (of + 1) / 2;
  *high = i >= half;
  return (size_t)(g * ((s->group + 1) / 2) + (*high ? i - half : i));
}

/* A run lies in a row. */
static void read_int4(const dx_tensor *s, uint64_t cols, uint64_t at, uint64_t n, float *y) {
  const uint8_t *row = s->data + at / cols * s->row_B;
  for (uint64_t i = 0; i < n; i++) {
    bool high;
    uint8_t b = row[nibble(s, cols, at % cols + i, &high)];
    y[i] = (float)((high ? b >> 4 : b & 15) - 8);
  }
}

/* A float as a whole number of so many bits; what is none becomes 0. */
static int32_t whole(float y, int bits) {
  float limit = ldexpf(1, bits - 1);
  return y >= -limit && y < limit ? (int32_t)y : 0;
}

static void write_int4(const dx_tensor *s, uint64_t cols, uint64_t at, uint64_t n, const float *y) {
  uint8_t *row = s->data + at / cols * s->row_B;
  for (uint64_t i = 0; i < n; i++) {
    bool high;
    uint8_t *b = &row[nibble(s, cols, at % cols + i, &high)];
    uint32_t q = (uint32_t)(whole(y[i], 4) + 8);
    *b = (uint8_t)(high ? (*b & 15u) | q << 4 : (*b & 0xf0u) | q);
  }
}

static void read_run(const dx_tensor *s, uint64_t cols, uint64_t at, uint64_t n, float *y) {
  const void *p = s->data + (s->form == DT_INT4 ? 0 : at * dtype_bits(s->form) / 8);
  switch (s->form) {
  case DT_F32:
    memcpy(y, p, n * sizeof *y);
    break;
  case DT_F16:
    kern_from_f16(y, p, n);
    break;
  case DT_BF16:
    kern_from_bf16(y, p, n);
    break;
  case DT_INT8:
    for (uint64_t i = 0; i < n; i++) y[i] = ((const int8_t *)p)[i];
    break;
  case DT_INT32:
    for (uint64_t i = 0; i < n; i++) y[i] = (float)((const int32_t *)p)[i];
    break;
  default:
    read_int4(s, cols, at, n, y);
  }
}

static void write_run(const dx_tensor *s, uint64_t cols, uint64_t at, uint64_t n, const float *y) {
  void *p = s->data + (s->form == DT_INT4 ? 0 : at * dtype_bits(s->form) / 8);
  switch (s->form) {
  case DT_F32:
    memcpy(p, y, n * sizeof *y);
    break;
  case DT_F16:
    kern_to_f16(p, y, n);
    break;
  case DT_BF16:
    kern_to_bf16(p, y, n);
    break;
  case DT_INT8:
    for (uint64_t i = 0; i < n; i++) ((int8_t *)p)[i] = (int8_t)whole(y[i], 8);
    break;
  case DT_INT32:
    for (uint64_t i = 0; i < n; i++) ((int32_t *)p)[i] = whole(y[i], 32);
    break;
  default:
    write_int4(s, cols, at, n, y);
  }
}

void dx_read(const dx *x, const dag_view *v, float *y) {
  const dag_tensor *t = &x->d->tensors[v->tensor];
  const dx_tensor *s = &x->t[v->tensor];
  uint64_t cols = t->dim[t->rank - 1];
  for (dx_runs r = dx_runs_of(t, v, s->form == DT_INT4); r.left > 0; dx_runs_next(&r), y += r.n)
    read_run(s, cols, r.at, r.n, y);
}

void dx_write(dx *x, const dag_view *v, const float *y) {
  const dag_tensor *t = &x->d->tensors[v->tensor];
  const dx_tensor *s = &x->t[v->tensor];
  uint64_t cols = t->dim[t->rank - 1];
  for (dx_runs r = dx_runs_of(t, v, s->form == DT_INT4); r.left > 0; dx_runs_next(&r), y += r.n)
    write_run(s, cols, r.at, r.n, y);
}

void dx_copy(dx *x, const dag_view *from, const dag_view *to) {
  enum { SOME = 256 };
  const dag_tensor *ft = &x->d->tensors[from->tensor], *tt = &x->d->tensors[to->tensor];
  const dx_tensor *f = &x->t[from->tensor], *s = &x->t[to->tensor];
  bool packed = f->form == DT_INT4;
  dx_runs a = dx_runs_of(ft, from, packed), b = dx_runs_of(tt, to, packed);
  uint64_t size = dtype_bits(f->form) / 8, a_done = 0, b_done = 0;
  float some[SOME];
  while (a.left > 0) {
    uint64_t n = a.n - a_done < b.n - b_done ? a.n - a_done : b.n - b_done;
    if (packed) {
      n = n < SOME ? n : SOME;
      read_int4(f, ft->dim[ft->rank - 1], a.at + a_done, n, some);
      write_int4(s, tt->dim[tt->rank - 1], b.at + b_done, n, some);
    } else {
      memcpy(s->data + (b.at + b_done) * size, f->data + (a.at + a_done) * size, n * size);
    }
    a_done += n, b_done += n;
    if (a_done == a.n) dx_runs_next(&a), a_done = 0;
    if (b_done == b.n) dx_runs_next(&b), b_done = 0;
  }
}

kern_matrix dx_matrix(const dx *x, const dag_view *v, const void *scales) {
  static const kern_format FORMAT[DT_COUNT] = {
      [DT_F32] = KERN_F32,   [DT_F16] = KERN_F16,   [DT_BF16] = KERN_BF16,
      [DT_INT8] = KERN_INT8, [DT_INT4] = KERN_INT4, [DT_INT32] = KERN_FORMAT_COUNT};
  const dx_tensor *s = &x->t[v->tensor];
  uint64_t cols = x->d->tensors[v->tensor].dim[1] - v->lo[1], lo = v->lo[1];
  size_t shift = s->form == DT_INT4 ? lo / 2 : lo * dtype_bits(s->form) / 8;
  size_t group = s->form == DT_INT8 ? cols : s->form == DT_INT4 ? KERN_GROUP : 0;
  kern_matrix w = kern_matrix_new(FORMAT[s->form], s->data + v->lo[0] * s->row_B + shift, scales,
                                  v->len[0], cols, group);
  w.row_B = s->row_B;
  if (s->form == DT_INT4) w.scales_row_B = 2 * (((size_t)v->len[1] + KERN_GROUP - 1) / KERN_GROUP);
  return w;
}
