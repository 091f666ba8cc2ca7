#include <stdlib.h>

#include "kernels/convert.h"
#include "kernels/dag_exec_priv.h"
#include "kernels/quant.h"

/* A box of a matrix of weights; a vector is one row. */
typedef struct wbox {
  uint32_t tensor;
  uint64_t row0, rows, col0, cols;
} wbox;

/* Values asked from the source at once, while scales are looked for. */
enum { AT_ONCE = 1 << 18 };

static wbox box_of(const dx *x, const dag_view *v) {
  if (x->d->tensors[v->tensor].rank == 1) return (wbox){v->tensor, 0, 1, v->lo[0], v->len[0]};
  return (wbox){v->tensor, v->lo[0], v->len[0], v->lo[1], v->len[1]};
}

static uint64_t row_length(const dx *x, uint32_t tensor) {
  const dag_tensor *t = &x->d->tensors[tensor];
  return t->dim[t->rank - 1];
}

static int ask(dx *x, const wbox *b, float *y, err *e) {
  return x->weights->box(x->weights->user, x->d->tensors[b->tensor].name, b->row0, b->rows, b->col0,
                         b->cols, y, e);
}

/* The scales of int8 rows: from the largest magnitude of whole rows, whatever the box. */
static int know_scales(dx *x, uint32_t tensor, uint64_t row0, uint64_t rows, err *e) {
  dx_tensor *s = &x->t[tensor];
  uint64_t cols = row_length(x, tensor), n_rows = s->elements / cols;
  if (s->row_scale == NULL) {
    s->row_scale = mem_alloc(n_rows, sizeof *s->row_scale);
    for (uint64_t i = 0; i < n_rows; i++) s->row_scale[i] = -1;
  }
  uint64_t most = AT_ONCE / cols > 0 ? AT_ONCE / cols : 1, end = row0 + rows;
  for (uint64_t r = row0; r < end;) {
    wbox b = {tensor, r, 0, 0, cols};
    while (r < end && s->row_scale[r] < 0 && b.rows < most) b.rows++, r++;
    if (b.rows == 0) {
      r++;
      continue;
    }
    float *y = dx_floats(x, 2, b.rows * cols);
    if (ask(x, &b, y, e)) return e->status;
    for (uint64_t i = 0; i < b.rows; i++)
      s->row_scale[b.row0 + i] = kern_int8_scale(y + i * cols, cols);
  }
  return ERR_OK;
}

static int load_int8(dx *x, const wbox *b, const dag_view *to, err *e) {
  float *y = dx_floats(x, 0, b->rows * b->cols);
  if (know_scales(x, b->tensor, b->row0, b->rows, e) || ask(x, b, y, e)) return e->status;
  int8_t *q = mem_alloc(b->cols, 1);
  for (uint64_t r = 0; r < b->rows; r++) {
    float *row = y + r * b->cols;
    kern_int8_round(q, row, x->t[b->tensor].row_scale[b->row0 + r], b->cols);
    for (uint64_t i = 0; i < b->cols; i++) row[i] = q[i];
  }
  free(q);
  dx_write(x, to, y);
  return ERR_OK;
}

/* Columns of `b`, in whole groups: their whole numbers into `y`, or their scales. `b` begins on a
 * group. */
static int round_int4(dx *x, wbox b, float *y, float *scales, err *e) {
  uint64_t all = row_length(x, b.tensor), want = b.cols;
  uint64_t groups = (b.cols + KERN_GROUP - 1) / KERN_GROUP, left = all - b.col0;
  b.cols = groups * KERN_GROUP < left ? groups * KERN_GROUP : left;
  float *w = dx_floats(x, 2, b.rows * b.cols), *whole = dx_floats(x, 3, b.cols);
  if (ask(x, &b, w, e)) return e->status;
  uint8_t *q = mem_alloc(kern_int4_row_bytes(b.cols, KERN_GROUP), 1);
  uint16_t *s = mem_alloc(2 * groups, sizeof *s), *one = s + groups;
  for (uint64_t i = 0; i < groups; i++) one[i] = kern_f32_f16(1);
  for (uint64_t r = 0; r < b.rows; r++) {
    kern_int4_quantise(q, s, w + r * b.cols, 1, b.cols, KERN_GROUP);
    if (y != NULL) kern_int4_dequantise(whole, q, one, 1, b.cols, KERN_GROUP);
    for (uint64_t i = 0; y != NULL && i < want; i++) y[r * want + i] = whole[i];
    for (uint64_t i = 0; scales != NULL && i < groups; i++)
      scales[r * groups + i] = kern_f16_f32(s[i]);
  }
  free(s);
  free(q);
  return ERR_OK;
}

