/* fuzz_ckpt.h - the body of the checkpoint formats' fuzz targets: any bytes as one file. What is
 * accepted can be read whole and printed. */
#ifndef LS_TESTS_FUZZ_CKPT_H
#define LS_TESTS_FUZZ_CKPT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/ckpt/ckpt_formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)                                                                                 \
  do {                                                                                             \
    if (!(x)) abort();                                                                             \
  } while (0)

/* tests/ckpt_rig.c's micro, as whose file the seeds in tests/corpus were written. */
static const char FUZZ_CONFIG[] =
    "{\"hidden_size\": 32, \"intermediate_size\": 3, \"num_hidden_layers\": 1, "
    "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"head_dim\": 8, \"vocab_size\": 5}";

/* A weight has as many elements as bytes at most two a byte (Q4_0), so that this ends soon. */
static inline void fuzz_read(const ckpt *ck, ckpt_role r, uint64_t layer) {
  const ckpt_weight *w = ckpt_find(ck, r, layer);
  float *y = malloc((size_t)(w->rows * w->cols) * sizeof *y);
  REQUIRE(y != NULL && w->n == 1);
  ckpt_read(ck, r, layer, 0, w->rows, 0, w->cols, y);
  /* and the last element alone */
  float last = y[w->rows * w->cols - 1], again;
  ckpt_read(ck, r, layer, w->rows - 1, 1, w->cols - 1, 1, &again);
  REQUIRE(memcmp(&last, &again, sizeof last) == 0);
  free(y);
}

static inline void fuzz_open(const uint8_t *data, size_t size) {
  ckpt ck;
  err e = {0};
  int status = ckpt_open_bytes("fuzz", data, size, (const unsigned char *)FUZZ_CONFIG,
                               strlen(FUZZ_CONFIG), &ck, &e);
  REQUIRE(status == ERR_OK || (status == ERR_BAD && e.msg[0] != '\0'));
  if (status != ERR_OK) return;
  err none = {0};
  REQUIRE(model_check("fuzz", &ck.model, &none) == ERR_OK);
  for (int r = 0; r < CKPT_ROLE_COUNT; r++)
    for (uint64_t i = 0; i < (ckpt_role_in_layer((ckpt_role)r) ? ck.model.num_hidden_layers : 1);
         i++)
      fuzz_read(&ck, (ckpt_role)r, i);
  out *o = out_memory();
  ckpt_print(&ck, o);
  out_abort(o);
  ckpt_close(&ck);
}

/* Only inputs of the target's own format are of interest. */
#define FUZZ_FORMAT(is)                                                                            \
  int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {                                   \
    if (is(data, size)) fuzz_open(data, size);                                                     \
    return 0;                                                                                      \
  }

#endif
