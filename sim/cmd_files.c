#include <string.h>
#include <sys/stat.h>

#include "sim/cmd.h"

static const cli_opt OPTION[CMD_FILE_COUNT] = {[CMD_REPORT] = CLI_REPORT,
                                               [CMD_TRACE] = CLI_TRACE,
                                               [CMD_CSV] = CLI_CSV,
                                               [CMD_TIMELINE] = CLI_TIMELINE,
                                               [CMD_SCHEDULE] = CLI_SAVE_SCHEDULE};

enum { CSV_LIMIT = 1 << 30 };

bool cmd_is_stdout(const char *path) {
  return strcmp(path, "-") == 0 || strcmp(path, "/dev/stdout") == 0;
}

/* Is it where only whole files are replaced, and not a device, a pipe or a descriptor of the
 * caller's? */
static bool is_plain_file(const char *path) {
  struct stat st;
  if (cmd_is_stdout(path) || strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0)
    return false;
  return stat(path, &st) != 0 || S_ISREG(st.st_mode);
}

/* Do two paths name one file? Where it does not exist yet, its folder and name decide. */
bool cmd_same_file(const char *a, const char *b, arena *mem) {
  if (cmd_is_stdout(a) || cmd_is_stdout(b)) return cmd_is_stdout(a) && cmd_is_stdout(b);
  if (!is_plain_file(a) || !is_plain_file(b)) return false;
  if (strcmp(a, b) == 0) return true;
  struct stat x, y;
  bool has_a = stat(a, &x) == 0, has_b = stat(b, &y) == 0;
  if (has_a || has_b) return has_a && has_b && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
  const char *end_a = strrchr(a, '/'), *end_b = strrchr(b, '/');
  if (strcmp(end_a != NULL ? end_a + 1 : a, end_b != NULL ? end_b + 1 : b) != 0) return false;
  const char *dir_a = end_a == NULL ? "." : arena_strndup(mem, a, (size_t)(end_a - a + 1));
  const char *dir_b = end_b == NULL ? "." : arena_strndup(mem, b, (size_t)(end_b - b + 1));
  return stat(dir_a, &x) == 0 && stat(dir_b, &y) == 0 && x.st_dev == y.st_dev &&
         x.st_ino == y.st_ino;
}

static int check_paths(const cli *c, const cmd_files *f, arena *a, err *e) {
  for (int i = 0; i < CMD_FILE_COUNT; i++) {
    if (f->path[i] == NULL) continue;
    const char *name = cli_option_at(OPTION[i])->name;
    for (int j = 0; j < i; j++)
      if (f->path[j] != NULL && cmd_same_file(f->path[i], f->path[j], a))
        return err_set(e, ERR_BAD, "--%s and --%s both write '%s'; give each its own file",
                       cli_option_at(OPTION[j])->name, name, f->path[i]);
    if (cmd_check_output(c, OPTION[i], f->path[i], a, e)) return e->status;
  }
  size_t n = f->path[CMD_CSV] == NULL ? 0 : strlen(f->path[CMD_CSV]);
  if (n > 3 && strcmp(f->path[CMD_CSV] + n - 3, ".gz") == 0)
    return err_set(e, ERR_BAD,
                   "--csv: '%s': rows cannot be appended to a compressed file; leave out .gz",
                   f->path[CMD_CSV]);
  return ERR_OK;
}

int cmd_files_open(const cli *c, cmd_files *f, arena *a, err *e) {
  *f = (cmd_files){0};
  for (int i = 0; i < CMD_FILE_COUNT; i++)
    if (c->given[OPTION[i]]) f->path[i] = c->value[OPTION[i]];
  if (check_paths(c, f, a, e)) return e->status;
  for (int i = 0; i < CMD_FILE_COUNT; i++) {
    if (f->path[i] == NULL) continue;
    f->to_stdout = f->to_stdout || cmd_is_stdout(f->path[i]);
    f->o[i] = out_open(f->path[i], e);
    if (f->o[i] != NULL) continue;
    cmd_files_abort(f);
    return e->status;
  }
  return ERR_OK;
}

void cmd_files_abort(cmd_files *f) {
  for (int i = 0; i < CMD_FILE_COUNT; i++) {
    if (f->o[i] != NULL) out_abort(f->o[i]);
    f->o[i] = NULL;
  }
}

static int close_some(cmd_files *f, bool plain, err *e) {
  for (int i = 0; i < CMD_FILE_COUNT; i++) {
    out *o = f->o[i];
    if (o == NULL || is_plain_file(f->path[i]) != plain) continue;
    f->o[i] = NULL;
    if (out_close(o, e) == ERR_OK) continue;
    cmd_files_abort(f);
    return e->status;
  }
  return ERR_OK;
}

int cmd_files_close_streams(cmd_files *f, err *e) {
  return close_some(f, false, e);
}

int cmd_files_close(cmd_files *f, err *e) {
  return close_some(f, true, e);
}

/* Is its last row cut short? Quotes may hold commas and line ends. */
static bool is_cut(const file_bytes *b, size_t header) {
  size_t cells = 0, want = 0;
  bool quoted = false;
  for (size_t i = 0; i < b->len; i++) {
    char x = (char)b->data[i];
    quoted = quoted != (x == '"');
    if (!quoted && (x == ',' || x == '\n')) cells++;
    if (i + 1 == header) want = cells;
    if (!quoted && x == '\n') cells = 0;
  }
  return b->data[b->len - 1] != '\n' && (quoted || cells + 1 < want);
}

int cmd_csv_begin(cmd_files *f, const char *header, size_t len, arena *a, err *e) {
  const char *path = f->path[CMD_CSV];
  out *o = f->o[CMD_CSV];
  file_bytes old = {0};
  if (is_plain_file(path) && file_exists(path) && file_read(path, CSV_LIMIT, &old, a, e))
    return e->status;
  if (old.len == 0) {
    out_write(o, header, len);
    return ERR_OK;
  }
  if (old.len < len || memcmp(old.data, header, len) != 0)
    return err_set(e, ERR_BAD,
                   "%s: its header is another one than this run's; name another file (columns "
                   "follow the platform and its overrides)",
                   path);
  if (is_cut(&old, len))
    return err_set(e, ERR_BAD, "%s: its last row is cut short; remove that row", path);
  out_write(o, old.data, old.len);
  if (old.data[old.len - 1] != '\n') out_char(o, '\n');
  return ERR_OK;
}
