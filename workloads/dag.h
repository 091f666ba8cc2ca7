/* dag.h - the task graph that a workload compiles to; it knows nothing of time, devices or SimGrid.
 *
 * Tasks are dense ids 0..n-1 and every dependency points to a smaller id, so id order is topological and a cycle
 * cannot be built. A task says what it computes: an op, operand views (regions of tensors), and through the tensors
 * their shapes and dtypes. FLOPs, bytes and trace arguments are functions of that record (cost.h), never stored.
 *
 * Tensors live in a space: DRAM (weights, KV cache, block input and output) or an SRAM (everything on chip): "sram" is the
 * first of the platform, the shared one or the only one; "sram1", "sram2", ... are its further ones (scratchpads), in the
 * platform's order. An SRAM tensor is one buffer: it takes dag_tensor_bytes() from the start of its first writer to the
 * end of its last reader. Every element is written at most once, so reads-after-writes are the only hazards, and they are
 * the `deps`.
 *
 * Compute tasks read and write SRAMs, any mixture of them: where a task may run follows from the platform's routes, not
 * from the DAG. A load goes from DRAM to one SRAM, a store from one SRAM to DRAM, a move from one SRAM to another.
 *
 * Groups: tasks of one group (not DAG_NO_GROUP) run on one engine, whichever the policy chooses: the pieces of an op
 * that the split keeps whole.
 *
 * Owner: the arena given to dag_new holds everything; there is no dag_free. */
#ifndef LS_DAG_H
#define LS_DAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"
#include "sim/base/file.h"
#include "workloads/dtype.h"
#include "workloads/op.h"

enum { DAG_RANK = 4, DAG_MAX_OPERANDS = 64 };

#define DAG_NO_GROUP UINT32_MAX

/* DAG_SRAM + i is the platform's SRAM number i. */
enum { DAG_MAX_SRAMS = 1024 };
typedef enum dag_space {
  DAG_DRAM,
  DAG_SRAM,
  DAG_SPACE_COUNT = DAG_SRAM + DAG_MAX_SRAMS
} dag_space;

/* What a tensor is, for the accounting of bytes. */
#define DAG_ROLES(X)                                                                               \
  X(WEIGHT, "weight")                                                                              \
  X(SCALE, "scale")                                                                                \
  X(KV, "kv")                                                                                      \
  X(ACT, "activation")

typedef enum dag_role {
#define X(id, name) DAG_##id,
  DAG_ROLES(X)
#undef X
      DAG_ROLE_COUNT
} dag_role;

const char *dag_role_name(dag_role r);

/* "dram", "sram", "sram1", ...; the text may lie in `buf`. */
enum { DAG_SPACE_TEXT = 16 };
const char *dag_space_name(dag_space s, char buf[DAG_SPACE_TEXT]);
/* DAG_SPACE_COUNT where `name` is none. */
dag_space dag_space_parse(const char *name);

typedef struct dag_tensor {
  const char *name; /* "L0.q_proj.weight" in DRAM; "L0.q_proj.weight[0:128]" for a piece in SRAM */
  uint64_t dim[DAG_RANK]; /* outermost first; dims beyond `rank` are 1 */
  uint8_t rank, dtype, role;
  uint16_t space;
} dag_tensor;

/* A box inside a tensor: lo[i] .. lo[i]+len[i]-1 along each dim; beyond rank lo = 0, len = 1. */
typedef struct dag_view {
  uint32_t tensor;
  uint32_t lo[DAG_RANK], len[DAG_RANK];
} dag_view;

typedef struct dag_task {
  const char *name; /* "L0.q_proj 2/4": layer, what, part; without the op's name */
  uint32_t group;
  uint32_t layer;
  uint32_t step;   /* hybrid: 0 the prefill, then the decode steps */
  uint32_t pos;    /* RoPE and attention: position of the first query row */
  uint32_t key;    /* flash attention: position of the first key row */
  uint32_t view0;  /* reads are views[view0 .. +n_reads-1], writes the n_writes behind them */
  uint64_t dep0;   /* deps[dep0 .. +n_deps-1], ascending */
  uint32_t n_deps;
  uint8_t op;
  uint8_t n_reads, n_writes;
} dag_task;

/* What was compiled, for reports and for the kernels' constants. Free text and numbers; a hand-written DAG may leave
 * all of it empty. */
typedef struct dag_workload {
  const char *model, *phase, *split, *attention, *kv_update, *fuse, *resident;
  uint64_t past, tokens, steps, batch, layers;
  uint64_t sram_plan_B; /* the SRAM that it was compiled for, and that a run uses; 0: all there is */
  uint64_t engines_plan; /* the engines that it was cut for, where they are fewer than there are; or 0 */
  dtype weight_dtype, act_dtype, kv_dtype;
  uint64_t head_dim;
  double rms_norm_eps, rope_theta;
  double rope_factor, rope_low_freq_factor, rope_high_freq_factor; /* llama3 scaling; factor 0 = none */
  uint64_t rope_original_max_position;
} dag_workload;

