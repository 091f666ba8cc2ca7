/* One transformer block, put together from linear.c and attention.c; and what all parts of the
 * compiler share. */
#include "workloads/build.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- shared ---------------------------------------------------------------------------------- */

bool build_integer(dtype d) {
  return d == DT_INT8 || d == DT_INT4;
}

const char *build_name(build *b, const char *fmt, ...) {
  char text[160];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  return arena_printf(b->a, "%s%s", b->prefix, text);
}

const char *build_part(build *b, const char *name, uint64_t part, uint64_t parts) {
  if (parts == 1) return name;
  return arena_printf(b->a, "%s %" PRIu64 "/%" PRIu64, name, part + 1, parts);
}

/* A new group where the split keeps the op whole; the one group under none; none for single tasks
 * of head and tile. */
void build_op(build *b) {
  if (b->o->split >= WL_HEAD)
    b->op_group = DAG_NO_GROUP;
  else
    b->op_group = b->o->split == WL_NONE ? 0 : b->d->n_groups++;
}

uint32_t build_act(build *b, const char *name, uint64_t rows, uint64_t cols) {
  return dag_add_tensor(b->d, name, DAG_SRAM, DAG_ACT, b->o->act_dtype, 2,
                        (uint64_t[]){rows, cols});
}

columns build_columns(build *b, const char *name, uint64_t width, const uint64_t *cuts,
                      size_t n_cuts) {
  columns c = {.n = n_cuts + 1};
  c.tensor = ARENA_NEW(b->a, uint32_t, c.n);
  c.first = ARENA_NEW(b->a, uint64_t, c.n + 1);
  for (size_t i = 0; i < n_cuts; i++) c.first[i + 1] = cuts[i];
  c.first[c.n] = width;
  for (size_t i = 0; i < c.n; i++) {
    const char *seg = n_cuts == 0 ? build_name(b, "%s", name)
                                  : build_name(b, "%s[%" PRIu64 ":%" PRIu64 "]", name, c.first[i],
                                               c.first[i + 1]);
    c.tensor[i] = build_act(b, seg, b->rows, c.first[i + 1] - c.first[i]);
  }
  return c;
}

columns columns_range(build *b, const char *name, uint64_t begin, uint64_t end, bool all) {
  columns c = {
      .n = 1, .tensor = ARENA_NEW(b->a, uint32_t, 1), .first = ARENA_NEW(b->a, uint64_t, 2)};
  c.first[0] = begin;
  c.first[1] = end;
  const char *text = all ? build_name(b, "%s", name)
                         : build_name(b, "%s[%" PRIu64 ":%" PRIu64 "]", name, begin, end);
  c.tensor[0] = build_act(b, text, b->rows, end - begin);
  return c;
}

columns columns_like(build *b, const char *name, const columns *c) {
  columns y = {.n = c->n, .tensor = ARENA_NEW(b->a, uint32_t, c->n), .first = c->first};
  for (size_t i = 0; i < c->n; i++)
    y.tensor[i] = columns_range(b, name, c->first[i], c->first[i + 1], c->n == 1).tensor[0];
  return y;
}

columns columns_one(build *b, uint32_t tensor) {
  columns c = {.n = 1};
  c.tensor = ARENA_NEW(b->a, uint32_t, 1);
  c.first = ARENA_NEW(b->a, uint64_t, 2);
  c.tensor[0] = tensor;
  c.first[1] = b->d->tensors[tensor].dim[1];
  return c;
}

dag_view columns_view(const build *b, const columns *c, uint64_t row, uint64_t rows, uint64_t col,
                      uint64_t n) {
  size_t i = 0;
  while (i + 1 < c->n && c->first[i + 1] <= col) i++;
  assert(col >= c->first[i] && col + n <= c->first[i + 1]);
  return build_box2(b, c->tensor[i], row, rows, col - c->first[i], n);
}

dag_view build_box2(const build *b, uint32_t tensor, uint64_t row, uint64_t rows, uint64_t col,
                    uint64_t cols) {
  return dag_box(b->d, tensor, (uint64_t[]){row, col}, (uint64_t[]){rows, cols});
}

