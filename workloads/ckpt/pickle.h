/* pickle.h - what a pickle says, as a passive tree of values. Nothing in a pickle is ever run: a
 * "call" is a node that records which function would be called with which arguments, and whoever
 * reads the tree knows what it means. The format: a stack machine of one-byte opcodes and a memo
 * (Python's Lib/pickletools.py is its reference).
 *
 * Taken are the opcodes that torch.save writes for numbers, strings, tuples, lists and dicts
 * (protocols 2 to 5) and the globals that the caller allows. Every other opcode and every other
 * global is refused with its name and offset, before anything is made of it.
 *
 * The tree has no cycles. Every opcode moves the values that it takes off the stack, so that a list
 * or dict on the stack is referred to from nowhere else, until it is fetched from the memo; and it
 * may not grow after that. An edge that closes a cycle would grow a list or dict by something that
 * refers to it already, which is a second reference. Python's pickler grows a fetched one only for
 * a cycle. Values may still be shared: the tree is a DAG, and who walks it counts the steps.
 *
 * Bounds: PICKLE_MAX_BYTES read, PICKLE_MAX_VALUES pushes (so also stack, nodes, items),
 * PICKLE_MAX_MEMO entries, PICKLE_MAX_DEPTH levels of nesting; memory at most some 100 bytes a
 * push. Nothing recurses. Strings and long integers are views into the bytes read; all else lives
 * in the arena given. */
#ifndef LS_PICKLE_H
#define LS_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"

enum {
  PICKLE_MAX_BYTES = 1 << 24,
  PICKLE_MAX_VALUES = 1 << 21,
  PICKLE_MAX_MEMO = 1 << 20,
  PICKLE_MAX_DEPTH = 32
};

/*        id    in messages */
#define PICKLE_KINDS(X)                                                                            \
  X(NONE, "None")                                                                                  \
  X(BOOL, "a truth value")                                                                         \
  X(INT, "an integer")                                                                             \
  X(LONG, "an integer of more than 64 bits")                                                       \
  X(FLOAT, "a float")                                                                              \
  X(STR, "a string")                                                                               \
  X(GLOBAL, "a global name")                                                                       \
  X(TUPLE, "a tuple")                                                                              \
  X(LIST, "a list")                                                                                \
  X(DICT, "a dict")                                                                                \
  X(CALL, "a call")                                                                                \
  X(PERSID, "a persistent id")                                                                     \
  X(MARK, "a mark")

typedef enum pickle_kind {
#define X(id, text) PICKLE_##id,
  PICKLE_KINDS(X)
#undef X
      PICKLE_KIND_COUNT
} pickle_kind;

/* What a global may be used for. */
typedef enum pickle_use {
  PICKLE_NAME,      /* stands for itself: a type */
  PICKLE_CALLED,    /* a function; calls of it become CALL nodes */
  PICKLE_MAKES_DICT /* called without arguments it is an empty dict, whose attributes are dropped */
} pickle_use;

typedef struct pickle_global {
  const char *module, *name;
  pickle_use use;
  int id; /* the caller's */
} pickle_global;

typedef struct pickle_node pickle_node;

typedef struct pickle_value {
  pickle_kind kind;
  uint32_t len; /* STR, LONG: bytes */
  union {
    int64_t i;                   /* BOOL, INT */
    double f;                    /* FLOAT */
    const char *s;               /* STR (any bytes), LONG (little-endian, two's complement) */
    const pickle_global *global; /* GLOBAL */
    pickle_node *node;           /* TUPLE, LIST, DICT, CALL, PERSID */
  } as;
} pickle_value;

struct pickle_node {
  const pickle_global *fn; /* CALL */
  pickle_value *items;     /* DICT: key, value, key, value...; CALL: arguments; PERSID: the id */
  size_t n, cap;           /* items, so twice the entries of a dict */
  uint32_t at;             /* offset of the opcode that made it */
  uint16_t depth;          /* levels of nodes, this one included */
  bool fetched;            /* from the memo, so that it no longer grows */
};

typedef struct pickle {
  /* set by the caller */
  const char *where; /* begins every message */
  const unsigned char *data;
  size_t len, pos; /* read from data[pos]; then behind the pickle's STOP. Offsets in messages and
                      nodes count from `data` */
  const pickle_global *globals;
  size_t n_globals;
  /* what was read */
  pickle_value root;
  pickle_node **persids; /* every persistent id, in the order of the file */
  size_t n_persids, cap_persids;
} pickle;

ERR_CHECK int pickle_read(pickle *p, arena *a, err *e);

/* "a dict", "an integer": what a message calls a value. */
const char *pickle_kind_name(pickle_kind kind);

#endif
