#include "workloads/dag_check_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int check_fail(const check *c, uint32_t task, const char *fmt, ...) {
  const dag_task *t = &c->d->tasks[task];
  char why[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(why, sizeof why, fmt, ap);
  va_end(ap);
  const char *name = t->name == NULL ? "" : t->name;
  return err_set(c->e, ERR_BAD, "%s: task %u '%.200s' (%s): %s", c->where, check_id(c, task), name,
                 t->op < OP_COUNT ? op_name((op)t->op) : "?", why);
}

/* ---- tensors and views ----------------------------------------------------------------------- */

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

const char *check_operand(const dag_task *t, uint32_t i, char buf[24]) {
  bool read = i < t->n_reads;
  snprintf(buf, 24, "%s[%u]", read ? "reads" : "writes", read ? i : i - t->n_reads);
  return buf;
}

static int check_view(const check *c, uint32_t task, uint32_t i) {
  const dag_task *t = &c->d->tasks[task];
  const dag_view *v = &c->d->views[t->view0 + i];
  char at[24];
  if (v->tensor >= c->d->n_tensors)
    return check_fail(c, task, "%s: there is no tensor %u", check_operand(t, i, at), v->tensor);
  const dag_tensor *x = check_tensor_of(c, v);
  for (int k = 0; k < DAG_RANK; k++)
    if (v->len[k] < 1 || (uint64_t)v->lo[k] + v->len[k] > x->dim[k])
      return check_fail(c, task,
                        "%s: elements %u..%" PRIu64
                        " of dimension %d are asked for, but '%.200s' has 0..%" PRIu64 " there",
                        check_operand(t, i, at), v->lo[k], (uint64_t)v->lo[k] + v->len[k] - 1, k,
                        x->name, x->dim[k] - 1);
  return ERR_OK;
}

static int check_record(const check *c, uint32_t task) {
  const dag *d = c->d;
  const dag_task *t = &d->tasks[task];
  if (t->op >= OP_COUNT) return check_fail(c, task, "op %u does not exist", t->op);
  uint32_t n = (uint32_t)t->n_reads + t->n_writes;
  if (n > DAG_MAX_OPERANDS)
    return check_fail(c, task, "it has %u operands; the limit is %d", n, DAG_MAX_OPERANDS);
  if (t->n_reads < 1 || t->n_writes < 1)
    return check_fail(c, task,
                      "it reads %u and writes %u operands; it must read and write at least one",
                      t->n_reads, t->n_writes);
  if (t->group != DAG_NO_GROUP && t->group >= d->n_groups)
    return check_fail(c, task, "group %u does not exist; there are %u", t->group, d->n_groups);
  for (uint32_t i = 0; i < n; i++)
    if (check_view(c, task, i)) return c->e->status;
  const uint32_t *deps = dag_deps(d, t);
  for (uint32_t i = 0; i < t->n_deps; i++) {
    if (deps[i] >= task)
      return check_fail(c, task, "it depends on task %u, which does not come before it",
                        deps[i] < d->n_tasks ? check_id(c, deps[i]) : deps[i]);
    if (i > 0 && deps[i - 1] >= deps[i])
      return check_fail(c, task, "its dependencies are not in ascending order");
  }
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
