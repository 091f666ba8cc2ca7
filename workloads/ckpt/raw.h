/* raw.h - what every checkpoint format boils down to: named arrays of numbers, as const views into
 * the mapped file, with shape, strides and the encoding of the elements. Which of them is which
 * weight of the model is for ckpt.c to say; a format's parser knows only its bytes.
 *
 * A parser takes (bytes, len), checks every offset and product in uint64_t before use, and gives
 * views that lie wholly inside the bytes. Names and arrays of views live in the arena given; the
 * numbers stay where they are. */
#ifndef LS_RAW_H
#define LS_RAW_H

#include <stddef.h>
#include <stdint.h>

enum { RAW_MAX_RANK = 4 };

/*        id    name    elements a block, bytes a block */
#define RAW_FORMATS(X)                                                                             \
  X(F32, "f32", 1, 4)                                                                              \
  X(F16, "f16", 1, 2)                                                                              \
  X(BF16, "bf16", 1, 2)                                                                            \
  X(Q8_0, "q8_0", 32, 34) /* GGUF: f16 scale, 32 int8 */                                           \
  X(Q4_0, "q4_0", 32, 18) /* GGUF: f16 scale, 16 bytes: low nibbles are elements 0..15, minus 8 */ \
  X(Q8_L2C, "q8_l2c", 1, 1) /* llama2.c v2: int8 values, f32 scales apart, a scale per `group` */

typedef enum raw_format {
#define X(id, name, n, b) RAW_##id,
  RAW_FORMATS(X)
#undef X
  RAW_FORMAT_COUNT
} raw_format;

typedef struct raw_tensor {
  const char *name;
  raw_format format;
  uint32_t rank;
  uint64_t dim[RAW_MAX_RANK];    /* storage order, outermost first; a matrix is (out, in) */
  uint64_t stride[RAW_MAX_RANK]; /* in elements; row-major and dense for block formats */
  const unsigned char *data;     /* element (0,..,0); may be unaligned: read bytes, not floats */
  uint64_t bytes;                /* from `data` to the end of the last element */
  const unsigned char *scales;   /* Q8_L2C: little-endian f32, elements/group of them */
  uint64_t group;                /* Q8_L2C: elements that share a scale */
} raw_tensor;

typedef struct raw_tensors {
  raw_tensor *at;
  size_t n;
} raw_tensors;

#endif
