#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sim/base/json.h"
#include "workloads/ckpt/ckpt_formats.h"

enum { INDEX_LIMIT = 1 << 24, SHARDS_MAX = 4096 };

static bool is_folder(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool ends_with(const char *s, const char *end) {
  size_t n = strlen(s), m = strlen(end);
  return n > m && strcmp(s + n - m, end) == 0;
}

static const char *join(const char *folder, const char *name, arena *a) {
  return arena_printf(a, "%s/%s", folder, name);
}

static void add(ckpt_files *f, size_t *cap, const char *path, arena *a) {
  ARENA_PUSH(a, f->path, f->n, *cap, path);
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* -- the index of a sharded HF checkpoint -- */

static int parse_index(const char *path, json_doc *doc, const json **map, arena *scratch, err *e) {
  file_bytes bytes;
  char got[JSON_DESCRIBE];
  if (file_read(path, INDEX_LIMIT, &bytes, scratch, e)) return e->status;
  if (json_parse(path, bytes.data, bytes.len, doc, e)) return e->status;
  *map = json_get(doc->root, "weight_map");
  if (json_is_object(*map) && json_count(*map) > 0) return ERR_OK;
  int status = err_set(e, ERR_BAD,
                       "%s: .weight_map: is %s; it must be an object: tensor names and their files",
                       path, json_is_object(*map) ? "empty" : json_describe(*map, got));
  json_free(doc);
  return status;
}

/* A shard lies beside its index. */
static int check_shard_name(const char *path, const json *v, err *e) {
  char got[JSON_DESCRIBE];
  const char *s = json_is_string(v) ? json_str(v) : "";
  if (*s != '\0' && *s != '.' && strchr(s, '/') == NULL) return ERR_OK;
  return err_set(e, ERR_BAD,
                 "%s: .weight_map['%.100s']: is %s; it must be the name of a file in "
                 "the same folder",
                 path, json_key(v), json_describe(v, got));
}

static int add_shards(const char *path, const json *map, ckpt_files *f, arena *a, err *e) {
  size_t n = json_count(map), i = 0, cap = 0;
  const char **names = ARENA_NEW(a, const char *, n);
  for (const json *v = json_first(map); v != NULL; v = json_next(v)) {
    if (check_shard_name(path, v, e)) return e->status;
    names[i++] = arena_strdup(a, json_str(v));
  }
  qsort(names, n, sizeof *names, by_name);
  for (i = 0; i < n; i++)
    if (i == 0 || strcmp(names[i - 1], names[i]) != 0)
      add(f, &cap, join(f->folder, names[i], a), a);
  if (f->n > SHARDS_MAX)
    return err_set(e, ERR_BAD, "%s: .weight_map names %zu files; the limit is %d", path, f->n,
                   SHARDS_MAX);
  return ERR_OK;
}

static int read_index(const char *path, ckpt_files *f, arena *a, err *e) {
  arena scratch = {0};
  json_doc doc = {0};
  const json *map;
  int status = parse_index(path, &doc, &map, &scratch, e);
  if (status == ERR_OK) status = add_shards(path, map, f, a, e);
  f->index = path;
  json_free(&doc);
  arena_free(&scratch);
  return status;
}

static bool has_tensor(const ckpt_shard *s, const char *name) {
  for (size_t i = 0; i < s->tensors.n; i++)
    if (strcmp(s->tensors.at[i].name, name) == 0) return true;
  return false;
}

static const ckpt_shard *shard_named(const ckpt *ck, const char *name) {
  for (size_t i = 0; i < ck->n_shards; i++) {
    const char *slash = strrchr(ck->shards[i].where, '/');
    if (slash != NULL && strcmp(slash + 1, name) == 0) return &ck->shards[i];
  }
  return NULL;
}

int ckpt_check_index(const ckpt *ck, const char *index, err *e) {
  arena scratch = {0};
  json_doc doc = {0};
  const json *map = NULL;
  int status = parse_index(index, &doc, &map, &scratch, e);
  for (const json *v = json_first(map); v != NULL && status == ERR_OK; v = json_next(v)) {
    const ckpt_shard *s = json_is_string(v) ? shard_named(ck, json_str(v)) : NULL;
    if (s == NULL || !has_tensor(s, json_key(v)))
      status = err_set(e, ERR_BAD, "%s: .weight_map['%.100s']: that tensor is not in '%.100s'",
                       index, json_key(v), s != NULL ? json_str(v) : "the file named");
  }
  json_free(&doc);
  arena_free(&scratch);
  return status;
}

/* -- folders -- */

/* Names in `folder` that end so, sorted. */
static const char **list(const char *folder, const char *end, size_t *n, arena *a) {
  const char **names = NULL;
  size_t cap = 0;
  *n = 0;
  DIR *dir = opendir(folder);
  if (dir == NULL) return NULL;
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
    if (entry->d_name[0] != '.' && ends_with(entry->d_name, end))
      ARENA_PUSH(a, names, *n, cap, arena_strdup(a, entry->d_name));
  closedir(dir);
  if (*n > 1) qsort(names, *n, sizeof *names, by_name);
  return names;
}

/* HF's order: the whole file, else what the index lists, else a single file of any name. */
static int locate_safetensors(ckpt_files *f, arena *a, err *e) {
  size_t n, cap = 0;
  const char *index = join(f->folder, "model.safetensors.index.json", a);
  const char *whole = join(f->folder, "model.safetensors", a);
  const char **names = list(f->folder, ".safetensors", &n, a);
  if (file_exists(whole)) {
    add(f, &cap, whole, a);
  } else if (file_exists(index)) {
    return read_index(index, f, a, e);
  } else if (n > 1) {
    return err_set(e, ERR_BAD,
                   "%s: has %zu .safetensors files, but neither model.safetensors nor "
                   "model.safetensors.index.json to say which belong together; name one of them",
                   f->folder, n);
  } else if (n == 1) {
    add(f, &cap, join(f->folder, names[0], a), a);
  }
  return ERR_OK;
}

/* Meta's: consolidated.00.pth and on, without a gap. */
static int locate_pth(ckpt_files *f, arena *a, err *e) {
  size_t n, cap = 0;
  const char **names = list(f->folder, ".pth", &n, a);
  for (size_t i = 0; i < n; i++) {
    const char *want = arena_printf(a, "consolidated.%02zu.pth", f->n);
    if (strncmp(names[i], "consolidated.", 13) != 0) continue;
    if (strcmp(names[i], want) != 0)
      return err_set(e, ERR_BAD, "%s: '%s' is missing, but there is '%s'", f->folder, want,
                     names[i]);
    add(f, &cap, join(f->folder, names[i], a), a);
  }
  if (f->n == 0 && n == 1) add(f, &cap, join(f->folder, names[0], a), a);
  return ERR_OK;
}

/* What the folder's JSON says the weights are; the one that model_load prefers comes first. */
static int locate_folder(ckpt_files *f, arena *a, err *e) {
  bool hf = file_exists(join(f->folder, "config.json", a));
  bool meta = file_exists(join(f->folder, "params.json", a));
  if (hf && locate_safetensors(f, a, e)) return e->status;
  if (f->n == 0 && meta) return locate_pth(f, a, e);
  return ERR_OK;
}

/* -- names -- */

/* The folder's own name, links followed. */
static const char *name_of_folder(const char *path, arena *a) {
  char *real = realpath(path, NULL);
  const char *name = arena_strdup(a, real != NULL ? real : path), *slash = strrchr(name, '/');
  free(real);
  if (slash != NULL) name = slash + 1;
  return *name != '\0' ? name : "model";
}

/* The file's name without a checkpoint's ending; where it is one of the usual names, the folder's.
 * Links are not followed: HF's cache links usual names to names that say nothing. */
static const char *name_of_file(const char *folder, const char *file, arena *a) {
  static const char *const ENDS[] = {".safetensors", ".gguf", ".bin", ".pth"};
  bool usual = strcmp(file, "model.safetensors") == 0 || strncmp(file, "consolidated.", 13) == 0;
  if (usual) return name_of_folder(folder, a);
  for (size_t i = 0; i < sizeof ENDS / sizeof *ENDS; i++)
    if (ends_with(file, ENDS[i])) return arena_strndup(a, file, strlen(file) - strlen(ENDS[i]));
  return arena_strdup(a, file);
}

/* Is it JSON, or meant to be? */
static bool is_json(const char *path) {
  static const char *const SPACE = " \t\r\n";
  file_map m;
  err ignored = {0};
  if (ends_with(path, ".json")) return true;
  if (map_open(path, &m, &ignored) != ERR_OK) return true;
  size_t i = m.len >= 3 && memcmp(m.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
  while (i < m.len && m.data[i] != '\0' && strchr(SPACE, m.data[i]) != NULL) i++;
  bool yes = i == m.len || m.data[i] == '{' || m.data[i] == '[';
  /* a safetensors header of 123 bytes begins with '{' as well */
  yes = yes && ckpt_format_of(m.data, m.len) == NULL;
  map_close(&m);
  return yes;
}

int ckpt_locate(const char *spec, ckpt_files *f, arena *a, err *e) {
  size_t cap = 0;
  *f = (ckpt_files){0};
  if (*spec == '\0' || model_is_builtin(spec) || !file_exists(spec)) return ERR_OK;
  f->folder = arena_strdup(a, spec);
  f->name = name_of_folder(spec, a);
  if (is_folder(spec)) return locate_folder(f, a, e);
  if (is_json(spec)) return ERR_OK;
  const char *slash = strrchr(spec, '/');
  f->folder = slash == NULL   ? "."
              : slash == spec ? "/"
                              : arena_strndup(a, spec, (size_t)(slash - spec));
  f->name = name_of_file(f->folder, slash == NULL ? spec : slash + 1, a);
  add(f, &cap, arena_strdup(a, spec), a);
  return ERR_OK;
}

bool ckpt_at(const char *spec) {
  arena scratch = {0};
  err ignored = {0};
  ckpt_files f;
  /* a folder whose shards cannot be told apart has weights; ckpt_open says what is wrong */
  bool yes = ckpt_locate(spec, &f, &scratch, &ignored) != ERR_OK || f.n > 0;
  arena_free(&scratch);
  return yes;
}
