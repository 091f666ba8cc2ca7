#include "kernels/reference.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS_AT_ONCE = 64, NAME = 96 };

typedef struct ref {
  const model *m;
  const ref_run *run;
  const ref_weights *w;
  const ref_points *points;
  err *e;
  arena a; /* of one layer, or of what is outside the layers */
  size_t T, C, H, K, hd;
  uint64_t layer;
} ref;

static double *doubles(ref *r, size_t n) {
  return ARENA_NEW(&r->a, double, n);
}

/* ---- weights and points ------------------------------------------------------------------------
 */

static const char *layer_weight(const ref *r, const char *name, char buf[NAME]) {
  snprintf(buf, NAME, "model.layers.%" PRIu64 ".%s.weight", r->layer, name);
  return buf;
}

static int rows(const ref *r, const char *name, uint64_t row0, uint64_t n, float *to) {
  return r->w->rows(r->w->user, name, row0, n, to, r->e);
}

/* Gives a point to the caller, as f32. */
static int point(const ref *r, const char *name, uint32_t rank, const uint64_t *dim,
                 const double *x) {
  size_t n = dim[0] * dim[1] * (rank == 3 ? dim[2] : 1);
  float *rounded = mem_alloc(n, sizeof *rounded);
  for (size_t i = 0; i < n; i++) rounded[i] = (float)x[i];
  int status = r->points->point(r->points->user, name, rank, dim, rounded, r->e);
  free(rounded);
  return status;
}

/* (T,cols) */
static int row_point(const ref *r, const char *name, uint64_t cols, const double *x) {
  return point(r, name, 2, (uint64_t[]){r->T, cols}, x);
}

static int layer_point(const ref *r, const char *name, uint64_t cols, const double *x) {
  char full[NAME];
  snprintf(full, sizeof full, "L%" PRIu64 ".%s", r->layer, name);
  return row_point(r, full, cols, x);
}

/* Rank 2: (H,T); rank 3: (H,T,T). */
static int head_point(const ref *r, const char *name, uint32_t rank, const double *x) {
  char full[NAME];
  snprintf(full, sizeof full, "L%" PRIu64 ".%s", r->layer, name);
  return point(r, full, rank, (uint64_t[]){r->H, r->T, r->T}, x);
}

/* ---- the pieces --------------------------------------------------------------------------------
 */

/* y[t,o] = sum_i x[t,i] * w[o,i] */
static int linear(ref *r, const char *weight, const double *x, size_t in, double *y, size_t n_out) {
  float *w = ARENA_NEW(&r->a, float, ROWS_AT_ONCE *in);
  for (size_t o0 = 0; o0 < n_out; o0 += ROWS_AT_ONCE) {
    size_t n = n_out - o0 < ROWS_AT_ONCE ? n_out - o0 : ROWS_AT_ONCE;
    if (rows(r, weight, o0, n, w)) return r->e->status;
    for (size_t t = 0; t < r->T; t++)
      for (size_t o = 0; o < n; o++) {
        double sum = 0;
        for (size_t i = 0; i < in; i++) sum += x[t * in + i] * (double)w[o * in + i];
        y[t * n_out + o0 + o] = sum;
      }
  }
  return ERR_OK;
}

static int layer_linear(ref *r, const char *weight, const char *name, const double *x, size_t in,
                        double *y, size_t n_out) {
  char buf[NAME];
  if (linear(r, layer_weight(r, weight, buf), x, in, y, n_out)) return r->e->status;
  return layer_point(r, name, n_out, y);
}

/* y = x / sqrt(mean(x^2) + eps) * w */
static int norm(ref *r, const char *weight, const double *x, double *y) {
  float *w = ARENA_NEW(&r->a, float, r->C);
  if (rows(r, weight, 0, 1, w)) return r->e->status;
  for (size_t t = 0; t < r->T; t++) {
    double squares = 0;
    for (size_t i = 0; i < r->C; i++) squares += x[t * r->C + i] * x[t * r->C + i];
    double scale = 1 / sqrt(squares / (double)r->C + r->m->rms_norm_eps);
    for (size_t i = 0; i < r->C; i++) y[t * r->C + i] = x[t * r->C + i] * scale * (double)w[i];
  }
  return ERR_OK;
}

/* The file's own factors; else Llama 3.1's rule: long wavelengths are stretched by `factor`, short
 * ones stay, between them a blend. */
