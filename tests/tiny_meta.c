#include "tests/tiny_meta.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const tiny_model TINY_MHA = {.name = "tiny-mha",
                             .seed = 1,
                             .dim = 64,
                             .layers = 2,
                             .heads = 4,
                             .kv = 4,
                             .head_dim = 16,
                             .inter = 172,
                             .vocab = 512,
                             .llama2 = true};
const tiny_model TINY_GQA_PLAIN = {.name = "tiny-gqa-plain",
                                   .seed = 2,
                                   .dim = 64,
                                   .layers = 2,
                                   .heads = 8,
                                   .kv = 2,
                                   .head_dim = 8,
                                   .inter = 192,
                                   .vocab = 320};
const tiny_model TINY_GQA_L32 = {.name = "tiny-gqa-l32",
                                 .seed = 3,
                                 .dim = 128,
                                 .layers = 4,
                                 .heads = 8,
                                 .kv = 2,
                                 .head_dim = 16,
                                 .inter = 256,
                                 .vocab = 512,
                                 .bf16 = true,
                                 .tied = true};

static void add(tiny_tensor *t, size_t *n, const char *meta, const char *hf, long layer,
                uint64_t rows, uint64_t columns, uint64_t heads, double gain) {
  tiny_tensor *x = &t[(*n)++];
  *x = (tiny_tensor){
      .rank = columns > 0 ? 2 : 1, .dim = {rows, columns}, .heads = heads, .gain = gain};
  if (layer < 0) {
    snprintf(x->meta, sizeof x->meta, "%s", meta);
    snprintf(x->hf, sizeof x->hf, "%s", hf);
  } else {
    snprintf(x->meta, sizeof x->meta, "layers.%ld.%s", layer, meta);
    snprintf(x->hf, sizeof x->hf, "model.layers.%ld.%s", layer, hf);
  }
}

size_t tiny_tensors(const tiny_model *m, tiny_tensor t[TINY_MAX_TENSORS]) {
  const uint64_t D = m->dim, I = m->inter, Q = m->heads * m->head_dim, K = m->kv * m->head_dim;
  size_t n = 0;
  add(t, &n, "tok_embeddings.weight", "model.embed_tokens.weight", -1, m->vocab, D, 0, 0);
  for (long l = 0; l < (long)m->layers; l++) {
    add(t, &n, "attention.wq.weight", "self_attn.q_proj.weight", l, Q, D, m->heads, 1.75);
    add(t, &n, "attention.wk.weight", "self_attn.k_proj.weight", l, K, D, m->kv, 1.75);
    add(t, &n, "attention.wv.weight", "self_attn.v_proj.weight", l, K, D, 0, 1);
    add(t, &n, "attention.wo.weight", "self_attn.o_proj.weight", l, D, Q, 0, 1);
    add(t, &n, "feed_forward.w1.weight", "mlp.gate_proj.weight", l, I, D, 0, 1.5);
    add(t, &n, "feed_forward.w3.weight", "mlp.up_proj.weight", l, I, D, 0, 1);
    add(t, &n, "feed_forward.w2.weight", "mlp.down_proj.weight", l, D, I, 0, 1);
    add(t, &n, "attention_norm.weight", "input_layernorm.weight", l, D, 0, 0, 0);
    add(t, &n, "ffn_norm.weight", "post_attention_layernorm.weight", l, D, 0, 0, 0);
  }
  add(t, &n, "norm.weight", "model.norm.weight", -1, D, 0, 0, 0);
  if (m->tied)
    add(t, &n, "output.weight", "model.embed_tokens.weight", -1, m->vocab, D, 0, 0);
  else
    add(t, &n, "output.weight", "lm_head.weight", -1, m->vocab, D, 0, 2);
  if (m->llama2) add(t, &n, "rope.freqs", "", -1, m->head_dim / 2, 0, 0, 0);
  return n;
}

/* -- numbers -- */

uint32_t tiny_bits(float v, raw_format format) {
  uint32_t u;
  memcpy(&u, &v, sizeof u);
  if (format == RAW_F32) return u;
  if (format == RAW_BF16) return (u + 0x7FFF + (u >> 16 & 1)) >> 16;
  /* f16: in units of its last place, which is never finer than 2^-24; all weights are below 65504
   */
  double x = fabs((double)v);
  int exponent = 0;
  (void)frexp(x, &exponent);
  int place = exponent - 11 < -24 ? -24 : exponent - 11;
  uint32_t units =
      (uint32_t)nearbyint(ldexp(x, -place)); /* up to 2048: carries into the exponent */
  return (u >> 31) << 15 | (units + ((uint32_t)(place + 24) << 10));
}

float tiny_number(uint32_t bits, raw_format format) {
  float v;
  if (format == RAW_F16) {
    uint32_t exponent = bits >> 10 & 31, units = (bits & 1023) | (exponent > 0 ? 1024u : 0);
    double x = ldexp(units, (int)(exponent > 0 ? exponent : 1) - 25);
    return (float)((bits & 0x8000) != 0 ? -x : x);
  }
  if (format == RAW_BF16) bits <<= 16;
  memcpy(&v, &bits, sizeof v);
  return v;
}

