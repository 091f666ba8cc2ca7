/* What each op asks of its operands: shapes, dtypes, scales, spaces. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "workloads/dag_check_priv.h"

/* ---- shapes ---------------------------------------------------------------------------------- */

/* The shapes that ops want, as they stand in messages: a letter a dimension, one value a letter
 * within a task; '1' is one; '=' is any shape, the same for all '='. Behind '?' stands an operand
 * of role scale that may be left out; '|' parts the shapes that it may have. */
static const char *const SIGNATURE[OP_COUNT] = {
    [OP_RMSNORM] = "x(T,C) w(C) > y(T,C)",
    [OP_MATMUL] = "x(T,K) w(N,K) ?scales(N|N,G) > y(T,N)",
    [OP_MATMUL_ACC] = "x(T,K) w(N,K) ?scales(N|N,G) sum(T,N) > y(T,N)",
    [OP_MATMUL_SILU] = "x(T,K) w(N,K) ?scales(N|N,G) gate(T,N) > y(T,N)",
    [OP_MATMUL_ACC_SILU] = "x(T,K) w(N,K) ?scales(N|N,G) sum(T,N) gate(T,N) > y(T,N)",
    [OP_MATMUL_ADD] = "x(T,K) w(N,K) ?scales(N|N,G) residual(T,N) > y(T,N)",
    [OP_MATMUL_ROPE] = "x(T,K) w(C,K) ?scales(C|C,G) > y(T,C)",
    [OP_MATMUL_ACC_ROPE] = "x(T,K) w(C,K) ?scales(C|C,G) sum(T,C) > y(T,C)",
    [OP_FLASH] =
        "q(T,C) k(m,N,d|1,m,d,N) v(m,N,d) ?scales(m,N|m,N,1) ?scales(m,N|m,N,1) > o(H,T,d) "
        "max(H,T) sum(H,T)",
    [OP_FLASH_ACC] =
        "q(T,C) k(m,N,d|1,m,d,N) v(m,N,d) ?scales(m,N|m,N,1) ?scales(m,N|m,N,1) o(H,T,d) "
        "max(H,T) sum(H,T) > "
        "o(H,T,d) max(H,T) sum(H,T)",
    [OP_FLASH_OUT] =
        "q(T,C) k(m,N,d|1,m,d,N) v(m,N,d) ?scales(m,N|m,N,1) ?scales(m,N|m,N,1) > y(T,C)",
    [OP_FLASH_ACC_OUT] = "q(T,C) k(m,N,d|1,m,d,N) v(m,N,d) ?scales(m,N|m,N,1) ?scales(m,N|m,N,1) "
                         "o(H,T,d) max(H,T) sum(H,T) > y(T,C)",
    [OP_COPY] = "x(=) > y(=)",
    [OP_EMBED] = "rows(T,C) ?scales(T|T,G) > y(T,C)",
    [OP_ARGMAX] = "logits(T,N) > id(T,1)",
    [OP_ROPE] = "x(T,C) > y(T,C)",
    [OP_KVAPPEND] = "rows(T,C) > tile(m,T,d|1,m,d,T) ?scales(m,T|m,T,1)",
    [OP_KVSHIFT] = "rows(T,C) > tile(m,T,d)",
    [OP_QK] = "q(T,C) k(m,N,d|1,m,d,N) ?scales(m,N|m,N,1) > s(H,T,N)",
    [OP_SOFTMAX_MAX] = "s(H,T,N) > max(H,T)",
    [OP_SOFTMAX_EXP] = "s(H,T,N) max(H,T) > e(H,T,N) sum(H,T)",
    [OP_SOFTMAX_NORM] = "e(H,T,N) sum(H,T) > p(H,T,N)",
    [OP_PV] = "p(H,T,N) v(m,N,d) ?scales(m,N|m,N,1) > o(T,C)",
    [OP_ADD] = "a(=) b(=) > y(=)",
    [OP_SILU_MUL] = "gate(=) up(=) > y(=)",
};

enum { LETTERS = 128 };

/* What the letters stand for in the task at hand; 0: not met yet. */
typedef struct shapes {
  uint64_t of[LETTERS];
  uint64_t any[DAG_RANK];
  uint8_t any_rank;
} shapes;

