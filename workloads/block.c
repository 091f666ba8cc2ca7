#include "workloads/block.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The state of one compilation. */
typedef struct build {
  const model *m;
  const wl_options *o;
  dag *d;
  arena *a;
  uint32_t parts; /* of a linear layer */
  uint64_t piece_B, sram_B;
  uint64_t rows;    /* batch * tokens */
  uint64_t kv_rows; /* past + tokens */
  uint64_t q_cols, kv_cols;
  uint32_t layer;
  uint32_t op_group; /* the group of the op being emitted, under none and op */
} build;

wl_options wl_defaults(void) {
  return (wl_options){.phase = "decode",
                      .past = 4,
                      .tokens = 1,
                      .batch = 1,
                      .layers = 1,
                      .weight_dtype = DT_BF16,
                      .act_dtype = DT_BF16,
                      .kv_dtype = DT_BF16,
                      .split = WL_HEAD};
}

static const char *const SPLIT_NAME[WL_SPLIT_COUNT] = {
#define X(id, name, text) [WL_##id] = name,
    WL_SPLITS(X)
#undef X
};

wl_split wl_split_parse(const char *name) {
  for (int s = 0; s < WL_SPLIT_COUNT; s++)
    if (strcmp(SPLIT_NAME[s], name) == 0) return (wl_split)s;
  return WL_SPLIT_COUNT;
}

const char *wl_split_name(wl_split s) {
  return SPLIT_NAME[s];
}

int wl_dtype_parse(const char *text, dtype *weight, dtype *act, dtype *kv, err *e) {
  static const struct {
    const char *name;
    dtype weight, act;
  } MIX[] = {{"w8a8", DT_INT8, DT_INT8},
             {"w8a16", DT_INT8, DT_BF16},
             {"w4a16", DT_INT4, DT_BF16},
             {"w4a8", DT_INT4, DT_INT8}};
  for (size_t i = 0; i < sizeof MIX / sizeof MIX[0]; i++)
    if (strcmp(MIX[i].name, text) == 0) {
      *weight = MIX[i].weight;
      *act = *kv = MIX[i].act;
      return ERR_OK;
    }
  dtype d = dtype_parse(text);
  if (d == DT_COUNT || d == DT_INT32)
    return err_set(e, ERR_BAD,
                   "unknown dtype '%s'; write one of f32 f16 bf16 int8 int4 w8a8 w8a16 w4a16 w4a8",
                   text);
  *weight = *act = *kv = d;
  return ERR_OK;
}

uint64_t wl_piece_bytes(const wl_options *o, const wl_target *t) {
  uint64_t streams = o->split == WL_NONE ? 1 : t->engines;
  uint64_t share = t->sram_B / (4 * streams);
  return share < WL_MAX_PIECE_B ? share : WL_MAX_PIECE_B;
}

static bool is_integer(dtype d) {
  return d == DT_INT8 || d == DT_INT4;
}

static dtype norm_dtype(const wl_options *o) {
  return is_integer(o->act_dtype) ? DT_BF16 : o->act_dtype;
}

/* A new group where the split keeps the op whole; the one group under none; none for single tasks
 * of a head split. */
static void begin_op(build *b) {
  if (b->o->split == WL_HEAD)
    b->op_group = DAG_NO_GROUP;
  else
    b->op_group = b->o->split == WL_NONE ? 0 : b->d->n_groups;
}

static uint32_t sram_act(build *b, const char *name, uint64_t rows, uint64_t cols) {
  return dag_add_tensor(b->d, name, DAG_SRAM, DAG_ACT, b->o->act_dtype, 2,
                        (uint64_t[]){rows, cols});
}

static const char *layer_name(build *b, const char *what) {
  return arena_printf(b->a, "L%u.%s", b->layer, what);
}

static void emit(build *b, op o, const char *name, uint32_t group, const dag_view *reads,
                 size_t n_reads, const dag_view *writes, size_t n_writes) {
  dag_task t = {.name = name,
                .group = group,
                .layer = b->layer,
                .pos = (uint32_t)b->o->past,
                .op = (uint8_t)o};
  dag_add_task(b->d, &t, reads, n_reads, writes, n_writes);
}

static dag_view box2(const build *b, uint32_t tensor, uint64_t row, uint64_t rows, uint64_t col,
                     uint64_t cols) {
  return dag_box(b->d, tensor, (uint64_t[]){row, col}, (uint64_t[]){rows, cols});
}

