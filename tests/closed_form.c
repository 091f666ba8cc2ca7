#include "tests/closed_form.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static uint64_t bits(dtype d) {
  return d == DT_F32 || d == DT_INT32 ? 32 : d == DT_INT8 ? 8 : d == DT_INT4 ? 4 : 16;
}

static bool integer(dtype d) {
  return d == DT_INT8 || d == DT_INT4;
}

/* of n elements, whole bytes */
static uint64_t bytes(dtype d, uint64_t n) {
  return (n * bits(d) + 7) / 8;
}

static uint64_t scale_row(dtype d, uint64_t in) {
  return d == DT_INT8 ? 4 : d == DT_INT4 ? 2 * ((in + 31) / 32) : 0;
}

/* A step, or a block of one, of T new tokens after P past ones. */
typedef struct shape {
  const model *m;
  const wl_options *o;
  uint64_t P, T, C, I, hd, Q, KV, B, L, H, pairs, norm_B;
  bool last; /* of its step */
  uint32_t step;
} shape;

static shape shape_of(const model *m, const wl_options *o, uint64_t P, uint64_t T) {
  return (shape){.m = m,
                 .o = o,
                 .P = P,
                 .T = T,
                 .C = m->hidden_size,
                 .I = m->intermediate_size,
                 .hd = m->head_dim,
                 .H = m->num_attention_heads,
                 .Q = m->num_attention_heads * m->head_dim,
                 .KV = m->num_key_value_heads * m->head_dim,
                 .B = o->batch,
                 .L = o->layers,
                 .pairs = T * P + T * (T + 1) / 2,
                 .norm_B = bytes(integer(o->act_dtype) ? DT_BF16 : o->act_dtype, m->hidden_size)};
}

static void add_blocks(const shape *x, cf_sums *s) {
  const wl_options *o = x->o;
  uint64_t rows = x->B * x->T, C = x->C, Q = x->Q, KV = x->KV, I = x->I, L = x->L;
  uint64_t linear = C * Q + 2 * C * KV + Q * C + 3 * C * I, seen = x->B * x->H * x->pairs;
  s->matrix += L * (2 * rows * linear + 2 * 2 * x->hd * seen);
  s->vector += L * rows * (2 * 4 * C + 3 * (Q + KV) + 2 * C + 5 * I);
  s->vector += L * (o->flash ? 5 * seen + rows * Q : 6 * seen);
  s->weights += L * (linear * bits(o->weight_dtype) / 8 + 2 * x->norm_B);
  s->kv_read += L * x->B * 2 * x->P * KV * bits(o->kv_dtype) / 8;
  s->kv_write += L * x->B * 2 * x->T * KV * bits(o->kv_dtype) / 8;
  uint64_t from_C = Q + 2 * KV + 2 * I; /* output rows of layers whose input is C wide */
  s->scales += L * (from_C * scale_row(o->weight_dtype, C) + C * scale_row(o->weight_dtype, Q) +
                    C * scale_row(o->weight_dtype, I));
  uint64_t heads = integer(o->kv_dtype) ? L * x->B * 2 * 2 * x->m->num_key_value_heads : 0;
  s->kv_scales_read += heads * x->P; /* of K and V, f16 */
  s->kv_scales_written += heads * x->T;
}

/* What surrounds the blocks: rows gathered from the table, final norm, LM head for the last token
 * of each sequence, ids out. Without the embedding, activations in and out. */
static void add_ends(const shape *x, cf_sums *s) {
  const wl_options *o = x->o;
  uint64_t rows = x->B * x->T, C = x->C, V = x->m->vocab_size;
  if (!o->all) {
    s->act_read += bytes(o->act_dtype, rows * C);
    s->act_written += bytes(o->act_dtype, rows * C);
    return;
  }
  bool dequantise = integer(o->weight_dtype);
  s->vector += dequantise ? rows * C : 0;
  s->weights += bytes(o->weight_dtype, rows * C);
  s->scales += rows * scale_row(o->weight_dtype, C);
  if (!x->last) return;
  s->matrix += 2 * x->B * V * C;
  s->vector += x->B * (4 * C + V);
  s->weights += x->norm_B + V * C * bits(o->weight_dtype) / 8;
  s->scales += V * scale_row(o->weight_dtype, C);
  s->act_written += 4 * x->B;
}

static bool hybrid(const wl_options *o) {
  return strcmp(o->phase, "hybrid") == 0;
}

static uint64_t n_steps(const wl_options *o) {
  return hybrid(o) ? o->steps + 1 : o->steps;
}

/* Into how many blocks of tokens the compiler cut the first step: as often it loads the norm that
 * every block begins with. */
