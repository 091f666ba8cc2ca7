/* libFuzzer: the index of a golden file (the bytes up to the first NUL) with its values (the bytes
 * behind it). What is accepted can be read to the last value. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/golden.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)                                                                                 \
  do {                                                                                             \
    if (!(x)) abort();                                                                             \
  } while (0)

static void check_array(const golden *g, const golden_array *x, const uint8_t *bin, size_t len) {
  static volatile double sink;
  uint64_t count = 1;
  REQUIRE(x->rank <= GOLDEN_RANK && x->dtype < GOLDEN_DTYPE_COUNT);
  for (uint32_t i = 0; i < x->rank; i++) count *= x->dim[i];
  REQUIRE(count == x->count && x->data >= bin &&
          x->count * golden_dtype_bytes(x->dtype) <= len - (size_t)(x->data - bin));
  for (uint64_t i = 0; i < x->count; i++) sink = golden_at(x, i);
  (void)sink;
  REQUIRE(golden_find(g, x->name) == x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  arena a = {0};
  golden g;
  err e = {0};
  const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
  size_t json_len = nul == NULL ? size : (size_t)(nul - data),
         bin_len = nul == NULL ? 0 : size - json_len - 1;
  uint8_t *bin = malloc(bin_len > 0 ? bin_len : 1); /* apart, so that reading beyond it is seen */
  REQUIRE(bin != NULL);
  if (bin_len > 0) memcpy(bin, nul + 1, bin_len);
  int status = golden_parse("fuzz", data, json_len, bin, bin_len, &g, &a, &e);
  REQUIRE(status == ERR_OK || (status == ERR_BAD && e.msg[0] != '\0'));
  for (size_t i = 0; status == ERR_OK && i < g.n; i++) check_array(&g, &g.arrays[i], bin, bin_len);
  free(bin);
  arena_free(&a);
  return 0;
}
