/* dx_rig.h - what the suites of the DAG executor share: a tiny model with seeded weights, what the
 * straight-line reference says that a compiled step yields, and runs of the DAG to compare. */
#ifndef LS_TESTS_DX_RIG_H
#define LS_TESTS_DX_RIG_H

#include "kernels/dag_exec.h"
#include "workloads/block.h"
#include "workloads/place.h"

enum { RIG_MAX_STEPS = 8, RIG_MAX_BATCH = 4 };

/* What goes in and what must come out. Sequence b's rows stand behind those of b - 1. */
typedef struct rig {
  arena *a;
  const model *m;
  wl_options o;
  uint32_t *ids;                /* (batch, past + tokens) */
  float *input;                 /* (batch, past + tokens, hidden): instead of ids, without `all` */
  float *k, *v;                 /* (layer, batch, past, kv heads * head_dim) */
  uint32_t steps;               /* steps of the run */
  uint64_t rows[RIG_MAX_STEPS]; /* of each */
  float *want[RIG_MAX_STEPS];   /* (rows, hidden); with `all` logits (batch, vocab) */
  uint32_t next[RIG_MAX_STEPS][RIG_MAX_BATCH]; /* with `all`: the tokens that follow */
} rig;

/* hidden 96, intermediate 160, 6 heads on 3 KV heads of 16, vocabulary 50, 2 layers */
model rig_model(bool tied, arena *a);

/* The reference's weights are rounded as `o` says. */
rig rig_new(const model *m, const wl_options *o, arena *a);

/* Where the executor gets the same weights from, unrounded; `user` is the model. */
dx_weights rig_weights(const model *m);

/* An executor with all that DRAM holds before the run. */
typedef struct rig_run {
  const rig *g;
  const dag *d;
  dx *x;
  dx_tap tap;
  float *logits[RIG_MAX_STEPS]; /* as tapped */
} rig_run;
/* Fails the test on an error. `run` must stay where it is. */
void rig_begin(rig_run *run, const rig *g, const dag *d);
void rig_end(rig_run *run);

/* What the run left of step s: as `want`. */
float *rig_got(rig_run *run, uint32_t s);
/* The largest distance from what the reference says, over max|reference|; fails the test where
 * `ids` and a token differs. */
double rig_error(rig_run *run, bool ids);

/* The DRAM tensor of that name, or DX_RIG_NONE. */
#define DX_RIG_NONE UINT32_MAX
uint32_t rig_tensor(const dag *d, const char *name);

#endif
