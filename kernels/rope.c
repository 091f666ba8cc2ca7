#include "kernels/rope.h"

#include <math.h>

void kern_rope_inv_freq(double *inv_freq, size_t head_dim, double theta, kern_rope_scaling s) {
  for (size_t i = 0; i < head_dim / 2; i++) {
    double f = pow(theta, -2.0 * (double)i / (double)head_dim);
    inv_freq[i] = s.factor == 0 ? f : kern_rope_scaled(f, s);
  }
}

void kern_rope_inv_freq_factors(double *inv_freq, size_t head_dim, double theta,
                                const float *factor) {
  kern_rope_inv_freq(inv_freq, head_dim, theta, (kern_rope_scaling){0});
  for (size_t i = 0; i < head_dim / 2; i++) inv_freq[i] /= (double)factor[i];
}

void kern_rope(float *y, const float *x, size_t T, size_t C, size_t head_dim, uint64_t pos,
               const double *inv_freq, kern_rope_order order) {
  size_t half = head_dim / 2, step = order == KERN_ROPE_INTERLEAVED ? 2 : 1,
         to_b = order == KERN_ROPE_INTERLEAVED ? 1 : half;
  for (size_t t = 0; t < T; t++)
    for (size_t i = 0; i < half; i++) {
      double angle = (double)(pos + t) * inv_freq[i];
      double c = cos(angle), s = sin(angle);
      for (size_t at = t * C + i * step; at < (t + 1) * C; at += head_dim) {
        double a = (double)x[at], b = (double)x[at + to_b];
        y[at] = (float)(a * c - b * s);
        y[at + to_b] = (float)(b * c + a * s);
      }
    }
}
