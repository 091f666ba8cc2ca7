/* Attention of one layer: RoPE, KV cache, and three-pass or flash attention, by chunks of KV heads.
 */
#include <inttypes.h>
#include <stdio.h>

#include "workloads/build.h"

/* Groups of the ops that attention consists of: one each under `op`. */
typedef struct groups {
  uint32_t rope_q, rope_k, append_k, append_v, qk, max, exp, norm, pv, flash;
} groups;

/* Chunk of KV heads kv0 .. kv0+n_kv-1 of sequence `seq`, and its tiles of keys key0 .. key0+keys-1.
 */
typedef struct chunk {
  groups g;
  const columns *q, *k, *v, *out;
  uint64_t seq, kv0, n_kv, key0, keys;
  uint32_t q_rope, k_rope;
  uint64_t q_head0, k_head0; /* their column 0 is this head's */
  bool q_roped, k_roped;     /* q and k come with RoPE */
  uint32_t *done;            /* three-pass: the last task of each of the latest */
  uint64_t n_done;
  uint32_t k_tile, v_tile, k_scale, v_scale;
} chunk;

/* Online softmax so far, of some heads and rows: weighted values, maximum, sum. */
typedef struct flash_state {
  dag_view v[3];
} flash_state;

static groups make_groups(build *b) {
  groups g;
  uint32_t *all[] = {&g.rope_q, &g.rope_k, &g.append_k, &g.append_v, &g.qk,
                     &g.max,    &g.exp,    &g.norm,     &g.pv,       &g.flash};
  bool flash = b->o->flash;
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    bool used = i < 4 || (i < 9) == !flash;
    if (used) build_op(b);
    *all[i] = used ? b->op_group : DAG_NO_GROUP;
  }
  return g;
}

/* ".b1.h3", ".h0-7": what of how much; "" for all heads of the only sequence. */
static const char *head_label(build *b, const chunk *t, uint64_t h, uint64_t n, uint64_t of) {
  char seq[32] = "";
  if (b->o->batch > 1) snprintf(seq, sizeof seq, ".b%" PRIu64, t->seq);
  if (n == of) return arena_printf(b->a, "%s", seq);
  if (n == 1) return arena_printf(b->a, "%s.h%" PRIu64, seq, h);
  return arena_printf(b->a, "%s.h%" PRIu64 "-%" PRIu64, seq, h, h + n - 1);
}

static const char *span_label(build *b, const char *what, uint64_t lo, uint64_t n, uint64_t of) {
  if (n == of) return "";
  return arena_printf(b->a, " %s %" PRIu64 ":%" PRIu64, what, lo, lo + n);
}

/* The layout of a K or V tensor of the cache (block.h), in DRAM or a tile of it. */
typedef enum layout { BY_ROW, SHIFTED, TRANSPOSED } layout;

static layout layout_of(const build *b, bool is_k) {
  if (b->o->kv_update == WL_SMART_MASK) return BY_ROW;
  return is_k ? TRANSPOSED : SHIFTED;
}

/* With room for these heads and rows; in DRAM also for what the layout moves over. */
static uint32_t add_kv(build *b, const char *name, dag_space space, layout x, uint64_t heads,
                       uint64_t rows) {
  uint64_t hd = b->m->head_dim, more = space == DAG_DRAM;
  uint64_t plain[3] = {heads + (x == SHIFTED ? more : 0), rows, hd};
  uint64_t transposed[4] = {1, heads, hd + more, rows + more};
  return dag_add_tensor(b->d, name, space, DAG_KV, b->o->kv_dtype, x == TRANSPOSED ? 4 : 3,
                        x == TRANSPOSED ? transposed : plain);
}

/* Heads h .. h+n-1 and rows row .. row+rows-1 of the cache, or of a tile. */
static dag_view cache_rows(const build *b, uint32_t tensor, layout x, uint64_t h, uint64_t n,
                           uint64_t row, uint64_t rows) {
  bool home = b->d->tensors[tensor].space == DAG_DRAM;
  if (x == SHIFTED && home) h++;
  if (x != TRANSPOSED) return build_box3(b, tensor, h, n, row, rows);
  return dag_box(b->d, tensor, (uint64_t[]){0, h, home ? 1 : 0, row},
                 (uint64_t[]){1, n, b->m->head_dim, rows});
}

