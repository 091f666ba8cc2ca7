/* dag_check_priv.h - the parts of dag_check: dag_check.c looks at tensors, views and records,
 * dag_check_ops.c at what each op asks of its operands, dag_check_whole.c at what tasks do together
 * (sums, and who reads what another writes). For dag_check*.c only. */
#ifndef LS_DAG_CHECK_PRIV_H
#define LS_DAG_CHECK_PRIV_H

#include "workloads/dag_check.h"
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

/* The name of a task in messages. */
static inline uint32_t check_id(const check *c, uint32_t task) {
  return c->ids == NULL ? task : c->ids[task];
}

static inline const dag_tensor *check_tensor_of(const check *c, const dag_view *v) {
  return &c->d->tensors[v->tensor];
}

/* ERR_BAD, with the task before the text. */
int check_fail(const check *c, uint32_t task, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* "reads[1]" */
const char *check_operand(const dag_task *t, uint32_t i, char buf[24]);

/* The operands of a task whose record is sound. */
ERR_CHECK int check_compute(const check *c, uint32_t task);
ERR_CHECK int check_transfer(const check *c, uint32_t task);

/* The whole DAG, once every task is sound. */
ERR_CHECK int check_sums(const check *c);
ERR_CHECK int check_hazards(check *c);

#endif
