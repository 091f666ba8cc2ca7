#include <inttypes.h>
#include <string.h>

#include "workloads/cost.h"
#include "workloads/dag_format.h"

/* dag_write_dot: the DAG as a Graphviz digraph. Nodes are coloured by class and boxed by layer; an
 * edge is labelled with the bytes that go over it, or dashed where it is order alone. */

enum { MOST_OPERANDS = 4 }; /* of a side, in a label */

static const char *colour(op o) {
  static const char *const COLOUR[][2] = {
      {"matmul", "#9ecae1"}, {"vector", "#c7e9c0"}, {"load", "#fdd0a2"}, {"store", "#dadaeb"}};
  for (size_t i = 0; i < sizeof COLOUR / sizeof COLOUR[0]; i++)
    if (strcmp(op_class(o), COLOUR[i][0]) == 0) return COLOUR[i][1];
  return "#eeeeee";
}

/* Text inside a quoted label: Graphviz reads escapes and HTML entities there. */
static void put_text(out *o, const char *s) {
  for (; *s != '\0'; s++) {
    if (*s == '"' || *s == '\\') out_char(o, '\\');
    if (*s == '&')
      out_str(o, "&amp;");
    else
      out_char(o, *s);
  }
}

/* "4x64 bf16, 64 f32" */
static void put_shapes(out *o, const dag *d, const dag_view *v, uint32_t n) {
  for (uint32_t i = 0; i < n && i < MOST_OPERANDS; i++) {
    const dag_tensor *t = &d->tensors[v[i].tensor];
    if (i > 0) out_str(o, ", ");
    for (uint8_t k = 0; k < t->rank; k++) {
      if (k > 0) out_char(o, 'x');
      out_u64(o, v[i].len[k]);
    }
    out_char(o, ' ');
    out_str(o, dtype_name((dtype)t->dtype));
  }
  if (n > MOST_OPERANDS) out_printf(o, ", %u more", n - MOST_OPERANDS);
}

/* A transfer keeps the shape, so that one side says it all. */
static void put_node(out *o, const dag *d, uint32_t id) {
  const dag_task *t = &d->tasks[id];
  cost c = cost_of(d, id);
  bool compute = op_kind_of((op)t->op) == OP_COMPUTE;
  out_printf(o, "    t%u [fillcolor=\"%s\", label=\"%s ", id, colour((op)t->op),
             op_name((op)t->op));
  put_text(o, t->name);
  out_str(o, "\\n");
  put_shapes(o, d, dag_reads(d, t), t->n_reads);
  if (compute) {
    out_str(o, " -> ");
    put_shapes(o, d, dag_writes(d, t), t->n_writes);
    out_printf(o, "\\n%" PRIu64 " FLOP\"];\n", c.matrix_flops + c.vector_flops);
  } else {
    out_printf(o, "\\n%" PRIu64 " B\"];\n", c.transfer_B);
  }
}

/* Tasks come in id order; Graphviz takes a cluster that is opened again for the one it knows. */
static void put_nodes(out *o, const dag *d) {
  for (uint32_t i = 0; i < d->n_tasks; i++) {
    uint32_t layer = d->tasks[i].layer;
    if (i == 0 || layer != d->tasks[i - 1].layer)
      out_printf(o, "  subgraph cluster_layer%u {\n    label=\"layer %u\";\n", layer, layer);
    put_node(o, d, i);
    if (i + 1 == d->n_tasks || layer != d->tasks[i + 1].layer) out_str(o, "  }\n");
  }
}

static void put_edges(out *o, const dag *d) {
  for (uint32_t i = 0; i < d->n_tasks; i++) {
    const dag_task *t = &d->tasks[i];
    for (uint32_t k = 0; k < t->n_deps; k++) {
      uint32_t from = dag_deps(d, t)[k];
      uint64_t bytes = dag_edge_bytes(d, from, i);
      out_printf(o, "  t%u -> t%u ", from, i);
      if (bytes > 0)
        out_printf(o, "[label=\"%" PRIu64 " B\"];\n", bytes);
      else
        out_str(o, "[style=dashed];\n");
    }
  }
}

void dag_write_dot(const dag *d, out *o) {
  const dag_workload *x = &d->workload;
  out_str(o, "digraph dag {\n  label=\"");
  put_text(o, x->model);
  if (*x->phase != '\0') {
    out_char(o, ' ');
    put_text(o, x->phase);
    out_printf(o, ", past %" PRIu64 ", tokens %" PRIu64, x->past, x->tokens);
  }
  out_str(o, "\";\n  node [shape=box, style=filled, fontname=\"Helvetica\", fontsize=10];\n"
             "  edge [fontname=\"Helvetica\", fontsize=8];\n");
  put_nodes(o, d);
  put_edges(o, d);
  out_str(o, "}\n");
}
