/* trace_check FILE... - does each file keep the rules of trace_rules.h? A line a file: "FILE: ok",
 * or the reason why not. Reads plain and gzipped files; one that is named .gz must be gzipped.
 * Exit status: 0 all do; 1 one does not; 2 bad usage, or a file that cannot be read. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "sim/base/arena.h"
#include "tests/trace_rules.h"

static bool ends_in_gz(const char *path) {
  size_t n = strlen(path);
  return n > 3 && strcmp(path + n - 3, ".gz") == 0;
}

static int refuse(const char *path, const char *why) {
  fprintf(stderr, "trace_check: %s: cannot read it: %s\n", path, why);
  return 2;
}

/* All of the file, unpacked; *text is malloced. */
static int read_all(const char *path, char **text, size_t *len) {
  enum { PIECE = 1 << 20 };
  errno = 0;
  gzFile f = gzopen(path, "rb");
  if (f == NULL) return refuse(path, errno != 0 ? strerror(errno) : "out of memory");
  size_t cap = PIECE;
  int got;
  *len = 0;
  *text = mem_alloc(cap, 1);
  while ((got = gzread(f, *text + *len, PIECE)) > 0) {
    *len += (size_t)got;
    while (cap - *len < PIECE) *text = mem_realloc(*text, cap *= 2, 1);
  }
  bool packed = !gzdirect(f);
  int closed = gzclose_r(f); /* Z_BUF_ERROR: the stream is cut off */
  if (got < 0 || closed != Z_OK) return refuse(path, "it is damaged or cut off");
  if (ends_in_gz(path) && !packed) return refuse(path, "it is not gzipped");
  return 0;
}

static int check(const char *path) {
  char *text = NULL, why[TRACE_RULES_WHY] = "";
  size_t len = 0;
  int status = read_all(path, &text, &len);
  if (status == 0) {
    status = trace_rules_check(text, len, why);
    printf("%s: %s\n", path, status == 0 ? "ok" : why);
  }
  free(text);
  return status;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: trace_check FILE...\n");
    return 2;
  }
  int worst = 0;
  for (int i = 1; i < argc; i++) {
    int status = check(argv[i]);
    if (status > worst) worst = status;
  }
  return worst;
}
