#include "sim/base/json.h"
#include "workloads/model.h"

#include <math.h>
#include <string.h>

/* One config file being read. */
typedef struct reader {
  json_doc doc;
  model *m;
  err *e;
} reader;

/* Error codes travel up unchanged; the message is in r->e by then. */
#define TRY(call)                                                                                  \
  do {                                                                                             \
    int try_status = (call);                                                                       \
    if (try_status != ERR_OK) return try_status;                                                   \
  } while (0)

#define EPS_MIN 1e-30
#define EPS_MAX 1.0
#define THETA_MIN 1.0
#define THETA_MAX 1e12
#define FACTOR_MAX 1e6

static int need(reader *r, const char *key, uint64_t hi, uint64_t *v) {
  return json_need_u64(&r->doc, r->doc.root, "", key, 1, hi, v, r->e);
}

static int opt(reader *r, const char *key, uint64_t hi, uint64_t *v) {
  return json_opt_u64(&r->doc, r->doc.root, "", key, 1, hi, v, r->e);
}

/* -- HF config.json -- */

static int check_architecture(reader *r) {
  const char *type = "llama", *act = "silu";
  TRY(json_opt_str(&r->doc, r->doc.root, "", "model_type", &type, r->e));
  if (strcmp(type, "llama") != 0)
    return err_set(
        r->e, ERR_BAD,
        "%s: .model_type: is \"%.60s\"; only \"llama\" is supported (Llama 1 to 3.2 text "
        "models and others of the same architecture)",
        r->doc.where, type);
  const json *names = json_get(r->doc.root, "architectures");
  const json *name = json_is_array(names) ? json_first(names) : NULL;
  if (name != NULL && (!json_is_string(name) || strncmp(json_str(name), "Llama", 5) != 0)) {
    char got[JSON_DESCRIBE];
    return err_set(r->e, ERR_BAD,
                   "%s: .architectures[0]: is %s; only \"LlamaForCausalLM\" is supported",
                   r->doc.where, json_describe(name, got));
  }
  TRY(json_opt_str(&r->doc, r->doc.root, "", "hidden_act", &act, r->e));
  if (strcmp(act, "silu") != 0)
    return err_set(r->e, ERR_BAD, "%s: .hidden_act: is \"%.60s\"; only \"silu\" is supported",
                   r->doc.where, act);
  static const char *const BIASES[] = {"attention_bias", "mlp_bias"};
  for (size_t i = 0; i < 2; i++) {
    bool bias = false;
    TRY(json_opt_bool(&r->doc, r->doc.root, "", BIASES[i], &bias, r->e));
    if (bias)
      return err_set(r->e, ERR_BAD,
                     "%s: .%s: is true; linear layers with a bias are not supported, it must be "
                     "false",
                     r->doc.where, BIASES[i]);
  }
  return ERR_OK;
}

/* The object at `key` (rope_scaling; rope_parameters since transformers 5, with rope_theta inside).
 */
static int read_rope(reader *r, const char *key) {
  const json *rope = json_get(r->doc.root, key);
  if (rope == NULL || json_is_null(rope)) return ERR_OK;
  char got[JSON_DESCRIBE], ctx[32] = ".";
  if (!json_is_object(rope))
    return err_set(r->e, ERR_BAD, "%s: .%s: is %s; it must be an object or null", r->doc.where, key,
                   json_describe(rope, got));
  strcat(ctx, key);
  const char *type = "default";
  model_rope_scaling s = {0};
  double partial = 1;
  TRY(json_opt_f64(&r->doc, rope, ctx, "rope_theta", THETA_MIN, THETA_MAX, &r->m->rope_theta,
                   r->e));
  TRY(json_opt_f64(&r->doc, rope, ctx, "partial_rotary_factor", 1, 1, &partial, r->e));
  TRY(json_opt_str(&r->doc, rope, ctx, "type", &type, r->e)); /* its name before rope_type */
  TRY(json_opt_str(&r->doc, rope, ctx, "rope_type", &type, r->e));
  if (strcmp(type, "default") == 0) return ERR_OK;
  if (strcmp(type, "llama3") != 0)
    return err_set(r->e, ERR_BAD,
                   "%s: %s.rope_type: is \"%.60s\"; only \"llama3\" and \"default\" are supported",
                   r->doc.where, ctx, type);
  TRY(json_need_f64(&r->doc, rope, ctx, "factor", 1, FACTOR_MAX, &s.factor, r->e));
  TRY(json_need_f64(&r->doc, rope, ctx, "low_freq_factor", 1e-6, FACTOR_MAX, &s.low_freq_factor,
                    r->e));
  TRY(json_need_f64(&r->doc, rope, ctx, "high_freq_factor", 1e-6, FACTOR_MAX, &s.high_freq_factor,
                    r->e));
  TRY(json_need_u64(&r->doc, rope, ctx, "original_max_position_embeddings", 1, MODEL_MAX_POSITION,
                    &s.original_max_position_embeddings, r->e));
  if (s.high_freq_factor <= s.low_freq_factor)
    return err_set(r->e, ERR_BAD,
                   "%s: %s.high_freq_factor: is %g; it must be greater than low_freq_factor, %g",
                   r->doc.where, ctx, s.high_freq_factor, s.low_freq_factor);
  r->m->rope_scaling = s;
  return ERR_OK;
}

