#include "tests/closed_form.h"

#include <check.h>
#include <string.h>

static uint64_t bits(dtype d) {
  return d == DT_F32 ? 32 : d == DT_INT8 ? 8 : d == DT_INT4 ? 4 : 16;
}

static bool integer(dtype d) {
  return d == DT_INT8 || d == DT_INT4;
}

/* What one step adds. */
typedef struct sums {
  uint64_t matrix, weights, kv_read, kv_write, scales_read, scales_written, act;
} sums;

static uint64_t scale_row(dtype d, uint64_t in) {
  return d == DT_INT8 ? 4 : d == DT_INT4 ? 2 * ((in + 31) / 32) : 0;
}

static void add_step(const model *m, const wl_options *o, uint64_t P, uint64_t T, sums *s) {
  uint64_t C = m->hidden_size, I = m->intermediate_size, hd = m->head_dim, B = o->batch,
           L = o->layers;
  uint64_t Q = m->num_attention_heads * hd, KV = m->num_key_value_heads * hd;
  uint64_t linear = C * Q + 2 * C * KV + Q * C + 3 * C * I, pairs = T * P + T * (T + 1) / 2;
  uint64_t norm = C * bits(integer(o->act_dtype) ? DT_BF16 : o->act_dtype) / 8;
  s->matrix += L * B * (2 * T * linear + 2 * 2 * hd * m->num_attention_heads * pairs);
  s->weights += L * (linear * bits(o->weight_dtype) / 8 + 2 * norm);
  s->kv_read += L * B * 2 * P * KV * bits(o->kv_dtype) / 8;
  s->kv_write += L * B * 2 * T * KV * bits(o->kv_dtype) / 8;
  uint64_t from_C = Q + 2 * KV + 2 * I; /* output rows of layers whose input is C wide */
  s->scales_read += L * (from_C * scale_row(o->weight_dtype, C) +
                         C * scale_row(o->weight_dtype, Q) + C * scale_row(o->weight_dtype, I));
  uint64_t heads =
      integer(o->kv_dtype) ? L * B * 2 * 2 * m->num_key_value_heads : 0; /* K and V, f16 */
  s->scales_read += heads * P;
  s->scales_written += heads * T;
  if (!o->all) {
    s->act += 2 * ((B * T * C * bits(o->act_dtype) + 7) / 8);
    return;
  }
  /* rows gathered from the table, final norm, LM head for the last token of each sequence, ids out
   */
  uint64_t V = m->vocab_size;
  s->matrix += 2 * B * V * C;
  s->weights +=
      (B * T * C * bits(o->weight_dtype) + 7) / 8 + norm + V * C * bits(o->weight_dtype) / 8;
  s->scales_read += (B * T + V) * scale_row(o->weight_dtype, C);
  s->act += 4 * B;
}

void cf_check(const model *m, const wl_options *o, const dag *d) {
  cost_totals t = cost_sum(d);
  sums s = {0};
  bool hybrid = strcmp(o->phase, "hybrid") == 0;
  add_step(m, o, o->past, o->tokens, &s);
  for (uint64_t i = 0; hybrid && i < o->steps; i++) add_step(m, o, o->tokens + i, 1, &s);
  if (o->all) s.act += 4 * o->batch * o->tokens; /* the prompt's ids */
  ck_assert_uint_eq(t.matrix_flops, s.matrix);
  ck_assert_uint_eq(t.weights, s.weights);
  ck_assert_uint_eq(t.kv_read, s.kv_read);
  ck_assert_uint_eq(t.kv_write, s.kv_write);
  ck_assert_uint_eq(t.scales, s.scales_read + s.scales_written);
  ck_assert_uint_eq(t.dram_read + t.dram_write,
                    t.weights + t.kv_read + t.kv_write + t.scales + s.act + t.spill);
}
