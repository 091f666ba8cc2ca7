#include "workloads/ckpt/gguf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/ckpt/gguf_file.h"
#include "workloads/ckpt/raw_check.h"

enum { KEY_MAX = 1024, MIN_KEY_BYTES = 8 + 4 + 1, MIN_TENSOR_BYTES = 8 + 4 + 4 + 8 };
enum { ALIGNMENT = 32, ALIGNMENT_MAX = 1 << 20 };

static const struct {
  const char *name;
  uint64_t bytes;
} TYPE[GGUF_TYPE_COUNT] = {
#define X(id, name, bytes) [GGUF_##id] = {name, bytes},
    GGUF_TYPES(X)
#undef X
};

typedef struct reader {
  const char *where;
  cursor c;
  gguf_file *f;
  arena *a;
  err *e;
} reader;

const char *gguf_type_name(gguf_type t) {
  return TYPE[t].name;
}

bool gguf_is(const unsigned char *data, size_t len) {
  return len >= 4 && memcmp(data, "GGUF", 4) == 0;
}

static int ends(const reader *r, const char *what, size_t i) {
  return err_set(r->e, ERR_BAD, "%s: the file ends inside %s %zu of the header; is it cut short?",
                 r->where, what, i);
}

static bool read_string(reader *r, cursor *s) {
  uint64_t n;
  if (!cursor_u64(&r->c, &n)) return false;
  *s = (cursor){r->c.at, n};
  return cursor_skip(&r->c, n);
}

/* -- keys -- */

/* Steps over the items; strings are as long as they say. */
static int skip_array(reader *r, gguf_key *k, size_t i) {
  uint32_t type;
  cursor s;
  if (!cursor_u32(&r->c, &type) || !cursor_u64(&r->c, &k->items)) return ends(r, "key", i);
  if (type >= GGUF_TYPE_COUNT || type == GGUF_ARRAY)
    return err_set(r->e, ERR_BAD,
                   "%s: key '%s' is an array of type %" PRIu32 "; there is none such", r->where,
                   k->name, type);
  if (type != GGUF_STRING) {
    uint64_t bytes;
    if (__builtin_mul_overflow(k->items, TYPE[type].bytes, &bytes) || !cursor_skip(&r->c, bytes))
      return err_set(r->e, ERR_BAD,
                     "%s: key '%s' claims %" PRIu64 " items, more than the file has bytes for",
                     r->where, k->name, k->items);
    return ERR_OK;
  }
  if (k->items > r->c.left / 8)
    return err_set(r->e, ERR_BAD,
                   "%s: key '%s' claims %" PRIu64 " strings, more than the file has bytes for",
                   r->where, k->name, k->items);
  for (uint64_t n = 0; n < k->items; n++)
    if (!read_string(r, &s)) return ends(r, "key", i);
  return ERR_OK;
}

static int read_key(reader *r, gguf_key *k, size_t i) {
  cursor name;
  uint32_t type;
  if (!read_string(r, &name)) return ends(r, "key", i);
  if (name.left == 0 || name.left > KEY_MAX)
    return err_set(r->e, ERR_BAD,
                   "%s: the name of key %zu has %" PRIu64 " bytes; it must have 1 to %d", r->where,
                   i, name.left, KEY_MAX);
  for (uint64_t n = 0; n < name.left; n++)
    if (name.at[n] < 0x20 || name.at[n] == 0x7f)
      return err_set(r->e, ERR_BAD, "%s: the name of key %zu has a control character, 0x%02x",
                     r->where, i, (unsigned)name.at[n]);
  k->name = arena_strndup(r->a, (const char *)name.at, (size_t)name.left);
  if (!cursor_u32(&r->c, &type)) return ends(r, "key", i);
  if (type >= GGUF_TYPE_COUNT)
    return err_set(r->e, ERR_BAD, "%s: key '%.100s' has type %" PRIu32 "; the last one is %d",
                   r->where, k->name, type, GGUF_TYPE_COUNT - 1);
  k->type = (gguf_type)type;
  if (k->type == GGUF_ARRAY) return skip_array(r, k, i);
  if (k->type == GGUF_STRING) return read_string(r, &k->value) ? ERR_OK : ends(r, "key", i);
  k->value = (cursor){r->c.at, TYPE[type].bytes};
  return cursor_skip(&r->c, TYPE[type].bytes) ? ERR_OK : ends(r, "key", i);
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const gguf_key *)a)->name, ((const gguf_key *)b)->name);
}

