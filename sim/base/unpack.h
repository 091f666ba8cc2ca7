/* unpack.h - the bytes of a gzipped file, unpacked. */
#ifndef LS_UNPACK_H
#define LS_UNPACK_H

#include "sim/base/file.h"

/* Where `b` begins as gzip does, replaces it by what it unpacks to, in `a`, NUL-terminated one past
 * the end; leaves other bytes alone. Errors (ERR_BAD), beginning with `where`: damaged, cut off,
 * more than `limit` bytes. */
ERR_CHECK int unpack_gzip(const char *where, size_t limit, file_bytes *b, arena *a, err *e);

#endif
