/* model.h - what a LLaMA-architecture model is: its hyper-parameters, under their HF config names,
 * and the list of its weight tensors. It knows nothing of tasks or platforms.
 *
 * Read from (found by content, not by name): a HF `config.json` (or a folder with one), a Meta
 * `params.json` (or a folder with one), or one of the built-in descriptions, which are HF config
 * files shipped as data. All values are range-checked here; whoever holds a `model` may multiply
 * its fields in uint64_t freely. */
#ifndef LS_MODEL_H
#define LS_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"
#include "sim/base/file.h"
#include "workloads/dtype.h"

enum { /* limits, named in messages */
       MODEL_MAX_HIDDEN = 1 << 17,
       MODEL_MAX_INTERMEDIATE = 1 << 19,
       MODEL_MAX_LAYERS = 1024,
       MODEL_MAX_HEADS = 1024,
       MODEL_MAX_HEAD_DIM = 1024,
       MODEL_MAX_VOCAB = 1 << 22,
       MODEL_MAX_POSITION = 1 << 24
};

typedef struct model_rope_scaling { /* rope_type "llama3"; factor 0 = none */
  double factor, low_freq_factor, high_freq_factor;
  uint64_t original_max_position_embeddings;
} model_rope_scaling;

typedef struct model {
  const char *name;
  const char *source; /* "built-in", or the path it was read from */
  uint64_t hidden_size, intermediate_size, num_hidden_layers;
  uint64_t num_attention_heads, num_key_value_heads, head_dim;
  uint64_t vocab_size, max_position_embeddings;
  double rms_norm_eps, rope_theta;
  model_rope_scaling rope_scaling;
  /* (head_dim / 2), or NULL: RoPE's frequency i is divided by factor i. A GGUF file whose factors
   * no rule gives has them; rope_scaling is none then. */
  const float *rope_factors;
  bool tie_word_embeddings;
  bool vocab_size_open; /* the file did not say: vocab_size is a guess until the tensors are seen */
  dtype torch_dtype;    /* as the checkpoint stores it; bf16 where the file does not say */
} model;

/* `spec` is a built-in name (it wins over a file or folder of the same name; ./NAME is the latter),
 * a folder, a path to config.json or params.json, or a checkpoint's file (workloads/ckpt/ckpt.h),
 * which is opened and checked whole. Of a folder only the JSON is read, unless that leaves the
 * vocabulary open and weights lie beside it. Keys that a HF config leaves out have HF's
 * defaults; those of LlamaConfig that change no result here are ignored. A Meta params.json leaves
 * more open. Taken are: intermediate size by Meta's rule, 2/3 of 4*dim times ffn_dim_multiplier
 * rounded up to multiple_of (llama/model.py, FeedForward); vocab_size 32000 (Llama 1 and 2) where
 * it is -1 or missing; with use_scaled_rope the llama3 scaling with low 1, high 4, original 8192
 * and the factor `rope_scale_factor`, where missing 32 if dim <= 3072 (Llama 3.2) else 8
 * (Llama 3.1); positions `max_seq_len`, where missing 131072 with scaled RoPE, 8192 with rope_theta
 * > 10000, else 4096; an own LM head unless `tie_word_embeddings` says otherwise (Meta's
 * checkpoints store output.weight even where it is tied). Errors (ERR_BAD): neither file nor
 * built-in (the built-ins are listed), not JSON, a missing, negative, absurd or contradictory value
 * (heads not a multiple of kv heads, odd head_dim, unknown rope scaling type, biases, an
 * architecture that is not LLaMA's). The result lives in `a`. */
ERR_CHECK int model_load(const char *spec, model *m, arena *a, err *e);

/* The same from bytes; `where` is for messages and becomes the source; `name` becomes the model's
 * name (what files say of their name is often a path of the machine that wrote them). */
ERR_CHECK int model_parse(const char *where, const char *name, const unsigned char *data,
                          size_t len, model *m, arena *a, err *e);

/* Is it the name of a built-in model, which wins over files? */
bool model_is_builtin(const char *spec);

/* What model_parse promises of every model, for readers of other formats: ranges, heads a multiple
 * of kv heads, even head_dim. The message begins with `where` and uses HF's names. */
ERR_CHECK int model_check(const char *where, const model *m, err *e);

/* One weight tensor of the model, shape in storage order (out, in). */
typedef struct model_tensor {
  const char *name; /* HF name: "model.layers.0.self_attn.q_proj.weight" */
  uint32_t rank;
  uint64_t dim[2];
} model_tensor;

/* All weight tensors, embedding first, then layer by layer, final norm and (unless tied) LM head.
 */
size_t model_tensors(const model *m, model_tensor **tensors, arena *a);

/* Number of parameters (tied weights once). */
uint64_t model_params(const model *m);

/* Names of the built-in models, sorted; returns how many. */
size_t model_builtin_names(char ***names, arena *a);

/* A line a built-in: name, then parameters, layers, sizes. */
ERR_CHECK int model_print_list(out *o, err *e);

/* The structure: hyper-parameters, then every tensor with shape, dtype and bytes (repeated layers
 * are printed once, as "layers 0..15"), with totals a layer and in all. `weights` is the dtype that
 * bytes are counted in (norms: bf16 where `weights` is an integer type; scales counted apart: int8
 * one f32 a row, int4 one f16 per group of 32). */
void model_print(const model *m, dtype weights, out *o);

/* Its first part: the hyper-parameters, a line each. */
void model_print_parameters(const model *m, out *o);

#endif