typedef struct dag {
  arena *mem;
  dag_workload workload;
  dag_tensor *tensors;
  dag_task *tasks;
  dag_view *views;
  uint32_t *deps;
  size_t n_tensors, cap_tensors, n_tasks, cap_tasks, n_views, cap_views, n_deps, cap_deps;
  uint32_t n_groups; /* group ids are 0..n_groups-1 */
  /* producers of each tensor so far, to derive deps: heads of lists in `link` */
  uint32_t *writer_head;
  struct dag_writer *writers;
  size_t cap_heads, n_writers, cap_writers;
  /* what is found of the whole DAG and kept, so that it is found once; NULL: not kept */
  uint32_t *rooms;    /* dag_keep_rooms (dag_room.h) */
  struct cost *costs; /* cost_keep (cost.h) */
} dag;

dag *dag_new(arena *a);

/* Adds a tensor; `name` is kept by pointer. Returns its id. */
uint32_t dag_add_tensor(dag *d, const char *name, dag_space space, dag_role role, dtype dt, uint32_t rank,
                        const uint64_t *dim);

/* A view of the whole tensor, and of a box of it. */
dag_view dag_all(const dag *d, uint32_t tensor);
dag_view dag_box(const dag *d, uint32_t tensor, const uint64_t *lo, const uint64_t *len);

/* Adds a task; its deps are derived: every earlier task that wrote what a read view overlaps. `t` gives op, name,
 * group, layer, pos; its other fields are ignored. Returns its id. */
uint32_t dag_add_task(dag *d, const dag_task *t, const dag_view *reads, size_t n_reads,
                      const dag_view *writes, size_t n_writes);

/* The same, and it also depends on the tasks `after` (any order, repeats allowed): order beyond data, such as a buffer that is
 * to be free first. */
uint32_t dag_add_task_after(dag *d, const dag_task *t, const dag_view *reads, size_t n_reads,
                            const dag_view *writes, size_t n_writes, const uint32_t *after,
                            size_t n_after);

/* The same with given deps, ascending and smaller than the new id (asserted). */
uint32_t dag_add_task_deps(dag *d, const dag_task *t, const dag_view *reads, size_t n_reads,
                           const dag_view *writes, size_t n_writes, const uint32_t *deps,
                           size_t n_deps);

/* Bytes of a tensor or view, by shape and dtype. */
static inline uint64_t dag_tensor_bytes(const dag_tensor *t) {
  return dtype_bytes((dtype)t->dtype, t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3]);
}
static inline uint64_t dag_view_elements(const dag_view *v) {
  uint64_t n = 1;
  for (int i = 0; i < DAG_RANK; i++) n *= v->len[i];
  return n;
}
static inline uint64_t dag_view_bytes(const dag *d, const dag_view *v) {
  return dtype_bytes((dtype)d->tensors[v->tensor].dtype, dag_view_elements(v));
}

static inline const dag_view *dag_reads(const dag *d, const dag_task *t) {
  return d->views + t->view0;
}
static inline const dag_view *dag_writes(const dag *d, const dag_task *t) {
  return d->views + t->view0 + t->n_reads;
}
static inline const uint32_t *dag_deps(const dag *d, const dag_task *t) {
  return d->deps + t->dep0;
}

/* Successor lists, made in one pass: succ[first[i] .. first[i+1]-1], ascending. */
typedef struct dag_succ {
  uint64_t *first; /* n_tasks + 1 */
  uint32_t *succ;
} dag_succ;
dag_succ dag_successors(const dag *d, arena *a);

/* What every DAG must satisfy, whoever built it; messages name the task's id and the reason (ERR_BAD): views inside
 * their tensors, operand count, spaces and shapes as the op wants them, no element written twice, nothing read in SRAM that no
 * earlier task writes, deps ascending and smaller than the id. */
ERR_CHECK int dag_check(const dag *d, const char *where, err *e);

/* JSON, as in the contract; dag_read accepts tasks in any order. "deps" may be left out; where they are given, the producers of
 * what a task reads are added if they are missing, so deps are for order beyond that. A cycle, a duplicate or unknown id, an
 * unknown op, tensor, dtype or space is refused with the task's id. */
void dag_write_json(const dag *d, out *o);
ERR_CHECK int dag_read_json(const char *where, const unsigned char *data, size_t len, dag **d, arena *a,
                            err *e);

#endif
