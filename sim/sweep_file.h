/* sweep_file.h - the CSV of a sweep: what is done survives whatever ends the process.
 *
 * While the sweep runs, rows go to FILE.part, in point order, one write each; FILE appears when all
 * are there (rename). FILE.sweep is the lock of the sweep at work (a second one on the same FILE is
 * refused) and holds a line that tells the sweep: what is resumed must be the same one. Both are
 * gone when FILE is whole. After a kill or a power cut, FILE.part holds the rows of a first part of
 * the points and perhaps a piece of one more, which resuming cuts off. An older FILE stays until
 * the new one takes its place.
 *
 * "-" and what is no regular file (a pipe) are written directly, and cannot be resumed. */
#ifndef LS_SWEEP_FILE_H
#define LS_SWEEP_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"

typedef struct sweep_file {
  const char *path, *part, *lock; /* part: NULL where written directly */
  int fd, lock_fd;
  uint64_t rows, failed; /* rows there are, and those among them whose last cell is not empty */
} sweep_file;

/* `header` ends in a newline. `plan` is a line that tells the sweep, without a newline. With
 * `resume` and something to resume, f->rows are there already. Errors (ERR_BAD): cannot be written;
 * locked by another sweep; left over by another sweep; left over by an interrupted one, but not
 * `resume`. */
ERR_CHECK int sweep_file_open(const char *path, const char *header, const char *plan, bool resume,
                              sweep_file *f, arena *a, err *e);

/* Appends a row, newline included. */
ERR_CHECK int sweep_file_add(sweep_file *f, const char *row, size_t len, err *e);

/* All rows are there: FILE takes its name. */
ERR_CHECK int sweep_file_finish(sweep_file *f, err *e);

/* Not all are there: FILE.part stays, for resuming; the lock is given back. */
void sweep_file_leave(sweep_file *f);

#endif
