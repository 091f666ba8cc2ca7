#include "workloads/ckpt/pickle.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "workloads/ckpt/show.h"

typedef struct machine {
  pickle *p;
  size_t begin, op_at, end; /* of the pickle, of the opcode at work; where reading must stop */
  pickle_value *stack;
  size_t n, cap;
  pickle_value *memo;
  bool *memoised;
  size_t n_memo; /* room in both; MEMOIZE counts in `next_memo` */
  size_t next_memo;
  size_t pushes;
  bool stopped;
  arena *a;
  err *e;
} machine;

#define TRY(call)                                                                                  \
  do {                                                                                             \
    int try_status = (call);                                                                       \
    if (try_status != ERR_OK) return try_status;                                                   \
  } while (0)

typedef int step(machine *m, unsigned char op);

static step do_mark, do_stop, do_none, do_bool, do_int, do_long1, do_float, do_str, do_tuple_n,
    do_tuple, do_empty, do_append, do_appends, do_setitem, do_setitems, do_global, do_stack_global,
    do_reduce, do_build, do_persid, do_put, do_get, do_memoize, do_proto, do_frame;

/* All opcodes of pickletools by their names there; those without a function are refused. */
#define OPCODES(X)                                                                                 \
  X('(', MARK, do_mark)                                                                            \
  X('.', STOP, do_stop)                                                                            \
  X('0', POP, NULL)                                                                                \
  X('1', POP_MARK, NULL)                                                                           \
  X('2', DUP, NULL)                                                                                \
  X('F', FLOAT, NULL)                                                                              \
  X('I', INT, NULL)                                                                                \
  X('J', BININT, do_int)                                                                           \
  X('K', BININT1, do_int)                                                                          \
  X('L', LONG, NULL)                                                                               \
  X('M', BININT2, do_int)                                                                          \
  X('N', NONE, do_none)                                                                            \
  X('P', PERSID, NULL)                                                                             \
  X('Q', BINPERSID, do_persid)                                                                     \
  X('R', REDUCE, do_reduce)                                                                        \
  X('S', STRING, NULL)                                                                             \
  X('T', BINSTRING, NULL)                                                                          \
  X('U', SHORT_BINSTRING, NULL)                                                                    \
  X('V', UNICODE, NULL)                                                                            \
  X('X', BINUNICODE, do_str)                                                                       \
  X('a', APPEND, do_append)                                                                        \
  X('b', BUILD, do_build)                                                                          \
  X('c', GLOBAL, do_global)                                                                        \
  X('d', DICT, NULL)                                                                               \
  X('}', EMPTY_DICT, do_empty)                                                                     \
  X('e', APPENDS, do_appends)                                                                      \
  X('g', GET, NULL)                                                                                \
  X('h', BINGET, do_get)                                                                           \
  X('i', INST, NULL)                                                                               \
  X('j', LONG_BINGET, do_get)                                                                      \
  X('l', LIST, NULL)                                                                               \
  X(']', EMPTY_LIST, do_empty)                                                                     \
  X('o', OBJ, NULL)                                                                                \
  X('p', PUT, NULL)                                                                                \
  X('q', BINPUT, do_put)                                                                           \
  X('r', LONG_BINPUT, do_put)                                                                      \
  X('s', SETITEM, do_setitem)                                                                      \
  X('t', TUPLE, do_tuple)                                                                          \
  X(')', EMPTY_TUPLE, do_tuple_n)                                                                  \
  X('u', SETITEMS, do_setitems)                                                                    \
  X('G', BINFLOAT, do_float)                                                                       \
  X('B', BINBYTES, NULL)                                                                           \
  X('C', SHORT_BINBYTES, NULL)                                                                     \
  X(0x80, PROTO, do_proto)                                                                         \
  X(0x81, NEWOBJ, NULL)                                                                            \
  X(0x82, EXT1, NULL)                                                                              \
  X(0x83, EXT2, NULL)                                                                              \
  X(0x84, EXT4, NULL)                                                                              \
  X(0x85, TUPLE1, do_tuple_n)                                                                      \
  X(0x86, TUPLE2, do_tuple_n)                                                                      \
  X(0x87, TUPLE3, do_tuple_n)                                                                      \
  X(0x88, NEWTRUE, do_bool)                                                                        \
  X(0x89, NEWFALSE, do_bool)                                                                       \
  X(0x8a, LONG1, do_long1)                                                                         \
  X(0x8b, LONG4, NULL)                                                                             \
  X(0x8c, SHORT_BINUNICODE, do_str)                                                                \
  X(0x8d, BINUNICODE8, NULL)                                                                       \
  X(0x8e, BINBYTES8, NULL)                                                                         \
  X(0x8f, EMPTY_SET, NULL)                                                                         \
  X(0x90, ADDITEMS, NULL)                                                                          \
  X(0x91, FROZENSET, NULL)                                                                         \
  X(0x92, NEWOBJ_EX, NULL)                                                                         \
  X(0x93, STACK_GLOBAL, do_stack_global)                                                           \
  X(0x94, MEMOIZE, do_memoize)                                                                     \
  X(0x95, FRAME, do_frame)                                                                         \
  X(0x96, BYTEARRAY8, NULL)                                                                        \
  X(0x97, NEXT_BUFFER, NULL)                                                                       \
  X(0x98, READONLY_BUFFER, NULL)