static uint64_t n_blocks(const wl_options *o, const dag *d) {
  char name[64];
  snprintf(name, sizeof name, "L%u.attn_norm.weight", (unsigned)o->first_layer);
  uint64_t n = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const dag_task *x = &d->tasks[t];
    n += x->step == 0 && x->op == OP_LOAD_WEIGHT &&
         strcmp(d->tensors[dag_reads(d, x)->tensor].name, name) == 0;
  }
  return n > 0 ? n : 1;
}

/* Steps, and blocks of the first step: even, but for the last. */
typedef struct shapes {
  shape at[2048];
  size_t n;
} shapes;

static shapes *shapes_of(const model *m, const wl_options *o, const dag *d) {
  static shapes all;
  all.n = 0;
  uint64_t blocks = n_blocks(o, d), each = (o->tokens + blocks - 1) / blocks;
  uint64_t alike = hybrid(o) ? 1 : o->steps;
  for (uint64_t i = 0; i < alike; i++)
    for (uint64_t t = 0; t < o->tokens; t += each) {
      uint64_t T = o->tokens - t < each ? o->tokens - t : each;
      ck_assert_uint_lt(all.n, 2048);
      all.at[all.n] = shape_of(m, o, o->past + i * o->tokens + t, T);
      all.at[all.n].step = (uint32_t)i;
      all.at[all.n++].last = t + T == o->tokens;
    }
  ck_assert_uint_eq(all.n, blocks * alike);
  for (uint64_t i = alike; i < n_steps(o); i++) {
    ck_assert_uint_lt(all.n, 2048);
    all.at[all.n] = shape_of(m, o, o->tokens + i - 1, 1);
    all.at[all.n].step = (uint32_t)i;
    all.at[all.n++].last = true;
  }
  return &all;
}

cf_sums cf_of(const model *m, const wl_options *o, const dag *d) {
  cf_sums s = {0};
  const shapes *x = shapes_of(m, o, d);
  for (size_t i = 0; i < x->n; i++) {
    add_blocks(&x->at[i], &s);
    add_ends(&x->at[i], &s);
  }
  if (o->all) s.act_read += 4 * o->batch * o->tokens; /* the prompt's ids */
  return s;
}

uint64_t cf_read_B(const cf_sums *s) {
  return s->weights + s->kv_read + s->scales + s->kv_scales_read + s->act_read;
}

uint64_t cf_written_B(const cf_sums *s) {
  return s->kv_write + s->kv_scales_written + s->act_written;
}

/* ---- what the compiler chose ----------------------------------------------------------------- */

/* Of one step's attention: heads and query rows a task, keys a block. */
typedef struct cut {
  uint64_t heads, rows, keys;
} cut;

static cut first_cut(const dag *d, const shape *s) {
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const dag_task *x = &d->tasks[t];
    if (x->step != s->step || x->pos != s->P) continue;
    if (x->op != OP_QK && x->op != OP_FLASH && x->op != OP_FLASH_OUT) continue;
    const dag_view *r = dag_reads(d, x);
    const dag_tensor *k = &d->tensors[r[1].tensor];
    return (cut){r[0].len[1] / s->hd, r[0].len[0], k->dim[k->rank == 4 ? 3 : 1]};
  }
  ck_abort_msg("step %u has no attention at %u", s->step, (unsigned)s->P);
}

