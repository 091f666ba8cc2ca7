#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/rope.h"
#include "workloads/ckpt/decode.h"
#include "workloads/ckpt/gguf.h"
#include "workloads/ckpt/gguf_file.h"
#include "workloads/ckpt/raw_check.h"

typedef struct reader {
  const char *where;
  gguf_file f;
  model *m;
  arena *a;
  err *e;
} reader;

/* -- values of keys -- */

/* A whole number of any integer type; negative ones come out above any limit. */
static bool whole(const gguf_key *k, uint64_t *v) {
  const unsigned char *p = k->value.at;
  switch (k->type) {
  case GGUF_U8:
  case GGUF_BOOL:
    *v = p[0];
    return true;
  case GGUF_I8:
    *v = (uint64_t)(int8_t)p[0];
    return true;
  case GGUF_U16:
    *v = bytes_u16(p);
    return true;
  case GGUF_I16:
    *v = (uint64_t)(int16_t)bytes_u16(p);
    return true;
  case GGUF_U32:
    *v = bytes_u32(p);
    return true;
  case GGUF_I32:
    *v = (uint64_t)(int32_t)bytes_u32(p);
    return true;
  case GGUF_U64:
  case GGUF_I64:
    *v = bytes_u64(p);
    return true;
  default:
    return false;
  }
}

/* Leaves *v where the key is missing and not needed. */
static int number(const reader *r, const char *key, bool need, uint64_t hi, uint64_t *v) {
  const gguf_key *k = gguf_find(&r->f, key);
  uint64_t got = 0;
  if (k == NULL && !need) return ERR_OK;
  if (k == NULL) return err_set(r->e, ERR_BAD, "%s: key '%s' is missing", r->where, key);
  if (!whole(k, &got))
    return err_set(r->e, ERR_BAD, "%s: key '%s' is of type %s; it must be one whole number",
                   r->where, key, gguf_type_name(k->type));
  if (got < 1 || got > hi)
    return err_set(r->e, ERR_BAD, "%s: key '%s' is %" PRId64 "; it must be from 1 to %" PRIu64,
                   r->where, key, (int64_t)got, hi);
  *v = got;
  return ERR_OK;
}

/* The shortest decimal number that reads as the same f32. */
static double shortest(float x) {
  char text[32];
  for (int digits = 1; digits < 9; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, (double)x);
    if (strtof(text, NULL) == x) return strtod(text, NULL);
  }
  return (double)x;
}

static int real(const reader *r, const char *key, bool need, double lo, double hi, double *v) {
  const gguf_key *k = gguf_find(&r->f, key);
  if (k == NULL && !need) return ERR_OK;
  if (k == NULL) return err_set(r->e, ERR_BAD, "%s: key '%s' is missing", r->where, key);
  if (k->type != GGUF_F32 && k->type != GGUF_F64)
    return err_set(r->e, ERR_BAD, "%s: key '%s' is of type %s; it must be float32", r->where, key,
                   gguf_type_name(k->type));
  double got = k->type == GGUF_F32 ? shortest(bytes_f32(k->value.at)) : bytes_f64(k->value.at);
  if (!(got >= lo && got <= hi))
    return err_set(r->e, ERR_BAD, "%s: key '%s' is %g; it must be from %g to %g", r->where, key,
                   got, lo, hi);
  *v = got;
  return ERR_OK;
}

/* A missing key passes; anything but `want` is refused. */
static int only(const reader *r, const char *key, const char *want) {
  const gguf_key *k = gguf_find(&r->f, key);
  if (k == NULL) return ERR_OK;
  if (k->type != GGUF_STRING)
    return err_set(r->e, ERR_BAD, "%s: key '%s' is of type %s; it must be a string", r->where, key,
                   gguf_type_name(k->type));
  if (k->value.left == strlen(want) && memcmp(k->value.at, want, strlen(want)) == 0) return ERR_OK;
  char got[41];
  size_t n = 0;
  for (; n < sizeof got - 1 && n < k->value.left; n++)
    got[n] = k->value.at[n] >= 0x20 && k->value.at[n] < 0x7f ? (char)k->value.at[n] : '?';
  got[n] = '\0';
  return err_set(r->e, ERR_BAD, "%s: key '%s' is \"%s\"; only \"%s\" is supported", r->where, key,
                 got, want);
}

/* -- what no `model` can say -- */

static int refuse_others(const reader *r) {
  double linear = 1;
  const gguf_key *k = gguf_find(&r->f, "llama.expert_count");
  uint64_t experts = 0;
  if (gguf_find(&r->f, "general.architecture") == NULL)
    return err_set(r->e, ERR_BAD, "%s: key 'general.architecture' is missing", r->where);
  if (only(r, "general.architecture", "llama")) return r->e->status;
  if (k != NULL && (!whole(k, &experts) || experts != 0))
    return err_set(r->e, ERR_BAD,
                   "%s: key 'llama.expert_count' is not 0; mixtures of experts are not supported",
                   r->where);
  if (only(r, "llama.rope.scaling.type", "none")) return r->e->status;
  return real(r, "llama.rope.scale_linear", false, 1, 1, &linear);
}

/* -- RoPE factors -- */

/* Does the rule give these factors? llama.cpp computes them in f32, with errors up to about 1e-6.
 */
static bool follows(const model *m, const model_rope_scaling *s, const float *factors) {
  kern_rope_scaling by = {s->factor, s->low_freq_factor, s->high_freq_factor,
                          (double)s->original_max_position_embeddings};
  for (uint64_t i = 0; i < m->head_dim / 2; i++) {
    double f = pow(m->rope_theta, -2.0 * (double)i / (double)m->head_dim);
    double want = s->factor == 0 ? 1 : f / kern_rope_scaled(f, by);
    if (!(fabs((double)factors[i] - want) <= 1e-5 * want)) return false;
  }
  return true;
}

