/* The DAG as Graphviz and as Chakra: read back, and held against the DAG and its costs. */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/json.h"
#include "workloads/block.h"
#include "workloads/cost.h"
#include "workloads/dag_format.h"
#include "tests/suite.h"

static arena mem;
static err fault;

static void setup(void) {
  mem = (arena){0};
  fault = (err){0};
}

static void teardown(void) {
  arena_free(&mem);
}

static dag *must_read(const char *text) {
  dag *d = NULL;
  int status = dag_read_json("f.json", (const unsigned char *)text, strlen(text), &d, &mem, &fault);
  ck_assert_msg(status == ERR_OK, "%s", fault.msg);
  return d;
}

static const char *file_text(const char *name) {
  file_bytes b;
  const char *path = arena_printf(&mem, "%s/%s", TESTS_DIR, name);
  ck_assert_msg(file_read(path, 1 << 20, &b, &mem, &fault) == ERR_OK, "%s", fault.msg);
  return (const char *)b.data;
}

/* linear.json with one thing replaced. */
static dag *linear_with(const char *find, const char *replace) {
  const char *text = file_text("corpus/dag/linear.json"), *at = strstr(text, find);
  ck_assert_ptr_nonnull(at);
  return must_read(
      arena_printf(&mem, "%.*s%s%s", (int)(at - text), text, replace, at + strlen(find)));
}

static const char *written(const dag *d, const char *format) {
  const dag_format *f = dag_format_find(format);
  ck_assert_ptr_nonnull(f);
  out *o = out_memory();
  f->write(d, o);
  size_t n;
  const char *text = out_text(o, &n);
  ck_assert_uint_eq(n, strlen(text));
  text = arena_strndup(&mem, text, n);
  out_abort(o);
  return text;
}

enum { COMPILED = 24 };

/* Splits x phases x dtypes of a small model. */
static dag *compiled(int i) {
  static const model M = {.name = "tiny",
                          .source = "test",
                          .hidden_size = 64,
                          .intermediate_size = 160,
                          .num_hidden_layers = 4,
                          .num_attention_heads = 4,
                          .num_key_value_heads = 2,
                          .head_dim = 16,
                          .vocab_size = 100,
                          .max_position_embeddings = 4096,
                          .rms_norm_eps = 1e-5,
                          .rope_theta = 500000};
  static const char *const DTYPE[] = {"f32", "bf16", "w8a8", "w4a16"};
  wl_options o = wl_defaults();
  o.split = (wl_split)(i % WL_SPLIT_COUNT);
  o.layers = 2;
  o.batch = 2;
  if (i / 12 == 1) o.phase = "prefill", o.past = 0, o.tokens = 7;
  const char *dt = DTYPE[i / 3 % 4];
  ck_assert_int_eq(wl_dtype_parse(dt, &o.weight_dtype, &o.act_dtype, &o.kv_dtype, &fault), ERR_OK);
  wl_target t = {.engines = 3, .sram_B = 1 << 16};
  dag *d;
  ck_assert_msg(wl_compile(&M, &o, &t, &d, &mem, &fault) == ERR_OK, "%s", fault.msg);
  return d;
}

/* ---- registry, edges --------------------------------------------------------------------------
 */

START_TEST(dag_format_find__every_name__itself_and_nothing_else) {
  ck_assert_uint_eq(dag_format_count(), 3);
  for (size_t i = 0; i < dag_format_count(); i++) {
    ck_assert_ptr_eq(dag_format_find(dag_format_at(i)->name), dag_format_at(i));
    ck_assert_str_ne(dag_format_at(i)->text, "");
  }
  ck_assert_str_eq(dag_format_at(0)->name, "json");
  ck_assert_ptr_null(dag_format_find("yaml"));
}
END_TEST

START_TEST(dag_edge_bytes__overlap_of_writes_and_reads__its_bytes) {
  dag *d = linear_with("\"deps\": [2, 3]", "\"deps\": [0]");
  ck_assert_uint_eq(dag_edge_bytes(d, 0, 2), 2 * 8 * 2);
  ck_assert_uint_eq(dag_edge_bytes(d, 1, 3), 2 * 8 * 2); /* rows 2 and 3 of 4 */
  ck_assert_uint_eq(dag_edge_bytes(d, 3, 4), 2 * 2 * 2); /* half of y */
  ck_assert_uint_eq(dag_edge_bytes(d, 0, 4), 0);
  ck_assert_uint_eq(dag_edge_bytes(d, 2, 3), 0);
}
END_TEST

