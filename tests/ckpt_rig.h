/* ckpt_rig.h - checkpoints for tests, written here in every format from the seeded rule of the
 * golden models: weights are a pure function of (seed, HF tensor name, index), so that no file is
 * needed to know what a reader must find. Written apart from the readers: nothing of workloads/ckpt
 * but names and shapes is used. */
#ifndef LS_TESTS_CKPT_RIG_H
#define LS_TESTS_CKPT_RIG_H

#include "workloads/ckpt/ckpt.h"

typedef struct rig {
  model m;
  uint64_t seed;
  bool bf16; /* weights are rounded to bf16 when they are made */
} rig;

/* tiny-mha, tiny-gqa-plain, tiny-gqa-l32 and tiny-hd32, as the golden data's README has them; and
 * `micro`, a few hundred weights, for files that are damaged at every byte. */
const rig *rig_named(const char *name);
enum { RIG_MODELS = 4 };
extern const char *const RIG_NAMES[RIG_MODELS]; /* without micro */

/* Dense, in HF's order. */
float *rig_weight(const rig *g, ckpt_role r, uint64_t layer, arena *a);

/* Bytes that grow, in an arena. */
typedef struct blob {
  unsigned char *data;
  size_t len, cap;
  arena *a;
} blob;

void blob_put(blob *b, const void *data, size_t n);
void blob_int(blob *b, uint64_t v, int bytes);
void blob_pad(blob *b, size_t multiple);

/* Appends n numbers (whole groups or blocks of them) as `f`; y (may be NULL) gets what they are
 * then worth. */
void rig_encode(blob *b, raw_format f, const float *x, size_t n, size_t group, float *y);

/* What a reader must find: the weight, each row rounded as `f` does. */
float *rig_rounded(const rig *g, ckpt_role r, uint64_t layer, raw_format f, size_t group, arena *a);

/* config.json. */
const char *rig_config(const rig *g, arena *a);
/* Every n-th tensor from the s-th on; with n = 1, all. */
blob rig_safetensors(const rig *g, raw_format f, size_t s, size_t n, arena *a);
/* The model.safetensors.index.json of n such files. */
const char *rig_index(const rig *g, size_t n, arena *a);

/* Vectors are f32; rows that blocks do not fill are f16. */
raw_format rig_gguf_format(const rig *g, ckpt_role r, raw_format f);
blob rig_gguf(const rig *g, raw_format f, uint32_t version, arena *a);

/* llama2.c: group 0 is version 0. head_dim must be hidden / heads. */
blob rig_l2c(const rig *g, size_t group, arena *a);
/* As llama2.c's exporter chooses it, so that it divides every row. */
size_t rig_l2c_group(const rig *g);

#endif
