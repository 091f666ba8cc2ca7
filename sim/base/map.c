#include "sim/base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int cannot_map(const char *path, int why, err *e) {
  const char *cure = why == ENOENT   ? "; check the name"
                     : why == EACCES ? "; check its permissions"
                                     : "";
  return err_set(e, ERR_BAD, "%s: cannot read it: %s%s", path, strerror(why), cure);
}

/* What can be mapped: a regular file that has bytes. */
static int check_kind(const char *path, const struct stat *st, err *e) {
  if (S_ISDIR(st->st_mode)) return err_set(e, ERR_BAD, "%s: is a directory; name a file", path);
  if (!S_ISREG(st->st_mode))
    return err_set(e, ERR_BAD, "%s: is not a regular file; weights cannot come through a pipe",
                   path);
  if (st->st_size == 0) return err_set(e, ERR_BAD, "%s: is empty", path);
  if ((uint64_t)st->st_size > SIZE_MAX)
    return err_set(e, ERR_BAD, "%s: is too large for this machine's addresses", path);
  return ERR_OK;
}

int map_open(const char *path, file_map *m, err *e) {
  struct stat st;
  *m = (file_map){0};
  /* a fifo without a writer must not hold the program up */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return cannot_map(path, errno, e);
  int status = fstat(fd, &st) != 0 ? cannot_map(path, errno, e) : check_kind(path, &st, e);
  if (status == ERR_OK) {
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
      status = cannot_map(path, errno, e);
    else
      *m = (file_map){p, (size_t)st.st_size};
  }
  close(fd);
  return status;
}

void map_close(file_map *m) {
  /* munmap takes what mmap gave, which was never const */
  if (m->data != NULL) munmap((void *)(uintptr_t)m->data, m->len);
  *m = (file_map){0};
}