START_TEST(dag_formats__written_after_reading_back__same_bytes) {
  dag *d = compiled(_i), *r = must_read(written(d, "json"));
  for (size_t i = 0; i < dag_format_count(); i++)
    ck_assert_str_eq(written(d, dag_format_at(i)->name), written(r, dag_format_at(i)->name));
}
END_TEST

/* ---- chakra -----------------------------------------------------------------------------------
 */

static json_doc parse(const char *text) {
  json_doc doc = {0};
  int status = json_parse("text", (const unsigned char *)text, strlen(text), &doc, &fault);
  ck_assert_msg(status == ERR_OK, "%s", fault.msg);
  return doc;
}

/* The value of an attribute; fails where its type is another. NULL: there is none. */
static const json *attr(const json *node, const char *name, const char *type) {
  const json *found = NULL;
  for (const json *a = json_first(json_get(node, "attr")); a != NULL; a = json_next(a)) {
    ck_assert_uint_eq(json_count(a), 2); /* a name and one typed value */
    if (strcmp(json_str(json_get(a, "name")), name) != 0) continue;
    ck_assert_ptr_null(found);
    found = json_get(a, type);
    ck_assert_msg(found != NULL, "%s is no %s", name, type);
  }
  return found;
}

static uint64_t number(const json *v) {
  ck_assert(json_is_string(v)); /* protobuf writes 64-bit integers as strings */
  return strtoull(json_str(v), NULL, 10);
}

/* The ids under `key` are the dependencies that carry data, or those that do not, in order. */
static void check_deps(const dag *d, uint32_t id, const json *node, const char *key, bool data) {
  const dag_task *t = &d->tasks[id];
  const json *list = json_get(node, key), *at = json_first(list);
  for (uint32_t k = 0; k < t->n_deps; k++) {
    uint32_t from = dag_deps(d, t)[k];
    if ((dag_edge_bytes(d, from, id) > 0) != data) continue;
    ck_assert_ptr_nonnull(at);
    ck_assert_uint_eq(number(at), from);
    at = json_next(at);
  }
  ck_assert_ptr_null(at);
  ck_assert(list == NULL || json_count(list) > 0);
}

/* The lists of an IOInfo are JSON in a string. */
static void check_operands(const dag *d, const json *info, const dag_view *v, uint32_t n) {
  json_doc values = parse(json_str(json_get(info, "values")));
  json_doc shapes = parse(json_str(json_get(info, "shapes")));
  json_doc types = parse(json_str(json_get(info, "types")));
  ck_assert_uint_eq(json_count(values.root), n);
  ck_assert_uint_eq(json_count(shapes.root), n);
  ck_assert_uint_eq(json_count(types.root), n);
  const json *name = json_first(values.root), *shape = json_first(shapes.root),
             *type = json_first(types.root);
  for (uint32_t i = 0; i < n; i++) {
    const dag_tensor *t = &d->tensors[v[i].tensor];
    ck_assert_str_eq(json_str(name), t->name);
    ck_assert_str_eq(json_str(type), dtype_name((dtype)t->dtype));
    ck_assert_uint_eq(json_count(shape), t->rank);
    uint8_t k = 0;
    for (const json *x = json_first(shape); x != NULL; x = json_next(x), k++)
      ck_assert(json_num(x) == v[i].len[k]);
    name = json_next(name), shape = json_next(shape), type = json_next(type);
  }
  json_free(&values);
  json_free(&shapes);
  json_free(&types);
}

/* One node against its task; adds to the totals. */
static void check_node(const dag *d, uint32_t id, const json *node, cost_totals *sum) {
  const dag_task *t = &d->tasks[id];
  cost c = cost_of(d, id);
  const char *type = json_str(json_get(node, "type"));
  ck_assert_uint_eq(number(json_get(node, "id")), id);
  ck_assert_str_eq(json_str(json_get(node, "name")),
                   arena_printf(&mem, "%s %s", op_name((op)t->op), t->name));
  ck_assert(!json_true(attr(node, "is_cpu_op", "bool_val")));
  ck_assert_str_eq(json_str(attr(node, "op_type", "string_val")), op_name((op)t->op));
  ck_assert(json_num(attr(node, "layer", "uint32_val")) == t->layer);
  const json *group = attr(node, "group", "uint32_val");
  ck_assert(t->group == DAG_NO_GROUP ? group == NULL : json_num(group) == t->group);
  const json *ops = attr(node, "num_ops", "int64_val");
  uint64_t bytes = number(attr(node, "tensor_size", "uint64_val"));
  if (strcmp(type, "COMP_NODE") == 0) {
    ck_assert_uint_eq(number(ops), c.matrix_flops + c.vector_flops);
    ck_assert_uint_eq(bytes, c.operand_B);
    sum->compute++, sum->matrix_flops += number(ops);
  } else {
    bool load = strcmp(type, "MEM_LOAD_NODE") == 0;
    ck_assert(load || strcmp(type, "MEM_STORE_NODE") == 0);
    ck_assert_ptr_null(ops);
    ck_assert_uint_eq(bytes, c.transfer_B);
    if (load) sum->load++, sum->dram_read += bytes;
    if (!load) sum->store++, sum->dram_write += bytes;
  }
  check_deps(d, id, node, "data_deps", true);
  check_deps(d, id, node, "ctrl_deps", false);
  check_operands(d, json_get(node, "inputs"), dag_reads(d, t), t->n_reads);
  check_operands(d, json_get(node, "outputs"), dag_writes(d, t), t->n_writes);
}

