/* How much of a step is done at once, so that activations fit SRAM beside the weights in flight. */
#include "workloads/build.h"

/* From here on activations count beside the weights. */
enum { MANY_ROWS = 64 };

/* Up to here DRAM is all that counts, and small pieces end sooner. */
enum { FEW_ROWS = 4 };

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

/* In so many halves more parts. */
static uint64_t finer(uint64_t n, uint32_t halves) {
  return at_least(2 * n / (2 + (uint64_t)halves), 1);
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

/* Inner length of a tile of `elements` weights, n x k. For every tile an engine streams rows*k
 * inputs, n*k weights, and rows*n partial sums in and out; for a given n*k, rows*k + 2*rows*n is
 * least at k = sqrt(2*n*k). Sums that are not complete take room and a second task, so whole rows
 * are cut only where fewer than a quarter as many columns as input rows would be left, or at `any`
 * rate. In whole groups of 64 columns. */
static uint64_t tile_inner(uint64_t elements, uint64_t rows, uint64_t in, bool any) {
  if (!any && rows >= MANY_ROWS && 4 * (elements / in + 1) >= rows) return 0;
  uint64_t k = 64;
  while ((k + 64) * (k + 64) <= 2 * elements) k += 64;
  return k;
}

/* Bytes of n whole rows of gate, with scales. */
static uint64_t rows_B(const build *b, uint64_t n) {
  uint64_t in = b->m->hidden_size, scale = 0;
  if (b->o->weight_dtype == DT_INT8) scale = 4;
  if (b->o->weight_dtype == DT_INT4) scale = (in + 31) / 32 * 2;
  return n * (dtype_bytes(b->o->weight_dtype, in) + scale);
}

/* Many rows: chunks of intermediate columns such that the engines stream the fewest operands
 * through the MLP, of those that leave room for all that is there at a time: the normalised input
 * and down's sum, two chunks (unfused four: gate and up of each), and for every engine two tiles
 * but for one of them, the one in work and the next; or as many tiles as the target says. A tile is
 * an engine's share of a chunk's columns, or a part of it. Operands a weight: gate and up read
 * `rows` inputs for every column of a tile, down too, and reads and writes as many sums for every
 * chunk. False where not even narrow chunks fit. */
static bool plan_many(const build *b, chunks *c) {
  uint64_t S = wl_work_bytes(b->target), I = b->m->intermediate_size,
           act = dtype_bits(b->o->act_dtype);
  uint64_t fixed = 2 * b->rows * b->m->hidden_size * act / 8,
           buffers = chunks_abreast(b) * (c->fuse ? 1 : 2);
  uint64_t usual = wl_piece_bytes(b->o, b->target), most = WL_MAX_PIECE_B;
  if (b->o->tile_B > 0 || b->target->pad_B > 0) most = usual; /* given, or what fits a scratchpad */
  uint64_t share = b->m->hidden_size / b->parts;
  uint64_t tiles = b->target->tiles > 0 ? b->target->tiles : 2 * b->parts - 1;
  double least = 0;
  for (uint64_t count = 1; fixed < S && I / count >= 32 * (uint64_t)b->parts; count++) {
    uint64_t cols = (I + count - 1) / count, n = (cols + b->parts - 1) / b->parts;
    uint64_t pieces = (rows_B(b, n) + most - 1) / most, wide = (n + pieces - 1) / pieces;
    uint64_t room = S - fixed, chunk = buffers * b->rows * cols * act / 8;
    if (chunk + tiles * rows_B(b, wide) > room) continue;
    uint64_t piece_B = b->o->tile_B > 0 ? most : at_least(usual, rows_B(b, wide));
    uint64_t down = at_most(piece_B / dtype_bytes(b->o->weight_dtype, cols), at_least(share, 1));
    double streamed = 2.0 / (double)wide + 1.0 / (double)at_least(down, 1) + 2.0 / (double)cols;
    if (least > 0 && streamed >= least) continue;
    least = streamed;
    c->mlp_cols = cols;
    c->piece_B = piece_B;
  }
  return least > 0;
}

/* Few rows, or SRAM too small for the above: gate, up and their product, of one chunk of columns,
 * in a quarter of SRAM. */
static void plan_few(const build *b, chunks *c) {
  uint64_t column_B = at_least(3 * b->rows * dtype_bits(b->o->act_dtype) / 8, 1);
  c->mlp_cols = even(b->m->intermediate_size, at_least(wl_work_bytes(b->target) / 4 / column_B, 1));
}

/* Scores (probabilities take over their room), or the flash state where it has to be kept, of the
 * heads in work: a quarter of SRAM. */
static uint64_t attention_rows(const build *b, const chunks *c) {
  const model *m = b->m;
  uint64_t share = m->num_attention_heads / m->num_key_value_heads, in_work = c->kv_heads * share;
  uint64_t streams = b->o->split == WL_NONE ? 1 : b->target->engines;
  bool flash = b->o->flash, head = b->o->split >= WL_HEAD;
  if (head && !flash) in_work = at_most(streams * share, m->num_attention_heads);
  if (head && flash) in_work = at_most(streams * c->kv_heads * share, m->num_attention_heads);
  uint64_t row_B = in_work * b->kv_rows * dtype_bits(b->o->act_dtype) / 8;
  if (flash) row_B = c->keys < b->kv_rows ? in_work * m->head_dim * 4 : 1;
  return even(b->tokens, at_least(wl_work_bytes(b->target) / 4 / at_least(row_B, 1), 1));
}

uint32_t chunks_abreast(const build *b) {
  if (b->target->chunks > 0) return b->target->chunks;
  return b->o->split == WL_OP ? 3 : 2;
}

/* Of them so many at a time that all from Q to O goes by: halved as often as asked for. O's weights
 * are cut between groups of 32 columns (int4's scales are not cut). 0: they cannot be cut so. */
static uint64_t few_heads(const build *b, uint64_t heads) {
  uint64_t KV = b->m->num_key_value_heads, n = at_least(heads >> b->target->heads, 1);
  uint64_t cols = b->m->num_attention_heads / KV * b->m->head_dim;
  bool int4 = b->o->weight_dtype == DT_INT4;
  while (int4 && n < KV && n * cols % 32 != 0) n++;
  return n <= heads ? n : 0;
}

chunks chunks_plan(const build *b) {
  const model *m = b->m;
  const wl_options *o = b->o;
  uint64_t S = wl_work_bytes(b->target), rows = b->rows;
  /* what stays for later steps is cut as the last of them needs it */
  uint64_t keys = b->keeps && resident_kv(b) ? b->last_row : b->kv_rows;
  chunks c = {.piece_B = wl_piece_bytes(o, b->target), .keys = keys};
  c.fuse = o->fuse == WL_FUSE_ALL || (o->fuse == WL_FUSE_AUTO && rows >= WL_FUSE_ROWS);
  c.many = rows >= MANY_ROWS;
  if (rows <= FEW_ROWS && o->tile_B == 0) c.piece_B = at_most(c.piece_B, WL_FEW_ROWS_PIECE_B);
  if (!c.many || !plan_many(b, &c)) plan_few(b, &c);
  bool long_ops = o->split == WL_OP && c.many, inner = long_ops && b->target->inner;
  bool longs = o->split != WL_NONE && c.many;
  if (longs && o->tile_B == 0) c.piece_B = finer(c.piece_B, b->target->pieces);
  if (o->split == WL_TILE || inner)
    c.tile_k = tile_inner(c.piece_B * 8 / dtype_bits(o->weight_dtype), rows, m->hidden_size, inner);

  /* a flash block's K and V tile: a piece each */
  if (o->flash) {
    uint64_t key_B = at_least(dtype_bytes(o->kv_dtype, m->head_dim), 1);
    c.keys = even(keys, at_least(c.piece_B / key_B, 1));
  }
  c.kv_heads = kv_heads(b, S, c.piece_B, c.keys);
  uint64_t few = long_ops && b->target->heads > 0 ? few_heads(b, c.kv_heads) : 0;
  c.by_heads = few > 0;
  if (c.by_heads) c.kv_heads = few;
  c.rows = attention_rows(b, &c);
  if (longs) c.rows = even(b->tokens, finer(c.rows, b->target->rows));
  c.segments = rows * b->q_cols * dtype_bits(o->act_dtype) / 8 > S / 32;
  return c;
}
