/* bench_kernels [ROUNDS] - how fast the reference kernels read weights, single-threaded, at batch
 * 1: the linear layers of one LLaMA-3.2-1B block as mat-vecs, for each weight format, beside a
 * STREAM-like copy (bytes read plus bytes written, arrays far larger than the caches) in the same
 * run. Copy and formats take turns; medians are printed, a line each: name  GB/s of weights and
 * scales  share of the copy's GB/s  ms a block */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/matmul.h"
#include "kernels/quant.h"

enum { COPY_VALUES = 32 << 20, MAX_ROUNDS = 101, MAX_COLS = 8192, MAX_ROWS = 8192 };

/* (out, in) of q, k, v, o, gate, up, down */
static const size_t SHAPE[][2] = {{2048, 2048}, {512, 2048},  {512, 2048}, {2048, 2048},
                                  {8192, 2048}, {8192, 2048}, {2048, 8192}};
enum { LAYERS = sizeof SHAPE / sizeof SHAPE[0], WEIGHTS = 60817408 };

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *memory(size_t bytes) {
  void *p = malloc(bytes);
  if (p == NULL) {
    fprintf(stderr, "bench_kernels: no memory for %zu bytes\n", bytes);
    exit(3);
  }
  return p;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *v, int n) {
  qsort(v, (size_t)n, sizeof *v, ascending);
  return v[n / 2];
}

/* The compiler may not drop what this pointer leads to. */
static void keep(const void *p) {
  __asm__ volatile("" : : "r"(p) : "memory");
}

static double copy_s(float *to, const float *from) {
  double start = now_s();
  for (size_t i = 0; i < COPY_VALUES; i++) to[i] = from[i];
  keep(to);
  return now_s() - start;
}

/* All linear layers once; returns the bytes of weights and scales. */
static size_t block(kern_format f, const uint8_t *data, const float *scales, const float *x,
                    float *y) {
  size_t bytes = 0;
  for (int i = 0; i < LAYERS; i++) {
    size_t rows = SHAPE[i][0], cols = SHAPE[i][1];
    size_t group = f == KERN_INT8 ? cols : f == KERN_INT4 ? KERN_GROUP : 0;
    kern_matrix w = kern_matrix_new(f, data + bytes, group == 0 ? NULL : scales, rows, cols, group);
    kern_matmul(y, rows, x, cols, 1, &w, 0, rows, 0, cols, false);
    keep(y);
    bytes += rows * w.row_B;
    scales += rows * w.scales_row_B / sizeof *scales;
  }
  size_t n_scales = f == KERN_INT4   ? WEIGHTS / KERN_GROUP
                    : f == KERN_INT8 ? 2048 * 3 + 512 * 2 + 8192 * 2
                                     : 0;
  return bytes + n_scales * (f == KERN_INT4 ? 2 : 4);
}

int main(int argc, char **argv) {
  static double copy[MAX_ROUNDS], took[KERN_FORMAT_COUNT][MAX_ROUNDS];
  static float x[MAX_COLS], y[MAX_ROWS];
  size_t bytes[KERN_FORMAT_COUNT] = {0};
  int rounds = argc > 1 ? atoi(argv[1]) : 9;
  if (argc > 2 || rounds < 1 || rounds > MAX_ROUNDS) {
    fprintf(stderr, "usage: bench_kernels [ROUNDS, 1 to %d]\n", MAX_ROUNDS);
    return 2;
  }
  /* The same small values in every format; which does not matter to the time, only that they are no
   * subnormals. */
  float *w = memory(WEIGHTS * sizeof *w), *scales = memory(WEIGHTS / 16 * sizeof *scales);
  float *to = memory(COPY_VALUES * sizeof *to);
  for (size_t i = 0; i < WEIGHTS; i++) w[i] = (float)(i % 251) * 0.01f + 0.01f;
  for (size_t i = 0; i < WEIGHTS / 16; i++) scales[i] = 0.01f;
  for (size_t i = 0; i < MAX_COLS; i++) x[i] = (float)(i % 17) - 8;
  memset(to, 0, COPY_VALUES * sizeof *to);
  for (int i = 0; i < rounds; i++) {
    copy[i] = copy_s(to, w);
    for (int f = 0; f < KERN_FORMAT_COUNT; f++) {
      double start = now_s();
      bytes[f] = block((kern_format)f, (const uint8_t *)w, scales, x, y);
      took[f][i] = now_s() - start;
    }
  }
  double copy_Bps = 8.0 * COPY_VALUES / median(copy, rounds);
  printf("copy  %6.1f GB/s\n", copy_Bps / 1e9);
  for (int f = 0; f < KERN_FORMAT_COUNT; f++) {
    double s = median(took[f], rounds), Bps = (double)bytes[f] / s;
    printf("%-5s %6.1f GB/s  %4.2f of copy  %6.2f ms a block\n", kern_format_name((kern_format)f),
           Bps / 1e9, Bps / copy_Bps, s * 1e3);
  }
  free(w), free(scales), free(to);
  return 0;
}