static void check_chakra(const dag *d) {
  json_doc doc = parse(written(d, "chakra"));
  const json *nodes = json_get(doc.root, "nodes"), *node = json_first(nodes);
  ck_assert_str_eq(json_str(json_get(json_get(doc.root, "metadata"), "version")), "0.0.4");
  ck_assert_uint_eq(json_count(nodes), d->n_tasks);
  cost_totals sum = {0}, want = cost_sum(d);
  for (uint32_t i = 0; i < d->n_tasks; i++, node = json_next(node)) check_node(d, i, node, &sum);
  ck_assert_uint_eq(sum.compute, want.compute);
  ck_assert_uint_eq(sum.load, want.load);
  ck_assert_uint_eq(sum.store, want.store);
  ck_assert_uint_eq(sum.matrix_flops, want.matrix_flops + want.vector_flops);
  ck_assert_uint_eq(sum.dram_read, want.dram_read);
  ck_assert_uint_eq(sum.dram_write, want.dram_write);
  json_free(&doc);
}

START_TEST(dag_write_chakra__compiled__nodes_are_the_tasks_and_totals_the_costs) {
  check_chakra(compiled(_i));
}
END_TEST

START_TEST(dag_write_chakra__by_hand__order_beyond_data_is_ctrl_deps) {
  dag *d = linear_with("\"deps\": [2, 3]", "\"deps\": [0]");
  check_chakra(d);
  const char *text = written(d, "chakra");
  ck_assert_ptr_nonnull(strstr(text, "\"ctrl_deps\": [\"0\"], \"data_deps\": [\"2\", \"3\"]"));
}
END_TEST

static const char NASTY[] = "a \\\"b\\\\ & {c} \\u00e9;"; /* in JSON */

START_TEST(dag_write_chakra__names_with_quotes_and_backslashes__read_back) {
  check_chakra(linear_with("\"left\"", arena_printf(&mem, "\"%s\"", NASTY)));
}
END_TEST

/* ---- dot --------------------------------------------------------------------------------------
 */

/* Braces outside of strings nest and end at 0; every string ends on its line. */
static void check_balanced(const char *text) {
  int depth = 0;
  bool quoted = false;
  for (const char *p = text; *p != '\0'; p++) {
    if (quoted && *p == '\\')
      p++;
    else if (*p == '"')
      quoted = !quoted;
    else if (!quoted)
      depth += (*p == '{') - (*p == '}');
    ck_assert(depth >= 0 && *p != '\0' && !(quoted && *p == '\n'));
    ck_assert(depth > 0 || p[0] != '}' || p[1] == '\n');
  }
  ck_assert(depth == 0 && !quoted);
}