static int read_dtype(reader *r, const char *key) {
  static const struct {
    const char *name;
    dtype dt;
  } NAMES[] = {{"float32", DT_F32}, {"float16", DT_F16}, {"bfloat16", DT_BF16}};
  const char *name = NULL;
  TRY(json_opt_str(&r->doc, r->doc.root, "", key, &name, r->e));
  if (name == NULL) return ERR_OK;
  const char *bare = strncmp(name, "torch.", 6) == 0 ? name + 6 : name;
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
    if (strcmp(bare, NAMES[i].name) != 0) continue;
    r->m->torch_dtype = NAMES[i].dt;
    return ERR_OK;
  }
  return err_set(r->e, ERR_BAD,
                 "%s: .%s: is \"%.60s\"; it must be \"float32\", \"float16\" or \"bfloat16\"",
                 r->doc.where, key, name);
}

static int read_hf(reader *r) {
  model *m = r->m;
  const json *root = r->doc.root;
  m->rms_norm_eps = 1e-6; /* defaults of HF's LlamaConfig */
  m->rope_theta = 10000;
  m->max_position_embeddings = 2048;
  TRY(need(r, "hidden_size", MODEL_MAX_HIDDEN, &m->hidden_size));
  TRY(need(r, "intermediate_size", MODEL_MAX_INTERMEDIATE, &m->intermediate_size));
  TRY(need(r, "num_hidden_layers", MODEL_MAX_LAYERS, &m->num_hidden_layers));
  TRY(need(r, "num_attention_heads", MODEL_MAX_HEADS, &m->num_attention_heads));
  TRY(need(r, "vocab_size", MODEL_MAX_VOCAB, &m->vocab_size));
  TRY(opt(r, "num_key_value_heads", MODEL_MAX_HEADS, &m->num_key_value_heads));
  TRY(opt(r, "head_dim", MODEL_MAX_HEAD_DIM, &m->head_dim));
  TRY(opt(r, "max_position_embeddings", MODEL_MAX_POSITION, &m->max_position_embeddings));
  TRY(json_opt_f64(&r->doc, root, "", "rms_norm_eps", EPS_MIN, EPS_MAX, &m->rms_norm_eps, r->e));
  TRY(json_opt_f64(&r->doc, root, "", "rope_theta", THETA_MIN, THETA_MAX, &m->rope_theta, r->e));
  TRY(json_opt_bool(&r->doc, root, "", "tie_word_embeddings", &m->tie_word_embeddings, r->e));
  TRY(read_rope(r, "rope_scaling"));
  TRY(read_rope(r, "rope_parameters"));
  TRY(read_dtype(r, "torch_dtype"));
  return read_dtype(r, "dtype"); /* torch_dtype's name since transformers 5 */
}

/* -- Meta params.json -- */

/* The width of the feed-forward layer by Meta's rule (llama/model.py, FeedForward). */
static int meta_intermediate(reader *r) {
  uint64_t multiple_of = 256, width = 4 * r->m->hidden_size * 2 / 3;
  double multiplier = 1;
  TRY(opt(r, "multiple_of", MODEL_MAX_INTERMEDIATE, &multiple_of));
  TRY(json_opt_f64(&r->doc, r->doc.root, "", "ffn_dim_multiplier", 1e-3, 1e3, &multiplier, r->e));
  width = (uint64_t)floor(multiplier * (double)width);
  width = (width + multiple_of - 1) / multiple_of * multiple_of;
  if (width < 1 || width > MODEL_MAX_INTERMEDIATE)
    return err_set(r->e, ERR_BAD,
                   "%s: the feed-forward width that follows from dim, ffn_dim_multiplier and "
                   "multiple_of is %llu; it must be from 1 to %d",
                   r->doc.where, (unsigned long long)width, MODEL_MAX_INTERMEDIATE);
  r->m->intermediate_size = width;
  return ERR_OK;
}

