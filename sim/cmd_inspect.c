#include <inttypes.h>
#include <string.h>

#include "sim/cmd.h"
#include "sim/platform_xml.h"
#include "workloads/block.h"
#include "workloads/ckpt/ckpt.h"
#include "workloads/kv.h"
#include "workloads/model.h"

/* Is this file's first character, after blanks, that of XML? */
static bool looks_like_xml(const char *path) {
  arena scratch = {0};
  err ignored = {0};
  file_bytes b = {0};
  bool xml = false;
  if (strcmp(path, "-") != 0 &&
      file_read(path, (size_t)1 << 26, &b, &scratch, &ignored) == ERR_OK) {
    size_t i = b.len >= 3 && memcmp(b.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (i < b.len && strchr(" \t\r\n", b.data[i]) != NULL && b.data[i] != '\0') i++;
    xml = i < b.len && b.data[i] == '<';
  }
  arena_free(&scratch);
  return xml;
}

/* By name (.xml), by content, or as the name of a shipped platform that no model has. */
static bool is_platform(const char *spec, arena *a) {
  size_t n = strlen(spec);
  if (n > 4 && strcmp(spec + n - 4, ".xml") == 0) return true;
  if (file_exists(spec)) return looks_like_xml(spec);
  return file_find_data("models", spec, ".json", a) == NULL &&
         file_find_data("platforms", spec, ".xml", a) != NULL;
}

/* Options that the rest does not take: refused, where one is given. */
static int refuse(const cli *c, const cli_opt *opts, size_t n, const char *why, err *e) {
  for (size_t i = 0; i < n; i++)
    if (c->given[opts[i]])
      return err_set(e, ERR_BAD, "--%s is for %s, but '%s' is not", cli_option_at(opts[i])->name,
                     why, c->operand);
  return ERR_OK;
}

static int inspect_platform(const cli *c, arena *a, err *e) {
  static const cli_opt MODELS[] = {CLI_DTYPE,  CLI_KV,    CLI_PAST,
                                   CLI_TOKENS, CLI_BATCH, CLI_KV_DTYPE};
  platform p;
  if (refuse(c, MODELS, sizeof MODELS / sizeof *MODELS, "models", e)) return e->status;
  if (plat_load(c->operand, &p, a, e)) return e->status;
  for (size_t i = 0; i < c->n_set; i++)
    if (plat_set(&p, c->set[i], a, e)) return e->status;
  CMD_PRINT(plat_print(&p, o));
}

/* What is stored; a model in another dtype is inspect_model's. */
static int inspect_checkpoint(const cli *c, err *e) {
  ckpt ck;
  if (ckpt_open(c->operand, &ck, e)) return e->status;
  out *o = out_print(e);
  if (o != NULL) ckpt_print(&ck, o);
  int status = o != NULL ? out_close(o, e) : e->status;
  ckpt_close(&ck);
  return status;
}

static const cli_opt KV_ONLY[] = {CLI_PAST, CLI_TOKENS, CLI_BATCH, CLI_KV_DTYPE};

static int inspect_kv(const cli *c, arena *a, err *e) {
  model m;
  wl_options w;
  if (model_load(c->operand, &m, a, e) || cmd_dtypes(c, &w, e)) return e->status;
  uint64_t past = c->given[CLI_PAST] ? c->number[CLI_PAST] : 4;
  uint64_t seq = past + (c->given[CLI_TOKENS] ? c->number[CLI_TOKENS] : 1);
  if (seq > m.max_position_embeddings)
    return err_set(e, ERR_BAD,
                   "past and tokens make %" PRIu64 " rows, beyond the %" PRIu64
                   " positions of model '%s'",
                   seq, m.max_position_embeddings, m.name);
  CMD_PRINT(kv_print(&m, w.kv_dtype, seq, c->number[CLI_BATCH], o));
}

static int inspect_model(const cli *c, arena *a, err *e) {
  model m;
  dtype weights, act, kv;
  if (c->given[CLI_KV] && !c->given[CLI_SET]) return inspect_kv(c, a, e);
  for (size_t i = 0; i < sizeof KV_ONLY / sizeof *KV_ONLY; i++)
    if (c->given[KV_ONLY[i]])
      return err_set(e, ERR_BAD, "--%s says how long a KV cache is; it goes with --kv",
                     cli_option_at(KV_ONLY[i])->name);
  if (c->given[CLI_SET])
    return err_set(e, ERR_BAD, "--set is for platforms, but '%s' is a model", c->operand);
  if (!c->given[CLI_DTYPE] && ckpt_at(c->operand)) return inspect_checkpoint(c, e);
  if (model_load(c->operand, &m, a, e)) return e->status;
  if (wl_dtype_parse(c->value[CLI_DTYPE], &weights, &act, &kv, e)) return err_prefix(e, "--dtype");
  if (!c->given[CLI_DTYPE]) weights = m.torch_dtype;
  CMD_PRINT(model_print(&m, weights, o));
}

int cmd_inspect(const cli *c, arena *a, err *e) {
  return is_platform(c->operand, a) ? inspect_platform(c, a, e) : inspect_model(c, a, e);
}
