/* tiny_meta.h - the golden tiny models in Meta's form, from the rule that made them: every weight
 * is a function of (seed, HF name, index). Golden data: README.md there, "Weights are a pure
 * function", and gen.py's to_meta and write_meta for names, order, row permutation and shards. */
#ifndef LS_TESTS_TINY_META_H
#define LS_TESTS_TINY_META_H

#include <stdbool.h>

#include "sim/base/arena.h"
#include "tests/pth_writer.h"

typedef struct tiny_model {
  const char *name;
  uint64_t seed, dim, layers, heads, kv, head_dim, inter, vocab;
  bool bf16;   /* weights are rounded to bf16 */
  bool tied;   /* output.weight is the embedding */
  bool llama2; /* rope.freqs is stored; the embedding is cut by columns */
} tiny_model;

extern const tiny_model TINY_MHA, TINY_GQA_PLAIN, TINY_GQA_L32;

typedef struct tiny_tensor {
  char meta[64], hf[64];
  uint32_t rank;
  uint64_t dim[2]; /* of the whole */
  uint64_t heads;  /* rows are permuted into interleaved pairs, head by head; 0: they are not */
  double gain;     /* of a matrix; 0: the embedding, a norm or rope.freqs, by name */
} tiny_tensor;

enum { TINY_MAX_TENSORS = 64 };

/* In the order of the file. */
size_t tiny_tensors(const tiny_model *m, tiny_tensor t[TINY_MAX_TENSORS]);

/* Element (row, column) of the whole, in Meta's order of rows; f32. */
float tiny_value(const tiny_model *m, const tiny_tensor *t, uint64_t row, uint64_t column);

/* The bits of `v` in a format, rounded to nearest, ties to even, and back. */
uint32_t tiny_bits(float v, raw_format format);
float tiny_number(uint32_t bits, raw_format format);

/* A shard's part of the whole: `axis` of pth_shard_axis, the first row and column of shard s. */
typedef struct tiny_part {
  uint64_t dim[2], first[2];
} tiny_part;
tiny_part tiny_shard(const tiny_model *m, const tiny_tensor *t, uint64_t shard, uint64_t n_shards);

/* How a file stores it. `keys` NULL: "0", "1", ... in the order of the tensors. */
typedef struct tiny_file {
  const tiny_model *m;
  raw_format format;
  uint64_t shard, n_shards;
  bool views; /* matrices transposed in their storages, 5 elements in */
  bool legacy;
  const char *const *keys;
} tiny_file;
void tiny_write(const tiny_file *f, out *o);

#endif
