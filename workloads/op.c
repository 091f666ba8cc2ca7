#include "workloads/op.h"

#include <string.h>

static const struct {
  const char *name, *cls, *text;
  op_kind kind;
} TABLE[OP_COUNT] = {
#define X(id, name, kind, cls, text) [OP_##id] = {name, cls, text, kind},
    OPS(X)
#undef X
};

const char *op_name(op o) {
  return TABLE[o].name;
}

const char *op_class(op o) {
  return TABLE[o].cls;
}

const char *op_text(op o) {
  return TABLE[o].text;
}

op_kind op_kind_of(op o) {
  return TABLE[o].kind;
}

op op_parse(const char *name) {
  for (int o = 0; o < OP_COUNT; o++)
    if (strcmp(TABLE[o].name, name) == 0) return (op)o;
  return OP_COUNT;
}

const char *op_kind_name(op_kind k) {
  static const char *const NAME[OP_KIND_COUNT] = {"compute", "load", "store", "move"};
  return NAME[k];
}
