#include "tests/ckpt_rig.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

const char *const RIG_NAMES[RIG_MODELS] = {"tiny-mha", "tiny-gqa-plain", "tiny-gqa-l32",
                                           "tiny-hd32"};

/* The golden data's README, "Models"; original_max_position_embeddings 8192. */
static const rig RIGS[] = {
    {{"tiny-mha", "", 64, 172, 2, 4, 4, 16, 512, 64, 1e-5, 1e4, .torch_dtype = DT_F32}, 1, false},
    {{"tiny-gqa-plain", "", 64, 192, 2, 8, 2, 8, 320, 64, 1e-5, 1e4, .torch_dtype = DT_F32},
     2,
     false},
    {{"tiny-gqa-l32", "", 128, 256, 4, 8, 2, 16, 512, 131072, 1e-5, 5e5,
      .rope_scaling = {32, 1, 4, 8192}, .tie_word_embeddings = true, .torch_dtype = DT_BF16},
     3,
     true},
    {{"tiny-hd32", "", 96, 160, 2, 4, 2, 32, 320, 131072, 1e-6, 5e5,
      .rope_scaling = {8, 1, 4, 8192}, .tie_word_embeddings = true, .torch_dtype = DT_BF16},
     4,
     true},
    {{"micro", "", 32, 3, 1, 4, 2, 8, 5, 16, 1e-5, 1e4, .torch_dtype = DT_F32}, 9, false},
};

const rig *rig_named(const char *name) {
  for (size_t i = 0; i < sizeof RIGS / sizeof *RIGS; i++)
    if (strcmp(RIGS[i].m.name, name) == 0) return &RIGS[i];
  return NULL;
}

/* -- weights -- */

static const uint64_t GOLDEN = 0x9E3779B97F4A7C15;

static uint64_t fnv1a(const char *s) {
  uint64_t h = 0xCBF29CE484222325;
  for (; *s != '\0'; s++) h = (h ^ (unsigned char)*s) * 0x100000001B3;
  return h;
}

/* Element i of the tensor: uniform in (-1, 1). */
static float uniform(uint64_t base, uint64_t i) {
  uint64_t z = base + (i + 1) * GOLDEN;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  z ^= z >> 31;
  return (float)((double)(2 * (int64_t)(z >> 40) + 1 - (1 << 24)) / (double)(1 << 24));
}

static float scale_of(ckpt_role r, uint64_t cols) {
  double gain = r == CKPT_Q || r == CKPT_K ? 1.75
                : r == CKPT_GATE           ? 1.5
                : r == CKPT_LM_HEAD        ? 2
                                           : 1;
  if (r == CKPT_EMBEDDING) return 0.0875f;
  if (ckpt_role_rank(r) == 1) return 0.25f;
  return (float)(gain * sqrt(3.0 / (double)cols));
}

static uint32_t bits(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}