void attention_cache(build *b, kv_cache *c, uint64_t rows) {
  uint64_t dim[3] = {b->m->num_key_value_heads, rows, 1}, batch = b->o->batch;
  c->k = ARENA_NEW(b->a, uint32_t, batch), c->v = ARENA_NEW(b->a, uint32_t, batch);
  c->k_scale = ARENA_NEW(b->a, uint32_t, batch), c->v_scale = ARENA_NEW(b->a, uint32_t, batch);
  for (uint64_t s = 0; s < batch; s++)
    for (int i = 0; i < 2; i++) {
      const char *seq = batch > 1 ? arena_printf(b->a, ".b%" PRIu64, s) : "";
      char which = i == 0 ? 'k' : 'v';
      (i == 0 ? c->k : c->v)[s] =
          add_kv(b, arena_printf(b->a, "L%u.%c_cache%s", b->layer, which, seq), DAG_DRAM,
                 layout_of(b, i == 0), dim[0], rows);
      if (build_integer(b->o->kv_dtype))
        (i == 0 ? c->k_scale : c->v_scale)[s] =
            dag_add_tensor(b->d, arena_printf(b->a, "L%u.%c_scale%s", b->layer, which, seq),
                           DAG_DRAM, DAG_SCALE, DT_F16, 3, dim);
    }
}

size_t attention_cuts(build *b, uint64_t head_cols, uint64_t **cuts) {
  size_t n = 0;
  if (!b->c.segments) return 0;
  *cuts = ARENA_NEW(b->a, uint64_t, b->m->num_key_value_heads);
  for (uint64_t kv = b->c.kv_heads; kv < b->m->num_key_value_heads; kv += b->c.kv_heads)
    (*cuts)[n++] = kv * head_cols;
  return n;
}

/* K and V of the layer stay in SRAM if all of them fit, with all rows of the run. */
static void decide_stay(build *b, kv_cache *c) {
  if (c->decided || !b->keeps || !resident_kv(b)) return;
  uint64_t rows = 2 * b->o->batch * b->m->num_key_value_heads * b->last_row;
  uint64_t bytes = dtype_bytes(b->o->kv_dtype, rows * b->m->head_dim);
  if (build_integer(b->o->kv_dtype)) bytes += dtype_bytes(DT_F16, rows);
  c->stays = pin_fits(b, bytes);
  c->decided = true;
}

/* A tile of K or V with `rows` of room. */
static uint32_t new_tile(build *b, const char *name, layout x, uint64_t heads, uint64_t rows,
                         uint32_t *scale) {
  if (build_integer(b->o->kv_dtype))
    *scale = dag_add_tensor(b->d, arena_printf(b->a, "%s.scale", name), DAG_SRAM, DAG_SCALE, DT_F16,
                            3, (uint64_t[]){heads, rows, 1});
  return add_kv(b, name, DAG_SRAM, x, heads, rows);
}

/* One tile of K or V: loads the past rows unless they stayed, appends the new ones, stores them. */
static uint32_t make_tile(build *b, const chunk *t, bool is_k, uint32_t *scale) {
  kv_cache *c = &b->cache[b->layer];
  uint64_t hd = b->m->head_dim, past = b->past, end = t->key0 + t->keys;
  uint64_t before = end < past ? t->keys : past > t->key0 ? past - t->key0 : 0;
  uint64_t fresh_n = t->keys - before;
  uint32_t dram = (is_k ? c->k : c->v)[t->seq],
           dram_scale = (is_k ? c->k_scale : c->v_scale)[t->seq];
  bool scaled = build_integer(b->o->kv_dtype);
  size_t operands = scaled ? 2 : 1;
  char kind = is_k ? 'k' : 'v';
  const char *label =
      arena_printf(b->a, "%s%s", head_label(b, t, t->kv0, t->n_kv, b->m->num_key_value_heads),
                   span_label(b, "keys", t->key0, t->keys, b->kv_rows));
  layout x = layout_of(b, is_k);
  decide_stay(b, c);
  pin_key key = {dram, t->key0, b->c.keys, t->kv0, t->n_kv};
  uint32_t tile;
  bool stayed = c->stays && pin_find(b, &key, &tile, scale);
  if (!stayed) {
    uint64_t rest = b->last_row - t->key0, room = rest < b->c.keys ? rest : b->c.keys;
    tile = new_tile(b, build_name(b, "%c_tile%s", kind, label), x, t->n_kv,
                    c->stays ? room : t->keys, scale);
    if (c->stays) pin_add(b, &key, tile, scaled ? *scale : DAG_NO_TENSOR);
  }
  if (before > 0 && !stayed) {
    dag_view from[2] = {cache_rows(b, dram, x, t->kv0, t->n_kv, t->key0, before)};
    dag_view to[2] = {cache_rows(b, tile, x, 0, t->n_kv, 0, before)};
    if (scaled) {
      from[1] = build_box3(b, dram_scale, t->kv0, t->n_kv, t->key0, before);
      to[1] = build_box3(b, *scale, 0, t->n_kv, 0, before);
    }
    build_emit(b, OP_LOAD_KV, build_name(b, "%c_cache%s", kind, label), DAG_NO_GROUP, from,
               operands, to, operands);
  }
  if (fresh_n == 0) return tile;
  uint64_t row = t->key0 + before - past; /* of the step's new rows */
  columns k_rope = columns_one(b, t->k_rope);
  dag_view src =
      is_k ? columns_view(b, &k_rope, row, fresh_n, (t->kv0 - t->k_head0) * hd, t->n_kv * hd)
           : columns_view(b, t->v, t->seq * b->tokens + row, fresh_n, t->kv0 * hd, t->n_kv * hd);
  dag_view fresh[2] = {cache_rows(b, tile, x, 0, t->n_kv, before, fresh_n)};
  dag_view home[2] = {cache_rows(b, dram, x, t->kv0, t->n_kv, t->key0 + before, fresh_n)};
  if (scaled) {
    fresh[1] = build_box3(b, *scale, 0, t->n_kv, before, fresh_n);
    home[1] = build_box3(b, dram_scale, t->kv0, t->n_kv, t->key0 + before, fresh_n);
  }
  bool in_place = x == SHIFTED && b->o->kv_dtype == b->o->act_dtype && !scaled;
  build_emit(b, in_place ? OP_KVSHIFT : OP_KVAPPEND,
             build_name(b, "%c_%s%s", kind, in_place ? "shift" : "append", label),
             is_k ? t->g.append_k : t->g.append_v, &src, 1, fresh, operands);
  build_emit(b, OP_STORE_KV, build_name(b, "%c_cache%s", kind, label), DAG_NO_GROUP, fresh,
             operands, home, operands);
  return tile;
}

