/* closed_form.h - what a step must cost, from the model's shape alone: written apart from the
 * compiler and cost.c.
 *
 * Matrix FLOPs and bytes are contract.md's ("What is counted"). Vector FLOPs take the price of an
 * element from cost.h's table: RMSNorm 4, RoPE 3, Add 1, SiLUMul 5, the scale of a score 1 and
 * three-pass softmax 1 + 3 + 1 a visible pair, online softmax 5 a visible pair and 1 an output
 * element, a dequantised embedding element 1, ArgMax 1 a logit.
 *
 * Only what tiling adds is read off the DAG: how many blocks of tokens a long prompt is cut into,
 * each of which loads the weights again, and the KV rows of those before it; and the rescaling of online softmax between blocks of keys
 * (FlashAttnAcc: head_dim + 3 a query and head), from the lengths of its blocks. */
#ifndef LS_TESTS_CLOSED_FORM_H
#define LS_TESTS_CLOSED_FORM_H

#include "workloads/block.h"
#include "workloads/cost.h"

/* Of all steps. `act`: input and output activations and token ids. */
typedef struct cf_sums {
  uint64_t matrix, vector;  /* vector: without the rescaling between blocks of keys */
  uint64_t weights, scales; /* scales: of weights */
  uint64_t kv_read, kv_write, kv_scales_read, kv_scales_written, act_read, act_written;
} cf_sums;

cf_sums cf_of(const model *m, const wl_options *o, const dag *d);
/* DRAM traffic without spills. */
uint64_t cf_read_B(const cf_sums *s);
uint64_t cf_written_B(const cf_sums *s);

/* Fails the test where the DAG's sums differ from the closed forms: FLOPs, and bytes read from and
 * written to DRAM by kind. */
void cf_check(const model *m, const wl_options *o, const dag *d);

/* Fails the test where attention moves something else than the closed forms say, between DRAM and
 * SRAM (the past rows in and the new rows out, once; nothing of queries x keys) and between SRAM
 * and the engines:
 *
 *   three-pass, n heads and rn query rows a task, N = past + last row + 1 keys:
 *     QK q + K + s, Max s + m, Exp s + m + e + l, Norm e + l + p, PV p + V + o; s = e = p = n*rn*N,
 *     m = l = n*rn, q = o = n*rn*hd, K = V = N*hd for each KV head among the n
 *   flash, for each block of N keys that a row of the task sees, in f32 the state o, m, l:
 *     q + K + V, the state in for every block but the first, and out for every block but the last,
 *     which writes the output instead
 *
 * n, rn and the length of a block are the compiler's choice and read off the DAG's first attention
 * task. The DAG must not spill. */
void cf_check_attention(const model *m, const wl_options *o, const dag *d);

#endif