static int load_values(dx *x, uint32_t task, const dag_view *from, const dag_view *to, err *e) {
  wbox b = box_of(x, from);
  const dx_tensor *s = &x->t[from->tensor];
  if (s->form == DT_INT8) return load_int8(x, &b, to, e);
  float *y = dx_floats(x, 0, b.rows * b.cols);
  if (s->form != DT_INT4) {
    if (ask(x, &b, y, e)) return e->status;
  } else if (b.col0 % KERN_GROUP != 0) {
    char text[DX_TEXT];
    return dx_refuse(x, task, ERR_BAD, e,
                     "reads %s: int4 weights may be cut between groups of %d columns only",
                     dx_view_text(x, from, text), KERN_GROUP);
  } else if (round_int4(x, b, y, NULL, e)) {
    return e->status;
  }
  dx_write(x, to, y);
  return ERR_OK;
}

/* `from` is a box of the scales of weights. */
static int load_scales(dx *x, const dag_view *from, const dag_view *to, err *e) {
  uint32_t of = x->t[from->tensor].values;
  uint64_t rows = from->len[0], groups = x->d->tensors[from->tensor].rank == 1 ? 1 : from->len[1];
  float *y = dx_floats(x, 0, rows * groups);
  if (x->t[of].form == DT_INT8) {
    if (know_scales(x, of, from->lo[0], rows, e)) return e->status;
    for (uint64_t r = 0; r < rows; r++) y[r] = x->t[of].row_scale[from->lo[0] + r];
  } else {
    uint64_t col0 = (uint64_t)from->lo[1] * KERN_GROUP, left = row_length(x, of) - col0;
    wbox b = {of, from->lo[0], rows, col0, groups * KERN_GROUP < left ? groups * KERN_GROUP : left};
    if (round_int4(x, b, NULL, y, e)) return e->status;
  }
  dx_write(x, to, y);
  return ERR_OK;
}

/* Are these scales such as the weights have? */
static bool scales_fit(const dx *x, uint32_t scales, uint32_t of) {
  const dag_tensor *s = &x->d->tensors[scales], *w = &x->d->tensors[of];
  uint64_t groups = w->dtype == DT_INT4 ? (w->dim[1] + KERN_GROUP - 1) / KERN_GROUP : 1;
  return w->rank == 2 && (w->dtype == DT_INT4 || w->dtype == DT_INT8) && s->rank <= 2 &&
         s->dim[0] == w->dim[0] && s->dim[1] == groups;
}

int dx_load_weights(dx *x, uint32_t task, const dag_view *from, const dag_view *to, err *e) {
  char text[DX_TEXT];
  uint32_t of = x->t[from->tensor].values;
  if (of == DX_NONE && x->d->tensors[from->tensor].rank > 2)
    return dx_refuse(x, task, ERR_BAD, e, "reads %s: weights are vectors and matrices",
                     dx_view_text(x, from, text));
  if (of != DX_NONE && !scales_fit(x, from->tensor, of))
    return dx_refuse(x, task, ERR_BAD, e, "reads %s: '%.200s' has no such scales",
                     dx_view_text(x, from, text), x->d->tensors[of].name);
  if (of != DX_NONE) return load_scales(x, from, to, e);
  return load_values(x, task, from, to, e);
}