dag_view build_box3(const build *b, uint32_t tensor, uint64_t i, uint64_t n, uint64_t row,
                    uint64_t rows) {
  return dag_box(b->d, tensor, (uint64_t[]){i, row, 0},
                 (uint64_t[]){n, rows, b->d->tensors[tensor].dim[2]});
}

uint32_t build_emit_at(build *b, op o, const char *name, uint32_t group, uint64_t pos, uint64_t key,
                       const dag_view *reads, size_t n_reads, const dag_view *writes,
                       size_t n_writes, uint32_t after) {
  dag_task t = {.name = name,
                .group = group,
                .layer = b->layer,
                .step = b->step,
                .pos = (uint32_t)pos,
                .key = (uint32_t)key,
                .op = (uint8_t)o};
  return dag_add_task_after(b->d, &t, reads, n_reads, writes, n_writes, &after,
                            after != DAG_NO_TASK);
}

void build_emit(build *b, op o, const char *name, uint32_t group, const dag_view *reads,
                size_t n_reads, const dag_view *writes, size_t n_writes) {
  build_emit_at(b, o, name, group, 0, 0, reads, n_reads, writes, n_writes, DAG_NO_TASK);
}

typedef struct known {
  const char *name;
  uint32_t tensor;
} known;

uint32_t build_home(build *b, const char *name, dag_role role, dtype dt, uint32_t rank,
                    const uint64_t *dim) {
  /* steps ask in the same order, so what is looked for mostly stands behind what was found last */
  for (size_t i = 0; i < b->n_known && b->again; i++) {
    size_t k = (b->next_known + i) % b->n_known;
    if (strcmp(b->known[k].name, name) != 0) continue;
    b->next_known = k + 1;
    return b->known[k].tensor;
  }
  known x = {name, dag_add_tensor(b->d, name, DAG_DRAM, role, dt, rank, dim)};
  ARENA_PUSH(b->a, b->known, b->n_known, b->cap_known, x);
  b->next_known = b->n_known;
  return x.tensor;
}

/* ---- vector ops ------------------------------------------------------------------------------ */

/* How many tasks a row-wise or column-wise op divides into under this split. */
static uint64_t vector_parts(const build *b, uint64_t n) {
  if (b->o->split < WL_HEAD) return 1;
  return b->parts < n ? b->parts : n;
}

/* Small, as the first product waits for the last of them. */
uint64_t block_input_parts(const build *b) {
  uint64_t parts = 4 * b->target->engines;
  return parts < b->rows ? parts : b->rows;
}

/* Where engines reach their scratchpad only, the operands of a task must fit it: in half of it,
 * here, in as many parts as that takes, each of `parts` cut evenly. */
static uint64_t fitting_parts(const build *b, uint64_t parts, uint64_t operands_B, uint64_t n) {
  if (!b->target->pads_only) return parts;
  uint64_t fit = b->target->pad_B / 2 > 0 ? b->target->pad_B / 2 : 1;
  uint64_t more = (operands_B / parts + fit - 1) / fit;
  return more > 1 && parts <= n / more ? parts * more : parts;
}

/* The weights of a norm, whole, in SRAM. */
static uint32_t norm_tile(build *b, const char *name, uint32_t home) {
  const dag_tensor x = b->d->tensors[home];
  pin_key key = {home, 0, x.dim[0], 0, 0};
  uint32_t tile, none;
  if (resident_weights(b) && pin_find(b, &key, &tile, &none)) return tile;
  tile = dag_add_tensor(b->d, arena_printf(b->a, "%s[0:%" PRIu64 "]", name, x.dim[0]), DAG_SRAM,
                        DAG_WEIGHT, (dtype)x.dtype, 1, x.dim);
  dag_view from = dag_all(b->d, home), to = dag_all(b->d, tile);
  build_emit(b, OP_LOAD_WEIGHT, name, DAG_NO_GROUP, &from, 1, &to, 1);
  if (resident_weights(b) && pin_fits(b, dag_view_bytes(b->d, &to)))
    pin_add(b, &key, tile, DAG_NO_TENSOR);
  return tile;
}