/* Does the view have the shape that `text` says, letters with commas between? Binds the letters
 * that are new. */
static bool matches(shapes *s, const char *text, size_t len, const dag_view *v, uint8_t rank) {
  if (*text == '=') {
    if (s->any_rank == 0)
      for (int i = 0; i < DAG_RANK; i++) s->any[i] = v->len[i];
    bool same = s->any_rank == 0 || s->any_rank == rank;
    for (int i = 0; i < DAG_RANK; i++) same = same && s->any[i] == v->len[i];
    s->any_rank = rank;
    return same;
  }
  if (rank != (len + 1) / 2) return false;
  for (size_t i = 0; i < rank; i++) {
    uint64_t want = text[2 * i] == '1' ? 1 : s->of[(int)text[2 * i]];
    if (want != 0 && want != v->len[i]) return false;
  }
  for (size_t i = 0; i < rank; i++) s->of[(int)text[2 * i]] = v->len[i];
  return true;
}

/* "(4, 64)" */
static const char *shape_text(const dag_view *v, uint8_t rank, char buf[64]) {
  size_t at = 0;
  for (uint8_t i = 0; i < rank; i++)
    at += (size_t)snprintf(buf + at, 64 - at, "%s%u", i == 0 ? "(" : ", ", v->len[i]);
  snprintf(buf + at, 64 - at, ")");
  return buf;
}

static int wrong_shape(const check *c, uint32_t task, uint32_t i, const shapes *s) {
  const dag_task *t = &c->d->tasks[task];
  const dag_view *v = &c->d->views[t->view0 + i];
  char at[24], shape[64], known[128] = "";
  size_t n = 0;
  for (int l = 'A'; l <= 'z' && n < sizeof known - 32; l++)
    if (s->of[l] != 0)
      n += (size_t)snprintf(known + n, sizeof known - n, "%s%c = %" PRIu64,
                            n == 0 ? ", with " : ", ", l, s->of[l]);
  return check_fail(c, task, "%s '%.200s' has shape %s; %s wants %s%s", check_operand(t, i, at),
                    check_tensor_of(c, v)->name, shape_text(v, check_tensor_of(c, v)->rank, shape),
                    op_name((op)t->op), SIGNATURE[t->op], known);
}

/* One operand against one word of the signature. */
static bool operand_fits(const check *c, const dag_view *v, const char *word, shapes *s) {
  const dag_tensor *x = check_tensor_of(c, v);
  if (*word == '?' && x->role != DAG_SCALE) return false;
  const char *shape = strchr(word, '(') + 1, *end = strchr(shape, ')');
  for (;;) {
    size_t len = strcspn(shape, "|)");
    if (matches(s, shape, len, v, x->rank)) return true;
    shape += len;
    if (shape == end) return false;
    shape++;
  }
}

static bool is_scale(const check *c, const dag_view *v) {
  return check_tensor_of(c, v)->role == DAG_SCALE;
}

/* Further operands of the same side: then an optional one is told by its role, else it is whatever
 * is left. */
static bool more_to_come(const char *rest) {
  rest += rest[0] == ' ';
  while (*rest == '?') rest += strcspn(rest, " "), rest += *rest == ' ';
  return *rest != '\0' && *rest != '>';
}

static int check_signature(const check *c, uint32_t task, shapes *s) {
  const dag_task *t = &c->d->tasks[task];
  const dag_view *v = dag_reads(c->d, t);
  uint32_t used = 0, side_end = t->n_reads, total = (uint32_t)t->n_reads + t->n_writes;
  for (const char *word = SIGNATURE[t->op]; *word != '\0';) {
    size_t n = strcspn(word, " ");
    bool optional = *word == '?', divider = *word == '>';
    if (divider && used != side_end) break;
    if (divider) {
      side_end = total;
    } else if (used < side_end && !(optional && more_to_come(word + n) && !is_scale(c, &v[used]))) {
      if (!operand_fits(c, &v[used], word, s)) return wrong_shape(c, task, used, s);
      used++;
    } else if (!optional) {
      break;
    }
    word += n + (word[n] == ' ');
    if (*word == '\0' && used == total) return ERR_OK;
  }
  return check_fail(c, task, "it reads %u and writes %u operands; %s wants %s", t->n_reads,
                    t->n_writes, op_name((op)t->op), SIGNATURE[t->op]);
}

