/* gguf_file.h - inside gguf.c and gguf_model.c: a GGUF file taken apart. */
#ifndef LS_GGUF_FILE_H
#define LS_GGUF_FILE_H

#include "sim/base/arena.h"
#include "sim/base/bytes.h"
#include "sim/base/err.h"
#include "workloads/ckpt/raw.h"

/* id, name, bytes (0: they vary); in the order of the numbers that the file has */
#define GGUF_TYPES(X)                                                                              \
  X(U8, "uint8", 1)                                                                                \
  X(I8, "int8", 1)                                                                                 \
  X(U16, "uint16", 2)                                                                              \
  X(I16, "int16", 2)                                                                               \
  X(U32, "uint32", 4)                                                                              \
  X(I32, "int32", 4)                                                                               \
  X(F32, "float32", 4)                                                                             \
  X(BOOL, "bool", 1)                                                                               \
  X(STRING, "string", 0)                                                                           \
  X(ARRAY, "array", 0)                                                                             \
  X(U64, "uint64", 8)                                                                              \
  X(I64, "int64", 8)                                                                               \
  X(F64, "float64", 8)

typedef enum gguf_type {
#define X(id, name, bytes) GGUF_##id,
  GGUF_TYPES(X)
#undef X
      GGUF_TYPE_COUNT
} gguf_type;

typedef struct gguf_key {
  const char *name; /* in the arena, terminated */
  gguf_type type;
  cursor value;   /* a string's bytes, or a number's */
  uint64_t items; /* of an array */
} gguf_key;

typedef struct gguf_file {
  gguf_key *keys; /* in order of their names */
  size_t n_keys;
  raw_tensors tensors;
} gguf_file;

const char *gguf_type_name(gguf_type t);

/* NULL where there is none. */
const gguf_key *gguf_find(const gguf_file *f, const char *name);

ERR_CHECK int gguf_read(const char *where, const unsigned char *data, size_t len, gguf_file *f,
                        arena *a, err *e);

#endif
