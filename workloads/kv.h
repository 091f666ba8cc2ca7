/* kv.h - what it costs to put a token's K and V rows into the cache, and the buffers that it takes,
 * a layer, a sequence and an inference, for each update method (block.h says what the tasks do).
 *
 *                   copied, in elements     buffers, in elements
 *                   K       V               K                       V
 *   smart-mask      H*hd    H*hd            H*hd*seq                H*hd*seq
 *   shift-pointer   H*hd    1 (a pointer)   H*(hd+1)*seq            (H+1)*hd*(seq-1)
 *
 * H heads in the cache (num_key_value_heads), hd head_dim, seq the longest sequence. Source: the
 * table "Analysis KV Cache Update Mechanism for each Layer each inference" of the ExecuTorch example
 * for LLaMA on Qualcomm HTP. (Its text gives K one column less, H*(hd+1)*(seq-1); the table's is what
 * is counted and compiled here.) Under shift-pointer attention sees seq-1 past rows at most: a run
 * whose cache ends with R rows has buffers of seq = R under smart-mask, and of seq = R+1 under
 * shift-pointer. */
#ifndef LS_KV_H
#define LS_KV_H

#include "workloads/block.h"

typedef struct kv_cost {
  uint64_t time_k, time_v;   /* elements copied a token; 1 where only a pointer moves */
  uint64_t space_k, space_v; /* elements of the buffers */
} kv_cost;

/* seq at least 1. */
kv_cost kv_cost_of(wl_kv_update u, uint64_t heads, uint64_t head_dim, uint64_t seq);

/* The table for a model: formulas, then numbers of one layer, then bytes of all layers and `batch`
 * sequences with a cache of dtype `kv` (its scales apart). */
void kv_print(const model *m, dtype kv, uint64_t seq, uint64_t batch, out *o);

#endif
