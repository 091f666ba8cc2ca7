#include "workloads/dtype.h"

#include <string.h>

static const struct {
  const char *name;
  uint32_t bits;
} TABLE[DT_COUNT] = {
#define X(id, name, bits) [DT_##id] = {name, bits},
    DTYPES(X)
#undef X
};

const char *dtype_name(dtype d) {
  return TABLE[d].name;
}

dtype dtype_parse(const char *name) {
  for (int d = 0; d < DT_COUNT; d++)
    if (strcmp(TABLE[d].name, name) == 0) return (dtype)d;
  return DT_COUNT;
}

uint32_t dtype_bits(dtype d) {
  return TABLE[d].bits;
}

uint64_t dtype_bytes(dtype d, uint64_t n) {
  return (n * TABLE[d].bits + 7) / 8;
}