static int meta_rope(reader *r) {
  model *m = r->m;
  bool scaled = false;
  double factor = m->hidden_size <= 3072 ? 32 : 8;
  TRY(json_opt_f64(&r->doc, r->doc.root, "", "rope_theta", THETA_MIN, THETA_MAX, &m->rope_theta,
                   r->e));
  TRY(json_opt_bool(&r->doc, r->doc.root, "", "use_scaled_rope", &scaled, r->e));
  TRY(json_opt_f64(&r->doc, r->doc.root, "", "rope_scale_factor", 1, FACTOR_MAX, &factor, r->e));
  if (scaled) m->rope_scaling = (model_rope_scaling){factor, 1, 4, 8192};
  m->max_position_embeddings = scaled ? 131072 : m->rope_theta > 10000 ? 8192 : 4096;
  return opt(r, "max_seq_len", MODEL_MAX_POSITION, &m->max_position_embeddings);
}

static int read_meta(reader *r) {
  model *m = r->m;
  const json *root = r->doc.root, *vocab = json_get(root, "vocab_size");
  m->rms_norm_eps = 1e-5; /* defaults of Meta's ModelArgs */
  m->rope_theta = 10000;
  m->vocab_size = 32000;
  if (json_get(root, "moe_args") != NULL)
    return err_set(r->e, ERR_BAD,
                   "%s: .moe_args: mixtures of experts (Llama 4) are not supported; only Llama 1 "
                   "to 3.2 text models are",
                   r->doc.where);
  TRY(need(r, "dim", MODEL_MAX_HIDDEN, &m->hidden_size));
  TRY(need(r, "n_layers", MODEL_MAX_LAYERS, &m->num_hidden_layers));
  TRY(need(r, "n_heads", MODEL_MAX_HEADS, &m->num_attention_heads));
  TRY(opt(r, "n_kv_heads", MODEL_MAX_HEADS, &m->num_key_value_heads));
  TRY(opt(r, "head_dim", MODEL_MAX_HEAD_DIM, &m->head_dim));
  bool unknown = json_is_number(vocab) && json_num(vocab) == -1;
  m->vocab_size_open = unknown || vocab == NULL || json_is_null(vocab);
  if (!unknown) TRY(opt(r, "vocab_size", MODEL_MAX_VOCAB, &m->vocab_size));
  TRY(json_opt_f64(&r->doc, root, "", "norm_eps", EPS_MIN, EPS_MAX, &m->rms_norm_eps, r->e));
  TRY(json_opt_bool(&r->doc, root, "", "tie_word_embeddings", &m->tie_word_embeddings, r->e));
  TRY(meta_rope(r));
  return meta_intermediate(r);
}

/* -- both -- */

/* What must hold between the values; `heads`, `kv` and `hidden` are the file's own keys. */
static int check(reader *r, const char *heads, const char *kv, const char *hidden) {
  model *m = r->m;
  const char *where = r->doc.where;
  unsigned long long n_heads = m->num_attention_heads, n_hidden = m->hidden_size;
  if (m->num_key_value_heads == 0) m->num_key_value_heads = m->num_attention_heads;
  if (m->num_attention_heads % m->num_key_value_heads != 0)
    return err_set(r->e, ERR_BAD, "%s: .%s: is %llu; it must be a multiple of %s, %llu", where,
                   heads, n_heads, kv, (unsigned long long)m->num_key_value_heads);
  bool given = m->head_dim != 0;
  if (!given && n_hidden % n_heads != 0)
    return err_set(r->e, ERR_BAD,
                   "%s: .%s: is %llu; without head_dim it must be a multiple of %s, %llu", where,
                   hidden, n_hidden, heads, n_heads);
  if (!given) m->head_dim = n_hidden / n_heads;
  if (m->head_dim % 2 != 0 || m->head_dim > MODEL_MAX_HEAD_DIM)
    return err_set(r->e, ERR_BAD,
                   "%s: %s is %llu; it must be even (RoPE rotates pairs) and at most %d", where,
                   given ? ".head_dim:" : "the head size that follows from the number of heads",
                   (unsigned long long)m->head_dim, MODEL_MAX_HEAD_DIM);
  return ERR_OK;
}

static int read_model(reader *r) {
  const json *root = r->doc.root;
  if (!json_is_object(root)) {
    char got[JSON_DESCRIBE];
    return err_set(r->e, ERR_BAD, "%s: is %s; it must be an object, as in a HF config.json",
                   r->doc.where, json_describe(root, got));
  }
  TRY(check_architecture(r));
  if (json_get(root, "dim") != NULL && json_get(root, "hidden_size") == NULL) {
    TRY(read_meta(r));
    return check(r, "n_heads", "n_kv_heads", "dim");
  }
  TRY(read_hf(r));
  return check(r, "num_attention_heads", "num_key_value_heads", "hidden_size");
}

int model_parse(const char *where, const char *name, const unsigned char *data, size_t len,
                model *m, arena *a, err *e) {
  *m = (model){.torch_dtype = DT_BF16};
  reader r = {.m = m, .e = e};
  TRY(json_parse(where, data, len, &r.doc, e));
  int status = read_model(&r);
  json_free(&r.doc);
  m->name = arena_strdup(a, name);
  m->source = arena_strdup(a, where);
  return status;
}
