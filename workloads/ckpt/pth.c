#include "workloads/ckpt/pth.h"

#include <stdlib.h>
#include <string.h>

#include "workloads/ckpt/pickle.h"
#include "workloads/ckpt/show.h"
#include "workloads/ckpt/zipdir.h"

#define TRY(call)                                                                                  \
  do {                                                                                             \
    int try_status = (call);                                                                       \
    if (try_status != ERR_OK) return try_status;                                                   \
  } while (0)

/* -- what a pickle of torch's may name -- */

enum global_id {
  ORDERED_DICT,
  TENSOR_V2,
  TENSOR_V3,
  PARAMETER,
  UNTYPED,                           /* a storage of bytes */
  STORAGE,                           /* plus a raw_format: a storage of such elements */
  DTYPE = STORAGE + RAW_FORMAT_COUNT /* plus a raw_format */
};

static const pickle_global GLOBALS[] = {
    {"collections", "OrderedDict", PICKLE_MAKES_DICT, ORDERED_DICT},
    {"torch._utils", "_rebuild_tensor_v2", PICKLE_CALLED, TENSOR_V2},
    {"torch._utils", "_rebuild_tensor_v3", PICKLE_CALLED, TENSOR_V3},
    {"torch._utils", "_rebuild_parameter", PICKLE_CALLED, PARAMETER},
    {"torch", "FloatStorage", PICKLE_NAME, STORAGE + RAW_F32},
    {"torch", "HalfStorage", PICKLE_NAME, STORAGE + RAW_F16},
    {"torch", "BFloat16Storage", PICKLE_NAME, STORAGE + RAW_BF16},
    {"torch.storage", "UntypedStorage", PICKLE_NAME, UNTYPED},
    {"torch", "float32", PICKLE_NAME, DTYPE + RAW_F32}, /* dtypes, for _rebuild_tensor_v3 */
    {"torch", "float16", PICKLE_NAME, DTYPE + RAW_F16},
    {"torch", "bfloat16", PICKLE_NAME, DTYPE + RAW_BF16},
};

/* Of a storage type; 0: the name is that of something else. */
static uint64_t storage_bytes(const pickle_global *g) {
  if (g->id == UNTYPED) return 1;
  if (g->id == STORAGE + RAW_F32) return 4;
  return g->id == STORAGE + RAW_F16 || g->id == STORAGE + RAW_BF16 ? 2 : 0;
}

/* -- storages -- */

typedef struct storage {
  const char *key;
  size_t key_len;
  int type;                  /* UNTYPED, or STORAGE plus a raw_format */
  uint64_t n, bytes;         /* elements (bytes, where untyped), and their bytes in all */
  const unsigned char *data; /* n elements, once it was found */
  const pickle_node *id;     /* where the pickle speaks of it first */
} storage;

typedef struct reader {
  const char *where; /* the file */
  const unsigned char *data;
  size_t len;
  pickle object;
  storage *storages; /* sorted by key */
  size_t n_storages;
  bool legacy;
  arena *scratch;
  err *e;
} reader;

#define AT(node) r->object.where, (unsigned long)(node)->at

static int compare_keys(const char *a, size_t n_a, const char *b, size_t n_b) {
  int order = memcmp(a, b, n_a < n_b ? n_a : n_b);
  return order != 0 ? order : (n_a > n_b) - (n_a < n_b);
}

static int by_key(const void *a, const void *b) {
  const storage *x = a, *y = b;
  int order = compare_keys(x->key, x->key_len, y->key, y->key_len);
  return order != 0 ? order : (x->id->at > y->id->at) - (x->id->at < y->id->at);
}

static storage *find_storage(const reader *r, const char *key, size_t len) {
  size_t lo = 0, hi = r->n_storages;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    storage *s = &r->storages[mid];
    int order = compare_keys(s->key, s->key_len, key, len);
    if (order == 0) return s;
    if (order < 0)
      lo = mid + 1;
    else
      hi = mid;
  }
  return NULL;
}

/* ('storage', type, key, location, elements), and in a legacy file also None, where once a view of
 * another storage was. */
