/* Linear layers: parts of output columns over the engines, each streamed in tiles of weights that
 * fit SRAM. */
#include <inttypes.h>
#include <stdio.h>

#include "workloads/build.h"

static uint64_t scale_cols(dtype d, uint64_t in) {
  return d == DT_INT4 ? (in + 31) / 32 : 1;
}

static dtype scale_dtype(dtype weight) {
  return weight == DT_INT8 ? DT_F32 : DT_F16;
}

linear linear_new(build *b, const char *what, uint64_t in, uint64_t out_rows, uint32_t table,
                  uint32_t table_scale) {
  dtype w = b->o->weight_dtype;
  linear l = {.what = what,
              .name = build_name(b, "%s", what),
              .in = in,
              .out = out_rows,
              .weight = table,
              .scale = table_scale};
  const char *layer =
      arena_printf(b->a, "L%u.%s", b->layer, what); /* weights are the same in every step */
  if (table == DAG_NO_TENSOR) {
    l.weight = build_home(b, arena_printf(b->a, "%s.weight", layer), DAG_WEIGHT, w, 2,
                          (uint64_t[]){out_rows, in});
    if (build_integer(w))
      l.scale = build_home(b, arena_printf(b->a, "%s.scale", layer), DAG_SCALE, scale_dtype(w), 2,
                           (uint64_t[]){out_rows, scale_cols(w, in)});
  }
  l.parts = b->parts < out_rows ? b->parts : (uint32_t)out_rows;
  build_op(b);
  l.group = ARENA_NEW(b->a, uint32_t, l.parts);
  l.last = ARENA_NEW(b->a, uint32_t, l.parts);
  for (uint32_t p = 0; p < l.parts; p++)
    l.group[p] = b->o->split >= WL_HEAD ? b->d->n_groups + p : b->op_group;
  if (b->o->split >= WL_HEAD) b->d->n_groups += l.parts;
  return l;
}

/* One tile of weights: rows lo .. lo+n-1, inner columns k .. k+kn-1; where it is in its part. */
typedef struct tile {
  uint32_t part;
  uint64_t lo, n, k, kn;
  uint64_t piece, pieces, k_piece, k_pieces;
  uint32_t *kept;      /* scale tile of these rows, once loaded */
  const columns *from; /* partial sums that the tile adds to, NULL: none */
  const columns *to;   /* partial sums, or y */
} tile;

static const char *label(build *b, const linear *l, const linear_range *r, const tile *t) {
  char text[96] = "";
  size_t at = 0;
  if (l->parts > 1) at += (size_t)snprintf(text, sizeof text, " %u/%u", t->part + 1, l->parts);
  if (t->pieces > 1)
    at += (size_t)snprintf(text + at, sizeof text - at, " piece %" PRIu64 "/%" PRIu64, t->piece + 1,
                           t->pieces);
  if (t->k_pieces > 1)
    snprintf(text + at, sizeof text - at, " inner %" PRIu64 "/%" PRIu64, t->k_piece + 1,
             t->k_pieces);
  return arena_printf(b->a, "%s%s", r->tag, text);
}

/* Loads the tile's weights, and the scales that are not there yet; fills the operands w and (for
 * integers) scale. */
