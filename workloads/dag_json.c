#include "sim/base/json.h"
#include "workloads/dag.h"

#include <string.h>

/* dag_write_json; dag_read_json is in dag_read.c. */

static void write_model(jw *w, const dag_workload *x) {
  jw_object(w, "model");
  jw_str(w, "name", x->model);
  jw_u64(w, "head_dim", x->head_dim);
  jw_f64(w, "rms_norm_eps", x->rms_norm_eps);
  jw_f64(w, "rope_theta", x->rope_theta);
  if (x->rope_factor != 0) {
    jw_object(w, "rope_scaling");
    jw_f64(w, "factor", x->rope_factor);
    jw_f64(w, "low_freq_factor", x->rope_low_freq_factor);
    jw_f64(w, "high_freq_factor", x->rope_high_freq_factor);
    jw_u64(w, "original_max_position_embeddings", x->rope_original_max_position);
    jw_end(w);
  }
  jw_end(w);
}

static void write_workload(jw *w, const dag_workload *x) {
  jw_object(w, "workload");
  jw_str(w, "phase", x->phase);
  jw_u64(w, "past", x->past);
  jw_u64(w, "tokens", x->tokens);
  jw_u64(w, "steps", x->steps);
  jw_u64(w, "batch", x->batch);
  jw_u64(w, "layers", x->layers);
  jw_str(w, "weight_dtype", dtype_name(x->weight_dtype));
  jw_str(w, "act_dtype", dtype_name(x->act_dtype));
  jw_str(w, "kv_dtype", dtype_name(x->kv_dtype));
  jw_str(w, "split", x->split);
  jw_str(w, "attention", x->attention);
  jw_str(w, "kv_update", x->kv_update);
  jw_str(w, "fuse", x->fuse);
  jw_str(w, "resident", x->resident);
  jw_u64(w, "sram_plan_B", x->sram_plan_B);
  if (x->engines_plan > 0) jw_u64(w, "engines_plan", x->engines_plan);
  jw_end(w);
}

static void write_tensor(jw *w, uint32_t id, const dag_tensor *t) {
  jw_object(w, NULL);
  jw_u64(w, "id", id);
  jw_str(w, "name", t->name);
  jw_array(w, "shape");
  for (uint8_t i = 0; i < t->rank; i++) jw_u64(w, NULL, t->dim[i]);
  jw_end(w);
  jw_str(w, "dtype", dtype_name((dtype)t->dtype));
  jw_str(w, "role", dag_role_name((dag_role)t->role));
  char space[DAG_SPACE_TEXT];
  jw_str(w, "space", dag_space_name((dag_space)t->space, space));
  jw_end(w);
}

/* A view of the whole tensor says no more than that. */
static void write_view(jw *w, const dag *d, const dag_view *v) {
  const dag_tensor *t = &d->tensors[v->tensor];
  bool whole = true;
  for (uint8_t i = 0; i < t->rank; i++) whole = whole && v->len[i] == t->dim[i];
  jw_object(w, NULL);
  jw_u64(w, "tensor", v->tensor);
  if (!whole) {
    jw_array(w, "lo");
    for (uint8_t i = 0; i < t->rank; i++) jw_u64(w, NULL, v->lo[i]);
    jw_end(w);
    jw_array(w, "len");
    for (uint8_t i = 0; i < t->rank; i++) jw_u64(w, NULL, v->len[i]);
    jw_end(w);
  }
  jw_end(w);
}

static void write_task(jw *w, const dag *d, uint32_t id) {
  const dag_task *t = &d->tasks[id];
  jw_object(w, NULL);
  jw_u64(w, "id", id);
  jw_str(w, "name", t->name);
  jw_str(w, "op", op_name((op)t->op));
  jw_str(w, "kind", op_kind_name(op_kind_of((op)t->op)));
  jw_u64(w, "layer", t->layer);
  if (t->group != DAG_NO_GROUP) jw_u64(w, "group", t->group);
  jw_u64(w, "pos", t->pos);
  if (t->step > 0) jw_u64(w, "step", t->step);
  if (t->key > 0) jw_u64(w, "key", t->key);
  jw_array(w, "reads");
  for (uint32_t i = 0; i < t->n_reads; i++) write_view(w, d, dag_reads(d, t) + i);
  jw_end(w);
  jw_array(w, "writes");
  for (uint32_t i = 0; i < t->n_writes; i++) write_view(w, d, dag_writes(d, t) + i);
  jw_end(w);
  jw_array(w, "deps");
  for (uint32_t i = 0; i < t->n_deps; i++) jw_u64(w, NULL, dag_deps(d, t)[i]);
  jw_end(w);
  jw_end(w);
}

void dag_write_json(const dag *d, out *o) {
  jw w = jw_new(o, 2, 2); /* a line a tensor and task */
  jw_object(&w, NULL);
  jw_str(&w, "format", "llamasim-dag");
  jw_u64(&w, "version", 1);
  write_workload(&w, &d->workload);
  write_model(&w, &d->workload);
  jw_array(&w, "tensors");
  for (uint32_t i = 0; i < d->n_tensors; i++) write_tensor(&w, i, &d->tensors[i]);
  jw_end(&w);
  jw_array(&w, "tasks");
  for (uint32_t i = 0; i < d->n_tasks; i++) write_task(&w, d, i);
  jw_end(&w);
  jw_end(&w);
}
