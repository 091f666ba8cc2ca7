#include <inttypes.h>
#include <stdio.h>

#include "sim/base/json.h"
#include "workloads/cost.h"
#include "workloads/dag_format.h"

/* dag_write_chakra: the DAG as a Chakra execution trace. {"metadata": GlobalMetadata, "nodes":
 * [Node, ...]}, each message of the schema (et_def.proto) as protobuf writes it in JSON, with the
 * schema's own field names: enums by name, 64-bit integers as strings, empty fields left out.
 * The types of num_ops (int64) and tensor_size (uint64) are those that Chakra's feeder reads. */

#define CHAKRA_VERSION "0.0.4"

static const char *node_type(op o) {
  static const char *const TYPE[OP_KIND_COUNT] = {
      [OP_COMPUTE] = "COMP_NODE",
      [OP_LOAD] = "MEM_LOAD_NODE",
      [OP_STORE] = "MEM_STORE_NODE",
      [OP_MOVE] = "MEM_LOAD_NODE"}; /* Chakra knows no copy between memories of one chip */
  return TYPE[op_kind_of(o)];
}

static void put_u64(jw *w, const char *key, uint64_t v) {
  char text[24];
  snprintf(text, sizeof text, "%" PRIu64, v);
  jw_str(w, key, text);
}

/* ---- attributes -------------------------------------------------------------------------------
 */

static void begin_attr(jw *w, const char *name) {
  jw_object(w, NULL);
  jw_str(w, "name", name);
}

static void attr_str(jw *w, const char *name, const char *v) {
  begin_attr(w, name);
  jw_str(w, "string_val", v);
  jw_end(w);
}

static void attr_u64(jw *w, const char *name, const char *type, uint64_t v) {
  begin_attr(w, name);
  put_u64(w, type, v);
  jw_end(w);
}

static void attr_u32(jw *w, const char *name, uint32_t v) {
  begin_attr(w, name);
  jw_u64(w, "uint32_val", v);
  jw_end(w);
}

static void attr_bool(jw *w, const char *name, bool v) {
  begin_attr(w, name);
  jw_bool(w, "bool_val", v);
  jw_end(w);
}

/* ---- operands: the schema wants lists as text -------------------------------------------------
 */

static void put_name(out *o, const dag_tensor *t, const dag_view *v) {
  (void)v;
  out_json_str(o, t->name);
}

static void put_shape(out *o, const dag_tensor *t, const dag_view *v) {
  for (uint8_t k = 0; k < t->rank; k++) {
    out_str(o, k == 0 ? "[" : ", ");
    out_u64(o, v->len[k]);
  }
  out_char(o, ']');
}

static void put_dtype(out *o, const dag_tensor *t, const dag_view *v) {
  (void)v;
  out_json_str(o, dtype_name((dtype)t->dtype));
}

static void put_list(jw *w, const char *key, const dag *d, const dag_view *v, uint32_t n,
                     void (*put)(out *o, const dag_tensor *t, const dag_view *v)) {
  out *text = out_memory();
  out_char(text, '[');
  for (uint32_t i = 0; i < n; i++) {
    if (i > 0) out_str(text, ", ");
    put(text, &d->tensors[v[i].tensor], &v[i]);
  }
  out_char(text, ']');
  jw_str(w, key, out_text(text, NULL));
  out_abort(text);
}

static void put_operands(jw *w, const char *key, const dag *d, const dag_view *v, uint32_t n) {
  jw_object(w, key);
  put_list(w, "values", d, v, n, put_name);
  put_list(w, "shapes", d, v, n, put_shape);
  put_list(w, "types", d, v, n, put_dtype);
  jw_end(w);
}

/* ---- nodes ------------------------------------------------------------------------------------
 */

/* The dependencies that carry data, or those that do not. */
static void put_deps(jw *w, const char *key, const dag *d, uint32_t id, bool data) {
  const dag_task *t = &d->tasks[id];
  bool any = false;
  for (uint32_t k = 0; k < t->n_deps; k++) {
    uint32_t from = dag_deps(d, t)[k];
    if ((dag_edge_bytes(d, from, id) > 0) != data) continue;
    if (!any) jw_array(w, key);
    any = true;
    put_u64(w, NULL, from);
  }
  if (any) jw_end(w);
}

static void put_node(jw *w, const dag *d, uint32_t id, arena *scratch) {
  const dag_task *t = &d->tasks[id];
  cost c = cost_of(d, id);
  bool compute = op_kind_of((op)t->op) == OP_COMPUTE;
  jw_object(w, NULL);
  put_u64(w, "id", id);
  jw_str(w, "name", arena_printf(scratch, "%s %s", op_name((op)t->op), t->name));
  jw_str(w, "type", node_type((op)t->op));
  put_deps(w, "ctrl_deps", d, id, false);
  put_deps(w, "data_deps", d, id, true);
  put_operands(w, "inputs", d, dag_reads(d, t), t->n_reads);
  put_operands(w, "outputs", d, dag_writes(d, t), t->n_writes);
  jw_array(w, "attr");
  attr_bool(w, "is_cpu_op", false);
  attr_str(w, "op_type", op_name((op)t->op));
  if (compute) attr_u64(w, "num_ops", "int64_val", c.matrix_flops + c.vector_flops);
  attr_u64(w, "tensor_size", "uint64_val", compute ? c.operand_B : c.transfer_B);
  attr_u32(w, "layer", t->layer);
  if (t->group != DAG_NO_GROUP) attr_u32(w, "group", t->group);
  jw_end(w);
  jw_end(w);
}

static void put_metadata(jw *w, const dag_workload *x) {
  jw_object(w, "metadata");
  jw_str(w, "version", CHAKRA_VERSION);
  jw_array(w, "attr");
  attr_str(w, "generator", "llamasim");
  if (*x->model != '\0') attr_str(w, "model", x->model);
  if (*x->phase != '\0') attr_str(w, "phase", x->phase);
  attr_u64(w, "past", "uint64_val", x->past);
  attr_u64(w, "tokens", "uint64_val", x->tokens);
  attr_u64(w, "batch", "uint64_val", x->batch);
  jw_end(w);
  jw_end(w);
}

void dag_write_chakra(const dag *d, out *o) {
  jw w = jw_new(o, 2, 2); /* a line a node */
  arena scratch = {0};
  jw_object(&w, NULL);
  put_metadata(&w, &d->workload);
  jw_array(&w, "nodes");
  for (uint32_t i = 0; i < d->n_tasks; i++) {
    put_node(&w, d, i, &scratch);
    arena_free(&scratch);
  }
  jw_end(&w);
  jw_end(&w);
}