static float seeded(uint64_t seed, const char *name, uint64_t i) {
  const uint64_t G = 0x9E3779B97F4A7C15;
  uint64_t h = 0xCBF29CE484222325;
  for (const char *p = name; *p != '\0'; p++) h = (h ^ (unsigned char)*p) * 0x100000001B3;
  uint64_t z = (h ^ (seed * G)) + (i + 1) * G;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  z = z ^ (z >> 31);
  return (float)((double)(2 * (int64_t)(z >> 40) + 1 - (1 << 24)) / (1 << 24));
}

float tiny_value(const tiny_model *m, const tiny_tensor *t, uint64_t row, uint64_t column) {
  if (t->hf[0] == '\0') /* rope.freqs */
    return (float)(1.0 / pow(10000, (double)(2 * row) / (double)m->head_dim));
  if (t->heads > 0) { /* meta[2i] = hf[i], meta[2i+1] = hf[i + head_dim/2] */
    uint64_t in_head = row % m->head_dim;
    row = row - in_head + in_head / 2 + in_head % 2 * (m->head_dim / 2);
  }
  float u = seeded(m->seed, t->hf, t->rank == 2 ? row * t->dim[1] + column : row);
  float v = t->rank == 1   ? 1.0f + u * 0.25f
            : t->gain == 0 ? u * 0.0875f
                           : u * (float)(t->gain * sqrt(3.0 / (double)t->dim[1]));
  return m->bf16 ? tiny_number(tiny_bits(v, RAW_BF16), RAW_BF16) : v;
}

/* -- files -- */

tiny_part tiny_shard(const tiny_model *m, const tiny_tensor *t, uint64_t shard, uint64_t n_shards) {
  tiny_part p = {.dim = {t->dim[0], t->dim[1]}};
  if (n_shards == 1 || t->rank == 1) return p;
  bool columns = strstr(t->meta, "wo.") != NULL || strstr(t->meta, "w2.") != NULL ||
                 (m->llama2 && strstr(t->meta, "tok_embeddings") != NULL);
  size_t axis = columns ? 1 : 0;
  p.dim[axis] /= n_shards;
  p.first[axis] = shard * p.dim[axis];
  return p;
}

/* The elements of one tensor as its storage holds them. */
static void *storage_data(const tiny_file *f, const tiny_tensor *t, uint64_t lead, uint64_t *n,
                          arena *a) {
  const size_t size = f->format == RAW_F32 ? 4 : 2;
  tiny_part p = tiny_shard(f->m, t, f->shard, f->n_shards);
  const uint64_t rows = p.dim[0], columns = t->rank == 2 ? p.dim[1] : 1;
  *n = lead + rows * columns;
  unsigned char *data = ARENA_NEW(a, unsigned char, *n *size);
  for (uint64_t i = 0; i < rows * columns; i++) {
    uint64_t row = lead > 0 ? i % rows : i / columns, column = lead > 0 ? i / rows : i % columns;
    uint32_t bits =
        tiny_bits(tiny_value(f->m, t, p.first[0] + row, p.first[1] + column), f->format);
    for (size_t b = 0; b < size; b++)
      data[(lead + i) * size + b] = (unsigned char)(bits >> (8 * b));
  }
  return data;
}

void tiny_write(const tiny_file *f, out *o) {
  arena a = {0};
  tiny_tensor whole[TINY_MAX_TENSORS];
  size_t n = tiny_tensors(f->m, whole);
  pw_storage *s = ARENA_NEW(&a, pw_storage, n);
  pw_tensor *t = ARENA_NEW(&a, pw_tensor, n);
  for (size_t i = 0; i < n; i++) {
    const bool turned = f->views && whole[i].rank == 2;
    tiny_part p = tiny_shard(f->m, &whole[i], f->shard, f->n_shards);
    uint64_t lead = turned ? 5 : 0, elements = 0;
    void *data = storage_data(f, &whole[i], lead, &elements, &a);
    const char *key = f->keys != NULL ? f->keys[i] : arena_printf(&a, "%zu", i);
    s[i] = (pw_storage){key, f->format, data, elements};
    t[i] = (pw_tensor){.name = whole[i].meta,
                       .storage = i,
                       .offset = lead,
                       .rank = whole[i].rank,
                       .dim = {p.dim[0], p.dim[1]},
                       .stride = {turned               ? 1
                                  : whole[i].rank == 2 ? p.dim[1]
                                                       : 1,
                                  turned ? p.dim[0] : 1}};
  }
  pw_file file = {arena_printf(&a, "consolidated.%02d", (int)f->shard), s, n, t, n};
  if (f->legacy)
    pw_legacy(&file, NULL, 0, o);
  else
    pw_zip(&file, NULL, 0, o);
  arena_free(&a);
}