uint32_t block_norm(build *b, const char *what, const columns *x, uint64_t row, uint64_t rows) {
  uint64_t C = b->m->hidden_size, x_B = dtype_bytes(b->o->act_dtype, rows * C);
  uint64_t parts = vector_parts(b, rows);
  bool as_loaded =
      b->first_block && x->n == 1 && rows == b->rows && parts > 1 && x_B > b->c.piece_B;
  bool first = strcmp(what, "attn_norm") == 0;
  if (as_loaded && first) parts = block_input_parts(b);
  parts = fitting_parts(b, parts, 2 * x_B, rows);
  const char *name = build_name(b, "%s", what);
  const char *weight = build_name(b, "%s.weight", what);
  dtype dt = build_integer(b->o->act_dtype) ? DT_BF16 : b->o->act_dtype;
  uint32_t w =
      build_home(b, arena_printf(b->a, "L%u.%s.weight", b->layer, what), DAG_WEIGHT, dt, 1, &C);
  dag_view to = dag_all(b->d, norm_tile(b, weight, w));
  uint32_t y = build_act(b, name, rows, C);
  build_op(b);
  uint32_t after = first && b->first_block ? b->behind : DAG_NO_TASK;
  for (uint64_t p = 0; p < parts; p++) {
    uint64_t lo = rows * p / parts, n = rows * (p + 1) / parts - lo;
    dag_view reads[2] = {columns_view(b, x, row + lo, n, 0, C), to},
             yv = build_box2(b, y, lo, n, 0, C);
    build_emit_at(b, OP_RMSNORM, build_part(b, name, p, parts), b->op_group, 0, 0, reads, 2, &yv, 1,
                  after);
  }
  return y;
}

/* y = op(x1, x2) element by element, divided by columns as the linear layers are; y's segments
 * follow x1's. `tag` goes into the tasks' names, `place` into y's. */
static uint32_t elementwise(build *b, op o, uint32_t group, const char *what, const char *tag,
                            const char *place, const columns *x1, const columns *x2,
                            uint64_t cols) {
  const char *name = build_name(b, "%s%s", what, tag);
  uint64_t x_B = dtype_bytes(b->o->act_dtype, b->rows * cols);
  uint64_t parts = fitting_parts(b, vector_parts(b, cols), 3 * x_B, cols);
  uint32_t y = build_act(b, build_name(b, "%s%s", what, place), b->rows, cols);
  for (uint64_t p = 0; p < parts; p++) {
    uint64_t lo = cols * p / parts, n = cols * (p + 1) / parts - lo;
    dag_view reads[2] = {columns_view(b, x1, 0, b->rows, lo, n),
                         columns_view(b, x2, 0, b->rows, lo, n)};
    dag_view yv = build_box2(b, y, 0, b->rows, lo, n);
    build_emit(b, o, build_part(b, name, p, parts), group, reads, 2, &yv, 1);
  }
  return y;
}

/* ---- the block ------------------------------------------------------------------------------- */

/* One chunk of intermediate columns, i0 .. i0+n-1: gate, up and SiLU(gate) * up. */
static columns mlp_chunk(build *b, linear *gate, linear *up, uint32_t silu_group, const columns *x,
                         uint64_t i0, uint64_t n, const char *tag, const uint32_t *after) {
  const char *place = *tag == 0 ? "" : arena_printf(b->a, "[%" PRIu64 ":%" PRIu64 "]", i0, i0 + n);
  columns g = build_columns(b, arena_printf(b->a, "gate%s", place), n, NULL, 0);
  const char *what = b->c.fuse ? "silu_mul" : "up";
  columns u = build_columns(b, arena_printf(b->a, "%s%s", what, place), n, NULL, 0);
  linear_range r = {.row0 = i0,
                    .n = n,
                    .kn = b->m->hidden_size,
                    .x = x,
                    .x_rows = b->rows,
                    .y = &g,
                    .y_first = i0,
                    .first = true,
                    .last = true,
                    .tag = tag,
                    .after = after};
  linear_run(b, gate, &r);
  r.after = NULL;
  r.y = &u;
  if (b->c.fuse) r.fused = FUSED_SILU, r.with = &g;
  linear_run(b, up, &r);
  if (b->c.fuse) return u;
  return columns_one(b, elementwise(b, OP_SILU_MUL, silu_group, "silu_mul", tag, place, &g, &u, n));
}

