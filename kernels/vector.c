#include "kernels/vector.h"

#include <math.h>

#include "kernels/matmul.h"

void kern_rmsnorm(float *y, const float *x, const float *w, size_t T, size_t C, double eps) {
  for (size_t t = 0; t < T; t++, x += C, y += C) {
    double scale = 1 / sqrt(kern_dot_f64(x, x, C) / (double)C + eps);
    for (size_t i = 0; i < C; i++) y[i] = (float)((double)x[i] * scale * (double)w[i]);
  }
}

void kern_silu_mul(float *y, const float *gate, const float *up, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
}

void kern_add(float *y, const float *a, const float *b, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

size_t kern_argmax(const float *x, size_t n) {
  size_t best = 0;
  for (size_t i = 1; i < n; i++)
    if (x[i] > x[best] || (isnan(x[best]) && !isnan(x[i]))) best = i;
  return best;
}
