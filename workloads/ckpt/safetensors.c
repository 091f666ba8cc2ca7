#include "workloads/ckpt/safetensors.h"

#include <inttypes.h>
#include <string.h>

#include "sim/base/bytes.h"
#include "sim/base/json.h"
#include "workloads/ckpt/raw_check.h"

/* 100 MB is the reference implementation's limit. Ours is lower, since JSON takes memory, and still
 * ten times what the largest model that is accepted needs. */
enum { HEADER_AT = 8, HEADER_POSSIBLE = 100000000, HEADER_MAX = 1 << 24 };

bool st_is(const unsigned char *data, size_t len) {
  if (len <= HEADER_AT || data[HEADER_AT] != '{') return false;
  uint64_t header = bytes_u64(data);
  return header >= 2 && header <= HEADER_POSSIBLE;
}

typedef struct reader {
  json_doc doc;
  const unsigned char *data; /* the tensors' bytes */
  uint64_t len;
  err *e;
} reader;

static int read_dtype(const reader *r, const json *v, raw_tensor *t) {
  static const struct {
    const char *name;
    raw_format format;
  } DTYPES_READ[] = {{"F32", RAW_F32}, {"F16", RAW_F16}, {"BF16", RAW_BF16}};
  char got[JSON_DESCRIBE];
  const json *d = json_get(v, "dtype");
  const char *name = json_is_string(d) ? json_str(d) : "";
  for (size_t i = 0; i < sizeof DTYPES_READ / sizeof *DTYPES_READ; i++) {
    if (strcmp(name, DTYPES_READ[i].name) != 0) continue;
    t->format = DTYPES_READ[i].format;
    return ERR_OK;
  }
  return err_set(r->e, ERR_BAD, "its dtype is %s; F32, F16 and BF16 are supported",
                 json_describe(d, got));
}

/* Whole numbers of an array; at most `max` of them, exactly `max` with `exact`. */
static int read_array(const reader *r, const json *v, const char *key, size_t max, bool exact,
                      uint64_t *at, size_t *n) {
  char got[JSON_DESCRIBE];
  const json *array = json_get(v, key);
  if (!json_is_array(array))
    return err_set(r->e, ERR_BAD, "its %s is %s; it must be an array of whole numbers", key,
                   json_describe(array, got));
  *n = json_count(array);
  if (*n > max || (exact && *n != max))
    return err_set(r->e, ERR_BAD, "its %s has %zu numbers; it must have %s%zu", key, *n,
                   exact ? "" : "at most ", max);
  size_t i = 0;
  for (const json *x = json_first(array); x != NULL; x = json_next(x), i++) {
    double d = json_is_number(x) ? json_num(x) : -1;
    if (!(d >= 0 && d <= 0x1p53) || d != (double)(uint64_t)d)
      return err_set(r->e, ERR_BAD, "its %s[%zu] is %s; it must be a whole number from 0 to 2^53",
                     key, i, json_describe(x, got));
    at[i] = (uint64_t)d;
  }
  return ERR_OK;
}

static int read_tensor(const reader *r, const json *v, raw_tensor *t) {
  uint64_t at[2];
  size_t rank, two;
  char shape[RAW_SHAPE_TEXT], got[JSON_DESCRIBE];
  if (!json_is_object(v))
    return err_set(r->e, ERR_BAD, "it is %s; it must be an object", json_describe(v, got));
  if (read_dtype(r, v, t)) return r->e->status;
  if (read_array(r, v, "shape", RAW_MAX_RANK, false, t->dim, &rank)) return r->e->status;
  if (read_array(r, v, "data_offsets", 2, true, at, &two)) return r->e->status;
  t->rank = (uint32_t)rank;
  if (!raw_dense(t))
    return err_set(r->e, ERR_BAD, "its shape %s has more bytes than 2^64", raw_shape(t, shape));
  if (at[0] > at[1] || at[1] > r->len)
    return err_set(r->e, ERR_BAD,
                   "its data_offsets are %" PRIu64 " to %" PRIu64 ", but the file has %" PRIu64
                   " bytes of data; is it cut short?",
                   at[0], at[1], r->len);
  if (at[1] - at[0] != t->bytes)
    return err_set(r->e, ERR_BAD,
                   "its data_offsets span %" PRIu64 " bytes, but shape %s of %s has %" PRIu64,
                   at[1] - at[0], raw_shape(t, shape), raw_format_name(t->format), t->bytes);
  t->data = r->data + at[0];
  return ERR_OK;
}

static int read_all(const reader *r, const char *where, raw_tensors *t, arena *a) {
  const json *root = r->doc.root;
  t->at = ARENA_NEW(a, raw_tensor, json_count(root) + 1);
  for (const json *v = json_first(root); v != NULL; v = json_next(v)) {
    if (strcmp(json_key(v), "__metadata__") == 0) continue;
    raw_tensor *x = &t->at[t->n++];
    x->name = arena_strdup(a, json_key(v));
  }
  if (raw_check_names(where, t, r->e)) return r->e->status;
  size_t i = 0;
  for (const json *v = json_first(root); v != NULL; v = json_next(v)) {
    if (strcmp(json_key(v), "__metadata__") == 0) continue;
    if (read_tensor(r, v, &t->at[i]))
      return err_prefix(r->e, "%s: tensor '%s'", where, t->at[i].name);
    i++;
  }
  return raw_check_ranges(where, t, r->data, r->data + r->len, true, r->e);
}

int st_parse(const char *where, const unsigned char *data, size_t len, raw_tensors *t, arena *a,
             err *e) {
  *t = (raw_tensors){0};
  if (!st_is(data, len))
    return err_set(e, ERR_BAD, "%s: this is no safetensors file: no header of JSON at byte 8",
                   where);
  uint64_t header = bytes_u64(data), rest = len - HEADER_AT;
  if (header > rest)
    return err_set(e, ERR_BAD,
                   "%s: the header has %" PRIu64 " bytes, but the file ends after %" PRIu64
                   " of them; is it cut short?",
                   where, header, rest);
  if (header > HEADER_MAX)
    return err_set(e, ERR_BAD, "%s: the header has %" PRIu64 " bytes; the limit is %d", where,
                   header, HEADER_MAX);
  reader r = {.data = data + HEADER_AT + header, .len = rest - header, .e = e};
  if (json_parse(where, data + HEADER_AT, (size_t)header, &r.doc, e))
    return err_prefix(e, "in the header");
  int status = read_all(&r, where, t, a);
  json_free(&r.doc);
  return status;
}