static columns residual(build *b, const char *what, const columns *x, const columns *y) {
  build_op(b);
  return columns_one(b, elementwise(b, OP_ADD, b->op_group, what, "", "", x, y, b->m->hidden_size));
}

/* Chunks as even as whole groups of 32 columns allow (int4's scales are not cut). */
static uint64_t chunk_begin(uint64_t cols, uint64_t chunk, uint64_t count) {
  return chunk == count ? cols : cols / 32 * chunk / count * 32;
}

/* gate, up, SiLU*up, down and the residual sum, by chunks of intermediate columns; down's partial
 * sums go from chunk to chunk. Two chunks are in work at a time, as if each had the other half of a
 * double buffer: an engine begins the chunk after next when it has done its part of this one. Under
 * op three are, as gate, up and down have an engine each; or as many as the target says. */
static columns mlp(build *b, const columns *x, const columns *r1) {
  uint64_t C = b->m->hidden_size, I = b->m->intermediate_size;
  uint64_t count = (I + b->c.mlp_cols - 1) / b->c.mlp_cols;
  if (count > I / 32) count = I / 32 > 0 ? I / 32 : 1;
  linear gate = linear_new(b, "gate", C, I, DAG_NO_TENSOR, DAG_NO_TENSOR);
  linear up = linear_new(b, "up", C, I, DAG_NO_TENSOR, DAG_NO_TENSOR);
  build_op(b);
  uint32_t silu_group = b->op_group;
  linear down = linear_new(b, "down", I, C, DAG_NO_TENSOR, DAG_NO_TENSOR);
  columns y = build_columns(b, b->c.fuse ? "resid2" : "down", C, NULL, 0);
  uint32_t abreast = chunks_abreast(b), **done = ARENA_NEW(b->a, uint32_t *, abreast);
  for (uint32_t i = 0; i < abreast; i++) {
    done[i] = ARENA_NEW(b->a, uint32_t, down.parts);
    for (uint32_t p = 0; p < down.parts; p++) done[i][p] = DAG_NO_TASK;
  }
  /* done: by part, the last task of down's latest chunks */
  bool in_step = gate.parts == down.parts;
  for (uint64_t c = 0; c < count; c++) {
    uint64_t i0 = chunk_begin(I, c, count), n = chunk_begin(I, c + 1, count) - i0;
    const char *tag =
        count == 1 ? "" : arena_printf(b->a, " chunk %" PRIu64 "/%" PRIu64, c + 1, count);
    columns s =
        mlp_chunk(b, &gate, &up, silu_group, x, i0, n, tag, in_step ? done[c % abreast] : NULL);
    linear_range d = {.n = C,
                      .k0 = i0,
                      .kn = n,
                      .x = &s,
                      .x_rows = b->rows,
                      .y = &y,
                      .first = c == 0,
                      .last = c + 1 == count,
                      .tag = tag,
                      .fused = b->c.fuse ? FUSED_ADD : FUSED_NOTHING,
                      .with = r1,
                      .ramp_down = b->last_block && c + 1 == count};
    linear_run(b, &down, &d);
    memcpy(done[c % abreast], down.last, down.parts * sizeof *down.last);
  }
  return b->c.fuse ? y : residual(b, "resid2", r1, &y);
}

/* RoPE is part of a projection where a piece is a whole head at least, each engine has one, and all
 * rows are of one sequence. */
static bool rope_fused(const build *b, uint64_t heads) {
  uint64_t head_B = dtype_bytes(b->o->weight_dtype, b->m->head_dim * b->m->hidden_size);
  return b->c.fuse && b->o->batch == 1 && heads >= b->parts && head_B <= b->c.piece_B;
}

