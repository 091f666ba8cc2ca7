/* Attention with the linear layers around it, a few KV heads after the others: their Q, K and V,
 * their attention, and what it adds to the O projection's sums. So attention begins when the first
 * heads are there, O when the first have been attended to, and only a few heads' activations are
 * held at a time. Each op stays one: its tasks are of one group, whatever the heads. */
#include <inttypes.h>

#include "workloads/build.h"

/* Columns of heads h .. h+n-1 of a linear layer, in a tensor of their own. */
static columns project(build *b, linear *l, const char *y_name, const columns *x, uint64_t h,
                       uint64_t n, const char *tag, fusion fused, bool ramp_up) {
  uint64_t hd = b->m->head_dim;
  columns y = columns_range(b, y_name, h * hd, (h + n) * hd, false);
  linear_run(b, l,
             &(linear_range){.row0 = h * hd,
                             .n = n * hd,
                             .kn = l->in,
                             .x = x,
                             .x_rows = b->rows,
                             .y = &y,
                             .first = true,
                             .last = true,
                             .tag = tag,
                             .fused = fused,
                             .ramp_up = ramp_up});
  return y;
}

columns heads_sum(build *b, const columns *norm, const columns *x, bool rope_q, bool rope_k) {
  uint64_t C = b->m->hidden_size, hd = b->m->head_dim, KV = b->m->num_key_value_heads;
  uint64_t share = b->m->num_attention_heads / KV, at_once = b->c.kv_heads;
  fusion q_fused = rope_q ? FUSED_ROPE : FUSED_NOTHING,
         k_fused = rope_k ? FUSED_ROPE : FUSED_NOTHING;
  linear q = linear_new(b, "q_proj", C, b->q_cols, DAG_NO_TENSOR, DAG_NO_TENSOR);
  linear k = linear_new(b, "k_proj", C, b->kv_cols, DAG_NO_TENSOR, DAG_NO_TENSOR);
  linear v = linear_new(b, "v_proj", C, b->kv_cols, DAG_NO_TENSOR, DAG_NO_TENSOR);
  attention_state *at = attention_new(b, rope_q, rope_k);
  linear o = linear_new(b, "o_proj", b->q_cols, C, DAG_NO_TENSOR, DAG_NO_TENSOR);
  columns y = build_columns(b, b->c.fuse ? "resid1" : "o_proj", C, NULL, 0);
  for (uint64_t h = 0; h < KV; h += at_once) {
    uint64_t n = KV - h < at_once ? KV - h : at_once;
    bool first = h == 0, ramp_up = first && b->first_block;
    const char *tag = arena_printf(b->a, " heads %" PRIu64 "/%" PRIu64, h / at_once + 1,
                                   (KV + at_once - 1) / at_once);
    columns qh = project(b, &q, rope_q ? "q_rope" : "q_proj", norm, h * share, n * share, tag,
                         q_fused, false);
    columns kh = project(b, &k, rope_k ? "k_rope" : "k_proj", norm, h, n, tag, k_fused, ramp_up);
    columns vh = project(b, &v, "v_proj", norm, h, n, tag, FUSED_NOTHING, ramp_up);
    columns heads = columns_range(b, "attn_out", h * share * hd, (h + n) * share * hd, false);
    for (uint64_t seq = 0; seq < b->o->batch; seq++)
      attention_run(b, at, seq, h, &qh, &kh, &vh, &heads);
    columns in = columns_one(b, heads.tensor[0]);
    linear_run(b, &o,
               &(linear_range){.n = C,
                               .k0 = h * share * hd,
                               .kn = n * share * hd,
                               .x = &in,
                               .x_rows = b->rows,
                               .y = &y,
                               .first = first,
                               .last = h + n == KV,
                               .tag = tag,
                               .fused = b->c.fuse ? FUSED_ADD : FUSED_NOTHING,
                               .with = x});
  }
  return y;
}