static dag_view box3(const build *b, uint32_t tensor, uint64_t i, uint64_t n, uint64_t row,
                     uint64_t rows) {
  return dag_box(b->d, tensor, (uint64_t[]){i, row, 0},
                 (uint64_t[]){n, rows, b->d->tensors[tensor].dim[2]});
}

/* ---- linear layers -------------------------------------------------------------------------- */

typedef struct linear {
  const char *name;
  uint32_t x, y;          /* (rows, in), (rows, out) */
  uint32_t weight, scale; /* in DRAM; scale only for integer weights */
  uint64_t in, out, row_B;
  uint32_t parts, *group;
} linear;

static uint64_t scale_cols(dtype d, uint64_t in) {
  return d == DT_INT4 ? (in + 31) / 32 : 1;
}

/* One piece: loads rows lo..lo+n-1 of the weights, and multiplies by them. */
static void linear_piece(build *b, const linear *l, uint32_t part, uint64_t lo, uint64_t n,
                         uint64_t piece, uint64_t pieces) {
  dtype w = b->o->weight_dtype;
  char label[64] = "";
  int at = 0;
  if (l->parts > 1) at = snprintf(label, sizeof label, " %u/%u", part + 1, l->parts);
  if (pieces > 1)
    snprintf(label + at, sizeof label - (size_t)at, " piece %" PRIu64 "/%" PRIu64, piece + 1,
             pieces);
  const char *tile_name =
      arena_printf(b->a, "%s.weight[%" PRIu64 ":%" PRIu64 "]", l->name, lo, lo + n);
  uint32_t tile =
      dag_add_tensor(b->d, tile_name, DAG_SRAM, DAG_WEIGHT, w, 2, (uint64_t[]){n, l->in});
  dag_view from[2] = {box2(b, l->weight, lo, n, 0, l->in)}, to[2] = {dag_all(b->d, tile)};
  size_t operands = 1;
  if (is_integer(w)) {
    uint64_t cols = scale_cols(w, l->in);
    const char *scale_name =
        arena_printf(b->a, "%s.scale[%" PRIu64 ":%" PRIu64 "]", l->name, lo, lo + n);
    uint32_t s = dag_add_tensor(b->d, scale_name, DAG_SRAM, DAG_SCALE,
                                (dtype)b->d->tensors[l->scale].dtype, 2, (uint64_t[]){n, cols});
    from[1] = box2(b, l->scale, lo, n, 0, cols);
    to[1] = dag_all(b->d, s);
    operands = 2;
  }
  emit(b, OP_LOAD_WEIGHT, arena_printf(b->a, "%s.weight%s", l->name, label), DAG_NO_GROUP, from,
       operands, to, operands);
  dag_view reads[3] = {dag_all(b->d, l->x), to[0], to[1]};
  dag_view y = box2(b, l->y, 0, b->rows, lo, n);
  emit(b, OP_MATMUL, arena_printf(b->a, "%s%s", l->name, label), l->group[part], reads,
       1 + operands, &y, 1);
}

/* y = x * W^T, in parts of output columns and pieces of weight rows, interleaved: piece 1 of every
 * part, piece 2, ... */
static uint32_t linear_layer(build *b, const char *what, uint32_t x, uint64_t in,
                             uint64_t out_cols) {
  linear l = {.name = layer_name(b, what), .x = x, .in = in, .out = out_cols};
  dtype w = b->o->weight_dtype;
  l.weight = dag_add_tensor(b->d, arena_printf(b->a, "%s.weight", l.name), DAG_DRAM, DAG_WEIGHT, w,
                            2, (uint64_t[]){out_cols, in});
  l.row_B = dtype_bytes(w, in);
  if (is_integer(w)) {
    dtype s = w == DT_INT8 ? DT_F32 : DT_F16;
    l.scale = dag_add_tensor(b->d, arena_printf(b->a, "%s.scale", l.name), DAG_DRAM, DAG_SCALE, s,
                             2, (uint64_t[]){out_cols, scale_cols(w, in)});
    l.row_B += dtype_bytes(s, scale_cols(w, in));
  }
  l.y = sram_act(b, l.name, b->rows, out_cols);
  l.parts = b->parts < out_cols ? b->parts : (uint32_t)out_cols;
  begin_op(b);
  l.group = ARENA_NEW(b->a, uint32_t, l.parts);
  for (uint32_t p = 0; p < l.parts; p++)
    l.group[p] = b->o->split == WL_HEAD ? b->d->n_groups + p : b->op_group;

  uint64_t longest = (out_cols + l.parts - 1) / l.parts;
  uint64_t fit = b->piece_B / l.row_B > 0 ? b->piece_B / l.row_B : 1;
  uint64_t pieces = (longest + fit - 1) / fit;
  for (uint64_t i = 0; i < pieces; i++)
    for (uint32_t p = 0; p < l.parts; p++) {
      uint64_t first = out_cols * p / l.parts, rows = out_cols * (p + 1) / l.parts - first;
      uint64_t lo = first + rows * i / pieces, hi = first + rows * (i + 1) / pieces;
      if (hi > lo) linear_piece(b, &l, p, lo, hi - lo, i, pieces);
    }
  return l.y;
}

