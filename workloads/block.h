/* block.h - the workload compiler: a LLaMA step, or several, as options describe them, become a task DAG.
 *
 * A block is: RMSNorm, Q/K/V projections, RoPE, KV-cache append, attention, O projection, residual, RMSNorm, gate, up,
 * SiLU*up, down, residual. The first block's input is loaded from DRAM and the last block's output is stored; blocks between hand
 * their activations over in SRAM. With all layers, the input is gathered from the embedding table by token ids, and after the last
 * block come final norm and LM head for the last token of each sequence, and greedy sampling.
 *
 * Phases: decode (tokens after `past`; `steps` such steps, each after the one before), prefill (past 0), hybrid (a prefill of `tokens`, then `steps` decode steps of one
 * token; KV rows stored by one step are loaded by the next). Without the embedding, a step's output
 * stands for the next step's input, after a prefill the last row of each sequence.
 *
 * Splits (who may run in parallel):
 *   none  the whole step is one group: one engine runs it all
 *   op    each op is a group: whole ops, on one engine each; in a long step weights may be cut as under tile (wl_target)
 *   head  linear layers divide by output columns into one part an engine, each part a group; attention divides by query
 *         heads, those that share a KV head together as long as there are no fewer tasks than engines; vector ops
 *         divide by rows or columns
 *   tile  as head, and weights are cut in their inner dimension too: tiles of n x k of a piece's size, k chosen so that the
 *         engines stream the fewest operand bytes (chunks.c); partial sums are handed on from tile to tile
 *
 * SRAM. Under every split a linear layer's weights stream in pieces of whole rows (tile: of tiles) of the (out, in) matrix, at
 * most wl_piece_bytes() each where a row allows it. Pieces of the parts are interleaved in program order, so that the
 * parts end together. Activations that would not fit are worked on in chunks (chunks.c): the MLP by intermediate
 * columns (partial sums of down are handed on), attention by KV heads and blocks of query rows. What is left spills: spill.h.
 *
 * Attention: three-pass (scores, softmax in three tasks, weighted values), or flash: K and V in blocks that fit a piece, online
 * softmax (Dao et al. 2022), nothing of queries x keys beyond one task.
 *
 * KV cache: one K and one V tensor a layer and sequence, in DRAM. A step loads the `past` rows into tiles in SRAM, its new rows
 * are put behind them, and StoreKV writes them back. How (kv.h has what each method costs):
 *   smart-mask     K and V lie as (kv heads, rows, head_dim); KVAppend copies the new rows into the tile, at their place.
 *   shift-pointer  As the buffers of a backend whose attention sees a fixed window of rows that moves on by a row a token. K lies
 *                  transposed, (kv heads, head_dim + 1, rows + 1): row i of the window is what the pointer shows from row i of
 *                  the buffer on; the new values stand at the end of each, which is the beginning of row i + 1, so token t of
 *                  dimension i is at [i + 1][t]; KVAppend copies them there, value by value. V lies as (kv heads + 1, rows,
 *                  head_dim), token t of head h at [h + 1][t], where the projection has put it: KVShift moves a pointer. Where the
 *                  cache has another dtype than the activations V has to be converted, and KVAppend does it. In tensors, K
 *                  that lies transposed has four dimensions, (1, kv heads, head_dim, rows).
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
  X(HEAD, "head", "linear layers by output columns over the engines, attention by head")           \
  X(TILE, "tile", "as head, and weights cut in two dimensions")

typedef enum wl_split {
#define X(id, name, text) WL_##id,
  WL_SPLITS(X)
#undef X
      WL_SPLIT_COUNT
} wl_split;

#define WL_FUSES(X)                                                                                \
  X(AUTO, "auto", "in steps of 16 rows and more")                                                  \
  X(NONE, "none", "each op is a task of its own")                                                  \
  X(ALL, "all", "in every step")

typedef enum wl_fuse {
#define X(id, name, text) WL_FUSE_##id,
  WL_FUSES(X)
#undef X
      WL_FUSE_COUNT
} wl_fuse;

#define WL_KV_UPDATES(X)                                                                           \
  X(SMART_MASK, "smart-mask", "new K and V rows are copied to their place in the cache")           \
  X(SHIFT_POINTER, "shift-pointer", "new K rows are copied; V's pointer moves, and no data")

typedef enum wl_kv_update {
#define X(id, name, text) WL_##id,
  WL_KV_UPDATES(X)
#undef X
      WL_KV_UPDATE_COUNT
} wl_kv_update;

/* What stays in SRAM from step to step, of a run of several decode steps; a prefill before them leaves nothing but what it
 * stored. Steps go round: every tile is used once a step, so whatever stays, its next use is a step away, and the best that
 * can be done (Belady 1966) is to keep the same tiles throughout. Kept is what is used first and fits: K and V of whole
 * layers, then tiles of weights in program order, as long as beside them SRAM holds what a step needs without, and two
 * tiles for every engine. They are loaded in the first decode step. New K and V rows are appended to what stays, and are
 * stored as well: DRAM has the whole cache at all times. */
#define WL_RESIDENTS(X)                                                                            \
  X(NONE, "none", "nothing")                                                                       \
  X(WEIGHTS, "weights", "weights")                                                                 \
  X(KV, "kv", "the KV cache")                                                                      \
  X(ALL, "all", "the KV cache, then weights")

typedef enum wl_resident {
#define X(id, name, text) WL_RESIDENT_##id,
  WL_RESIDENTS(X)
#undef X
      WL_RESIDENT_COUNT
} wl_resident;

