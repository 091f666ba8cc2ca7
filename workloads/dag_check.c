#include "workloads/dag_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/cost.h"
#include "workloads/dag_hazard.h"

typedef struct check {
  const dag *d;
  const char *where;
  const uint32_t *ids; /* NULL: as they are */
  err *e;
  arena scratch;
  hazards haz;
  haz_hits hits;
} check;

static uint32_t id_of(const check *c, uint32_t task) {
  return c->ids == NULL ? task : c->ids[task];
}

static int fail(const check *c, uint32_t task, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(const check *c, uint32_t task, const char *fmt, ...) {
  const dag_task *t = &c->d->tasks[task];
  char why[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(why, sizeof why, fmt, ap);
  va_end(ap);
  const char *name = t->name == NULL ? "" : t->name;
  return err_set(c->e, ERR_BAD, "%s: task %u '%.200s' (%s): %s", c->where, id_of(c, task), name,
                 t->op < OP_COUNT ? op_name((op)t->op) : "?", why);
}

/* ---- tensors and views ------------------------------------------------------------------------
 */

int dag_check_dims(const uint64_t *dim, uint32_t rank, dtype dt, char why[DAG_WHY]) {
  uint64_t elements = 1, limit = DAG_MAX_TENSOR_B * 8 / dtype_bits(dt);
  for (uint32_t i = 0; i < rank; i++) {
    if (dim[i] < 1 || dim[i] >= UINT32_MAX) {
      snprintf(why, DAG_WHY, "dimension %u is %" PRIu64 "; it must be from 1 to %u", i, dim[i],
               UINT32_MAX - 1);
      return ERR_BAD;
    }
    if (elements > limit / dim[i]) {
      snprintf(why, DAG_WHY, "it holds more than 2^50 bytes, which is the limit");
      return ERR_BAD;
    }
    elements *= dim[i];
  }
  return ERR_OK;
}

static int check_tensor(const check *c, uint32_t id) {
  const dag_tensor *t = &c->d->tensors[id];
  char why[DAG_WHY] = "its rank, dtype, role or space is none that exists";
  bool known = t->rank >= 1 && t->rank <= DAG_RANK && t->dtype < DT_COUNT &&
               t->role < DAG_ROLE_COUNT && t->space < DAG_SPACE_COUNT && t->name != NULL;
  for (uint32_t i = t->rank; known && i < DAG_RANK; i++) known = t->dim[i] == 1;
  if (known && dag_check_dims(t->dim, t->rank, (dtype)t->dtype, why) == ERR_OK) return ERR_OK;
  return err_set(c->e, ERR_BAD, "%s: tensor %u '%.200s': %s", c->where, id,
                 t->name == NULL ? "" : t->name, why);
}

/* "reads[1]" */
static const char *operand(const dag_task *t, uint32_t i, char buf[24]) {
  bool read = i < t->n_reads;
  snprintf(buf, 24, "%s[%u]", read ? "reads" : "writes", read ? i : i - t->n_reads);
  return buf;
}

static const dag_tensor *tensor_of(const check *c, const dag_view *v) {
  return &c->d->tensors[v->tensor];
}

static int check_view(const check *c, uint32_t task, uint32_t i) {
  const dag_task *t = &c->d->tasks[task];
  const dag_view *v = &c->d->views[t->view0 + i];
  char at[24];
  if (v->tensor >= c->d->n_tensors)
    return fail(c, task, "%s: there is no tensor %u", operand(t, i, at), v->tensor);
  const dag_tensor *x = tensor_of(c, v);
  for (int k = 0; k < DAG_RANK; k++)
    if (v->len[k] < 1 || (uint64_t)v->lo[k] + v->len[k] > x->dim[k])
      return fail(c, task,
                  "%s: elements %u..%" PRIu64
                  " of dimension %d are asked for, but '%.200s' has 0..%" PRIu64 " there",
                  operand(t, i, at), v->lo[k], (uint64_t)v->lo[k] + v->len[k] - 1, k, x->name,
                  x->dim[k] - 1);
  return ERR_OK;
}

static int check_record(const check *c, uint32_t task) {
  const dag *d = c->d;
  const dag_task *t = &d->tasks[task];
  if (t->op >= OP_COUNT) return fail(c, task, "op %u does not exist", t->op);
  uint32_t n = (uint32_t)t->n_reads + t->n_writes;
  if (n > DAG_MAX_OPERANDS)
    return fail(c, task, "it has %u operands; the limit is %d", n, DAG_MAX_OPERANDS);
  if (t->n_reads < 1 || t->n_writes < 1)
    return fail(c, task, "it reads %u and writes %u operands; it must read and write at least one",
                t->n_reads, t->n_writes);
  if (t->group != DAG_NO_GROUP && t->group >= d->n_groups)
    return fail(c, task, "group %u does not exist; there are %u", t->group, d->n_groups);
  for (uint32_t i = 0; i < n; i++)
    if (check_view(c, task, i)) return c->e->status;
  const uint32_t *deps = dag_deps(d, t);
  for (uint32_t i = 0; i < t->n_deps; i++) {
    if (deps[i] >= task)
      return fail(c, task, "it depends on task %u, which does not come before it",
                  deps[i] < d->n_tasks ? id_of(c, deps[i]) : deps[i]);
    if (i > 0 && deps[i - 1] >= deps[i])
      return fail(c, task, "its dependencies are not in ascending order");
  }
  return ERR_OK;
}

/* ---- shapes -----------------------------------------------------------------------------------
 */

/* The shapes that ops want, as they stand in messages: a letter a dimension, one value a letter
 * within a task; '1' is one; '=' is any shape, the same for all '='. Behind '?' stands an operand
 * of role scale that may be left out; '|' parts the shapes that it may have. */
static const char *const SIGNATURE[OP_COUNT] = {
    [OP_RMSNORM] = "x(T,C) w(C) > y(T,C)",
    [OP_MATMUL] = "x(T,K) w(N,K) ?scales(N|N,G) > y(T,N)",
    [OP_MATMUL_ACC] = "x(T,K) w(N,K) ?scales(N|N,G) sum(T,N) > y(T,N)",
    [OP_MATMUL_SILU] = "x(T,K) w(N,K) ?scales(N|N,G) gate(T,N) > y(T,N)",
    [OP_MATMUL_ACC_SILU] = "x(T,K) w(N,K) ?scales(N|N,G) sum(T,N) gate(T,N) > y(T,N)",
    [OP_MATMUL_ROPE] = "x(T,K) w(C,K) ?scales(C|C,G) > y(T,C)",
    [OP_MATMUL_ACC_ROPE] = "x(T,K) w(C,K) ?scales(C|C,G) sum(T,C) > y(T,C)",
    [OP_MATMUL_ADD] = "x(T,K) w(N,K) ?scales(N|N,G) residual(T,N) > y(T,N)",
    [OP_FLASH] = "q(T,C) k(m,N,d) v(m,N,d) ?scales(m,N|m,N,1) ?scales(m,N|m,N,1) > o(H,T,d) "
                 "max(H,T) sum(H,T)",
    [OP_FLASH_ACC] = "q(T,C) k(m,N,d) v(m,N,d) ?scales(m,N|m,N,1) ?scales(m,N|m,N,1) o(H,T,d) "
                     "max(H,T) sum(H,T) > "
                     "o(H,T,d) max(H,T) sum(H,T)",
    [OP_FLASH_OUT] = "q(T,C) k(m,N,d) v(m,N,d) ?scales(m,N|m,N,1) ?scales(m,N|m,N,1) > y(T,C)",
    [OP_FLASH_ACC_OUT] = "q(T,C) k(m,N,d) v(m,N,d) ?scales(m,N|m,N,1) ?scales(m,N|m,N,1) "
                         "o(H,T,d) max(H,T) sum(H,T) > y(T,C)",
    [OP_COPY] = "x(=) > y(=)",
    [OP_EMBED] = "rows(T,C) ?scales(T|T,G) > y(T,C)",
    [OP_ARGMAX] = "logits(T,N) > id(T,1)",
    [OP_ROPE] = "x(T,C) > y(T,C)",
    [OP_KVAPPEND] = "rows(T,C) > tile(m,T,d) ?scales(m,T|m,T,1)",
    [OP_QK] = "q(T,C) k(m,N,d) ?scales(m,N|m,N,1) > s(H,T,N)",
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
  return fail(c, task, "%s '%.200s' has shape %s; %s wants %s%s", operand(t, i, at),
              tensor_of(c, v)->name, shape_text(v, tensor_of(c, v)->rank, shape),
              op_name((op)t->op), SIGNATURE[t->op], known);
}

/* One operand against one word of the signature. */
static bool operand_fits(const check *c, const dag_view *v, const char *word, shapes *s) {
  const dag_tensor *x = tensor_of(c, v);
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
  return tensor_of(c, v)->role == DAG_SCALE;
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
  return fail(c, task, "it reads %u and writes %u operands; %s wants %s", t->n_reads, t->n_writes,
              op_name((op)t->op), SIGNATURE[t->op]);
}

static bool is_integer(dtype d) {
  return d == DT_INT8 || d == DT_INT4;
}

/* Scales belong to an integer tensor: one a row, or for int4 weights one for 32 columns. */
static int check_scales(const check *c, uint32_t task, const dag_view *scales, const dag_view *of,
                        bool weight) {
  dtype dt = (dtype)tensor_of(c, of)->dtype;
  const char *name = tensor_of(c, scales)->name;
  if (!is_integer(dt))
    return fail(c, task, "it has scales '%.200s', but '%.200s' is %s, which takes none", name,
                tensor_of(c, of)->name, dtype_name(dt));
  if (!weight) return ERR_OK;
  uint32_t want = dt == DT_INT4 ? (of->len[1] + 31) / 32 : 1;
  if (scales->len[1] == want) return ERR_OK;
  return fail(c, task, "scales '%.200s' have %u columns; a row of %u %s values has %u", name,
              scales->len[1], of->len[1], dtype_name(dt), want);
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
      return fail(c, task, "%" PRIu64 " columns are not whole heads of %" PRIu64, C,
                  head_dim == 0 ? 2 : head_dim);
    if (t->op == OP_ROPE || t->n_reads < 3 || !is_scale(c, &r[2])) return ERR_OK;
    return check_scales(c, task, &r[2], &r[1], true);
  case OP_KVAPPEND:
    if (C != m * d)
      return fail(c, task, "%" PRIu64 " columns are not %" PRIu64 " heads of %" PRIu64, C, m, d);
    return t->n_writes < 2 ? ERR_OK : check_scales(c, task, &w[1], &w[0], false);
  case OP_FLASH:
  case OP_FLASH_ACC:
  case OP_FLASH_OUT:
  case OP_FLASH_ACC_OUT:
  case OP_QK:
  case OP_PV:
    if (t->op == OP_FLASH_OUT) H = C / d; /* no operand says it */
    if (C != H * d)
      return fail(c, task, "%" PRIu64 " columns are not %" PRIu64 " heads of %" PRIu64, C, H, d);
    if (H % m != 0)
      return fail(c, task, "%" PRIu64 " heads do not share %" PRIu64 " KV heads evenly", H, m);
    if (t->op != OP_QK && t->op != OP_PV) return ERR_OK;
    return t->n_reads < 3 ? ERR_OK : check_scales(c, task, &r[2], &r[1], false);
  case OP_MATMUL:
  case OP_MATMUL_ACC:
  case OP_MATMUL_SILU:
  case OP_MATMUL_ACC_SILU:
  case OP_MATMUL_ADD:
    if (t->n_reads < 3 || !is_scale(c, &r[2])) return ERR_OK;
    return check_scales(c, task, &r[2], &r[1], true);
  default:
    return ERR_OK;
  }
}

static int check_compute(const check *c, uint32_t task) {
  const dag_task *t = &c->d->tasks[task];
  const dag_view *v = dag_reads(c->d, t);
  char at[24];
  for (uint32_t i = 0; i < (uint32_t)t->n_reads + t->n_writes; i++)
    if (tensor_of(c, &v[i])->space == DAG_DRAM)
      return fail(c, task, "%s '%.200s' is in dram; a compute task reads and writes sram only",
                  operand(t, i, at), tensor_of(c, &v[i])->name);
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
  uint16_t from = tensor_of(c, &r[i])->space, to = tensor_of(c, &w[i])->space;
  char a[DAG_SPACE_TEXT], b[DAG_SPACE_TEXT];
  if ((from == DAG_DRAM) != (kind == OP_LOAD) || (to == DAG_DRAM) != (kind == OP_STORE) ||
      from == to)
    return fail(c, task, "operand %u goes from %s to %s; %s", i, dag_space_name((dag_space)from, a),
                dag_space_name((dag_space)to, b), RULE[kind]);
  if (from != tensor_of(c, &r[0])->space || to != tensor_of(c, &w[0])->space)
    return fail(c, task, "operand %u goes from %s to %s, and operand 0 elsewhere; a %s is one copy",
                i, dag_space_name((dag_space)from, a), dag_space_name((dag_space)to, b),
                op_kind_name(kind));
  return ERR_OK;
}

static int check_transfer(const check *c, uint32_t task) {
  const dag_task *t = &c->d->tasks[task];
  const dag_view *r = dag_reads(c->d, t), *w = dag_writes(c->d, t);
  if (t->group != DAG_NO_GROUP)
    return fail(c, task, "it has a group, but groups share an engine and DMA runs this task");
  if (t->op == OP_LOAD_EMBED) {
    const dag_view *ids = &r[t->n_reads - 1];
    if (t->n_reads != t->n_writes + 1)
      return fail(
          c, task,
          "it reads %u and writes %u operands; it reads the table, its scales if any, and the ids",
          t->n_reads, t->n_writes);
    if (tensor_of(c, ids)->space != DAG_SRAM || tensor_of(c, ids)->dtype != DT_INT32 ||
        ids->len[0] != w[0].len[0])
      return fail(c, task, "ids '%.200s' must be int32 in sram, one a row that is gathered",
                  tensor_of(c, ids)->name);
  } else if (t->n_reads != t->n_writes)
    return fail(c, task,
                "it reads %u and writes %u operands; a transfer copies each read to one write",
                t->n_reads, t->n_writes);
  for (uint32_t i = 0; i < t->n_writes; i++) {
    const dag_tensor *from = tensor_of(c, &r[i]), *to = tensor_of(c, &w[i]);
    if (check_spaces(c, task, i)) return c->e->status;
    char a[64], b[64];
    uint32_t any =
        t->op == OP_LOAD_EMBED ? 1 : 0; /* the first dimension is what the ids choose from */
    if (memcmp(r[i].len + any, w[i].len + any, sizeof r[i].len - any * sizeof r[i].len[0]) != 0)
      return fail(c, task, "reads[%u] has shape %s and writes[%u] %s; a copy keeps the shape", i,
                  shape_text(&r[i], from->rank, a), i, shape_text(&w[i], to->rank, b));
    if (from->dtype != to->dtype)
      return fail(c, task, "reads[%u] is %s and writes[%u] is %s; a copy keeps the dtype", i,
                  dtype_name((dtype)from->dtype), i, dtype_name((dtype)to->dtype));
  }
  return ERR_OK;
}

/* ---- sums -------------------------------------------------------------------------------------
 */

static bool add(uint64_t *sum, uint64_t v) {
  if (v > DAG_MAX_SUM || *sum > DAG_MAX_SUM - v) return false;
  *sum += v;
  return true;
}

/* A bound on a compute task's FLOPs by its shapes, in double: its exact count may not fit 64 bits.
 */
static double flops_bound(const dag *d, const dag_task *t) {
  const dag_view *r = dag_reads(d, t), *w = dag_writes(d, t);
  switch ((op)t->op) {
  case OP_MATMUL:
  case OP_MATMUL_ACC:
    return 2 * (double)dag_view_elements(&w[0]) * r[0].len[1];
  case OP_QK:
    return (double)dag_view_elements(&w[0]) * (2 * (double)r[1].len[2] + 1);
  case OP_FLASH:
  case OP_FLASH_ACC:
    return (double)dag_view_elements(&w[0]) * (4 * (double)r[1].len[1] + 8);
  case OP_PV:
    return (double)dag_view_elements(&r[0]) * 2 * r[1].len[2];
  default:
    return 5 * (double)dag_view_elements(&r[0]);
  }
}

/* What a task moves: all operands of a compute task, one side of a transfer. */
static bool task_bytes(const dag *d, const dag_task *t, bool compute, uint64_t *bytes) {
  const dag_view *v = dag_reads(d, t);
  uint32_t n = compute ? (uint32_t)t->n_reads + t->n_writes : t->n_reads;
  *bytes = 0;
  for (uint32_t k = 0; k < n; k++)
    if (!add(bytes, dag_view_bytes(d, &v[k]))) return false;
  return *bytes <= DAG_MAX_TENSOR_B;
}

static int check_sums(const check *c) {
  const dag *d = c->d;
  uint64_t tensors_B = 0, moved_B = 0, flops = 0, bytes;
  for (size_t i = 0; i < d->n_tensors; i++)
    if (!add(&tensors_B, dag_tensor_bytes(&d->tensors[i])))
      return err_set(c->e, ERR_BAD, "%s: its tensors hold more than 2^62 bytes, which is the limit",
                     c->where);
  for (uint32_t i = 0; i < d->n_tasks; i++) {
    const dag_task *t = &d->tasks[i];
    bool compute = op_kind_of((op)t->op) == OP_COMPUTE;
    if (compute && flops_bound(d, t) > (double)DAG_MAX_SUM)
      return fail(c, i, "it takes more than 2^62 FLOPs, which is the limit");
    if (!task_bytes(d, t, compute, &bytes))
      return fail(c, i, "it moves more than 2^50 bytes, which is the limit");
    cost x = cost_of(d, i);
    if (!add(&moved_B, bytes) || !add(&flops, x.matrix_flops) || !add(&flops, x.vector_flops))
      return fail(c, i,
                  "with it, the DAG's bytes or FLOPs sum to more than 2^62, which is the limit");
  }
  return ERR_OK;
}

/* ---- hazards ----------------------------------------------------------------------------------
 */

static void index_writes(check *c) {
  const dag *d = c->d;
  haz_write *w = ARENA_NEW(&c->scratch, haz_write, d->n_views);
  size_t n = 0;
  for (uint32_t i = 0; i < d->n_tasks; i++)
    for (uint32_t k = 0; k < d->tasks[i].n_writes; k++)
      w[n++] = (haz_write){.view = dag_writes(d, &d->tasks[i]) + k, .task = i};
  c->haz = haz_new(w, n, d->n_tensors, &c->scratch);
}

static int check_written_once(check *c) {
  haz_write pair[2];
  haz_verdict v = haz_find_double(&c->haz, pair);
  if (v == HAZ_NONE) return ERR_OK;
  if (v == HAZ_TANGLED)
    return err_set(c->e, ERR_BAD,
                   "%s: its writes lie too intricately to tell whether an element is written twice",
                   c->where);
  const char *name = tensor_of(c, pair[0].view)->name;
  if (pair[0].task == pair[1].task)
    return fail(c, pair[0].task, "it writes elements of '%.200s' twice", name);
  return fail(c, pair[1].task, "it writes elements of '%.200s' that task %u '%.200s' writes, too",
              name, id_of(c, pair[0].task), c->d->tasks[pair[0].task].name);
}

static bool depends_on(const dag *d, const dag_task *t, uint32_t task) {
  const uint32_t *deps = dag_deps(d, t);
  uint32_t lo = 0, hi = t->n_deps;
  while (lo < hi) {
    uint32_t mid = lo + (hi - lo) / 2;
    if (deps[mid] < task)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo < t->n_deps && deps[lo] == task;
}

/* What a task reads was written before, all of it if it is in SRAM, by tasks that it depends on. */
static int check_read(check *c, uint32_t task, uint32_t i) {
  const dag *d = c->d;
  const dag_task *t = &d->tasks[task];
  const dag_view *v = dag_reads(d, t) + i;
  const dag_tensor *x = tensor_of(c, v);
  if (!haz_query(&c->haz, v, &c->hits))
    return fail(c, task, "the DAG's reads and writes lie too intricately to be checked");
  uint64_t missing = dag_view_elements(v);
  for (size_t k = 0; k < c->hits.n; k++) {
    uint32_t w = c->hits.items[k].task;
    if (w >= task)
      return fail(c, task, "it reads elements of '%.200s' that %s %u writes", x->name,
                  w == task ? "it writes itself, as task" : "the later task", id_of(c, w));
    if (!depends_on(d, t, w))
      return fail(c, task,
                  "it reads elements of '%.200s' that task %u writes, but does not depend on it",
                  x->name, id_of(c, w));
    missing -= c->hits.items[k].elements;
  }
  char space[DAG_SPACE_TEXT];
  if (x->space != DAG_DRAM && missing > 0)
    return fail(c, task, "it reads %s of '%.200s' in %s that no earlier task writes",
                missing == dag_view_elements(v) ? "elements" : "some elements", x->name,
                dag_space_name((dag_space)x->space, space));
  return ERR_OK;
}

static int check_hazards(check *c) {
  index_writes(c);
  if (check_written_once(c)) return c->e->status;
  for (uint32_t i = 0; i < c->d->n_tasks; i++)
    for (uint32_t k = 0; k < c->d->tasks[i].n_reads; k++)
      if (check_read(c, i, k)) return c->e->status;
  return ERR_OK;
}

int dag_check_ids(const dag *d, const char *where, const uint32_t *ids, err *e) {
  check c = {.d = d, .where = where, .ids = ids, .e = e};
  for (uint32_t i = 0; i < d->n_tensors; i++)
    if (check_tensor(&c, i)) return e->status;
  for (uint32_t i = 0; i < d->n_tasks; i++) {
    if (check_record(&c, i)) return e->status;
    bool compute = op_kind_of((op)d->tasks[i].op) == OP_COMPUTE;
    if (compute ? check_compute(&c, i) : check_transfer(&c, i)) return e->status;
  }
  int status = check_sums(&c);
  if (status == ERR_OK) status = check_hazards(&c);
  free(c.hits.items);
  arena_free(&c.scratch);
  return status;
}

int dag_check(const dag *d, const char *where, err *e) {
  return dag_check_ids(d, where, NULL, e);
}
