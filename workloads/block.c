/* One transformer block, put together from linear.c and attention.c; and what all parts of the
 * compiler share. */
#include "workloads/build.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

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

void build_emit_at(build *b, op o, const char *name, uint32_t group, uint64_t pos, uint64_t key,
                   const dag_view *reads, size_t n_reads, const dag_view *writes, size_t n_writes) {
  dag_task t = {.name = name,
                .group = group,
                .layer = b->layer,
                .step = b->step,
                .pos = (uint32_t)pos,
                .key = (uint32_t)key,
                .op = (uint8_t)o};
  dag_add_task(b->d, &t, reads, n_reads, writes, n_writes);
}

void build_emit(build *b, op o, const char *name, uint32_t group, const dag_view *reads,
                size_t n_reads, const dag_view *writes, size_t n_writes) {
  build_emit_at(b, o, name, group, 0, 0, reads, n_reads, writes, n_writes);
}

/* ---- vector ops ------------------------------------------------------------------------------ */

/* How many tasks a row-wise or column-wise op divides into under this split. */
static uint64_t vector_parts(const build *b, uint64_t n) {
  if (b->o->split < WL_HEAD) return 1;
  return b->parts < n ? b->parts : n;
}

/* Where engines reach their scratchpad only, the operands of a task must fit it: in half of it,
 * here, in as many parts as that takes, each of `parts` cut evenly. */
static uint64_t fitting_parts(const build *b, uint64_t parts, uint64_t operands_B, uint64_t n) {
  if (!b->target->pads_only) return parts;
  uint64_t fit = b->target->pad_B / 2 > 0 ? b->target->pad_B / 2 : 1;
  uint64_t more = (operands_B / parts + fit - 1) / fit;
  return more > 1 && parts <= n / more ? parts * more : parts;
}

uint32_t block_norm(build *b, const char *what, const columns *x, uint64_t row, uint64_t rows) {
  uint64_t C = b->m->hidden_size, x_B = dtype_bytes(b->o->act_dtype, rows * C);
  uint64_t parts = fitting_parts(b, vector_parts(b, rows), 2 * x_B, rows);
  const char *name = build_name(b, "%s", what);
  const char *weight = build_name(b, "%s.weight", what);
  dtype dt = build_integer(b->o->act_dtype) ? DT_BF16 : b->o->act_dtype;
  uint32_t w = dag_add_tensor(b->d, arena_printf(b->a, "L%u.%s.weight", b->layer, what), DAG_DRAM,
                              DAG_WEIGHT, dt, 1, &C);
  uint32_t tile = dag_add_tensor(b->d, arena_printf(b->a, "%s[0:%" PRIu64 "]", weight, C), DAG_SRAM,
                                 DAG_WEIGHT, dt, 1, &C);
  dag_view from = dag_all(b->d, w), to = dag_all(b->d, tile);
  build_emit(b, OP_LOAD_WEIGHT, weight, DAG_NO_GROUP, &from, 1, &to, 1);
  uint32_t y = build_act(b, name, rows, C);
  build_op(b);
  for (uint64_t p = 0; p < parts; p++) {
    uint64_t lo = rows * p / parts, n = rows * (p + 1) / parts - lo;
    dag_view reads[2] = {columns_view(b, x, row + lo, n, 0, C), to},
             yv = build_box2(b, y, lo, n, 0, C);
    build_emit(b, OP_RMSNORM, build_part(b, name, p, parts), b->op_group, reads, 2, &yv, 1);
  }
  return y;
}

/* y = op(x1, x2) element by element, divided by columns as the linear layers are; y's segments
 * follow x1's. */