const gguf_key *gguf_find(const gguf_file *f, const char *name) {
  gguf_key want = {.name = name};
  return f->n_keys == 0 ? NULL : bsearch(&want, f->keys, f->n_keys, sizeof want, by_name);
}

static int read_keys(reader *r, uint64_t n) {
  gguf_file *f = r->f;
  size_t cap = 0; /* grown as they are read: a number that lies costs no memory */
  while (f->n_keys < n) {
    gguf_key k = {0};
    if (read_key(r, &k, f->n_keys)) return r->e->status;
    ARENA_PUSH(r->a, f->keys, f->n_keys, cap, k);
  }
  if (n > 1) qsort(f->keys, f->n_keys, sizeof *f->keys, by_name);
  for (size_t i = 1; i < f->n_keys; i++)
    if (strcmp(f->keys[i - 1].name, f->keys[i].name) == 0)
      return err_set(r->e, ERR_BAD, "%s: key '%.100s' stands there twice", r->where,
                     f->keys[i].name);
  return ERR_OK;
}

/* -- tensors -- */

static int read_format(const reader *r, uint32_t type, raw_tensor *t) {
  static const struct {
    uint32_t type;
    const char *name;
    raw_format format; /* RAW_FORMAT_COUNT: known, but not read */
  } FORMATS[] = {
      {0, "F32", RAW_F32},
      {1, "F16", RAW_F16},
      {2, "Q4_0", RAW_Q4_0},
      {8, "Q8_0", RAW_Q8_0},
      {30, "BF16", RAW_BF16},
      {3, "Q4_1", RAW_FORMAT_COUNT},
      {6, "Q5_0", RAW_FORMAT_COUNT},
      {7, "Q5_1", RAW_FORMAT_COUNT},
      {10, "Q2_K", RAW_FORMAT_COUNT},
      {11, "Q3_K", RAW_FORMAT_COUNT},
      {12, "Q4_K", RAW_FORMAT_COUNT},
      {13, "Q5_K", RAW_FORMAT_COUNT},
      {14, "Q6_K", RAW_FORMAT_COUNT},
  };
  const char *name = NULL;
  for (size_t i = 0; i < sizeof FORMATS / sizeof *FORMATS; i++) {
    if (FORMATS[i].type != type) continue;
    name = FORMATS[i].name;
    t->format = FORMATS[i].format;
    if (t->format != RAW_FORMAT_COUNT) return ERR_OK;
  }
  return err_set(r->e, ERR_BAD,
                 "%s: tensor '%s' has type %" PRIu32 "%s%s%s; F32, F16, BF16, Q8_0 and Q4_0 are "
                 "supported (llama-quantize --pure keeps to one type)",
                 r->where, t->name, type, name != NULL ? " (" : "", name != NULL ? name : "",
                 name != NULL ? ")" : "");
}

static int read_tensor(reader *r, raw_tensor *t, uint64_t *offset, size_t i) {
  cursor name;
  uint32_t type;
  uint64_t dim[RAW_MAX_RANK];
  if (!read_string(r, &name)) return ends(r, "tensor", i);
  if (name.left > RAW_NAME_MAX || memchr(name.at, 0, (size_t)name.left) != NULL)
    return err_set(r->e, ERR_BAD,
                   "%s: the name of tensor %zu has %" PRIu64 " bytes; it must have 1 to %d, none 0",
                   r->where, i, name.left, RAW_NAME_MAX);
  t->name = arena_strndup(r->a, (const char *)name.at, (size_t)name.left);
  if (!cursor_u32(&r->c, &t->rank)) return ends(r, "tensor", i);
  if (t->rank > RAW_MAX_RANK)
    return err_set(r->e, ERR_BAD, "%s: tensor '%s' has %" PRIu32 " dimensions; the limit is %d",
                   r->where, t->name, t->rank, RAW_MAX_RANK);
  for (uint32_t d = 0; d < t->rank; d++)
    if (!cursor_u64(&r->c, &dim[d])) return ends(r, "tensor", i);
  for (uint32_t d = 0; d < t->rank; d++) t->dim[d] = dim[t->rank - 1 - d];
  if (!cursor_u32(&r->c, &type) || !cursor_u64(&r->c, offset)) return ends(r, "tensor", i);
  if (read_format(r, type, t)) return r->e->status;
  char shape[RAW_SHAPE_TEXT];
  if (!raw_dense(t))
    return err_set(r->e, ERR_BAD,
                   "%s: tensor '%s' has shape %s, which %s cannot have: blocks of 32 must fill its "
                   "rows, and its bytes stay below 2^64",
                   r->where, t->name, raw_shape(t, shape), raw_format_name(t->format));
  return ERR_OK;
}

