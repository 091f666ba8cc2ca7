/* rope.h - rotary position embedding (Su et al. 2021), with the frequency scaling of Llama 3.
 *
 * Pair i of a head turns by the angle position * inv_freq[i], i = 0 .. head_dim/2 - 1:
 *   a' = a cos - b sin,  b' = b cos + a sin
 * The pair (a, b) is elements (i, i + head_dim/2) in half-split order (HF checkpoints) and (2i,
 * 2i+1) in interleaved order (Meta, GGUF, llama2.c). The two differ by a fixed permutation inside
 * each head, which the rows of the Q and K weights of the two kinds of checkpoint differ by as
 * well; scores are the same.
 *
 * Frequencies, angles and the rotation are f64, the result is rounded to f32 once: an f32 angle is
 * off by up to 4e-3 rad at position 131071. */
#ifndef LS_KERNELS_ROPE_H
#define LS_KERNELS_ROPE_H

#include <stddef.h>
#include <stdint.h>

typedef enum kern_rope_order { KERN_ROPE_HALF_SPLIT, KERN_ROPE_INTERLEAVED } kern_rope_order;

/* rope_type "llama3"; factor 0: none. high > low > 0. */
typedef struct kern_rope_scaling {
  double factor, low_freq_factor, high_freq_factor, original_max_position;
} kern_rope_scaling;

/* A frequency by the llama3 rule, s.factor > 0. By wavelength 2 pi / f: shorter than original /
 * high is kept, longer than original / low is divided by factor, and between them the two are mixed
 * linearly in original / wavelength. Here, since readers of checkpoints recognise the rule by it.
 * Source: Llama 3.1 model.py, apply_scaling. */
static inline double kern_rope_scaled(double f, kern_rope_scaling s) {
  double turns = s.original_max_position * f / 6.283185307179586476925286766559;
  if (turns > s.high_freq_factor) return f;
  if (turns < s.low_freq_factor) return f / s.factor;
  double keep = (turns - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
  return keep * f + (1 - keep) * f / s.factor;
}

/* inv_freq[i] = theta^(-2i/head_dim), then by kern_rope_scaled where there is scaling. inv_freq:
 * (head_dim/2), head_dim even. */
void kern_rope_inv_freq(double *inv_freq, size_t head_dim, double theta, kern_rope_scaling s);

/* The same from GGUF's rope_freqs: theta^(-2i/head_dim) / factor[i]. */
void kern_rope_inv_freq_factors(double *inv_freq, size_t head_dim, double theta,
                                const float *factor);

/* x, y: (T, C), C a multiple of head_dim; row t is at position pos + t. y may be x.
 * Cost: 3*T*C FLOP, and T * head_dim/2 times sin and cos. Cannot fail. */
void kern_rope(float *y, const float *x, size_t T, size_t C, size_t head_dim, uint64_t pos,
               const double *inv_freq, kern_rope_order order);

#endif
