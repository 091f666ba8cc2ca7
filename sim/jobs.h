/* jobs.h - independent pieces of work, each in a forked process of its own or some in one, on
 * several cores; results come back in order, so that what is made of them does not depend on the
 * number of cores.
 *
 * Why processes: SimGrid is one engine per process, and a fault ends one piece, not all. So the
 * caller must not have run SimGrid before (a child would inherit that engine); whoever needs a
 * simulation beside its jobs makes it the last thing, or one more job.
 *
 * A child sees the caller's memory as it was when it started and gives back bytes, nothing else.
 * What it must not do: write to the caller's open files. stdio is flushed before each fork, an
 * `out` leaves its parent's files alone (file.h), and a child ends by _exit. Children die with
 * their parent. */
#ifndef LS_JOBS_H
#define LS_JOBS_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"
#include "sim/base/file.h"

typedef struct jobs_result {
  int status;       /* ERR_OK, or what `work` returned; ERR_INTERNAL where the process died */
  const char *msg;  /* the err's message; "" where all is well */
  const char *data; /* what `work` wrote, also before it failed; NUL-terminated one past `len` */
  size_t len;
} jobs_result;

/* Piece i, in a process of its own: writes its result to `result` (an out_memory). */
typedef int jobs_work(void *ctx, size_t i, out *result, err *e);

/* Told in the calling process of every piece, i ascending, as soon as it and all before it are
 * done. `r` is valid during the call. Another status than ERR_OK ends everything: running pieces
 * are killed, no further one starts. That a piece failed is for `take` to judge. */
typedef int jobs_take(void *ctx, size_t i, const jobs_result *r, err *e);

/* Runs pieces 0..n-1, at most `jobs` at once (0: jobs_cores()). Returns what `take` returned;
 * ERR_INTERNAL where no process could be started. Pieces start in order, and no further ahead of
 * the one that `take` waits for than 64 a job, so that results do not pile up. */
ERR_CHECK int jobs_run(size_t n, size_t jobs, jobs_work *work, jobs_take *take, void *ctx, err *e);

/* The same with more pieces a process: `prepare` is called in the calling process right before a
 * process starts, which sees what it left in memory. It says in *n how many pieces, from i on, the
 * process is to take one after the other, from 1 to `most`. `again` is asked there between two
 * pieces whether it may go on; where it says no, where half a second is over, and where the process
 * dies, the pieces that are left are prepared again for another one. Another status of `prepare`
 * than ERR_OK ends everything. `most` is such that processes stay short (a tenth of a second) and
 * no core is left without work at the end. */
typedef int jobs_prepare(void *ctx, size_t i, size_t most, size_t *n, err *e);
typedef bool jobs_again(void *ctx, size_t i);
typedef struct jobs_batch {
  jobs_prepare *prepare; /* NULL: a piece a process */
  jobs_again *again;     /* NULL: always */
} jobs_batch;
ERR_CHECK int jobs_run_batches(size_t n, size_t jobs, const jobs_batch *batch, jobs_work *work,
                               jobs_take *take, void *ctx, err *e);

enum { JOBS_MOST = 32 }; /* pieces of a process */

/* Cores that this process may use; at least 1. */
size_t jobs_cores(void);

#endif
