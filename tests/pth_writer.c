#include "tests/pth_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static void little(out *o, uint64_t v, size_t n) {
  for (size_t i = 0; i < n; i++) out_char(o, (char)(i < 8 ? v >> (8 * i) & 0xff : 0));
}

static const void *text_of(out *o, size_t *len) {
  return out_text(o, len);
}

/* -- pickles -- */

static void word_int(int64_t v, out *o) {
  if (v >= 0 && v < 256) {
    out_char(o, 'K');
    little(o, (uint64_t)v, 1);
  } else if (v >= 0 && v < 65536) {
    out_char(o, 'M');
    little(o, (uint64_t)v, 2);
  } else {
    out_char(o, 'J');
    little(o, (uint64_t)v, 4);
  }
}

static void word_str(const char *s, out *o) {
  out_char(o, 'X');
  little(o, strlen(s), 4);
  out_str(o, s);
}

static void memo_op(char one_byte, char four_bytes, size_t index, out *o) {
  out_char(o, index < 256 ? one_byte : four_bytes);
  little(o, index, index < 256 ? 1 : 4);
}

static void put(size_t *memo, out *o) {
  memo_op('q', 'r', (*memo)++, o);
}

/* What torch writes once and then takes from the memo. */
typedef struct repeated {
  const char *bytes;
  size_t memo; /* plus 1; 0 is not written yet */
} repeated;

static void again(repeated *what, size_t *memo, out *o) {
  if (what->memo > 0) {
    memo_op('h', 'j', what->memo - 1, o);
    return;
  }
  if (strchr(what->bytes, '\n') != NULL) /* a global */
    out_str(o, what->bytes);
  else
    word_str(what->bytes, o);
  what->memo = *memo + 1;
  put(memo, o);
}

static void extents(const uint64_t *v, uint32_t rank, size_t *memo, out *o) {
  for (uint32_t i = 0; i < rank; i++) word_int((int64_t)v[i], o);
  out_char(o, (char)(0x84 + rank));
  put(memo, o);
}

void pw_pickle(const pw_file *f, bool legacy, out *o) {
  repeated rebuild = {"ctorch._utils\n_rebuild_tensor_v2\n", 0}, storage = {"storage", 0};
  repeated type[] = {{"ctorch\nFloatStorage\n", 0},
                     {"ctorch\nHalfStorage\n", 0},
                     {"ctorch\nBFloat16Storage\n", 0}};
  repeated cpu = {"cpu", 0}, dict = {"ccollections\nOrderedDict\n", 0};
  size_t memo = 0;
  out_str(o, "\x80\x02}");
  put(&memo, o);
  out_char(o, '(');
  for (size_t i = 0; i < f->n_tensors; i++) {
    const pw_tensor *t = &f->tensors[i];
    const pw_storage *s = &f->storages[t->storage];
    word_str(t->name, o);
    put(&memo, o);
    again(&rebuild, &memo, o);
    out_str(o, "((");
    again(&storage, &memo, o);
    again(&type[s->format], &memo, o);
    word_str(s->key, o);
    put(&memo, o);
    again(&cpu, &memo, o);
    word_int((int64_t)s->n, o);
    out_str(o, legacy ? "Nt" : "t");
    put(&memo, o);
    out_char(o, 'Q');
    word_int((int64_t)t->offset, o);
    extents(t->dim, t->rank, &memo, o);
    extents(t->stride, t->rank, &memo, o);
    out_char(o, '\x89');
    again(&dict, &memo, o);
    out_str(o, ")R");
    put(&memo, o);
    out_char(o, 't');
    put(&memo, o);
    out_char(o, 'R');
    put(&memo, o);
  }
  out_str(o, "u.");
}

