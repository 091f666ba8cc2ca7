#include "workloads/ckpt/ckpt.h"

#include <assert.h>
#include <string.h>

#include "workloads/ckpt/ckpt_formats.h"
#include "workloads/ckpt/decode.h"

enum { CONFIG_LIMIT = 1 << 24 };

/* -- opening -- */

/* One file's bytes: their format must be that of the shards before it. */
static int parse_shard(ckpt *ck, ckpt_shard *s, const unsigned char *data, size_t len, err *e) {
  const ckpt_format *f = ckpt_format_of(data, len);
  s->len = len;
  if (f == NULL)
    return err_set(e, ERR_BAD, "%s: is none of the formats known: %s", s->where,
                   ckpt_format_list(&ck->mem));
  if (ck->format != NULL && ck->format != f)
    return err_set(e, ERR_BAD, "%s: is %s, but '%s' beside it is %s", s->where, f->name,
                   ck->shards[0].where, ck->format->name);
  ck->format = f;
  return f->parse(s->where, data, len, &s->tensors, &ck->mem, e);
}

/* dtype of the model: the format that holds most elements. */
static dtype stored_as(const ckpt *ck) {
  static const dtype DT[RAW_FORMAT_COUNT] = {
      [RAW_F32] = DT_F32,   [RAW_F16] = DT_F16,   [RAW_BF16] = DT_BF16,
      [RAW_Q8_0] = DT_INT8, [RAW_Q4_0] = DT_INT4, [RAW_Q8_L2C] = DT_INT8};
  uint64_t n[RAW_FORMAT_COUNT] = {0};
  size_t most = 0;
  for (size_t i = 0; i < ck->n_shards; i++)
    for (size_t k = 0; k < ck->shards[i].tensors.n; k++) {
      const raw_tensor *t = &ck->shards[i].tensors.at[k];
      if (t->rank == 2) n[t->format] += t->dim[0] * t->dim[1];
    }
  for (size_t f = 1; f < RAW_FORMAT_COUNT; f++)
    if (n[f] > n[most]) most = f;
  return DT[most];
}

/* Everything after the bytes of all shards are there. */
static int finish(ckpt *ck, err *e) {
  if (ckpt_assemble(ck, e)) return e->status;
  ck->model.torch_dtype = stored_as(ck);
  return ERR_OK;
}

static int read_config(ckpt *ck, const ckpt_files *f, err *e) {
  file_bytes bytes;
  const char *path = arena_printf(&ck->mem, "%s/%s", f->folder, ck->format->config);
  if (!file_exists(path))
    return err_set(e, ERR_BAD, "%s: there is no %s beside it, which has the hyper-parameters",
                   ck->shards[0].where, ck->format->config);
  if (file_read(path, CONFIG_LIMIT, &bytes, &ck->mem, e)) return e->status;
  return model_parse(path, f->name, bytes.data, bytes.len, &ck->model, &ck->mem, e);
}

static int open_files(ckpt *ck, const ckpt_files *f, err *e) {
  ck->shards = ARENA_NEW(&ck->mem, ckpt_shard, f->n);
  for (size_t i = 0; i < f->n; i++) {
    ckpt_shard *s = &ck->shards[ck->n_shards++];
    s->where = f->path[i];
    if (map_open(s->where, &s->file, e) || parse_shard(ck, s, s->file.data, s->file.len, e))
      return e->status;
  }
  const ckpt_shard *s = &ck->shards[0];
  if (ck->format->config != NULL) {
    if (read_config(ck, f, e)) return e->status;
  } else if (ck->format->model(s->where, f->name, s->file.data, s->file.len, &ck->model, &ck->mem,
                               e)) {
    return e->status;
  }
  if (finish(ck, e)) return e->status;
  return f->index == NULL ? ERR_OK : ckpt_check_index(ck, f->index, e);
}

