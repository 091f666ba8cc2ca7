#include "workloads/ckpt/roles.h"

#include <string.h>

static const struct {
  const char *name;
  uint32_t rank;
  const char *pattern[3]; /* by naming */
} ROLE[CKPT_ROLE_COUNT] = {
#define X(id, name, rank, hf, meta, gguf) [CKPT_##id] = {name, rank, {hf, meta, gguf}},
    CKPT_ROLES(X)
#undef X
};

const char *ckpt_role_name(ckpt_role r) {
  return ROLE[r].name;
}

uint32_t ckpt_role_rank(ckpt_role r) {
  return ROLE[r].rank;
}

bool ckpt_role_in_layer(ckpt_role r) {
  return strchr(ROLE[r].pattern[CKPT_HF], '%') != NULL;
}

void ckpt_role_shape(const model *m, ckpt_role r, uint64_t *rows, uint64_t *cols) {
  uint64_t hidden = m->hidden_size, inner = m->intermediate_size;
  uint64_t q = m->num_attention_heads * m->head_dim, kv = m->num_key_value_heads * m->head_dim;
  const uint64_t SHAPE[CKPT_ROLE_COUNT][2] = {
      [CKPT_EMBEDDING] = {m->vocab_size, hidden},
      [CKPT_ATTN_NORM] = {1, hidden},
      [CKPT_Q] = {q, hidden},
      [CKPT_K] = {kv, hidden},
      [CKPT_V] = {kv, hidden},
      [CKPT_O] = {hidden, q},
      [CKPT_FFN_NORM] = {1, hidden},
      [CKPT_GATE] = {inner, hidden},
      [CKPT_UP] = {inner, hidden},
      [CKPT_DOWN] = {hidden, inner},
      [CKPT_FINAL_NORM] = {1, hidden},
      [CKPT_LM_HEAD] = {m->vocab_size, hidden},
  };
  *rows = SHAPE[r][0];
  *cols = SHAPE[r][1];
}

const char *ckpt_tensor_name(ckpt_naming n, ckpt_role r, uint64_t layer, arena *a) {
  const char *pattern = ROLE[r].pattern[n], *at = strchr(pattern, '%');
  if (at == NULL) return pattern;
  return arena_printf(a, "%.*s%llu%s", (int)(at - pattern), pattern, (unsigned long long)layer,
                      at + 1);
}

/* Is `name` the pattern with a number in the place of %? */
static bool matches(const char *pattern, const char *name, uint64_t *layer) {
  const char *at = strchr(pattern, '%');
  *layer = 0;
  if (at == NULL) return strcmp(pattern, name) == 0;
  size_t before = (size_t)(at - pattern);
  if (strncmp(pattern, name, before) != 0) return false;
  const char *digits = name + before;
  size_t n = strspn(digits, "0123456789");
  if (n == 0 || n > 9 || (n > 1 && digits[0] == '0')) return false;
  for (size_t i = 0; i < n; i++) *layer = *layer * 10 + (uint64_t)(digits[i] - '0');
  return strcmp(digits + n, at + 1) == 0;
}

ckpt_role ckpt_role_of(ckpt_naming n, const char *name, uint64_t *layer) {
  for (int r = 0; r < CKPT_ROLE_COUNT; r++)
    if (matches(ROLE[r].pattern[n], name, layer)) return (ckpt_role)r;
  return CKPT_ROLE_COUNT;
}

bool ckpt_is_ignored(ckpt_naming n, const char *name) {
  static const char *const IGNORED[][2] = {
      [CKPT_HF] = {"model.layers.%.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq"},
      [CKPT_META] = {"rope.freqs", "rope.freqs"},
      [CKPT_GGUF] = {"rope_freqs.weight", "blk.%.attn_rot_embd.weight"},
  };
  uint64_t layer;
  return matches(IGNORED[n][0], name, &layer) || matches(IGNORED[n][1], name, &layer);
}