static double inv_freq(const model *m, size_t i) {
  const model_rope_scaling *s = &m->rope_scaling;
  double f = 1 / pow(m->rope_theta, (double)(2 * i) / (double)m->head_dim);
  if (m->rope_factors != NULL) return f / (double)m->rope_factors[i];
  if (s->factor == 0) return f;
  double old = (double)s->original_max_position_embeddings, wavelength = 2 * acos(-1) / f;
  if (wavelength < old / s->high_freq_factor) return f;
  if (wavelength > old / s->low_freq_factor) return f / s->factor;
  double blend =
      (old / wavelength - s->low_freq_factor) / (s->high_freq_factor - s->low_freq_factor);
  return (1 - blend) * f / s->factor + blend * f;
}

/* y: x with pairs (i, i + hd/2) of each head rotated by position. */
static void rope(const ref *r, const double *x, double *y, size_t n_heads) {
  size_t half = r->hd / 2;
  for (size_t i = 0; i < half; i++)
    for (size_t t = 0; t < r->T; t++) {
      double angle = (double)(r->run->pos + t) * inv_freq(r->m, i), c = cos(angle), s = sin(angle);
      for (size_t h = 0; h < n_heads; h++) {
        size_t at = (t * n_heads + h) * r->hd + i;
        double a = x[at], b = x[at + half];
        y[at] = a * c - b * s;
        y[at + half] = b * c + a * s;
      }
    }
}

/* Row (h,t) of scores, softmax and output. */
typedef struct attention_rows {
  double *scores, *max, *exp, *sum, *prob, *out;
} attention_rows;

static void attend(const ref *r, const double *q, const double *k, const double *v, size_t h,
                   size_t t, attention_rows *y) {
  size_t kv = h / (r->H / r->K), hd = r->hd, row = h * r->T + t;
  double *s = y->scores + row * r->T, *e = y->exp + row * r->T, *p = y->prob + row * r->T;
  double max = -INFINITY, sum = 0;
  for (size_t j = 0; j <= t; j++) {
    for (size_t i = 0; i < hd; i++)
      s[j] += q[(t * r->H + h) * hd + i] * k[(j * r->K + kv) * hd + i];
    s[j] /= sqrt((double)hd);
    max = fmax(max, s[j]);
  }
  for (size_t j = 0; j <= t; j++) sum += e[j] = exp(s[j] - max);
  for (size_t j = 0; j <= t; j++) p[j] = e[j] / sum;
  for (size_t i = 0; i < hd; i++)
    for (size_t j = 0; j <= t; j++)
      y->out[(t * r->H + h) * hd + i] += p[j] * v[(j * r->K + kv) * hd + i];
  y->max[row] = max, y->sum[row] = sum;
}

/* ---- a layer -----------------------------------------------------------------------------------
 */

/* x (T,C) += attention of its norm */
static int attention(ref *r, double *x) {
  char buf[NAME];
  size_t T = r->T, C = r->C, q_cols = r->H * r->hd, kv_cols = r->K * r->hd;
  double *h = doubles(r, T * C), *q = doubles(r, T * q_cols), *q_rope = doubles(r, T * q_cols);
  double *k = doubles(r, T * kv_cols), *k_rope = doubles(r, T * kv_cols),
         *v = doubles(r, T * kv_cols);
  if (norm(r, layer_weight(r, "input_layernorm", buf), x, h) || layer_point(r, "attn_norm", C, h) ||
      layer_linear(r, "self_attn.q_proj", "q", h, C, q, q_cols) ||
      layer_linear(r, "self_attn.k_proj", "k", h, C, k, kv_cols) ||
      layer_linear(r, "self_attn.v_proj", "v", h, C, v, kv_cols))
    return r->e->status;
  rope(r, q, q_rope, r->H);
  rope(r, k, k_rope, r->K);
  if (layer_point(r, "q_rope", q_cols, q_rope) || layer_point(r, "k_rope", kv_cols, k_rope))
    return r->e->status;
  size_t pairs = r->H * T * T;
  attention_rows y = {doubles(r, pairs),    doubles(r, r->H * T), doubles(r, pairs),
                      doubles(r, r->H * T), doubles(r, pairs),    doubles(r, T * q_cols)};
  for (size_t head = 0; head < r->H; head++)
    for (size_t t = 0; t < T; t++) attend(r, q_rope, k_rope, v, head, t, &y);
  if (head_point(r, "scores", 3, y.scores) || head_point(r, "softmax_max", 2, y.max) ||
      head_point(r, "softmax_exp", 3, y.exp) || head_point(r, "softmax_sum", 2, y.sum) ||
      head_point(r, "softmax_prob", 3, y.prob) || layer_point(r, "attn_out", q_cols, y.out) ||
      layer_linear(r, "self_attn.o_proj", "o_proj", y.out, q_cols, h, C))
    return r->e->status;
  for (size_t i = 0; i < T * C; i++) x[i] += h[i];
  return layer_point(r, "resid1", C, x);
}

