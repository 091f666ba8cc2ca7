/* build.h - the inside of the compiler: the state of one compilation, and the parts that a block is
 * put together from. step.c says what is compiled, block.c puts the parts in order, linear.c and
 * attention.c make the tasks. Nobody else includes this; block.h is the outside. */
#ifndef LS_BUILD_H
#define LS_BUILD_H

#include "workloads/block.h"

typedef struct kv_cache {              /* of one layer: K and V of every sequence, in DRAM */
  uint32_t *k, *v, *k_scale, *v_scale; /* by sequence; scales only for an integer cache */
  bool decided, stays;                 /* in SRAM from step to step */
} kv_cache;

/* How much is done at once; chosen by plan_chunks from SRAM's size. */
typedef struct chunks {
  uint64_t piece_B;  /* weights that are loaded at once */
  uint64_t tile_k;   /* inner length of a weight tile; 0: whole rows */
  uint64_t mlp_cols; /* intermediate columns that gate, up and down work on together */
  uint64_t kv_heads; /* KV heads that are moved together */
  uint64_t rows;     /* query rows that attention works on together */
  uint64_t keys;     /* key rows in a tile: all, or a block of flash attention */
  bool fuse;         /* SiLU(gate) * up and residual sums are part of the linear layers before them */
  bool by_heads;     /* all from Q to O goes by such KV heads, a few after the others (heads.c) */
  bool many;         /* rows: activations count beside the weights */
  bool segments;     /* activations are kept in segments of columns, each with a life of its own */
} chunks;

/* Ranges of output columns: what each task computes. */
typedef struct cut {
  uint64_t lo, n;
} cut;

typedef struct cut_list {
  cut *at;
  size_t n, cap;
} cut_list;

typedef struct build {
  const model *m;
  const wl_options *o;
  const wl_target *target;
  dag *d;
  arena *a;
  uint32_t parts; /* of a linear layer */
  chunks c;
  uint64_t past, tokens; /* of the present step */
  uint64_t rows;         /* batch * tokens */
  uint64_t kv_rows;      /* past + tokens */
  uint64_t q_cols, kv_cols;
  uint32_t layer, step;
  bool first_block, last_block; /* of the step */
  bool again;                   /* the layers were all compiled before: caches and weights are there */
  bool keeps;                   /* the step's tiles may stay for later steps, and earlier ones did */
  struct pins *pins;            /* what stays so far */
  uint64_t pin_left_B;          /* of the room for it */
  uint64_t last_row;            /* cache rows when the run ends */
  cut_list ends;                /* the step's last linear layer, piece by piece */
  const char *prefix; /* "L3." or, in a run of several steps, "s2.L3." */
  uint32_t op_group;  /* the group of the op being emitted, under none and op */
  kv_cache *cache;    /* by layer */
  struct known *known; /* weights in DRAM so far */
  size_t n_known, cap_known, next_known;
  uint32_t behind;       /* op: the last task of the block of tokens that must be over; or DAG_NO_TASK */
  uint32_t checked;      /* tasks before this one fit what there is */
  uint64_t impossible_B; /* what task `checked` needs, and more than there is; 0: none does */
} build;

/* A matrix of activations (rows, width) whose columns are kept in one or more tensors, in order. */
typedef struct columns {
  uint32_t *tensor;
  uint64_t *first; /* n + 1 entries: tensor i holds columns first[i] .. first[i+1]-1 */
  size_t n;
} columns;

/* The tensor's segment that holds columns [col, col+n), as a view of rows [row, row+rows). They
 * must lie in one. */
dag_view columns_view(const build *b, const columns *c, uint64_t row, uint64_t rows, uint64_t col,
                      uint64_t n);

