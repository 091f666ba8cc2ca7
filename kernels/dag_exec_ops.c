#include <math.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/convert.h"
#include "kernels/dag_exec_priv.h"
#include "kernels/quant.h"
#include "kernels/rope.h"
#include "kernels/vector.h"

/* The task at hand. Reads are fetched into slots 0 .. 7, results made in the slots behind. */
typedef struct job {
  dx *x;
  const dag_task *t;
  const dag_view *r, *w;
  uint32_t task;
  err *e;
} job;

enum { OUT = 8, SCRATCH = 11 };

static uint64_t size_of(const dag_view *v) {
  return dag_view_elements(v);
}

/* Operand i as f32. */
static float *in(const job *j, uint32_t i) {
  float *y = dx_floats(j->x, i, size_of(&j->r[i]));
  dx_read(j->x, &j->r[i], y);
  return y;
}

static float *result(const job *j, uint32_t i) {
  return dx_floats(j->x, OUT + i, size_of(&j->w[i]));
}

static int put(const job *j, uint32_t i, const float *y) {
  dtype form = j->x->t[j->w[i].tensor].form;
  if (form != DT_INT8 && form != DT_INT4) {
    dx_write(j->x, &j->w[i], y);
    return ERR_OK;
  }
  char text[DX_TEXT];
  return dx_refuse(j->x, j->task, ERR_BAD, j->e, "writes %s: %s without scales",
                   dx_view_text(j->x, &j->w[i], text), dtype_name(form));
}

static bool is_scale(const job *j, uint32_t i) {
  return i < j->t->n_reads && j->x->d->tensors[j->r[i].tensor].role == DAG_SCALE;
}

static dtype form_of(const job *j, uint32_t i) {
  return j->x->t[j->r[i].tensor].form;
}

static bool integer(dtype d) {
  return d == DT_INT8 || d == DT_INT4;
}

static int needs_scales(const job *j, uint32_t i) {
  char text[DX_TEXT];
  return dx_refuse(j->x, j->task, ERR_BAD, j->e, "reads %s, which is %s, without its scales",
                   dx_view_text(j->x, &j->r[i], text), dtype_name(form_of(j, i)));
}

/* ---- linear layers ----------------------------------------------------------------------------
 */

/* Activations of an integer dtype, as a linear layer takes them: rows of int8, groups of int4. */
static void round_input(const job *j, float *x, uint64_t T, uint64_t K) {
  dtype d = (dtype)j->x->d->tensors[j->r[0].tensor].dtype;
  if (!integer(d) || form_of(j, 0) != DT_F32) return;
  int8_t *q = (int8_t *)dx_floats(j->x, SCRATCH, K);
  uint16_t *s = (uint16_t *)dx_floats(j->x, OUT + 1, K);
  for (uint64_t t = 0; t < T; t++) {
    float *row = x + t * K, scale;
    if (d == DT_INT8) {
      kern_int8_quantise(q, &scale, row, 1, K);
      kern_int8_dequantise(row, q, &scale, 1, K);
    } else {
      kern_int4_quantise((uint8_t *)q, s, row, 1, K, KERN_GROUP);
      kern_int4_dequantise(row, (uint8_t *)q, s, 1, K, KERN_GROUP);
    }
  }
}

/* Weights, operand i, with their scales (operand i + 1 where there are any) in slot i + 1. */
static int weights(const job *j, uint32_t i, kern_matrix *w) {
  dtype form = form_of(j, i);
  void *scales = NULL;
  uint64_t groups = form == DT_INT4 ? (j->r[i].len[1] + KERN_GROUP - 1) / KERN_GROUP : 1;
  bool apart = form == DT_INT4 &&
               (j->r[i].lo[1] % KERN_GROUP != 0 || j->x->t[j->r[i].tensor].group != KERN_GROUP);
  char text[DX_TEXT];
  if (form == DT_INT32 || apart)
    return dx_refuse(j->x, j->task, ERR_BAD, j->e, "takes %s for weights: %s",
                     dx_view_text(j->x, &j->r[i], text),
                     apart ? "a box of int4 begins on a group of 32" : "it is int32");
  if (integer(form)) {
    uint64_t n = j->r[i].len[0] * groups;
    if (!is_scale(j, i + 1) || size_of(&j->r[i + 1]) != n) return needs_scales(j, i);
    float *f32 = in(j, i + 1);
    scales = f32;
    if (form == DT_INT4) { /* exact: they are f16 */
      scales = dx_floats(j->x, SCRATCH - 1, n);
      kern_to_f16(scales, f32, n);
    }
  }
  *w = dx_matrix(j->x, &j->r[i], scales);
  return ERR_OK;
}

