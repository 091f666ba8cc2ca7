/* raw_check.h - what the parsers of checkpoint formats have in common: sizes that cannot overflow,
 * names that can be printed and stand once, ranges of bytes that do not overlap. */
#ifndef LS_RAW_CHECK_H
#define LS_RAW_CHECK_H

#include <stdbool.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"
#include "workloads/ckpt/raw.h"

enum { RAW_NAME_MAX = 200 }; /* bytes of a tensor's name */

const char *raw_format_name(raw_format f);

/* Fills strides (dense, row-major) and `bytes` from format, rank and dims. False where the number
 * of bytes overflows uint64_t, or blocks do not divide the innermost dimension. A scalar (rank 0)
 * is one element. */
bool raw_dense(raw_tensor *t);

/* Number of elements; of a tensor that raw_dense took. */
uint64_t raw_elements(const raw_tensor *t);

/* "(64, 32)", for messages and tables. `buf` is returned. */
enum { RAW_SHAPE_TEXT = 96 };
const char *raw_shape(const raw_tensor *t, char buf[RAW_SHAPE_TEXT]);

/* Refuses names that are empty, longer than RAW_NAME_MAX, hold control characters, or stand
 * twice. */
ERR_CHECK int raw_check_names(const char *where, const raw_tensors *t, err *e);

/* Refuses tensors that share bytes. With `whole`, they must also fill [begin, end) without a gap.
 */
ERR_CHECK int raw_check_ranges(const char *where, const raw_tensors *t, const unsigned char *begin,
                               const unsigned char *end, bool whole, err *e);

#endif
