/* map.h - a file's bytes without reading them: mapped read-only, paged in when looked at. Gigabytes
 * of weights cost no memory of ours, and const views into the bytes are valid until map_close.
 *
 * Who maps a file closes it. The file must not be cut short meanwhile: touching bytes that are gone
 * ends the program (SIGBUS), as with every mapped file. */
#ifndef LS_MAP_H
#define LS_MAP_H

#include <stddef.h>

#include "sim/base/err.h"

typedef struct file_map {
  const unsigned char *data; /* not NUL-terminated; NULL: nothing mapped */
  size_t len;
} file_map;

/* Errors (ERR_BAD), beginning with the path: missing, unreadable, a directory, no regular file,
 * empty. On an error nothing is mapped. */
ERR_CHECK int map_open(const char *path, file_map *m, err *e);

/* Also of {0}, and again: does nothing then. */
void map_close(file_map *m);

#endif
