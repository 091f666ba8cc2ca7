/* What tasks do together: their sums stay in range, every element is written once, and what is read
 * was written before. */
#include "workloads/cost.h"
#include "workloads/dag_check_priv.h"

/* ---- sums ------------------------------------------------------------------------------------ */

static bool add(uint64_t *sum, uint64_t v) {
  if (v > DAG_MAX_SUM || *sum > DAG_MAX_SUM - v) return false;
  *sum += v;
  return true;
}

/* A bound on a compute task's FLOPs by its shapes, in double: the exact count may need more than
 * 64 bits. */
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

int check_sums(const check *c) {
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
      return check_fail(c, i, "it takes more than 2^62 FLOPs, which is the limit");
    if (!task_bytes(d, t, compute, &bytes))
      return check_fail(c, i, "it moves more than 2^50 bytes, which is the limit");
    cost x = cost_of(d, i);
    if (!add(&moved_B, bytes) || !add(&flops, x.matrix_flops) || !add(&flops, x.vector_flops))
      return check_fail(
          c, i, "with it, the DAG's bytes or FLOPs sum to more than 2^62, which is the limit");
  }
  return ERR_OK;
}

/* ---- hazards --------------------------------------------------------------------------------- */

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
  const char *name = check_tensor_of(c, pair[0].view)->name;
  if (pair[0].task == pair[1].task)
    return check_fail(c, pair[0].task, "it writes elements of '%.200s' twice", name);
  return check_fail(c, pair[1].task,
                    "it writes elements of '%.200s' that task %u '%.200s' writes, too", name,
                    check_id(c, pair[0].task), c->d->tasks[pair[0].task].name);
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
  const dag_tensor *x = check_tensor_of(c, v);
  if (!haz_query(&c->haz, v, &c->hits))
    return check_fail(c, task, "the DAG's reads and writes lie too intricately to be checked");
  uint64_t missing = dag_view_elements(v);
  for (size_t k = 0; k < c->hits.n; k++) {
    uint32_t w = c->hits.items[k].task;
    if (w >= task)
      return check_fail(c, task, "it reads elements of '%.200s' that %s %u writes", x->name,
                        w == task ? "it writes itself, as task" : "the later task", check_id(c, w));
    if (!depends_on(d, t, w))
      return check_fail(
          c, task, "it reads elements of '%.200s' that task %u writes, but does not depend on it",
          x->name, check_id(c, w));
    missing -= c->hits.items[k].elements;
  }
  char space[DAG_SPACE_TEXT];
  if (x->space != DAG_DRAM && missing > 0)
    return check_fail(c, task, "it reads %s of '%.200s' in %s that no earlier task writes",
                      missing == dag_view_elements(v) ? "elements" : "some elements", x->name,
                      dag_space_name((dag_space)x->space, space));
  return ERR_OK;
}

int check_hazards(check *c) {
  index_writes(c);
  if (check_written_once(c)) return c->e->status;
  for (uint32_t i = 0; i < c->d->n_tasks; i++)
    for (uint32_t k = 0; k < c->d->tasks[i].n_reads; k++)
      if (check_read(c, i, k)) return c->e->status;
  return ERR_OK;
}
