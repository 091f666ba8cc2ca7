#include "workloads/ckpt/l2c.h"

#include <inttypes.h>
#include <string.h>

#include "sim/base/bytes.h"
#include "workloads/ckpt/raw_check.h"
#include "workloads/ckpt/roles.h"

enum { NUMBERS = 7, V0_HEADER = 4 * NUMBERS, V2_HEADER = 256, V2_USED = 8 + V0_HEADER + 5 };
static const uint32_t MAGIC = 0x616b3432;

typedef struct header {
  uint64_t dim, hidden, layers, heads, kv_heads, vocab, seq_len;
  uint64_t group; /* 0: version 0 */
  bool tied;
} header;

/* The numbers, in the file's order and with their limits. Version 0's vocabulary may be negative.
 */
static bool read_numbers(const unsigned char *p, bool negative, header *h, const char **name,
                         int64_t *got, int64_t *limit) {
  const struct {
    const char *name;
    int64_t limit;
    uint64_t *v;
  } N[NUMBERS] = {
      {"dim", MODEL_MAX_HIDDEN, &h->dim},
      {"hidden_dim", MODEL_MAX_INTERMEDIATE, &h->hidden},
      {"n_layers", MODEL_MAX_LAYERS, &h->layers},
      {"n_heads", MODEL_MAX_HEADS, &h->heads},
      {"n_kv_heads", MODEL_MAX_HEADS, &h->kv_heads},
      {"vocab_size", MODEL_MAX_VOCAB, &h->vocab},
      {"seq_len", MODEL_MAX_POSITION, &h->seq_len},
  };
  for (int i = 0; i < NUMBERS; i++) {
    int64_t v = (int32_t)bytes_u32(p + 4 * i);
    if (negative && N[i].v == &h->vocab) {
      h->tied = v > 0;
      v = v < 0 ? -v : v;
    }
    *name = N[i].name;
    *got = v;
    *limit = N[i].limit;
    if (v < 1 || v > N[i].limit) return false;
    *N[i].v = (uint64_t)v;
  }
  return true;
}

static bool agree(const header *h) {
  return h->dim % h->heads == 0 && h->heads % h->kv_heads == 0 && h->dim / h->heads % 2 == 0 &&
         h->dim / h->heads <= MODEL_MAX_HEAD_DIM;
}

static bool has_magic(const unsigned char *data, size_t len) {
  return len >= 4 && bytes_u32(data) == MAGIC;
}

bool l2c_is(const unsigned char *data, size_t len) {
  header h = {0};
  const char *name;
  int64_t got, limit;
  if (has_magic(data, len)) return true;
  return len >= V0_HEADER && read_numbers(data, true, &h, &name, &got, &limit) && agree(&h);
}

/* Reads and checks the header; `at` is where the weights begin. */
static int read_header(const char *where, const unsigned char *data, size_t len, header *h,
                       size_t *at, err *e) {
  bool v2 = has_magic(data, len);
  size_t need = v2 ? V2_HEADER : V0_HEADER;
  const char *name;
  int64_t got, limit;
  *h = (header){0};
  *at = need;
  if (len < need)
    return err_set(e, ERR_BAD, "%s: the header has %zu bytes, but the file only %zu", where, need,
                   len);
  if (v2 && bytes_u32(data + 4) != 2)
    return err_set(e, ERR_BAD,
                   "%s: is llama2.c's version %" PRId32 "; versions 0 and 2 are supported, export "
                   "it with --version 0 or 2",
                   where, (int32_t)bytes_u32(data + 4));
  if (!read_numbers(data + (v2 ? 8 : 0), !v2, h, &name, &got, &limit))
    return err_set(e, ERR_BAD, "%s: %s is %" PRId64 "; it must be from 1 to %" PRId64, where, name,
                   got, limit);
  if (!agree(h))
    return err_set(e, ERR_BAD,
                   "%s: dim %" PRIu64 ", n_heads %" PRIu64 " and n_kv_heads %" PRIu64
                   " do not agree: dim / n_heads must be even and at most %d, n_heads a multiple "
                   "of n_kv_heads",
                   where, h->dim, h->heads, h->kv_heads, MODEL_MAX_HEAD_DIM);
  if (!v2) return ERR_OK;
  int32_t group = (int32_t)bytes_u32(data + V2_USED - 4);
  if (data[V2_USED - 5] > 1)
    return err_set(e, ERR_BAD, "%s: the flag for a tied LM head is %u; it must be 0 or 1", where,
                   (unsigned)data[V2_USED - 5]);
  if (group < 1)
    return err_set(e, ERR_BAD, "%s: group size is %" PRId32 "; it must be at least 1", where,
                   group);
  h->tied = data[V2_USED - 5] == 1;
  h->group = (uint64_t)group;
  return ERR_OK;
}

static void to_model(const header *h, model *m) {
  *m = (model){.hidden_size = h->dim,
               .intermediate_size = h->hidden,
               .num_hidden_layers = h->layers,
               .num_attention_heads = h->heads,
               .num_key_value_heads = h->kv_heads,
               .head_dim = h->dim / h->heads,
               .vocab_size = h->vocab,
               .max_position_embeddings = h->seq_len,
               .rms_norm_eps = 1e-5,
               .rope_theta = 10000,
               .tie_word_embeddings = h->tied,
               .torch_dtype = h->group > 0 ? DT_INT8 : DT_F32};
}

