/* ckpt.h - checkpoints: the weights of a model, in whatever format, by role and layer, as f32 in
 * one order.
 *
 * A checkpoint is a `model` and, for each weight, the parts that it lies in: views into mapped
 * files, never copied. Formats are found by content; each is one row of the registry in
 * ckpt_formats.c and one parser that knows only bytes (raw.h). Everything is checked when the
 * checkpoint is opened: every weight that the model has is there, once, in the model's shape, and
 * nothing else is, but for what the format is known to carry along (roles.h). What is left to
 * ckpt_read cannot fail.
 *
 * Order of rows: HF's, where a head's first half and second half are rotated together (RoPE pairs
 * i and i + head_dim/2). Meta, GGUF and llama2.c store pairs side by side (2i and 2i + 1) in the
 * rows of Q and K; ckpt_read undoes that. Tied: the LM head is the embedding, and one that is
 * stored as well is ignored, as in HF.
 *
 * Who opens a checkpoint closes it; ckpt_close takes everything: the model's strings, the views and
 * the mapped bytes. Of a failed ckpt_open nothing is left. */
#ifndef LS_CKPT_H
#define LS_CKPT_H

#include "sim/base/map.h"
#include "workloads/ckpt/raw.h"
#include "workloads/ckpt/roles.h"
#include "workloads/model.h"

typedef struct ckpt_format ckpt_format; /* ckpt_formats.h */

typedef struct ckpt_part {
  const raw_tensor *t;
  uint32_t shard;
  uint64_t row0, col0; /* of its first element in the weight as stored */
} ckpt_part;

typedef struct ckpt_weight {
  uint64_t rows, cols; /* of the whole; a vector is one row */
  ckpt_part *parts;    /* they cover it without overlap */
  size_t n, cap;
  bool pairs; /* rows are stored in pairs, see above */
} ckpt_weight;

typedef struct ckpt_shard {
  const char *where; /* path */
  file_map file;     /* {0} where the bytes are the caller's */
  size_t len;
  raw_tensors tensors;
} ckpt_shard;

typedef struct ckpt {
  const char *where; /* the spec, for messages */
  const ckpt_format *format;
  model model;
  ckpt_shard *shards;
  size_t n_shards;
  ckpt_weight *weights; /* see ckpt_find */
  arena mem;
} ckpt;

/* Does `spec` name a checkpoint? Else it is a description without weights (a built-in model, a JSON
 * file, a folder with nothing but that) or nothing at all. Looks at names and first bytes only. */
bool ckpt_at(const char *spec);

/* `spec` is a folder (config.json with model.safetensors, or with the shards that
 * model.safetensors.index.json lists, or with one .safetensors of another name; params.json with
 * consolidated.00.pth ..), a .safetensors or .pth beside such a JSON file, a .gguf, or a llama2.c
 * .bin. Errors (ERR_BAD): no weights there, none of the formats, what parsers and checks refuse. */
ERR_CHECK int ckpt_open(const char *spec, ckpt *ck, err *e);

/* As ckpt_open, of one file's bytes, which must outlive `ck`. `config` is the JSON beside for the
 * formats that need one, else NULL. */
ERR_CHECK int ckpt_open_bytes(const char *where, const unsigned char *data, size_t len,
                              const unsigned char *config, size_t config_len, ckpt *ck, err *e);

/* Also of {0}, and again: does nothing then. */
void ckpt_close(ckpt *ck);

const char *ckpt_format_name(const ckpt *ck);

/* The weight; layer 0 for those that are no layer's. The LM head of a tied model is the embedding.
 */
const ckpt_weight *ckpt_find(const ckpt *ck, ckpt_role r, uint64_t layer);

/* y[i,j] = weight[row0 + i, col0 + j] as f32, in HF's order of rows; y: (rows, cols), dense. The
 * box lies inside the weight (an assert). Cost: a pass over the stored bytes of the box, and none
 * over others. */
void ckpt_read(const ckpt *ck, ckpt_role r, uint64_t layer, uint64_t row0, uint64_t rows,
               uint64_t col0, uint64_t cols, float *y);

/* Format, hyper-parameters, every stored tensor with shape, format, bytes and file; totals. */
void ckpt_print(const ckpt *ck, out *o);

#endif
