/* Outputs that would overwrite what the command reads. */
#include <string.h>
#include <sys/stat.h>

#include "sim/cmd.h"

static bool ends(const char *s, const char *with) {
  size_t n = strlen(s), k = strlen(with);
  return n >= k && strcmp(s + n - k, with) == 0;
}

/* Where the path is that of a file in the model's folder that readers of checkpoints read: that
 * file, else NULL. */
static const char *in_folder(const char *folder, const char *path, arena *a) {
  static const char *const READ[] = {"config.json", "params.json", ".safetensors",
                                     ".pth",        ".index.json", "tokenizer.model"};
  const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
  struct stat st;
  if (stat(folder, &st) != 0 || !S_ISDIR(st.st_mode)) return NULL;
  bool read = false;
  for (size_t i = 0; i < sizeof READ / sizeof *READ; i++)
    read = read || (READ[i][0] == '.' ? ends(name, READ[i]) : strcmp(name, READ[i]) == 0);
  const char *file = arena_printf(a, "%s/%s", folder, name);
  return read && file_exists(file) && cmd_same_file(path, file, a) ? file : NULL;
}

/* What stands for a file that ships with the program. */
static const char *shipped(const char *kind, const char *name, const char *ext, arena *a) {
  const char *path = file_exists(name) ? NULL : file_find_data(kind, name, ext, a);
  return path != NULL ? path : name;
}

static const char *overwritten(const cli *c, const char *path, arena *a) {
  const char *schedule = c->value[CLI_SCHEDULER], *stem = c->value[CLI_GOLDEN];
  const char *colon = strrchr(stem, ':'); /* STEM:NAME */
  if (colon != NULL && !file_exists(arena_printf(a, "%s.json", stem)))
    stem = arena_strndup(a, stem, (size_t)(colon - stem));
  const char *input[] = {shipped("models", c->value[CLI_MODEL], ".json", a),
                         shipped("platforms", c->value[CLI_PLATFORM], ".xml", a),
                         strncmp(schedule, "file:", 5) == 0 ? schedule + 5 : "",
                         c->value[CLI_IDS_FILE],
                         arena_printf(a, "%s.json", stem),
                         arena_printf(a, "%s.bin", stem)};
  for (size_t i = 0; i < sizeof input / sizeof *input; i++)
    if (file_exists(input[i]) && cmd_same_file(path, input[i], a)) return input[i];
  for (size_t i = 0; i < c->n_operands; i++)
    if (file_exists(c->operands[i]) && cmd_same_file(path, c->operands[i], a))
      return c->operands[i];
  return in_folder(c->value[CLI_MODEL], path, a);
}

int cmd_check_output(const cli *c, cli_opt o, const char *path, arena *a, err *e) {
  if (cmd_is_stdout(path)) return ERR_OK;
  const char *input = overwritten(c, path, a);
  if (input == NULL) return ERR_OK;
  return err_set(e, ERR_BAD, "--%s would overwrite the input '%s'; name another %s",
                 cli_option_at(o)->name, input, o == CLI_DUMP ? "stem" : "file");
}