static int read_storage(const reader *r, const pickle_node *id, storage *s) {
  const pickle_node *t = id->items[0].kind == PICKLE_TUPLE ? id->items[0].as.node : NULL;
  const pickle_value *v = t != NULL ? t->items : NULL;
  bool fits = t != NULL && t->n == (r->legacy ? 6 : 5) && v[0].kind == PICKLE_STR &&
              v[0].len == 7 && memcmp(v[0].as.s, "storage", 7) == 0 && v[1].kind == PICKLE_GLOBAL &&
              storage_bytes(v[1].as.global) > 0 && v[2].kind == PICKLE_STR &&
              v[2].len <= PTH_MAX_KEY && v[3].kind == PICKLE_STR && v[4].kind == PICKLE_INT &&
              v[4].as.i >= 0 && (!r->legacy || v[5].kind == PICKLE_NONE);
  if (!fits)
    return err_set(r->e, ERR_BAD,
                   "%s: offset %lu: the persistent id is not ('storage', type, key, location, "
                   "elements%s), as torch.save writes it, with a key of %d bytes at most",
                   AT(id), r->legacy ? ", None" : "", PTH_MAX_KEY);
  *s = (storage){.key = v[2].as.s,
                 .key_len = v[2].len,
                 .type = v[1].as.global->id,
                 .n = (uint64_t)v[4].as.i,
                 .id = id};
  uint64_t size = storage_bytes(v[1].as.global);
  if (s->n > r->len / size)
    return err_set(
        r->e, ERR_BAD,
        "%s: offset %lu: storage '%s' claims %llu elements of %llu bytes; the whole file "
        "has %zu bytes",
        AT(id), SHOW(s->key, s->key_len), (unsigned long long)s->n, (unsigned long long)size,
        r->len);
  s->bytes = s->n * size;
  return ERR_OK;
}

/* All storages that the object speaks of, each once. */
static int list_storages(reader *r) {
  const pickle *p = &r->object;
  size_t n = 0;
  r->storages = ARENA_NEW(r->scratch, storage, p->n_persids);
  for (size_t i = 0; i < p->n_persids; i++) TRY(read_storage(r, p->persids[i], &r->storages[i]));
  if (p->n_persids > 0) qsort(r->storages, p->n_persids, sizeof *r->storages, by_key);
  for (size_t i = 0; i < p->n_persids; i++) {
    storage *s = &r->storages[i], *last = n > 0 ? &r->storages[n - 1] : NULL;
    if (last == NULL || compare_keys(s->key, s->key_len, last->key, last->key_len) != 0) {
      r->storages[n++] = *s;
    } else if (s->type != last->type || s->n != last->n) {
      return err_set(r->e, ERR_BAD,
                     "%s: offset %lu: storage '%s' has another type or size than at offset %lu",
                     AT(s->id), SHOW(s->key, s->key_len), (unsigned long)last->id->at);
    }
  }
  r->n_storages = n;
  return ERR_OK;
}

/* -- the zip form -- */

static char *join(arena *a, const char *prefix, size_t n_prefix, const char *middle,
                  const char *key, size_t n_key, size_t *len) {
  size_t n_middle = strlen(middle);
  *len = n_prefix + n_middle + n_key;
  char *name = ARENA_NEW(a, char, *len + 1);
  memcpy(name, prefix, n_prefix);
  memcpy(name + n_prefix, middle, n_middle);
  if (n_key > 0) memcpy(name + n_prefix + n_middle, key, n_key);
  return name;
}

/* The archive's one data.pkl; what is before it in its name begins all names that count. */
static int find_pickle(const reader *r, const zip_dir *dir, const zip_entry **pkl, size_t *prefix) {
  static const char NAME[] = "data.pkl";
  const size_t n = sizeof NAME - 1;
  *pkl = NULL;
  for (size_t i = 0; i < dir->n; i++) {
    const zip_entry *z = &dir->at[i];
    bool is = z->name_len >= n && memcmp(z->name + z->name_len - n, NAME, n) == 0 &&
              (z->name_len == n || z->name[z->name_len - n - 1] == '/');
    if (!is) continue;
    if (*pkl != NULL)
      return err_set(r->e, ERR_BAD, "%s: has two objects, '%s' and '%s'; a checkpoint has one",
                     r->where, SHOW((*pkl)->name, (*pkl)->name_len), SHOW(z->name, z->name_len));
    *pkl = z;
    *prefix = z->name_len - n;
  }
  if (*pkl != NULL) return ERR_OK;
  return err_set(r->e, ERR_BAD,
                 "%s: is a zip archive without a data.pkl; it is nothing that torch.save wrote",
                 r->where);
}

