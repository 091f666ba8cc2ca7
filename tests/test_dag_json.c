/* The DAG as JSON: round trips, hand-written files, refusals with their messages, and random
 * damage. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/block.h"
#include "workloads/cost.h"
#include "workloads/dag.h"
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

static const char *corpus(const char *name) {
  file_bytes b;
  const char *path = arena_printf(&mem, "%s/corpus/dag/%s", TESTS_DIR, name);
  ck_assert_msg(file_read(path, 1 << 20, &b, &mem, &fault) == ERR_OK, "%s", fault.msg);
  return (const char *)b.data;
}

static int read_text(const char *text, dag **d) {
  fault = (err){0};
  return dag_read_json("f.json", (const unsigned char *)text, strlen(text), d, &mem, &fault);
}

static dag *must_read(const char *text) {
  dag *d = NULL;
  ck_assert_msg(read_text(text, &d) == ERR_OK, "%s", fault.msg);
  return d;
}

static const char *text_of(const dag *d) {
  out *o = out_memory();
  dag_write_json(d, o);
  size_t n;
  const char *text = out_text(o, &n);
  text = arena_strndup(&mem, text, n);
  out_abort(o);
  return text;
}

/* `text` with the first `find` replaced. */
static const char *with(const char *text, const char *find, const char *replace) {
  const char *at = strstr(text, find);
  ck_assert_msg(at != NULL, "'%s' is not in the text", find);
  return arena_printf(&mem, "%.*s%s%s", (int)(at - text), text, replace, at + strlen(find));
}

static dag *compiled(wl_split split, const char *phase, const char *dtype_text) {
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
                          .rope_theta = 500000,
                          .rope_scaling = {32, 1, 4, 8192}};
  wl_options o = wl_defaults();
  o.split = split;
  o.layers = 2;
  o.batch = 2;
  o.phase = phase;
  if (strcmp(phase, "prefill") == 0) o.past = 0, o.tokens = 7;
  ck_assert_int_eq(wl_dtype_parse(dtype_text, &o.weight_dtype, &o.act_dtype, &o.kv_dtype, &fault),
                   ERR_OK);
  wl_target t = {.engines = 3, .sram_B = 1 << 16};
  dag *d;
  ck_assert_msg(wl_compile(&M, &o, &t, &d, &mem, &fault) == ERR_OK, "%s", fault.msg);
  return d;
}

/* ---- round trips ------------------------------------------------------------------------------
 */

START_TEST(dag_json__compiled__passes_check_and_reads_back_to_the_same_bytes) {
  static const char *const DTYPE[] = {"f32", "bf16", "w8a8", "w4a16"};
  for (int split = 0; split < WL_SPLIT_COUNT; split++)
    for (int prefill = 0; prefill < 2; prefill++)
      for (size_t i = 0; i < sizeof DTYPE / sizeof DTYPE[0]; i++) {
        dag *d = compiled((wl_split)split, prefill ? "prefill" : "decode", DTYPE[i]);
        ck_assert_msg(dag_check(d, "compiled", &fault) == ERR_OK, "%s", fault.msg);
        const char *text = text_of(d);
        ck_assert_str_eq(text, text_of(must_read(text)));
      }
}
END_TEST

START_TEST(dag_json__read_back__same_costs_and_workload) {
  dag *d = compiled(WL_HEAD, "decode", "w8a16"), *r = must_read(text_of(d));
  cost_totals a = cost_sum(d), b = cost_sum(r);
  ck_assert_int_eq(memcmp(&a, &b, sizeof a), 0);
  const dag_workload *x = &r->workload;
  ck_assert_str_eq(x->model, "tiny");
  ck_assert_str_eq(x->phase, "decode");
  ck_assert_uint_eq(x->past, 4);
  ck_assert_uint_eq(x->batch, 2);
  ck_assert_int_eq(x->weight_dtype, DT_INT8);
  ck_assert_uint_eq(x->rope_original_max_position, 8192);
  ck_assert(x->rms_norm_eps == 1e-5 && x->rope_theta == 500000 && x->rope_factor == 32);
  ck_assert_uint_eq(r->n_groups, d->n_groups);
}
END_TEST

