/* fuzz_main.c - what libFuzzer does with a corpus, for builds without it: runs the target over
 * every file named, and over every file of every folder named, in order of their names. A finding
 * ends the program (abort, or the sanitizers). Folders are not entered further.
 *
 * Each input is copied to a block of exactly its size, so that the sanitizers see a read beyond. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sim/base/file.h"

enum { LARGEST = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path) {
  arena a = {0};
  err e = {0};
  file_bytes f;
  if (file_read(path, LARGEST, &f, &a, &e) != ERR_OK) {
    fprintf(stderr, "%s\n", e.msg);
    arena_free(&a);
    return 1;
  }
  uint8_t *copy = malloc(f.len > 0 ? f.len : 1);
  if (copy == NULL) abort();
  if (f.len > 0) memcpy(copy, f.data, f.len);
  printf("%s: %zu bytes\n", path, f.len);
  fflush(stdout); /* so that a crash says where */
  (void)LLVMFuzzerTestOneInput(copy, f.len);
  free(copy);
  arena_free(&a);
  return 0;
}

/* Adds the files of a folder, or the file itself. */
static int collect(const char *path, arena *a, char ***names, size_t *n, size_t *cap) {
  struct stat st;
  if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
    ARENA_PUSH(a, *names, *n, *cap, arena_strdup(a, path));
    return 0;
  }
  struct dirent **list;
  int count = scandir(path, &list, NULL, alphasort);
  if (count < 0) {
    perror(path);
    return 1;
  }
  for (int i = 0; i < count; i++) {
    char *file = arena_printf(a, "%s/%s", path, list[i]->d_name);
    if (stat(file, &st) == 0 && S_ISREG(st.st_mode)) ARENA_PUSH(a, *names, *n, *cap, file);
    free(list[i]);
  }
  free(list);
  return 0;
}

int main(int argc, char **argv) {
  arena a = {0};
  char **names = NULL;
  size_t n = 0, cap = 0;
  int status = 0;
  for (int i = 1; i < argc; i++) status |= collect(argv[i], &a, &names, &n, &cap);
  for (size_t i = 0; i < n; i++) status |= run_file(names[i]);
  printf("%zu inputs\n", n);
  if (n == 0) {
    fprintf(stderr, "%s: no inputs; name files or folders\n", argv[0]);
    status = 1;
  }
  arena_free(&a);
  return status;
}