/* O projection of what attention gives; with the residual sum, where it is fused. */
static columns output_sum(build *b, const columns *heads, const columns *x) {
  uint64_t C = b->m->hidden_size;
  linear o = linear_new(b, "o_proj", b->q_cols, C, DAG_NO_TENSOR, DAG_NO_TENSOR);
  columns y = build_columns(b, b->c.fuse ? "resid1" : "o_proj", C, NULL, 0);
  linear_run(b, &o,
             &(linear_range){.n = C,
                             .kn = b->q_cols,
                             .x = heads,
                             .x_rows = b->rows,
                             .y = &y,
                             .first = true,
                             .last = true,
                             .tag = "",
                             .fused = b->c.fuse ? FUSED_ADD : FUSED_NOTHING,
                             .with = x});
  return y;
}

/* Whether a task's operand, of those in the shared SRAM, takes room of its own at any rate: one
 * that is written may take over that of one that is read. */
bool build_takes_room(const dag *d, uint32_t task, uint32_t operand) {
  const dag_task *t = &d->tasks[task];
  const dag_view *v = dag_reads(d, t);
  if (d->tensors[v[operand].tensor].space != DAG_SRAM) return false;
  for (uint32_t k = 0; k < operand; k++)
    if (v[k].tensor == v[operand].tensor) return false;
  for (uint32_t k = 0; k < t->n_reads && operand >= t->n_reads; k++)
    if (op_in_place((op)t->op, k, t->n_reads, operand - t->n_reads)) return false;
  return true;
}

static uint64_t operands_B(const dag *d, uint32_t task) {
  const dag_task *t = &d->tasks[task];
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < (uint32_t)t->n_reads + t->n_writes; i++)
    if (build_takes_room(d, task, i))
      bytes += dag_tensor_bytes(&d->tensors[dag_reads(d, t)[i].tensor]);
  return bytes;
}

bool build_impossible(build *b) {
  uint64_t most = b->target->most_B;
  for (; most > 0 && b->impossible_B == 0 && b->checked < b->d->n_tasks; b->checked++) {
    uint64_t bytes = operands_B(b->d, b->checked);
    if (bytes <= most) continue;
    b->impossible_B = bytes;
    break;
  }
  return b->impossible_B > 0;
}

/* From the normalised input to O's sum, all heads together. */
static columns attention_sum(build *b, const columns *n1, const columns *x, bool rope_q,
                             bool rope_k) {
  uint64_t C = b->m->hidden_size, hd = b->m->head_dim, *cuts = NULL;
  uint64_t share = b->m->num_attention_heads / b->m->num_key_value_heads;
  size_t n_cuts = attention_cuts(b, share * hd, &cuts);
  columns q = linear_all(b, "q_proj", rope_q ? "q_rope" : "q_proj", n1, C, b->q_cols, cuts, n_cuts,
                         rope_q ? FUSED_ROPE : FUSED_NOTHING, false);
  n_cuts = attention_cuts(b, hd, &cuts);
  columns k = linear_all(b, "k_proj", rope_k ? "k_rope" : "k_proj", n1, C, b->kv_cols, cuts, n_cuts,
                         rope_k ? FUSED_ROPE : FUSED_NOTHING, b->first_block);
  columns v = linear_all(b, "v_proj", "v_proj", n1, C, b->kv_cols, cuts, n_cuts, FUSED_NOTHING,
                         b->first_block);
  columns heads = attention(b, &q, &k, &v, rope_q, rope_k);
  return output_sum(b, &heads, x);
}

columns block(build *b, const columns *x) {
  columns n1 = columns_one(b, block_norm(b, "attn_norm", x, 0, b->rows));
  if (build_impossible(b)) return n1;
  bool rope_q = rope_fused(b, b->m->num_attention_heads);
  bool rope_k = rope_fused(b, b->m->num_key_value_heads);
  columns y = b->c.by_heads ? heads_sum(b, &n1, x, rope_q, rope_k)
                            : attention_sum(b, &n1, x, rope_q, rope_k);
  columns r1 = b->c.fuse ? y : residual(b, "resid1", x, &y);
  if (build_impossible(b)) return r1;
  columns n2 = columns_one(b, block_norm(b, "ffn_norm", &r1, 0, b->rows));
  return mlp(b, &n2, &r1);
}
