#include <string.h>

#include "sim/cmd.h"
#include "sim/platform_xml.h"
#include "workloads/block.h"
#include "workloads/ckpt/ckpt.h"
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

static int inspect_platform(const cli *c, arena *a, err *e) {
  platform p;
  if (c->given[CLI_DTYPE])
    return err_set(e, ERR_BAD, "--dtype is for models, but '%s' is a platform", c->operand);
  if (plat_load(c->operand, &p, a, e)) return e->status;
  for (size_t i = 0; i < c->n_set; i++)
    if (plat_set(&p, c->set[i], a, e)) return e->status;
  CMD_PRINT(plat_print(&p, o));
}

/* What is stored; a model in another dtype is inspect_model's. */
static int inspect_checkpoint(const cli *c, err *e) {
  ckpt ck;
  if (ckpt_open(c->operand, &ck, e)) return e->status;
  out *o = out_open("-", e);
  if (o != NULL) ckpt_print(&ck, o);
  int status = o != NULL ? out_close(o, e) : e->status;
  ckpt_close(&ck);
  return status;
}

static int inspect_model(const cli *c, arena *a, err *e) {
  model m;
  dtype weights, act, kv;
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
