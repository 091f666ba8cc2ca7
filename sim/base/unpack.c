#include "sim/base/unpack.h"

#include <stdlib.h>
#include <zlib.h>

static int damaged(const char *where, int how, err *e) {
  return err_set(e, ERR_BAD, "%s: this gzip file is %s", where,
                 how == Z_BUF_ERROR ? "cut off" : "damaged");
}

int unpack_gzip(const char *where, size_t limit, file_bytes *b, arena *a, err *e) {
  if (b->len < 2 || b->data[0] != 0x1f || b->data[1] != 0x8b) return ERR_OK;
  z_stream z = {0};
  if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
    return err_set(e, ERR_INTERNAL, "%s: zlib cannot begin", where);
  size_t cap = 1 << 16, n = 0, given = 0;
  unsigned char *data = mem_alloc(cap, 1);
  int how = Z_OK;
  while (how != Z_STREAM_END && n <= limit) {
    if (n == cap) data = mem_realloc(data, cap *= 2, 1);
    /* zlib counts in unsigned int */
    size_t in = b->len - given < 1u << 30 ? b->len - given : 1u << 30;
    size_t room = cap - n < 1u << 30 ? cap - n : 1u << 30;
    z.next_in = (unsigned char *)(uintptr_t)b->data + given;
    z.avail_in = (unsigned)in;
    z.next_out = data + n;
    z.avail_out = (unsigned)room;
    how = inflate(&z, Z_NO_FLUSH);
    given += in - z.avail_in;
    n += room - z.avail_out;
    if (how != Z_OK && how != Z_STREAM_END) break;
  }
  inflateEnd(&z);
  int status = ERR_OK;
  if (n > limit)
    status = err_set(e, ERR_BAD, "%s: unpacks to more than the limit of %zu bytes", where, limit);
  else if (how != Z_STREAM_END)
    status = damaged(where, how, e);
  else if (given != b->len)
    status =
        err_set(e, ERR_BAD, "%s: %zu bytes follow the end of the gzip data", where, b->len - given);
  else
    *b = (file_bytes){(const unsigned char *)arena_strndup(a, (const char *)data, n), n};
  free(data);
  return status;
}
