/* op.h - the closed set of operations that a task can be, with what every reading of the DAG needs to know of each.
 * What an op costs is in cost.h; what it computes, in formulas, stands here, row by row:
 *
 *   RMSNorm      y[t,i] = x[t,i] * w[i] / sqrt(mean_i(x[t,i]^2) + eps)         reads x, w          writes y
 *   MatMul       y[t,o] = sum_i x[t,i] * w[o,i]                                 reads x, w[, scales] writes y
 *   MatMulAcc    y[t,o] += sum_i x[t,i] * w[o,i], over a part of i               reads x, w[, scales], y  writes y
 *   MatMul[Acc]SiLU  y = gate / (1 + exp(-gate)) * u, u as MatMul[Acc] has it     reads ..., gate     writes y
 *   MatMulAdd    y = r + u, a sum that begins with the residual                  reads x, w[, scales], r writes y
 *   MatMul[Acc]RoPE  RoPE of what MatMul[Acc] has, whole heads                    reads as without RoPE   writes y
 *   RoPE         rotates pairs of each head by position (task.pos + t)          reads x             writes y
 *   KVAppend     copies new rows into the cache tile behind the past ones       reads k or v        writes tile
 *   KVShift      the same rows, which already lie where the tile goes on: a pointer moves, no data   reads v   writes tile
 *   QK           s[h,t,j] = q[t,h,:] . k[h/g,j,:] / sqrt(head_dim), causal      reads q, k tile     writes s
 *   SoftmaxMax   m[h,t] = max_j s[h,t,j] over visible j                         reads s             writes m
 *   SoftmaxExp   e[h,t,j] = exp(s - m), l[h,t] = sum_j e                        reads s, m          writes e, l
 *   SoftmaxNorm  p[h,t,j] = e / l                                               reads e, l          writes p
 *   PV           o[t,h,:] = sum_j p[h,t,j] * v[h/g,j,:]                         reads p, v tile     writes o
 *   FlashAttn    one block of keys j of online softmax: s = q.k / sqrt(head_dim), m' = max(m, max_j s),
 *                l' = l e^(m-m') + sum_j e^(s-m'), o' = o e^(m-m') + sum_j e^(s-m') v     reads q, k, v[, scales]  writes o, m, l
 *   FlashAttnAcc the same, on top of the state of earlier blocks                reads q, k, v[, scales], o, m, l  writes o, m, l
 *   FlashAttn[Acc]Out  the same of the last block, and y = o' / l'                reads as without Out   writes y
 *   Add          y = a + b                                                      reads a, b          writes y
 *   SiLUMul      y = gate / (1 + exp(-gate)) * up                               reads gate, up      writes y
 *   Copy         y = x                                                          reads x             writes y
 *   Embed        y[t,:] = the embedding row of token t, in the activations' dtype   reads rows[, scales] writes y
 *   ArgMax       id[b] = the index of the largest logit                          reads logits        writes id
 *   LoadEmbed    gathers the rows of the embedding table that the token ids name; reads table[, scales], ids
 *   Load*, Store*  a copy between DRAM and SRAM by DMA; reads views, writes views of the same shapes
 *   Move           the same between two SRAMs
 *
 * g = heads per KV head. Key j is visible to the query at position p if j <= p. */
#ifndef LS_OP_H
#define LS_OP_H

#include <stdbool.h>

typedef enum op_kind { OP_COMPUTE, OP_LOAD, OP_STORE, OP_MOVE, OP_KIND_COUNT } op_kind;