static size_t load_tile(build *b, const linear *l, const tile *t, const char *text,
                        dag_view operand[2]) {
  dtype w = b->o->weight_dtype;
  const char *place = t->kn == l->in
                          ? arena_printf(b->a, "[%" PRIu64 ":%" PRIu64 "]", t->lo, t->lo + t->n)
                          : arena_printf(b->a, "[%" PRIu64 ":%" PRIu64 ",%" PRIu64 ":%" PRIu64 "]",
                                         t->lo, t->lo + t->n, t->k, t->k + t->kn);
  pin_key key = {l->weight, t->lo, t->n, t->k, t->kn};
  uint32_t tensor, scale = DAG_NO_TENSOR;
  if (resident_weights(b) && pin_find(b, &key, &tensor, &scale)) {
    operand[0] = dag_all(b->d, tensor);
    if (scale == DAG_NO_TENSOR) return 1;
    if (w == DT_INT8) *t->kept = scale;
    operand[1] = dag_all(b->d, scale);
    return 2;
  }
  tensor = dag_add_tensor(b->d, arena_printf(b->a, "%s.weight%s", l->name, place), DAG_SRAM,
                          DAG_WEIGHT, w, 2, (uint64_t[]){t->n, t->kn});
  dag_view from[2] = {build_box2(b, l->weight, t->lo, t->n, t->k, t->kn)},
           to[2] = {dag_all(b->d, tensor)};
  size_t operands = 1, loads = 1;
  if (build_integer(w)) {
    bool keep = w == DT_INT8; /* one scale a row serves every inner chunk */
    if (!keep || *t->kept == DAG_NO_TENSOR) {
      uint64_t first = w == DT_INT4 ? t->k / 32 : 0, cols = scale_cols(w, t->kn);
      scale = dag_add_tensor(b->d, arena_printf(b->a, "%s.scale%s", l->name, place), DAG_SRAM,
                             DAG_SCALE, scale_dtype(w), 2, (uint64_t[]){t->n, cols});
      from[1] = build_box2(b, l->scale, t->lo, t->n, first, cols);
      to[1] = dag_all(b->d, scale);
      if (keep) *t->kept = scale;
      loads = 2;
    } else {
      scale = *t->kept;
      to[1] = dag_all(b->d, scale);
    }
    operands = 2;
  }
  build_emit(b, OP_LOAD_WEIGHT, arena_printf(b->a, "%s.weight%s", l->name, text), DAG_NO_GROUP,
             from, loads, to, loads);
  operand[0] = to[0], operand[1] = to[1];
  uint64_t bytes = dag_view_bytes(b->d, &to[0]);
  if (operands > 1) bytes += dag_view_bytes(b->d, &to[1]);
  if (resident_weights(b) && pin_fits(b, bytes)) pin_add(b, &key, tensor, scale);
  return operands;
}

/* The op of a tile that begins the sum or goes on with it, and ends it or not. */
static op tile_op(fusion fused, bool begins, bool ends) {
  if (fused == FUSED_SILU && ends) return begins ? OP_MATMUL_SILU : OP_MATMUL_ACC_SILU;
  if (fused == FUSED_ROPE && ends) return begins ? OP_MATMUL_ROPE : OP_MATMUL_ACC_ROPE;
  if (fused == FUSED_ADD && begins) return OP_MATMUL_ADD;
  return begins ? OP_MATMUL : OP_MATMUL_ACC;
}

/* Loads one tile and multiplies by it. */
static void run_tile(build *b, linear *l, const linear_range *r, const tile *t) {
  const char *text = label(b, l, r, t), *name = arena_printf(b->a, "%s%s", l->name, text);
  dag_view reads[5] = {columns_view(b, r->x, r->x_row, r->x_rows, t->k - r->k0, t->kn)};
  size_t n = 1 + load_tile(b, l, t, text, reads + 1);
  uint64_t col = t->lo - r->y_first;
  op o = tile_op(r->fused, t->from == NULL, t->to == r->y);
  if (t->from != NULL) reads[n++] = columns_view(b, t->from, 0, r->x_rows, col, t->n);
  if (o == OP_MATMUL_SILU || o == OP_MATMUL_ACC_SILU || o == OP_MATMUL_ADD)
    reads[n++] = columns_view(b, r->with, 0, r->x_rows, col, t->n);
  dag_view y = columns_view(b, t->to, 0, r->x_rows, col, t->n);
  bool rope = o == OP_MATMUL_ROPE || o == OP_MATMUL_ACC_ROPE;
  dag_task task = {.name = name,
                   .group = l->group[t->part],
                   .layer = b->layer,
                   .step = b->step,
                   .pos = rope ? (uint32_t)b->past : 0,
                   .op = (uint8_t)o};
  uint32_t after = r->after != NULL ? r->after[t->part] : DAG_NO_TASK;
  l->last[t->part] = dag_add_task_after(b->d, &task, reads, n, &y, 1, &after, after != DAG_NO_TASK);
}

