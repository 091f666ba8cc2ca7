#include "kernels/attention.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernels/clones.h"
#include "kernels/matmul.h"

/* The KV head that query head h reads, as a matrix (N, d). */
static const float *kv_head(const float *kv, const kern_attn *a, size_t h) {
  assert(a->m > 0 && a->H % a->m == 0);
  return kv + h / (a->H / a->m) * a->N * a->d;
}

/* s[j] for the first n keys, from query q (d) and keys k (N, d). */
static void score_row(float *s, const float *q, const float *k, size_t n, size_t d) {
  double scale = 1 / sqrt((double)d);
  for (size_t j = 0; j < n; j++) s[j] = (float)(kern_dot_f64(q, k + j * d, d) * scale);
}

/* o += p * v, d values. */
KERN_CLONES static void add_weighted(float *restrict o, float p, const float *restrict v,
                                     size_t d) {
  for (size_t i = 0; i < d; i++) o[i] += p * v[i];
}

void kern_scores(float *restrict s, const float *restrict q, const float *restrict k,
                 const kern_attn *a) {
  for (size_t h = 0; h < a->H; h++)
    for (size_t t = 0; t < a->T; t++, s += a->N) {
      size_t n = kern_visible(a, t);
      score_row(s, q + (t * a->H + h) * a->d, kv_head(k, a, h), n, a->d);
      memset(s + n, 0, (a->N - n) * sizeof *s);
    }
}

static float row_max(float most, const float *s, size_t n) {
  for (size_t j = 0; j < n; j++) most = s[j] > most ? s[j] : most;
  return most;
}

void kern_softmax_max(float *max, const float *s, const kern_attn *a) {
  for (size_t h = 0; h < a->H; h++)
    for (size_t t = 0; t < a->T; t++, s += a->N) *max++ = row_max(-INFINITY, s, kern_visible(a, t));
}

void kern_softmax_exp(float *e, float *sum, const float *s, const float *max, const kern_attn *a) {
  for (size_t h = 0; h < a->H; h++)
    for (size_t t = 0; t < a->T; t++, s += a->N, e += a->N, max++) {
      size_t n = kern_visible(a, t);
      for (size_t j = 0; j < n; j++) e[j] = expf(s[j] - *max);
      memset(e + n, 0, (a->N - n) * sizeof *e);
      *sum++ = kern_sum(e, n);
    }
}

void kern_softmax_norm(float *p, const float *e, const float *sum, const kern_attn *a) {
  for (size_t h = 0; h < a->H; h++)
    for (size_t t = 0; t < a->T; t++, e += a->N, p += a->N, sum++) {
      size_t n = kern_visible(a, t);
      for (size_t j = 0; j < n; j++) p[j] = e[j] / *sum;
      memset(p + n, 0, (a->N - n) * sizeof *p);
    }
}

void kern_values(float *restrict o, const float *restrict p, const float *restrict v,
                 const kern_attn *a) {
  memset(o, 0, a->T * a->H * a->d * sizeof *o);
  for (size_t h = 0; h < a->H; h++)
    for (size_t t = 0; t < a->T; t++, p += a->N)
      for (size_t j = 0, n = kern_visible(a, t); j < n; j++)
        add_weighted(o + (t * a->H + h) * a->d, p[j], kv_head(v, a, h) + j * a->d, a->d);
}

/* ---- online ------------------------------------------------------------------------------------
 */

void kern_online_softmax(float *max, float *sum, float *restrict o, float *restrict s,
                         const float *restrict v, size_t n, size_t d) {
  float most = row_max(*max, s, n);
  if (most == -INFINITY) return; /* nothing visible so far; -inf - -inf would be no number */
  float c = expf(*max - most);
  for (size_t j = 0; j < n; j++) s[j] = expf(s[j] - most);
  *sum = *sum * c + kern_sum(s, n);
  *max = most;
  for (size_t i = 0; i < d; i++) o[i] *= c;
  for (size_t j = 0; j < n && d > 0; j++) add_weighted(o, s[j], v + j * d, d);
}

void kern_flash(float *restrict o, float *restrict max, float *restrict sum,
                const float *restrict q, const float *restrict k, const float *restrict v,
                float *restrict scratch, const kern_attn *a, bool first) {
  if (first) {
    memset(o, 0, a->H * a->T * a->d * sizeof *o);
    memset(sum, 0, a->H * a->T * sizeof *sum);
    for (size_t i = 0; i < a->H * a->T; i++) max[i] = -INFINITY;
  }
  for (size_t h = 0; h < a->H; h++)
    for (size_t t = 0; t < a->T; t++, o += a->d, max++, sum++) {
      size_t n = kern_visible(a, t);
      score_row(scratch, q + (t * a->H + h) * a->d, kv_head(k, a, h), n, a->d);
      kern_online_softmax(max, sum, o, scratch, kv_head(v, a, h), n, a->d);
    }
}

void kern_flash_norm(float *restrict y, const float *restrict o, const float *restrict sum,
                     const kern_attn *a) {
  for (size_t h = 0; h < a->H; h++)
    for (size_t t = 0; t < a->T; t++, sum++)
      for (size_t i = 0; i < a->d; i++) y[(t * a->H + h) * a->d + i] = *o++ / *sum;
}