static int read_rope(const reader *r) {
  model *m = r->m;
  const raw_tensor *t = NULL;
  for (size_t i = 0; i < r->f.tensors.n; i++)
    if (strcmp(r->f.tensors.at[i].name, "rope_freqs.weight") == 0) t = &r->f.tensors.at[i];
  if (t == NULL) return ERR_OK;
  uint64_t n = m->head_dim / 2;
  char shape[RAW_SHAPE_TEXT];
  if (t->rank != 1 || t->dim[0] != n || t->format != RAW_F32)
    return err_set(r->e, ERR_BAD,
                   "%s: tensor 'rope_freqs.weight' is %s %s; it must be f32 with a factor for each "
                   "of the %" PRIu64 " frequencies",
                   r->where, raw_format_name(t->format), raw_shape(t, shape), n);
  float *factors = ARENA_NEW(r->a, float, (size_t)n), largest = 1;
  raw_decode(t, 0, 0, n, factors);
  for (uint64_t i = 0; i < n; i++) {
    if (!(factors[i] > 0 && isfinite(factors[i])))
      return err_set(r->e, ERR_BAD, "%s: rope_freqs.weight[%" PRIu64 "] is %g; it must be above 0",
                     r->where, i, (double)factors[i]);
    if (factors[i] > largest) largest = factors[i];
  }
  const model_rope_scaling RULES[] = {{0}, {(double)largest, 1, 4, 8192}};
  for (size_t i = 0; i < 2; i++) {
    if (!follows(m, &RULES[i], factors)) continue;
    m->rope_scaling = RULES[i];
    return ERR_OK;
  }
  m->rope_factors = factors;
  return ERR_OK;
}

/* -- the whole -- */

static int read_heads(const reader *r) {
  model *m = r->m;
  uint64_t rotated = 0, value = 0;
  if (number(r, "llama.attention.head_count", true, MODEL_MAX_HEADS, &m->num_attention_heads))
    return r->e->status;
  m->num_key_value_heads = m->num_attention_heads;
  if (number(r, "llama.attention.head_count_kv", false, MODEL_MAX_HEADS, &m->num_key_value_heads) ||
      number(r, "llama.attention.key_length", false, MODEL_MAX_HEAD_DIM, &m->head_dim))
    return r->e->status;
  if (m->head_dim == 0 && m->hidden_size % m->num_attention_heads != 0)
    return err_set(r->e, ERR_BAD,
                   "%s: without key 'llama.attention.key_length', embedding_length %" PRIu64
                   " must be a multiple of head_count %" PRIu64,
                   r->where, m->hidden_size, m->num_attention_heads);
  if (m->head_dim == 0) m->head_dim = m->hidden_size / m->num_attention_heads;
  value = rotated = m->head_dim;
  if (number(r, "llama.attention.value_length", false, MODEL_MAX_HEAD_DIM, &value) ||
      number(r, "llama.rope.dimension_count", false, MODEL_MAX_HEAD_DIM, &rotated))
    return r->e->status;
  if (value != m->head_dim || rotated != m->head_dim)
    return err_set(r->e, ERR_BAD,
                   "%s: heads of %" PRIu64 " with values of %" PRIu64 " and RoPE over %" PRIu64
                   " elements; the three must be equal",
                   r->where, m->head_dim, value, rotated);
  return ERR_OK;
}

/* Vocabulary and tied head are what the tensors say. */
static void read_tables(const reader *r) {
  model *m = r->m;
  m->tie_word_embeddings = true;
  for (size_t i = 0; i < r->f.tensors.n; i++) {
    const raw_tensor *t = &r->f.tensors.at[i];
    if (strcmp(t->name, "output.weight") == 0) m->tie_word_embeddings = false;
    if (strcmp(t->name, "token_embd.weight") == 0 && m->vocab_size == 0 && t->rank == 2)
      m->vocab_size = t->dim[0];
  }
}

int gguf_model(const char *where, const char *name, const unsigned char *data, size_t len, model *m,
               arena *a, err *e) {
  reader r = {.where = where, .m = m, .a = a, .e = e};
  *m = (model){.rope_theta = 10000, .max_position_embeddings = 2048, .torch_dtype = DT_BF16};
  if (gguf_read(where, data, len, &r.f, a, e) || refuse_others(&r)) return e->status;
  if (number(&r, "llama.block_count", true, MODEL_MAX_LAYERS, &m->num_hidden_layers) ||
      number(&r, "llama.embedding_length", true, MODEL_MAX_HIDDEN, &m->hidden_size) ||
      number(&r, "llama.feed_forward_length", true, MODEL_MAX_INTERMEDIATE,
             &m->intermediate_size) ||
      number(&r, "llama.context_length", false, MODEL_MAX_POSITION, &m->max_position_embeddings) ||
      number(&r, "llama.vocab_size", false, MODEL_MAX_VOCAB, &m->vocab_size) ||
      real(&r, "llama.attention.layer_norm_rms_epsilon", true, 1e-30, 1, &m->rms_norm_eps) ||
      real(&r, "llama.rope.freq_base", false, 1, 1e12, &m->rope_theta) || read_heads(&r))
    return e->status;
  read_tables(&r);
  if (model_check(where, m, e) || read_rope(&r)) return e->status;
  m->name = arena_strdup(a, name);
  m->source = arena_strdup(a, where);
  return ERR_OK;
}