int l2c_model(const char *where, const char *name, const unsigned char *data, size_t len, model *m,
              arena *a, err *e) {
  header h;
  size_t at;
  if (read_header(where, data, len, &h, &at, e)) return e->status;
  to_model(&h, m);
  m->name = arena_strdup(a, name);
  m->source = arena_strdup(a, where);
  return ERR_OK;
}

typedef struct reader {
  const char *where;
  cursor c;
  model m;
  uint64_t group; /* 0: f32 throughout */
  raw_tensors *t;
  arena *a;
  err *e;
} reader;

/* Takes the next tensor's bytes. */
static int take(reader *r, ckpt_role role, uint64_t layer) {
  raw_tensor *t = &r->t->at[r->t->n++];
  uint64_t rows, cols, scales = 0;
  ckpt_role_shape(&r->m, role, &rows, &cols);
  bool vector = ckpt_role_rank(role) == 1;
  *t = (raw_tensor){.name = ckpt_tensor_name(CKPT_META, role, layer, r->a),
                    .format = r->group > 0 && !vector ? RAW_Q8_L2C : RAW_F32,
                    .rank = vector ? 1 : 2,
                    .dim = {vector ? cols : rows, vector ? 0 : cols},
                    .data = r->c.at};
  /* the model's limits keep products far from 2^64 */
  if (!raw_dense(t)) return err_set(r->e, ERR_INTERNAL, "%s: '%s' overflows", r->where, t->name);
  if (t->format == RAW_Q8_L2C) {
    if (t->bytes % r->group != 0)
      return err_set(r->e, ERR_BAD,
                     "%s: group size %" PRIu64 " does not divide the %" PRIu64 " elements of '%s'",
                     r->where, r->group, t->bytes, t->name);
    t->group = r->group;
    scales = t->bytes / r->group * 4;
  }
  uint64_t left = r->c.left;
  if (!cursor_skip(&r->c, t->bytes + scales))
    return err_set(r->e, ERR_BAD,
                   "%s: the file ends inside '%s': it needs %" PRIu64 " bytes, %" PRIu64
                   " are left; is it cut short?",
                   r->where, t->name, t->bytes + scales, left);
  if (scales > 0) t->scales = t->data + t->bytes;
  return ERR_OK;
}

static int take_layers(reader *r, ckpt_role role) {
  for (uint64_t i = 0; i < r->m.num_hidden_layers; i++)
    if (take(r, role, i)) return r->e->status;
  return ERR_OK;
}

static const ckpt_role ATTENTION[] = {CKPT_Q, CKPT_K, CKPT_V, CKPT_O};
static const ckpt_role MLP[] = {CKPT_GATE, CKPT_DOWN, CKPT_UP}; /* w1, w2, w3 */

static int take_all(reader *r, const ckpt_role *roles, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (take_layers(r, roles[i])) return r->e->status;
  return ERR_OK;
}

static int parse_v0(reader *r, const header *h) {
  if (take(r, CKPT_EMBEDDING, 0) || take_layers(r, CKPT_ATTN_NORM) || take_all(r, ATTENTION, 4) ||
      take_layers(r, CKPT_FFN_NORM) || take_all(r, MLP, 3) || take(r, CKPT_FINAL_NORM, 0))
    return r->e->status;
  uint64_t tables = h->seq_len * (r->m.head_dim / 2) * 2 * 4; /* cos and sin */
  if (!cursor_skip(&r->c, tables))
    return err_set(r->e, ERR_BAD,
                   "%s: the file ends inside the RoPE tables: they need %" PRIu64 " bytes, %" PRIu64
                   " are left; is it cut short?",
                   r->where, tables, r->c.left);
  return h->tied ? ERR_OK : take(r, CKPT_LM_HEAD, 0);
}

static int parse_v2(reader *r, const header *h) {
  if (take_layers(r, CKPT_ATTN_NORM) || take_layers(r, CKPT_FFN_NORM) ||
      take(r, CKPT_FINAL_NORM, 0) || take(r, CKPT_EMBEDDING, 0) || take_all(r, ATTENTION, 4) ||
      take_all(r, MLP, 3))
    return r->e->status;
  return h->tied ? ERR_OK : take(r, CKPT_LM_HEAD, 0);
}

int l2c_parse(const char *where, const unsigned char *data, size_t len, raw_tensors *t, arena *a,
              err *e) {
  header h;
  size_t at;
  *t = (raw_tensors){0};
  if (read_header(where, data, len, &h, &at, e)) return e->status;
  t->at = ARENA_NEW(a, raw_tensor, (size_t)h.layers * 9 + 3);
  reader r = {.where = where, .c = {data + at, len - at}, .group = h.group, .t = t, .a = a, .e = e};
  to_model(&h, &r.m);
  if (h.group > 0 ? parse_v2(&r, &h) : parse_v0(&r, &h)) return e->status;
  if (r.c.left > 0)
    return err_set(e, ERR_BAD,
                   "%s: %" PRIu64 " bytes follow the last weight; the header's numbers are not "
                   "this file's",
                   where, r.c.left);
  return ERR_OK;
}
