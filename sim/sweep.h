/* sweep.h - the points of a sweep: which keys vary, and what value each has at point i.
 *
 * Points come from axes, the first of which changes slowest, or from a CSV file whose header names
 * the keys. Neither is ever held whole: a point of the axes is computed from its number, one of a
 * file is read when its turn comes, so that memory does not grow with the number of points. What
 * keys and values mean is the caller's business; here they are text.
 *
 * An axis: KEY=ITEM,ITEM,... where an item is a value, or a range START:STOP:xFACTOR or
 * START:STOP:+STEP, with units where START has one (12.8GBps:409.6GBps:x2). A range ends at the
 * last value that is not beyond STOP. What begins with a digit and has a colon is a range, or an
 * error.
 *
 * A file: cells as in RFC 4180, but no line break inside one; blank lines do not count; an empty
 * cell leaves the key as it is without the sweep. */
#ifndef LS_SWEEP_H
#define LS_SWEEP_H

#include <stdint.h>
#include <stdio.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"

typedef struct sweep_axis {
  const char **value;
  size_t n, cap;
} sweep_axis;

enum { SWEEP_MAX_VALUES = 1000000 }; /* of an axis */

typedef struct sweep_plan {
  const char **key; /* n_keys; none stands twice */
  size_t n_keys;
  uint64_t n_points; /* at least 1 */
  sweep_axis *axes;  /* n_keys; NULL: from the file */
  const char *path;  /* NULL: from axes */
} sweep_plan;

/* Both check all there is to check without knowing the keys (ERR_BAD: which argument or line, what
 * it got, what is allowed). The file is read through once and must be a regular one, as it will be
 * read again. The plan lives in `a`. */
ERR_CHECK int sweep_plan_vary(const char *const *vary, size_t n, sweep_plan *p, arena *a, err *e);
ERR_CHECK int sweep_plan_file(const char *path, sweep_plan *p, arena *a, err *e);

/* Walks over the points. {.plan = p} is one before the first; sweep_cursor_free in the end. */
typedef struct sweep_cursor {
  const sweep_plan *plan;
  FILE *file;
  uint64_t next, line; /* of the file: the point that comes next; lines read */
  char *text;
  size_t cap;
  const char **value;
} sweep_cursor;

/* The values of point i, by key, valid until the next call. Going forward is cheap; a step back in
 * a file reads it from its beginning. ERR_BAD where the file is not as it was. */
ERR_CHECK int sweep_point(sweep_cursor *c, uint64_t i, const char *const **values, err *e);
void sweep_cursor_free(sweep_cursor *c);

/* Points [first, end) of shard i of n (from 1 on): contiguous, so that the shards' rows, one after
 * the other, are the whole. `text` is "I/N"; ERR_BAD says what is allowed. */
ERR_CHECK int sweep_shard(const char *text, uint64_t n_points, uint64_t *first, uint64_t *end,
                          err *e);

#endif