/* ---- vector ops on rows --------------------------------------------------------------------- */

/* How many tasks a row-wise or column-wise op divides into under this split. */
static uint64_t vector_parts(const build *b, uint64_t n) {
  if (b->o->split != WL_HEAD) return 1;
  return b->parts < n ? b->parts : n;
}

static const char *part_name(build *b, const char *name, uint64_t part, uint64_t parts) {
  if (parts == 1) return name;
  return arena_printf(b->a, "%s %" PRIu64 "/%" PRIu64, name, part + 1, parts);
}

static uint32_t norm(build *b, const char *what, uint32_t x) {
  uint64_t C = b->m->hidden_size, parts = vector_parts(b, b->rows);
  const char *name = layer_name(b, what);
  const char *weight = arena_printf(b->a, "%s.weight", name);
  dtype dt = norm_dtype(b->o);
  uint32_t w = dag_add_tensor(b->d, weight, DAG_DRAM, DAG_WEIGHT, dt, 1, &C);
  uint32_t tile = dag_add_tensor(b->d, arena_printf(b->a, "%s[0:%" PRIu64 "]", weight, C), DAG_SRAM,
                                 DAG_WEIGHT, dt, 1, &C);
  dag_view from = dag_all(b->d, w), to = dag_all(b->d, tile);
  emit(b, OP_LOAD_WEIGHT, weight, DAG_NO_GROUP, &from, 1, &to, 1);
  uint32_t y = sram_act(b, name, b->rows, C);
  begin_op(b);
  for (uint64_t p = 0; p < parts; p++) {
    uint64_t lo = b->rows * p / parts, n = b->rows * (p + 1) / parts - lo;
    dag_view reads[2] = {box2(b, x, lo, n, 0, C), to}, yv = box2(b, y, lo, n, 0, C);
    emit(b, OP_RMSNORM, part_name(b, name, p, parts), b->op_group, reads, 2, &yv, 1);
  }
  return y;
}

/* y = op(x1, x2) element by element, divided by columns as the linear layers are. */
static uint32_t elementwise(build *b, op o, const char *what, uint32_t x1, uint32_t x2,
                            uint64_t cols) {
  const char *name = layer_name(b, what);
  uint64_t parts = vector_parts(b, cols);
  uint32_t y = sram_act(b, name, b->rows, cols);
  begin_op(b);
  for (uint64_t p = 0; p < parts; p++) {
    uint64_t lo = cols * p / parts, n = cols * (p + 1) / parts - lo;
    dag_view reads[2] = {box2(b, x1, 0, b->rows, lo, n), box2(b, x2, 0, b->rows, lo, n)};
    dag_view yv = box2(b, y, 0, b->rows, lo, n);
    emit(b, o, part_name(b, name, p, parts), b->op_group, reads, 2, &yv, 1);
  }
  return y;
}

/* ---- attention ------------------------------------------------------------------------------ */

enum { ATTN_OPS = 10 }; /* ops that attention consists of, for their groups under `op` */

/* One K or V cache: its tensors in DRAM, per sequence. */
typedef struct cache {
  const char *name; /* "k" or "v" */
  uint32_t rows;    /* SRAM tensor with the new rows: (rows, kv_cols) */
  uint32_t dram, dram_scale;
  uint32_t append_group;
} cache;