/* Where the data lie; `offset` is relative to their begin. */
static int place_tensor(const reader *r, raw_tensor *t, uint64_t offset, uint64_t alignment) {
  if (offset % alignment != 0)
    return err_set(r->e, ERR_BAD,
                   "%s: tensor '%s' lies at byte %" PRIu64 " of the data; it must be a multiple of "
                   "the alignment, %" PRIu64,
                   r->where, t->name, offset, alignment);
  if (offset > r->c.left || t->bytes > r->c.left - offset)
    return err_set(r->e, ERR_BAD,
                   "%s: tensor '%s' needs %" PRIu64 " bytes from byte %" PRIu64
                   " of the data, but the file has %" PRIu64 "; is it cut short?",
                   r->where, t->name, t->bytes, offset, r->c.left);
  t->data = r->c.at + offset;
  return ERR_OK;
}

static int read_alignment(const reader *r, uint64_t *alignment) {
  const gguf_key *k = gguf_find(r->f, "general.alignment");
  *alignment = ALIGNMENT;
  if (k == NULL) return ERR_OK;
  if (k->type == GGUF_U32) *alignment = bytes_u32(k->value.at);
  if (k->type != GGUF_U32 || *alignment == 0 || *alignment > ALIGNMENT_MAX ||
      (*alignment & (*alignment - 1)) != 0)
    return err_set(r->e, ERR_BAD,
                   "%s: key 'general.alignment' must be a power of two up to %d, as uint32",
                   r->where, ALIGNMENT_MAX);
  return ERR_OK;
}

static int read_tensors(reader *r, uint64_t n, size_t len) {
  raw_tensors *t = &r->f->tensors;
  uint64_t *offsets = NULL, alignment;
  size_t cap = 0, n_offsets = 0, offsets_cap = 0;
  while (t->n < n) {
    raw_tensor x = {0};
    uint64_t offset = 0;
    if (read_tensor(r, &x, &offset, t->n)) return r->e->status;
    ARENA_PUSH(r->a, t->at, t->n, cap, x);
    ARENA_PUSH(r->a, offsets, n_offsets, offsets_cap, offset);
  }
  if (raw_check_names(r->where, t, r->e) || read_alignment(r, &alignment)) return r->e->status;
  uint64_t at = len - r->c.left, padding = (alignment - at % alignment) % alignment;
  if (!cursor_skip(&r->c, padding)) cursor_skip(&r->c, r->c.left); /* no data at all */
  for (size_t i = 0; i < t->n; i++)
    if (place_tensor(r, &t->at[i], offsets[i], alignment)) return r->e->status;
  return raw_check_ranges(r->where, t, r->c.at, r->c.at + r->c.left, false, r->e);
}

int gguf_read(const char *where, const unsigned char *data, size_t len, gguf_file *f, arena *a,
              err *e) {
  reader r = {.where = where, .c = {data, len}, .f = f, .a = a, .e = e};
  uint32_t version;
  uint64_t n_tensors, n_keys;
  *f = (gguf_file){0};
  if (!gguf_is(data, len))
    return err_set(e, ERR_BAD, "%s: this is no GGUF file: it does not begin with 'GGUF'", where);
  cursor_skip(&r.c, 4);
  if (!cursor_u32(&r.c, &version))
    return err_set(e, ERR_BAD, "%s: the file ends inside the header; is it cut short?", where);
  if (version != 2 && version != 3)
    return err_set(e, ERR_BAD,
                   "%s: is GGUF version %" PRIu32 "; 2 and 3, little-endian, are supported", where,
                   version);
  if (!cursor_u64(&r.c, &n_tensors) || !cursor_u64(&r.c, &n_keys))
    return err_set(e, ERR_BAD, "%s: the file ends inside the header; is it cut short?", where);
  if (n_tensors > r.c.left / MIN_TENSOR_BYTES || n_keys > r.c.left / MIN_KEY_BYTES)
    return err_set(e, ERR_BAD,
                   "%s: the header claims %" PRIu64 " keys and %" PRIu64
                   " tensors, but only %" PRIu64 " bytes follow; is it cut short?",
                   where, n_keys, n_tensors, r.c.left);
  if (read_keys(&r, n_keys)) return e->status;
  return read_tensors(&r, n_tensors, len);
}

int gguf_parse(const char *where, const unsigned char *data, size_t len, raw_tensors *t, arena *a,
               err *e) {
  gguf_file f;
  *t = (raw_tensors){0};
  if (gguf_read(where, data, len, &f, a, e)) return e->status;
  *t = f.tensors;
  return ERR_OK;
}
