/* libFuzzer: any bytes as a safetensors file; and, so that mutated JSON gets past the length before
 * it, any bytes as the header of one, followed by as many zeros as micro's f32 weights need. */
#include "tests/fuzz_ckpt.h"
#include "workloads/ckpt/safetensors.h"

enum { MICRO_BYTES = 4 * 3776 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (st_is(data, size)) fuzz_open(data, size);
  unsigned char *file = calloc(8 + size + MICRO_BYTES, 1);
  REQUIRE(file != NULL);
  for (int i = 0; i < 8; i++) file[i] = (unsigned char)((uint64_t)size >> 8 * i);
  if (size > 0) memcpy(file + 8, data, size);
  if (st_is(file, 8 + size)) fuzz_open(file, 8 + size + MICRO_BYTES);
  free(file);
  return 0;
}
