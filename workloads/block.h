/* block.h - the workload compiler: a LLaMA step, as options describe it, becomes a task DAG.
 *
 * A block is: RMSNorm, Q/K/V projections, RoPE, KV-cache append, scores (QK), three-pass softmax, weighted values (PV),
 * O projection, residual, RMSNorm, gate, up, SiLU*up, down, residual. The first block's input is loaded from DRAM and the
 * last block's output is stored; blocks between hand their activations over in SRAM.
 *
 * Splits (who may run in parallel):
 *   none  the whole step is one group: one engine runs it all
 *   op    each op is a group: whole ops, on one engine each
 *   head  linear layers divide by output columns into one part an engine, each part a group; attention divides by head;
 *         row-wise vector ops divide by rows (tokens) over the engines
 * Under every split a linear layer's weights stream in pieces of whole rows of the (out, in) matrix, at most
 * wl_piece_bytes() each where a row allows it: min(512 KiB, SRAM / (4 * parts that stream at the same time)), so that
 * every engine can hold the piece in use, two ahead, and SRAM keeps a quarter for activations. Pieces of the parts are
 * interleaved in program order, so that the parts end together. KV heads are loaded, appended and stored together as far as
 * that keeps tiles small: under head an engine's share of the KV heads, up to one piece; under none and op as many as
 * keep one K and one V tile within a quarter of SRAM.
 *
 * KV cache in DRAM: (kv heads, past + tokens, head_dim), one K and one V tensor a layer and sequence. A step loads the `past`
 * rows into a tile in SRAM, KVAppend copies the new rows behind them, and StoreKV writes the new rows back (smart-mask).
 *
 * Integer dtypes: weights int8 carry one f32 scale a row, int4 one f16 per group of 32; an integer KV cache one f16 per token
 * and head. Norm weights are bf16 where activations are integers, else of the activations' dtype. */
#ifndef LS_BLOCK_H
#define LS_BLOCK_H

#include "workloads/dag.h"
#include "workloads/model.h"

#define WL_SPLITS(X)                                                                               \
  X(NONE, "none", "the whole step on one engine")                                                  \
  X(OP, "op", "whole ops, each on one engine")                                                     \
  X(HEAD, "head", "linear layers by output columns over the engines, attention by head")

typedef enum wl_split {
#define X(id, name, text) WL_##id,
  WL_SPLITS(X)
#undef X
      WL_SPLIT_COUNT
} wl_split;

enum { /* limits, named in messages */
  WL_MAX_BATCH = 1024,
  WL_MAX_TASKS = 4 << 20,
  WL_MAX_PIECE_B = 512 * 1024
};

typedef struct wl_options {
  const char *phase; /* "decode" or "prefill" */
  uint64_t past, tokens, batch, layers, first_layer;
  dtype weight_dtype, act_dtype, kv_dtype;
  wl_split split;
} wl_options;

/* What the compiler must know of the chip: how many parts, and how large a piece may be. */
typedef struct wl_target {
  uint32_t engines;
  uint64_t sram_B;
} wl_target;

/* The contract's defaults: one block of decode, past 4, bf16, head. */
wl_options wl_defaults(void);

/* WL_SPLIT_COUNT where `name` is none. */
wl_split wl_split_parse(const char *name);
const char *wl_split_name(wl_split s);

/* "bf16": weights, activations and KV; "w4a16": weights int4, activations (and KV) bf16; "w8a8", "w8a16", "w4a8" alike.
 * ERR_BAD lists what is allowed. */
ERR_CHECK int wl_dtype_parse(const char *text, dtype *weight, dtype *act, dtype *kv, err *e);

/* The largest piece of weights that is loaded at once. */
uint64_t wl_piece_bytes(const wl_options *o, const wl_target *t);

/* Compiles; the DAG lives in `a`. Options are checked against the model's and their own limits (ERR_BAD). */
ERR_CHECK int wl_compile(const model *m, const wl_options *o, const wl_target *t, dag **d, arena *a,
                         err *e);

#endif