/* RoPE of n heads from h on, out of the segment `x`, into a new tensor (tokens, n * head_dim). */
static uint32_t rope(build *b, const chunk *t, const char *what, const columns *x, uint64_t h,
                     uint64_t n, uint64_t of, uint32_t group) {
  uint64_t T = b->tokens, hd = b->m->head_dim;
  const char *name = build_name(b, "%s%s", what, head_label(b, t, h, n, of));
  uint32_t y = build_act(b, name, T, n * hd);
  dag_view from = columns_view(b, x, t->seq * T, T, h * hd, n * hd), to = dag_all(b->d, y);
  build_emit_at(b, OP_ROPE, name, group, b->past, 0, &from, 1, &to, 1, DAG_NO_TASK);
  return y;
}

/* The part of a tile, or of its scales, that query heads h .. h+n-1 read, its first `keys` keys. */
static dag_view tile_part(const build *b, const chunk *t, uint32_t tile, uint64_t h, uint64_t n,
                          uint64_t keys) {
  uint64_t share = b->m->num_attention_heads / b->m->num_key_value_heads;
  layout x = tile == t->k_tile ? layout_of(b, true) : BY_ROW;
  return cache_rows(b, tile, x, h / share - t->kv0, n / share > 0 ? n / share : 1, 0, keys);
}

static dag_view new_view(build *b, const char *name, dtype dt, uint32_t rank, const uint64_t *dim) {
  return dag_all(b->d, dag_add_tensor(b->d, name, DAG_SRAM, DAG_ACT, dt, rank, dim));
}

/* Three-pass attention of heads h .. h+n-1, query rows r .. r+rn-1, over all keys that the last of
 * them sees. As many are in work at a time as there are engines, which is what there is room for:
 * the next one begins when the first of them is done. */
