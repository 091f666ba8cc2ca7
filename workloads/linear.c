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
    l.weight = dag_add_tensor(b->d, arena_printf(b->a, "%s.weight", layer), DAG_DRAM, DAG_WEIGHT, w,
                              2, (uint64_t[]){out_rows, in});
    if (build_integer(w))
      l.scale = dag_add_tensor(b->d, arena_printf(b->a, "%s.scale", layer), DAG_DRAM, DAG_SCALE,
                               scale_dtype(w), 2, (uint64_t[]){out_rows, scale_cols(w, in)});
  }
  l.parts = b->parts < out_rows ? b->parts : (uint32_t)out_rows;
  build_op(b);
  l.group = ARENA_NEW(b->a, uint32_t, l.parts);
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
  uint32_t tensor = dag_add_tensor(b->d, arena_printf(b->a, "%s.weight%s", l->name, place),
                                   DAG_SRAM, DAG_WEIGHT, w, 2, (uint64_t[]){t->n, t->kn});
  dag_view from[2] = {build_box2(b, l->weight, t->lo, t->n, t->k, t->kn)},
           to[2] = {dag_all(b->d, tensor)};
  size_t operands = 1, loads = 1;
  if (build_integer(w)) {
    bool keep = w == DT_INT8; /* one scale a row serves every inner chunk */
    if (!keep || *t->kept == DAG_NO_TENSOR) {
      uint64_t first = w == DT_INT4 ? t->k / 32 : 0, cols = scale_cols(w, t->kn);
      uint32_t s = dag_add_tensor(b->d, arena_printf(b->a, "%s.scale%s", l->name, place), DAG_SRAM,
                                  DAG_SCALE, scale_dtype(w), 2, (uint64_t[]){t->n, cols});
      from[1] = build_box2(b, l->scale, t->lo, t->n, first, cols);
      to[1] = dag_all(b->d, s);
      *t->kept = s;
      loads = 2;
    } else {
      to[1] = dag_all(b->d, *t->kept);
    }
    operands = 2;
  }
  build_emit(b, OP_LOAD_WEIGHT, arena_printf(b->a, "%s.weight%s", l->name, text), DAG_NO_GROUP,
             from, loads, to, loads);
  operand[0] = to[0], operand[1] = to[1];
  return operands;
}

/* By what is joined to it: the op that starts a sum, and the one that goes on with it. */
static const op MATMUL_OP[][2] = {[FUSED_NOTHING] = {OP_MATMUL, OP_MATMUL_ACC},
                                  [FUSED_SILU] = {OP_MATMUL_SILU, OP_MATMUL_ACC_SILU},
                                  [FUSED_ADD] = {OP_MATMUL_ADD, OP_MATMUL_ACC_ADD}};

/* Multiplies by one tile. */
static void run_tile(build *b, linear *l, const linear_range *r, const tile *t) {
  const char *text = label(b, l, r, t);
  dag_view reads[5] = {columns_view(b, r->x, r->x_row, r->x_rows, t->k - r->k0, t->kn)};
  size_t n = 1 + load_tile(b, l, t, text, reads + 1);
  uint64_t col = t->lo - r->y_first;
  fusion fused = t->to == r->y ? r->fused : FUSED_NOTHING;
  if (t->from != NULL) reads[n++] = columns_view(b, t->from, 0, r->x_rows, col, t->n);
  if (fused != FUSED_NOTHING) reads[n++] = columns_view(b, r->with, 0, r->x_rows, col, t->n);
  dag_view y = columns_view(b, t->to, 0, r->x_rows, col, t->n);
  build_emit(b, MATMUL_OP[fused][t->from != NULL], arena_printf(b->a, "%s%s", l->name, text),
             l->group[t->part], reads, n, &y, 1);
}

/* The rows of one part within the range, cut at y's segments and into pieces of at most `fit` rows.
 */
typedef struct cut {
  uint64_t lo, n;
} cut;