/* x (T,C) += MLP of its norm: down(silu(gate(h)) * up(h)) */
static int mlp(ref *r, double *x) {
  char buf[NAME];
  size_t C = r->C, I = r->m->intermediate_size, n = r->T * I;
  double *h = doubles(r, r->T * C), *gate = doubles(r, n), *up = doubles(r, n),
         *both = doubles(r, n);
  if (norm(r, layer_weight(r, "post_attention_layernorm", buf), x, h) ||
      layer_point(r, "ffn_norm", C, h) || layer_linear(r, "mlp.gate_proj", "gate", h, C, gate, I) ||
      layer_linear(r, "mlp.up_proj", "up", h, C, up, I))
    return r->e->status;
  for (size_t i = 0; i < n; i++) both[i] = gate[i] / (1 + exp(-gate[i])) * up[i];
  if (layer_point(r, "silu_mul", I, both) ||
      layer_linear(r, "mlp.down_proj", "down", both, I, h, C))
    return r->e->status;
  for (size_t i = 0; i < r->T * C; i++) x[i] += h[i];
  return layer_point(r, "resid2", C, x);
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static int embed(ref *r, double *x) {
  float *row = ARENA_NEW(&r->a, float, r->C);
  for (size_t t = 0; t < r->T; t++) {
    uint32_t id = r->run->ids[t];
    if (id >= r->m->vocab_size)
      return err_set(r->e, ERR_BAD,
                     "token %zu: id is %" PRIu32 "; the vocabulary of '%s' has ids 0 to %" PRIu64,
                     t, id, r->m->name, r->m->vocab_size - 1);
    if (rows(r, "model.embed_tokens.weight", id, 1, row)) return r->e->status;
    for (size_t i = 0; i < r->C; i++) x[t * r->C + i] = (double)row[i];
  }
  return row_point(r, "embedding", r->C, x);
}

static int head(ref *r, const double *x) {
  size_t vocab = r->m->vocab_size;
  double *h = doubles(r, r->T * r->C), *logits = doubles(r, r->T * vocab);
  const char *weight = r->m->tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight";
  if (norm(r, "model.norm.weight", x, h) || row_point(r, "final_norm", r->C, h) ||
      linear(r, weight, h, r->C, logits, vocab))
    return r->e->status;
  return row_point(r, "logits", vocab, logits);
}

static int forward(ref *r, double *x) {
  if (r->run->input != NULL)
    for (size_t i = 0; i < r->T * r->C; i++) x[i] = (double)r->run->input[i];
  else if (embed(r, x))
    return r->e->status;
  for (r->layer = r->run->first_layer; r->layer < r->run->first_layer + r->run->layers;
       r->layer++) {
    if (attention(r, x) || mlp(r, x)) return r->e->status;
    arena_free(&r->a);
  }
  return r->run->head ? head(r, x) : ERR_OK;
}

ref_run ref_whole(const model *m, const uint32_t *ids, size_t T) {
  return (ref_run){.ids = ids, .T = T, .layers = m->num_hidden_layers, .head = true};
}

int ref_forward(const model *m, const ref_run *run, const ref_weights *w, const ref_points *points,
                err *e) {
  ref r = {.m = m, .run = run, .w = w, .points = points, .e = e, .T = run->T};
  r.C = m->hidden_size, r.hd = m->head_dim;
  r.H = m->num_attention_heads, r.K = m->num_key_value_heads;
  double *x = mem_alloc(r.T * r.C, sizeof *x);
  int status = forward(&r, x);
  arena_free(&r.a);
  free(x);
  return status;
}
