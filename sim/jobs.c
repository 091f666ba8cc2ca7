#ifdef __linux__
#define _GNU_SOURCE /* sched_getaffinity */
#include <sched.h>
#include <sys/prctl.h>
#endif

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/jobs.h"

enum { MAX_JOBS = 1024, AHEAD = 64, CHUNK = 65536 };

/* What a child sends: this, the message, the data. */
typedef struct head {
  uint64_t magic, status, n_msg, n_data;
} head;

static const uint64_t MAGIC = 0x6c6c616d616a6f62; /* "llamajob" */

/* A piece that was started and not yet taken. */
typedef struct piece {
  size_t i;
  pid_t pid; /* 0: ended */
  int fd;    /* what it sends; -1: all of it is here */
  char *bytes;
  size_t n, cap;
  int how; /* as waitpid says it ended */
} piece;

typedef struct pool {
  jobs_prepare *prepare; /* NULL: there is nothing to prepare */
  jobs_work *work;
  void *ctx;
  piece *pieces; /* a ring: piece i is at i % n_pieces */
  size_t n_pieces;
  size_t running, next, taken; /* processes; pieces started; pieces taken */
} pool;

size_t jobs_cores(void) {
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
    return (size_t)CPU_COUNT(&set);
#endif
  long n = sysconf(_SC_NPROCESSORS_ONLN);
  return n > 0 ? (size_t)n : 1;
}

/* ---- the child ---- */

static bool send_all(int fd, const void *data, size_t len) {
  const char *p = data;
  while (len > 0) {
    ssize_t n = write(fd, p, len);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n;
    len -= (size_t)n;
  }
  return true;
}

static void child(const pool *p, size_t i, int fd, pid_t parent) {
#ifdef __linux__
  prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  if (getppid() != parent) _exit(ERR_INTERNAL);
  static err fault;
  fault = (err){0};
  out *o = out_memory();
  int status = p->work(p->ctx, i, o, &fault);
  head h = {.magic = MAGIC, .status = (uint64_t)status, .n_msg = strlen(fault.msg)};
  size_t len;
  const char *text = out_text(o, &len);
  h.n_data = len;
  bool sent =
      send_all(fd, &h, sizeof h) && send_all(fd, fault.msg, h.n_msg) && send_all(fd, text, len);
  _exit(sent ? 0 : ERR_INTERNAL);
}

/* ---- the parent ---- */

static int cannot(const char *what, err *e) {
  return err_set(e, ERR_INTERNAL,
                 "cannot start a process: %s: %s; fewer at once (--jobs) need less", what,
                 strerror(errno));
}

static int start(pool *p, err *e) {
  int fd[2];
  if (p->prepare != NULL && p->prepare(p->ctx, p->next, e)) return e->status;
  if (pipe(fd) != 0) return cannot("pipe", e);
  fflush(NULL);
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) {
    close(fd[0]);
    for (size_t k = p->taken; k < p->next; k++) /* or the others' ends would not be seen */
      if (p->pieces[k % p->n_pieces].fd >= 0) close(p->pieces[k % p->n_pieces].fd);
    child(p, p->next, fd[1], parent);
  }
  close(fd[1]);
  if (pid < 0) {
    close(fd[0]);
    return cannot("fork", e);
  }
  p->pieces[p->next % p->n_pieces] = (piece){.i = p->next, .pid = pid, .fd = fd[0]};
  p->next++;
  p->running++;
  return ERR_OK;
}

static void reap(pool *p, piece *x) {
  close(x->fd);
  x->fd = -1;
  while (waitpid(x->pid, &x->how, 0) < 0 && errno == EINTR) continue;
  x->pid = 0;
  p->running--;
}

/* Takes what there is to read; at the end also the process. */
static void receive(pool *p, piece *x) {
  if (x->cap - x->n <= CHUNK) {
    while (x->cap - x->n <= CHUNK) x->cap = x->cap == 0 ? 2 * CHUNK : 2 * x->cap;
    x->bytes = mem_realloc(x->bytes, x->cap, 1);
  }
  ssize_t n = read(x->fd, x->bytes + x->n, CHUNK);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n > 0)
    x->n += (size_t)n;
  else
    reap(p, x);
}

