#include "sim/base/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
  arena_block *next;
  max_align_t data[];
};

enum { FIRST_BLOCK = 1 << 16 };

static _Noreturn void out_of_memory(void) {
  fputs("llamasim: out of memory\n", stderr);
  exit(3);
}

static size_t checked_mul(size_t n, size_t size) {
  if (size != 0 && n > (SIZE_MAX / 4) / size) out_of_memory();
  return n * size;
}

void *arena_alloc(arena *a, size_t n, size_t size) {
  size_t bytes = checked_mul(n, size);
  const size_t align = sizeof(max_align_t);
  bytes = (bytes + align - 1) / align * align;
  if ((size_t)(a->end - a->at) < bytes || a->at == NULL) {
    size_t want = bytes > FIRST_BLOCK ? bytes : FIRST_BLOCK;
    /* a large object gets a block of its own and leaves the current one in use; calloc need not
     * touch what the system gives it as zeros */
    bool alone = bytes > FIRST_BLOCK / 4 && a->head != NULL;
    arena_block *b = alone ? calloc(1, sizeof *b + bytes) : malloc(sizeof *b + want);
    if (b == NULL) out_of_memory();
    if (alone) {
      b->next = a->head->next;
      a->head->next = b;
      return b->data;
    }
    b->next = a->head;
    a->head = b;
    a->at = (char *)b->data;
    a->end = a->at + want;
  }
  void *p = a->at;
  a->at += bytes;
  return memset(p, 0, bytes);
}

char *arena_strndup(arena *a, const char *s, size_t n) {
  char *d = arena_alloc(a, n + 1, 1);
  memcpy(d, s, n);
  return d;
}

char *arena_strdup(arena *a, const char *s) {
  return arena_strndup(a, s, strlen(s));
}

char *arena_printf(arena *a, const char *fmt, ...) {
  char small[256];
  va_list ap, again;
  va_start(ap, fmt);
  va_copy(again, ap);
  int n = vsnprintf(small, sizeof small, fmt, ap);
  va_end(ap);
  if (n < 0) n = 0;
  char *d;
  if ((size_t)n < sizeof small) {
    d = arena_strndup(a, small, (size_t)n);
  } else {
    d = arena_alloc(a, (size_t)n + 1, 1);
    vsnprintf(d, (size_t)n + 1, fmt, again);
  }
  va_end(again);
  return d;
}

void arena_free(arena *a) {
  for (arena_block *b = a->head; b != NULL;) {
    arena_block *next = b->next;
    free(b);
    b = next;
  }
  *a = (arena){0};
}

void *arena_grow(arena *a, void *items, size_t n, size_t *cap, size_t size) {
  size_t bigger = *cap < 16 ? 16 : *cap * 2;
  void *p = arena_alloc(a, bigger, size);
  if (n > 0) memcpy(p, items, n * size);
  *cap = bigger;
  return p;
}

void *mem_alloc(size_t n, size_t size) {
  return mem_realloc(NULL, n, size);
}

void *mem_realloc(void *p, size_t n, size_t size) {
  size_t bytes = checked_mul(n, size);
  void *q = realloc(p, bytes > 0 ? bytes : 1);
  if (q == NULL) out_of_memory();
  return q;
}
