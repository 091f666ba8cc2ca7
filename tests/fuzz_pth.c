/* libFuzzer: any bytes as a .pth file; those that do not begin as one are taken for the data.pkl of
 * an archive with four storages of 64 bytes, so that changes in length get to the pickle reader
 * instead of ending at a zip directory that no longer fits.
 *
 * What is accepted keeps what pth.h and raw.h promise: names, shapes, and views whose every element
 * lies in the bytes given. What is refused has a message. Twice the same bytes, twice the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/pth_writer.h"
#include "workloads/ckpt/pth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)                                                                                 \
  do {                                                                                             \
    if (!(x)) abort();                                                                             \
  } while (0)

/* The span from the first element to the last, from shape and strides, in elements. */
static uint64_t span_of(const raw_tensor *t) {
  uint64_t span = 1;
  for (uint32_t i = 0; i < t->rank; i++) {
    if (t->dim[i] == 0) return 0;
    span += (t->dim[i] - 1) * t->stride[i];
  }
  return span;
}

static void check_tensor(const raw_tensor *t, const uint8_t *data, size_t size) {
  const uint64_t element = t->format == RAW_F32 ? 4 : 2;
  REQUIRE(t->format == RAW_F32 || t->format == RAW_F16 || t->format == RAW_BF16);
  REQUIRE(t->rank <= RAW_MAX_RANK && t->scales == NULL);
  REQUIRE(strlen(t->name) >= 1 && strlen(t->name) <= PTH_MAX_NAME);
  REQUIRE(t->bytes == span_of(t) * element);
  REQUIRE(t->data >= data && t->data <= data + size);
  REQUIRE(t->bytes <= (uint64_t)(data + size - t->data));
  uint64_t sum = 0; /* every byte is there to be read */
  for (uint64_t i = 0; i < t->bytes; i++) sum += t->data[i];
  REQUIRE(sum <= t->bytes * 255);
  for (uint64_t dim = 1; dim < 5; dim++) {
    pth_axis axis = pth_shard_axis(t->name, t, 2, dim * 4);
    REQUIRE(axis >= PTH_UNKNOWN && axis <= PTH_COLUMNS);
  }
}

static void check(const uint8_t *data, size_t size) {
  arena a = {0};
  raw_tensors t, again;
  err e = {0}, e2 = {0};
  int status = pth_parse("fuzz.pth", data, size, &t, &a, &e);
  REQUIRE(status == ERR_OK || (status == ERR_BAD && strncmp(e.msg, "fuzz.pth: ", 10) == 0));
  REQUIRE(status == ERR_OK || t.n == 0);
  REQUIRE(status != ERR_OK || (t.n > 0 && pth_is(data, size)));
  REQUIRE(pth_parse("fuzz.pth", data, size, &again, &a, &e2) == status);
  REQUIRE(strcmp(e.msg, e2.msg) == 0 && again.n == t.n);
  for (size_t i = 0; i < t.n; i++) {
    check_tensor(&t.at[i], data, size);
    REQUIRE(strcmp(t.at[i].name, again.at[i].name) == 0 && t.at[i].data == again.at[i].data);
    for (size_t j = 0; j < i && t.n < 100; j++) REQUIRE(strcmp(t.at[i].name, t.at[j].name) != 0);
  }
  arena_free(&a);
}

/* The input as the object of an archive that is otherwise in order. */
static void check_as_pickle(const uint8_t *data, size_t size) {
  static const uint8_t BYTES[64] = {1, 2, 3, 4, 5, 6, 7, 8};
  const pw_entry entries[] = {{"x/data.pkl", size > 0 ? data : BYTES, size},
                              {"x/data/0", BYTES, 64},
                              {"x/data/1", BYTES, 64},
                              {"x/data/2", BYTES, 64},
                              {"x/data/3", BYTES, 64}};
  out *o = out_memory();
  size_t len = 0;
  pw_archive(entries, sizeof entries / sizeof *entries, PW_PLAIN, o);
  const char *text = out_text(o, &len);
  uint8_t *copy = malloc(len); /* of exactly its size, for the sanitizers */
  if (copy == NULL) abort();
  memcpy(copy, text, len);
  check(copy, len);
  free(copy);
  out_abort(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (pth_is(data, size))
    check(data, size);
  else
    check_as_pickle(data, size);
  return 0;
}