/* Nearest, ties to even; not for NaN. */
static uint16_t to_bf16(float x) {
  uint32_t u = bits(x);
  return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static float from_bf16(uint16_t h) {
  uint32_t u = (uint32_t)h << 16;
  float x;
  memcpy(&x, &u, sizeof x);
  return x;
}

float *rig_weight(const rig *g, ckpt_role r, uint64_t layer, arena *a) {
  uint64_t rows, cols;
  if (r == CKPT_LM_HEAD && g->m.tie_word_embeddings) r = CKPT_EMBEDDING;
  ckpt_role_shape(&g->m, r, &rows, &cols);
  uint64_t base = fnv1a(ckpt_tensor_name(CKPT_HF, r, layer, a)) ^ (g->seed * GOLDEN);
  float *x = ARENA_NEW(a, float, (size_t)(rows * cols)), scale = scale_of(r, cols);
  for (uint64_t i = 0; i < rows * cols; i++) {
    float u = uniform(base, i) * scale;
    x[i] = ckpt_role_rank(r) == 1 ? 1 + u : u;
    if (g->bf16) x[i] = from_bf16(to_bf16(x[i]));
  }
  return x;
}

/* -- bytes -- */

void blob_put(blob *b, const void *data, size_t n) {
  while (b->cap - b->len < n) {
    size_t cap = b->cap == 0 ? 4096 : 2 * b->cap;
    unsigned char *more = arena_alloc(b->a, cap, 1);
    if (b->len > 0) memcpy(more, b->data, b->len);
    b->data = more;
    b->cap = cap;
  }
  if (n > 0) memcpy(b->data + b->len, data, n);
  b->len += n;
}

void blob_int(blob *b, uint64_t v, int bytes) {
  unsigned char little[8];
  for (int i = 0; i < bytes; i++) little[i] = (unsigned char)(v >> 8 * i);
  blob_put(b, little, (size_t)bytes);
}

void blob_pad(blob *b, size_t multiple) {
  while (b->len % multiple != 0) blob_int(b, 0, 1);
}

/* -- numbers -- */

/* f16 by arithmetic: the multiple of the unit in x's binade that is nearest; not for |x| > 65504.
 */
static uint16_t to_f16(float x) {
  int e;
  frexpf(x, &e); /* |x| = 0.5..1 times 2^e */
  if (e < -13) e = -13;
  double units = nearbyint(ldexp(fabs((double)x), 11 - e)); /* of 2^(e-11) */
  uint32_t h = (uint32_t)units;
  if (h >= 1024) h += (uint32_t)(e + 13) << 10; /* normal: 1024 units become exponent e + 14 */
  return (uint16_t)(h | (signbit(x) ? 0x8000 : 0));
}

static float f16_worth(float x) {
  int e;
  frexpf(x, &e);
  if (e < -13) e = -13;
  return (float)ldexp(nearbyint(ldexp((double)x, 11 - e)), e - 11);
}

static float largest(const float *x, size_t n) {
  float most = 0;
  for (size_t i = 0; i < n; i++)
    if (fabsf(x[i]) > most) most = fabsf(x[i]);
  return most;
}

/* GGUF Q8_0: scale |max|/127, nearest with ties outward. */
static void encode_q8_0(blob *b, const float *x, float *y) {
  float d = largest(x, 32) / 127, inverse = d != 0 ? 1 / d : 0;
  blob_int(b, to_f16(d), 2);
  for (int i = 0; i < 32; i++) {
    float q = roundf(x[i] * inverse);
    blob_int(b, (uint64_t)(int64_t)q, 1);
    if (y != NULL) y[i] = f16_worth(d) * q;
  }
}

/* GGUF Q4_0: the extreme becomes -8 and the rest 0..15 above it. */
static void encode_q4_0(blob *b, const float *x, float *y) {
  float extreme = 0;
  uint8_t q[32];
  for (int i = 0; i < 32; i++)
    if (fabsf(x[i]) > fabsf(extreme)) extreme = x[i];
  float d = extreme / -8, inverse = d != 0 ? 1 / d : 0;
  for (int i = 0; i < 32; i++) {
    float shifted = truncf(x[i] * inverse + 8.5f);
    q[i] = (uint8_t)(shifted > 15 ? 15 : shifted);
    if (y != NULL) y[i] = f16_worth(d) * ((float)q[i] - 8);
  }
  blob_int(b, to_f16(d), 2);
  for (int i = 0; i < 16; i++) blob_int(b, q[i] | (uint64_t)q[i + 16] << 4, 1);
}

/* llama2.c: all values, then all scales; nearest with ties to even. */
static void encode_q8_l2c(blob *b, const float *x, size_t n, size_t group, float *y) {
  float scale = 0;
  for (size_t i = 0; i < n; i++) {
    if (i % group == 0) scale = largest(x + i, group) / 127;
    float q = nearbyintf(x[i] / scale);
    blob_int(b, (uint64_t)(int64_t)q, 1);
    if (y != NULL) y[i] = scale * q;
  }
  for (size_t i = 0; i < n; i += group) blob_int(b, bits(largest(x + i, group) / 127), 4);
}

void rig_encode(blob *b, raw_format f, const float *x, size_t n, size_t group, float *y) {
  if (f == RAW_Q8_L2C) {
    encode_q8_l2c(b, x, n, group, y);
  } else if (f == RAW_Q8_0 || f == RAW_Q4_0) {
    for (size_t i = 0; i < n; i += 32)
      (f == RAW_Q8_0 ? encode_q8_0 : encode_q4_0)(b, x + i, y != NULL ? y + i : NULL);
  } else {
    for (size_t i = 0; i < n; i++) {
      uint64_t v = f == RAW_F32 ? bits(x[i]) : f == RAW_F16 ? to_f16(x[i]) : to_bf16(x[i]);
      blob_int(b, v, f == RAW_F32 ? 4 : 2);
      if (y != NULL)
        y[i] = f == RAW_F32 ? x[i] : f == RAW_F16 ? f16_worth(x[i]) : from_bf16(to_bf16(x[i]));
    }
  }
}

float *rig_rounded(const rig *g, ckpt_role r, uint64_t layer, raw_format f, size_t group,
                   arena *a) {
  uint64_t rows, cols;
  blob scratch = {.a = a};
  float *x = rig_weight(g, r, layer, a);
  ckpt_role_shape(&g->m, r, &rows, &cols);
  for (uint64_t i = 0; i < rows; i++)
    rig_encode(&scratch, f, x + i * cols, (size_t)cols, group, x + i * cols);
  return x;
}

/* -- HF -- */

const char *rig_config(const rig *g, arena *a) {
  const model *m = &g->m;
  const char *more = "", *scaling = "null";
  const model_rope_scaling *s = &m->rope_scaling;
  if (s->factor > 0)
    scaling = arena_printf(a,
                           "{\"rope_type\": \"llama3\", \"factor\": %g, \"low_freq_factor\": %g, "
                           "\"high_freq_factor\": %g, \"original_max_position_embeddings\": "
                           "%" PRIu64 "}",
                           s->factor, s->low_freq_factor, s->high_freq_factor,
                           s->original_max_position_embeddings);
  /* tiny-mha imitates a config of Llama 1, which has none of these */
  if (strcmp(m->name, "tiny-mha") != 0)
    more = arena_printf(a,
                        "\"num_key_value_heads\": %" PRIu64 ", \"head_dim\": %" PRIu64
                        ", \"rope_theta\": %g, \"rope_scaling\": %s, ",
                        m->num_key_value_heads, m->head_dim, m->rope_theta, scaling);
  return arena_printf(a,
                      "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": %" PRIu64
                      ", \"intermediate_size\": %" PRIu64 ", \"num_hidden_layers\": %" PRIu64
                      ", \"num_attention_heads\": %" PRIu64 ", \"vocab_size\": %" PRIu64
                      ", \"max_position_embeddings\": %" PRIu64 ", %s\"rms_norm_eps\": %g, "
                      "\"tie_word_embeddings\": %s}",
                      m->hidden_size, m->intermediate_size, m->num_hidden_layers,
                      m->num_attention_heads, m->vocab_size, m->max_position_embeddings, more,
                      m->rms_norm_eps, m->tie_word_embeddings ? "true" : "false");
}

/* All weights, one after the other: false after the last. A tied head is none. */
static bool next_weight(const rig *g, ckpt_role *r, uint64_t *layer) {
  if (ckpt_role_in_layer(*r) && *layer + 1 < g->m.num_hidden_layers) {
    (*layer)++;
    return true;
  }
  *layer = 0;
  *r = (ckpt_role)(*r + 1);
  return *r < CKPT_LM_HEAD || (*r == CKPT_LM_HEAD && !g->m.tie_word_embeddings);
}

blob rig_safetensors(const rig *g, raw_format f, size_t s, size_t n, arena *a) {
  blob file = {.a = a}, data = {.a = a};
  const char *header = "{\"__metadata__\":{\"format\":\"pt\"}";
  ckpt_role r = CKPT_EMBEDDING;
  uint64_t layer = 0, rows, cols, i = 0;
  do {
    if (i++ % n != s) continue;
    ckpt_role_shape(&g->m, r, &rows, &cols);
    size_t begin = data.len;
    rig_encode(&data, f, rig_weight(g, r, layer, a), (size_t)(rows * cols), 0, NULL);
    const char *shape = ckpt_role_rank(r) == 1
                            ? arena_printf(a, "%" PRIu64, cols)
                            : arena_printf(a, "%" PRIu64 ",%" PRIu64, rows, cols);
    header =
        arena_printf(a, "%s,\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                     header, ckpt_tensor_name(CKPT_HF, r, layer, a),
                     f == RAW_F32   ? "F32"
                     : f == RAW_F16 ? "F16"
                                    : "BF16",
                     shape, begin, data.len);
  } while (next_weight(g, &r, &layer));
  header = arena_printf(a, "%s}", header);
  blob_int(&file, strlen(header), 8);
  blob_put(&file, header, strlen(header));
  blob_put(&file, data.data, data.len);
  return file;
}

const char *rig_index(const rig *g, size_t n, arena *a) {
  const char *json = "{\"metadata\": {}, \"weight_map\": {";
  ckpt_role r = CKPT_EMBEDDING;
  uint64_t layer = 0, i = 0;
  do {
    json = arena_printf(a, "%s%s\"%s\": \"part-%zu.safetensors\"", json, i == 0 ? "" : ", ",
                        ckpt_tensor_name(CKPT_HF, r, layer, a), (size_t)(i % n));
    i++;
  } while (next_weight(g, &r, &layer));
  return arena_printf(a, "%s}}", json);
}

/* -- formats that store pairs -- */

/* Rows of Q and K, head by head: 0, half, 1, half + 1, ... */
static float *stored(const rig *g, ckpt_role r, uint64_t layer, arena *a) {
  float *x = rig_weight(g, r, layer, a);
  if (r != CKPT_Q && r != CKPT_K) return x;
  uint64_t rows, cols, size = g->m.head_dim;
  ckpt_role_shape(&g->m, r, &rows, &cols);
  float *y = ARENA_NEW(a, float, (size_t)(rows * cols));
  for (uint64_t head = 0; head < rows / size; head++)
    for (uint64_t pair = 0; pair < size / 2; pair++)
      for (uint64_t k = 0; k < 2; k++)
        memcpy(y + (head * size + 2 * pair + k) * cols,
               x + (head * size + pair + k * (size / 2)) * cols, (size_t)cols * sizeof *y);
  return y;
}

/* -- GGUF -- */

static void put_string(blob *b, const char *s) {
  blob_int(b, strlen(s), 8);
  blob_put(b, s, strlen(s));
}

static void put_u32(blob *b, uint64_t *n, const char *key, uint64_t v) {
  put_string(b, key);
  blob_int(b, 4, 4);
  blob_int(b, v, 4);
  (*n)++;
}

static void put_f32(blob *b, uint64_t *n, const char *key, double v) {
  put_string(b, key);
  blob_int(b, 6, 4);
  blob_int(b, bits((float)v), 4);
  (*n)++;
}

static void put_text(blob *b, uint64_t *n, const char *key, const char *v) {
  put_string(b, key);
  blob_int(b, 8, 4);
  put_string(b, v);
  (*n)++;
}

static uint64_t put_keys(blob *b, const model *m) {
  uint64_t n = 0;
  put_text(b, &n, "general.architecture", "llama");
  put_u32(b, &n, "llama.block_count", m->num_hidden_layers);
  put_u32(b, &n, "llama.context_length", m->max_position_embeddings);
  put_u32(b, &n, "llama.embedding_length", m->hidden_size);
  put_u32(b, &n, "llama.feed_forward_length", m->intermediate_size);
  put_u32(b, &n, "llama.attention.head_count", m->num_attention_heads);
  put_u32(b, &n, "llama.attention.head_count_kv", m->num_key_value_heads);
  put_u32(b, &n, "llama.rope.dimension_count", m->head_dim);
  put_f32(b, &n, "llama.rope.freq_base", m->rope_theta);
  put_f32(b, &n, "llama.attention.layer_norm_rms_epsilon", m->rms_norm_eps);
  if (m->head_dim * m->num_attention_heads != m->hidden_size) {
    put_u32(b, &n, "llama.attention.key_length", m->head_dim);
    put_u32(b, &n, "llama.attention.value_length", m->head_dim);
  }
  put_string(b, "tokenizer.ggml.tokens"); /* an array of strings, to be stepped over */
  blob_int(b, 9, 4);
  blob_int(b, 8, 4);
  blob_int(b, 3, 8);
  put_string(b, "<unk>");
  put_string(b, "");
  put_string(b, "a");
  put_string(b, "tokenizer.ggml.scores");
  blob_int(b, 9, 4);
  blob_int(b, 6, 4);
  blob_int(b, 2, 8);
  blob_int(b, 0, 8);
  return n + 2;
}

raw_format rig_gguf_format(const rig *g, ckpt_role r, raw_format f) {
  uint64_t rows, cols;
  ckpt_role_shape(&g->m, r, &rows, &cols);
  if (ckpt_role_rank(r) == 1) return RAW_F32;
  return (f == RAW_Q8_0 || f == RAW_Q4_0) && cols % 32 != 0 ? RAW_F16 : f;
}

static const uint32_t GGUF_TYPE[RAW_FORMAT_COUNT] = {
    [RAW_F32] = 0, [RAW_F16] = 1, [RAW_Q4_0] = 2, [RAW_Q8_0] = 8, [RAW_BF16] = 30};

static void put_info(blob *b, const char *name, uint32_t rank, uint64_t rows, uint64_t cols,
                     uint32_t type, uint64_t offset) {
  put_string(b, name);
  blob_int(b, rank, 4);
  blob_int(b, cols, 8);
  if (rank == 2) blob_int(b, rows, 8);
  blob_int(b, type, 4);
  blob_int(b, offset, 8);
}

/* rope_freqs.weight: llama3's rule. Source: llama.cpp convert_hf_to_gguf.py, by wavelength. */
static void put_factors(blob *data, const model *m) {
  const model_rope_scaling *s = &m->rope_scaling;
  double original = (double)s->original_max_position_embeddings;
  for (uint64_t i = 0; i < m->head_dim; i += 2) {
    double wave = 2 * acos(-1) * pow(m->rope_theta, (double)i / (double)m->head_dim), f;
    double smooth =
        (original / wave - s->low_freq_factor) / (s->high_freq_factor - s->low_freq_factor);
    f = wave < original / s->high_freq_factor  ? 1
        : wave > original / s->low_freq_factor ? s->factor
                                               : 1 / ((1 - smooth) / s->factor + smooth);
    blob_int(data, bits((float)f), 4);
  }
}

blob rig_gguf(const rig *g, raw_format f, uint32_t version, arena *a) {
  blob b = {.a = a}, keys = {.a = a}, info = {.a = a}, data = {.a = a};
  uint64_t n_keys = put_keys(&keys, &g->m), n = 0, layer = 0, rows, cols;
  ckpt_role r = CKPT_EMBEDDING;
  do {
    raw_format as = rig_gguf_format(g, r, f);
    ckpt_role_shape(&g->m, r, &rows, &cols);
    put_info(&info, ckpt_tensor_name(CKPT_GGUF, r, layer, a), ckpt_role_rank(r), rows, cols,
             GGUF_TYPE[as], data.len);
    rig_encode(&data, as, stored(g, r, layer, a), (size_t)(rows * cols), 0, NULL);
    blob_pad(&data, 32);
    n++;
  } while (next_weight(g, &r, &layer));
  if (g->m.rope_scaling.factor > 0) {
    put_info(&info, "rope_freqs.weight", 1, 1, g->m.head_dim / 2, 0, data.len);
    put_factors(&data, &g->m);
    n++;
  }
  blob_put(&b, "GGUF", 4);
  blob_int(&b, version, 4);
  blob_int(&b, n, 8);
  blob_int(&b, n_keys, 8);
  blob_put(&b, keys.data, keys.len);
  blob_put(&b, info.data, info.len);
  blob_pad(&b, 32);
  blob_put(&b, data.data, data.len);
  return b;
}

/* -- llama2.c -- */

static void put_layers(blob *b, const rig *g, ckpt_role r, size_t group, arena *a) {
  uint64_t n = ckpt_role_in_layer(r) ? g->m.num_hidden_layers : 1, rows, cols;
  ckpt_role_shape(&g->m, r, &rows, &cols);
  raw_format f = group > 0 && ckpt_role_rank(r) == 2 ? RAW_Q8_L2C : RAW_F32;
  for (uint64_t layer = 0; layer < n; layer++)
    rig_encode(b, f, stored(g, r, layer, a), (size_t)(rows * cols), group, NULL);
}

size_t rig_l2c_group(const rig *g) {
  size_t group = 64;
  while (g->m.hidden_size % group != 0 || g->m.intermediate_size % group != 0) group /= 2;
  return group;
}

blob rig_l2c(const rig *g, size_t group, arena *a) {
  static const ckpt_role V0[] = {CKPT_EMBEDDING, CKPT_ATTN_NORM, CKPT_Q,         CKPT_K,
                                 CKPT_V,         CKPT_O,         CKPT_FFN_NORM,  CKPT_GATE,
                                 CKPT_DOWN,      CKPT_UP,        CKPT_FINAL_NORM};
  static const ckpt_role V2[] = {CKPT_ATTN_NORM, CKPT_FFN_NORM, CKPT_FINAL_NORM, CKPT_EMBEDDING,
                                 CKPT_Q,         CKPT_K,        CKPT_V,          CKPT_O,
                                 CKPT_GATE,      CKPT_DOWN,     CKPT_UP};
  const model *m = &g->m;
  bool tied = m->tie_word_embeddings;
  const uint64_t numbers[] = {m->hidden_size,
                              m->intermediate_size,
                              m->num_hidden_layers,
                              m->num_attention_heads,
                              m->num_key_value_heads,
                              group > 0 || tied ? m->vocab_size : 0 - m->vocab_size,
                              m->max_position_embeddings};
  blob b = {.a = a};
  if (group > 0) {
    blob_int(&b, 0x616B3432, 4);
    blob_int(&b, 2, 4);
  }
  for (size_t i = 0; i < 7; i++) blob_int(&b, numbers[i], 4);
  if (group > 0) {
    blob_int(&b, tied, 1);
    blob_int(&b, group, 4);
    blob_pad(&b, 256);
  }
  for (size_t i = 0; i < 11; i++) put_layers(&b, g, group > 0 ? V2[i] : V0[i], group, a);
  if (group == 0) /* cos and sin, which nobody needs: not numbers, so that a reader of them shows */
    for (uint64_t i = 0; i < m->max_position_embeddings * m->head_dim; i++)
      blob_int(&b, 0x7fc00000, 4);
  if (!tied) put_layers(&b, g, CKPT_LM_HEAD, group, a);
  return b;
}
