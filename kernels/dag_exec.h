/* dag_exec.h - executes a task DAG on real numbers, task by task, in whatever order it is told.
 *
 * What the simulator times, this computes: each task reads its views, calls the kernels, rounds the
 * result to the dtype of what it writes. The caller says when the life of each SRAM buffer begins
 * and ends and when each task is executed (at its end: its operands must live until then, and only
 * then do its results count as written), so that the order and the lives are those of a simulation.
 * What the DAG, the compiler or the scheduler got wrong is refused, with the task: reading what no
 * task has written, what another tensor was written over, or what lies in a buffer whose life has
 * not begun or is over; writing an element twice, or outside of a buffer's life; executing a task
 * twice. The check is exact, an element at a time.
 *
 * Storage. A tensor is kept in its own dtype, in a buffer of its own; SRAM tensors that take over
 * the room of others (workloads/dag_room.h) lie in the very same bytes, and writing one of them
 * ends the other, element by element. Fresh buffers, and those given back, are filled with 0xff,
 * which is NaN in every float format. 4-bit values are packed as in quant.h, rows beginning on a
 * byte. Activations of an integer dtype have no scales in the DAG: they are kept as f32, and
 * rounded where a linear layer takes them in (below).
 *
 * Weights in DRAM are not kept: what a load asks for comes from the caller's source as f32 and is
 * rounded to the tensor's dtype: bf16 and f16 to nearest, ties to even; int8 a scale a row of the
 * whole matrix, int4 a scale for 32 columns (quant.h). An integer KV cache is rounded where rows
 * are appended, a scale for each token and KV head. Which scale tensor belongs to which values is
 * taken from the transfers that move both.
 *
 * Arithmetic is f32 on what the operands hold, in the order that the kernels' headers state, on the
 * box that the task has: so the result depends on the DAG, but on nothing else: not on the order,
 * engines or machine. Partial sums are rounded to the dtype of the tensor that holds them. Linear
 * layers on int8 (int4) activations take each row of their operand box rounded to int8 by its
 * largest magnitude (to int4 by groups of 32), as llama2.c and llama.cpp do; attention, norms and
 * sums do not.
 *
 * RoPE turns by the model's frequencies (its rope_factors where it has those) in half-split order;
 * softmax is over keys at position 0 and up in three-pass, and at the task's `key` in flash.
 *
 * Cost: that of the kernels, a conversion to f32 of activations and KV rows per task that reads
 * them, none of weights beyond the kernels' own; a bit an element for what is written. One thread.
 *
 * Owner: the arena holds what lives as long as it, dx_free gives back the buffers. The DAG (which
 * has passed dag_check), model, source and tap must outlive it. */
#ifndef LS_KERNELS_DAG_EXEC_H
#define LS_KERNELS_DAG_EXEC_H

#include <stdint.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"
#include "workloads/dag.h"
#include "workloads/model.h"

typedef struct dx dx;

/* Where weights come from: y (rows, cols), dense = elements of the DRAM tensor of that name
 * ("L0.q_proj.weight", "embed_tokens.weight"; a vector is one row), rows in HF's order. Returns the
 * status that it put into `e`. */
typedef struct dx_weights {
  int (*box)(void *user, const char *name, uint64_t row0, uint64_t rows, uint64_t col0,
             uint64_t cols, float *y, err *e);
  void *user;
} dx_weights;

/* Called after each compute task, and after what else brings activations: moves (which write a
 * tensor where engines reach scratchpads only) and gathered embeddings. For each write view: the
 * values as stored, as f32 (KV rows of an integer cache times their scales), dense, in the view's
 * order. Valid during the call. */
typedef struct dx_tap {
  void (*wrote)(void *user, uint32_t task, uint32_t w, const float *x);
  void *user;
} dx_tap;

/* `tap` may be NULL. NULL: `e` is filled (ERR_BAD: a tensor beyond 2^36 B). */
dx *dx_new(const dag *d, const model *m, const dx_weights *w, const dx_tap *tap, arena *a, err *e);
/* Also of NULL. */
void dx_free(dx *x);

/* What a DRAM tensor holds before the run: token ids, the input, past KV rows; dense, in the box's
 * order. Of an integer cache the box has whole rows; they are rounded as KVAppend does, and the
 * scales set with them. ERR_BAD: a tensor in SRAM, a weight. */
ERR_CHECK int dx_set(dx *x, uint32_t tensor, const dag_view *box, const float *values, err *e);
/* What it holds afterwards; times the scales where it has them. ERR_NO: it was never written. */
ERR_CHECK int dx_get(dx *x, uint32_t tensor, const dag_view *box, float *values, err *e);

/* The life of an SRAM tensor's buffer begins or ends. Of those that share a room, only the first,
 * which the others take over from, is taken and given: for all of them. */
ERR_CHECK int dx_take(dx *x, uint32_t tensor, err *e);
ERR_CHECK int dx_give(dx *x, uint32_t tensor, err *e);

/* Executes a task. ERR_NO: refused as said above; ERR_BAD: a token id beyond the table, integers
 * without scales; or what the source of weights says. */
ERR_CHECK int dx_task(dx *x, uint32_t task, err *e);

/* Executes all tasks in that order, a permutation of them (NULL: by id); a buffer lives from its
 * first writer to its last user in that order. */
ERR_CHECK int dx_run(dx *x, const uint32_t *order, err *e);

#endif