/* y[t,o] (+)= sum_i x[t,i] * w[o,i]; the operand behind the weights is what to add to if `acc`. */
static int linear(const job *j, bool acc, float *y, uint32_t *next) {
  uint64_t T = j->r[0].len[0], K = j->r[0].len[1], N = j->r[1].len[0];
  kern_matrix w;
  *next = is_scale(j, 2) ? 3 : 2;
  float *x = in(j, 0);
  round_input(j, x, T, K);
  if (weights(j, 1, &w)) return j->e->status;
  if (acc) dx_read(j->x, &j->r[(*next)++], y);
  kern_matmul(y, N, x, K, T, &w, 0, N, 0, K, acc);
  return ERR_OK;
}

static int rope(const job *j, float *y, const float *x) {
  uint64_t T = j->w[0].len[0], C = j->w[0].len[1], hd = j->x->m->head_dim;
  char text[DX_TEXT];
  if (C % hd != 0)
    return dx_refuse(j->x, j->task, ERR_BAD, j->e, "writes %s: not whole heads of %u columns",
                     dx_view_text(j->x, &j->w[0], text), (unsigned)hd);
  kern_rope(y, x, T, C, hd, j->t->pos, j->x->inv_freq, KERN_ROPE_HALF_SPLIT);
  return ERR_OK;
}

static int matmul(const job *j) {
  op o = (op)j->t->op;
  bool acc = o == OP_MATMUL_ACC || o == OP_MATMUL_ACC_SILU || o == OP_MATMUL_ACC_ROPE;
  float *y = result(j, 0);
  uint32_t next;
  uint64_t n = size_of(&j->w[0]);
  if (linear(j, acc, y, &next)) return j->e->status;
  if (o == OP_MATMUL_SILU || o == OP_MATMUL_ACC_SILU) kern_silu_mul(y, in(j, next), y, n);
  if (o == OP_MATMUL_ADD) kern_add(y, in(j, next), y, n);
  if ((o == OP_MATMUL_ROPE || o == OP_MATMUL_ACC_ROPE) && rope(j, y, y)) return j->e->status;
  return put(j, 0, y);
}

/* ---- attention --------------------------------------------------------------------------------
 */

/* Rows of the cache, operand i, times their scales (operand s, where it is one), and their shape.
 * NULL: they lack their scales. */
static float *kv(const job *j, uint32_t i, uint32_t s, dx_kv *k) {
  bool scaled = integer(form_of(j, i));
  float *y = dx_floats(j->x, i, size_of(&j->r[i]));
  *k = dx_kv_of(j->x, &j->r[i]);
  if (scaled && !is_scale(j, s)) return needs_scales(j, i), NULL;
  dx_kv_read(j->x, &j->r[i], scaled ? &j->r[s] : NULL, true, y);
  return y;
}

/* KVAppend, and KVShift, which moves no data on the chip because the rows lie there already. */
static int kv_append(const job *j) {
  dx_kv k = dx_kv_of(j->x, &j->w[0]);
  dtype form = j->x->t[j->w[0].tensor].form;
  char text[DX_TEXT];
  if (integer(form) && j->t->n_writes < 2)
    return dx_refuse(j->x, j->task, ERR_BAD, j->e, "writes %s: %s without scales",
                     dx_view_text(j->x, &j->w[0], text), dtype_name(form));
  float *x = in(j, 0), *y = result(j, 0);
  for (size_t t = 0; t < k.N; t++)
    for (size_t h = 0; h < k.m; h++)
      memcpy(y + (h * k.N + t) * k.d, x + (t * k.m + h) * k.d, k.d * sizeof *y);
  dx_kv_write(j->x, &j->w[0], integer(form) ? &j->w[1] : NULL, true, y);
  return ERR_OK;
}

/* T queries (T, H*d) on such rows. */
static kern_attn shape_of(const job *j, const dx_kv *k, uint64_t T, uint64_t H) {
  return (kern_attn){
      .H = H, .T = T, .N = k->N, .m = k->m, .d = k->d, .pos = j->t->pos, .key = j->t->key};
}

