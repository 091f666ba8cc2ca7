#include "tests/closed_form.h"

#include <check.h>

static uint64_t bits(dtype d) {
  return d == DT_F32 ? 32 : d == DT_INT8 ? 8 : d == DT_INT4 ? 4 : 16;
}

static bool integer(dtype d) {
  return d == DT_INT8 || d == DT_INT4;
}

void cf_check(const model *m, const wl_options *o, const dag *d) {
  cost_totals t = cost_sum(d);
  uint64_t C = m->hidden_size, I = m->intermediate_size, hd = m->head_dim;
  uint64_t Q = m->num_attention_heads * hd, KV = m->num_key_value_heads * hd;
  uint64_t T = o->tokens, B = o->batch, L = o->layers, P = o->past;
  uint64_t linear = C * Q + 2 * C * KV + Q * C + 3 * C * I;
  uint64_t pairs = T * P + T * (T + 1) / 2;
  ck_assert_uint_eq(t.matrix_flops,
                    L * B * (2 * T * linear + 2 * 2 * hd * m->num_attention_heads * pairs));

  uint64_t norm = 2 * C * bits(integer(o->act_dtype) ? DT_BF16 : o->act_dtype) / 8;
  ck_assert_uint_eq(t.weights, L * (linear * bits(o->weight_dtype) / 8 + norm));
  ck_assert_uint_eq(t.kv_read, L * B * 2 * P * KV * bits(o->kv_dtype) / 8);
  ck_assert_uint_eq(t.kv_write, L * B * 2 * T * KV * bits(o->kv_dtype) / 8);

  uint64_t rows = Q + 2 * KV + C + 2 * I + C, scales = 0; /* output rows of all linear layers */
  if (o->weight_dtype == DT_INT8) scales += L * 4 * rows;
  if (o->weight_dtype == DT_INT4)
    scales += L * 2 *
              ((Q + 2 * KV + 2 * I) * ((C + 31) / 32) + C * ((Q + 31) / 32) + C * ((I + 31) / 32));
  if (integer(o->kv_dtype))
    scales += L * B * 2 * (P + T) * m->num_key_value_heads * 2; /* read and written */
  ck_assert_uint_eq(t.scales, scales);
  ck_assert_uint_eq(t.spill, 0);

  uint64_t act = (B * T * C * bits(o->act_dtype) + 7) / 8;
  uint64_t kv_scale_written = integer(o->kv_dtype) ? L * B * 2 * T * m->num_key_value_heads * 2 : 0;
  ck_assert_uint_eq(t.dram_read, t.weights + t.kv_read + (t.scales - kv_scale_written) + act);
  ck_assert_uint_eq(t.dram_write, t.kv_write + kv_scale_written + act);
}