/* Lines of tasks in another order, and without deps. */
START_TEST(dag_json__tasks_reversed_and_deps_absent__same_dag) {
  const char *text = text_of(compiled(WL_HEAD, "decode", "bf16"));
  const char *begin = strstr(text, "\"tasks\": [\n") + strlen("\"tasks\": [\n");
  const char *end = strstr(begin, "\n  ]");
  char *tasks = arena_strndup(&mem, begin, (size_t)(end - begin)), *save = NULL;
  const char *reversed = "";
  for (char *line = strtok_r(tasks, "\n", &save); line != NULL;
       line = strtok_r(NULL, "\n", &save)) {
    line[strcspn(line, "\n")] = '\0';
    size_t n = strlen(line);
    if (line[n - 1] == ',') line[n - 1] = '\0';
    strcpy(strstr(line, ", \"deps\""), "}");
    reversed = arena_printf(&mem, "%s%s\n%s", line, *reversed == '\0' ? "" : ",", reversed);
  }
  const char *shuffled = arena_printf(&mem, "%.*s%s%s", (int)(begin - text), text, reversed, end);
  ck_assert_msg(strcmp(text_of(must_read(shuffled)), text) == 0, "another DAG");
}
END_TEST

/* ---- hand-written -----------------------------------------------------------------------------
 */

START_TEST(dag_read_json__by_hand__names_boxes_and_derived_deps) {
  dag *d = must_read(corpus("linear.json"));
  ck_assert_uint_eq(d->n_tasks, 5);
  ck_assert_uint_eq(d->n_groups, 2);
  ck_assert_uint_eq(d->tasks[2].n_deps, 2); /* not given: the loads of x and w */
  ck_assert_uint_eq(d->tasks[4].n_deps, 2);
  const dag_view *w = &dag_reads(d, &d->tasks[3])[1];
  ck_assert_uint_eq(w->lo[0], 2);
  ck_assert_uint_eq(w->len[0], 2);
  ck_assert_uint_eq(w->len[1], 8);
  cost c = cost_of(d, 3);
  ck_assert_uint_eq(c.matrix_flops, 2 * 2 * 2 * 8);
}
END_TEST

START_TEST(dag_read_json__ids_against_the_order__topological_smallest_id_first) {
  dag *d = must_read(corpus("any_order.json"));
  ck_assert_uint_eq(d->n_tasks, 3);
  ck_assert_str_eq(d->tasks[0].name, "load");
  ck_assert_str_eq(d->tasks[1].name, "rope");
  ck_assert_str_eq(d->tasks[2].name, "store");
  ck_assert_uint_eq(d->tasks[1].pos, 4);
  ck_assert_str_eq(d->tensors[0].name, "in");
  ck_assert_str_eq(d->workload.model, "by hand");
  const char *text = text_of(d);
  ck_assert_str_eq(text, text_of(must_read(text)));
}
END_TEST

START_TEST(dag_read_json__given_deps_that_miss_a_producer__added) {
  dag *d = must_read(with(corpus("linear.json"), "\"deps\": [2, 3]", "\"deps\": [3, 0]"));
  ck_assert_uint_eq(d->tasks[4].n_deps, 3);
  for (uint32_t i = 0; i < 3; i++)
    ck_assert_uint_eq(dag_deps(d, &d->tasks[4])[i], ((uint32_t[]){0, 2, 3})[i]);
}
END_TEST

START_TEST(dag_read_json__without_workload__empty_facts) {
  dag *d = must_read(corpus("linear.json"));
  ck_assert_str_eq(d->workload.model, "");
  ck_assert_str_eq(d->workload.phase, "");
  ck_assert_uint_eq(d->workload.tokens, 0);
}
END_TEST

START_TEST(dag_read_json__refused_after_renumbering__file_ids_in_the_message) {
  const char *text = with(corpus("any_order.json"), "\"reads\": [{\"tensor\": \"a\"}]",
                          "\"reads\": [{\"tensor\": \"a\", \"len\": [1, 6]}]");
  dag *d;
  ck_assert_int_eq(read_text(text, &d), ERR_BAD);
  ck_assert_msg(strstr(fault.msg, "f.json: task 5 'rope' (RoPE): ") == fault.msg, "%s", fault.msg);
}
END_TEST