static bool is_integer(dtype d) {
  return d == DT_INT8 || d == DT_INT4;
}

/* Scales belong to an integer tensor: one a row, or for int4 weights one for 32 columns. */
static int check_scales(const check *c, uint32_t task, const dag_view *scales, const dag_view *of,
                        bool weight) {
  dtype dt = (dtype)check_tensor_of(c, of)->dtype;
  const char *name = check_tensor_of(c, scales)->name;
  if (!is_integer(dt))
    return check_fail(c, task, "it has scales '%.200s', but '%.200s' is %s, which takes none", name,
                      check_tensor_of(c, of)->name, dtype_name(dt));
  if (!weight) return ERR_OK;
  uint32_t want = dt == DT_INT4 ? (of->len[1] + 31) / 32 : 1;
  if (scales->len[1] == want) return ERR_OK;
  return check_fail(c, task, "scales '%.200s' have %u columns; a row of %u %s values has %u", name,
                    scales->len[1], of->len[1], dtype_name(dt), want);
}

static int check_weight_scales(const check *c, uint32_t task) {
  const dag_task *t = &c->d->tasks[task];
  const dag_view *r = dag_reads(c->d, t);
  if (t->n_reads < 3 || !is_scale(c, &r[2])) return ERR_OK;
  return check_scales(c, task, &r[2], &r[1], true);
}

/* What a signature cannot say. */
static int check_relations(const check *c, uint32_t task, const shapes *s) {
  const dag_task *t = &c->d->tasks[task];
  const dag_view *r = dag_reads(c->d, t), *w = dag_writes(c->d, t);
  uint64_t C = s->of['C'], H = s->of['H'], m = s->of['m'], d = s->of['d'];
  uint64_t head_dim = c->d->workload.head_dim;
  switch ((op)t->op) {
  case OP_ROPE:
  case OP_MATMUL_ROPE:
  case OP_MATMUL_ACC_ROPE:
    if (C % 2 != 0 || (head_dim != 0 && C % head_dim != 0))
      return check_fail(c, task, "%" PRIu64 " columns are not whole heads of %" PRIu64, C,
                        head_dim == 0 ? 2 : head_dim);
    return t->op == OP_ROPE ? ERR_OK : check_weight_scales(c, task);
  case OP_KVAPPEND:
  case OP_KVSHIFT:
    if (C != m * d)
      return check_fail(c, task, "%" PRIu64 " columns are not %" PRIu64 " heads of %" PRIu64, C, m,
                        d);
    return t->n_writes < 2 ? ERR_OK : check_scales(c, task, &w[1], &w[0], false);
  case OP_FLASH:
  case OP_FLASH_ACC:
  case OP_FLASH_OUT:
  case OP_FLASH_ACC_OUT:
  case OP_QK:
  case OP_PV:
    if (t->op == OP_FLASH_OUT) H = C / d; /* no operand says it */
    if (C != H * d)
      return check_fail(c, task, "%" PRIu64 " columns are not %" PRIu64 " heads of %" PRIu64, C, H,
                        d);
    if (H % m != 0)
      return check_fail(c, task, "%" PRIu64 " heads do not share %" PRIu64 " KV heads evenly", H,
                        m);
    if (t->op != OP_QK && t->op != OP_PV) return ERR_OK;
    return t->n_reads < 3 ? ERR_OK : check_scales(c, task, &r[2], &r[1], false);
  case OP_MATMUL:
  case OP_MATMUL_ACC:
  case OP_MATMUL_SILU:
  case OP_MATMUL_ACC_SILU:
  case OP_MATMUL_ADD:
    return check_weight_scales(c, task);
  default:
    return ERR_OK;
  }
}

