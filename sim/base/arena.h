/* arena.h - memory by lifetime: everything that belongs to one result lives in one arena and goes
 * with it. There is no free for a single object.
 *
 * Convention: a result lives in the arena passed by pointer as the last-but-one argument (before
 * err); a function that needs scratch makes an arena of its own and frees it before returning.
 * Out of memory ends the program with a message (exit 3): there is nothing sensible to do. */
#ifndef LS_ARENA_H
#define LS_ARENA_H

#include <stddef.h>
#include <stdarg.h>

typedef struct arena_block arena_block;
typedef struct arena {
  arena_block *head; /* newest block first; {0} is an empty arena */
  char *at, *end;
} arena;

/* n*size zeroed bytes, aligned for any object. Overflow of n*size counts as out of memory. */
void *arena_alloc(arena *a, size_t n, size_t size);
#define ARENA_NEW(a, T, n) ((T *)arena_alloc((a), (n), sizeof(T)))

char *arena_strdup(arena *a, const char *s);
char *arena_strndup(arena *a, const char *s, size_t n);
char *arena_printf(arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Gives back everything; the arena is empty and usable again. */
void arena_free(arena *a);

/* A growing array of T in an arena: `ARENA_PUSH(a, v.items, v.n, v.cap, x)`.
 * Growth doubles; the old storage stays in the arena until arena_free. */
void *arena_grow(arena *a, void *items, size_t n, size_t *cap, size_t size);
#define ARENA_PUSH(a, items, n, cap, x)                                                            \
  ((void)((n) < (cap) || ((items) = arena_grow((a), (items), (n), &(cap), sizeof *(items)), 0)),   \
   (items)[(n)++] = (x))

/* malloc and realloc that end the program (exit 3) instead of returning NULL; for buffers that grow
 * too large for an arena to leave behind. free() them. */
void *mem_alloc(size_t n, size_t size);
void *mem_realloc(void *p, size_t n, size_t size);

#endif