/* The last piece of a part in halves, quarters, ...: none below so many bytes, and none of so few
 * columns that streaming the input rows takes longest. */
enum { RAMP_STEPS = 3, RAMP_LEAST_B = 32 * 1024, RAMP_REUSE = 4 };

static void add_ramp(build *b, cut_list *c, cut rest, uint64_t row_B) {
  for (size_t step = 0; step < RAMP_STEPS; step++) {
    uint64_t half = rest.n / 2;
    if (half * row_B < RAMP_LEAST_B || half * RAMP_REUSE < b->rows) break;
    cut x = {rest.lo, rest.n - half};
    ARENA_PUSH(b->a, c->at, c->n, c->cap, x);
    rest = (cut){rest.lo + x.n, half};
  }
  ARENA_PUSH(b->a, c->at, c->n, c->cap, rest);
}

/* Columns that stay together: a head where RoPE is part of it. */
static uint64_t unit_of(const build *b, const linear_range *r) {
  return r->fused == FUSED_ROPE ? b->m->head_dim : 1;
}

/* The columns of one part within the range, cut at y's segments and into pieces of at most `fit`.
 */
static cut_list cut_part(build *b, const linear_range *r, uint64_t lo, uint64_t hi, uint64_t fit,
                         uint64_t row_B) {
  cut_list all = {0};
  /* int8's scales were loaded with the pieces of the first inner chunk, which must stay */
  bool ramps = r->first || b->o->weight_dtype != DT_INT8;
  for (size_t s = 0; s < r->y->n; s++) {
    uint64_t from = r->y->first[s] + r->y_first, to = r->y->first[s + 1] + r->y_first;
    from = from > lo ? from : lo;
    to = to < hi ? to : hi;
    if (from >= to) continue;
    uint64_t unit = unit_of(b, r), units = (to - from) / unit, pieces = (to - from + fit - 1) / fit;
    for (uint64_t i = 0; i < pieces; i++) {
      cut c = {from + units * i / pieces * unit,
               (units * (i + 1) / pieces - units * i / pieces) * unit};
      if (ramps && r->ramp_down && c.lo + c.n == hi)
        add_ramp(b, &all, c, row_B);
      else
        ARENA_PUSH(b->a, all.at, all.n, all.cap, c);
    }
  }
  return all;
}

/* Inner length of a tile: all, or what the split asks for, in whole groups of 32 so that int4's
 * scales are cut too. */
static uint64_t inner(const build *b, const linear_range *r) {
  uint64_t k = b->c.tile_k == 0 || b->c.tile_k > r->kn ? r->kn : b->c.tile_k;
  return k < r->kn ? (k + 31) / 32 * 32 : k;
}

/* The tiles that the engines wait for when a step with many rows begins: in so many inner parts, the
 * first two small, each of the others as long as all before it. */
enum { RAMP_PARTS = 3 };

/* Where the inner dimension is cut, from 0 to r->kn; returns into how many parts. */
static uint64_t cut_inner(build *b, const linear_range *r, uint64_t kn, uint64_t **bound) {
  bool ramps = r->ramp_up && b->c.many && kn == r->kn && kn >= 32 << RAMP_PARTS;
  uint64_t n = ramps ? RAMP_PARTS : (r->kn + kn - 1) / kn, *at = ARENA_NEW(b->a, uint64_t, n + 1);
  for (uint64_t k = 1; k < n; k++) at[k] = ramps ? (kn >> (n - k)) / 32 * 32 : k * kn;
  at[n] = r->kn;
  *bound = at;
  return n;
}

