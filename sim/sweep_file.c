#include "sim/sweep_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int cannot(const char *path, err *e) {
  return err_set(e, ERR_BAD, "%s: cannot write it: %s", path, strerror(errno));
}

static bool write_all(int fd, const char *data, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, data, len);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data += n;
    len -= (size_t)n;
  }
  return true;
}

/* ---- the lock ---- */

/* A lock of this process's own: it is not inherited by its children, so that it goes with the sweep
 * however that ends. */
static int take_lock(sweep_file *f, err *e) {
  for (int tries = 0; tries < 100; tries++) {
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat mine, there;
    f->lock_fd = open(f->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (f->lock_fd < 0) return cannot(f->lock, e);
    if (fcntl(f->lock_fd, F_SETLK, &l) != 0) {
      bool taken = errno == EACCES || errno == EAGAIN;
      if (!taken) cannot(f->lock, e);
      if (taken && fcntl(f->lock_fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK)
        err_set(e, ERR_BAD,
                "%s: another sweep is writing it (process %ld); wait for it, or name another file",
                f->path, (long)l.l_pid);
      close(f->lock_fd);
      f->lock_fd = -1;
      if (e->status != ERR_OK) return e->status;
      continue; /* it has just gone */
    }
    /* whoever held it may have removed it since it was opened */
    if (fstat(f->lock_fd, &mine) == 0 && stat(f->lock, &there) == 0 &&
        mine.st_ino == there.st_ino && mine.st_dev == there.st_dev)
      return ERR_OK;
    close(f->lock_fd);
    f->lock_fd = -1;
  }
  return err_set(e, ERR_BAD, "%s: cannot be locked; other sweeps come and go on it", f->path);
}

/* ---- what is there already ---- */

/* Reads over a row (or the header) from `in`: its bytes, cells, and whether the last one is empty.
 * False where the file ends in it, or where it has a NUL byte, as after a power cut. */
static bool skip_row(FILE *in, uint64_t *bytes, size_t *cells, bool *failed) {
  bool quoted = false;
  int before = '\n', c;
  *bytes = 0;
  *cells = 1;
  while ((c = getc_unlocked(in)) != EOF && c != '\0') {
    ++*bytes;
    if (c == '"') quoted = !quoted;
    if (c == ',' && !quoted) ++*cells;
    if (c == '\n' && !quoted) {
      *failed = before != ',';
      return true;
    }
    before = c;
  }
  return false;
}

/* Cuts FILE.part after its last whole row and counts what is there. */
static int keep_rows(sweep_file *f, const char *header, err *e) {
  FILE *in = fopen(f->part, "re");
  if (in == NULL) return cannot(f->part, e);
  uint64_t keep = 0, bytes, n_header = strlen(header);
  size_t cells, columns = 0;
  bool failed, same = true;
  for (uint64_t i = 0; i < n_header && same; i++)
    same = getc_unlocked(in) == (unsigned char)header[i];
  rewind(in);
  if (skip_row(in, &bytes, &columns, &failed)) {
    keep = bytes;
    if (!same || bytes != n_header)
      err_set(e, ERR_BAD,
              "%s: its header is another one than this sweep's; remove it to start anew", f->part);
    while (e->status == ERR_OK && skip_row(in, &bytes, &cells, &failed) && cells == columns) {
      keep += bytes;
      f->rows++;
      f->failed += failed;
    }
  }
  fclose(in);
  if (e->status != ERR_OK) return e->status;
  if (ftruncate(f->fd, (off_t)keep) != 0 || lseek(f->fd, 0, SEEK_END) < 0)
    return cannot(f->part, e);
  if (keep == 0 && !write_all(f->fd, header, n_header)) return cannot(f->part, e);
  return ERR_OK;
}

/* Does the lock's file tell the same sweep? An empty one tells none: it was killed at its start. */
static bool same_plan(const sweep_file *f, const char *plan, bool *none) {
  char text[512];
  ssize_t n = pread(f->lock_fd, text, sizeof text, 0);
  *none = n <= 0 || text[n - 1] != '\n';
  return !*none && strlen(plan) + 1 == (size_t)n && memcmp(text, plan, strlen(plan)) == 0;
}

static int begin(sweep_file *f, const char *header, const char *plan, bool resume, err *e) {
  bool none, left = access(f->part, F_OK) == 0, same = same_plan(f, plan, &none);
  if (left && !resume)
    return err_set(e, ERR_BAD,
                   "%s: is left over by a sweep that was interrupted; --resume goes on with it, or "
                   "remove it to start anew",
                   f->part);
  if (left && !same)
    return err_set(e, ERR_BAD,
                   "%s: is left over by another sweep than this one (other points, options, shard, "
                   "platform or version); resume that one, or remove the file to start anew",
                   f->part);
  if (!same && (ftruncate(f->lock_fd, 0) != 0 || pwrite(f->lock_fd, plan, strlen(plan), 0) < 0 ||
                pwrite(f->lock_fd, "\n", 1, (off_t)strlen(plan)) != 1 || fsync(f->lock_fd) != 0))
    return cannot(f->lock, e);
  f->fd = open(f->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (f->fd < 0) return cannot(f->part, e);
  return keep_rows(f, header, e);
}

/* ---- the four of the header ---- */

static int open_stream(const char *path, const char *header, sweep_file *f, err *e) {
  bool standard = strcmp(path, "-") == 0;
  if (standard) f->path = "standard output";
  f->fd = standard ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_WRONLY | O_CLOEXEC);
  if (f->fd < 0 || !write_all(f->fd, header, strlen(header))) return cannot(f->path, e);
  return ERR_OK;
}

int sweep_file_open(const char *path, const char *header, const char *plan, bool resume,
                    sweep_file *f, arena *a, err *e) {
  struct stat st;
  *f = (sweep_file){.path = path, .fd = -1, .lock_fd = -1};
  bool there = stat(path, &st) == 0;
  if (strcmp(path, "-") == 0 || (there && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) {
    if (resume)
      return err_set(e, ERR_BAD, "--resume: '%s' is no file, and what has gone there is not known",
                     path);
    return open_stream(path, header, f, e);
  }
  if (there && S_ISDIR(st.st_mode))
    return err_set(e, ERR_BAD, "%s: is a folder; name a file in it", path);
  if (there && access(path, W_OK) != 0) return cannot(path, e);
  if (!there && lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
    return err_set(e, ERR_BAD, "%s: is a link to a file that is not there; name the file itself",
                   path);
  char real[PATH_MAX]; /* a link's target is replaced, not the link */
  const char *target = there && realpath(path, real) != NULL ? real : path;
  f->path = arena_strdup(a, target);
  f->part = arena_printf(a, "%s.part", target);
  f->lock = arena_printf(a, "%s.sweep", target);
  if (take_lock(f, e)) return e->status;
  bool before = access(f->part, F_OK) == 0;
  if (begin(f, header, plan, resume, e) == ERR_OK) return ERR_OK;
  if (!before) {
    unlink(f->part);
    unlink(f->lock);
  }
  sweep_file_leave(f);
  return e->status;
}

int sweep_file_add(sweep_file *f, const char *row, size_t len, err *e) {
  if (!write_all(f->fd, row, len)) {
    cannot(f->part != NULL ? f->part : f->path, e);
    return f->part == NULL
               ? e->status
               : err_prefix(e, "stopped after %" PRIu64 " points, --resume goes on", f->rows);
  }
  f->rows++;
  if (len < 2 || row[len - 2] != ',') f->failed++;
  return ERR_OK;
}

int sweep_file_finish(sweep_file *f, err *e) {
  /* after a power cut, FILE must not be there without its rows */
  if (f->part != NULL && (fsync(f->fd) != 0 || rename(f->part, f->path) != 0))
    cannot(f->path, e);
  else if (f->part != NULL)
    unlink(f->lock);
  sweep_file_leave(f);
  return e->status;
}

void sweep_file_leave(sweep_file *f) {
  if (f->fd >= 0) close(f->fd);
  if (f->lock_fd >= 0) close(f->lock_fd);
  f->fd = f->lock_fd = -1;
}
