/* libFuzzer: whatever the bytes are, compare ends with a run or with a message; a run that it accepts differs in nothing
 * from itself, and where it has a trace that can be merged, the merged one is JSON and merging it gives the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "sim/compare.h"

static void merge(const compare_run *r) {
  err e = {0};
  out *o = out_memory();
  size_t len, at, again_len;
  if (compare_merge(r, 1, o, &e) == ERR_OK) {
    const char *text = out_text(o, &len);
    if (json_scan((const unsigned char *)text, len, &at) != NULL) abort();
    out *again = out_memory();
    if (compare_merge(r, 1, again, &e) != ERR_OK) abort();
    const char *same = out_text(again, &again_len);
    if (again_len != len || memcmp(text, same, len) != 0) abort();
    out_abort(again);
  } else if (e.msg[0] == '\0') {
    abort();
  }
  out_abort(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  arena mem = {0};
  err e = {0};
  compare_run r[2];
  /* as file_read has it: NUL-terminated */
  const unsigned char *text = (const unsigned char *)arena_strndup(&mem, (const char *)data, size);
  if (compare_parse("fuzz", text, size, &r[0], &mem, &e) == ERR_OK) {
    r[1] = r[0];
    out *o = out_memory();
    if (compare_print(r, 2, o, &mem) != 0) abort();
    out_abort(o);
    if (r[0].text != NULL) merge(&r[0]);
  } else if (e.msg[0] == '\0') {
    abort();
  }
  compare_free(&r[0]);
  arena_free(&mem);
  return 0;
}