static int scores(const job *j) {
  dx_kv n;
  float *k = kv(j, 1, 2, &n), *s = result(j, 0);
  if (k == NULL) return j->e->status;
  kern_attn a = shape_of(j, &n, j->w[0].len[1], j->w[0].len[0]);
  kern_scores(s, in(j, 0), k, &a);
  return put(j, 0, s);
}

static int values(const job *j) {
  dx_kv n;
  float *v = kv(j, 1, 2, &n), *o = result(j, 0);
  if (v == NULL) return j->e->status;
  kern_attn a = shape_of(j, &n, j->r[0].len[1], j->r[0].len[0]);
  kern_values(o, in(j, 0), v, &a);
  return put(j, 0, o);
}

static int softmax(const job *j) {
  const dag_view *s = &j->r[0];
  kern_attn a = {.H = s->len[0], .T = s->len[1], .N = s->len[2], .m = 1, .d = 1, .pos = j->t->pos};
  float *x = in(j, 0), *y = result(j, 0);
  switch ((op)j->t->op) {
  case OP_SOFTMAX_MAX:
    kern_softmax_max(y, x, &a);
    return put(j, 0, y);
  case OP_SOFTMAX_NORM:
    kern_softmax_norm(y, x, in(j, 1), &a);
    return put(j, 0, y);
  default:
    kern_softmax_exp(y, result(j, 1), x, in(j, 1), &a);
    return put(j, 0, y) ? j->e->status : put(j, 1, result(j, 1));
  }
}

/* Operands: q, k, v, the scales of both, then the state so far where the op has one. */
static int flash(const job *j) {
  op o = (op)j->t->op;
  bool first = o == OP_FLASH || o == OP_FLASH_OUT,
       last = o == OP_FLASH_OUT || o == OP_FLASH_ACC_OUT;
  uint32_t k_scale = 3, v_scale = integer(form_of(j, 1)) && is_scale(j, 3) ? 4 : 3;
  dx_kv n;
  float *q = in(j, 0), *k = kv(j, 1, k_scale, &n), *v = k == NULL ? NULL : kv(j, 2, v_scale, &n);
  if (v == NULL) return j->e->status;
  uint64_t T = j->r[0].len[0], H = j->r[0].len[1] / n.d;
  kern_attn a = shape_of(j, &n, T, H);
  float *state[3];
  for (uint32_t i = 0; i < 3; i++) {
    state[i] = dx_floats(j->x, OUT + i, H * T * (i == 0 ? a.d : 1));
    if (!first) dx_read(j->x, &j->r[j->t->n_reads - 3u + i], state[i]);
  }
  float *row = dx_floats(j->x, SCRATCH, a.N);
  kern_flash(state[0], state[1], state[2], q, k, v, row, &a, first);
  if (last) {
    float *y = dx_floats(j->x, 5, H * T * a.d);
    kern_flash_norm(y, state[0], state[2], &a);
    return put(j, 0, y);
  }
  for (uint32_t i = 0; i < 3; i++)
    if (put(j, i, state[i])) return j->e->status;
  return ERR_OK;
}

/* ---- the others -------------------------------------------------------------------------------
 */

static int rmsnorm(const job *j) {
  float *x = in(j, 0);
  kern_rmsnorm(x, x, in(j, 1), j->r[0].len[0], j->r[0].len[1], j->x->m->rms_norm_eps);
  return put(j, 0, x);
}

static int pointwise(const job *j) {
  float *a = in(j, 0), *b = in(j, 1);
  uint64_t n = size_of(&j->w[0]);
  if (j->t->op == OP_ADD)
    kern_add(a, a, b, n);
  else
    kern_silu_mul(a, a, b, n);
  return put(j, 0, a);
}

static int embed(const job *j) {
  kern_matrix w;
  float *y = result(j, 0);
  if (weights(j, 0, &w)) return j->e->status;
  for (size_t t = 0; t < j->r[0].len[0]; t++)
    kern_row(y + t * j->r[0].len[1], &w, t, 0, j->r[0].len[1]);
  return put(j, 0, y);
}

