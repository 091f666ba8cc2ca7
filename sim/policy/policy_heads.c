/* heads: static multi-head placement. Head h of H belongs to engine h*E/H from its projection to
 * its output, and so does that share of the columns of every linear layer. The share is read off
 * the data: of the tensor that a task writes a part of (or, where it writes a whole one, reads a
 * part of), the dimension that is cut finest says where the part lies. A task on whole tensors goes
 * with its latest compute input, else to the first engine. Each engine's order is by planned start
 * with upward ranks. */
#include "sim/policy/list_dag.h"

/* Where the part begins, as a share of the whole: 0 <= share < 1; negative where it is the whole.
 */
static double share_of(const dag *d, const dag_view *v) {
  const dag_tensor *x = &d->tensors[v->tensor];
  double share = -1, cut = 1;
  for (uint32_t i = 0; i < x->rank; i++) {
    double parts = v->len[i] == 0 ? 1 : (double)x->dim[i] / v->len[i];
    if (parts > cut) cut = parts, share = (double)v->lo[i] / (double)x->dim[i];
  }
  return share;
}

static uint32_t home_of(const pol_input *in, uint32_t t, const uint32_t *home) {
  const dag *d = in->dag;
  const dag_task *task = &d->tasks[t];
  const dag_view *v = dag_reads(d, task);
  double share = task->n_writes > 0 ? share_of(d, dag_writes(d, task)) : -1;
  for (uint32_t i = 0; share < 0 && i < task->n_reads; i++)
    if (d->tensors[v[i].tensor].role != DAG_WEIGHT) share = share_of(d, &v[i]);
  if (share >= 0) return (uint32_t)(share * (double)in->plat->n_engines);
  for (uint32_t i = task->n_deps; i-- > 0;)
    if (list_dag_is_compute(in, dag_deps(d, task)[i])) return home[dag_deps(d, task)[i]];
  return 0;
}

static int plan_heads(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)a, (void)e;
  arena scratch = {0};
  list_dag l = list_dag_new(in, &scratch);
  uint32_t *home = ARENA_NEW(&scratch, uint32_t, l.g.n);
  for (uint32_t t = 0; t < l.g.n; t++)
    home[t] = list_dag_is_compute(in, t) ? home_of(in, t, home) : LIST_NONE;
  double *rank = list_rank_up(&l.g, &scratch);
  list_dag_plan(&l, list_order(&l.g, rank, &scratch), l.g.n, NULL, home, plan);
  arena_free(&scratch);
  return ERR_OK;
}

const policy policy_heads = {.name = "heads",
                             .text =
                                 "static multi-head placement: each head, and its share of every "
                                 "linear layer, on one engine; knows shapes, and times for order",
                             .plan = plan_heads};
