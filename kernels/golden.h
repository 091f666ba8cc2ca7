/* golden.h - named arrays in a pair of files, X.json and X.bin: golden data, and what `--dump`
 * writes.
 *
 * X.json: {"tensors": {"L0.q": {"dtype": "f64", "shape": [20, 64], "offset": 20480}, ...}}; beside
 * that "ids", a list of the token ids that the arrays are of, where there is one; other keys are
 * for people. X.bin: the values, little-endian, C order, each array at a
 * byte offset that is a multiple of 64. A stem is the path of both without ".json" and ".bin".
 *
 * Reading takes both files whole into the arena; nothing of a golden outlives it. Every size is
 * checked against the .bin before use. */
#ifndef LS_KERNELS_GOLDEN_H
#define LS_KERNELS_GOLDEN_H

#include <stddef.h>
#include <stdint.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"

/* id, name, bytes a value */
#define GOLDEN_DTYPES(X)                                                                           \
  X(F64, "f64", 8)                                                                                 \
  X(F32, "f32", 4)                                                                                 \
  X(F16, "f16", 2)                                                                                 \
  X(I64, "i64", 8)                                                                                 \
  X(I32, "i32", 4)                                                                                 \
  X(U32, "u32", 4)                                                                                 \
  X(U16, "u16", 2)                                                                                 \
  X(I8, "i8", 1)                                                                                   \
  X(U8, "u8", 1)

typedef enum golden_dtype {
#define X(id, name, bytes) GOLDEN_##id,
  GOLDEN_DTYPES(X)
#undef X
      GOLDEN_DTYPE_COUNT
} golden_dtype;

const char *golden_dtype_name(golden_dtype d);
size_t golden_dtype_bytes(golden_dtype d);

enum { GOLDEN_RANK = 8, GOLDEN_ALIGN = 64 };

typedef struct golden_array {
  const char *name;
  uint64_t dim[GOLDEN_RANK]; /* outermost first */
  uint64_t count;            /* their product; 1 where rank is 0 */
  const unsigned char *data; /* count values; not aligned in memory */
  uint32_t rank;
  golden_dtype dtype;
} golden_array;

typedef struct golden {
  const char *stem;
  golden_array *arrays; /* in the order of the file */
  size_t n;
  uint32_t *ids;
  size_t n_ids; /* 0: not said */
} golden;

/* Errors (ERR_BAD), with the file's name and the array's: a file missing, no JSON, no "tensors"
 * object, an unknown dtype, more than 8 dimensions, an offset that is no multiple of 64, values
 * beyond the end of the .bin. */
ERR_CHECK int golden_read(const char *stem, golden *g, arena *a, err *e);

/* The same from bytes, which must live as long as `g`. */
ERR_CHECK int golden_parse(const char *stem, const unsigned char *json, size_t json_len,
                           const unsigned char *bin, size_t bin_len, golden *g, arena *a, err *e);

/* The array of that name, or NULL. */
const golden_array *golden_find(const golden *g, const char *name);

/* Value i < count as a double (exact but for i64 beyond 2^53). */
double golden_at(const golden_array *x, uint64_t i);

/* Writing, array by array; nothing is kept but the index. Names must differ. The files appear under
 * their names at golden_close only (file.h). NULL: `e` is filled. */
typedef struct golden_writer golden_writer;
golden_writer *golden_create(const char *stem, arena *a, err *e);
void golden_add(golden_writer *w, const char *name, golden_dtype dtype, uint32_t rank,
                const uint64_t *dim, const void *data);
ERR_CHECK int golden_close(golden_writer *w, err *e);
void golden_abort(golden_writer *w); /* leaves no file behind */

#endif
