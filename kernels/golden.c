#include "kernels/golden.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kernels/convert.h"
#include "sim/base/file.h"
#include "sim/base/json.h"

#define JSON_LIMIT ((size_t)64 << 20)
#define BIN_LIMIT ((size_t)8 << 30)
#define MAX_INTEGER (UINT64_C(1) << 53) /* exact in JSON */

static const struct {
  const char *name;
  size_t bytes;
} TABLE[GOLDEN_DTYPE_COUNT] = {
#define X(id, name, bytes) [GOLDEN_##id] = {name, bytes},
    GOLDEN_DTYPES(X)
#undef X
};

const char *golden_dtype_name(golden_dtype d) {
  return TABLE[d].name;
}

size_t golden_dtype_bytes(golden_dtype d) {
  return TABLE[d].bytes;
}

/* ---- reading -----------------------------------------------------------------------------------
 */

typedef struct reader {
  const json_doc *doc;
  size_t bin_len;
  const unsigned char *bin;
  const char *stem;
  err *e;
} reader;

static int read_dtype(const reader *r, const json *v, const char *ctx, golden_dtype *dtype) {
  const char *name;
  if (json_need_str(r->doc, v, ctx, "dtype", &name, r->e)) return r->e->status;
  for (int d = 0; d < GOLDEN_DTYPE_COUNT; d++)
    if (strcmp(TABLE[d].name, name) == 0) {
      *dtype = (golden_dtype)d;
      return ERR_OK;
    }
  return err_set(r->e, ERR_BAD,
                 "%s: %s.dtype: is '%.40s'; it must be one of f64 f32 f16 i64 i32 u32 u16 i8 u8",
                 r->doc->where, ctx, name);
}

static int read_shape(const reader *r, const json *v, const char *ctx, golden_array *x) {
  const json *shape = json_get(v, "shape");
  char got[JSON_DESCRIBE];
  if (!json_is_array(shape) || json_count(shape) > GOLDEN_RANK)
    return err_set(r->e, ERR_BAD,
                   "%s: %s.shape: is %s; it must be an array of at most %d whole numbers",
                   r->doc->where, ctx, json_describe(shape, got), GOLDEN_RANK);
  x->count = 1;
  for (const json *d = json_first(shape); d != NULL; d = json_next(d)) {
    double n = json_is_number(d) ? json_num(d) : -1;
    if (!(n >= 0 && n <= (double)MAX_INTEGER && n == (double)(uint64_t)n))
      return err_set(r->e, ERR_BAD, "%s: %s.shape: holds %s; it must hold whole numbers from 0 on",
                     r->doc->where, ctx, json_describe(d, got));
    x->dim[x->rank++] = (uint64_t)n;
    if (n > 0 && x->count > UINT64_MAX / (uint64_t)n)
      return err_set(r->e, ERR_BAD, "%s: %s.shape: the product of its numbers is beyond 2^64",
                     r->doc->where, ctx);
    x->count *= (uint64_t)n;
  }
  return ERR_OK;
}

static int read_array(const reader *r, const json *v, golden_array *x) {
  char ctx[128];
  uint64_t offset;
  snprintf(ctx, sizeof ctx, ".tensors.%.100s", x->name);
  if (!json_is_object(v))
    return err_set(r->e, ERR_BAD, "%s: %s: must be an object with dtype, shape and offset",
                   r->doc->where, ctx);
  if (read_dtype(r, v, ctx, &x->dtype) || read_shape(r, v, ctx, x) ||
      json_need_u64(r->doc, v, ctx, "offset", 0, MAX_INTEGER, &offset, r->e))
    return r->e->status;
  if (offset % GOLDEN_ALIGN != 0)
    return err_set(r->e, ERR_BAD, "%s: %s.offset: is %" PRIu64 "; it must be a multiple of %d",
                   r->doc->where, ctx, offset, GOLDEN_ALIGN);
  if (offset > r->bin_len || x->count > (r->bin_len - offset) / TABLE[x->dtype].bytes)
    return err_set(r->e, ERR_BAD,
                   "%s: %s: %" PRIu64 " values of %zu bytes from byte %" PRIu64
                   " on do not fit; '%s.bin' has %zu bytes",
                   r->doc->where, ctx, x->count, TABLE[x->dtype].bytes, offset, r->stem,
                   r->bin_len);
  x->data = r->bin + offset;
  return ERR_OK;
}

static int read_arrays(const reader *r, golden *g, arena *a) {
  const json *tensors = json_get(r->doc->root, "tensors");
  char got[JSON_DESCRIBE];
  if (!json_is_object(tensors))
    return err_set(r->e, ERR_BAD,
                   "%s: .tensors: is %s; it must be an object with an entry an array",
                   r->doc->where, json_describe(tensors, got));
  g->arrays = ARENA_NEW(a, golden_array, json_count(tensors) + 1);
  for (const json *v = json_first(tensors); v != NULL; v = json_next(v)) {
    golden_array *x = &g->arrays[g->n++];
    x->name = arena_strdup(a, json_key(v));
    if (read_array(r, v, x)) return r->e->status;
  }
  return ERR_OK;
}