static size_t cut_part(build *b, const linear_range *r, uint64_t lo, uint64_t hi, uint64_t fit,
                       cut **cuts) {
  size_t n = 0, cap = 0;
  *cuts = NULL;
  for (size_t s = 0; s < r->y->n; s++) {
    uint64_t from = r->y->first[s] + r->y_first, to = r->y->first[s + 1] + r->y_first;
    from = from > lo ? from : lo;
    to = to < hi ? to : hi;
    if (from >= to) continue;
    uint64_t rows = to - from, pieces = (rows + fit - 1) / fit;
    for (uint64_t i = 0; i < pieces; i++) {
      cut c = {from + rows * i / pieces, rows * (i + 1) / pieces - rows * i / pieces};
      ARENA_PUSH(b->a, *cuts, n, cap, c);
    }
  }
  return n;
}

/* Inner length of a tile: all, or what the split asks for, in whole groups of 32 so that int4's
 * scales are cut too. */
static uint64_t inner(const build *b, const linear_range *r) {
  uint64_t k = b->c.tile_k == 0 || b->c.tile_k > r->kn ? r->kn : b->c.tile_k;
  return k < r->kn ? (k + 31) / 32 * 32 : k;
}

void linear_run(build *b, linear *l, const linear_range *r) {
  dtype w = b->o->weight_dtype;
  uint64_t kn = inner(b, r), k_pieces = (r->kn + kn - 1) / kn;
  uint64_t row_B = dtype_bytes(w, kn);
  if (build_integer(w)) row_B += dtype_bytes(scale_dtype(w), scale_cols(w, kn));
  if (r->first) l->fit = b->c.piece_B / row_B > 0 ? b->c.piece_B / row_B : 1;
  cut **cuts = ARENA_NEW(b->a, cut *, l->parts);
  size_t *n = ARENA_NEW(b->a, size_t, l->parts), most = 0;
  for (uint32_t p = 0; p < l->parts; p++) {
    uint64_t lo = r->row0 + r->n * p / l->parts, hi = r->row0 + r->n * (p + 1) / l->parts;
    n[p] = cut_part(b, r, lo, hi, l->fit, &cuts[p]);
    most = n[p] > most ? n[p] : most;
  }
  /* what goes from one inner chunk to the next */
  if (r->first) {
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
        if (i >= n[p]) continue;
        uint64_t left = r->kn - k * kn;
        tile t = {.part = p,
                  .lo = cuts[p][i].lo,
                  .n = cuts[p][i].n,
                  .k = r->k0 + k * kn,
                  .kn = left < kn ? left : kn,
                  .piece = i,
                  .pieces = n[p],
                  .k_piece = k,
                  .k_pieces = k_pieces,
                  .kept = &l->kept_scale[i * l->parts + p],
                  .from = k > 0      ? &sum[k - 1]
                          : r->first ? NULL
                                     : &l->sum,
                  .to = r->last && k + 1 == k_pieces ? r->y : &sum[k]};
        run_tile(b, l, r, &t);
      }
  l->sum = sum[k_pieces - 1];
}

columns linear_all(build *b, const char *what, const columns *x, uint64_t in, uint64_t out_cols,
                   const uint64_t *cuts, size_t n_cuts) {
  linear l = linear_new(b, what, in, out_cols, DAG_NO_TENSOR, DAG_NO_TENSOR);
  columns y = build_columns(b, what, out_cols, cuts, n_cuts);
  linear_range r = {.n = out_cols,
                    .kn = in,
                    .x = x,
                    .x_rows = b->rows,
                    .y = &y,
                    .first = true,
                    .last = true,
                    .tag = ""};
  linear_run(b, &l, &r);
  return y;
}

columns linear_residual(build *b, const char *what, const columns *x, uint64_t in,
                        const char *sum_name, const columns *residual) {
  uint64_t C = b->m->hidden_size;
  linear l = linear_new(b, what, in, C, DAG_NO_TENSOR, DAG_NO_TENSOR);
  columns y = build_columns(b, sum_name, C, NULL, 0);
  linear_range r = {.n = C,
                    .kn = in,
                    .x = x,
                    .x_rows = b->rows,
                    .y = &y,
                    .first = true,
                    .last = true,
                    .tag = "",
                    .fused = FUSED_ADD,
                    .with = residual};
  linear_run(b, &l, &r);
  return y;
}