static int argmax(const job *j) {
  uint64_t T = j->r[0].len[0], N = j->r[0].len[1];
  float *x = in(j, 0), *y = result(j, 0);
  for (uint64_t t = 0; t < T; t++) y[t] = (float)kern_argmax(x + t * N, N);
  return put(j, 0, y);
}

/* ---- transfers --------------------------------------------------------------------------------
 */

static int copy(const job *j, uint32_t task, const dag_view *from, const dag_view *to) {
  char a[DX_TEXT], b[DX_TEXT];
  if (j->x->t[from->tensor].form != j->x->t[to->tensor].form)
    return dx_refuse(j->x, task, ERR_BAD, j->e, "copies %s to %s: one is kept as %s, one as %s",
                     dx_view_text(j->x, from, a), dx_view_text(j->x, to, b),
                     dtype_name(j->x->t[from->tensor].form), dtype_name(j->x->t[to->tensor].form));
  if (j->x->t[from->tensor].source) return dx_load_weights(j->x, task, from, to, j->e);
  dx_copy(j->x, from, to);
  return ERR_OK;
}

/* Row by row, as the ids say. */
static int gather(const job *j) {
  uint32_t n = j->t->n_writes;
  const dag_view *ids = &j->r[n];
  uint64_t rows = ids->len[0], table = j->r[0].len[0];
  for (uint32_t i = 0; i < n; i++)
    if (size_of(ids) != rows || j->w[i].len[0] != rows || j->r[i].len[0] != table)
      return dx_refuse(j->x, j->task, ERR_BAD, j->e,
                       "gathers rows: operand %u and the ids do not have a row for each other",
                       (unsigned)i);
  float *id = dx_floats(j->x, 7, rows);
  dx_read(j->x, ids, id);
  for (uint64_t t = 0; t < rows; t++) {
    if (!(id[t] >= 0 && id[t] < (float)table))
      return dx_refuse(j->x, j->task, ERR_BAD, j->e,
                       "gathers row %.0f for token %u; the table has rows 0 to %u", (double)id[t],
                       (unsigned)t, (unsigned)(table - 1));
    for (uint32_t i = 0; i < n; i++) {
      dag_view from = j->r[i], to = j->w[i];
      from.lo[0] += (uint32_t)id[t], from.len[0] = 1;
      to.lo[0] += (uint32_t)t, to.len[0] = 1;
      if (copy(j, j->task, &from, &to)) return j->e->status;
    }
  }
  return ERR_OK;
}

static int transfer(const job *j) {
  for (uint32_t i = 0; i < j->t->n_writes; i++)
    if (copy(j, j->task, &j->r[i], &j->w[i])) return j->e->status;
  return ERR_OK;
}

int dx_execute(dx *x, uint32_t task, err *e) {
  const dag_task *t = &x->d->tasks[task];
  job j = {x, t, dag_reads(x->d, t), dag_writes(x->d, t), task, e};
  switch ((op)t->op) {
  case OP_RMSNORM:
    return rmsnorm(&j);
  case OP_MATMUL:
  case OP_MATMUL_ACC:
  case OP_MATMUL_SILU:
  case OP_MATMUL_ACC_SILU:
  case OP_MATMUL_ADD:
  case OP_MATMUL_ROPE:
  case OP_MATMUL_ACC_ROPE:
    return matmul(&j);
  case OP_ROPE: {
    float *a = in(&j, 0);
    return rope(&j, a, a) ? e->status : put(&j, 0, a);
  }
  case OP_KVAPPEND:
  case OP_KVSHIFT:
    return kv_append(&j);
  case OP_QK:
    return scores(&j);
  case OP_SOFTMAX_MAX:
  case OP_SOFTMAX_EXP:
  case OP_SOFTMAX_NORM:
    return softmax(&j);
  case OP_PV:
    return values(&j);
  case OP_FLASH:
  case OP_FLASH_ACC:
  case OP_FLASH_OUT:
  case OP_FLASH_ACC_OUT:
    return flash(&j);
  case OP_ADD:
  case OP_SILU_MUL:
    return pointwise(&j);
  case OP_COPY:
    return put(&j, 0, in(&j, 0));
  case OP_EMBED:
    return embed(&j);
  case OP_ARGMAX:
    return argmax(&j);
  case OP_LOAD_EMBED:
    return gather(&j);
  default:
    return transfer(&j);
  }
}