/* ---- refusals: linear.json with one thing replaced --------------------------------------------
 */

static const struct {
  const char *find, *replace, *want;
} BAD[] = {
    {"llamasim-dag", "llamasim-report",
     ".format: is \"llamasim-report\"; it must be \"llamasim-dag\""},
    {"\"format\": \"llamasim-dag\", ", "", ".format: is missing"},
    {"\"version\": 1", "\"version\": 2", ".version: is 2"},
    {"\"version\": 1,", "\"version\": 1, \"version\": 1,", ".version: this key stands there twice"},
    {"\"version\": 1,", "\"version\": 1, \"workload\": 3,",
     ".workload: is 3; it must be an object"},
    {"\"version\": 1,", "\"version\": 1, \"workload\": {\"past\": -1},", ".workload.past: is -1"},
    {"\"version\": 1,", "\"version\": 1, \"workload\": {\"kv_dtype\": \"i9\"},",
     "one of f32 f16 bf16"},
    {"\"version\": 1,", "\"version\": 1, \"model\": {\"head_dim\": 1e9},",
     ".model.head_dim: is 1000000000"},
    {"\"version\": 1,", "\"version\": 1, \"model\": {\"rope_scaling\": {}},",
     ".factor: is missing"},
    {"\"tensors\"", "\"tensor\"", ".tensors: is missing; it must be an array"},
    {"\"tasks\"", "\"task\"", ".tasks: is missing; it must be an array"},
    {"[2, 8]", "[2, 0]", "tensor 0 'x'.shape: is 0; it must be whole numbers from 1"},
    {"[2, 8]", "[2, 8.5]", "tensor 0 'x'.shape: is 8.5"},
    {"[2, 8]", "[2, -8]", "tensor 0 'x'.shape: is -8"},
    {"[2, 8]", "[2, \"8\"]", "tensor 0 'x'.shape: is \"8\""},
    {"[2, 8]", "[]", "tensor 0 'x'.shape: is an array; it must be of 1 to 4 dimensions"},
    {"[2, 8]", "[1, 1, 1, 1, 1]", "it must be of 1 to 4 dimensions"},
    {"[2, 8]", "16", "tensor 0 'x'.shape: is 16; it must be an array"},
    {"[2, 8]", "[4294967295, 2]", "it must be whole numbers from 1 to 4294967294"},
    {"[2, 8]", "[4294967294, 4294967294]", "tensor 0 'x': it holds more than 2^50 bytes"},
    {"\"dtype\": \"bf16\", ", "", "tensor 0 'x'.dtype: is missing"},
    {"\"bf16\"", "\"fp8\"", "tensor 0 'x'.dtype: is \"fp8\"; it must be one of f32 f16 bf16 int8"},
    {"\"activation\"", "\"act\"",
     "tensor 0 'x'.role: is \"act\"; it must be one of weight scale kv"},
    {"\"dram\"", "\"hbm\"", "tensor 0 'x'.space: is \"hbm\"; it must be one of dram sram"},
    {"\"id\": 1, \"name\": \"w\", \"shape\"", "\"id\": 0, \"name\": \"w\", \"shape\"",
     "tensor id 0 stands there twice"},
    {"\"id\": 1, \"name\": \"w\", \"shape\"", "\"id\": -1, \"name\": \"w\", \"shape\"",
     ".tensors[1].id: is -1"},
    {"\"name\": \"w\", \"shape\"", "\"name\": \"x\", \"shape\"",
     "'x' is the name of tensors 0 and 1; write the id instead"},
    {"\"name\": \"w\", \"shape\"", "\"name\": \"\\u001b[2J\", \"shape\"", "control characters"},
    {"\"name\": \"w\", \"shape\"", "\"name\": \"\xff\", \"shape\"", "it must be UTF-8"},
    {"\"name\": \"w\", \"shape\"", "\"name\": \"\xc0\xaf\", \"shape\"", "it must be UTF-8"},
    {"\"name\": \"w\", \"shape\"", "\"shape\"", ".tensors[1].name: is missing"},
    {"{\"id\": 0, \"name\": \"x\", \"op\"", "{\"name\": \"x\", \"op\"", ".tasks[0].id: is missing"},
    {"{\"id\": 0, \"name\": \"x\", \"op\"", "{\"id\": 1.5, \"name\": \"x\", \"op\"",
     ".tasks[0].id: is 1.5"},
    {"{\"id\": 0, \"name\": \"x\", \"op\"", "{\"id\": 0, \"op\"", "task 0.name: is missing"},
    {"{\"id\": 1, \"name\": \"w\", \"op\"", "{\"id\": 0, \"name\": \"w\", \"op\"",
     "task id 0 stands there twice"},
    {"\"MatMul\"", "\"Conv2D\"",
     "task 2 'left'.op: is \"Conv2D\"; it must be one of RMSNorm MatMul"},
    {"\"op\": \"MatMul\", ", "", "task 2 'left'.op: is missing"},
    {"\"kind\": \"compute\"", "\"kind\": \"load\"",
     "task 2 'left'.kind: is \"load\"; the kind of MatMul is \"compute\""},
    {"\"kind\": \"compute\"", "\"kind\": 1", "task 2 'left'.kind: is 1; it must be a string"},
    {"\"group\": 0", "\"group\": 5",
     "task 2 'left'.group: is 5; it must be a whole number from 0 to 4"},
    {"\"group\": 0", "\"group\": -1", "task 2 'left'.group: is -1"},
    {"\"group\": 0", "\"pos\": 2000000000", "task 2 'left'.pos: is 2000000000"},
    {"\"group\": 0", "\"layer\": \"one\"", "task 2 'left'.layer: is \"one\""},
    {"{\"tensor\": \"x_sram\"}, ", "{\"tensor\": \"z\"}, ",
     "task 2 'left'.reads[0].tensor: is \"z\"; it must be the id or the name of a tensor"},
    {"{\"tensor\": \"x_sram\"}, ", "{\"tensor\": 17}, ", "task 2 'left'.reads[0].tensor: is 17"},
    {"{\"tensor\": \"x_sram\"}, ", "{\"tensor\": 1e300}, ",
     "task 2 'left'.reads[0].tensor: is 1e+300"},
    {"{\"tensor\": \"x_sram\"}, ", "{}, ", "task 2 'left'.reads[0].tensor: is missing"},
    {"{\"tensor\": \"x_sram\"}, ", "7, ", "task 2 'left'.reads[0]: is 7; it must be an object"},
    {"\"len\": [2, 8]", "\"len\": [5, 8]",
     "task 2 'left'.reads[1]: from 0 on, 5 elements are asked for"},
    {"\"len\": [2, 8]", "\"len\": [2, 8, 1]", "lo has 2 and len 3 dimensions, but 'w_sram' has 2"},
    {"\"lo\": [2, 0]", "\"lo\": [4, 0]", "task 3 'right'.reads[1]: from 4 on, 0 elements"},
    {"\"lo\": [2, 0]", "\"lo\": [4294967294, 0]", "task 3 'right'.reads[1]: from 4294967294 on"},
    {"\"lo\": [2, 0]", "\"lo\": 2", "task 3 'right'.reads[1].lo: is 2; it must be an array"},
    {"\"reads\": [{\"tensor\": 4}], ", "", "task 4 'y'.reads: is missing; it must be an array"},
    {"\"deps\": [2, 3]", "\"deps\": [2, 33]",
     "task 4 'y': it depends on a task that does not exist: 33"},
    {"\"deps\": [2, 3]", "\"deps\": [4]", "task 4 'y': it depends on itself"},
    {"\"deps\": [2, 3]", "\"deps\": [\"2\"]", "task 4 'y'.deps: is \"2\"; it must be ids of tasks"},
    {"\"deps\": [2, 3]", "\"deps\": null", "task 4 'y'.deps: is null; it must be an array"},
    {"\"deps\": [0, 1]", "\"deps\": [4]",
     "its dependencies form a cycle: 3 waits for 4 waits for 3"},
    {"\"writes\": [{\"tensor\": 5}]", "\"writes\": [{\"tensor\": 5}, {\"tensor\": 5}]",
     "task 4 'y' (StoreAct): it reads 1 and writes 2 operands"},
    {"\"reads\": [{\"tensor\": 4}]", "\"reads\": []",
     "task 4 'y' (StoreAct): it reads 0 and writes 1"},
    {"\"lo\": [0, 2], ", "",
     "task 3 'right' (MatMul): it writes elements of 'y_sram' that task 2 'left' writes, too"},
    {"\"id\": 4, \"name\": \"y\"", "\"id\": 4, \"name\": \"y", "f.json:"},
};