static void three_pass(build *b, chunk *t, uint64_t h, uint64_t n, uint64_t r, uint64_t rn) {
  static const char *const WHAT[6] = {"scores",      "softmax_max",  "softmax_exp",
                                      "softmax_sum", "softmax_prob", "attn_out"};
  uint64_t T = b->tokens, hd = b->m->head_dim, keys = b->past + r + rn, full[3] = {n, rn, keys};
  const char *label = arena_printf(b->a, "%s%s", head_label(b, t, h, n, b->m->num_attention_heads),
                                   span_label(b, "rows", r, rn, T)),
             *name[6];
  dag_view s[5];
  for (int i = 0; i < 6; i++) name[i] = build_name(b, "%s%s", WHAT[i], label);
  for (int i = 0; i < 5; i++)
    s[i] = new_view(b, name[i], b->o->act_dtype, i == 1 || i == 3 ? 2 : 3, full);
  dag_view q = build_box2(b, t->q_rope, r, rn, (h - t->q_head0) * hd, n * hd);
  dag_view qk[3] = {q, tile_part(b, t, t->k_tile, h, n, keys)};
  dag_view pv[3] = {s[4], tile_part(b, t, t->v_tile, h, n, keys)};
  size_t operands = 2;
  if (build_integer(b->o->kv_dtype)) {
    qk[operands] = tile_part(b, t, t->k_scale, h, n, keys);
    pv[operands++] = tile_part(b, t, t->v_scale, h, n, keys);
  }
  dag_view out_view = columns_view(b, t->out, t->seq * T + r, rn, h * hd, n * hd);
  uint64_t pos = b->past + r, streams = b->target->engines;
  uint32_t after = !b->c.many || t->n_done < streams ? DAG_NO_TASK : t->done[t->n_done % streams];
  build_emit_at(b, OP_QK, name[0], t->g.qk, pos, 0, qk, operands, &s[0], 1, after);
  build_emit_at(b, OP_SOFTMAX_MAX, name[1], t->g.max, pos, 0, &s[0], 1, &s[1], 1, DAG_NO_TASK);
  build_emit_at(b, OP_SOFTMAX_EXP, name[2], t->g.exp, pos, 0, s, 2, &s[2], 2, DAG_NO_TASK);
  build_emit_at(b, OP_SOFTMAX_NORM, name[4], t->g.norm, pos, 0, &s[2], 2, &s[4], 1, DAG_NO_TASK);
  t->done[t->n_done++ % streams] =
      build_emit_at(b, OP_PV, name[5], t->g.pv, pos, 0, pv, operands, &out_view, 1, DAG_NO_TASK);
}

/* One block of keys of flash attention on top of `state` (o, m, l; by head and rows), which it
 * replaces. */
static void flash_block(build *b, const chunk *t, uint64_t h, uint64_t n, uint64_t r, uint64_t rn,
                        flash_state *state) {
  uint64_t T = b->tokens, hd = b->m->head_dim, end = b->past + r + rn, last_key = t->key0 + t->keys;
  uint64_t keys = (last_key < end ? last_key : end) - t->key0, full[3] = {n, rn, hd},
           pos = b->past + r;
  const char *head = head_label(b, t, h, n, b->m->num_attention_heads);
  const char *rows = span_label(b, "rows", r, rn, T),
             *block_name = span_label(b, "keys", t->key0, t->keys, b->kv_rows);
  dag_view in[8] = {build_box2(b, t->q_rope, r, rn, (h - t->q_head0) * hd, n * hd),
                    tile_part(b, t, t->k_tile, h, n, keys), tile_part(b, t, t->v_tile, h, n, keys)};
  size_t n_in = 3;
  if (build_integer(b->o->kv_dtype)) {
    in[n_in++] = tile_part(b, t, t->k_scale, h, n, keys);
    in[n_in++] = tile_part(b, t, t->v_scale, h, n, keys);
  }
  bool first = t->key0 == 0, last = last_key >= end;
  for (int i = 0; i < 3 && !first; i++) in[n_in++] = state->v[i];
  static const char *const WHAT[3] = {"flash_out", "flash_max", "flash_sum"};
  for (int i = 0; i < 3 && !last; i++)
    state->v[i] = new_view(b, build_name(b, "%s%s%s%s", WHAT[i], head, rows, block_name), DT_F32,
                           i == 0 ? 3 : 2, full);
  dag_view y = columns_view(b, t->out, t->seq * T + r, rn, h * hd, n * hd);
  op o = last ? (first ? OP_FLASH_OUT : OP_FLASH_ACC_OUT) : first ? OP_FLASH : OP_FLASH_ACC;
  build_emit_at(b, o, build_name(b, "attn%s%s%s", head, rows, block_name), t->g.flash, pos, t->key0,
                in, n_in, last ? &y : state->v, last ? 1 : 3, DAG_NO_TASK);
}

/* All heads of the chunk that share its tiles, `step` at a time, by blocks of query rows. */
static void chunk_heads(build *b, chunk *t, uint64_t step, const uint32_t *q_rope,
                        const uint64_t *q_head0, flash_state *state) {
  uint64_t share = b->m->num_attention_heads / b->m->num_key_value_heads, T = b->tokens;
  size_t i = 0;
  for (uint64_t h = t->kv0 * share; h < (t->kv0 + t->n_kv) * share; h += step) {
    t->q_rope = q_rope[(h - t->kv0 * share) / step];
    t->q_head0 = q_head0[(h - t->kv0 * share) / step];
    for (uint64_t r = 0; r < T; r += b->c.rows, i++) {
      uint64_t rn = T - r < b->c.rows ? T - r : b->c.rows;
      if (!b->o->flash)
        three_pass(b, t, h, step, r, rn);
      else if (t->key0 < b->past + r + rn) /* else the mask hides the whole block */
        flash_block(b, t, h, step, r, rn, &state[i]);
    }
  }
}

