/* points.h - the named points of a forward pass, put together from what the tasks of a DAG write.
 *
 * A point is an array with a row for each position in the sequence; the tasks of a compiled DAG
 * write pieces of it: columns of a part, heads, blocks of query rows, one step's tokens. Which
 * piece, the compiler's tensor names say; of a batch, a tensor whose name says no sequence has the
 * rows of all of them, one sequence after the other:
 *
 *   [s<step>.][t<first token of the block>.]L<layer>.<what>[<columns lo:hi>][.b<sequence>]
 *       [.h<head>|.h<first>-<last>][ rows <lo:hi>]
 *   ... embed.embedding, head.final_norm, head.logits
 *
 * Names that do not end so (".partial", ".local", ".spilled") are no points. A name that were read
 * wrongly would leave some row short of elements, or put numbers where they differ: rows count as
 * there only when as many elements were written as the row has (of scores: those that the mask
 * lets through).
 *
 * Not every DAG computes every point: flash attention has no scores and no softmax, fused tasks
 * hand nothing out between their ops, and final norm and LM head run for the last token of a step.
 *
 * Owner: the arena. Of one sequence of the batch. Cost: a copy of what is written. */
#ifndef LS_KERNELS_POINTS_H
#define LS_KERNELS_POINTS_H

#include <stdbool.h>

#include "kernels/dag_exec.h"
#include "workloads/block.h"

/* Shapes: C, Q, KV, I, V columns (hidden, all query heads', all KV heads', intermediate,
 * vocabulary); S scores (H,T,T); R one a head and row (H,T). */
typedef enum points_shape {
  POINTS_C,
  POINTS_Q,
  POINTS_KV,
  POINTS_I,
  POINTS_V,
  POINTS_S,
  POINTS_R
} points_shape;

/* name (golden files and reference.h), tensor of the DAG, in a layer, shape */
#define POINTS(X)                                                                                  \
  X("embedding", "embedding", false, POINTS_C)                                                     \
  X("attn_norm", "attn_norm", true, POINTS_C)                                                      \
  X("q", "q_proj", true, POINTS_Q)                                                                 \
  X("k", "k_proj", true, POINTS_KV)                                                                \
  X("v", "v_proj", true, POINTS_KV)                                                                \
  X("q_rope", "q_rope", true, POINTS_Q)                                                            \
  X("k_rope", "k_rope", true, POINTS_KV)                                                           \
  X("scores", "scores", true, POINTS_S)                                                            \
  X("softmax_max", "softmax_max", true, POINTS_R)                                                  \
  X("softmax_exp", "softmax_exp", true, POINTS_S)                                                  \
  X("softmax_sum", "softmax_sum", true, POINTS_R)                                                  \
  X("softmax_prob", "softmax_prob", true, POINTS_S)                                                \
  X("attn_out", "attn_out", true, POINTS_Q)                                                        \
  X("o_proj", "o_proj", true, POINTS_C)                                                            \
  X("resid1", "resid1", true, POINTS_C)                                                            \
  X("ffn_norm", "ffn_norm", true, POINTS_C)                                                        \
  X("gate", "gate", true, POINTS_I)                                                                \
  X("up", "up", true, POINTS_I)                                                                    \
  X("silu_mul", "silu_mul", true, POINTS_I)                                                        \
  X("down", "down", true, POINTS_C)                                                                \
  X("resid2", "resid2", true, POINTS_C)                                                            \
  X("final_norm", "final_norm", false, POINTS_C)                                                   \
  X("logits", "logits", false, POINTS_V)

typedef struct points_array {
  const char *name; /* "L0.q" */
  uint32_t rank;
  points_shape shape;
  uint64_t dim[3];
  uint64_t width, rows; /* a row is `width` values: (T), (H,T) or one of (H,T) */
  float *x;             /* NULL where no task has written any of it; masked scores are 0 */
  uint64_t *have;       /* by row: elements written */
} points_array;

typedef struct points {
  const dag *d;
  const model *m;
  uint64_t T; /* positions: cached ones, then those of all steps */
  uint64_t seq, batch;
  uint64_t first_layer, layers;
  points_array *at; /* in the order of a forward pass */
  size_t n;
  arena *a;
} points;

/* Of sequence `seq` of a DAG that wl_compile made with these options; all must outlive it. */
points *points_new(const dag *d, const model *m, const wl_options *o, uint64_t seq, arena *a);

/* How many sequences have rows in what the task writes, from `first` on; 0: it is no point's. */
uint64_t points_sequences(const points *p, uint32_t task, uint32_t w, uint64_t *first);
/* What a task wrote, as dx_tap tells it. */
void points_take(points *p, uint32_t task, uint32_t w, const float *y);

const points_array *points_find(const points *p, const char *name);
/* The position in the sequence that a row belongs to. */
uint64_t points_position(const points *p, const points_array *x, uint64_t row);
/* Is all of the row there? */
bool points_has_row(const points *p, const points_array *x, uint64_t row);

/* Position of the first token of a step, and how many it has. */
uint64_t points_step_begin(const dag *d, uint64_t step);
uint64_t points_step_rows(const dag *d, uint64_t step);
uint64_t points_steps(const dag *d);

#endif