static const struct {
  const char *name;
  step *run;
} OPS[256] = {
#define X(code, name, run) [code] = {#name, run},
    OPCODES(X)
#undef X
};

const char *pickle_kind_name(pickle_kind kind) {
  static const char *const NAMES[] = {
#define X(id, text) text,
      PICKLE_KINDS(X)
#undef X
  };
  return NAMES[kind];
}

__attribute__((format(printf, 2, 3))) static int fault(machine *m, const char *fmt, ...) {
  char text[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  const char *name = OPS[m->p->data[m->op_at]].name;
  return err_set(m->e, ERR_BAD, "%s: offset %zu: %s %s", m->p->where, m->op_at,
                 name != NULL ? name : "this", text);
}

/* -- operands, stack, memo -- */

/* The next n bytes of the pickle are the opcode's. */
static int operand(machine *m, uint64_t n, const unsigned char **bytes) {
  uint64_t left = m->end - m->p->pos;
  if (n > left)
    return fault(m, "wants %llu more bytes, of which %llu are there; the pickle is cut short",
                 (unsigned long long)n, (unsigned long long)left);
  *bytes = m->p->data + m->p->pos;
  m->p->pos += (size_t)n;
  return ERR_OK;
}

static uint64_t little_endian(const unsigned char *p, size_t n) {
  uint64_t v = 0;
  for (size_t i = 0; i < n; i++) v |= (uint64_t)p[i] << (8 * i);
  return v;
}

static int push(machine *m, pickle_value v) {
  if (m->pushes >= PICKLE_MAX_VALUES)
    return fault(m, "makes more than %d values; a checkpoint's names and shapes need far fewer",
                 PICKLE_MAX_VALUES);
  m->pushes++;
  ARENA_PUSH(m->a, m->stack, m->n, m->cap, v);
  return ERR_OK;
}

/* The top of the stack, taken off; a mark is not a value. */
static int pop(machine *m, pickle_value *v) {
  if (m->n == 0 || m->stack[m->n - 1].kind == PICKLE_MARK)
    return fault(m, "finds no value on the stack%s", m->n == 0 ? "" : " above its mark");
  *v = m->stack[--m->n];
  return ERR_OK;
}

static bool is_node(const pickle_value *v) {
  return v->kind >= PICKLE_TUPLE && v->kind <= PICKLE_PERSID;
}

static int push_node(machine *m, pickle_kind kind, pickle_node **node) {
  *node = ARENA_NEW(m->a, pickle_node, 1);
  **node =
      (pickle_node){.at = (uint32_t)(m->op_at < UINT32_MAX ? m->op_at : UINT32_MAX), .depth = 1};
  return push(m, (pickle_value){.kind = kind, .as.node = *node});
}

/* Appends v[0..n) to a node. */
static int put_items(machine *m, pickle_node *to, const pickle_value *v, size_t n) {
  if (to->cap == 0 && n > 0) to->items = ARENA_NEW(m->a, pickle_value, n), to->cap = n;
  for (size_t i = 0; i < n; i++) {
    if (is_node(&v[i])) {
      pickle_node *item = v[i].as.node;
      if (item->depth >= PICKLE_MAX_DEPTH)
        return fault(m, "nests values more than %d deep", PICKLE_MAX_DEPTH);
      if (to->depth <= item->depth) to->depth = (uint16_t)(item->depth + 1);
    }
    ARENA_PUSH(m->a, to->items, to->n, to->cap, v[i]);
  }
  return ERR_OK;
}

/* Whether none of the top n is a mark. */
static bool all_values(const machine *m, size_t n) {
  for (size_t i = m->n - n; i < m->n; i++)
    if (m->stack[i].kind == PICKLE_MARK) return false;
  return true;
}

/* A new immutable node of the top n values, which it replaces. */
static int collect(machine *m, pickle_kind kind, size_t n) {
  if (n > m->n) return fault(m, "wants %zu values; the stack has %zu", n, m->n);
  if (!all_values(m, n)) return fault(m, "wants %zu values above the mark", n);
  const size_t from = m->n - n;
  pickle_node *node;
  pickle_value top = {0};
  TRY(push_node(m, kind, &node));
  TRY(pop(m, &top));
  TRY(put_items(m, node, m->stack + from, n));
  m->n = from;
  m->stack[m->n++] = top;
  return ERR_OK;
}

/* The number of values above the topmost mark. */
static int above_mark(machine *m, size_t *n) {
  for (*n = 0; *n < m->n; ++*n)
    if (m->stack[m->n - 1 - *n].kind == PICKLE_MARK) return ERR_OK;
  return fault(m, "finds no mark on the stack");
}

/* Moves the top n values into the list or dict below them (and below `marks` marks). */
static int grow(machine *m, pickle_kind kind, size_t n, size_t marks) {
  if (n + marks >= m->n) return fault(m, "finds nothing on the stack to put values into");
  if (!all_values(m, n)) return fault(m, "wants %zu values above the mark", n);
  pickle_value *to = &m->stack[m->n - n - marks - 1];
  if (to->kind != kind)
    return fault(m, "wants %s below its values, not %s", pickle_kind_name(kind),
                 pickle_kind_name(to->kind));
  if (to->as.node->fetched)
    return fault(m,
                 "changes the %s made at offset %lu after it was fetched from the memo; that is "
                 "how a value comes to contain itself, which no checkpoint needs",
                 kind == PICKLE_LIST ? "list" : "dict", (unsigned long)to->as.node->at);
  if (kind == PICKLE_DICT && n % 2 != 0) return fault(m, "has a key without a value");
  TRY(put_items(m, to->as.node, m->stack + (m->n - n), n));
  m->n -= n + marks;
  return ERR_OK;
}

/* -- opcodes: values -- */

static int do_mark(machine *m, unsigned char op) {
  (void)op;
  return push(m, (pickle_value){.kind = PICKLE_MARK});
}

static int do_stop(machine *m, unsigned char op) {
  (void)op;
  TRY(pop(m, &m->p->root));
  if (m->n != 0) return fault(m, "leaves %zu values on the stack besides the result", m->n);
  m->stopped = true;
  return ERR_OK;
}

static int do_none(machine *m, unsigned char op) {
  (void)op;
  return push(m, (pickle_value){.kind = PICKLE_NONE});
}

static int do_bool(machine *m, unsigned char op) {
  return push(m, (pickle_value){.kind = PICKLE_BOOL, .as.i = op == 0x88});
}

static int do_int(machine *m, unsigned char op) {
  size_t n = op == 'J' ? 4 : op == 'M' ? 2 : 1;
  const unsigned char *p = NULL;
  TRY(operand(m, n, &p));
  int64_t v = (int64_t)little_endian(p, n);
  if (op == 'J' && v > INT32_MAX) v -= (int64_t)1 << 32;
  return push(m, (pickle_value){.kind = PICKLE_INT, .as.i = v});
}

static int do_long1(machine *m, unsigned char op) {
  (void)op;
  const unsigned char *p = NULL;
  TRY(operand(m, 1, &p));
  size_t n = *p;
  TRY(operand(m, n, &p));
  if (n > 8)
    return push(m,
                (pickle_value){.kind = PICKLE_LONG, .len = (uint32_t)n, .as.s = (const char *)p});
  uint64_t v = little_endian(p, n);
  if (n > 0 && n < 8 && p[n - 1] >= 0x80) v |= UINT64_MAX << (8 * n); /* negative */
  pickle_value out = {.kind = PICKLE_INT};
  memcpy(&out.as.i, &v, sizeof v);
  return push(m, out);
}

static int do_float(machine *m, unsigned char op) {
  (void)op;
  const unsigned char *p = NULL;
  TRY(operand(m, 8, &p));
  uint64_t bits = 0;
  for (size_t i = 0; i < 8; i++) bits = bits << 8 | p[i]; /* big-endian, unlike all else */
  pickle_value out = {.kind = PICKLE_FLOAT};
  memcpy(&out.as.f, &bits, sizeof bits);
  return push(m, out);
}

static int do_str(machine *m, unsigned char op) {
  size_t width = op == 'X' ? 4 : 1;
  const unsigned char *p = NULL;
  TRY(operand(m, width, &p));
  uint64_t len = little_endian(p, width);
  TRY(operand(m, len, &p));
  return push(m, (pickle_value){.kind = PICKLE_STR, .len = (uint32_t)len, .as.s = (const char *)p});
}

/* -- opcodes: tuples, lists, dicts -- */

static int do_tuple_n(machine *m, unsigned char op) {
  return collect(m, PICKLE_TUPLE, op == ')' ? 0 : op - 0x84u);
}

static int do_tuple(machine *m, unsigned char op) {
  (void)op;
  size_t n = 0;
  TRY(above_mark(m, &n));
  TRY(collect(m, PICKLE_TUPLE, n));
  m->stack[m->n - 2] = m->stack[m->n - 1]; /* over the mark */
  m->n--;
  return ERR_OK;
}

static int do_empty(machine *m, unsigned char op) {
  pickle_node *node;
  return push_node(m, op == ']' ? PICKLE_LIST : PICKLE_DICT, &node);
}

static int do_append(machine *m, unsigned char op) {
  (void)op;
  return grow(m, PICKLE_LIST, 1, 0);
}

static int do_setitem(machine *m, unsigned char op) {
  (void)op;
  return grow(m, PICKLE_DICT, 2, 0);
}

static int do_appends(machine *m, unsigned char op) {
  (void)op;
  size_t n = 0;
  TRY(above_mark(m, &n));
  return grow(m, PICKLE_LIST, n, 1);
}

static int do_setitems(machine *m, unsigned char op) {
  (void)op;
  size_t n = 0;
  TRY(above_mark(m, &n));
  return grow(m, PICKLE_DICT, n, 1);
}

/* -- opcodes: globals and calls -- */

static bool same(const char *name, const char *s, size_t len) {
  return strlen(name) == len && memcmp(name, s, len) == 0;
}

/* The only place where a pickle's words become more than bytes. */
static int push_global(machine *m, const char *module, size_t n_module, const char *name,
                       size_t n_name) {
  const pickle *p = m->p;
  for (size_t i = 0; i < p->n_globals; i++)
    if (same(p->globals[i].module, module, n_module) && same(p->globals[i].name, name, n_name))
      return push(m, (pickle_value){.kind = PICKLE_GLOBAL, .as.global = &p->globals[i]});
  char allowed[800] = "";
  for (size_t i = 0, at = 0; i < p->n_globals && at < sizeof allowed; i++)
    at += (size_t)snprintf(allowed + at, sizeof allowed - at, "%s%s.%s", i > 0 ? ", " : "",
                           p->globals[i].module, p->globals[i].name);
  return fault(m, "names %s.%s, which is not allowed and was not run; allowed are %s",
               SHOW(module, n_module), SHOW(name, n_name),
               p->n_globals > 0 ? allowed : "none here");
}

/* Up to a newline, which is taken off. */
static int line(machine *m, const char **s, size_t *len) {
  const unsigned char *from = m->p->data + m->p->pos, *end = NULL;
  size_t left = m->end - m->p->pos;
  if (left > 0) end = memchr(from, '\n', left);
  if (end == NULL) return fault(m, "has a name without an end; the pickle is cut short");
  *s = (const char *)from, *len = (size_t)(end - from);
  m->p->pos += *len + 1;
  return ERR_OK;
}

static int do_global(machine *m, unsigned char op) {
  (void)op;
  const char *module = NULL, *name = NULL;
  size_t n_module = 0, n_name = 0;
  TRY(line(m, &module, &n_module));
  TRY(line(m, &name, &n_name));
  return push_global(m, module, n_module, name, n_name);
}

static int do_stack_global(machine *m, unsigned char op) {
  (void)op;
  pickle_value name = {0}, module = {0};
  TRY(pop(m, &name));
  TRY(pop(m, &module));
  if (name.kind != PICKLE_STR || module.kind != PICKLE_STR)
    return fault(m, "wants two strings, not %s and %s", pickle_kind_name(module.kind),
                 pickle_kind_name(name.kind));
  return push_global(m, module.as.s, module.len, name.as.s, name.len);
}

static int do_reduce(machine *m, unsigned char op) {
  (void)op;
  pickle_value args = {0}, fn = {0};
  TRY(pop(m, &args));
  TRY(pop(m, &fn));
  if (fn.kind != PICKLE_GLOBAL || args.kind != PICKLE_TUPLE)
    return fault(m, "calls %s with %s; it must be a global name and a tuple",
                 pickle_kind_name(fn.kind), pickle_kind_name(args.kind));
  const pickle_global *g = fn.as.global;
  if (g->use == PICKLE_NAME || (g->use == PICKLE_MAKES_DICT && args.as.node->n != 0))
    return fault(m, "calls %s.%s with %zu arguments, which no checkpoint needs", g->module, g->name,
                 args.as.node->n);
  pickle_node *node = NULL;
  TRY(push_node(m, g->use == PICKLE_CALLED ? PICKLE_CALL : PICKLE_DICT, &node));
  if (g->use == PICKLE_MAKES_DICT) return ERR_OK;
  node->fn = g;
  node->items = args.as.node->items, node->n = args.as.node->n; /* a tuple does not change */
  node->depth = args.as.node->depth;
  return ERR_OK;
}

/* An OrderedDict's attributes (state_dict() hangs its _metadata there) say nothing of weights. */
static int do_build(machine *m, unsigned char op) {
  (void)op;
  pickle_value state = {0};
  TRY(pop(m, &state));
  if (m->n == 0 || m->stack[m->n - 1].kind != PICKLE_DICT || state.kind != PICKLE_DICT)
    return fault(m, "sets the state of %s to %s; only a dict may have attributes",
                 m->n == 0 ? "nothing" : pickle_kind_name(m->stack[m->n - 1].kind),
                 pickle_kind_name(state.kind));
  return ERR_OK;
}

static int do_persid(machine *m, unsigned char op) {
  (void)op;
  TRY(collect(m, PICKLE_PERSID, 1));
  pickle *p = m->p;
  ARENA_PUSH(m->a, p->persids, p->n_persids, p->cap_persids, m->stack[m->n - 1].as.node);
  return ERR_OK;
}

/* -- opcodes: memo and framing -- */

/* An index may not be larger than the pickle so far has bytes: each entry takes an opcode of its
 * own, so that no honest one is, and the memo's size is in proportion to the file's. */
static int memo_put(machine *m, uint64_t index) {
  if (m->n == 0 || m->stack[m->n - 1].kind == PICKLE_MARK)
    return fault(m, "finds no value on the stack to remember");
  const size_t most = PICKLE_MAX_MEMO - 1, read = m->op_at - m->begin;
  if (index > most || index > read)
    return fault(m, "remembers a value under the number %llu; the limit here is %zu",
                 (unsigned long long)index, read < most ? read : most);
  if (index >= m->n_memo) {
    size_t room = m->n_memo * 2 > index + 64 ? m->n_memo * 2 : (size_t)index + 64;
    pickle_value *memo = ARENA_NEW(m->a, pickle_value, room);
    bool *memoised = ARENA_NEW(m->a, bool, room);
    if (m->n_memo > 0) {
      memcpy(memo, m->memo, m->n_memo * sizeof *memo);
      memcpy(memoised, m->memoised, m->n_memo * sizeof *memoised);
    }
    m->memo = memo, m->memoised = memoised, m->n_memo = room;
  }
  m->memo[index] = m->stack[m->n - 1];
  m->memoised[index] = true;
  return ERR_OK;
}

static int do_put(machine *m, unsigned char op) {
  const unsigned char *p = NULL;
  size_t width = op == 'r' ? 4 : 1;
  TRY(operand(m, width, &p));
  m->next_memo++;
  return memo_put(m, little_endian(p, width));
}

static int do_memoize(machine *m, unsigned char op) {
  (void)op;
  return memo_put(m, m->next_memo++);
}

static int do_get(machine *m, unsigned char op) {
  const unsigned char *p = NULL;
  size_t width = op == 'j' ? 4 : 1;
  TRY(operand(m, width, &p));
  uint64_t index = little_endian(p, width);
  if (index >= m->n_memo || !m->memoised[index])
    return fault(m, "wants the value remembered under %llu; there is none",
                 (unsigned long long)index);
  pickle_value v = m->memo[index];
  if (is_node(&v)) v.as.node->fetched = true;
  return push(m, v);
}

static int do_proto(machine *m, unsigned char op) {
  (void)op;
  const unsigned char *p = NULL;
  TRY(operand(m, 1, &p));
  if (*p < 2 || *p > 5) return fault(m, "is %u; protocols 2 to 5 can be read", *p);
  return ERR_OK;
}

/* A frame is a hint for buffering; its length must still be true. */
static int do_frame(machine *m, unsigned char op) {
  (void)op;
  const unsigned char *p = NULL;
  TRY(operand(m, 8, &p));
  uint64_t len = little_endian(p, 8), left = m->end - m->p->pos;
  if (len > left)
    return fault(m, "claims %llu bytes, of which %llu are there; the pickle is cut short",
                 (unsigned long long)len, (unsigned long long)left);
  return ERR_OK;
}

int pickle_read(pickle *p, arena *a, err *e) {
  const size_t begin = p->pos, most = (size_t)PICKLE_MAX_BYTES;
  machine m = {.p = p, .begin = begin, .a = a, .e = e};
  m.end = p->len - begin > most ? begin + most : p->len;
  p->persids = NULL, p->n_persids = 0, p->cap_persids = 0;
  while (!m.stopped) {
    if (p->pos >= m.end)
      return err_set(e, ERR_BAD, "%s: offset %zu: the pickle has no STOP within %zu bytes%s",
                     p->where, p->pos, m.end - begin,
                     m.end < p->len ? ", the limit" : "; it is cut short");
    m.op_at = p->pos;
    unsigned char op = p->data[p->pos++];
    if (OPS[op].name == NULL)
      return err_set(e, ERR_BAD, "%s: offset %zu: the byte 0x%02x is no pickle opcode", p->where,
                     m.op_at, op);
    if (OPS[op].run == NULL)
      return fault(&m, "is an opcode that no checkpoint needs; it is refused and was not run");
    TRY(OPS[op].run(&m, op));
  }
  return ERR_OK;
}