void linear_run(build *b, linear *l, const linear_range *r) {
  dtype w = b->o->weight_dtype;
  uint64_t kn = inner(b, r);
  uint64_t row_B = dtype_bytes(w, kn);
  if (build_integer(w)) row_B += dtype_bytes(scale_dtype(w), scale_cols(w, kn));
  if (r->first) l->fit = b->c.piece_B / row_B > 0 ? b->c.piece_B / row_B : 1;
  uint64_t unit = unit_of(b, r), units = r->n / unit;
  l->fit = l->fit < unit ? unit : l->fit / unit * unit;
  uint64_t *bound, k_pieces = cut_inner(b, r, kn, &bound);
  cut_list *part = ARENA_NEW(b->a, cut_list, l->parts);
  size_t most = 0;
  for (uint32_t p = 0; p < l->parts; p++) {
    uint64_t lo = r->row0 + units * p / l->parts * unit;
    uint64_t hi = r->row0 + units * (p + 1) / l->parts * unit;
    part[p] = cut_part(b, r, lo, hi, l->fit, row_B);
    most = part[p].n > most ? part[p].n : most;
    for (size_t i = 0; i < part[p].n && r->ramp_down; i++)
      ARENA_PUSH(b->a, b->ends.at, b->ends.n, b->ends.cap, part[p].at[i]);
  }
  /* what goes from one inner chunk to the next */
  bool keeps_scales = w == DT_INT8;
  if (r->first && keeps_scales) {
    l->n_kept = most * l->parts;
    l->kept_scale = ARENA_NEW(b->a, uint32_t, l->n_kept);
    for (size_t i = 0; i < l->n_kept; i++) l->kept_scale[i] = DAG_NO_TENSOR;
  }
  columns *sum = ARENA_NEW(b->a, columns, k_pieces);
  for (uint64_t k = 0; k < k_pieces; k++) {
    const char *inner_text =
        build_part(b, arena_printf(b->a, "%s.partial%s", l->what, r->tag), k, k_pieces);
    sum[k] = r->last && k + 1 == k_pieces ? *r->y : columns_like(b, inner_text, r->y);
  }
  for (size_t i = 0; i < most; i++)
    for (uint64_t k = 0; k < k_pieces; k++)
      for (uint32_t p = 0; p < l->parts; p++) {
        if (i >= part[p].n) continue;
        tile t = {.part = p,
                  .lo = part[p].at[i].lo,
                  .n = part[p].at[i].n,
                  .k = r->k0 + bound[k],
                  .kn = bound[k + 1] - bound[k],
                  .piece = i,
                  .pieces = part[p].n,
                  .k_piece = k,
                  .k_pieces = k_pieces,
                  .kept = keeps_scales ? &l->kept_scale[i * l->parts + p] : NULL,
                  .from = k > 0      ? &sum[k - 1]
                          : r->first ? NULL
                                     : &l->sum,
                  .to = r->last && k + 1 == k_pieces ? r->y : &sum[k]};
        run_tile(b, l, r, &t);
      }
  l->sum = sum[k_pieces - 1];
}

columns linear_all(build *b, const char *what, const char *y_name, const columns *x, uint64_t in,
                   uint64_t out_cols, const uint64_t *cuts, size_t n_cuts, fusion fused,
                   bool ramp_up) {
  linear l = linear_new(b, what, in, out_cols, DAG_NO_TENSOR, DAG_NO_TENSOR);
  columns y = build_columns(b, y_name, out_cols, cuts, n_cuts);
  linear_range r = {.n = out_cols,
                    .kn = in,
                    .x = x,
                    .x_rows = b->rows,
                    .y = &y,
                    .first = true,
                    .last = true,
                    .tag = "",
                    .fused = fused,
                    .ramp_up = ramp_up};
  linear_run(b, &l, &r);
  return y;
}
