#ifdef __linux__
#define _GNU_SOURCE /* sched_getaffinity */
#include <sched.h>
#include <sys/prctl.h>
#endif

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim/jobs.h"

enum { MAX_JOBS = 1024, AHEAD = 64, CHUNK = 65536 };

/* About how long a process with several pieces runs; and when it leaves the rest to others, as its
 * pieces take longer than those before. */
static const double PROCESS_S = 0.1, LONGEST_S = 0.5;

/* What a child sends of a piece: this, the message, the data. */
typedef struct head {
  uint64_t magic, status, n_msg, n_data;
} head;

static const uint64_t MAGIC = 0x6c6c616d616a6f62; /* "llamajob" */

/* A piece that is not yet taken. */
typedef struct piece {
  char *bytes; /* what its process sent of it; NULL: nothing */
  size_t n;
  int how; /* where nothing: as waitpid says that the process ended */
  bool here;
} piece;

/* A process: pieces [next, end) are still to come from it, what was read of the next one is
 * bytes[0, n). */
typedef struct process {
  pid_t pid;
  int fd;
  size_t first, next, end;
  char *bytes;
  size_t n, cap;
  double begun_s;
} process;

/* Pieces that a process left to others. */
typedef struct rest {
  size_t first, end;
} rest;

typedef struct pool {
  const jobs_batch *batch;
  jobs_work *work;
  void *ctx;
  size_t n, jobs;
  piece *pieces; /* a ring: piece i is at i % n_pieces */
  size_t n_pieces;
  size_t next, taken; /* pieces given to processes, but for the rests; pieces taken */
  process *processes; /* n_running, at most `jobs` */
  size_t n_running;
  rest *rests;
  size_t n_rests, cap_rests;
  double piece_s; /* what one takes, about; 0: not known */
} pool;

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

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

static bool send_piece(const pool *p, size_t i, int fd) {
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
  out_abort(o);
  return sent;
}

static _Noreturn void child(const pool *p, size_t i, size_t end, int fd, pid_t parent) {
#ifdef __linux__
  prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  if (getppid() != parent) _exit(ERR_INTERNAL);
  double begun_s = now_s();
  bool sent = send_piece(p, i, fd);
  for (i++; i < end && sent && now_s() - begun_s < LONGEST_S; i++) {
    if (p->batch->again != NULL && !p->batch->again(p->ctx, i)) break;
    sent = send_piece(p, i, fd);
  }
  _exit(sent ? 0 : ERR_INTERNAL);
}

/* ---- the parent ---- */

static int cannot(const char *what, err *e) {
  return err_set(e, ERR_INTERNAL,
                 "cannot start a process: %s: %s; fewer at once (--jobs) need less", what,
                 strerror(errno));
}

static piece *piece_of(const pool *p, size_t i) {
  return &p->pieces[i % p->n_pieces];
}

/* How many pieces a process may take. Towards the end fewer and fewer, so that all processes end at
 * about the same time. */
static size_t most(const pool *p, const rest *r) {
  size_t left = p->n - r->first, fair = left / (2 * p->jobs), n = r->end - r->first;
  if (p->piece_s <= 0) return 1;
  if (n > JOBS_MOST) n = JOBS_MOST;
  if (n > fair) n = fair;
  if (p->piece_s * (double)n > PROCESS_S) n = (size_t)(PROCESS_S / p->piece_s);
  return n > 0 ? n : 1;
}

/* Starts a process with the first pieces of `r`, and takes them from it. */
static int start(pool *p, rest *r, err *e) {
  int fd[2];
  size_t n = 1;
  if (p->batch->prepare != NULL && p->batch->prepare(p->ctx, r->first, most(p, r), &n, e))
    return e->status;
  assert(n >= 1 && n <= r->end - r->first);
  if (pipe(fd) != 0) return cannot("pipe", e);
  fflush(NULL);
  double begun_s = now_s();
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) {
    close(fd[0]); /* and the others', or their ends would not be seen */
    for (size_t k = 0; k < p->n_running; k++) close(p->processes[k].fd);
    child(p, r->first, r->first + n, fd[1], parent);
  }
  close(fd[1]);
  if (pid < 0) {
    close(fd[0]);
    return cannot("fork", e);
  }
  p->processes[p->n_running++] = (process){.pid = pid,
                                           .fd = fd[0],
                                           .first = r->first,
                                           .next = r->first,
                                           .end = r->first + n,
                                           .begun_s = begun_s};
  r->first += n;
  return ERR_OK;
}

/* Starts processes while there are too few and pieces to start; first what others left. */
static int start_some(pool *p, err *e) {
  while (p->n_running < p->jobs) {
    if (p->n_rests > 0) {
      rest *r = &p->rests[p->n_rests - 1];
      if (start(p, r, e)) return e->status;
      if (r->first == r->end) p->n_rests--;
      continue;
    }
    rest new = {p->next, p->taken + p->n_pieces < p->n ? p->taken + p->n_pieces : p->n};
    if (new.first >= new.end) break;
    if (start(p, &new, e)) return e->status;
    p->next = new.first;
  }
  return ERR_OK;
}

static int reap(process *x) {
  int how = 0;
  close(x->fd);
  while (waitpid(x->pid, &how, 0) < 0 && errno == EINTR) continue;
  return how;
}