START_TEST(dag_read_json__one_thing_wrong__refused_and_said) {
  const char *text = with(corpus("linear.json"), BAD[_i].find, BAD[_i].replace);
  dag *d = NULL;
  ck_assert_msg(read_text(text, &d) == ERR_BAD, "accepted, but should say: %s", BAD[_i].want);
  ck_assert_ptr_null(d);
  ck_assert_msg(strncmp(fault.msg, "f.json:", 7) == 0, "%s", fault.msg);
  ck_assert_msg(strstr(fault.msg, BAD[_i].want) != NULL, "'%s' is not in: %s", BAD[_i].want,
                fault.msg);
}
END_TEST

START_TEST(dag_read_json__whole_documents__refused_and_said) {
  static const char *const DOC[][2] = {
      {"", "is empty"},
      {"[]", "the document: is an array; it must be an object"},
      {"{", "the end of the file"},
      {"null", "the document: is null"},
      {"{\"format\": \"llamasim-dag\", \"version\": 1, \"tensors\": [], \"tasks\": []}",
       ".tasks: is empty"},
      {"{\"format\": \"llamasim-dag\", \"version\": 1, \"tensors\": [], \"tasks\": [{}]}",
       ".tasks[0].id: is missing"},
      {"{\"format\": \"llamasim-dag\", \"version\": 1, \"tensors\": [1], \"tasks\": []}",
       ".tensors[0]: is 1"}};
  dag *d = NULL;
  for (size_t i = 0; i < sizeof DOC / sizeof DOC[0]; i++) {
    ck_assert_int_eq(read_text(DOC[i][0], &d), ERR_BAD);
    ck_assert_msg(strstr(fault.msg, DOC[i][1]) != NULL, "'%s' is not in: %s", DOC[i][1], fault.msg);
  }
}
END_TEST