static int check_byte_order(const reader *r, const zip_dir *dir, const char *prefix, size_t n) {
  size_t len = 0;
  const char *name = join(r->scratch, prefix, n, "byteorder", NULL, 0, &len);
  const zip_entry *z = zipdir_find(dir, name, len);
  if (z == NULL || (z->size == 6 && memcmp(z->data, "little", 6) == 0)) return ERR_OK;
  size_t shown = z->size < SHOW_MAX ? (size_t)z->size : SHOW_MAX;
  return err_set(r->e, ERR_BAD,
                 "%s: its byte order is '%s'; only 'little' can be read (load and save it again "
                 "with torch on a little-endian machine)",
                 r->where, SHOW((const char *)z->data, shown));
}

static int read_zip(reader *r) {
  zip_dir dir;
  const zip_entry *pkl = NULL;
  size_t n_prefix = 0;
  TRY(zipdir_read(r->where, r->data, r->len, &dir, r->scratch, r->e));
  TRY(find_pickle(r, &dir, &pkl, &n_prefix));
  TRY(check_byte_order(r, &dir, pkl->name, n_prefix));
  r->object.where = arena_printf(r->scratch, "%s: data.pkl", r->where);
  r->object.data = pkl->data, r->object.len = (size_t)pkl->size;
  TRY(pickle_read(&r->object, r->scratch, r->e));
  TRY(list_storages(r));
  for (size_t i = 0; i < r->n_storages; i++) {
    storage *s = &r->storages[i];
    size_t len = 0;
    const char *name = join(r->scratch, pkl->name, n_prefix, "data/", s->key, s->key_len, &len);
    const zip_entry *z = zipdir_find(&dir, name, len);
    if (z == NULL)
      return err_set(r->e, ERR_BAD, "%s: offset %lu: there is no entry '%s' for this storage",
                     AT(s->id), SHOW(name, len));
    if (z->size != s->bytes)
      return err_set(r->e, ERR_BAD,
                     "%s: offset %lu: the entry '%s' has %llu bytes; the %llu elements of this "
                     "storage need %llu",
                     AT(s->id), SHOW(name, len), (unsigned long long)z->size,
                     (unsigned long long)s->n, (unsigned long long)s->bytes);
    s->data = z->data;
  }
  return ERR_OK;
}

/* -- the legacy form -- */

/* PROTO 2, LONG1 of ten bytes 0x1950a86a20f9469cfc6c, STOP: the whole first pickle. */
static const unsigned char MAGIC[] = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46,
                                      0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

/* The next of the pickles that follow each other. */
static int next_pickle(reader *r, size_t *pos, const char *what, pickle *p) {
  *p = (pickle){.where = arena_printf(r->scratch, "%s: %s", r->where, what),
                .data = r->data,
                .len = r->len,
                .pos = *pos,
                .globals = GLOBALS,
                .n_globals = sizeof GLOBALS / sizeof *GLOBALS};
  TRY(pickle_read(p, r->scratch, r->e));
  *pos = p->pos;
  return ERR_OK;
}

static bool is_str(const pickle_value *v, const char *s) {
  return v->kind == PICKLE_STR && v->len == strlen(s) && memcmp(v->as.s, s, v->len) == 0;
}

static int check_system(const reader *r, const pickle *protocol, const pickle *system) {
  if (protocol->root.kind != PICKLE_INT || protocol->root.as.i != 1001)
    return err_set(r->e, ERR_BAD, "%s: is not 1001, the only one there is", protocol->where);
  const pickle_value *v = &system->root;
  size_t n = v->kind == PICKLE_DICT ? v->as.node->n : 0;
  for (size_t i = 0; i < n; i += 2) {
    const pickle_value *key = &v->as.node->items[i], *is = key + 1;
    if (is_str(key, "little_endian") && is->kind == PICKLE_BOOL && is->as.i == 1) return ERR_OK;
  }
  return err_set(r->e, ERR_BAD,
                 "%s: does not say that little_endian is true; only little-endian files can be "
                 "read",
                 system->where);
}

