#include "kernels/seeded.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "kernels/convert.h"

#define GOLDEN_RATIO UINT64_C(0x9E3779B97F4A7C15)

static uint64_t fnv1a64(const char *s) {
  uint64_t h = UINT64_C(0xCBF29CE484222325);
  for (; *s != '\0'; s++) h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001B3);
  return h;
}

static uint64_t finalise(uint64_t z) {
  z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
  return z ^ z >> 31;
}

static float scale_of(const model_tensor *t) {
  if (t->rank == 1) return 0.25f;
  if (strstr(t->name, "embed_tokens") != NULL) return 0.0875f;
  double gain = strstr(t->name, "q_proj") != NULL || strstr(t->name, "k_proj") != NULL ? 1.75
                : strstr(t->name, "gate_proj") != NULL                                 ? 1.5
                : strstr(t->name, "lm_head") != NULL                                   ? 2
                                                                                       : 1;
  return (float)(gain * sqrt(3 / (double)t->dim[1]));
}

void seeded_fill(float *w, uint64_t seed, const model_tensor *t, uint64_t first, uint64_t n,
                 dtype exact) {
  uint64_t base = fnv1a64(t->name) ^ seed * GOLDEN_RATIO;
  float scale = scale_of(t), offset = t->rank == 1 ? 1 : 0;
  for (uint64_t i = 0; i < n; i++) {
    int64_t k = (int64_t)(finalise(base + (first + i + 1) * GOLDEN_RATIO) >> 40);
    float x = (float)(2 * k + 1 - (1 << 24)) * 0x1p-24f * scale + offset;
    w[i] = exact == DT_BF16  ? kern_bf16_f32(kern_f32_bf16(x))
           : exact == DT_F16 ? kern_f16_f32(kern_f32_f16(x))
                             : x;
  }
}

seeded *seeded_new(const model *m, uint64_t seed, arena *a) {
  seeded *s = ARENA_NEW(a, seeded, 1);
  model_tensor *tensors;
  s->n = model_tensors(m, &tensors, a);
  s->m = m, s->tensors = tensors, s->seed = seed;
  return s;
}

int seeded_rows(void *user, const char *name, uint64_t row0, uint64_t n, float *rows, err *e) {
  const seeded *s = user;
  for (size_t i = 0; i < s->n; i++) {
    const model_tensor *t = &s->tensors[i];
    if (strcmp(t->name, name) != 0) continue;
    uint64_t n_rows = t->rank == 1 ? 1 : t->dim[0], cols = t->dim[t->rank - 1];
    if (row0 > n_rows || n > n_rows - row0)
      return err_set(e, ERR_INTERNAL,
                     "rows %" PRIu64 " to %" PRIu64 " of '%s' asked for; it has %" PRIu64, row0,
                     row0 + n, name, n_rows);
    seeded_fill(rows, s->seed, t, row0 * cols, n * cols, s->m->torch_dtype);
    return ERR_OK;
  }
  return err_set(e, ERR_INTERNAL, "model '%s' has no tensor '%s'", s->m->name, name);
}