/* id, name (also in traces and JSON), kind, class (the trace's `cat`), what it is */
#define OPS(X)                                                                                     \
  X(RMSNORM, "RMSNorm", OP_COMPUTE, "vector", "root-mean-square normalisation")                    \
  X(MATMUL, "MatMul", OP_COMPUTE, "matmul", "linear layer, or a piece of its output columns")      \
  X(MATMUL_ACC, "MatMulAcc", OP_COMPUTE, "matmul", "adds a part of a linear layer's inner dimension")  \
  X(MATMUL_SILU, "MatMulSiLU", OP_COMPUTE, "matmul", "up projection, times SiLU(gate) at once")       \
  X(MATMUL_ACC_SILU, "MatMulAccSiLU", OP_COMPUTE, "matmul", "its last part, times SiLU(gate) at once") \
  X(MATMUL_ADD, "MatMulAdd", OP_COMPUTE, "matmul", "linear layer, or its first part, plus the residual") \
  X(MATMUL_ROPE, "MatMulRoPE", OP_COMPUTE, "matmul", "Q or K projection, rotated at once")            \
  X(MATMUL_ACC_ROPE, "MatMulAccRoPE", OP_COMPUTE, "matmul", "its last part, rotated at once")         \
  X(ROPE, "RoPE", OP_COMPUTE, "vector", "rotary position embedding of queries or keys")            \
  X(KVAPPEND, "KVAppend", OP_COMPUTE, "vector", "copies new K or V rows into the cache tile")      \
  X(KVSHIFT, "KVShift", OP_COMPUTE, "vector", "new V rows are the tile's next: its pointer moves") \
  X(QK, "QK", OP_COMPUTE, "matmul", "attention scores: dot products of queries with keys, scaled") \
  X(SOFTMAX_MAX, "SoftmaxMax", OP_COMPUTE, "vector", "softmax pass 1: maximum of each row")        \
  X(SOFTMAX_EXP, "SoftmaxExp", OP_COMPUTE, "vector", "softmax pass 2: exp(s - max) and its sum")   \
  X(SOFTMAX_NORM, "SoftmaxNorm", OP_COMPUTE, "vector", "softmax pass 3: division by the sum")      \
  X(PV, "PV", OP_COMPUTE, "matmul", "attention output: probabilities times values")                \
  X(FLASH, "FlashAttn", OP_COMPUTE, "matmul", "attention over the first block of keys, online softmax") \
  X(FLASH_ACC, "FlashAttnAcc", OP_COMPUTE, "matmul", "attention over a further block of keys")        \
  X(FLASH_OUT, "FlashAttnOut", OP_COMPUTE, "matmul", "attention over the only block of keys")         \
  X(FLASH_ACC_OUT, "FlashAttnAccOut", OP_COMPUTE, "matmul", "attention over the last block of keys")  \
  X(ADD, "Add", OP_COMPUTE, "vector", "residual addition")                                         \
  X(SILU_MUL, "SiLUMul", OP_COMPUTE, "vector", "SiLU(gate) times up")                              \
  X(COPY, "Copy", OP_COMPUTE, "vector", "copies rows")                                               \
  X(EMBED, "Embed", OP_COMPUTE, "vector", "embedding rows to activations")                            \
  X(ARGMAX, "ArgMax", OP_COMPUTE, "vector", "greedy sampling: index of the largest logit")            \
  X(LOAD_WEIGHT, "LoadWeight", OP_LOAD, "load", "weights (and their scales), DRAM to SRAM")        \
  X(LOAD_KV, "LoadKV", OP_LOAD, "load", "past rows of the K or V cache, DRAM to SRAM")             \
  X(LOAD_ACT, "LoadAct", OP_LOAD, "load", "input activations, DRAM to SRAM")                       \
  X(LOAD_EMBED, "LoadEmbed", OP_LOAD, "load", "embedding rows of given tokens, DRAM to SRAM")         \
  X(FILL, "Fill", OP_LOAD, "load", "spilled activations, back from DRAM")                             \
  X(STORE_KV, "StoreKV", OP_STORE, "store", "new rows of the K or V cache, SRAM to DRAM")          \
  X(STORE_ACT, "StoreAct", OP_STORE, "store", "output activations, SRAM to DRAM")                 \
  X(SPILL, "Spill", OP_STORE, "store", "activations that do not fit SRAM, to DRAM")       \
  X(MOVE_SRAM, "Move", OP_MOVE, "move", "a copy from one SRAM to another")

typedef enum op {
#define X(id, name, kind, cls, text) OP_##id,
  OPS(X)
#undef X
      OP_COUNT
} op;

const char *op_name(op o);
const char *op_class(op o);
const char *op_text(op o);
static inline op_kind op_kind_of(op o) {
  static const unsigned char KIND[OP_COUNT] = {
#define X(id, name, kind, cls, text) [OP_##id] = kind,
      OPS(X)
#undef X
  };
  return (op_kind)KIND[o];
}
/* True where the op may write its result `write` over its operand `read` (of n_reads), element by element: it needs no element
 * of the operand after it has written that element's place. */
bool op_in_place(op o, unsigned read, unsigned n_reads, unsigned write);
/* OP_COUNT where `name` is none. */
op op_parse(const char *name);
/* "compute", "load", "store", "move" */
const char *op_kind_name(op_kind k);

#endif