/* The raw storages, from `pos` to the end of the file, in the order of their keys. */
static int place_storages(reader *r, const pickle *keys, size_t pos) {
  if (keys->root.kind != PICKLE_LIST)
    return err_set(r->e, ERR_BAD, "%s: are %s; they must be a list", keys->where,
                   pickle_kind_name(keys->root.kind));
  const pickle_node *list = keys->root.as.node;
  for (size_t i = 0; i < list->n; i++) {
    const pickle_value *key = &list->items[i];
    storage *s = key->kind == PICKLE_STR ? find_storage(r, key->as.s, key->len) : NULL;
    if (s == NULL || s->data != NULL)
      return err_set(r->e, ERR_BAD,
                     "%s: key %zu of %zu, '%s', is %s; each storage of the object must be listed "
                     "once",
                     keys->where, i + 1, list->n,
                     key->kind == PICKLE_STR ? SHOW(key->as.s, key->len) : "not a string",
                     s == NULL ? "no storage of the object" : "listed twice");
    uint64_t left = r->len - pos, n = 0;
    for (size_t b = 0; b < 8 && left >= 8; b++) n |= (uint64_t)r->data[pos + b] << (8 * b);
    if (left < 8 || n != s->n || s->bytes > left - 8)
      return err_set(
          r->e, ERR_BAD,
          "%s: offset %zu: storage '%s' should have %llu elements (%llu bytes) here; the "
          "file says %llu and has %llu bytes left",
          r->where, pos, SHOW(s->key, s->key_len), (unsigned long long)s->n,
          (unsigned long long)s->bytes, (unsigned long long)n, (unsigned long long)left);
    s->data = r->data + pos + 8;
    pos += 8 + (size_t)s->bytes;
  }
  for (size_t i = 0; i < r->n_storages; i++)
    if (r->storages[i].data == NULL)
      return err_set(r->e, ERR_BAD, "%s: storage '%s', of the object's offset %lu, is not listed",
                     keys->where, SHOW(r->storages[i].key, r->storages[i].key_len),
                     (unsigned long)r->storages[i].id->at);
  if (pos == r->len) return ERR_OK;
  return err_set(r->e, ERR_BAD, "%s: %zu bytes follow the last storage, which ends at offset %zu",
                 r->where, r->len - pos, pos);
}

static int read_legacy(reader *r) {
  size_t pos = sizeof MAGIC;
  pickle protocol, system, keys;
  r->legacy = true;
  TRY(next_pickle(r, &pos, "protocol", &protocol));
  TRY(next_pickle(r, &pos, "system facts", &system));
  TRY(check_system(r, &protocol, &system));
  TRY(next_pickle(r, &pos, "object", &r->object));
  TRY(list_storages(r));
  TRY(next_pickle(r, &pos, "storage keys", &keys));
  return place_storages(r, &keys, pos);
}

/* -- tensors -- */

/* The call that makes a tensor, without the parameter around it; NULL for any other value. */
static const pickle_node *tensor_call(const pickle_value *v) {
  if (v->kind == PICKLE_CALL && v->as.node->fn->id == PARAMETER && v->as.node->n > 0)
    v = &v->as.node->items[0];
  if (v->kind != PICKLE_CALL) return NULL;
  int id = v->as.node->fn->id;
  return id == TENSOR_V2 || id == TENSOR_V3 ? v->as.node : NULL;
}

/* v2: (storage, offset, shape, strides, requires_grad, hooks[, metadata]); v3: a dtype before the
 * metadata. Only an empty metadata leaves the numbers what they are. */
static bool tensor_fits(const pickle_node *c, raw_format *format) {
  const pickle_value *v = c->items;
  const size_t known = c->fn->id == TENSOR_V3 ? 7 : 6;
  bool fits = (c->n == known || c->n == known + 1) && v[0].kind == PICKLE_PERSID &&
              v[1].kind == PICKLE_INT && v[2].kind == PICKLE_TUPLE && v[3].kind == PICKLE_TUPLE &&
              v[2].as.node->n == v[3].as.node->n;
  if (!fits) return false;
  const pickle_value *meta = c->n == known + 1 ? &v[known] : NULL;
  bool plain = meta == NULL || meta->kind == PICKLE_NONE ||
               (meta->kind == PICKLE_DICT && meta->as.node->n == 0);
  const pickle_value *name = &v[0].as.node->items[0].as.node->items[1]; /* a storage type, or */
  int first = STORAGE;
  if (c->fn->id == TENSOR_V3) { /* bytes, and a dtype */
    if (name->as.global->id != UNTYPED || v[6].kind != PICKLE_GLOBAL) return false;
    name = &v[6];
    first = DTYPE;
  }
  int id = name->as.global->id - first;
  if (id < 0 || id >= RAW_FORMAT_COUNT) return false;
  *format = (raw_format)id;
  return plain;
}