static uint32_t elementwise(build *b, op o, uint32_t group, const char *what, const char *tag,
                            const columns *x1, const columns *x2, uint64_t cols) {
  const char *name = build_name(b, "%s%s", what, tag);
  uint64_t x_B = dtype_bytes(b->o->act_dtype, b->rows * cols);
  uint64_t parts = fitting_parts(b, vector_parts(b, cols), 3 * x_B, cols);
  uint32_t y = build_act(b, name, b->rows, cols);
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

/* gate, up, SiLU*up and down, by chunks of intermediate columns; down's partial sums go from chunk
 * to chunk. */
static columns mlp(build *b, const columns *x) {
  uint64_t C = b->m->hidden_size, I = b->m->intermediate_size, step = b->c.mlp_cols,
           count = (I + step - 1) / step;
  linear gate = linear_new(b, "gate", C, I, DAG_NO_TENSOR, DAG_NO_TENSOR);
  linear up = linear_new(b, "up", C, I, DAG_NO_TENSOR, DAG_NO_TENSOR);
  build_op(b);
  uint32_t silu_group = b->op_group;
  linear down = linear_new(b, "down", I, C, DAG_NO_TENSOR, DAG_NO_TENSOR);
  columns y = build_columns(b, "down", C, NULL, 0);
  for (uint64_t c = 0; c < count; c++) {
    uint64_t i0 = c * step, n = I - i0 < step ? I - i0 : step, parts = vector_parts(b, n);
    const char *tag =
        count == 1 ? "" : arena_printf(b->a, " chunk %" PRIu64 "/%" PRIu64, c + 1, count);
    uint64_t *cuts = ARENA_NEW(b->a, uint64_t, parts);
    size_t n_cuts = 0;
    for (uint64_t p = 1; p < parts && count > 1; p++) cuts[n_cuts++] = n * p / parts;
    columns g = build_columns(b, arena_printf(b->a, "gate%s", tag), n, cuts, n_cuts);
    columns u = build_columns(b, arena_printf(b->a, "up%s", tag), n, cuts, n_cuts);
    linear_range r = {.row0 = i0,
                      .n = n,
                      .k0 = 0,
                      .kn = C,
                      .x = x,
                      .x_rows = b->rows,
                      .y = &g,
                      .y_first = i0,
                      .first = true,
                      .last = true,
                      .tag = tag};
    linear_run(b, &gate, &r);
    r.y = &u;
    linear_run(b, &up, &r);
    columns s = columns_one(b, elementwise(b, OP_SILU_MUL, silu_group, "silu_mul", tag, &g, &u, n));
    linear_range d = {.row0 = 0,
                      .n = C,
                      .k0 = i0,
                      .kn = n,
                      .x = &s,
                      .x_rows = b->rows,
                      .y = &y,
                      .first = c == 0,
                      .last = c + 1 == count,
                      .tag = tag};
    linear_run(b, &down, &d);
  }
  return y;
}

static columns residual(build *b, const char *what, const columns *x, const columns *y) {
  build_op(b);
  return columns_one(b, elementwise(b, OP_ADD, b->op_group, what, "", x, y, b->m->hidden_size));
}

columns block(build *b, const columns *x) {
  uint64_t C = b->m->hidden_size, hd = b->m->head_dim, *cuts = NULL;
  uint64_t share = b->m->num_attention_heads / b->m->num_key_value_heads;
  columns n1 = columns_one(b, block_norm(b, "attn_norm", x, 0, b->rows));
  size_t n_cuts = attention_cuts(b, share * hd, &cuts);
  columns q = linear_all(b, "q_proj", &n1, C, b->q_cols, cuts, n_cuts);
  n_cuts = attention_cuts(b, hd, &cuts);
  columns k = linear_all(b, "k_proj", &n1, C, b->kv_cols, cuts, n_cuts);
  columns v = linear_all(b, "v_proj", &n1, C, b->kv_cols, cuts, n_cuts);
  columns attn = attention(b, &q, &k, &v);
  columns o = linear_all(b, "o_proj", &attn, b->q_cols, C, NULL, 0);
  columns r1 = residual(b, "resid1", x, &o);
  columns n2 = columns_one(b, block_norm(b, "ffn_norm", &r1, 0, b->rows));
  columns down = mlp(b, &n2);
  return residual(b, "resid2", &r1, &down);
}
