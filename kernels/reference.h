/* reference.h - a LLaMA forward pass written straight down, to compare others with.
 *
 * It shares nothing with the task DAG or the kernels: own loops, one after the other, over T tokens
 * at once with causal attention, which is what a KV-cached decode yields at each position. Weights
 * are f32 and points are given as f32; what is between is f64, so that a distance from this
 * reference is the other side's own. (With f32 activations and f64 sums alone, e^(s - max) is off
 * by up to 5e-6 after four layers: scores of 12 carry that much of every rounding before them.)
 * Slow on purpose: no blocking, no tricks.
 *
 * Named points, in order, with their shapes (H heads, K KV heads, hd head_dim, C hidden size):
 *   embedding (T,C)
 *   per layer n, after "L<n>.":
 *     attn_norm (T,C), q (T,H*hd), k and v (T,K*hd), q_rope, k_rope,
 *     scores (H,T,T; 0 where masked), softmax_max (H,T), softmax_exp (H,T,T), softmax_sum (H,T),
 *     softmax_prob (H,T,T), attn_out (T,H*hd), o_proj, resid1, ffn_norm (T,C),
 *     gate, up, silu_mul (T,intermediate), down, resid2 (T,C)
 *   final_norm (T,C), logits (T,vocab)
 *
 * Heads are in HF order (RoPE pairs i and i + hd/2).
 *
 * Cost: about 2*T FLOP a parameter and 4*C*T^2 a layer; memory about 8*(3*H*T^2 + 3*T*(intermediate
 * + C)) B. */
#ifndef LS_KERNELS_REFERENCE_H
#define LS_KERNELS_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"
#include "workloads/model.h"

/* Where weights come from: rows row0 .. row0+n-1 of the tensor with that HF name, as f32, in HF row
 * order; a vector (norm) is one row. Returns the status that it put into `e`. */
typedef struct ref_weights {
  int (*rows)(void *user, const char *name, uint64_t row0, uint64_t n, float *rows, err *e);
  void *user;
} ref_weights;

/* Where points go. `x` is only valid during the call. A status other than ERR_OK ends the run with
 * it. */
typedef struct ref_points {
  int (*point)(void *user, const char *name, uint32_t rank, const uint64_t *dim, const float *x,
               err *e);
  void *user;
} ref_points;

typedef struct ref_run {
  const uint32_t
      *ids; /* T token ids, each below the vocabulary's size (ERR_BAD); not used if `input` */
  const float *input; /* (T,C): what enters the first layer, instead of an embedding; or NULL */
  size_t T;
  uint64_t pos;                 /* position of the first token; the tokens see each other only */
  uint64_t first_layer, layers; /* which layers run */
  bool head;                    /* final norm and logits after them */
} ref_run;

/* The whole model over T ids. */
ref_run ref_whole(const model *m, const uint32_t *ids, size_t T);

ERR_CHECK int ref_forward(const model *m, const ref_run *run, const ref_weights *w,
                          const ref_points *points, err *e);

#endif
