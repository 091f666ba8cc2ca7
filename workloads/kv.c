#include "workloads/kv.h"

#include <inttypes.h>
#include <stdio.h>

kv_cost kv_cost_of(wl_kv_update u, uint64_t heads, uint64_t head_dim, uint64_t seq) {
  uint64_t row = heads * head_dim;
  kv_cost c = {.time_k = row, .time_v = row, .space_k = row * seq, .space_v = row * seq};
  if (u == WL_SHIFT_POINTER) {
    c.time_v = 1;
    c.space_k = heads * (head_dim + 1) * seq;
    c.space_v = (heads + 1) * head_dim * (seq - 1);
  }
  return c;
}

/* Labels of a column's width, and what stands under it. */
enum { NAME = 16, COLUMN = 20 };

static void print_row(out *o, const char *name, const kv_cost *c, uint64_t times) {
  out_printf(o, "%-*s%*" PRIu64 "%*" PRIu64 "%*" PRIu64 "%*" PRIu64 "\n", NAME, name, COLUMN,
             c->time_k * times, COLUMN, c->time_v * times, COLUMN, c->space_k * times, COLUMN,
             c->space_v * times);
}

static void print_head(out *o, const char *time, const char *space) {
  char t[COLUMN + 1], s[COLUMN + 1];
  out_printf(o, "%-*s", NAME, "");
  for (int i = 0; i < 2; i++) {
    snprintf(t, sizeof t, "%s %c", time, "KV"[i]);
    out_printf(o, "%*s", COLUMN, t);
  }
  for (int i = 0; i < 2; i++) {
    snprintf(s, sizeof s, "%s %c", space, "KV"[i]);
    out_printf(o, "%*s", COLUMN, s);
  }
  out_printf(o, "\n");
}

void kv_print(const model *m, dtype kv, uint64_t seq, uint64_t batch, out *o) {
  static const char *const FORMULA[WL_KV_UPDATE_COUNT][4] = {
      [WL_SMART_MASK] = {"H*hd", "H*hd", "H*hd*seq", "H*hd*seq"},
      [WL_SHIFT_POINTER] = {"H*hd", "1", "H*(hd+1)*seq", "(H+1)*hd*(seq-1)"}};
  uint64_t H = m->num_key_value_heads, hd = m->head_dim, L = m->num_hidden_layers;
  out_printf(o,
             "%s: H = %" PRIu64 " KV heads, hd = %" PRIu64 ", seq = %" PRIu64 " rows, %" PRIu64
             " layers, batch %" PRIu64 ", %s\n\n",
             m->name, H, hd, seq, L, batch, dtype_name(kv));
  out_printf(o, "A layer, a sequence and an inference of one token, in elements:\n");
  print_head(o, "copied", "buffer");
  for (int u = 0; u < WL_KV_UPDATE_COUNT; u++) {
    out_printf(o, "%-*s", NAME, wl_kv_update_name((wl_kv_update)u));
    for (int i = 0; i < 4; i++) out_printf(o, "%*s", COLUMN, FORMULA[u][i]);
    out_printf(o, "\n");
    kv_cost c = kv_cost_of((wl_kv_update)u, H, hd, seq);
    print_row(o, "", &c, 1);
  }
  out_printf(o, "\nAll layers and sequences, in bytes (the pointers' entry: how many move):\n");
  print_head(o, "copied", "buffer");
  for (int u = 0; u < WL_KV_UPDATE_COUNT; u++) {
    kv_cost c = kv_cost_of((wl_kv_update)u, H, hd, seq);
    c.time_k = dtype_bytes(kv, c.time_k);
    if (c.time_v > 1) c.time_v = dtype_bytes(kv, c.time_v);
    c.space_k = dtype_bytes(kv, c.space_k);
    c.space_v = dtype_bytes(kv, c.space_v);
    print_row(o, wl_kv_update_name((wl_kv_update)u), &c, L * batch);
  }
}