/* Names and groups. */
const char *build_name(build *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *build_part(build *b, const char *name, uint64_t part, uint64_t parts);

/* Whether a task so far cannot run in target->most_B, whatever else is held: then what follows need
 * not be compiled. */
bool build_impossible(build *b);
bool build_takes_room(const dag *d, uint32_t task, uint32_t operand);
void build_op(build *b); /* begins an op: sets op_group as the split wants it */
bool build_integer(dtype d);

/* Tensors, views, tasks. */
uint32_t build_act(build *b, const char *name, uint64_t rows, uint64_t cols);
columns build_columns(build *b, const char *name, uint64_t width, const uint64_t *cuts,
                      size_t n_cuts);
/* Columns begin .. end-1 of a wider matrix, in one tensor; `all`: they are all of it. */
columns columns_range(build *b, const char *name, uint64_t begin, uint64_t end, bool all);
/* Cut as c is. */
columns columns_like(build *b, const char *name, const columns *c);
dag_view build_box2(const build *b, uint32_t tensor, uint64_t row, uint64_t rows, uint64_t col,
                    uint64_t cols);
dag_view build_box3(const build *b, uint32_t tensor, uint64_t i, uint64_t n, uint64_t row,
                    uint64_t rows);
void build_emit(build *b, op o, const char *name, uint32_t group, const dag_view *reads,
                size_t n_reads, const dag_view *writes, size_t n_writes);
/* `after`: a task that must be over first, or DAG_NO_TASK. Returns the task. */
uint32_t build_emit_at(build *b, op o, const char *name, uint32_t group, uint64_t pos,
                       uint64_t key, const dag_view *reads, size_t n_reads, const dag_view *writes,
                       size_t n_writes, uint32_t after);

/* A tensor in DRAM that every step finds again by its name. */
uint32_t build_home(build *b, const char *name, dag_role role, dtype dt, uint32_t rank,
                    const uint64_t *dim);

/* ---- resident.c ---- */

/* A tile: where it lies in DRAM. Of K and V, heads k .. k+kn-1 and rows from lo on. */
typedef struct pin_key {
  uint64_t home, lo, n, k, kn;
} pin_key;

void pins_new(build *b, uint64_t budget_B);
/* The tile of that key, from an earlier step. */
bool pin_find(const build *b, const pin_key *key, uint32_t *tensor, uint32_t *scale);
/* May so many bytes stay? Then their room is taken. */
bool pin_fits(build *b, uint64_t bytes);
void pin_add(build *b, const pin_key *key, uint32_t tensor, uint32_t scale);
bool resident_weights(const build *b);
bool resident_kv(const build *b);

/* ---- linear.c: y = x * W^T, streamed ---- */

typedef struct linear {
  const char *what; /* "q_proj" */
  const char *name; /* with step and layer */
  uint32_t weight, scale; /* in DRAM; scale only for integer weights */
  uint64_t in, out;
  uint32_t parts, *group;
  uint32_t *last;       /* by part: the last task so far */
  uint64_t row0;        /* first output row of the present range, for the scales kept */
  uint32_t *kept_scale; /* int8: scale tiles of the first inner chunk, by (piece, part) */
  columns sum;          /* partial sums of the inner chunks so far, cut as y is */
  size_t n_kept;
  uint64_t fit; /* rows of a piece: the same in every inner chunk */
} linear;

/* The layer's weights, in DRAM; `table` reuses a tensor (tied embedding) where it is not
 * DAG_NO_TENSOR. */
#define DAG_NO_TENSOR UINT32_MAX
#define DAG_NO_TASK UINT32_MAX
linear linear_new(build *b, const char *what, uint64_t in, uint64_t out_rows, uint32_t table,
                  uint32_t table_scale);

/* One product: output columns [row0, row0+n), which are all of y, from columns [k0, k0+kn) of the
 * input; x holds the input's columns from k0 on, in rows [x_row, x_row + x_rows). Inner chunks of
 * the same range come in order: `first` starts y, `last` writes it; those between keep partial sums
 * in tensors like y, box by box, so that each takes over the room of the one before. `tag` is put
 * into names ("" or " chunk 2/12"). `fused` joins what follows: SiLU(with) * y, or RoPE, to the last
 * inner chunk; or the sum begins with `with` instead of 0. */
typedef enum fusion { FUSED_NOTHING, FUSED_SILU, FUSED_ADD, FUSED_ROPE } fusion;

typedef struct linear_range {
  uint64_t row0, n, k0, kn;
  const columns *x;
  uint64_t x_row, x_rows;
  const columns *y;
  uint64_t y_first; /* y's column 0 is the layer's output column y_first */
  bool first, last;
  const char *tag;
  fusion fused;
  const columns *with;
  const uint32_t *after;   /* by part, or NULL: a task that must be over first, DAG_NO_TASK for none */
  bool ramp_up;   /* smaller tiles, for engines that wait for the first of them */
  bool ramp_down; /* ever smaller pieces at the end of each part: they end together */
} linear_range;
void linear_run(build *b, linear *l, const linear_range *r);

/* The whole layer at once. */
columns linear_all(build *b, const char *what, const char *y_name, const columns *x, uint64_t in,
                   uint64_t out_cols, const uint64_t *cuts, size_t n_cuts, fusion fused, bool ramp_up);

/* ---- attention.c ---- */
/* `q_roped`, `k_roped`: they come with RoPE. */
columns attention(build *b, const columns *q, const columns *k, const columns *v, bool q_roped,
                  bool k_roped);
/* The same of the chunk of heads from kv0 on, of one sequence; q, k, v and y have its columns
 * at least. `at` goes on from chunk to chunk. */
typedef struct attention_state attention_state;
attention_state *attention_new(build *b, bool q_roped, bool k_roped);
void attention_run(build *b, attention_state *at, uint64_t seq, uint64_t kv0, const columns *q,
                   const columns *k, const columns *v, const columns *y);
/* Where q, k and v must be cut so that a chunk of heads lies in one segment. */
size_t attention_cuts(build *b, uint64_t head_cols, uint64_t **cuts);
void attention_cache(build *b, kv_cache *c, uint64_t rows);

/* ---- heads.c ---- */
/* From the normalised input to the O projection's sum, to which x is added, or not if unfused. */
columns heads_sum(build *b, const columns *norm, const columns *x, bool rope_q, bool rope_k);

/* ---- block.c ---- */
uint64_t block_input_parts(const build *b);
uint32_t block_norm(build *b, const char *what, const columns *x, uint64_t row, uint64_t rows);
columns block(build *b, const columns *x);
columns columns_one(build *b, uint32_t tensor);

/* ---- chunks.c ---- */
/* Where activations are worked on: the shared SRAM, or a scratchpad where engines reach no more. */
static inline uint64_t wl_work_bytes(const wl_target *t) {
  return t->pads_only && t->pad_B < t->sram_B ? t->pad_B : t->sram_B;
}
/* Of the MLP, in work at a time. */
uint32_t chunks_abreast(const build *b);
chunks chunks_plan(const build *b);

#endif