/* Every task is a node, in order, and every dependency an edge, in order; and nothing else is. */
static void check_dot(const dag *d) {
  const char *text = written(d, "dot");
  check_balanced(text);
  uint32_t nodes = 0, to = 0, dep = 0;
  char *copy = arena_strdup(&mem, text), *save = NULL;
  for (char *line = strtok_r(copy, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
    const char *begin;
    if (strncmp(line, "    t", 5) == 0) {
      begin = arena_printf(&mem, "    t%u [fillcolor=\"#", nodes);
      ck_assert_msg(strncmp(line, begin, strlen(begin)) == 0, "%s", line);
      ck_assert_ptr_nonnull(strstr(line, op_name((op)d->tasks[nodes].op)));
      nodes++;
    } else if (strncmp(line, "  t", 3) == 0) {
      while (dep == d->tasks[to].n_deps) to++, dep = 0;
      uint32_t from = dag_deps(d, &d->tasks[to])[dep++];
      uint64_t bytes = dag_edge_bytes(d, from, to);
      begin = arena_printf(&mem, "  t%u -> t%u [", from, to);
      const char *rest =
          bytes == 0 ? "style=dashed];" : arena_printf(&mem, "label=\"%" PRIu64 " B\"];", bytes);
      ck_assert_str_eq(line, arena_printf(&mem, "%s%s", begin, rest));
    }
  }
  while (to < d->n_tasks && dep == d->tasks[to].n_deps) to++, dep = 0;
  ck_assert_uint_eq(nodes, d->n_tasks);
  ck_assert_uint_eq(to, d->n_tasks);
}

START_TEST(dag_write_dot__compiled__balanced_with_each_task_and_edge_once) {
  check_dot(compiled(_i));
}
END_TEST

START_TEST(dag_write_dot__by_hand__label_has_op_name_shapes_and_cost) {
  dag *d = linear_with("\"deps\": [2, 3]", "\"deps\": [0]");
  check_dot(d);
  const char *text = written(d, "dot");
  ck_assert_ptr_nonnull(
      strstr(text, "label=\"MatMul right\\n2x8 bf16, 2x8 bf16 -> 2x2 bf16\\n64 FLOP\"];\n"));
  ck_assert_ptr_nonnull(strstr(text, "label=\"LoadWeight w\\n4x8 bf16\\n64 B\"];\n"));
  ck_assert_ptr_nonnull(strstr(text, "  t0 -> t4 [style=dashed];\n"));
}
END_TEST

START_TEST(dag_write_dot__names_with_quotes_and_backslashes__escaped) {
  dag *d = linear_with("\"left\"", arena_printf(&mem, "\"%s\"", NASTY));
  check_dot(d);
  ck_assert_ptr_nonnull(
      strstr(written(d, "dot"), "label=\"MatMul a \\\"b\\\\ &amp; {c} \xc3\xa9;\\n"));
  check_dot(linear_with("\"left\"", "\"ends in \\\\\""));
}
END_TEST

START_TEST(dag_write_dot__layers__a_cluster_for_each_run_of_tasks) {
  dag *d = linear_with("\"group\": 0", "\"group\": 0, \"layer\": 7");
  check_dot(d);
  const char *text = written(d, "dot"), *at = strstr(text, "subgraph cluster_layer0 {");
  at = strstr(at, "subgraph cluster_layer7 {\n    label=\"layer 7\";\n    t2 ");
  ck_assert_ptr_nonnull(at);
  ck_assert_ptr_nonnull(strstr(at, "  }\n  subgraph cluster_layer0 {\n    label=\"layer 0\";\n"));
}
END_TEST

/* ---- the documented example -------------------------------------------------------------------
 */

START_TEST(example_dag__read__what_the_document_says) {
  dag *d = must_read(file_text("../docs/example-dag.json"));
  cost_totals c = cost_sum(d);
  ck_assert_uint_eq(c.compute, 3);
  ck_assert_uint_eq(c.load, 3);
  ck_assert_uint_eq(c.store, 1);
  ck_assert_uint_eq(c.matrix_flops, 2 * 2 * 1024 * 512);
  ck_assert_uint_eq(c.vector_flops, 5 * 1024);
  ck_assert_uint_eq(c.weights, 2 * 1024 * 512 * 2);
  check_chakra(d);
  check_dot(d);
}
END_TEST

int main(void) {
  Suite *s = suite_create("dag_formats");
  TCase *t = tcase_create("dag_formats");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 120);
  tcase_add_test(t, dag_format_find__every_name__itself_and_nothing_else);
  tcase_add_test(t, dag_edge_bytes__overlap_of_writes_and_reads__its_bytes);
  tcase_add_loop_test(t, dag_formats__written_after_reading_back__same_bytes, 0, COMPILED);
  tcase_add_loop_test(t, dag_write_chakra__compiled__nodes_are_the_tasks_and_totals_the_costs, 0,
                      COMPILED);
  tcase_add_test(t, dag_write_chakra__by_hand__order_beyond_data_is_ctrl_deps);
  tcase_add_test(t, dag_write_chakra__names_with_quotes_and_backslashes__read_back);
  tcase_add_loop_test(t, dag_write_dot__compiled__balanced_with_each_task_and_edge_once, 0,
                      COMPILED);
  tcase_add_test(t, dag_write_dot__by_hand__label_has_op_name_shapes_and_cost);
  tcase_add_test(t, dag_write_dot__names_with_quotes_and_backslashes__escaped);
  tcase_add_test(t, dag_write_dot__layers__a_cluster_for_each_run_of_tasks);
  tcase_add_test(t, example_dag__read__what_the_document_says);
  suite_add_tcase(s, t);
  return suite_run(s);
}