/* Token ids are for people and may be anything else: only a list of them is taken. */
static void read_ids(const reader *r, golden *g, arena *a) {
  const json *ids = json_get(r->doc->root, "ids");
  if (!json_is_array(ids)) return;
  g->ids = ARENA_NEW(a, uint32_t, json_count(ids) + 1);
  for (const json *v = json_first(ids); v != NULL; v = json_next(v)) {
    double id = json_is_number(v) ? json_num(v) : -1;
    if (!(id >= 0 && id <= UINT32_MAX && id == (double)(uint32_t)id)) {
      g->n_ids = 0;
      return;
    }
    g->ids[g->n_ids++] = (uint32_t)id;
  }
}

int golden_parse(const char *stem, const unsigned char *json_bytes, size_t json_len,
                 const unsigned char *bin, size_t bin_len, golden *g, arena *a, err *e) {
  json_doc doc;
  *g = (golden){.stem = arena_strdup(a, stem)};
  if (json_parse(arena_printf(a, "%s.json", stem), json_bytes, json_len, &doc, e)) return e->status;
  reader r = {.doc = &doc, .bin_len = bin_len, .bin = bin, .stem = g->stem, .e = e};
  int status = read_arrays(&r, g, a);
  read_ids(&r, g, a);
  json_free(&doc);
  return status;
}

int golden_read(const char *stem, golden *g, arena *a, err *e) {
  file_bytes json_file, bin;
  if (file_read(arena_printf(a, "%s.json", stem), JSON_LIMIT, &json_file, a, e)) return e->status;
  if (file_read(arena_printf(a, "%s.bin", stem), BIN_LIMIT, &bin, a, e)) return e->status;
  return golden_parse(stem, json_file.data, json_file.len, bin.data, bin.len, g, a, e);
}

const golden_array *golden_find(const golden *g, const char *name) {
  for (size_t i = 0; i < g->n; i++)
    if (strcmp(g->arrays[i].name, name) == 0) return &g->arrays[i];
  return NULL;
}

double golden_at(const golden_array *x, uint64_t i) {
  union {
    double f64;
    float f32;
    int64_t i64;
    int32_t i32;
    uint32_t u32;
    uint16_t u16;
    int8_t i8;
    uint8_t u8;
  } v;
  assert(i < x->count);
  memcpy(&v, x->data + i * TABLE[x->dtype].bytes, TABLE[x->dtype].bytes);
  switch (x->dtype) {
  case GOLDEN_F64:
    return v.f64;
  case GOLDEN_F32:
    return (double)v.f32;
  case GOLDEN_F16:
    return (double)kern_f16_f32(v.u16);
  case GOLDEN_I64:
    return (double)v.i64;
  case GOLDEN_I32:
    return v.i32;
  case GOLDEN_U32:
    return v.u32;
  case GOLDEN_U16:
    return v.u16;
  case GOLDEN_I8:
    return v.i8;
  default:
    return v.u8;
  }
}

/* ---- writing -----------------------------------------------------------------------------------
 */

struct golden_writer {
  out *index, *bin;
  jw w;
  uint64_t at; /* bytes of the .bin so far */
};

golden_writer *golden_create(const char *stem, arena *a, err *e) {
  golden_writer *w = ARENA_NEW(a, golden_writer, 1);
  w->bin = out_open(arena_printf(a, "%s.bin", stem), e);
  if (w->bin == NULL) return NULL;
  w->index = out_open(arena_printf(a, "%s.json", stem), e);
  if (w->index == NULL) {
    out_abort(w->bin);
    return NULL;
  }
  w->w = jw_new(w->index, 1, 2);
  jw_object(&w->w, NULL);
  jw_object(&w->w, "tensors");
  return w;
}

void golden_add(golden_writer *w, const char *name, golden_dtype dtype, uint32_t rank,
                const uint64_t *dim, const void *data) {
  static const char ZEROS[GOLDEN_ALIGN];
  uint64_t pad = (GOLDEN_ALIGN - w->at % GOLDEN_ALIGN) % GOLDEN_ALIGN, bytes = TABLE[dtype].bytes;
  out_write(w->bin, ZEROS, pad);
  w->at += pad;
  jw_object(&w->w, name);
  jw_str(&w->w, "dtype", TABLE[dtype].name);
  jw_array(&w->w, "shape");
  for (uint32_t i = 0; i < rank; i++) {
    jw_u64(&w->w, NULL, dim[i]);
    bytes *= dim[i];
  }
  jw_end(&w->w);
  jw_u64(&w->w, "offset", w->at);
  jw_end(&w->w);
  out_write(w->bin, data, bytes);
  w->at += bytes;
}

int golden_close(golden_writer *w, err *e) {
  jw_end(&w->w);
  jw_end(&w->w);
  if (out_close(w->bin, e)) {
    out_abort(w->index);
    return e->status;
  }
  return out_close(w->index, e);
}

void golden_abort(golden_writer *w) {
  out_abort(w->bin);
  out_abort(w->index);
}