static void assemble_word(const char *w, size_t n, out *o) {
  char text[256] = "";
  if (n >= sizeof text) abort();
  memcpy(text, w, n);
  for (size_t i = 0; i < n; i++)
    if (text[i] == '~') text[i] = ' ';
  const char *number = text + 1;
  const bool digits = n > 1 && strspn(number, "-0123456789") == n - 1;
  if (text[0] == '\'') {
    text[n - 1] = '\0';
    word_str(number, o);
  } else if (text[0] == 'c') {
    for (size_t i = 0; i < n; i++)
      if (text[i] == '/') text[i] = '\n';
    out_printf(o, "%s\n", text);
  } else if (text[0] == '"') {
    out_str(o, number);
  } else if (text[0] == 'x') {
    out_char(o, (char)strtoul(number, NULL, 16));
  } else if (text[0] == 'i' && digits) {
    word_int(strtoll(number, NULL, 10), o);
  } else if (text[0] == 'l' && digits) {
    out_str(o, "\x8a\x08");
    little(o, (uint64_t)strtoll(number, NULL, 10), 8);
  } else if (strchr("qhrj", text[0]) != NULL && digits) {
    out_char(o, text[0]);
    little(o, strtoull(number, NULL, 10), text[0] == 'q' || text[0] == 'h' ? 1 : 4);
  } else if (text[0] == 't' && digits) {
    out_char(o, number[0] == '0' ? ')' : (char)(0x84 + number[0] - '0'));
  } else if (n == 1) {
    if (text[0] == 'p')
      out_str(o, "\x80\x02");
    else
      out_char(o, text[0] == 'T' ? '\x88' : text[0] == 'F' ? '\x89' : text[0]);
  } else {
    fprintf(stderr, "pw_assemble: what is '%s'?\n", text);
    abort();
  }
}

void pw_assemble(const char *words, out *o) {
  for (;;) {
    words += strspn(words, " ");
    size_t n = strcspn(words, " ");
    if (n == 0) return;
    assemble_word(words, n, o);
    words += n;
  }
}

/* -- archives -- */

static void plain_sizes(const pw_entry *z, uint32_t crc, out *o) {
  little(o, crc, 4);
  little(o, z->len, 4);
  little(o, z->len, 4);
}

static void local_entry(const pw_entry *z, pw_form form, out *o) {
  size_t at = 0, n = strlen(z->name);
  uint32_t crc = (uint32_t)crc32(0, z->data, (uInt)z->len);
  (void)out_text(o, &at);
  little(o, 0x04034b50, 4);
  little(o, 0, 2);
  little(o, form == PW_TORCH ? 0x808 : 0x800, 2);
  little(o, 0, 6); /* method, time, date */
  if (form == PW_TORCH)
    little(o, 0, 12);
  else
    plain_sizes(z, crc, o);
  little(o, n, 2);
  size_t pad = (64 - (at + 30 + n + 4) % 64) % 64;
  little(o, form == PW_TORCH ? pad + 4 : 0, 2);
  out_str(o, z->name);
  if (form == PW_TORCH) {
    out_str(o, "FB");
    little(o, pad, 2);
    for (size_t i = 0; i < pad; i++) out_char(o, 'Z');
  }
  out_write(o, z->data, (size_t)z->len);
  if (form == PW_PLAIN) return;
  little(o, 0x08074b50, 4);
  plain_sizes(z, crc, o);
}

static void central_entry(const pw_entry *z, size_t at, pw_form form, out *o) {
  little(o, 0x02014b50, 4);
  little(o, 0, 4);
  little(o, form == PW_TORCH ? 0x808 : 0x800, 2);
  little(o, 0, 6);
  plain_sizes(z, (uint32_t)crc32(0, z->data, (uInt)z->len), o);
  little(o, strlen(z->name), 2);
  little(o, 0, 12); /* extra, comment, disk, attributes */
  little(o, at, 4);
  out_str(o, z->name);
}

void pw_archive(const pw_entry *entries, size_t n, pw_form form, out *o) {
  size_t *at = calloc(n + 1, sizeof *at), dir = 0, end = 0;
  if (at == NULL) abort();
  for (size_t i = 0; i < n; i++) {
    (void)out_text(o, &at[i]);
    local_entry(&entries[i], form, o);
  }
  (void)out_text(o, &dir);
  for (size_t i = 0; i < n; i++) central_entry(&entries[i], at[i], form, o);
  (void)out_text(o, &end);
  if (form == PW_TORCH) {
    little(o, 0x06064b50, 4);
    little(o, 44, 8);
    little(o, 0x031e, 2);
    little(o, 45, 2);
    little(o, 0, 8);
    little(o, n, 8);
    little(o, n, 8);
    little(o, end - dir, 8);
    little(o, dir, 8);
    little(o, 0x07064b50, 4);
    little(o, 0, 4);
    little(o, end, 8);
    little(o, 1, 4);
  }
  little(o, 0x06054b50, 4);
  little(o, 0, 4);
  little(o, n, 2);
  little(o, n, 2);
  little(o, end - dir, 4);
  little(o, dir, 4);
  little(o, 0, 2);
  free(at);
}