static uint64_t min_u64(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

/* Blocks of keys that the query rows r .. r + rn - 1 see some of. */
static uint64_t blocks_seen(const shape *x, const cut *c, uint64_t r, uint64_t rn) {
  return (x->P + r + rn + c->keys - 1) / c->keys;
}

static uint64_t rescaling(const model *m, const wl_options *o, const dag *d) {
  uint64_t sum = 0;
  const shapes *all = shapes_of(m, o, d);
  for (size_t i = 0; o->flash && i < all->n; i++) {
    shape x = all->at[i];
    cut c = first_cut(d, &x);
    for (uint64_t r = 0; r < x.T; r += c.rows) {
      uint64_t rn = min_u64(c.rows, x.T - r);
      sum += x.L * x.B * x.H * rn * (x.hd + 3) * (blocks_seen(&x, &c, r, rn) - 1);
    }
  }
  return sum;
}

/* ---- checks ---------------------------------------------------------------------------------- */

void cf_check(const model *m, const wl_options *o, const dag *d) {
  cost_totals t = cost_sum(d);
  cf_sums s = cf_of(m, o, d);
  ck_assert_uint_eq(t.matrix_flops, s.matrix);
  ck_assert_uint_eq(t.vector_flops, s.vector + rescaling(m, o, d));
  ck_assert_uint_eq(t.weights, s.weights);
  ck_assert_uint_eq(t.kv_read, s.kv_read);
  ck_assert_uint_eq(t.kv_write, s.kv_write);
  ck_assert_uint_eq(t.scales, s.scales + s.kv_scales_read + s.kv_scales_written);
  uint64_t spilled = 0, back = 0;
  for (uint32_t i = 0; i < d->n_tasks; i++) {
    const dag_task *x = &d->tasks[i];
    if (x->op == OP_SPILL) spilled += dag_view_bytes(d, dag_reads(d, x));
    if (x->op == OP_FILL) back += dag_view_bytes(d, dag_reads(d, x));
  }
  ck_assert_uint_eq(t.spill, spilled + back);
  ck_assert_uint_eq(t.dram_read, cf_read_B(&s) + back);
  ck_assert_uint_eq(t.dram_write, cf_written_B(&s) + spilled);
}

/* A task's share of a K or V tile: N keys of the KV heads that n query heads read, and their
 * scales.
 */
static uint64_t tile_B(const shape *x, uint64_t n, uint64_t N) {
  uint64_t share = x->H / x->m->num_key_value_heads, kv = n / share > 0 ? n / share : 1;
  dtype d = x->o->kv_dtype;
  return bytes(d, kv * N * x->hd) + (integer(d) ? 2 * kv * N : 0);
}

/* Operand bytes of n heads and rows r .. r + rn - 1. */
static uint64_t three_pass_B(const shape *x, uint64_t n, uint64_t r, uint64_t rn) {
  dtype act = x->o->act_dtype;
  uint64_t N = x->P + r + rn, square = bytes(act, n * rn * N), row = bytes(act, n * rn);
  return 7 * square + 4 * row + 2 * bytes(act, n * rn * x->hd) + 2 * tile_B(x, n, N);
}

static uint64_t flash_B(const shape *x, uint64_t n, uint64_t r, uint64_t rn, uint64_t block) {
  uint64_t end = x->P + r + rn, state = 4 * n * rn * (x->hd + 2), sum = 0;
  uint64_t io = bytes(x->o->act_dtype, n * rn * x->hd);
  for (uint64_t key = 0; key < end; key += block)
    sum += io + 2 * tile_B(x, n, min_u64(block, end - key)) + (key > 0 ? state : 0) +
           (key + block < end ? state : io);
  return sum;
}

/* Of one step's attention, a layer and sequence. */
static uint64_t attention_B(const shape *x, const cut *c) {
  uint64_t sum = 0;
  for (uint64_t h = 0; h < x->H; h += c->heads)
    for (uint64_t r = 0; r < x->T; r += c->rows) {
      uint64_t n = min_u64(c->heads, x->H - h), rn = min_u64(c->rows, x->T - r);
      sum += x->o->flash ? flash_B(x, n, r, rn, c->keys) : three_pass_B(x, n, r, rn);
    }
  return sum;
}

static bool is_attention(op k) {
  return k == OP_QK || k == OP_SOFTMAX_MAX || k == OP_SOFTMAX_EXP || k == OP_SOFTMAX_NORM ||
         k == OP_PV || k == OP_FLASH || k == OP_FLASH_ACC || k == OP_FLASH_OUT ||
         k == OP_FLASH_ACC_OUT;
}

/* Scores are kept as (heads, rows, keys); with flash no tensor may be of that kind, and neither may
 * one that lies in DRAM. */
static void check_no_square(const model *m, const wl_options *o, const dag *d) {
  for (size_t i = 0; i < d->n_tensors; i++) {
    const dag_tensor *t = &d->tensors[i];
    bool square = t->role == DAG_ACT && t->rank == 3 && t->dim[2] != m->head_dim;
    ck_assert_msg(!square || (!o->flash && t->space != DAG_DRAM), "'%s' is queries x keys",
                  t->name);
  }
}

void cf_check_attention(const model *m, const wl_options *o, const dag *d) {
  cost_totals t = cost_sum(d);
  ck_assert_uint_eq(t.spill, 0);
  check_no_square(m, o, d);
  uint64_t operands = 0, loads = 0, stores = 0, expect = 0;
  for (uint32_t i = 0; i < d->n_tasks; i++) {
    const dag_task *x = &d->tasks[i];
    if (is_attention((op)x->op)) operands += cost_of(d, i).operand_B;
    if (x->op == OP_LOAD_KV) loads += cost_of(d, i).transfer_B;
    if (x->op == OP_STORE_KV) stores += cost_of(d, i).transfer_B;
  }
  const shapes *all = shapes_of(m, o, d);
  for (size_t i = 0; i < all->n; i++) {
    shape x = all->at[i];
    cut c = first_cut(d, &x);
    expect += x.L * x.B * attention_B(&x, &c);
  }
  ck_assert_uint_eq(operands, expect);
  cf_sums s = cf_of(m, o, d);
  ck_assert_uint_eq(loads, s.kv_read + s.kv_scales_read);
  ck_assert_uint_eq(stores, s.kv_write + s.kv_scales_written);
}
