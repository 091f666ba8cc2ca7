#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/units.h"
#include "workloads/ckpt/ckpt_formats.h"
#include "workloads/ckpt/raw_check.h"

/* Bytes that the tensor takes in its file, scales included. */
static uint64_t bytes_of(const raw_tensor *t) {
  return t->bytes + (t->scales != NULL ? t->bytes / t->group * 4 : 0);
}

static const char *remark(const ckpt *ck, const raw_tensor *t) {
  uint64_t layer;
  ckpt_role r = ckpt_role_of(ck->format->naming, t->name, &layer);
  if (r == CKPT_LM_HEAD && ck->model.tie_word_embeddings) return "  ignored: tied to the embedding";
  if (r == CKPT_ROLE_COUNT && strcmp(t->name, "rope_freqs.weight") == 0) return "  RoPE scaling";
  return r == CKPT_ROLE_COUNT ? "  ignored: follows from the hyper-parameters" : "";
}

void ckpt_print(const ckpt *ck, out *o) {
  uint64_t files = 0, tensors = 0, elements = 0, bytes = 0;
  char shape[RAW_SHAPE_TEXT], text[UNITS_TEXT];
  for (size_t i = 0; i < ck->n_shards; i++) files += ck->shards[i].len;
  out_printf(o, "%-24s %s, %zu file%s, %" PRIu64 " bytes\n", "format", ck->format->name,
             ck->n_shards, ck->n_shards == 1 ? "" : "s", files);
  model_print_parameters(&ck->model, o);
  for (size_t i = 0; i < ck->n_shards; i++) {
    const ckpt_shard *s = &ck->shards[i];
    const char *slash = strrchr(s->where, '/');
    out_printf(o, "\nshard %zu, %s, %zu bytes\n%-46s %-18s %-7s %12s %13s\n", i,
               slash != NULL ? slash + 1 : s->where, s->len, "tensor, as stored", "shape", "stored",
               "elements", "bytes");
    for (size_t k = 0; k < s->tensors.n; k++) {
      const raw_tensor *t = &s->tensors.at[k];
      out_printf(o, "%-46s %-18s %-7s %12" PRIu64 " %13" PRIu64 "%s\n", t->name,
                 raw_shape(t, shape), raw_format_name(t->format), raw_elements(t), bytes_of(t),
                 remark(ck, t));
      tensors++;
      elements += raw_elements(t);
      bytes += bytes_of(t);
    }
  }
  out_printf(o, "\ntotal %" PRIu64 " tensors, %" PRIu64 " elements, %" PRIu64 " bytes, %s\n",
             tensors, elements, bytes, units_size(text, (double)bytes));
}