const float PW_NUMBERS[4] = {1, 2, 3, 4};

void pw_small(const char *words, const char *byte_order, pw_form form, out *o) {
  out *pickle = out_memory();
  size_t n = 0;
  pw_assemble(words, pickle);
  const char *bytes = out_text(pickle, &n);
  const pw_entry entries[] = {{"x/data.pkl", bytes, n},
                              {"x/data/0", PW_NUMBERS, sizeof PW_NUMBERS},
                              {"x/data/1", PW_NUMBERS, sizeof PW_NUMBERS},
                              {"x/byteorder", byte_order, strlen(byte_order)}};
  pw_archive(entries, byte_order[0] != '\0' ? 4 : 3, form, o);
  out_abort(pickle);
}

static uint64_t storage_bytes(const pw_storage *s) {
  return s->n * (s->format == RAW_F32 ? 4 : 2);
}

static int by_key(const void *a, const void *b) {
  return strcmp((*(const pw_storage *const *)a)->key, (*(const pw_storage *const *)b)->key);
}

/* torch writes storages in the order of their keys. */
static const pw_storage **sorted_storages(const pw_file *f, arena *a) {
  const pw_storage **s = ARENA_NEW(a, const pw_storage *, f->n_storages);
  for (size_t i = 0; i < f->n_storages; i++) s[i] = &f->storages[i];
  if (f->n_storages > 0) qsort(s, f->n_storages, sizeof *s, by_key);
  return s;
}

void pw_zip(const pw_file *f, const void *pickle, size_t pickle_len, out *o) {
  arena a = {0};
  const pw_storage **s = sorted_storages(f, &a);
  pw_entry *z = ARENA_NEW(&a, pw_entry, f->n_storages + 2);
  out *own = out_memory();
  pw_pickle(f, false, own);
  if (pickle == NULL) pickle = text_of(own, &pickle_len);
  z[0] = (pw_entry){arena_printf(&a, "%s/data.pkl", f->prefix), pickle, pickle_len};
  for (size_t i = 0; i < f->n_storages; i++)
    z[i + 1] = (pw_entry){arena_printf(&a, "%s/data/%s", f->prefix, s[i]->key), s[i]->data,
                          storage_bytes(s[i])};
  z[f->n_storages + 1] = (pw_entry){arena_printf(&a, "%s/version", f->prefix), "3\n", 2};
  pw_archive(z, f->n_storages + 2, PW_TORCH, o);
  out_abort(own);
  arena_free(&a);
}

void pw_legacy(const pw_file *f, const void *pickle, size_t pickle_len, out *o) {
  arena a = {0};
  const pw_storage **s = sorted_storages(f, &a);
  size_t memo = 0;
  out_write(o, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
  pw_assemble("p i1001 . p } q0 ( 'protocol_version' q1 i1001 'little_endian' q2 T "
              "'type_sizes' q3 } q4 ( 'short' q5 i2 'int' q6 i4 'long' q7 i4 u u .",
              o);
  if (pickle != NULL)
    out_write(o, pickle, pickle_len);
  else
    pw_pickle(f, true, o);
  out_str(o, "\x80\x02]");
  put(&memo, o);
  out_char(o, '(');
  for (size_t i = 0; i < f->n_storages; i++) {
    word_str(s[i]->key, o);
    put(&memo, o);
  }
  out_str(o, "e.");
  for (size_t i = 0; i < f->n_storages; i++) {
    little(o, s[i]->n, 8);
    out_write(o, s[i]->data, (size_t)storage_bytes(s[i]));
  }
  arena_free(&a);
}
