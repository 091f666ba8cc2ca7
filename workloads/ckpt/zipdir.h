/* zipdir.h - the entries of a zip archive whose entries are stored, not compressed, as const views
 * into its bytes. That is the form that torch.save writes.
 *
 * By hand, and not through libzip, for two reasons: libzip hands out copies, and does not say where
 * in the file an entry's bytes lie, while weights here are views into the mapped file; and what an
 * archive may be is narrow enough to check whole. Refused (ERR_BAD):
 * - an archive of several volumes, or with bytes after its end or missing from it;
 * - a directory that does not agree with its own counts, with the entries' local headers, or with
 *   the length of the file; zip64 numbers are taken, where they are not needed too;
 * - compressed or encrypted entries: there is no inflating, hence no zip bomb;
 * - two entries of one name, and entries that overlap each other or the directory.
 * Checksums are not verified: that would read every byte of the weights, and torch may omit them.
 *
 * Memory: O(entries), at most ZIPDIR_MAX_ENTRIES, in the arena given. Time: O(n log n). */
#ifndef LS_ZIPDIR_H
#define LS_ZIPDIR_H

#include <stddef.h>
#include <stdint.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"

enum { ZIPDIR_MAX_ENTRIES = 1 << 20 };

typedef struct zip_entry {
  const char *name; /* in the archive, without a final NUL: name_len bytes of any kind */
  const unsigned char *data;
  uint64_t size;
  uint64_t header; /* offset of the local header, where the entry begins in the file */
  uint16_t name_len;
} zip_entry;

typedef struct zip_dir {
  zip_entry *at; /* sorted by name (memcmp, then length) */
  size_t n;
} zip_dir;

/* `where` begins every message. */
ERR_CHECK int zipdir_read(const char *where, const unsigned char *data, size_t len, zip_dir *dir,
                          arena *a, err *e);

/* The entry of that name, or NULL. */
const zip_entry *zipdir_find(const zip_dir *dir, const char *name, size_t len);

#endif