START_TEST(dag_read_json__65_operands__refused) {
  const char *views = "";
  for (int i = 0; i < 64; i++) views = arena_printf(&mem, "%s{\"tensor\": 4}, ", views);
  dag *d;
  const char *text = with(corpus("linear.json"), "{\"tensor\": 4}",
                          arena_printf(&mem, "%s{\"tensor\": 4}", views));
  ck_assert_int_eq(read_text(text, &d), ERR_BAD);
  ck_assert_msg(strstr(fault.msg, "64 operands at most") != NULL, "%s", fault.msg);
}
END_TEST

/* Two long cycles and a chain behind them: the ids of one cycle are named, and no more than fit. */
START_TEST(dag_read_json__long_cycle__named_and_cut) {
  const char *tasks = "";
  for (int i = 0; i < 40; i++)
    tasks = arena_printf(&mem,
                         "%s%s{\"id\": %d, \"name\": \"t\", \"op\": \"LoadAct\", \"reads\": "
                         "[{\"tensor\": 0}], \"writes\": [{\"tensor\": 1}], \"deps\": [%d]}",
                         tasks, i == 0 ? "" : ",", i, i < 30 ? (i + 1) % 30 : i - 1);
  const char *text = arena_printf(
      &mem,
      "{\"format\": \"llamasim-dag\", \"version\": 1, \"tensors\": [{\"name\": \"a\", \"shape\": "
      "[2], \"dtype\": \"f32\", \"role\": \"kv\", \"space\": \"dram\"}, {\"name\": \"b\", "
      "\"shape\": [2], \"dtype\": \"f32\", \"role\": \"kv\", \"space\": \"sram\"}], \"tasks\": "
      "[%s]}",
      tasks);
  dag *d;
  ck_assert_int_eq(read_text(text, &d), ERR_BAD);
  ck_assert_msg(strstr(fault.msg, "task 0 't': its dependencies form a cycle: 0 waits for 1 waits "
                                  "for 2") != NULL,
                "%s", fault.msg);
  ck_assert_msg(strstr(fault.msg, "11 waits for ... waits for 0") != NULL, "%s", fault.msg);
}
END_TEST

