/* attention.h - causal grouped-query attention in f32: three-pass, a kernel a pass, and online.
 *
 * Shapes are those of the DAG's ops (op.h), contiguous, outermost first: queries q (T, H*d), keys k
 * and values v (m, N, d), scores and probabilities (H, T, N), a number a row (H, T). H query heads
 * share m KV heads, head h reads KV head h / (H/m). Query t stands at position pos + t, key j at
 * key + j, and is visible if key + j <= pos + t. What is not visible is never read; scores and
 * probabilities are 0 there.
 *
 * Scores are summed in f64 and rounded to f32 once, since exp turns their absolute error into a
 * relative one; sums of f32 have the order of matmul.h; weighted values add up in f32 in ascending
 * j. No operand overlaps another unless said. exp is the C library's. None can fail. */
#ifndef LS_KERNELS_ATTENTION_H
#define LS_KERNELS_ATTENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct kern_attn {
  size_t H, T, N, m, d; /* query heads (a multiple of m), queries, keys, KV heads, head_dim */
  uint64_t pos, key;    /* positions of the first query and key */
} kern_attn;

/* Keys of the N that query t sees: the first ones. */
static inline size_t kern_visible(const kern_attn *a, size_t t) {
  uint64_t end = a->pos + t + 1;
  return end <= a->key ? 0 : end - a->key < a->N ? (size_t)(end - a->key) : a->N;
}

/* s[h,t,j] = q[t,h,:] . k[g,j,:] / sqrt(d). Cost: 2*d FLOP a visible pair. */
void kern_scores(float *restrict s, const float *restrict q, const float *restrict k,
                 const kern_attn *a);

/* Softmax in three passes over the visible keys of each row; every row must see one.
 *   max   max[h,t] = max_j s[h,t,j]
 *   exp   e[h,t,j] = exp(s[h,t,j] - max[h,t]),  sum[h,t] = sum_j e[h,t,j]      e may be s
 *   norm  p[h,t,j] = e[h,t,j] / sum[h,t]                                       p may be e
 * Cost: 1, 2 and 1 FLOP (and an exp) a visible pair. Source: Milakov & Gimelshein 2018, algorithm 2
 * ("safe"). */
void kern_softmax_max(float *max, const float *s, const kern_attn *a);
void kern_softmax_exp(float *e, float *sum, const float *s, const float *max, const kern_attn *a);
void kern_softmax_norm(float *p, const float *e, const float *sum, const kern_attn *a);

/* o[t,h,:] = sum_j p[h,t,j] * v[g,j,:], o: (T, H*d). Cost: 2*d FLOP a visible pair. */
void kern_values(float *restrict o, const float *restrict p, const float *restrict v,
                 const kern_attn *a);

/* Online softmax of one row, a block of n scores at a time (algorithm 3 there). max, sum and o (d
 * values) go from those of the blocks before to those of all: max' = max(max, max_j s[j]),  c =
 * exp(max - max'),  sum' = sum*c + sum_j e_j,  o' = o*c + sum_j e_j v[j,:], e_j = exp(s[j] - max')
 * Start: max = -infinity, sum = 0, o = 0. Scores of -infinity (masked) weigh 0. s is overwritten
 * with e. v: (n, d); d may be 0, then o and v are not read. */
void kern_online_softmax(float *max, float *sum, float *restrict o, float *restrict s,
                         const float *restrict v, size_t n, size_t d);

/* Flash attention over one block of keys (Dao et al. 2022): per head and query the online softmax
 * of its visible scores. o: (H, T, d), max, sum: (H, T) hold the state of the blocks before, or
 * nothing yet if `first`. A query that sees no key of the block keeps its state. scratch: N values.
 * Cost: 4*d FLOP a visible pair, 2*d a row for the rescaling. */
void kern_flash(float *restrict o, float *restrict max, float *restrict sum,
                const float *restrict q, const float *restrict k, const float *restrict v,
                float *restrict scratch, const kern_attn *a, bool first);

/* y[t,h,:] = o[h,t,:] / sum[h,t], y: (T, H*d). A row that saw no key gives NaN. Cost: H*T*d FLOP.
 */
void kern_flash_norm(float *restrict y, const float *restrict o, const float *restrict sum,
                     const kern_attn *a);

#endif
