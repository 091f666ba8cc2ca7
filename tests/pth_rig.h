/* pth_rig.h - for suites of bad .pth files: parsing in a block of exactly the file's size, so that
 * the sanitizers see a read beyond it; small good files to damage. */
#ifndef LS_TESTS_PTH_RIG_H
#define LS_TESTS_PTH_RIG_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/pth_writer.h"
#include "workloads/ckpt/pth.h"

static err fault; /* of the last parse */

/* Parses a copy in a block of its own; the views are looked at before it goes. */
static inline int parse(const void *data, size_t len) {
  arena a = {0};
  raw_tensors t;
  unsigned char *copy = malloc(len > 0 ? len : 1);
  ck_assert_ptr_nonnull(copy);
  if (len > 0) memcpy(copy, data, len);
  fault = (err){0};
  int status = pth_parse("f.pth", copy, len, &t, &a, &fault);
  if (status == ERR_OK) {
    for (size_t i = 0; i < t.n; i++) {
      const unsigned char *from = t.at[i].data;
      if (from < copy || from > copy + len || t.at[i].bytes > (size_t)(copy + len - from))
        ck_abort_msg("%s: a view that leaves the file", t.at[i].name);
    }
  } else if (status != ERR_BAD || strncmp(fault.msg, "f.pth: ", 7) != 0) {
    ck_abort_msg("status %d, '%s'", status, fault.msg);
  }
  free(copy);
  arena_free(&a);
  return status;
}

/* Refused, with `says` in the message. */
static inline void refused(const void *data, size_t len, const char *says) {
  if (parse(data, len) == ERR_OK) ck_abort_msg("taken; should say '%s'", says);
  ck_assert_msg(strstr(fault.msg, says) != NULL, "says '%s', not '%s'", fault.msg, says);
}

static inline void refused_out(out *o, const char *says) {
  size_t len = 0;
  const char *data = out_text(o, &len);
  refused(data, len, says);
  out_abort(o);
}

static inline void refused_words(const char *words, const char *says) {
  out *o = out_memory();
  pw_small(words, "little", PW_TORCH, o);
  refused_out(o, says);
}

#define PTH_GOOD "p } 'w'" PW_F32_0 PW_DENSE_4 PW_END "s ."

typedef struct file {
  unsigned char *data;
  size_t len;
} file;

static inline file small(pw_form form) {
  out *o = out_memory();
  file f;
  pw_small(PTH_GOOD, "little", form, o);
  const char *text = out_text(o, &f.len);
  f.data = malloc(f.len + 4096);
  ck_assert_ptr_nonnull(f.data);
  memcpy(f.data, text, f.len);
  out_abort(o);
  ck_assert_msg(parse(f.data, f.len) == ERR_OK, "%s", fault.msg);
  return f;
}

#endif