int check_compute(const check *c, uint32_t task) {
  const dag_task *t = &c->d->tasks[task];
  const dag_view *v = dag_reads(c->d, t);
  char at[24];
  for (uint32_t i = 0; i < (uint32_t)t->n_reads + t->n_writes; i++)
    if (check_tensor_of(c, &v[i])->space == DAG_DRAM)
      return check_fail(c, task,
                        "%s '%.200s' is in dram; a compute task reads and writes sram only",
                        check_operand(t, i, at), check_tensor_of(c, &v[i])->name);
  shapes s = {0};
  if (check_signature(c, task, &s)) return c->e->status;
  return check_relations(c, task, &s);
}

/* The spaces that operand i of a transfer joins, by the kind's rule, and the same for all operands:
 * it is one copy over one route. */
static int check_spaces(const check *c, uint32_t task, uint32_t i) {
  const dag_task *t = &c->d->tasks[task];
  const dag_view *r = dag_reads(c->d, t), *w = dag_writes(c->d, t);
  static const char *const RULE[OP_KIND_COUNT] = {[OP_LOAD] = "a load goes from dram to sram",
                                                  [OP_STORE] = "a store goes from sram to dram",
                                                  [OP_MOVE] =
                                                      "a move goes from one sram to another"};
  op_kind kind = op_kind_of((op)t->op);
  uint16_t from = check_tensor_of(c, &r[i])->space, to = check_tensor_of(c, &w[i])->space;
  char a[DAG_SPACE_TEXT], b[DAG_SPACE_TEXT];
  if ((from == DAG_DRAM) != (kind == OP_LOAD) || (to == DAG_DRAM) != (kind == OP_STORE) ||
      from == to)
    return check_fail(c, task, "operand %u goes from %s to %s; %s", i,
                      dag_space_name((dag_space)from, a), dag_space_name((dag_space)to, b),
                      RULE[kind]);
  if (from != check_tensor_of(c, &r[0])->space || to != check_tensor_of(c, &w[0])->space)
    return check_fail(
        c, task, "operand %u goes from %s to %s, and operand 0 elsewhere; a %s is one copy", i,
        dag_space_name((dag_space)from, a), dag_space_name((dag_space)to, b), op_kind_name(kind));
  return ERR_OK;
}

int check_transfer(const check *c, uint32_t task) {
  const dag_task *t = &c->d->tasks[task];
  const dag_view *r = dag_reads(c->d, t), *w = dag_writes(c->d, t);
  if (t->group != DAG_NO_GROUP)
    return check_fail(c, task, "it has a group, but groups share an engine and DMA runs this task");
  if (t->op == OP_LOAD_EMBED) {
    const dag_view *ids = &r[t->n_reads - 1];
    if (t->n_reads != t->n_writes + 1)
      return check_fail(
          c, task,
          "it reads %u and writes %u operands; it reads the table, its scales if any, and the ids",
          t->n_reads, t->n_writes);
    if (check_tensor_of(c, ids)->space != DAG_SRAM || check_tensor_of(c, ids)->dtype != DT_INT32 ||
        ids->len[0] != w[0].len[0])
      return check_fail(c, task, "ids '%.200s' must be int32 in sram, one a row that is gathered",
                        check_tensor_of(c, ids)->name);
  } else if (t->n_reads != t->n_writes)
    return check_fail(
        c, task, "it reads %u and writes %u operands; a transfer copies each read to one write",
        t->n_reads, t->n_writes);
  for (uint32_t i = 0; i < t->n_writes; i++) {
    const dag_tensor *from = check_tensor_of(c, &r[i]), *to = check_tensor_of(c, &w[i]);
    if (check_spaces(c, task, i)) return c->e->status;
    char a[64], b[64];
    uint32_t any =
        t->op == OP_LOAD_EMBED ? 1 : 0; /* the first dimension is what the ids choose from */
    if (memcmp(r[i].len + any, w[i].len + any, sizeof r[i].len - any * sizeof r[i].len[0]) != 0)
      return check_fail(c, task, "reads[%u] has shape %s and writes[%u] %s; a copy keeps the shape",
                        i, shape_text(&r[i], from->rank, a), i, shape_text(&w[i], to->rank, b));
    if (from->dtype != to->dtype)
      return check_fail(c, task, "reads[%u] is %s and writes[%u] is %s; a copy keeps the dtype", i,
                        dtype_name((dtype)from->dtype), i, dtype_name((dtype)to->dtype));
  }
  return ERR_OK;
}
