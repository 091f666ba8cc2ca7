#include "workloads/op.h"

#include <string.h>

static const struct {
  const char *name, *cls, *text;
} TABLE[OP_COUNT] = {
#define X(id, name, kind, cls, text) [OP_##id] = {name, cls, text},
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

bool op_in_place(op o, unsigned read, unsigned n_reads, unsigned write) {
  switch (o) {
  case OP_RMSNORM: /* row by row */
  case OP_ROPE:    /* pair by pair */
  case OP_SOFTMAX_EXP:
  case OP_SOFTMAX_NORM:
    return read == 0 && write == 0;
  case OP_ADD:
  case OP_SILU_MUL:
    return read < 2;
  case OP_MATMUL_ACC: /* the sums so far */
  case OP_MATMUL_ACC_ROPE:
  case OP_MATMUL_SILU: /* gate, or the residual */
  case OP_MATMUL_ADD:
    return read + 1 == n_reads;
  case OP_MATMUL_ACC_SILU: /* the sums, or gate */
    return read + 2 >= n_reads;
  case OP_FLASH_ACC: /* the state so far: o, m, l */
    return read == n_reads - 3 + write;
  default:
    return false;
  }
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