static void wait_for_some(pool *p) {
  static struct pollfd fds[MAX_JOBS];
  static piece *of[MAX_JOBS];
  nfds_t n = 0;
  for (size_t k = p->taken; k < p->next; k++) {
    piece *x = &p->pieces[k % p->n_pieces];
    if (x->fd < 0) continue;
    of[n] = x;
    fds[n++] = (struct pollfd){.fd = x->fd, .events = POLLIN};
  }
  if (n == 0 || poll(fds, n, -1) < 0) return;
  for (nfds_t k = 0; k < n; k++)
    if (fds[k].revents != 0) receive(p, of[k]);
}

/* Gives one piece to `take`. Frees its bytes. */
static int deliver(piece *x, jobs_take *take, void *ctx, err *e) {
  head h = {0};
  char why[128], *msg = why;
  jobs_result r = {.status = ERR_INTERNAL, .data = ""};
  bool whole = x->n >= sizeof h;
  if (whole) memcpy(&h, x->bytes, sizeof h);
  whole = whole && h.magic == MAGIC && x->n - sizeof h == h.n_msg + h.n_data;
  if (whole) {
    x->bytes[x->n] = '\0'; /* `receive` keeps room for it */
    msg = mem_alloc(h.n_msg + 1, 1);
    memcpy(msg, x->bytes + sizeof h, h.n_msg);
    msg[h.n_msg] = '\0';
    r.status = (int)h.status;
    r.data = x->bytes + sizeof h + h.n_msg;
    r.len = h.n_data;
  } else if (WIFSIGNALED(x->how)) {
    snprintf(why, sizeof why, "its process was ended by signal %d (%s)", WTERMSIG(x->how),
             strsignal(WTERMSIG(x->how)));
  } else {
    snprintf(why, sizeof why, "its process ended with status %d and gave no result",
             WEXITSTATUS(x->how));
  }
  r.msg = msg;
  int status = take(ctx, x->i, &r, e);
  if (msg != why) free(msg);
  free(x->bytes);
  x->bytes = NULL;
  return status;
}

static void stop(pool *p) {
  for (size_t k = p->taken; k < p->next; k++) {
    piece *x = &p->pieces[k % p->n_pieces];
    if (x->pid > 0) {
      kill(x->pid, SIGKILL);
      reap(p, x);
    }
    free(x->bytes);
  }
}

int jobs_run(size_t n, size_t jobs, jobs_work *work, jobs_take *take, void *ctx, err *e) {
  return jobs_run_prepared(n, jobs, NULL, work, take, ctx, e);
}

int jobs_run_prepared(size_t n, size_t jobs, jobs_prepare *prepare, jobs_work *work,
                      jobs_take *take, void *ctx, err *e) {
  if (jobs == 0) jobs = jobs_cores();
  if (jobs > MAX_JOBS) jobs = MAX_JOBS;
  if (jobs > n) jobs = n > 0 ? n : 1;
  pool p = {.prepare = prepare, .work = work, .ctx = ctx, .n_pieces = AHEAD * jobs};
  p.pieces = mem_alloc(p.n_pieces, sizeof *p.pieces);
  int status = ERR_OK;
  while (p.taken < n && status == ERR_OK) {
    while (status == ERR_OK && p.running < jobs && p.next < n && p.next - p.taken < p.n_pieces)
      status = start(&p, e);
    if (status == ERR_OK) wait_for_some(&p);
    while (status == ERR_OK && p.taken < p.next && p.pieces[p.taken % p.n_pieces].fd < 0) {
      status = deliver(&p.pieces[p.taken % p.n_pieces], take, ctx, e);
      p.taken++;
    }
  }
  stop(&p);
  free(p.pieces);
  return status;
}