/* Query heads that a task works on: all of the chunk; under head and tile those that share a KV
 * head, as long as no engine goes without: more heads a task read the K and V tile once and cost
 * one task's overhead. */
static uint64_t heads_a_task(const build *b, const chunk *t) {
  uint64_t H = b->m->num_attention_heads, share = H / b->m->num_key_value_heads;
  if (b->o->split < WL_HEAD) return t->n_kv * share;
  uint64_t n = share;
  while (n > 1 && (share % n != 0 || H / n * b->o->batch < b->target->engines)) n--;
  return n;
}

/* The tensor that holds a head, and the first head in it. */
static uint32_t segment_of(const build *b, const columns *c, uint64_t head, uint64_t *first) {
  size_t i = 0;
  while (i + 1 < c->n && c->first[i + 1] <= head * b->m->head_dim) i++;
  *first = c->first[i] / b->m->head_dim;
  return c->tensor[i];
}

static void run_chunk(build *b, chunk *t) {
  uint64_t H = b->m->num_attention_heads, KV = b->m->num_key_value_heads, share = H / KV;
  uint64_t step = heads_a_task(b, t), n = t->n_kv * share / step;
  uint64_t blocks = (b->tokens + b->c.rows - 1) / b->c.rows;
  uint32_t *q_rope = ARENA_NEW(b->a, uint32_t, n);
  flash_state *state = ARENA_NEW(b->a, flash_state, n * blocks);
  uint64_t *q_head0 = ARENA_NEW(b->a, uint64_t, n);
  t->k_head0 = t->kv0;
  if (t->k_roped)
    t->k_rope = segment_of(b, t->k, t->kv0, &t->k_head0);
  else
    t->k_rope = rope(b, t, "k_rope", t->k, t->kv0, t->n_kv, KV, t->g.rope_k);
  for (t->key0 = 0; t->key0 < b->kv_rows; t->key0 += b->c.keys) {
    t->keys = b->kv_rows - t->key0 < b->c.keys ? b->kv_rows - t->key0 : b->c.keys;
    t->k_tile = make_tile(b, t, true, &t->k_scale);
    t->v_tile = make_tile(b, t, false, &t->v_scale);
    for (uint64_t i = 0; i < n && t->key0 == 0; i++) {
      uint64_t h = q_head0[i] = t->kv0 * share + i * step;
      q_rope[i] = t->q_roped ? segment_of(b, t->q, h, &q_head0[i])
                             : rope(b, t, "q_rope", t->q, h, step, H, t->g.rope_q);
    }
    chunk_heads(b, t, step, q_rope, q_head0, state);
  }
}

struct attention_state {
  chunk t;
};

attention_state *attention_new(build *b, bool q_roped, bool k_roped) {
  attention_state *at = ARENA_NEW(b->a, attention_state, 1);
  at->t = (chunk){.g = make_groups(b),
                  .q_roped = q_roped,
                  .k_roped = k_roped,
                  .done = ARENA_NEW(b->a, uint32_t, b->target->engines)};
  return at;
}

void attention_run(build *b, attention_state *at, uint64_t seq, uint64_t kv0, const columns *q,
                   const columns *k, const columns *v, const columns *y) {
  uint64_t KV = b->m->num_key_value_heads;
  chunk *t = &at->t;
  t->q = q;
  t->k = k;
  t->v = v;
  t->out = y;
  t->seq = seq;
  t->kv0 = kv0;
  t->n_kv = KV - kv0 < b->c.kv_heads ? KV - kv0 : b->c.kv_heads;
  run_chunk(b, t);
}

columns attention(build *b, const columns *q, const columns *k, const columns *v, bool q_roped,
                  bool k_roped) {
  columns result = columns_one(b, build_act(b, build_name(b, "attn_out"), b->rows, b->q_cols));
  attention_state *at = attention_new(b, q_roped, k_roped);
  for (uint64_t seq = 0; seq < b->o->batch; seq++)
    for (uint64_t kv0 = 0; kv0 < b->m->num_key_value_heads; kv0 += b->c.kv_heads)
      attention_run(b, at, seq, kv0, q, k, v, &result);
  return result;
}
