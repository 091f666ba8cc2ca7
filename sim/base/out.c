#include "sim/base/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "sim/base/text.h"

enum { BUFFER = 1 << 18, MAX_TEMPS = 256, MAX_LINKS = 40 };

struct out {
  char *buf; /* a memory `out` keeps one spare byte for the NUL of out_text */
  size_t n, cap;
  int fd;       /* -1: memory */
  bool clean;   /* for a terminal */
  int error;    /* the first errno; everything after it is dropped */
  char *path;   /* as the caller named it, for messages */
  char *target; /* what `temp` is renamed to; NULL: written directly */
  char *temp;   /* in TEMPS too */
  size_t slot;
  z_stream *gzip; /* NULL: plain */
  unsigned char *packed;
};

/* Names of the temporary files in use, for out_abort_all. Whoever exchanges a name for NULL owns
 * it: the handler unlinks it (and leaks it), out_close frees it. A forked child inherits the table
 * but not the files: hence the owner. */
static struct {
  _Atomic(char *) name;
  _Atomic(pid_t) owner;
} temps[MAX_TEMPS];

void out_abort_all(void) {
  int saved = errno;
  pid_t self = getpid();
  for (size_t i = 0; i < MAX_TEMPS; i++) {
    char *name = temps[i].owner == self ? atomic_exchange(&temps[i].name, NULL) : NULL;
    if (name != NULL) unlink(name);
  }
  errno = saved;
}

/* Slots are claimed with a name that no file can have, so that two threads cannot take one. */
static char claimed[] = "";

static size_t temp_claim(void) {
  static atomic_flag registered = ATOMIC_FLAG_INIT;
  /* exit() from anywhere, such as the arena's "out of memory", must not leave files behind either
   */
  if (!atomic_flag_test_and_set(&registered)) atexit(out_abort_all);
  for (size_t i = 0; i < MAX_TEMPS; i++) {
    char *none = NULL;
    if (!atomic_compare_exchange_strong(&temps[i].name, &none, claimed)) continue;
    temps[i].owner = getpid();
    return i;
  }
  return MAX_TEMPS;
}

/* Takes the name out of the table; frees it unless a handler on another thread has it now. */
static void temp_release(out *o) {
  if (atomic_exchange(&temps[o->slot].name, NULL) != NULL) free(o->temp);
  o->temp = NULL;
}

static char *copy_string(const char *s, size_t n) {
  char *d = mem_alloc(n + 1, 1);
  memcpy(d, s, n);
  d[n] = '\0';
  return d;
}

static int cannot_write(const char *path, int why, err *e) {
  const char *cure = "";
  switch (why) {
  case ENOENT:
    cure = "; create the folder first";
    break;
  case EACCES:
  case EPERM:
  case EROFS:
    cure = "; name a file and folder that you may write to";
    break;
  case ENOSPC:
  case EDQUOT:
    cure = "; free some space or name another place";
    break;
  case EFBIG:
    cure = "; raise the file size limit (ulimit -f)";
    break;
  case ENOTDIR:
    cure = "; a part of the path is not a folder";
    break;
  case EISDIR:
    cure = "; name a file in it";
    break;
  case EPIPE:
    cure = "; its reader has gone";
    break;
  case EMFILE:
  case ENFILE:
    cure = "; raise the limit of open files (ulimit -n)";
    break;
  default:
    break;
  }
  return err_set(e, ERR_BAD, "%s: cannot write it: %s%s", path, strerror(why), cure);
}

/* The number of an open descriptor that the path stands for ("-", /dev/stdout, /dev/fd/3); -1 if
 * none. Such a path is never replaced by rename, even where it leads to a regular file: `> file`
 * was opened by the shell. */
static int named_descriptor(const char *path) {
  if (strcmp(path, "-") == 0 || strcmp(path, "/dev/stdout") == 0) return STDOUT_FILENO;
  if (strcmp(path, "/dev/stderr") == 0) return STDERR_FILENO;
  static const char *const FOLDERS[] = {"/dev/fd/", "/proc/self/fd/"};
  for (size_t i = 0; i < 2; i++) {
    size_t n = strlen(FOLDERS[i]);
    char *end;
    if (strncmp(path, FOLDERS[i], n) != 0 || path[n] < '0' || path[n] > '9') continue;
    long fd = strtol(path + n, &end, 10);
    if (*end == '\0' && fd < 1 << 20) return (int)fd;
  }
  return -1;
}

/* Follows symbolic links to the name that is to be replaced, which need not exist; malloc'd, or
 * NULL (errno). */