static bool read_extents(const pickle_node *tuple, uint64_t v[RAW_MAX_RANK]) {
  for (size_t i = 0; i < tuple->n; i++) {
    if (tuple->items[i].kind != PICKLE_INT || tuple->items[i].as.i < 0) return false;
    v[i] = (uint64_t)tuple->items[i].as.i;
  }
  return true;
}

/* Elements of the shape; false beyond the limit. */
static bool count_elements(const raw_tensor *t, uint64_t *n) {
  const uint64_t limit = (uint64_t)1 << PTH_MAX_ELEMENTS_LOG2;
  *n = 1;
  for (size_t i = 0; i < t->rank; i++)
    if (t->dim[i] == 0) *n = 0;
  for (size_t i = 0; i < t->rank && *n != 0; i++) {
    if (t->dim[i] > limit / *n) return false;
    *n *= t->dim[i];
  }
  return true;
}

/* Elements of the storage that the view spans, from its first to its last; false where that is
 * more than the `room` from its offset on. The shape has at least one element. */
static bool count_span(const raw_tensor *t, uint64_t room, uint64_t *span) {
  *span = 1;
  if (room == 0) return false;
  for (size_t i = 0; i < t->rank; i++) {
    uint64_t steps = t->dim[i] - 1;
    if (steps == 0) continue;
    if (t->stride[i] > (room - *span) / steps) return false;
    *span += t->stride[i] * steps;
  }
  return true;
}

static int read_tensor(const reader *r, const pickle_node *c, raw_tensor *t) {
  const pickle_value *v = c->items;
  if (!tensor_fits(c, &t->format))
    return err_set(r->e, ERR_BAD,
                   "%s: offset %lu: tensor '%s': the arguments of %s are not those that torch.save "
                   "writes for a dense f32, f16 or bf16 tensor",
                   AT(c), t->name, c->fn->name);
  const pickle_node *shape = v[2].as.node;
  t->rank = (uint32_t)shape->n;
  if (shape->n > RAW_MAX_RANK)
    return err_set(r->e, ERR_BAD, "%s: offset %lu: tensor '%s' has %zu dimensions; the limit is %d",
                   AT(c), t->name, shape->n, RAW_MAX_RANK);
  uint64_t n = 0, span = 0;
  if (v[1].as.i < 0 || !read_extents(shape, t->dim) || !read_extents(v[3].as.node, t->stride) ||
      !count_elements(t, &n))
    return err_set(r->e, ERR_BAD,
                   "%s: offset %lu: tensor '%s': offset, shape and strides must be whole numbers "
                   "from 0, with 2^%d elements at most",
                   AT(c), t->name, PTH_MAX_ELEMENTS_LOG2);
  const pickle_value *key = &v[0].as.node->items[0].as.node->items[2];
  const storage *s = find_storage(r, key->as.s, key->len);
  uint64_t size = t->format == RAW_F32 ? 4 : 2, offset = (uint64_t)v[1].as.i;
  uint64_t room = s->bytes / size; /* its n but for an untyped one */
  if (offset > room || (n > 0 && !count_span(t, room - offset, &span)))
    return err_set(r->e, ERR_BAD,
                   "%s: offset %lu: tensor '%s' reaches beyond its storage '%s', which has %llu "
                   "elements; the view begins at element %llu",
                   AT(c), t->name, SHOW(s->key, s->key_len), (unsigned long long)room,
                   (unsigned long long)offset);
  t->data = s->data + offset * size;
  t->bytes = span * size;
  return ERR_OK;
}

static int read_name(const reader *r, const pickle_node *dict, const pickle_value *key,
                     const char **name, arena *a) {
  bool fits = key->kind == PICKLE_STR && key->len > 0 && key->len <= PTH_MAX_NAME;
  for (size_t i = 0; fits && i < key->len; i++) fits = key->as.s[i] > 0x20 && key->as.s[i] < 0x7f;
  if (!fits)
    return err_set(r->e, ERR_BAD,
                   "%s: offset %lu: a tensor in the dict that begins here is named %s%s%s; it must "
                   "be 1 to %d printable ASCII characters without a space",
                   AT(dict), key->kind == PICKLE_STR ? "'" : "by ",
                   key->kind == PICKLE_STR ? SHOW(key->as.s, key->len)
                                           : pickle_kind_name(key->kind),
                   key->kind == PICKLE_STR ? "'" : "", PTH_MAX_NAME);
  *name = arena_strndup(a, key->as.s, key->len);
  return ERR_OK;
}

