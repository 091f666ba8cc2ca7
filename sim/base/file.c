#include "sim/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int cannot_read(const char *path, int why, err *e) {
  const char *cure = why == ENOENT    ? "; check the name"
                     : why == EACCES  ? "; check its permissions"
                     : why == ENOTDIR ? "; a part of the path is not a folder"
                                      : "";
  return err_set(e, ERR_BAD, "%s: cannot read it: %s%s", path, strerror(why), cure);
}

/* Reads to the end, or to one byte past `limit`, into malloc'd memory; errno, or 0. */
static int read_all(int fd, size_t expected, size_t limit, unsigned char **data, size_t *len) {
  size_t cap = expected + 1, n = 0;
  unsigned char *buf = mem_alloc(cap, 1);
  while (n <= limit) {
    if (n == cap) buf = mem_realloc(buf, cap *= 2, 1);
    ssize_t got = read(fd, buf + n, cap - n);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      int why = errno;
      free(buf);
      return why;
    }
    if (got == 0) break;
    n += (size_t)got;
  }
  *data = buf;
  *len = n;
  return 0;
}

int file_read(const char *path, size_t limit, file_bytes *bytes, arena *a, err *e) {
  bool standard = strcmp(path, "-") == 0;
  const char *name = standard ? "standard input" : path;
  int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return cannot_read(name, errno, e);

  struct stat st;
  unsigned char *data = NULL;
  size_t len = 0;
  int why = fstat(fd, &st) != 0 ? errno : 0;
  bool known = why == 0 && S_ISREG(st.st_mode);
  bool too_large = known && (uint64_t)st.st_size > limit;
  if (why == 0 && S_ISDIR(st.st_mode)) why = EISDIR;
  if (why == 0 && !too_large)
    why = read_all(fd, known ? (size_t)st.st_size : 1 << 16, limit, &data, &len);
  if (!standard) close(fd);

  if (why == EISDIR) return err_set(e, ERR_BAD, "%s: is a directory; name a file", name);
  if (why != 0) return cannot_read(name, why, e);
  if (too_large || len > limit) {
    free(data);
    return err_set(e, ERR_BAD, "%s: is larger than the limit of %zu bytes; is it the right file?",
                   name, limit);
  }
  bytes->data = (const unsigned char *)arena_strndup(a, (const char *)data, len);
  bytes->len = len;
  free(data);
  return ERR_OK;
}

bool file_exists(const char *path) {
  struct stat st;
  return stat(path, &st) == 0;
}

static bool is_regular(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The folder of the running executable; NULL where the system does not say. */
static char *program_folder(arena *a) {
  char buf[4096];
  ssize_t n = readlink("/proc/self/exe", buf, sizeof buf);
  if (n <= 0 || (size_t)n >= sizeof buf) return NULL;
  while (n > 1 && buf[n - 1] != '/') n--;
  return arena_strndup(a, buf, (size_t)n);
}

enum { MAX_FOLDERS = 4 };

/* The folders that may hold data of this kind, in the order that file.h promises. */
static size_t data_folders(const char *kind, const char *folders[MAX_FOLDERS], arena *a) {
  size_t n = 0;
  const char *env = getenv("LLAMASIM_DATA");
  if (env != NULL && *env != '\0') folders[n++] = arena_printf(a, "%s/%s", env, kind);
  const char *bin = program_folder(a);
  if (bin != NULL) folders[n++] = arena_printf(a, "%s../share/llamasim/%s", bin, kind);
#ifdef LLAMASIM_SOURCE_DIR
  const char *sub = strcmp(kind, "models") == 0 ? "workloads/models" : kind;
  folders[n++] = arena_printf(a, "%s/%s", LLAMASIM_SOURCE_DIR, sub);
#endif
#ifdef LLAMASIM_DATA_DIR
  folders[n++] = arena_printf(a, "%s/%s", LLAMASIM_DATA_DIR, kind);
#endif
  return n;
}

static bool ends_with(const char *s, size_t len, const char *end) {
  size_t n = strlen(end);
  return len > n && memcmp(s + len - n, end, n) == 0;
}

char *file_find_data(const char *kind, const char *name, const char *ext, arena *a) {
  size_t n_kind = strlen(kind);
  if (strncmp(name, kind, n_kind) == 0 && name[n_kind] == '/') name += n_kind + 1;
  if (*name == '\0' || *name == '.' || strchr(name, '/') != NULL) return NULL;

  const char *folders[MAX_FOLDERS];
  size_t n = data_folders(kind, folders, a);
  const char *tail = ends_with(name, strlen(name), ext) ? "" : ext;
  for (size_t i = 0; i < n; i++) {
    char *path = arena_printf(a, "%s/%s%s", folders[i], name, tail);
    if (is_regular(path)) return path;
  }
  return NULL;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

size_t file_list_data(const char *kind, const char *ext, char ***names, arena *a) {
  const char *folders[MAX_FOLDERS];
  size_t n_folders = data_folders(kind, folders, a), n = 0, cap = 0;
  *names = NULL;
  for (size_t i = 0; i < n_folders; i++) {
    DIR *dir = opendir(folders[i]);
    if (dir == NULL) continue;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
      size_t len = strlen(entry->d_name);
      if (entry->d_name[0] == '.' || !ends_with(entry->d_name, len, ext)) continue;
      if (!is_regular(arena_printf(a, "%s/%s", folders[i], entry->d_name))) continue;
      ARENA_PUSH(a, *names, n, cap, arena_strndup(a, entry->d_name, len - strlen(ext)));
    }
    closedir(dir);
  }
  /* a name found in several folders is listed once */
  if (n > 1) qsort(*names, n, sizeof **names, by_name);
  size_t kept = 0;
  for (size_t i = 0; i < n; i++)
    if (kept == 0 || strcmp((*names)[kept - 1], (*names)[i]) != 0) (*names)[kept++] = (*names)[i];
  return kept;
}
