#include <string.h>

#include "workloads/ckpt/pth.h"

/* The embedding, (vocab, dim) as a whole: are a shard's rows whole, or an n-th of each? */
static pth_axis embedding_axis(const raw_tensor *shard, uint64_t n_shards, uint64_t dim) {
  if (shard->rank != 2 || n_shards == 0 || dim % n_shards != 0) return PTH_UNKNOWN;
  if (shard->dim[1] == dim) return PTH_ROWS;
  return shard->dim[1] == dim / n_shards ? PTH_COLUMNS : PTH_UNKNOWN;
}

pth_axis pth_shard_axis(const char *name, const raw_tensor *shard, uint64_t n_shards,
                        uint64_t dim) {
  static const char EMBEDDING[] = "tok_embeddings.weight";
  static const struct {
    const char *tail; /* of the name, from its beginning or after a dot */
    pth_axis axis;
  } RULES[] = {{"attention.wq.weight", PTH_ROWS},
               {"attention.wk.weight", PTH_ROWS},
               {"attention.wv.weight", PTH_ROWS},
               {"feed_forward.w1.weight", PTH_ROWS},
               {"feed_forward.w3.weight", PTH_ROWS},
               {"output.weight", PTH_ROWS},
               {"attention.wo.weight", PTH_COLUMNS},
               {"feed_forward.w2.weight", PTH_COLUMNS},
               {"norm.weight", PTH_REPLICATED},
               {"attention_norm.weight", PTH_REPLICATED},
               {"ffn_norm.weight", PTH_REPLICATED},
               {"rope.freqs", PTH_REPLICATED},
               {EMBEDDING, PTH_UNKNOWN}};
  const size_t n = strlen(name);
  for (size_t i = 0; i < sizeof RULES / sizeof *RULES; i++) {
    const size_t tail = strlen(RULES[i].tail);
    if (tail > n || strcmp(name + (n - tail), RULES[i].tail) != 0) continue;
    if (tail < n && name[n - tail - 1] != '.') continue;
    pth_axis axis =
        RULES[i].tail == EMBEDDING ? embedding_axis(shard, n_shards, dim) : RULES[i].axis;
    return n_shards == 1 && axis != PTH_UNKNOWN ? PTH_REPLICATED : axis;
  }
  return PTH_UNKNOWN;
}
