/* cost.h - what a task costs, as a function of its record (op, views, shapes, dtypes) and of nothing else.
 *
 * Matrix FLOPs (a multiply-add is 2):
 *   MatMul  2*T*N*K for x (T,K), w (N,K)
 *   QK, PV  2*head_dim per head for each visible (query, key) pair; the query at position pos+t sees pos+t+1 keys
 *   FlashAttn[Acc][Out]  both, 4*head_dim
 * Vector FLOPs an element (exp and division count 1):
 *   RMSNorm 4, RoPE 3, Add 1, SiLUMul 5, KVAppend and KVShift 0, QK 1 a visible pair (the scale), SoftmaxMax 1, SoftmaxExp 3
 *   (subtract, exp, sum), SoftmaxNorm 1, each of the last three a visible pair; FlashAttn 5 a visible pair, with Acc besides
 *   head_dim + 3 a query and head to rescale, with Out 1; MatMul...SiLU 5, ...RoPE 3, ...Add 1, as SiLUMul, RoPE and Add; ArgMax 1 a logit; Embed 1 where it applies a scale, else 0; Copy 0
 * Operand bytes: all SRAM views that a compute task reads or writes, whole, once each; KVShift: none, unless it reads one
 * SRAM and writes another.
 * Transfer bytes: the views that a load, store or move copies; LoadEmbed: the rows that it writes. */
#ifndef LS_COST_H
#define LS_COST_H

#include "workloads/dag.h"

typedef struct cost {
  uint64_t matrix_flops, vector_flops;
  uint64_t operand_B;  /* compute: streamed between SRAM and the engine */
  uint64_t transfer_B; /* load, store, move: copied */
  dtype rate;          /* the dtype whose matrix rate applies: the widest of the inputs */
  uint64_t mnk[3];     /* matrix tasks: the problem as the engine sees it, for its native tile; 0 for others */
} cost;

cost cost_of(const dag *d, uint32_t task);

/* For a DAG that is complete, and is run often: cost_of then looks them up. */
void cost_keep(dag *d);

/* Totals over a DAG, in the words of the report. */
typedef struct cost_totals {
  uint64_t compute, load, store, move; /* tasks */
  uint64_t matrix_flops, vector_flops;
  uint64_t dram_read, dram_write, weights, scales, kv_read, kv_write, spill;
  uint64_t moved; /* between SRAMs */
  /* Bytes of SRAM tensors of weights, and of the KV cache, that tasks of several steps use; scales included. */
  uint64_t resident_weights, resident_kv;
} cost_totals;

cost_totals cost_sum(const dag *d);

#endif
