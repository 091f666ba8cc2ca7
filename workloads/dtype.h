/* dtype.h - element types, and the widths that bytes are counted with. A closed set. */
#ifndef LS_DTYPE_H
#define LS_DTYPE_H

#include <stdint.h>

/* id, name, bits an element */
#define DTYPES(X)                                                                                  \
  X(F32, "f32", 32)                                                                                \
  X(F16, "f16", 16)                                                                                \
  X(BF16, "bf16", 16)                                                                              \
  X(INT8, "int8", 8)                                                                               \
  X(INT4, "int4", 4)                                                                               \
  X(INT32, "int32", 32)

typedef enum dtype {
#define X(id, name, bits) DT_##id,
  DTYPES(X)
#undef X
      DT_COUNT
} dtype;

const char *dtype_name(dtype d);
/* DT_COUNT where `name` is none. */
dtype dtype_parse(const char *name);
static inline uint32_t dtype_bits(dtype d) {
  static const unsigned char BITS[DT_COUNT] = {
#define X(id, name, bits) [DT_##id] = bits,
      DTYPES(X)
#undef X
  };
  return BITS[d];
}
/* Bytes of n elements, rounded up to whole bytes. */
static inline uint64_t dtype_bytes(dtype d, uint64_t n) {
  return (n * dtype_bits(d) + 7) / 8;
}

#endif