typedef struct attention {
  uint32_t q, q_rope, k_rope, out;
  uint32_t rope_q_group, rope_k_group, qk_group, max_group, exp_group, norm_group, pv_group;
  cache k, v;
  uint64_t b;         /* sequence */
  uint64_t kv0, n_kv; /* KV heads of the present chunk */
  uint32_t k_tile, v_tile, k_scale, v_scale;
} attention;

static const char *head_label(build *b, const attention *t, uint64_t h, uint64_t n, uint64_t of) {
  char seq[32] = "";
  if (b->o->batch > 1) snprintf(seq, sizeof seq, ".b%" PRIu64, t->b);
  if (n == of) return arena_printf(b->a, "%s", seq);
  if (n == 1) return arena_printf(b->a, "%s.h%" PRIu64, seq, h);
  return arena_printf(b->a, "%s.h%" PRIu64 "-%" PRIu64, seq, h, h + n - 1);
}

static void cache_dram(build *b, cache *c, uint64_t seq) {
  const char *suffix = b->o->batch > 1 ? arena_printf(b->a, ".b%" PRIu64, seq) : "";
  uint64_t dim[3] = {b->m->num_key_value_heads, b->kv_rows, b->m->head_dim};
  c->dram = dag_add_tensor(b->d, arena_printf(b->a, "L%u.%s_cache%s", b->layer, c->name, suffix),
                           DAG_DRAM, DAG_KV, b->o->kv_dtype, 3, dim);
  dim[2] = 1;
  if (is_integer(b->o->kv_dtype))
    c->dram_scale =
        dag_add_tensor(b->d, arena_printf(b->a, "L%u.%s_scale%s", b->layer, c->name, suffix),
                       DAG_DRAM, DAG_SCALE, DT_F16, 3, dim);
}

/* Brings one cache tile together: loads the past rows, appends the new ones, stores them back. Tile
 * (n_kv, N, head_dim). */
static void cache_tile(build *b, const attention *t, cache *c, uint32_t *tile, uint32_t *scale) {
  uint64_t past = b->o->past, T = b->o->tokens, hd = b->m->head_dim;
  bool scaled = is_integer(b->o->kv_dtype);
  size_t operands = scaled ? 2 : 1;
  const char *label = head_label(b, t, t->kv0, t->n_kv, b->m->num_key_value_heads);
  const char *name = arena_printf(b->a, "L%u.%s_tile%s", b->layer, c->name, label);
  *tile = dag_add_tensor(b->d, name, DAG_SRAM, DAG_KV, b->o->kv_dtype, 3,
                         (uint64_t[]){t->n_kv, b->kv_rows, hd});
  if (scaled)
    *scale = dag_add_tensor(b->d, arena_printf(b->a, "%s.scale", name), DAG_SRAM, DAG_SCALE, DT_F16,
                            3, (uint64_t[]){t->n_kv, b->kv_rows, 1});
  if (past > 0) {
    dag_view from[2] = {box3(b, c->dram, t->kv0, t->n_kv, 0, past)};
    dag_view to[2] = {box3(b, *tile, 0, t->n_kv, 0, past)};
    if (scaled) {
      from[1] = box3(b, c->dram_scale, t->kv0, t->n_kv, 0, past);
      to[1] = box3(b, *scale, 0, t->n_kv, 0, past);
    }
    emit(b, OP_LOAD_KV, arena_printf(b->a, "L%u.%s_cache%s", b->layer, c->name, label),
         DAG_NO_GROUP, from, operands, to, operands);
  }
  dag_view src = box2(b, c->rows, t->b * T, T, t->kv0 * hd, t->n_kv * hd);
  dag_view fresh[2] = {box3(b, *tile, 0, t->n_kv, past, T)};
  dag_view home[2] = {box3(b, c->dram, t->kv0, t->n_kv, past, T)};
  if (scaled) {
    fresh[1] = box3(b, *scale, 0, t->n_kv, past, T);
    home[1] = box3(b, c->dram_scale, t->kv0, t->n_kv, past, T);
  }
  emit(b, OP_KVAPPEND, arena_printf(b->a, "L%u.%s_append%s", b->layer, c->name, label),
       c->append_group, &src, 1, fresh, operands);
  emit(b, OP_STORE_KV, arena_printf(b->a, "L%u.%s_cache%s", b->layer, c->name, label), DAG_NO_GROUP,
       fresh, operands, home, operands);
}

