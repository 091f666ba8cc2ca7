#include "workloads/model.h"

#include <inttypes.h>
#include <string.h>

size_t model_builtin_names(char ***names, arena *a) {
  return file_list_data("models", ".json", names, a);
}

bool model_is_builtin(const char *spec) {
  size_t n = strlen(spec);
  bool json = n >= 5 && strcmp(spec + n - 5, ".json") == 0;
  if (json || strchr(spec, '/') != NULL) return false;
  arena scratch = {0};
  bool found = file_find_data("models", spec, ".json", &scratch) != NULL;
  arena_free(&scratch);
  return found;
}

int model_check(const char *where, const model *m, err *e) {
  const struct {
    const char *name;
    uint64_t v, hi;
  } FIELD[] = {
      {"hidden_size", m->hidden_size, MODEL_MAX_HIDDEN},
      {"intermediate_size", m->intermediate_size, MODEL_MAX_INTERMEDIATE},
      {"num_hidden_layers", m->num_hidden_layers, MODEL_MAX_LAYERS},
      {"num_attention_heads", m->num_attention_heads, MODEL_MAX_HEADS},
      {"num_key_value_heads", m->num_key_value_heads, MODEL_MAX_HEADS},
      {"head_dim", m->head_dim, MODEL_MAX_HEAD_DIM},
      {"vocab_size", m->vocab_size, MODEL_MAX_VOCAB},
      {"max_position_embeddings", m->max_position_embeddings, MODEL_MAX_POSITION},
  };
  for (size_t i = 0; i < sizeof FIELD / sizeof *FIELD; i++)
    if (FIELD[i].v < 1 || FIELD[i].v > FIELD[i].hi)
      return err_set(e, ERR_BAD, "%s: %s is %" PRIu64 "; it must be from 1 to %" PRIu64, where,
                     FIELD[i].name, FIELD[i].v, FIELD[i].hi);
  if (m->num_attention_heads % m->num_key_value_heads != 0)
    return err_set(e, ERR_BAD,
                   "%s: num_attention_heads is %" PRIu64 "; it must be a multiple of "
                   "num_key_value_heads, %" PRIu64,
                   where, m->num_attention_heads, m->num_key_value_heads);
  if (m->head_dim % 2 != 0)
    return err_set(e, ERR_BAD, "%s: head_dim is %" PRIu64 "; it must be even (RoPE rotates pairs)",
                   where, m->head_dim);
  return ERR_OK;
}

/* The weights of one layer, in the order of the forward pass. rows 0: a vector of `columns`. */
typedef struct layer_weight {
  const char *name;
  uint64_t rows, columns;
} layer_weight;

enum { LAYER_WEIGHTS = 9 };

static void layer_weights(const model *m, layer_weight w[LAYER_WEIGHTS]) {
  uint64_t hidden = m->hidden_size, inner = m->intermediate_size;
  uint64_t q = m->num_attention_heads * m->head_dim, kv = m->num_key_value_heads * m->head_dim;
  const layer_weight all[LAYER_WEIGHTS] = {
      {"input_layernorm.weight", 0, hidden},   {"self_attn.q_proj.weight", q, hidden},
      {"self_attn.k_proj.weight", kv, hidden}, {"self_attn.v_proj.weight", kv, hidden},
      {"self_attn.o_proj.weight", hidden, q},  {"post_attention_layernorm.weight", 0, hidden},
      {"mlp.gate_proj.weight", inner, hidden}, {"mlp.up_proj.weight", inner, hidden},
      {"mlp.down_proj.weight", hidden, inner},
  };
  memcpy(w, all, sizeof all);
}

static model_tensor tensor(const char *name, uint64_t rows, uint64_t columns) {
  if (rows == 0) return (model_tensor){name, 1, {columns, 1}};
  return (model_tensor){name, 2, {rows, columns}};
}

size_t model_tensors(const model *m, model_tensor **tensors, arena *a) {
  size_t n = 0, cap = (size_t)m->num_hidden_layers * LAYER_WEIGHTS + 3;
  model_tensor *t = ARENA_NEW(a, model_tensor, cap);
  layer_weight w[LAYER_WEIGHTS];
  layer_weights(m, w);
  t[n++] = tensor("model.embed_tokens.weight", m->vocab_size, m->hidden_size);
  for (uint64_t layer = 0; layer < m->num_hidden_layers; layer++)
    for (size_t i = 0; i < LAYER_WEIGHTS; i++)
      t[n++] = tensor(arena_printf(a, "model.layers.%" PRIu64 ".%s", layer, w[i].name), w[i].rows,
                      w[i].columns);
  t[n++] = tensor("model.norm.weight", 0, m->hidden_size);
  if (!m->tie_word_embeddings) t[n++] = tensor("lm_head.weight", m->vocab_size, m->hidden_size);
  *tensors = t;
  return n;
}

uint64_t model_params(const model *m) {
  layer_weight w[LAYER_WEIGHTS];
  layer_weights(m, w);
  uint64_t layer = 0;
  for (size_t i = 0; i < LAYER_WEIGHTS; i++)
    layer += (w[i].rows > 0 ? w[i].rows : 1) * w[i].columns;
  uint64_t table = m->vocab_size * m->hidden_size;
  return (m->tie_word_embeddings ? 1 : 2) * table + m->num_hidden_layers * layer + m->hidden_size;
}
