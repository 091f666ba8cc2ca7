#include "workloads/ckpt/raw_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char *name;
  uint64_t elements, bytes; /* of a block */
} FORMAT[RAW_FORMAT_COUNT] = {
#define X(id, name, n, b) [RAW_##id] = {name, n, b},
    RAW_FORMATS(X)
#undef X
};

const char *raw_format_name(raw_format f) {
  return FORMAT[f].name;
}

bool raw_dense(raw_tensor *t) {
  uint64_t n = 1;
  bool empty = false;
  for (uint32_t i = t->rank; i-- > 0;) {
    t->stride[i] = n;
    empty = empty || t->dim[i] == 0;
    if (t->dim[i] > 0 && __builtin_mul_overflow(n, t->dim[i], &n)) return false;
  }
  uint64_t block = FORMAT[t->format].elements;
  if (block > 1 && (t->rank == 0 || t->dim[t->rank - 1] % block != 0)) return false;
  if (__builtin_mul_overflow(n / block, FORMAT[t->format].bytes, &t->bytes)) return false;
  if (empty) t->bytes = 0;
  return true;
}

uint64_t raw_elements(const raw_tensor *t) {
  uint64_t n = 1;
  for (uint32_t i = 0; i < t->rank; i++) n *= t->dim[i];
  return n;
}

const char *raw_shape(const raw_tensor *t, char buf[RAW_SHAPE_TEXT]) {
  size_t at = (size_t)snprintf(buf, RAW_SHAPE_TEXT, "(");
  for (uint32_t i = 0; i < t->rank; i++)
    at +=
        (size_t)snprintf(buf + at, RAW_SHAPE_TEXT - at, "%s%" PRIu64, i > 0 ? ", " : "", t->dim[i]);
  snprintf(buf + at, RAW_SHAPE_TEXT - at, ")");
  return buf;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_name(const char *where, const char *name, size_t i, err *e) {
  size_t n = strlen(name);
  if (n == 0 || n > RAW_NAME_MAX)
    return err_set(e, ERR_BAD, "%s: the name of tensor %zu has %zu bytes; it must have 1 to %d",
                   where, i, n, RAW_NAME_MAX);
  for (size_t k = 0; k < n; k++)
    if ((unsigned char)name[k] < 0x20 || name[k] == 0x7f)
      return err_set(e, ERR_BAD, "%s: the name of tensor %zu has a control character, 0x%02x",
                     where, i, (unsigned)(unsigned char)name[k]);
  return ERR_OK;
}

int raw_check_names(const char *where, const raw_tensors *t, err *e) {
  for (size_t i = 0; i < t->n; i++)
    if (check_name(where, t->at[i].name, i, e)) return e->status;
  if (t->n < 2) return ERR_OK;
  const char **names = mem_alloc(t->n, sizeof *names);
  for (size_t i = 0; i < t->n; i++) names[i] = t->at[i].name;
  qsort(names, t->n, sizeof *names, by_name);
  int status = ERR_OK;
  for (size_t i = 1; i < t->n && status == ERR_OK; i++)
    if (strcmp(names[i - 1], names[i]) == 0)
      status = err_set(e, ERR_BAD, "%s: tensor '%s' stands there twice", where, names[i]);
  free(names);
  return status;
}

typedef struct range {
  uint64_t begin, end;
  const char *name;
} range;

static int by_place(const void *a, const void *b) {
  const range *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  if (x->end != y->end) return x->end < y->end ? -1 : 1;
  return strcmp(x->name, y->name);
}

/* Ranges in order of place; the message counts bytes from where the tensors' data begin. */
static int check_ranges(const char *where, const range *r, size_t n, uint64_t len, bool whole,
                        err *e) {
  uint64_t end = 0;
  for (size_t i = 0; i < n; i++) {
    if (r[i].begin < end)
      return err_set(e, ERR_BAD,
                     "%s: tensors '%s' and '%s' overlap: the second begins at byte %" PRIu64
                     " of the data, the first ends at %" PRIu64,
                     where, r[i - 1].name, r[i].name, r[i].begin, end);
    if (whole && r[i].begin > end)
      return err_set(e, ERR_BAD,
                     "%s: no tensor owns the %" PRIu64 " bytes of data before '%s'; the header is "
                     "damaged",
                     where, r[i].begin - end, r[i].name);
    end = r[i].end;
  }
  if (whole && end != len)
    return err_set(e, ERR_BAD,
                   "%s: the tensors end at byte %" PRIu64 " of the data, but the file has %" PRIu64
                   " bytes of it",
                   where, end, len);
  return ERR_OK;
}

int raw_check_ranges(const char *where, const raw_tensors *t, const unsigned char *begin,
                     const unsigned char *end, bool whole, err *e) {
  range *r = mem_alloc(t->n > 0 ? t->n : 1, sizeof *r);
  size_t n = 0;
  for (size_t i = 0; i < t->n; i++) {
    if (t->at[i].bytes == 0) continue;
    uint64_t at = (uint64_t)(t->at[i].data - begin);
    r[n++] = (range){at, at + t->at[i].bytes, t->at[i].name};
  }
  if (n > 1) qsort(r, n, sizeof *r, by_place);
  int status = check_ranges(where, r, n, (uint64_t)(end - begin), whole, e);
  free(r);
  return status;
}
