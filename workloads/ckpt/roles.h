/* roles.h - the weights that a LLaMA model has, and what each naming calls them. */
#ifndef LS_ROLES_H
#define LS_ROLES_H

#include "workloads/model.h"

/* id, name, rank, names of HF, Meta (and llama2.c, which stores none) and GGUF; % is the layer */
#define CKPT_ROLES(X)                                                                              \
  X(EMBEDDING, "embedding", 2, "model.embed_tokens.weight", "tok_embeddings.weight",               \
    "token_embd.weight")                                                                           \
  X(ATTN_NORM, "attn_norm", 1, "model.layers.%.input_layernorm.weight",                            \
    "layers.%.attention_norm.weight", "blk.%.attn_norm.weight")                                    \
  X(Q, "q", 2, "model.layers.%.self_attn.q_proj.weight", "layers.%.attention.wq.weight",           \
    "blk.%.attn_q.weight")                                                                         \
  X(K, "k", 2, "model.layers.%.self_attn.k_proj.weight", "layers.%.attention.wk.weight",           \
    "blk.%.attn_k.weight")                                                                         \
  X(V, "v", 2, "model.layers.%.self_attn.v_proj.weight", "layers.%.attention.wv.weight",           \
    "blk.%.attn_v.weight")                                                                         \
  X(O, "o", 2, "model.layers.%.self_attn.o_proj.weight", "layers.%.attention.wo.weight",           \
    "blk.%.attn_output.weight")                                                                    \
  X(FFN_NORM, "ffn_norm", 1, "model.layers.%.post_attention_layernorm.weight",                     \
    "layers.%.ffn_norm.weight", "blk.%.ffn_norm.weight")                                           \
  X(GATE, "gate", 2, "model.layers.%.mlp.gate_proj.weight", "layers.%.feed_forward.w1.weight",     \
    "blk.%.ffn_gate.weight")                                                                       \
  X(UP, "up", 2, "model.layers.%.mlp.up_proj.weight", "layers.%.feed_forward.w3.weight",           \
    "blk.%.ffn_up.weight")                                                                         \
  X(DOWN, "down", 2, "model.layers.%.mlp.down_proj.weight", "layers.%.feed_forward.w2.weight",     \
    "blk.%.ffn_down.weight")                                                                       \
  X(FINAL_NORM, "final_norm", 1, "model.norm.weight", "norm.weight", "output_norm.weight")         \
  X(LM_HEAD, "lm_head", 2, "lm_head.weight", "output.weight", "output.weight")

typedef enum ckpt_role {
#define X(id, name, rank, hf, meta, gguf) CKPT_##id,
  CKPT_ROLES(X)
#undef X
      CKPT_ROLE_COUNT
} ckpt_role;

typedef enum ckpt_naming { CKPT_HF, CKPT_META, CKPT_GGUF } ckpt_naming;

const char *ckpt_role_name(ckpt_role r);
uint32_t ckpt_role_rank(ckpt_role r);
/* One weight a layer, or one in all (layer 0)? */
bool ckpt_role_in_layer(ckpt_role r);

/* The weight's shape in model `m`, (out, in); a vector is one row. */
void ckpt_role_shape(const model *m, ckpt_role r, uint64_t *rows, uint64_t *cols);

/* What the naming calls it. */
const char *ckpt_tensor_name(ckpt_naming n, ckpt_role r, uint64_t layer, arena *a);

/* The role and layer that `name` stands for; CKPT_ROLE_COUNT where it is none. Layers have no
 * leading zeros and are below 10^9. */
ckpt_role ckpt_role_of(ckpt_naming n, const char *name, uint64_t *layer);

/* Tensors that files of this naming are known to have and that nothing needs: tables that follow
 * from the hyper-parameters, or that the hyper-parameters were read from. */
bool ckpt_is_ignored(ckpt_naming n, const char *name);

#endif