static int no_weights(const char *spec, err *e) {
  if (model_is_builtin(spec))
    return err_set(e, ERR_BAD, "'%s' is a built-in description; it has no weights", spec);
  if (*spec == '\0' || !file_exists(spec))
    return err_set(e, ERR_BAD, "'%s': there is no such file or folder", spec);
  return err_set(
      e, ERR_BAD,
      "%s: there are no weights here; name a HF folder (config.json and .safetensors), a "
      ".gguf or a llama2.c .bin file",
      spec);
}

int ckpt_open(const char *spec, ckpt *ck, err *e) {
  ckpt_files f;
  *ck = (ckpt){0};
  ck->where = arena_strdup(&ck->mem, spec);
  int status = ckpt_locate(spec, &f, &ck->mem, e);
  if (status == ERR_OK) status = f.n > 0 ? open_files(ck, &f, e) : no_weights(spec, e);
  if (status != ERR_OK) ckpt_close(ck);
  return status;
}

static int open_bytes(ckpt *ck, const unsigned char *data, size_t len, const unsigned char *config,
                      size_t config_len, err *e) {
  ck->shards = ARENA_NEW(&ck->mem, ckpt_shard, 1);
  ck->n_shards = 1;
  ck->shards[0].where = ck->where;
  if (parse_shard(ck, &ck->shards[0], data, len, e)) return e->status;
  if (ck->format->config != NULL) {
    assert(config != NULL);
    if (model_parse(ck->format->config, ck->where, config, config_len, &ck->model, &ck->mem, e))
      return e->status;
  } else if (ck->format->model(ck->where, ck->where, data, len, &ck->model, &ck->mem, e)) {
    return e->status;
  }
  return finish(ck, e);
}

int ckpt_open_bytes(const char *where, const unsigned char *data, size_t len,
                    const unsigned char *config, size_t config_len, ckpt *ck, err *e) {
  *ck = (ckpt){0};
  ck->where = arena_strdup(&ck->mem, where);
  int status = open_bytes(ck, data, len, config, config_len, e);
  if (status != ERR_OK) ckpt_close(ck);
  return status;
}

void ckpt_close(ckpt *ck) {
  for (size_t i = 0; i < ck->n_shards; i++) map_close(&ck->shards[i].file);
  arena_free(&ck->mem);
  *ck = (ckpt){0};
}

/* -- reading -- */

/* Row of the weight as stored that holds row `r` in HF's order. */
static uint64_t stored_row(const ckpt *ck, const ckpt_weight *w, uint64_t r) {
  if (!w->pairs) return r;
  uint64_t head_dim = ck->model.head_dim, half = head_dim / 2;
  uint64_t first = r / head_dim * head_dim, i = r % head_dim;
  return first + (i < half ? 2 * i : 2 * (i - half) + 1);
}

void ckpt_read(const ckpt *ck, ckpt_role role, uint64_t layer, uint64_t row0, uint64_t rows,
               uint64_t col0, uint64_t cols, float *y) {
  const ckpt_weight *w = ckpt_find(ck, role, layer);
  assert(row0 <= w->rows && rows <= w->rows - row0);
  assert(col0 <= w->cols && cols <= w->cols - col0);
  for (uint64_t i = 0; i < rows; i++) {
    uint64_t row = stored_row(ck, w, row0 + i);
    for (size_t k = 0; k < w->n; k++) {
      const ckpt_part *p = &w->parts[k];
      bool vector = p->t->rank == 1;
      uint64_t p_rows = vector ? 1 : p->t->dim[0], p_cols = vector ? p->t->dim[0] : p->t->dim[1];
      uint64_t begin = col0 > p->col0 ? col0 : p->col0;
      uint64_t end = col0 + cols < p->col0 + p_cols ? col0 + cols : p->col0 + p_cols;
      if (row < p->row0 || row - p->row0 >= p_rows || begin >= end) continue;
      raw_decode(p->t, row - p->row0, begin - p->col0, end - begin, y + i * cols + (begin - col0));
    }
  }
}
