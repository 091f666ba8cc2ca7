#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "workloads/ckpt/ckpt_formats.h"
#include "workloads/ckpt/decode.h"
#include "workloads/ckpt/raw_check.h"

/* In ck->weights: embedding, the roles of layer 0, of layer 1, ..., final norm, LM head. */
enum { IN_LAYER = CKPT_DOWN - CKPT_ATTN_NORM + 1 };

static size_t place_of(const ckpt *ck, ckpt_role r, uint64_t layer) {
  size_t layers = (size_t)ck->model.num_hidden_layers * IN_LAYER;
  if (ckpt_role_in_layer(r)) return 1 + (size_t)layer * IN_LAYER + (size_t)(r - CKPT_ATTN_NORM);
  return r == CKPT_EMBEDDING ? 0 : r == CKPT_FINAL_NORM ? 1 + layers : 2 + layers;
}

const ckpt_weight *ckpt_find(const ckpt *ck, ckpt_role r, uint64_t layer) {
  if (r == CKPT_LM_HEAD && ck->model.tie_word_embeddings) r = CKPT_EMBEDDING;
  assert(layer < (ckpt_role_in_layer(r) ? ck->model.num_hidden_layers : 1));
  return &ck->weights[place_of(ck, r, layer)];
}

/* -- sorting tensors by role -- */

static int add_tensor(ckpt *ck, uint32_t shard, const raw_tensor *t, size_t *unknown,
                      const char **first, err *e) {
  uint64_t layer;
  const char *where = ck->shards[shard].where;
  ckpt_role r = ckpt_role_of(ck->format->naming, t->name, &layer);
  if (r == CKPT_ROLE_COUNT) {
    if (!ckpt_is_ignored(ck->format->naming, t->name) && (*unknown)++ == 0) *first = t->name;
    return ERR_OK;
  }
  if (layer >= ck->model.num_hidden_layers)
    return err_set(e, ERR_BAD,
                   "%s: tensor '%s' is of layer %" PRIu64 ", but the model has layers "
                   "0..%" PRIu64,
                   where, t->name, layer, ck->model.num_hidden_layers - 1);
  ckpt_weight *w = &ck->weights[place_of(ck, r, layer)];
  const ckpt_part *last = w->n > 0 ? &w->parts[w->n - 1] : NULL;
  if (last != NULL && (last->shard == shard || !ck->format->split))
    return err_set(e, ERR_BAD, "%s: tensor '%s' is a duplicate: '%s' has it too", where, t->name,
                   ck->shards[last->shard].where);
  ARENA_PUSH(&ck->mem, w->parts, w->n, w->cap, ((ckpt_part){.t = t, .shard = shard}));
  return ERR_OK;
}

static int sort_tensors(ckpt *ck, err *e) {
  for (uint32_t s = 0; s < ck->n_shards; s++) {
    size_t unknown = 0;
    const char *first = NULL;
    const raw_tensors *t = &ck->shards[s].tensors;
    for (size_t i = 0; i < t->n; i++)
      if (add_tensor(ck, s, &t->at[i], &unknown, &first, e)) return e->status;
    if (unknown > 0)
      return err_set(e, ERR_BAD,
                     "%s: tensor '%s'%s is not one that a LLaMA model has; leaving it out would "
                     "change the results",
                     ck->shards[s].where, first,
                     unknown == 1 ? "" : arena_printf(&ck->mem, " (and %zu more)", unknown - 1));
  }
  return ERR_OK;
}

/* -- shapes -- */

static uint64_t rows_of(const raw_tensor *t) {
  return t->rank == 1 ? 1 : t->dim[0];
}

static uint64_t cols_of(const raw_tensor *t) {
  return t->rank == 1 ? t->dim[0] : t->dim[1];
}

/* Embeddings are cut by rows (Llama 3) or by columns (Llama 1 and 2); the model knows the columns.
 */
static void settle_vocabulary(ckpt *ck) {
  const ckpt_weight *w = ckpt_find(ck, CKPT_EMBEDDING, 0);
  if (!ck->model.vocab_size_open || w->n == 0 || w->parts[0].t->rank != 2) return;
  uint64_t rows = w->parts[0].t->dim[0];
  if (w->parts[0].t->dim[1] == ck->model.hidden_size)
    for (size_t i = 1; i < w->n; i++)
      if (__builtin_add_overflow(rows, rows_of(w->parts[i].t), &rows)) return;
  if (rows < 1 || rows > MODEL_MAX_VOCAB) return; /* the check of shapes says so */
  ck->model.vocab_size = rows;
  ck->model.vocab_size_open = false;
}

static int wrong_shape(const ckpt *ck, const ckpt_weight *w, err *e) {
  const ckpt_part *p = &w->parts[0];
  char got[RAW_SHAPE_TEXT], want[64];
  const char *where = ck->shards[p->shard].where;
  raw_shape(p->t, got);
  if (w->rows == 1)
    snprintf(want, sizeof want, "(%" PRIu64 ")", w->cols);
  else
    snprintf(want, sizeof want, "(%" PRIu64 ", %" PRIu64 ")", w->rows, w->cols);
  if (w->n == 1)
    return err_set(e, ERR_BAD,
                   "%s: tensor '%s' has shape %s; the model's hyper-parameters need %s%s", where,
                   p->t->name, got, want, ck->format->split ? " (is a shard missing?)" : "");
  return err_set(
      e, ERR_BAD,
      "%s: tensor '%s' is in %zu shards, here with shape %s; neither their rows nor their "
      "columns add up to %s",
      where, p->t->name, w->n, got, want);
}

