#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "workloads/ckpt/ckpt.h"
#include "workloads/model.h"

enum { CONFIG_LIMIT = 1 << 24 };

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

/* The model of a checkpoint, without its weights. */
static int load_checkpoint(const char *spec, model *m, arena *a, err *e) {
  ckpt ck;
  if (ckpt_open(spec, &ck, e)) return e->status;
  *m = ck.model;
  m->name = arena_strdup(a, m->name);
  m->source = arena_strdup(a, m->source);
  if (m->rope_factors != NULL) {
    size_t n = (size_t)m->head_dim / 2;
    float *factors = ARENA_NEW(a, float, n);
    memcpy(factors, m->rope_factors, n * sizeof *factors);
    m->rope_factors = factors;
  }
  ckpt_close(&ck);
  return ERR_OK;
}

int model_load(const char *spec, model *m, arena *a, err *e) {
  const char *path = spec, *name = NULL;
  bool builtin = model_is_builtin(spec), weights = ckpt_at(spec);
  if (builtin) {
    path = file_find_data("models", spec, ".json", a);
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
  } else if (weights) {
    return load_checkpoint(spec, m, a, e);
  }
  if (name == NULL) name = name_of(path, a);

  arena scratch = {0};
  file_bytes bytes;
  int status = file_read(path, CONFIG_LIMIT, &bytes, &scratch, e);
  if (status == ERR_OK) status = model_parse(path, name, bytes.data, bytes.len, m, a, e);
  if (status == ERR_OK && builtin) m->source = "built-in";
  arena_free(&scratch);
  if (status == ERR_OK && m->vocab_size_open && weights) return load_checkpoint(spec, m, a, e);
  return status;
}
