/* source.h - where the weights of a run come from: a checkpoint, or the rule of seeded.h; for the
 * executor under the DAG's names, and for the reference under HF's.
 *
 * Values are what the checkpoint stores (Q8_0 and Q4_0 times their scales). The executor rounds
 * them to the dtype that the DAG loads them in; the reference gets them rounded by the same rules
 * (quant.h: int8 a scale a row, int4 a scale for 32 columns; norms in the activations' dtype, bf16
 * where that is an integer), so that what the two differ by is what was computed. Where the DAG's
 * dtype is the checkpoint's, or f32, nothing is rounded.
 *
 * Owner: the arena; the checkpoint and model must outlive it. */
#ifndef LS_KERNELS_SOURCE_H
#define LS_KERNELS_SOURCE_H

#include "kernels/dag_exec.h"
#include "kernels/reference.h"
#include "workloads/ckpt/ckpt.h"

typedef struct source {
  const model *m;
  const ckpt *ck; /* NULL: seeded */
  uint64_t seed;
  model_tensor *tensors; /* by layer and role */
  dtype weight, act;     /* what the reference's are rounded to */
} source;

source *source_new(const model *m, const ckpt *ck, uint64_t seed, dtype weight, dtype act,
                   arena *a);

/* The dtype that holds all matrices as they are: that of the checkpoint where all have it, be it
 * bf16 or f16; else f32. Of seeded weights, the model's. */
dtype source_dtype(const model *m, const ckpt *ck);

dx_weights source_for_dag(source *s);
ref_weights source_for_reference(source *s);

#endif