enum { /* limits, named in messages */
  WL_FUSE_ROWS = 16,
  WL_LEAST_BLOCK_ROWS = 16,
  WL_MAX_BATCH = 1024,
  WL_MAX_TASKS = 4 << 20,
  WL_MAX_PIECE_B = 512 * 1024,
  WL_FEW_ROWS_PIECE_B = 256 * 1024
};

typedef struct wl_options {
  const char *phase; /* "decode", "prefill" or "hybrid" */
  uint64_t past, tokens, steps, batch, layers, first_layer;
  bool all;          /* embedding before, final norm, LM head and sampling after the layers */
  dtype weight_dtype, act_dtype, kv_dtype;
  wl_split split;
  bool flash;
  wl_fuse fuse;      /* SiLU(gate) * up and the residual sums join the linear layers before them */
  wl_kv_update kv_update;
  wl_resident resident;
  uint64_t forced;   /* decode of all layers, a token a step: the first so many steps take their tokens from prompt_ids, a
                      * row each, whatever was sampled; 0: the first step only, which is the same as 1 */
  uint64_t tile_B;   /* the largest piece or tile of weights; 0: chosen from SRAM's size */
} wl_options;

/* What the compiler must know of the chip: how many parts, and how large a piece may be. */
typedef struct wl_target {
  uint32_t engines; /* that it is cut for; may be fewer than there are */
  uint32_t tiles;   /* of weights that a long step's chunks leave room for; 0: by rule (chunks.c) */
  bool inner;       /* long steps under op: weights are cut in their inner dimension, too */
  uint32_t chunks;  /* of the MLP in work at a time; 0: two, op: three (block.c) */
  uint32_t blocks;  /* of tokens, where there are several: so many quarters more than SRAM asks for; of
                     * two or three so many more */
  uint32_t pieces;  /* long steps: tiles of weights are 2 / (2 + so much) as large; not under none */
  uint32_t rows;    /* the same: query rows that attention works on together, as many less */
  uint32_t heads;   /* long steps under op: KV heads together halved so often, as far as int4's groups allow, and all
                     * from Q to O by them (heads.c); 0: Q, K and V of all heads first, then attention, then O */
  uint32_t abreast; /* op: blocks of tokens in work at a time, more than two */
  uint64_t sram_B; /* that engines share, or that feeds their scratchpads */
  uint64_t most_B; /* what there is of that, which may be more: a task of a layer that needs more is
                    * refused at once; 0: it is left to the run */
  const char *sram_name; /* for that refusal */
  uint64_t pad_B;  /* the smallest scratchpad that weights may live in (place.h); 0: there is none */
  bool pads_only;  /* engines work in their scratchpads only: activations go through them, too */
} wl_target;

/* The contract's defaults: one block of decode, past 4, bf16, head. */
wl_options wl_defaults(void);

/* WL_FUSE_COUNT where `name` is none. */
wl_fuse wl_fuse_parse(const char *name);
const char *wl_fuse_name(wl_fuse f);

/* WL_RESIDENT_COUNT where `name` is none. */
wl_resident wl_resident_parse(const char *name);
const char *wl_resident_name(wl_resident r);

/* WL_KV_UPDATE_COUNT where `name` is none. */
wl_kv_update wl_kv_update_parse(const char *name);
const char *wl_kv_update_name(wl_kv_update u);

/* WL_SPLIT_COUNT where `name` is none. */
wl_split wl_split_parse(const char *name);
const char *wl_split_name(wl_split s);

/* "bf16": weights, activations and KV; "w4a16": weights int4, activations (and KV) bf16; "w8a8", "w8a16", "w4a8" alike.
 * ERR_BAD lists what is allowed. */
ERR_CHECK int wl_dtype_parse(const char *text, dtype *weight, dtype *act, dtype *kv, err *e);

/* The largest piece of weights that is loaded at once: all engines' pieces together take a quarter
 * of SRAM; two of them fit a scratchpad, one in use and one on its way. Where that would make them less
 * than half as large, it is not worth it, as every piece streams the activations again: scratchpads
 * take what fits. Where a scratchpad has to hold activations as well, four fit. */
uint64_t wl_piece_bytes(const wl_options *o, const wl_target *t);

/* Of a step's `tokens` of each sequence, how many go through the layers together: as many as leave an
 * eighth of SRAM and a piece beside the normalised input, Q, K and V, which are all there before attention can begin. A
 * longer prompt goes through in even blocks, one after the other, each of which finds the KV rows of those before it in the
 * cache, and loads the weights again. Under op, as a block all but fills the SRAM that it is cut for, and runs in up to twice that
 * (sim/design.h), two are in work at a time: a block's first norm comes after the block before last. Not fewer than make WL_LEAST_BLOCK_ROWS rows: SRAM too small for those is refused. */
uint64_t wl_block_tokens(const model *m, const wl_options *o, const wl_target *t, uint64_t tokens);

/* Compiles; the DAG lives in `a`. Options are checked against the model's and their own limits (ERR_BAD). ERR_NO: a task needs
 * more than target->most_B. */
ERR_CHECK int wl_compile(const model *m, const wl_options *o, const wl_target *t, dag **d, arena *a,
                         err *e);

/* What wl_compile refuses at once (ERR_BAD), without compiling. */
ERR_CHECK int wl_check(const model *m, const wl_options *o, const wl_target *t, err *e);

/* What dag.workload is to say. */
dag_workload wl_describe(const model *m, const wl_options *o);

#endif
