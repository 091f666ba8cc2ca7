#include "workloads/ckpt/zipdir.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/ckpt/show.h"

/* Offsets and sizes as in PKWARE's APPNOTE.TXT 6.3, sections 4.3.7, 4.3.12 and 4.3.14 to 4.3.16. */
enum { LOCAL = 30, CENTRAL = 46, END = 22, END64 = 56, LOCATOR = 20, COMMENT_MAX = 0xFFFF };
enum { FLAG_ENCRYPTED = 1, FLAG_DESCRIPTOR = 8, EXTRA_ZIP64 = 1 };

static const uint32_t LOCAL_SIG = 0x04034b50, CENTRAL_SIG = 0x02014b50, END_SIG = 0x06054b50,
                      END64_SIG = 0x06064b50, LOCATOR_SIG = 0x07064b50;
static const uint32_t IN_ZIP64 = 0xFFFFFFFF; /* "the number is in the zip64 record" */

typedef struct reader {
  const char *where;
  const unsigned char *data;
  uint64_t len;
  uint64_t dir_at, dir_end, count; /* the central directory: its bytes, its entries */
  err *e;
} reader;

static uint16_t u16(const unsigned char *p) {
  return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t u32(const unsigned char *p) {
  return u16(p) | (uint32_t)u16(p + 2) << 16;
}

static uint64_t u64(const unsigned char *p) {
  return u32(p) | (uint64_t)u32(p + 4) << 32;
}

/* -- the end of the archive -- */

/* The end record is the last thing in the file, but for a comment of the length that it states. */
static int find_end(const reader *r, uint64_t *at) {
  uint64_t lowest = r->len > (uint64_t)END + COMMENT_MAX ? r->len - END - (uint64_t)COMMENT_MAX : 0;
  for (uint64_t i = r->len < END ? 0 : r->len - END + 1; i > lowest; i--) {
    const unsigned char *p = r->data + (i - 1);
    if (u32(p) != END_SIG || i - 1 + END + u16(p + 20) != r->len) continue;
    *at = i - 1;
    return ERR_OK;
  }
  return err_set(r->e, ERR_BAD,
                 "%s: has no end of a zip archive in its %llu bytes; it is cut short, or something "
                 "follows the archive",
                 r->where, (unsigned long long)r->len);
}

/* What the end record says is in `dir_at`, `dir_size`, `count`; the zip64 record, where there is
 * one, says it in 64 bits. */
static int read_end64(reader *r, uint64_t end, uint64_t *dir_size) {
  const unsigned char *p = r->data + (end - LOCATOR);
  uint64_t at = u64(p + 8);
  if (at > end - LOCATOR || end - LOCATOR - at < END64 || u32(r->data + at) != END64_SIG)
    return err_set(r->e, ERR_BAD,
                   "%s: its zip64 locator points to offset %llu, where there is no zip64 end "
                   "record; the archive is damaged",
                   r->where, (unsigned long long)at);
  p = r->data + at;
  uint64_t count = u64(p + 32), size = u64(p + 40), dir_at = u64(p + 48);
  bool agree = (r->count == 0xFFFF || r->count == count) &&
               (*dir_size == IN_ZIP64 || *dir_size == size) &&
               (r->dir_at == IN_ZIP64 || r->dir_at == dir_at);
  if (!agree || u32(p + 16) != 0 || u32(p + 20) != 0 || u64(p + 24) != count)
    return err_set(r->e, ERR_BAD,
                   "%s: its two end records, at offsets %llu and %llu, disagree; the archive is "
                   "damaged, or one of several volumes",
                   r->where, (unsigned long long)at, (unsigned long long)end);
  r->count = count, *dir_size = size, r->dir_at = dir_at, r->dir_end = at;
  return ERR_OK;
}

static int read_end(reader *r) {
  uint64_t end = 0;
  int status = find_end(r, &end);
  if (status != ERR_OK) return status;
  const unsigned char *p = r->data + end;
  uint64_t dir_size = u32(p + 12);
  r->count = u16(p + 10), r->dir_at = u32(p + 16), r->dir_end = end;
  if (u16(p + 4) != 0 || u16(p + 6) != 0 || u16(p + 8) != u16(p + 10))
    return err_set(r->e, ERR_BAD, "%s: is one of several volumes of a zip archive; join them first",
                   r->where);
  if (end >= LOCATOR && u32(p - LOCATOR) == LOCATOR_SIG) {
    status = read_end64(r, end, &dir_size);
    if (status != ERR_OK) return status;
  }
  if (r->dir_at > r->dir_end || r->dir_end - r->dir_at != dir_size)
    return err_set(r->e, ERR_BAD,
                   "%s: its zip directory claims offset %llu and %llu bytes; it must end at offset "
                   "%llu, where the end record begins",
                   r->where, (unsigned long long)r->dir_at, (unsigned long long)dir_size,
                   (unsigned long long)r->dir_end);
  if (r->count > dir_size / CENTRAL || r->count > ZIPDIR_MAX_ENTRIES)
    return err_set(r->e, ERR_BAD,
                   "%s: its zip directory claims %llu entries; its %llu bytes have room for %llu, "
                   "and the limit is %d",
                   r->where, (unsigned long long)r->count, (unsigned long long)dir_size,
                   (unsigned long long)(dir_size / CENTRAL), ZIPDIR_MAX_ENTRIES);
  return ERR_OK;
}

/* -- entries -- */

/* Numbers that did not fit into 32 bits, in the order uncompressed size, compressed size, offset of
 * the local header, each only where the record says so. */
static bool zip64_extra(const unsigned char *p, uint64_t len, uint64_t *v[3]) {
  bool wanted = false;
  for (size_t i = 0; i < 3; i++) wanted = wanted || *v[i] == IN_ZIP64;
  if (!wanted) return true;
  while (len >= 4) {
    uint64_t id = u16(p), size = u16(p + 2);
    p += 4, len -= 4;
    if (size > len) return false;
    if (id == EXTRA_ZIP64) {
      for (size_t i = 0; i < 3; i++) {
        if (*v[i] != IN_ZIP64) continue;
        if (size < 8) return false;
        *v[i] = u64(p);
        p += 8, size -= 8;
      }
      return true;
    }
    p += size, len -= size;
  }
  return true; /* exactly 4 GiB - 1, which needs no extra */
}

#define NAME_OF(entry) SHOW((entry)->name, (entry)->name_len)

/* The local header must name the same entry; the data follow it. */
static int read_local(const reader *r, zip_entry *z, uint16_t method) {
  uint64_t at = z->header;
  if (at > r->dir_at || r->dir_at - at < LOCAL || u32(r->data + at) != LOCAL_SIG)
    return err_set(r->e, ERR_BAD,
                   "%s: the zip entry '%s' claims to begin at offset %llu, where no entry begins; "
                   "the archive is damaged",
                   r->where, NAME_OF(z), (unsigned long long)at);
  const unsigned char *p = r->data + at;
  uint64_t name_len = u16(p + 26), begin = LOCAL + name_len + u16(p + 28), room = r->dir_at - at;
  if (begin > room || name_len != z->name_len || memcmp(p + LOCAL, z->name, name_len) != 0 ||
      u16(p + 8) != method)
    return err_set(r->e, ERR_BAD,
                   "%s: the zip entry '%s' has another name or method at offset %llu than in the "
                   "directory; the archive is damaged",
                   r->where, NAME_OF(z), (unsigned long long)at);
  uint32_t size = u32(p + 22);
  if (z->size > room - begin ||
      ((u16(p + 6) & FLAG_DESCRIPTOR) == 0 && size != IN_ZIP64 && size != z->size))
    return err_set(r->e, ERR_BAD,
                   "%s: the zip entry '%s' claims %llu bytes; there are %llu before the directory, "
                   "and its header at offset %llu says %lu",
                   r->where, NAME_OF(z), (unsigned long long)z->size,
                   (unsigned long long)(room - begin), (unsigned long long)at, (unsigned long)size);
  z->data = p + begin;
  return ERR_OK;
}

/* The directory's record at *at; moves *at behind it. */
static int read_central(const reader *r, uint64_t *at, zip_entry *z) {
  const unsigned char *p = r->data + *at;
  uint64_t room = r->dir_end - *at;
  uint64_t name = room < CENTRAL ? 0 : u16(p + 28), extra = room < CENTRAL ? 0 : u16(p + 30);
  uint64_t all = CENTRAL + name + extra + (room < CENTRAL ? 0 : u16(p + 32));
  if (room < CENTRAL || u32(p) != CENTRAL_SIG || all > room)
    return err_set(r->e, ERR_BAD,
                   "%s: its zip directory is damaged at offset %llu, where an entry should be",
                   r->where, (unsigned long long)*at);
  uint64_t packed = u32(p + 20);
  uint16_t flags = u16(p + 8), method = u16(p + 10);
  z->size = u32(p + 24), z->header = u32(p + 42);
  z->name = (const char *)p + CENTRAL, z->name_len = (uint16_t)name;
  if (!zip64_extra(p + CENTRAL + name, extra, (uint64_t *[]){&z->size, &packed, &z->header}))
    return err_set(r->e, ERR_BAD, "%s: the zip entry '%s' has a damaged zip64 field at offset %llu",
                   r->where, NAME_OF(z), (unsigned long long)(*at + CENTRAL + name));
  if (method != 0 || packed != z->size || (flags & FLAG_ENCRYPTED) != 0)
    return err_set(r->e, ERR_BAD,
                   "%s: the zip entry '%s' is %s (method %u, %llu bytes for %llu); weights are "
                   "mapped, not unpacked: entries must be stored, as torch.save writes them (unzip "
                   "it and zip it again with `zip -0`)",
                   r->where, NAME_OF(z), (flags & FLAG_ENCRYPTED) != 0 ? "encrypted" : "compressed",
                   method, (unsigned long long)packed, (unsigned long long)z->size);
  *at += all;
  return read_local(r, z, method);
}

/* Ends on the place in the directory, which is where the names lie. */
static int by_header(const void *a, const void *b) {
  const zip_entry *x = a, *y = b;
  if (x->header != y->header) return x->header < y->header ? -1 : 1;
  return (x->name > y->name) - (x->name < y->name);
}

static int compare_names(const char *a, size_t n_a, const char *b, size_t n_b) {
  int order = memcmp(a, b, n_a < n_b ? n_a : n_b);
  return order != 0 ? order : (n_a > n_b) - (n_a < n_b);
}

static int by_name(const void *a, const void *b) {
  const zip_entry *x = a, *y = b;
  int order = compare_names(x->name, x->name_len, y->name, y->name_len);
  return order != 0 ? order : by_header(a, b);
}

/* Each byte of the file belongs to one entry at most, and no name is there twice. Every entry is
 * known to end before the directory. Leaves the entries sorted by name. */
static int check_apart(const reader *r, zip_dir *dir) {
  if (dir->n == 0) return ERR_OK; /* qsort wants an array */
  qsort(dir->at, dir->n, sizeof *dir->at, by_header);
  for (size_t i = 1; i < dir->n; i++) {
    const zip_entry *z = &dir->at[i - 1], *next = z + 1;
    if ((uint64_t)(z->data - r->data) + z->size > next->header)
      return err_set(r->e, ERR_BAD,
                     "%s: the zip entries '%s' and '%s' overlap at offset %llu; the archive is "
                     "damaged",
                     r->where, NAME_OF(z), NAME_OF(next), (unsigned long long)next->header);
  }
  qsort(dir->at, dir->n, sizeof *dir->at, by_name);
  for (size_t i = 1; i < dir->n; i++) {
    const zip_entry *z = &dir->at[i - 1];
    if (compare_names(z->name, z->name_len, z[1].name, z[1].name_len) == 0)
      return err_set(r->e, ERR_BAD,
                     "%s: the zip entry '%s' is there twice; which one counts is "
                     "not defined",
                     r->where, NAME_OF(z));
  }
  return ERR_OK;
}

int zipdir_read(const char *where, const unsigned char *data, size_t len, zip_dir *dir, arena *a,
                err *e) {
  reader r = {.where = where, .data = data, .len = len, .e = e};
  *dir = (zip_dir){0};
  int status = read_end(&r);
  if (status != ERR_OK) return status;
  dir->n = (size_t)r.count;
  dir->at = ARENA_NEW(a, zip_entry, dir->n);
  uint64_t at = r.dir_at;
  for (size_t i = 0; i < dir->n && status == ERR_OK; i++)
    status = read_central(&r, &at, &dir->at[i]);
  if (status != ERR_OK) return status;
  if (at != r.dir_end)
    return err_set(e, ERR_BAD,
                   "%s: its zip directory has %llu bytes more than its %zu entries take; the "
                   "archive is damaged",
                   where, (unsigned long long)(r.dir_end - at), dir->n);
  return check_apart(&r, dir);
}

const zip_entry *zipdir_find(const zip_dir *dir, const char *name, size_t len) {
  size_t lo = 0, hi = dir->n;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    const zip_entry *z = &dir->at[mid];
    int order = compare_names(z->name, z->name_len, name, len);
    if (order == 0) return z;
    if (order < 0)
      lo = mid + 1;
    else
      hi = mid;
  }
  return NULL;
}
