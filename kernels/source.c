#include "kernels/source.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/convert.h"
#include "kernels/quant.h"
#include "kernels/seeded.h"

static model_tensor *tensor_of(const source *s, ckpt_role r, uint64_t layer) {
  return &s->tensors[layer * CKPT_ROLE_COUNT + (uint64_t)r];
}

source *source_new(const model *m, const ckpt *ck, uint64_t seed, dtype weight, dtype act,
                   arena *a) {
  source *s = ARENA_NEW(a, source, 1);
  *s = (source){.m = m, .ck = ck, .seed = seed, .weight = weight, .act = act};
  s->tensors = ARENA_NEW(a, model_tensor, m->num_hidden_layers * CKPT_ROLE_COUNT);
  model_tensor *all;
  size_t n = model_tensors(m, &all, a);
  for (size_t i = 0; i < n; i++) {
    uint64_t layer = 0;
    ckpt_role r = ckpt_role_of(CKPT_HF, all[i].name, &layer);
    assert(r != CKPT_ROLE_COUNT && layer < m->num_hidden_layers);
    *tensor_of(s, r, layer) = all[i];
  }
  return s;
}

dtype source_dtype(const model *m, const ckpt *ck) {
  dtype all = m->torch_dtype;
  if (all != DT_BF16 && all != DT_F16) return DT_F32;
  raw_format want = all == DT_BF16 ? RAW_BF16 : RAW_F16;
  for (size_t i = 0; ck != NULL && i < ck->n_shards; i++)
    for (size_t k = 0; k < ck->shards[i].tensors.n; k++) {
      const raw_tensor *t = &ck->shards[i].tensors.at[k];
      if (t->rank == 2 && t->format != want) return DT_F32;
    }
  return all;
}

/* ---- values -----------------------------------------------------------------------------------
 */

static int box(source *s, ckpt_role r, uint64_t layer, uint64_t row0, uint64_t rows, uint64_t col0,
               uint64_t cols, float *y, err *e) {
  if (r == CKPT_LM_HEAD && s->m->tie_word_embeddings) r = CKPT_EMBEDDING;
  uint64_t height = 0, width = 0;
  if (r != CKPT_ROLE_COUNT && layer < s->m->num_hidden_layers)
    ckpt_role_shape(s->m, r, &height, &width);
  if (rows > height || row0 > height - rows || cols > width || col0 > width - cols)
    return err_set(e, ERR_INTERNAL,
                   "weights: no box [%" PRIu64 "+%" PRIu64 ",%" PRIu64 "+%" PRIu64
                   "] in a tensor of %" PRIu64 " x %" PRIu64,
                   row0, rows, col0, cols, height, width);
  if (s->ck != NULL)
    ckpt_read(s->ck, r, layer, row0, rows, col0, cols, y);
  else
    for (uint64_t i = 0; i < rows; i++)
      seeded_fill(y + i * cols, s->seed, tensor_of(s, r, layer), (row0 + i) * width + col0, cols,
                  s->m->torch_dtype);
  return ERR_OK;
}

/* ---- under the DAG's names --------------------------------------------------------------------
 */

static const char *const DAG_NAME[CKPT_ROLE_COUNT] = {[CKPT_EMBEDDING] = "embed_tokens.weight",
                                                      [CKPT_ATTN_NORM] = "attn_norm.weight",
                                                      [CKPT_Q] = "q_proj.weight",
                                                      [CKPT_K] = "k_proj.weight",
                                                      [CKPT_V] = "v_proj.weight",
                                                      [CKPT_O] = "o_proj.weight",
                                                      [CKPT_FFN_NORM] = "ffn_norm.weight",
                                                      [CKPT_GATE] = "gate.weight",
                                                      [CKPT_UP] = "up.weight",
                                                      [CKPT_DOWN] = "down.weight",
                                                      [CKPT_FINAL_NORM] = "final_norm.weight",
                                                      [CKPT_LM_HEAD] = "lm_head.weight"};

static int box_for_dag(void *user, const char *name, uint64_t row0, uint64_t rows, uint64_t col0,
                       uint64_t cols, float *y, err *e) {
  source *s = user;
  uint64_t layer = 0;
  const char *what = name;
  char *end;
  if (*name == 'L' && (layer = strtoull(name + 1, &end, 10), *end == '.')) what = end + 1;
  for (int r = 0; r < CKPT_ROLE_COUNT; r++)
    if (strcmp(what, DAG_NAME[r]) == 0)
      return box(s, (ckpt_role)r, ckpt_role_in_layer((ckpt_role)r) ? layer : 0, row0, rows, col0,
                 cols, y, e);
  return err_set(e, ERR_INTERNAL, "weights: the model has no '%.200s'", name);
}

dx_weights source_for_dag(source *s) {
  return (dx_weights){box_for_dag, s};
}

/* ---- under HF's names -------------------------------------------------------------------------
 */

static void round_row(float *x, size_t n, dtype d) {
  uint16_t *h = mem_alloc(n, sizeof *h);
  int8_t *q = mem_alloc(n, 1);
  float scale;
  if (d == DT_F16) kern_to_f16(h, x, n), kern_from_f16(x, h, n);
  if (d == DT_BF16) kern_to_bf16(h, x, n), kern_from_bf16(x, h, n);
  if (d == DT_INT8)
    kern_int8_quantise(q, &scale, x, 1, n), kern_int8_dequantise(x, q, &scale, 1, n);
  if (d == DT_INT4) {
    kern_int4_quantise((uint8_t *)q, h, x, 1, n, KERN_GROUP);
    kern_int4_dequantise(x, (uint8_t *)q, h, 1, n, KERN_GROUP);
  }
  free(q);
  free(h);
}

static int rows_of(void *user, const char *name, uint64_t row0, uint64_t n, float *rows, err *e) {
  source *s = user;
  uint64_t layer = 0, height, width;
  ckpt_role r = ckpt_role_of(CKPT_HF, name, &layer);
  if (r == CKPT_ROLE_COUNT)
    return err_set(e, ERR_INTERNAL, "weights: the model has no '%.200s'", name);
  ckpt_role_shape(s->m, r, &height, &width);
  if (box(s, r, layer, row0, n, 0, width, rows, e)) return e->status;
  dtype norm = dtype_bits(s->act) < 16 ? DT_BF16 : s->act;
  dtype to = ckpt_role_rank(r) == 1 ? norm : s->weight;
  for (uint64_t i = 0; i < n && to != DT_F32; i++) round_row(rows + i * width, width, to);
  return ERR_OK;
}

ref_weights source_for_reference(source *s) {
  return (ref_weights){rows_of, s};
}