static void rope(build *b, const attention *t, const char *what, uint32_t x, uint32_t y, uint64_t h,
                 uint64_t n, uint64_t of, uint32_t group) {
  uint64_t T = b->o->tokens, hd = b->m->head_dim;
  dag_view from = box2(b, x, t->b * T, T, h * hd, n * hd),
           to = box2(b, y, t->b * T, T, h * hd, n * hd);
  emit(b, OP_ROPE, arena_printf(b->a, "L%u.%s%s", b->layer, what, head_label(b, t, h, n, of)),
       group, &from, 1, &to, 1);
}

/* Scores, three-pass softmax and weighted values of query heads h .. h+n-1, which share the present
 * tile. */
static void heads(build *b, const attention *t, uint64_t h, uint64_t n) {
  uint64_t T = b->o->tokens, N = b->kv_rows, hd = b->m->head_dim, H = b->m->num_attention_heads;
  const char *label = head_label(b, t, h, n, H);
  const char *name[5];
  static const char *const WHAT[5] = {"scores", "softmax_max", "softmax_exp", "softmax_prob",
                                      "attn_out"};
  for (int i = 0; i < 5; i++) name[i] = arena_printf(b->a, "L%u.%s%s", b->layer, WHAT[i], label);
  const char *sum = arena_printf(b->a, "L%u.softmax_sum%s", b->layer, label);
  dtype dt = b->o->act_dtype;
  uint64_t full[3] = {n, T, N};
  dag_view s = dag_all(b->d, dag_add_tensor(b->d, name[0], DAG_SRAM, DAG_ACT, dt, 3, full));
  dag_view m = dag_all(b->d, dag_add_tensor(b->d, name[1], DAG_SRAM, DAG_ACT, dt, 2, full));
  dag_view x = dag_all(b->d, dag_add_tensor(b->d, name[2], DAG_SRAM, DAG_ACT, dt, 3, full));
  dag_view l = dag_all(b->d, dag_add_tensor(b->d, sum, DAG_SRAM, DAG_ACT, dt, 2, full));
  dag_view p = dag_all(b->d, dag_add_tensor(b->d, name[3], DAG_SRAM, DAG_ACT, dt, 3, full));

  /* the part of the tile that these heads read */
  uint64_t share = H / b->m->num_key_value_heads;
  uint64_t kv = h / share - t->kv0, n_kv = n / share > 0 ? n / share : 1;
  bool scaled = is_integer(b->o->kv_dtype);
  size_t operands = scaled ? 3 : 2;
  dag_view q = box2(b, t->q_rope, t->b * T, T, h * hd, n * hd);
  dag_view qk[3] = {q, box3(b, t->k_tile, kv, n_kv, 0, N)};
  dag_view pv[3] = {p, box3(b, t->v_tile, kv, n_kv, 0, N)};
  if (scaled) {
    qk[2] = box3(b, t->k_scale, kv, n_kv, 0, N);
    pv[2] = box3(b, t->v_scale, kv, n_kv, 0, N);
  }
  dag_view o = box2(b, t->out, t->b * T, T, h * hd, n * hd);
  emit(b, OP_QK, name[0], t->qk_group, qk, operands, &s, 1);
  emit(b, OP_SOFTMAX_MAX, name[1], t->max_group, &s, 1, &m, 1);
  emit(b, OP_SOFTMAX_EXP, name[2], t->exp_group, (dag_view[]){s, m}, 2, (dag_view[]){x, l}, 2);
  emit(b, OP_SOFTMAX_NORM, name[3], t->norm_group, (dag_view[]){x, l}, 2, &p, 1);
  emit(b, OP_PV, name[4], t->pv_group, pv, operands, &o, 1);
}

/* KV heads whose rows are moved together: under head an engine's share, as far as a tile stays
 * within a piece; else as many as keep a K and a V tile in a quarter of SRAM. */
static uint64_t kv_chunk(const build *b) {
  uint64_t KV = b->m->num_key_value_heads;
  uint64_t tile = dtype_bytes(b->o->kv_dtype, b->kv_rows * b->m->head_dim);
  bool head = b->o->split == WL_HEAD;
  uint64_t fit = head ? b->piece_B / tile : b->sram_B / 4 / (2 * tile);
  uint64_t share = head ? KV / b->parts : KV;
  if (fit > share) fit = share;
  return fit > 0 ? fit : 1;
}

