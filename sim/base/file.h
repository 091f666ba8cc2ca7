/* file.h - reading whole files and writing results that are never half there.
 *
 * Reading: `file_read` gives the bytes of a regular file (or pipe, or "-" = standard input).
 * Writing: an `out` is a buffered byte stream. A regular file is written under a temporary name
 * beside the target (same folder, so that rename is atomic) and takes its real name at out_close; a
 * killed or failed run leaves the old file untouched, and out_close or out_abort leaves no
 * temporary name behind.
 * "-" is standard output; a path that exists and is not a regular file (/dev/stdout, /dev/full, a
 * fifo) is written directly. A symbolic link is followed: its target is replaced, the link stays.
 * An existing file keeps its permissions, and one without write permission is refused. A name that
 * ends in .gz is gzip-compressed (zlib; header without time and name: same input, same bytes).
 * Write errors are remembered and reported by out_close, so that callers need no check per write.
 */
#ifndef LS_FILE_H
#define LS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"

typedef struct file_bytes {
  const unsigned char *data; /* NUL-terminated one past `len`, for convenience */
  size_t len;
} file_bytes;

/* Reads the file whole into `a`. Errors (ERR_BAD): missing, unreadable, a directory, larger than
 * `limit` bytes; the message begins with the path. */
ERR_CHECK int file_read(const char *path, size_t limit, file_bytes *bytes, arena *a, err *e);

bool file_exists(const char *path);

typedef struct out out;

/* Opens `path` for writing; NULL (with `e` filled, ERR_BAD) where that cannot be. */
out *out_open(const char *path, err *e);

/* Standard output, for people to read: what no terminal should get is '?' (text.h), as in all that
 * goes to a terminal. For text in whole characters a call. */
out *out_print(err *e);

/* An `out` that collects in memory (tests, and text that is printed later). */
out *out_memory(void);
const char *out_text(const out *o, size_t *len);

void out_write(out *o, const void *data, size_t len);
void out_str(out *o, const char *s);
void out_char(out *o, char c);
void out_printf(out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Fast paths for streams of millions of numbers: as printf("%" PRIu64); and microseconds with three
 * decimals
 * (-1500 ns: "-1.500"), exactly, from a whole number of nanoseconds. */
void out_u64(out *o, uint64_t v);
void out_us(out *o, int64_t ns);

/* Flushes, closes and gives the file its name. On any earlier or present error: removes the
 * temporary file, fills `e` (ERR_BAD) with path, cause and cure, and returns the status. Frees `o`.
 */
ERR_CHECK int out_close(out *o, err *e);

/* Gives up: removes the temporary file and frees `o`. */
void out_abort(out *o);

/* Removes every temporary file of this process; nothing else. Safe in a signal handler, which
 * should end the program afterwards; exit() does it by itself. A forked child leaves its parent's
 * files alone. */
void out_abort_all(void);

/* Finds a data file that ships with the program: `kind` is "platforms" or "models", `name` with or
 * without `ext` (".xml"), and with or without "<kind>/" before it; no other folder. Looked for in,
 * first match wins: $LLAMASIM_DATA/<kind>, <folder of the executable>/../share/llamasim/<kind>, the
 * source tree that it was built from (so that a build is not given older installed data), the
 * install prefix's share/llamasim/<kind>. NULL where it is nowhere. */
char *file_find_data(const char *kind, const char *name, const char *ext, arena *a);

/* Names (without `ext`), sorted, of all data files of that kind. Returns their number. */
size_t file_list_data(const char *kind, const char *ext, char ***names, arena *a);

#endif
