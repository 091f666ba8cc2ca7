#include "workloads/dtype.h"

#include <string.h>

static const char *const NAME[DT_COUNT] = {
#define X(id, name, bits) [DT_##id] = name,
    DTYPES(X)
#undef X
};

const char *dtype_name(dtype d) {
  return NAME[d];
}

dtype dtype_parse(const char *name) {
  for (int d = 0; d < DT_COUNT; d++)
    if (strcmp(NAME[d], name) == 0) return (dtype)d;
  return DT_COUNT;
}