static void attention_groups(build *b, attention *t) {
  uint32_t *group[ATTN_OPS - 1] = {&t->rope_q_group,   &t->rope_k_group, &t->k.append_group,
                                   &t->v.append_group, &t->qk_group,     &t->max_group,
                                   &t->exp_group,      &t->norm_group,   &t->pv_group};
  begin_op(b);
  for (uint32_t i = 0; i < ATTN_OPS - 1; i++)
    *group[i] = b->o->split == WL_OP ? b->op_group + i : b->op_group;
}

/* Returns the concatenated heads' outputs (rows, q_cols). */
static uint32_t attention_layer(build *b, uint32_t q, uint32_t k, uint32_t v) {
  uint64_t H = b->m->num_attention_heads, KV = b->m->num_key_value_heads, share = H / KV;
  attention t = {.q = q};
  t.q_rope = sram_act(b, layer_name(b, "q_rope"), b->rows, b->q_cols);
  t.k_rope = sram_act(b, layer_name(b, "k_rope"), b->rows, b->kv_cols);
  t.out = sram_act(b, layer_name(b, "attn_out"), b->rows, b->q_cols);
  t.k = (cache){.name = "k", .rows = t.k_rope};
  t.v = (cache){.name = "v", .rows = v};
  attention_groups(b, &t);
  uint64_t chunk = kv_chunk(b);
  for (t.b = 0; t.b < b->o->batch; t.b++) {
    cache_dram(b, &t.k, t.b);
    cache_dram(b, &t.v, t.b);
    for (t.kv0 = 0; t.kv0 < KV; t.kv0 += chunk) {
      t.n_kv = KV - t.kv0 < chunk ? KV - t.kv0 : chunk;
      rope(b, &t, "k_rope", k, t.k_rope, t.kv0, t.n_kv, KV, t.rope_k_group);
      cache_tile(b, &t, &t.k, &t.k_tile, &t.k_scale);
      cache_tile(b, &t, &t.v, &t.v_tile, &t.v_scale);
      uint64_t step = b->o->split == WL_HEAD ? 1 : t.n_kv * share;
      for (uint64_t h = t.kv0 * share; h < (t.kv0 + t.n_kv) * share; h += step) {
        rope(b, &t, "q_rope", t.q, t.q_rope, h, step, H, t.rope_q_group);
        heads(b, &t, h, step);
      }
    }
  }
  return t.out;
}

/* ---- the block and the step ----------------------------------------------------------------- */

static uint32_t block(build *b, uint32_t x) {
  uint64_t C = b->m->hidden_size, I = b->m->intermediate_size;
  uint32_t n1 = norm(b, "attn_norm", x);
  uint32_t q = linear_layer(b, "q_proj", n1, C, b->q_cols);
  uint32_t k = linear_layer(b, "k_proj", n1, C, b->kv_cols);
  uint32_t v = linear_layer(b, "v_proj", n1, C, b->kv_cols);
  uint32_t attn = attention_layer(b, q, k, v);
  uint32_t o = linear_layer(b, "o_proj", attn, b->q_cols, C);
  uint32_t r1 = elementwise(b, OP_ADD, "resid1", x, o, C);
  uint32_t n2 = norm(b, "ffn_norm", r1);
  uint32_t gate = linear_layer(b, "gate", n2, C, I);
  uint32_t up = linear_layer(b, "up", n2, C, I);
  uint32_t mul = elementwise(b, OP_SILU_MUL, "silu_mul", gate, up, I);
  uint32_t down = linear_layer(b, "down", mul, I, C);
  return elementwise(b, OP_ADD, "resid2", r1, down, C);
}