/* ---- damage -----------------------------------------------------------------------------------
 */

static uint32_t next_random(uint64_t *state) { /* Knuth's MMIX generator */
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(*state >> 33);
}

/* Changes, drops, doubles or copies some bytes. Returns the new length. */
static size_t damage(char *text, size_t n, size_t room, uint64_t *rng) {
  static const char BYTES[] = "0123456789-[]{}\",:.eE\\ntruefals \x01\xff";
  for (uint32_t times = 1 + next_random(rng) % 3; times > 0 && n > 8; times--) {
    size_t at = next_random(rng) % (n - 4), len = 1 + next_random(rng) % 4;
    size_t from = next_random(rng) % (n - 4);
    switch (next_random(rng) % 4) {
    case 0:
      text[at] = BYTES[next_random(rng) % (sizeof BYTES - 1)];
      break;
    case 1:
      memmove(text + at, text + at + len, n - at - len), n -= len;
      break;
    case 2:
      if (n + len < room) memmove(text + at + len, text + at, n - at), n += len;
      break;
    default:
      memmove(text + at, text + from, len);
      break;
    }
  }
  return n;
}

START_TEST(dag_read_json__random_damage__a_dag_or_a_message) {
  static const char *const NAME[] = {"linear.json", "any_order.json"};
  const char *text = corpus(NAME[_i]);
  size_t n = strlen(text), room = n + 64, accepted = 0;
  char *copy = malloc(room);
  uint64_t rng = 1;
  for (int i = 0; i < 20000; i++) {
    memcpy(copy, text, n);
    size_t len = damage(copy, n, room, &rng);
    arena a = {0};
    err e = {0};
    dag *d = NULL;
    int status = dag_read_json("f.json", (const unsigned char *)copy, len, &d, &a, &e);
    ck_assert(status == ERR_OK ? d != NULL : status == ERR_BAD && e.msg[0] != '\0');
    accepted += status == ERR_OK;
    arena_free(&a);
  }
  ck_assert_uint_gt(accepted,
                    0); /* the damage is not so coarse that nothing beyond the parser is met */
  free(copy);
}
END_TEST

int main(void) {
  Suite *s = suite_create("dag_json");
  TCase *t = tcase_create("dag_json");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 120);
  tcase_add_test(t, dag_json__compiled__passes_check_and_reads_back_to_the_same_bytes);
  tcase_add_test(t, dag_json__read_back__same_costs_and_workload);
  tcase_add_test(t, dag_json__tasks_reversed_and_deps_absent__same_dag);
  tcase_add_test(t, dag_read_json__by_hand__names_boxes_and_derived_deps);
  tcase_add_test(t, dag_read_json__ids_against_the_order__topological_smallest_id_first);
  tcase_add_test(t, dag_read_json__given_deps_that_miss_a_producer__added);
  tcase_add_test(t, dag_read_json__without_workload__empty_facts);
  tcase_add_test(t, dag_read_json__refused_after_renumbering__file_ids_in_the_message);
  tcase_add_loop_test(t, dag_read_json__one_thing_wrong__refused_and_said, 0,
                      (int)(sizeof BAD / sizeof BAD[0]));
  tcase_add_test(t, dag_read_json__whole_documents__refused_and_said);
  tcase_add_test(t, dag_read_json__65_operands__refused);
  tcase_add_test(t, dag_read_json__long_cycle__named_and_cut);
  tcase_add_loop_test(t, dag_read_json__random_damage__a_dag_or_a_message, 0, 2);
  suite_add_tcase(s, t);
  return suite_run(s);
}