static char *follow_links(const char *path) {
  char *at = copy_string(path, strlen(path));
  for (int i = 0; i < MAX_LINKS; i++) {
    char link[4096];
    ssize_t n = readlink(at, link, sizeof link);
    if (n < 0) return at; /* not a link, or nothing there */
    const char *slash = strrchr(at, '/');
    size_t folder = link[0] == '/' || slash == NULL ? 0 : (size_t)(slash - at) + 1;
    char *next = mem_alloc(folder + (size_t)n + 1, 1);
    memcpy(next, at, folder);
    memcpy(next + folder, link, (size_t)n);
    next[folder + (size_t)n] = '\0';
    free(at);
    at = next;
  }
  free(at);
  errno = ELOOP;
  return NULL;
}

/* Creates the temporary file beside o->target; returns 0 or errno. Its name is in the table before
 * the file exists, so that an interrupt at any moment removes it. */
static int temp_create(out *o, mode_t mode) {
  const char *slash = strrchr(o->target, '/');
  size_t folder = slash == NULL ? 0 : (size_t)(slash - o->target) + 1;
  size_t cap = folder + 64;
  if ((o->slot = temp_claim()) == MAX_TEMPS) return EMFILE;
  o->temp = mem_alloc(cap, 1);
  static atomic_uint serial;
  for (int tries = 0; tries < 1000; tries++) {
    snprintf(o->temp, cap, "%.*s.llamasim-%ld-%u.tmp", (int)folder, o->target, (long)getpid(),
             atomic_fetch_add(&serial, 1));
    if (tries == 0) atomic_store(&temps[o->slot].name, o->temp);
    o->fd = open(o->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (o->fd >= 0 || errno != EEXIST) break;
  }
  int why = o->fd < 0 ? errno : 0;
  if (why != 0) temp_release(o);
  return why;
}

/* Opens the path as file.h promises; returns 0 or errno. */
static int open_path(out *o, const char *path) {
  int fd = named_descriptor(path);
  if (fd >= 0) {
    if (fd == STDOUT_FILENO) fflush(stdout); /* what was printed before comes first */
    return (o->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0 ? errno : 0;
  }
  struct stat st;
  bool exists = stat(path, &st) == 0;
  if (!exists && errno != ENOENT) return errno;
  if (exists && S_ISDIR(st.st_mode)) return EISDIR;
  if (exists && !S_ISREG(st.st_mode))
    return (o->fd = open(path, O_WRONLY | O_CLOEXEC)) < 0 ? errno : 0;
  /* rename would replace a file that its owner made read-only */
  if (exists && access(path, W_OK) != 0) return errno;
  if ((o->target = follow_links(path)) == NULL) return errno;
  int why = temp_create(o, 0666);
  if (why == 0 && exists) (void)fchmod(o->fd, st.st_mode & 0777); /* keep it as private as it was */
  return why;
}

static void gzip_start(out *o) {
  static gz_header header; /* without time, name and system: same input, same bytes */
  header.os = 255;
  o->gzip = mem_alloc(1, sizeof *o->gzip);
  memset(o->gzip, 0, sizeof *o->gzip);
  o->packed = mem_alloc(BUFFER, 1);
  if (deflateInit2(o->gzip, 6, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK ||
      deflateSetHeader(o->gzip, &header) != Z_OK)
    o->error = ENOMEM;
}

static out *new_out(const char *path) {
  out *o = mem_alloc(1, sizeof *o);
  *o = (out){.fd = -1, .cap = BUFFER, .slot = MAX_TEMPS};
  o->buf = mem_alloc(o->cap, 1);
  o->path = copy_string(path, strlen(path));
  return o;
}

static void free_out(out *o) {
  if (o->fd >= 0) close(o->fd);
  if (o->temp != NULL) {
    unlink(o->temp);
    temp_release(o);
  }
  if (o->gzip != NULL) deflateEnd(o->gzip);
  free(o->gzip);
  free(o->packed);
  free(o->target);
  free(o->path);
  free(o->buf);
  free(o);
}

out *out_open(const char *path, err *e) {
  out *o = new_out(strcmp(path, "-") == 0 ? "standard output" : path);
  int why = *path == '\0' ? ENOENT : open_path(o, path);
  if (why != 0) {
    (void)cannot_write(*path == '\0' ? "''" : o->path, why, e);
    free_out(o);
    return NULL;
  }
  size_t n = strlen(path);
  if (n > 3 && strcmp(path + n - 3, ".gz") == 0) gzip_start(o);
  o->clean = isatty(o->fd) == 1; /* also what is meant for programs */
  return o;
}

out *out_print(err *e) {
  out *o = out_open("-", e);
  if (o != NULL) o->clean = true;
  return o;
}

out *out_memory(void) {
  return new_out("memory");
}

const char *out_text(const out *o, size_t *len) {
  assert(o->fd < 0);
  o->buf[o->n] = '\0';
  if (len != NULL) *len = o->n;
  return o->buf;
}

static void write_fd(out *o, const void *data, size_t len) {
  const char *p = data;
  while (len > 0 && o->error == 0) {
    ssize_t n = write(o->fd, p, len);
    if (n > 0) {
      p += n;
      len -= (size_t)n;
    } else if (n < 0 && errno == EAGAIN) { /* a pipe that its other owner made non-blocking */
      struct pollfd wait = {.fd = o->fd, .events = POLLOUT};
      (void)poll(&wait, 1, -1);
    } else if (n == 0 || errno != EINTR) {
      o->error = n == 0 ? EIO : errno;
    }
  }
}

/* Sends everything on; `last` also ends the gzip stream. */
static void drain(out *o, const char *data, size_t len, bool last) {
  if (o->gzip == NULL) {
    write_fd(o, data, len);
    return;
  }
  while (o->error == 0) { /* zlib counts in unsigned int */
    size_t piece = len < 1u << 30 ? len : 1u << 30;
    o->gzip->next_in = (unsigned char *)(uintptr_t)data;
    o->gzip->avail_in = (unsigned)piece;
    data += piece;
    len -= piece;
    do {
      o->gzip->next_out = o->packed;
      o->gzip->avail_out = BUFFER;
      (void)deflate(o->gzip, last && len == 0 ? Z_FINISH : Z_NO_FLUSH);
      write_fd(o, o->packed, BUFFER - o->gzip->avail_out);
    } while (o->gzip->avail_out == 0 && o->error == 0);
    if (len == 0) break;
  }
}

static void flush(out *o, bool last) {
  if (o->clean) text_clean(o->buf, o->n, false);
  drain(o, o->buf, o->n, last);
  o->n = 0;
}

/* Makes room for `need` bytes (need < BUFFER unless in memory) and says where. */
static inline char *room(out *o, size_t need) {
  if (o->cap - o->n <= need) {
    if (o->fd >= 0) {
      flush(o, false);
    } else {
      while (o->cap - o->n <= need) o->buf = mem_realloc(o->buf, o->cap *= 2, 1);
    }
  }
  return o->buf + o->n;
}

void out_write(out *o, const void *data, size_t len) {
  if (len == 0) return;
  if (o->fd >= 0 && len >= BUFFER) {
    flush(o, false);
    char *copy = o->clean ? copy_string(data, len) : NULL;
    if (copy != NULL) text_clean(copy, len, false);
    drain(o, copy != NULL ? copy : data, len, false);
    free(copy);
    return;
  }
  memcpy(room(o, len), data, len);
  o->n += len;
}

void out_str(out *o, const char *s) {
  out_write(o, s, strlen(s));
}

void out_char(out *o, char c) {
  *room(o, 1) = c;
  o->n++;
}

void out_printf(out *o, const char *fmt, ...) {
  va_list ap, again;
  va_start(ap, fmt);
  va_copy(again, ap);
  char *p = room(o, 256);
  int n = vsnprintf(p, o->cap - o->n, fmt, ap);
  va_end(ap);
  if (n > 0 && (size_t)n < o->cap - o->n) {
    o->n += (size_t)n;
  } else if (n > 0) { /* the buffer was too full, or the text is longer than any buffer */
    char *text = mem_alloc((size_t)n + 1, 1);
    vsnprintf(text, (size_t)n + 1, fmt, again);
    out_write(o, text, (size_t)n);
    free(text);
  }
  va_end(again);
}

/* Digits of v, ending before `end`; returns their start. */
static char *digits(char *end, uint64_t v) {
  do {
    *--end = (char)('0' + v % 10);
    v /= 10;
  } while (v != 0);
  return end;
}

void out_u64(out *o, uint64_t v) {
  char text[20], *end = text + sizeof text, *p = digits(end, v);
  size_t n = (size_t)(end - p);
  memcpy(room(o, sizeof text), p, n);
  o->n += n;
}

void out_us(out *o, int64_t ns) {
  char text[24], *end = text + sizeof text, *p = end;
  uint64_t v = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
  for (int i = 0; i < 3; i++, v /= 10) *--p = (char)('0' + v % 10);
  *--p = '.';
  p = digits(p, v);
  if (ns < 0) *--p = '-';
  size_t n = (size_t)(end - p);
  memcpy(room(o, sizeof text), p, n);
  o->n += n;
}

int out_close(out *o, err *e) {
  if (o->fd >= 0) {
    flush(o, true);
    if (close(o->fd) != 0 && errno != EINTR && o->error == 0) o->error = errno;
    o->fd = -1;
    if (o->error == 0 && o->temp != NULL) {
      if (rename(o->temp, o->target) == 0)
        temp_release(o);
      else
        o->error = errno;
    }
  }
  int status = o->error != 0 ? cannot_write(o->path, o->error, e) : ERR_OK;
  free_out(o);
  return status;
}

void out_abort(out *o) {
  free_out(o);
}
