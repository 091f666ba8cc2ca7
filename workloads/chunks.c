/* How much of a step is done at once, so that activations fit SRAM beside the weights in flight. */
#include "workloads/build.h"

static uint64_t at_least(uint64_t v, uint64_t least) {
  return v < least ? least : v;
}

static uint64_t at_most(uint64_t v, uint64_t most) {
  return v > most ? most : v;
}

/* n in equal parts, each at most `fit`: the length of a part. */
static uint64_t even(uint64_t n, uint64_t fit) {
  uint64_t parts = (n + at_least(fit, 1) - 1) / at_least(fit, 1);
  return (n + parts - 1) / parts;
}

/* KV heads whose rows are moved together: under head an engine's share, as far as a tile stays
 * within a piece; else as many as keep a K and a V tile in a quarter of SRAM. */
static uint64_t kv_heads(const build *b, uint64_t S, uint64_t piece_B, uint64_t keys) {
  uint64_t KV = b->m->num_key_value_heads,
           tile = dtype_bytes(b->o->kv_dtype, keys * b->m->head_dim);
  bool head = b->o->split >= WL_HEAD;
  uint64_t fit = head ? piece_B / tile : S / 4 / (2 * tile);
  return at_least(at_most(fit, head ? KV / b->parts : KV), 1);
}

/* Inner length of a tile of piece_B bytes, n x k. For every tile an engine streams rows*k inputs,
 * n*k weights, and rows*n partial sums in and out; for a given n*k, rows*k + 2*rows*n is least at k
 * = sqrt(2*n*k). In whole groups of 64 columns. */
static uint64_t tile_inner(const build *b, uint64_t piece_B) {
  uint64_t elements = piece_B * 8 / dtype_bits(b->o->weight_dtype), k = 64;
  while ((k + 64) * (k + 64) <= 2 * elements) k += 64;
  return k;
}

chunks chunks_plan(const build *b) {
  const model *m = b->m;
  const wl_options *o = b->o;
  uint64_t S = wl_work_bytes(b->target), act = dtype_bits(o->act_dtype), rows = b->rows,
           N = b->kv_rows;
  uint64_t streams = o->split == WL_NONE ? 1 : b->target->engines;
  chunks c = {.piece_B = wl_piece_bytes(o, b->target), .tile_k = 0, .keys = N};

  if (o->split == WL_TILE) c.tile_k = tile_inner(b, c.piece_B);

  /* gate, up and their product, of one chunk of columns: a quarter of SRAM */
  uint64_t column_B = at_least(3 * rows * act / 8, 1);
  c.mlp_cols = even(m->intermediate_size, at_least(S / 4 / column_B, 1));
  if (c.mlp_cols < m->intermediate_size)
    c.mlp_cols = (c.mlp_cols + 31) / 32 * 32; /* int4's groups stay whole */

  /* a flash block's K and V tile: a piece each */
  if (o->flash) {
    uint64_t key_B = at_least(dtype_bytes(o->kv_dtype, m->head_dim), 1);
    c.keys = even(N, at_least(c.piece_B / key_B, 1));
  }
  c.kv_heads = kv_heads(b, S, c.piece_B, c.keys);

  /* scores, exponentials and probabilities (or the flash state) of the heads in work: a quarter of
   * SRAM */
  uint64_t share = m->num_attention_heads / m->num_key_value_heads, in_work = c.kv_heads * share;
  if (o->split >= WL_HEAD && !o->flash) in_work = at_most(streams, m->num_attention_heads);
  if (o->split >= WL_HEAD && o->flash)
    in_work = at_most(streams * c.kv_heads * share, m->num_attention_heads);
  uint64_t row_B = o->flash ? 2 * in_work * m->head_dim * 4 : 3 * in_work * N * act / 8;
  c.rows = even(b->tokens, at_least(S / 4 / at_least(row_B, 1), 1));
  c.segments = rows * b->q_cols * act / 8 > S / 32;
  return c;
}