/* The dict that a wrapper wraps, or NULL; a dict with tensors in it is no wrapper. */
static const pickle_value *unwrap(const pickle_node *dict) {
  static const char *const NAMES[] = {"model", "state_dict", "model_state_dict", "module"};
  const pickle_value *only = NULL;
  size_t n_dicts = 0;
  for (size_t k = 0; k < sizeof NAMES / sizeof *NAMES; k++)
    for (size_t i = 0; i < dict->n; i += 2)
      if (dict->items[i + 1].kind == PICKLE_DICT && is_str(&dict->items[i], NAMES[k]))
        return &dict->items[i + 1];
  for (size_t i = 1; i < dict->n; i += 2) {
    if (dict->items[i].kind != PICKLE_DICT) continue;
    only = &dict->items[i];
    n_dicts++;
  }
  return n_dicts == 1 ? only : NULL;
}

static int find_weights(const reader *r, const pickle_node **dict, size_t *n) {
  const pickle_value *v = &r->object.root;
  for (size_t level = 0; v != NULL && level <= PTH_MAX_WRAPPERS; level++) {
    if (v->kind != PICKLE_DICT)
      return err_set(r->e, ERR_BAD, "%s: the object is %s; it must be a dict of names to tensors",
                     r->object.where, pickle_kind_name(v->kind));
    *dict = v->as.node, *n = 0;
    for (size_t i = 1; i < (*dict)->n; i += 2)
      if (tensor_call(&(*dict)->items[i]) != NULL) ++*n;
    if (*n > 0) return ERR_OK;
    v = unwrap(*dict);
  }
  return err_set(r->e, ERR_BAD,
                 "%s: there are no tensors in the object, nor in a dict under 'model', "
                 "'state_dict', 'model_state_dict' or 'module' in it",
                 r->object.where);
}

static int by_tensor_name(const void *a, const void *b) {
  const raw_tensor *x = *(const raw_tensor *const *)a, *y = *(const raw_tensor *const *)b;
  int order = strcmp(x->name, y->name);
  return order != 0 ? order : (x > y) - (x < y);
}

static int read_tensors(const reader *r, raw_tensors *t, arena *a) {
  const pickle_node *dict = NULL;
  size_t n = 0;
  TRY(find_weights(r, &dict, &n));
  raw_tensor *at = ARENA_NEW(a, raw_tensor, n);
  const raw_tensor **sorted = ARENA_NEW(r->scratch, const raw_tensor *, n);
  for (size_t i = 0, k = 0; i < dict->n; i += 2) {
    const pickle_node *call = tensor_call(&dict->items[i + 1]);
    if (call == NULL) continue;
    TRY(read_name(r, dict, &dict->items[i], &at[k].name, a));
    TRY(read_tensor(r, call, &at[k]));
    sorted[k] = &at[k];
    k++;
  }
  qsort(sorted, n, sizeof *sorted, by_tensor_name);
  for (size_t i = 1; i < n; i++)
    if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
      return err_set(r->e, ERR_BAD, "%s: tensor '%s' is there twice", r->object.where,
                     sorted[i]->name);
  *t = (raw_tensors){.at = at, .n = n};
  return ERR_OK;
}

bool pth_is(const unsigned char *data, size_t len) {
  return (len >= 4 && memcmp(data, "PK\3\4", 4) == 0) ||
         (len >= sizeof MAGIC && memcmp(data, MAGIC, sizeof MAGIC) == 0);
}

static int read_any(reader *r, raw_tensors *t, arena *a) {
  if (!pth_is(r->data, r->len))
    return err_set(r->e, ERR_BAD,
                   "%s: begins neither as a zip archive nor with torch's magic number; it is "
                   "nothing that torch.save wrote",
                   r->where);
  TRY(r->data[0] == 'P' ? read_zip(r) : read_legacy(r));
  return read_tensors(r, t, a);
}

int pth_parse(const char *where, const unsigned char *data, size_t len, raw_tensors *t, arena *a,
              err *e) {
  arena scratch = {0};
  reader r = {.where = where, .data = data, .len = len, .scratch = &scratch, .e = e};
  r.object = (pickle){.globals = GLOBALS, .n_globals = sizeof GLOBALS / sizeof *GLOBALS};
  *t = (raw_tensors){0};
  int status = read_any(&r, t, a);
  arena_free(&scratch);
  return status;
}