/* A process has ended. Well, and between two pieces: the rest is for others. Otherwise the piece
 * that it was at is lost. */
static void end_process(pool *p, process *x) {
  int how = reap(x);
  bool well = WIFEXITED(how) && WEXITSTATUS(how) == 0 && x->n == 0 && x->next > x->first;
  if (x->next > x->first) p->piece_s = (now_s() - x->begun_s) / (double)(x->next - x->first);
  if (x->next < x->end && !well) *piece_of(p, x->next++) = (piece){.how = how, .here = true};
  if (x->next < x->end) {
    if (p->n_rests == p->cap_rests) {
      p->cap_rests = 2 * p->cap_rests + p->jobs;
      p->rests = mem_realloc(p->rests, p->cap_rests, sizeof *p->rests);
    }
    p->rests[p->n_rests++] = (rest){x->next, x->end};
  }
  free(x->bytes);
  *x = p->processes[--p->n_running];
}

/* The length of the piece that `bytes` begins with; 0: not all of it is there. */
static size_t whole_piece(const char *bytes, size_t n) {
  head h;
  if (n < sizeof h) return 0;
  memcpy(&h, bytes, sizeof h);
  size_t len = sizeof h + h.n_msg + h.n_data;
  return h.magic == MAGIC && n >= len ? len : 0;
}

/* Takes what there is to read; false at the end. */
static bool receive(pool *p, process *x) {
  if (x->cap - x->n < CHUNK) {
    while (x->cap - x->n < CHUNK) x->cap = x->cap == 0 ? CHUNK : 2 * x->cap;
    x->bytes = mem_realloc(x->bytes, x->cap, 1);
  }
  ssize_t n = read(x->fd, x->bytes + x->n, CHUNK);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  if (n <= 0) return false;
  x->n += (size_t)n;
  size_t at = 0, len;
  while (x->next < x->end && (len = whole_piece(x->bytes + at, x->n - at)) > 0) {
    piece *y = piece_of(p, x->next++);
    *y = (piece){.bytes = mem_alloc(len + 1, 1), .n = len, .here = true};
    memcpy(y->bytes, x->bytes + at, len);
    y->bytes[len] = '\0';
    at += len;
  }
  memmove(x->bytes, x->bytes + at, x->n - at);
  x->n -= at;
  return true;
}

static void wait_for_some(pool *p) {
  static struct pollfd fds[MAX_JOBS];
  size_t n = p->n_running;
  for (size_t k = 0; k < n; k++)
    fds[k] = (struct pollfd){.fd = p->processes[k].fd, .events = POLLIN};
  if (n == 0 || poll(fds, (nfds_t)n, -1) < 0) return;
  for (size_t k = n; k-- > 0;) /* one that ends gives its place to the last, which was seen to */
    if (fds[k].revents != 0 && !receive(p, &p->processes[k])) end_process(p, &p->processes[k]);
}

/* Gives one piece to `take`. Frees its bytes. */
static int deliver(piece *x, size_t i, jobs_take *take, void *ctx, err *e) {
  head h = {0};
  char why[128], *msg = why;
  jobs_result r = {.status = ERR_INTERNAL, .data = ""};
  if (x->bytes != NULL) {
    memcpy(&h, x->bytes, sizeof h);
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
  int status = take(ctx, i, &r, e);
  if (msg != why) free(msg);
  free(x->bytes);
  *x = (piece){0};
  return status;
}

static void stop(pool *p) {
  for (size_t k = 0; k < p->n_running; k++) {
    kill(p->processes[k].pid, SIGKILL);
    (void)reap(&p->processes[k]);
    free(p->processes[k].bytes);
  }
  for (size_t i = 0; i < p->n_pieces; i++) free(p->pieces[i].bytes);
  free(p->pieces);
  free(p->processes);
  free(p->rests);
}

int jobs_run(size_t n, size_t jobs, jobs_work *work, jobs_take *take, void *ctx, err *e) {
  return jobs_run_batches(n, jobs, &(jobs_batch){0}, work, take, ctx, e);
}

int jobs_run_batches(size_t n, size_t jobs, const jobs_batch *batch, jobs_work *work,
                     jobs_take *take, void *ctx, err *e) {
  if (jobs == 0) jobs = jobs_cores();
  if (jobs > MAX_JOBS) jobs = MAX_JOBS;
  if (jobs > n) jobs = n > 0 ? n : 1;
  pool p = {.batch = batch, .work = work, .ctx = ctx, .n = n, .jobs = jobs};
  p.n_pieces = AHEAD * jobs;
  p.pieces = mem_alloc(p.n_pieces, sizeof *p.pieces);
  memset(p.pieces, 0, p.n_pieces * sizeof *p.pieces);
  p.processes = mem_alloc(jobs, sizeof *p.processes);
  int status = ERR_OK;
  while (p.taken < n && status == ERR_OK) {
    status = start_some(&p, e);
    if (status == ERR_OK) wait_for_some(&p);
    while (status == ERR_OK && p.taken < n && piece_of(&p, p.taken)->here) {
      status = deliver(piece_of(&p, p.taken), p.taken, take, ctx, e);
      p.taken++;
    }
  }
  stop(&p);
  return status;
}
