/* dag_exec_priv.h - the parts of the executor: dag_exec.c keeps lives and order, dag_exec_store.c
 * buffers and which of their elements are written, dag_exec_kv.c rows of the cache,
 * dag_exec_weights.c what loads bring from the caller's source, dag_exec_ops.c what each op
 * computes. For dag_exec*.c only. */
#ifndef LS_KERNELS_DAG_EXEC_PRIV_H
#define LS_KERNELS_DAG_EXEC_PRIV_H

#include <stdbool.h>

#include "kernels/dag_exec.h"
#include "kernels/matmul.h"
#include "workloads/dag_room.h"

#define DX_NONE UINT32_MAX

typedef enum dx_life { DX_UNBORN, DX_LIVE, DX_OVER } dx_life;

typedef struct dx_tensor {
  uint8_t *data;      /* of the room; NULL: not there */
  uint64_t *written;  /* a bit an element; NULL: none is */
  uint64_t n_written; /* elements */
  uint64_t elements, bytes, row_B;
  uint32_t room;    /* the first of those that share it; itself where it shares none */
  uint32_t newer;   /* the one that takes over from it, or DX_NONE */
  uint32_t scale;   /* DRAM: of these values, or DX_NONE */
  uint32_t values;  /* DRAM: that these are scales of, or DX_NONE */
  dx_life life;     /* of the room */
  dtype form;       /* what is kept: f32 for integer activations */
  uint32_t group;   /* int4: values that are packed together */
  bool source;      /* weights or their scales, in DRAM: not kept */
  float *row_scale; /* int8 weights from the source: by row, once known; negative before */
} dx_tensor;

/* Dense f32 scratch for the operands of one task: slots grow and are kept. */
enum { DX_SLOTS = 15 };
typedef struct dx_slot {
  float *at;
  size_t cap;
} dx_slot;

/* Buffers given back, filled with 0xff, for the next of the same size. */
enum { DX_POOL = 64 };
typedef struct dx_free_buffer {
  uint8_t *data;
  uint64_t bytes;
} dx_free_buffer;

struct dx {
  const dag *d;
  const model *m;
  const dx_weights *weights;
  const dx_tap *tap;
  dx_tensor *t;
  bool *done; /* by task */
  double *inv_freq;
  dx_slot slot[DX_SLOTS];
  dx_free_buffer pool[DX_POOL];
  size_t n_pool;
};

float *dx_floats(dx *x, unsigned slot, size_t n);

/* ---- dag_exec_store.c ---- */

/* The contiguous runs of a box: elements at .. at + n - 1, in order. With `rows` a run is within a
 * row (the last dimension), else as long as can be. */
typedef struct dx_runs {
  uint64_t at, n, left; /* left: runs, this one included */
  uint64_t i[DAG_RANK], count[DAG_RANK], step[DAG_RANK];
} dx_runs;
dx_runs dx_runs_of(const dag_tensor *t, const dag_view *v, bool rows);
void dx_runs_next(dx_runs *r);

/* Fills what dx_tensor says of storage: form, sizes. */
void dx_lay_out(dx *x, uint32_t tensor);
uint8_t *dx_buffer(dx *x, uint64_t bytes);
void dx_buffer_back(dx *x, uint8_t *data, uint64_t bytes);

/* Is all of the box written? Else `missing` is the first element that is not. */
bool dx_all_written(const dx *x, const dag_view *v, uint64_t *missing);
/* Is any of it? */
bool dx_any_written(const dx *x, const dag_view *v);
void dx_mark(dx *x, const dag_view *v);
/* The same box of another tensor, which was written over. */
void dx_unmark(dx *x, uint32_t tensor, const dag_view *v);

/* Integers as they are, without scales. */
void dx_read(const dx *x, const dag_view *v, float *y);
/* Rounds to the tensor's form; int8 and int4 take whole numbers. */
void dx_write(dx *x, const dag_view *v, const float *y);
void dx_copy(dx *x, const dag_view *from, const dag_view *to);
/* Weights as a matrix whose first column is the view's; scales: as read, or NULL. */
kern_matrix dx_matrix(const dx *x, const dag_view *v, const void *scales);

/* ---- dag_exec_kv.c ---- */

/* Rows of a KV tensor: (m, N, d), or where K lies transposed (1, m, d, N). */
typedef struct dx_kv {
  size_t m, N, d;
  bool transposed;
} dx_kv;
dx_kv dx_kv_of(const dx *x, const dag_view *v);

/* Real values, times their scales where `scale` is not NULL; (m, N, d) with `by_row`, else in the
 * view's order. Writing rounds each row and its scale. */
void dx_kv_read(dx *x, const dag_view *v, const dag_view *scale, bool by_row, float *y);
void dx_kv_write(dx *x, const dag_view *v, const dag_view *scale, bool by_row, const float *y);

/* The scales of a box of a cache in DRAM; false where it has none, or is not of whole rows. */
bool dx_kv_scales(const dx *x, const dag_view *v, dag_view *scale);

/* ---- dag_exec_weights.c ---- */

/* Brings the box of a tensor whose values come from the source. */
ERR_CHECK int dx_load_weights(dx *x, uint32_t task, const dag_view *from, const dag_view *to,
                              err *e);

/* ---- dag_exec_ops.c ---- */

ERR_CHECK int dx_execute(dx *x, uint32_t task, err *e);

/* ---- dag_exec.c ---- */

/* "task 17 'L0.o_proj 2/4' " before the text. */
int dx_refuse(const dx *x, uint32_t task, int status, err *e, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* "L0.attn_out[0:1,512:768]" */
enum { DX_TEXT = 320 };
const char *dx_view_text(const dx *x, const dag_view *v, char buf[DX_TEXT]);

#endif