static int check_options(const model *m, const wl_options *o, const wl_target *t, err *e) {
  bool prefill = strcmp(o->phase, "prefill") == 0;
  if (prefill && o->past != 0)
    return err_set(e, ERR_BAD,
                   "phase prefill starts with an empty cache, but past is %" PRIu64
                   "; leave --past out, "
                   "or use --phase decode with --tokens",
                   o->past);
  if (o->tokens < 1 || o->batch < 1 || o->batch > WL_MAX_BATCH)
    return err_set(e, ERR_BAD,
                   "tokens is %" PRIu64 " and batch is %" PRIu64
                   "; tokens must be at least 1 and batch "
                   "from 1 to %d",
                   o->tokens, o->batch, WL_MAX_BATCH);
  if (o->past > MODEL_MAX_POSITION || o->tokens > MODEL_MAX_POSITION ||
      o->past + o->tokens > m->max_position_embeddings)
    return err_set(e, ERR_BAD,
                   "past %" PRIu64 " + tokens %" PRIu64 " is beyond the %" PRIu64
                   " positions of model '%s'",
                   o->past, o->tokens, m->max_position_embeddings, m->name);
  if (o->layers < 1 || o->first_layer >= m->num_hidden_layers ||
      o->layers > m->num_hidden_layers - o->first_layer)
    return err_set(
        e, ERR_BAD,
        "layers %" PRIu64 "..%" PRIu64 " asked for, but model '%s' has layers 0..%" PRIu64,
        o->first_layer, o->first_layer + o->layers - 1, m->name, m->num_hidden_layers - 1);
  if (t->engines < 1 || t->sram_B < 1)
    return err_set(e, ERR_INTERNAL, "compile target has %u engines and %" PRIu64 " B of SRAM",
                   t->engines, t->sram_B);
  return ERR_OK;
}

static void describe(dag *d, const model *m, const wl_options *o) {
  d->workload = (dag_workload){.model = m->name,
                               .phase = o->phase,
                               .split = wl_split_name(o->split),
                               .attention = "three-pass",
                               .kv_update = "smart-mask",
                               .past = o->past,
                               .tokens = o->tokens,
                               .steps = 1,
                               .batch = o->batch,
                               .layers = o->layers,
                               .weight_dtype = o->weight_dtype,
                               .act_dtype = o->act_dtype,
                               .kv_dtype = o->kv_dtype,
                               .head_dim = m->head_dim,
                               .rms_norm_eps = m->rms_norm_eps,
                               .rope_theta = m->rope_theta,
                               .rope_factor = m->rope_scaling.factor,
                               .rope_low_freq_factor = m->rope_scaling.low_freq_factor,
                               .rope_high_freq_factor = m->rope_scaling.high_freq_factor,
                               .rope_original_max_position =
                                   m->rope_scaling.original_max_position_embeddings};
}

int wl_compile(const model *m, const wl_options *o, const wl_target *t, dag **d, arena *a, err *e) {
  if (check_options(m, o, t, e)) return e->status;
  build b = {.m = m,
             .o = o,
             .d = dag_new(a),
             .a = a,
             .parts = o->split == WL_HEAD ? t->engines : 1,
             .piece_B = wl_piece_bytes(o, t),
             .sram_B = t->sram_B,
             .rows = o->batch * o->tokens,
             .kv_rows = o->past + o->tokens,
             .q_cols = m->num_attention_heads * m->head_dim,
             .kv_cols = m->num_key_value_heads * m->head_dim};
  describe(b.d, m, o);
  uint64_t dim[2] = {b.rows, m->hidden_size};
  b.layer = (uint32_t)o->first_layer;
  uint32_t in = dag_add_tensor(b.d, "input", DAG_DRAM, DAG_ACT, o->act_dtype, 2, dim);
  uint32_t x = sram_act(&b, layer_name(&b, "input"), dim[0], dim[1]);
  dag_view from = dag_all(b.d, in), to = dag_all(b.d, x);
  emit(&b, OP_LOAD_ACT, "input", DAG_NO_GROUP, &from, 1, &to, 1);
  for (uint64_t l = 0; l < o->layers; l++) {
    b.layer = (uint32_t)(o->first_layer + l);
    x = block(&b, x);
    if (b.d->n_tasks > WL_MAX_TASKS)
      return err_set(
          e, ERR_BAD,
          "layer %u of %" PRIu64
          " brings the DAG to %zu tasks; at most %d are compiled: ask for fewer --layers, "
          "tokens or batch, or a platform with more SRAM for larger pieces",
          b.layer, o->first_layer + o->layers - 1, b.d->n_tasks, WL_MAX_TASKS);
  }
  uint32_t home = dag_add_tensor(b.d, "output", DAG_DRAM, DAG_ACT, o->act_dtype, 2, dim);
  from = dag_all(b.d, x), to = dag_all(b.d, home);
  emit(&b, OP_STORE_ACT, "output", DAG_NO_GROUP, &from, 1, &to, 1);
  *d = b.d;
  return ERR_OK;
}
