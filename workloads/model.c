#include "workloads/model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CONFIG_LIMIT = 1 << 24 };

size_t model_builtin_names(char ***names, arena *a) {
  return file_list_data("models", ".json", names, a);
}

static bool is_folder(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool ends_with(const char *s, const char *end) {
  size_t n = strlen(s), m = strlen(end);
  return n >= m && strcmp(s + n - m, end) == 0;
}

/* A name for a model read from `path`: its folder where the file has one of the two usual names,
 * else the file without ".json". */
static const char *name_of(const char *path, arena *a) {
  char *real = realpath(path, NULL);
  char *name = arena_strdup(a, real != NULL ? real : path);
  free(real);
  char *slash = strrchr(name, '/');
  if (slash != NULL && (strcmp(slash, "/config.json") == 0 || strcmp(slash, "/params.json") == 0)) {
    *slash = '\0';
    slash = strrchr(name, '/');
  }
  if (slash != NULL) name = slash + 1;
  if (ends_with(name, ".json")) name[strlen(name) - 5] = '\0';
  return *name != '\0' ? name : "model";
}

static int unknown_model(const char *spec, err *e) {
  arena scratch = {0};
  char **names, *list = arena_strdup(&scratch, "");
  size_t n = model_builtin_names(&names, &scratch);
  for (size_t i = 0; i < n; i++) list = arena_printf(&scratch, "%s %s", list, names[i]);
  if (n == 0) list = arena_strdup(&scratch, " none found (set LLAMASIM_DATA to their folder)");
  int status = err_set(e, ERR_BAD,
                       "model '%s': there is no such file or folder, and no built-in of that name; "
                       "built in are:%s",
                       spec, list);
  arena_free(&scratch);
  return status;
}

int model_load(const char *spec, model *m, arena *a, err *e) {
  const char *path = spec, *name = NULL;
  bool plain = strchr(spec, '/') == NULL && !ends_with(spec, ".json");
  const char *builtin = plain ? file_find_data("models", spec, ".json", a) : NULL;
  if (builtin != NULL) {
    path = builtin;
    name = arena_strdup(a, spec);
  } else if (is_folder(spec)) {
    path = arena_printf(a, "%s/config.json", spec);
    if (!file_exists(path)) path = arena_printf(a, "%s/params.json", spec);
    if (!file_exists(path))
      return err_set(e, ERR_BAD,
                     "%s: this folder has neither config.json nor params.json; name the folder of "
                     "a HF or Meta checkpoint",
                     spec);
  } else if (*spec == '\0' || (!file_exists(spec) && strcmp(spec, "-") != 0)) {
    return unknown_model(spec, e);
  }
  if (name == NULL) name = name_of(path, a);

  arena scratch = {0};
  file_bytes bytes;
  int status = file_read(path, CONFIG_LIMIT, &bytes, &scratch, e);
  if (status == ERR_OK) status = model_parse(path, name, bytes.data, bytes.len, m, a, e);
  if (status == ERR_OK && builtin != NULL) m->source = "built-in";
  arena_free(&scratch);
  return status;
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