/* Every shard has a copy of each vector: they must be the same, and one is enough. */
static int place_copies(ckpt *ck, ckpt_weight *w, err *e) {
  arena scratch = {0};
  size_t n = (size_t)w->cols;
  float *one = ARENA_NEW(&scratch, float, n), *other = ARENA_NEW(&scratch, float, n);
  int status = ERR_OK;
  for (size_t i = 0; i < w->n && status == ERR_OK; i++)
    if (cols_of(w->parts[i].t) != w->cols) status = wrong_shape(ck, w, e);
  if (status == ERR_OK) raw_decode(w->parts[0].t, 0, 0, n, one);
  for (size_t i = 1; i < w->n && status == ERR_OK; i++) {
    raw_decode(w->parts[i].t, 0, 0, n, other);
    if (memcmp(one, other, n * sizeof *one) != 0)
      status = err_set(e, ERR_BAD, "%s: tensor '%s' differs from its copy in '%s'",
                       ck->shards[w->parts[i].shard].where, w->parts[0].t->name,
                       ck->shards[w->parts[0].shard].where);
  }
  w->n = 1;
  arena_free(&scratch);
  return status;
}

/* Puts the parts below or beside each other, in the order of the shards: whichever adds up. */
static int place_parts(ckpt *ck, ckpt_role r, ckpt_weight *w, err *e) {
  uint64_t rows = 0, cols = 0;
  bool below = true, beside = true;
  if (ckpt_role_rank(r) == 1 && w->n > 1) {
    for (size_t i = 0; i < w->n; i++)
      if (w->parts[i].t->rank != 1) return wrong_shape(ck, w, e);
    return place_copies(ck, w, e);
  }
  for (size_t i = 0; i < w->n; i++) {
    const raw_tensor *t = w->parts[i].t;
    if (t->rank != ckpt_role_rank(r)) return wrong_shape(ck, w, e);
    below = below && cols_of(t) == w->cols && rows_of(t) <= w->rows - rows;
    beside = beside && rows_of(t) == w->rows && cols_of(t) <= w->cols - cols;
    if (!below && !beside) return wrong_shape(ck, w, e);
    w->parts[i].row0 = below ? rows : 0;
    w->parts[i].col0 = below ? 0 : cols;
    rows += below ? rows_of(t) : 0;
    cols += beside ? cols_of(t) : 0;
  }
  if (!(below && rows == w->rows) && !(beside && cols == w->cols)) return wrong_shape(ck, w, e);
  return ERR_OK;
}

/* -- the whole -- */

typedef struct missing {
  size_t n;
  const char *first;
} missing;

static int check_weight(ckpt *ck, ckpt_role r, uint64_t layer, missing *gone, err *e) {
  ckpt_weight *w = &ck->weights[place_of(ck, r, layer)];
  ckpt_role_shape(&ck->model, r, &w->rows, &w->cols);
  w->pairs = ck->format->pairs && (r == CKPT_Q || r == CKPT_K);
  if (w->n > 0) return place_parts(ck, r, w, e);
  if (gone->n++ == 0) gone->first = ckpt_tensor_name(ck->format->naming, r, layer, &ck->mem);
  return ERR_OK;
}

static int check_all(ckpt *ck, err *e) {
  missing gone = {0};
  for (int r = 0; r < CKPT_ROLE_COUNT; r++) {
    uint64_t n = ckpt_role_in_layer((ckpt_role)r) ? ck->model.num_hidden_layers : 1;
    if (r == CKPT_LM_HEAD && ck->model.tie_word_embeddings) continue;
    for (uint64_t layer = 0; layer < n; layer++)
      if (check_weight(ck, (ckpt_role)r, layer, &gone, e)) return e->status;
  }
  if (gone.n == 0) return ERR_OK;
  const char *more = gone.n == 1 ? "" : arena_printf(&ck->mem, " (and %zu more)", gone.n - 1);
  const char *hint = "";
  if (gone.n == 1 && !ck->model.tie_word_embeddings && ckpt_find(ck, CKPT_LM_HEAD, 0)->n == 0)
    hint = "; is the head tied? tie_word_embeddings says it is not";
  else if (gone.n > 1 && ck->format->config != NULL && ck->n_shards == 1)
    hint = "; of a checkpoint in shards, name the folder";
  return err_set(e, ERR_BAD, "%s: tensor '%s'%s is missing%s", ck->where, gone.first, more, hint);
}

int ckpt_assemble(ckpt *ck, err *e) {
  ck->weights =
      ARENA_NEW(&ck->mem, ckpt_weight, (size_t)ck->model.num_hidden_layers * IN_LAYER + 3);
  if (sort_tensors(ck, e)) return e->status;
  settle_vocabulary(ck);
  return check_all(ck, e);
}
