/* Seeded weights against published sums; the straight-line reference over them against golden data.
 */
#include <check.h>
#include <math.h>
#include <string.h>

#include "kernels/reference.h"
#include "kernels/seeded.h"
#include "kernels/vector.h"
#include "sim/base/file.h"
#include "sim/base/json.h"
#include "tests/numeric.h"
#include "tests/sha256.h"
#include "tests/suite.h"

static const struct {
  const char *name;
  uint64_t seed;
} MODELS[] = {{"tiny-mha", 1}, {"tiny-gqa-plain", 2}, {"tiny-gqa-l32", 3}};
enum { N_MODELS = 3, T = 20, N_PROMPT = 12 };

static arena mem;
static err fault;
static model m;

static void setup(void) {
  mem = (arena){0};
  fault = (err){0};
}

static void teardown(void) {
  arena_free(&mem);
}

static const char *golden_path(int i, const char *file) {
  return arena_printf(&mem, "%s/golden/%s/%s", TESTS_DIR, MODELS[i].name, file);
}

static void load_model(int i) {
  ck_assert_msg(model_load(golden_path(i, "config.json"), &m, &mem, &fault) == ERR_OK, "%s",
                fault.msg);
}

static json_doc load_json(int i, const char *file) {
  file_bytes b;
  json_doc doc;
  const char *path = golden_path(i, file);
  ck_assert_msg(file_read(path, 1 << 20, &b, &mem, &fault) == ERR_OK, "%s", fault.msg);
  ck_assert_msg(json_parse(path, b.data, b.len, &doc, &fault) == ERR_OK, "%s", fault.msg);
  return doc;
}

/* The 12 prompt and 8 greedy tokens. */
static void load_ids(int i, uint32_t ids[T]) {
  static const char *const KEY[2] = {"prompt", "greedy"};
  json_doc doc = load_json(i, "tokens.json");
  size_t n = 0;
  for (int part = 0; part < 2; part++)
    for (const json *v = json_first(json_get(doc.root, KEY[part])); v != NULL; v = json_next(v)) {
      ck_assert_uint_lt(n, T);
      ids[n++] = (uint32_t)json_num(v);
    }
  ck_assert_uint_eq(n, T);
  json_free(&doc);
}

/* ---- seeded weights
 * ------------------------------------------------------------------------------ */

START_TEST(sha256__published_examples__equal) { /* FIPS 180-4 examples: "abc", the 56-byte one, and
                                                   no bytes */
  char hex[65];
  ck_assert_str_eq(sha256_hex("abc", 3, hex),
                   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  ck_assert_str_eq(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex),
                   "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  ck_assert_str_eq(sha256_hex("", 0, hex),
                   "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
END_TEST

START_TEST(seeded_fill__golden_models__every_tensor_has_its_sum) {
  model_tensor *tensors;
  load_model(_i);
  json_doc sums = load_json(_i, "weights_sha256.json");
  size_t n = model_tensors(&m, &tensors, &mem);
  ck_assert_uint_eq(n, json_count(sums.root));
  for (size_t i = 0; i < n; i++) {
    uint64_t count = tensors[i].dim[0] * (tensors[i].rank == 2 ? tensors[i].dim[1] : 1);
    float *w = ARENA_NEW(&mem, float, count);
    char hex[65];
    const json *want = json_get(sums.root, tensors[i].name);
    ck_assert_msg(json_is_string(want), "no sum of '%s'", tensors[i].name);
    seeded_fill(w, MODELS[_i].seed, &tensors[i], 0, count, m.torch_dtype);
    ck_assert_str_eq(sha256_hex(w, count * sizeof *w, hex), json_str(want));
  }
  json_free(&sums);
}
END_TEST

START_TEST(seeded_rows__any_part__equals_the_whole_and_beyond_is_refused) {
  float whole[64 * 64], part[10 * 64];
  load_model(0);
  seeded *s = seeded_new(&m, 9, &mem);
  const char *name = "model.layers.1.self_attn.v_proj.weight";
  ck_assert_int_eq(seeded_rows(s, name, 0, 64, whole, &fault), ERR_OK);
  ck_assert_int_eq(seeded_rows(s, name, 54, 10, part, &fault), ERR_OK);
  ck_assert_mem_eq(part, whole + 54 * 64, sizeof part);
  ck_assert_int_eq(seeded_rows(s, "model.norm.weight", 0, 1, part, &fault), ERR_OK);
  ck_assert_int_eq(seeded_rows(s, name, 55, 10, part, &fault), ERR_INTERNAL);
  fault = (err){0};
  ck_assert_int_eq(seeded_rows(s, name, UINT64_MAX, 2, part, &fault), ERR_INTERNAL);
  fault = (err){0};
  ck_assert_int_eq(seeded_rows(s, "model.layers.2.self_attn.v_proj.weight", 0, 1, part, &fault),
                   ERR_INTERNAL);
}
END_TEST

START_TEST(seeded_fill__other_seed_name_or_index__other_values) {
  float a[16], b[16];
  const model_tensor t = {.name = "x.weight", .rank = 2, .dim = {4, 4}};
  const model_tensor u = {.name = "y.weight", .rank = 2, .dim = {4, 4}};
  seeded_fill(a, 1, &t, 0, 16, DT_F32);
  seeded_fill(b, 2, &t, 0, 16, DT_F32);
  ck_assert_mem_ne(a, b, sizeof a);
  seeded_fill(b, 1, &u, 0, 16, DT_F32);
  ck_assert_mem_ne(a, b, sizeof a);
  seeded_fill(b, 1, &t, 4, 12, DT_F32);
  ck_assert_mem_eq(a + 4, b, 12 * sizeof *a);
  for (int i = 0; i < 16; i++) ck_assert_float_le(fabsf(a[i]), sqrtf(0.75f));
}
END_TEST

/* ---- the reference
 * --------------------------------------------------------------------------------- */

/* Both sides are f64 rounded to f32: half an ulp of the largest value, were it not for the last
 * bits of cos and exp. */
static const double TOLERANCE = 1.2e-7;

typedef struct checker {
  golden g;
  size_t seen;
  float *logits;
} checker;

static int check_point(void *user, const char *name, uint32_t rank, const uint64_t *dim,
                       const float *x, err *e) {
  checker *c = user;
  (void)e;
  /* in the file's order, with the file's shape */
  ck_assert_uint_lt(c->seen, c->g.n);
  const golden_array *want = &c->g.arrays[c->seen++];
  ck_assert_str_eq(want->name, name);
  ck_assert_uint_eq(want->rank, rank);
  for (uint32_t i = 0; i < rank; i++) ck_assert_uint_eq(want->dim[i], dim[i]);
  double d = num_error(x, want);
  ck_assert_msg(d <= TOLERANCE, "%s: max|d|/max|ref| is %g", name, d);
  if (strcmp(name, "logits") == 0) {
    c->logits = ARENA_NEW(&mem, float, want->count);
    memcpy(c->logits, x, want->count * sizeof *x);
  }
  return ERR_OK;
}

START_TEST(ref_forward__golden_models__every_point_and_greedy_token_equal) {
  uint32_t ids[T];
  load_model(_i);
  load_ids(_i, ids);
  checker c = {.g = num_load(arena_printf(&mem, "%s/acts", MODELS[_i].name), &mem)};
  ref_weights w = {seeded_rows, seeded_new(&m, MODELS[_i].seed, &mem)};
  ref_points points = {check_point, &c};
  ref_run run = ref_whole(&m, ids, T);
  ck_assert_msg(ref_forward(&m, &run, &w, &points, &fault) == ERR_OK, "%s", fault.msg);
  ck_assert_uint_eq(c.seen, c.g.n);
  ck_assert_uint_eq(c.g.n, 3 + 20 * m.num_hidden_layers);
  for (size_t t = N_PROMPT - 1; t + 1 < T; t++)
    ck_assert_uint_eq(kern_argmax(c.logits + t * m.vocab_size, m.vocab_size), ids[t + 1]);
}
END_TEST

static int count_far_points(void *user, const char *name, uint32_t rank, const uint64_t *dim,
                            const float *x, err *e) {
  checker *c = user;
  (void)rank, (void)dim, (void)e;
  c->seen += num_error(x, num_array(&c->g, name)) > 1e-3;
  return ERR_OK;
}

START_TEST(ref_forward__other_scaling_factor_or_eps__is_seen_in_points) {
  uint32_t ids[T];
  load_model(2);
  load_ids(2, ids);
  if (_i == 0) m.rope_scaling.factor = 8;
  if (_i == 1) m.rms_norm_eps = 1e-4;
  if (_i == 2) m.rope_theta = 1e4;
  checker c = {.g = num_load("tiny-gqa-l32/acts", &mem)};
  ref_weights w = {seeded_rows, seeded_new(&m, 3, &mem)};
  ref_points points = {count_far_points, &c};
  ref_run run = ref_whole(&m, ids, T);
  ck_assert_int_eq(ref_forward(&m, &run, &w, &points, &fault), ERR_OK);
  ck_assert_uint_gt(c.seen, 20);
}
END_TEST

/* Keeps the points of one name. */
typedef struct keeper {
  const char *name;
  float *x;
  uint64_t n;
  int calls;
} keeper;

static int keep_point(void *user, const char *name, uint32_t rank, const uint64_t *dim,
                      const float *x, err *e) {
  keeper *k = user;
  (void)e;
  k->calls++;
  if (strcmp(name, k->name) != 0) return ERR_OK;
  k->n = dim[0] * dim[1] * (rank == 3 ? dim[2] : 1);
  k->x = ARENA_NEW(&mem, float, k->n);
  memcpy(k->x, x, k->n * sizeof *x);
  return ERR_OK;
}

static keeper run_keeping(const char *name, const ref_run *run) {
  keeper k = {.name = name};
  ref_weights w = {seeded_rows, seeded_new(&m, 1, &mem)};
  ref_points points = {keep_point, &k};
  ck_assert_msg(ref_forward(&m, run, &w, &points, &fault) == ERR_OK, "%s", fault.msg);
  ck_assert_msg(k.x != NULL, "no point '%s'", name);
  return k;
}

START_TEST(ref_forward__later_layers_alone__as_in_the_whole) {
  uint32_t ids[T];
  load_model(0);
  load_ids(0, ids);
  ref_run run = ref_whole(&m, ids, T);
  keeper whole = run_keeping("logits", &run), between = run_keeping("L0.resid2", &run);
  ck_assert_int_eq(whole.calls, 3 + 2 * 20);
  run = (ref_run){.input = between.x, .T = T, .first_layer = 1, .layers = 1, .head = true};
  keeper rest = run_keeping("logits", &run);
  ck_assert_int_eq(rest.calls, 2 + 20);
  ck_assert_uint_eq(rest.n, whole.n);
  ck_assert_double_le(num_error_f32(rest.x, whole.x, whole.n),
                      1e-6); /* the input was rounded to f32 */
  run.head = false;
  ck_assert_int_eq(run_keeping("L1.resid2", &run).calls, 20);
}
END_TEST

START_TEST(ref_forward__fewer_tokens__same_bits_as_the_first_of_more) {
  uint32_t ids[T];
  load_model(0);
  load_ids(0, ids);
  ref_run run = ref_whole(&m, ids, T);
  keeper all = run_keeping("logits", &run);
  run = ref_whole(&m, ids, 7);
  keeper some = run_keeping("logits", &run);
  ck_assert_uint_eq(some.n, 7 * m.vocab_size);
  ck_assert_mem_eq(some.x, all.x, some.n * sizeof *some.x);
}
END_TEST

START_TEST(ref_forward__shifted_positions__turn_keys_but_hardly_scores) {
  uint32_t ids[T];
  load_model(0);
  load_ids(0, ids);
  ref_run run = ref_whole(&m, ids, T);
  keeper k = run_keeping("L0.k_rope", &run), s = run_keeping("L0.scores", &run);
  run.pos = 100;
  keeper k2 = run_keeping("L0.k_rope", &run), s2 = run_keeping("L0.scores", &run);
  ck_assert_double_gt(num_error_f32(k2.x, k.x, k.n), 0.1);
  ck_assert_double_le(num_error_f32(s2.x, s.x, s.n), 1e-6); /* only relative positions count */
}
END_TEST

START_TEST(ref_forward__id_beyond_the_vocabulary__is_refused) {
  uint32_t ids[2] = {511, 512};
  load_model(0);
  keeper k = {.name = "logits"};
  ref_weights w = {seeded_rows, seeded_new(&m, 1, &mem)};
  ref_points points = {keep_point, &k};
  ref_run run = ref_whole(&m, ids, 2);
  ck_assert_int_eq(ref_forward(&m, &run, &w, &points, &fault), ERR_BAD);
  ck_assert_ptr_nonnull(strstr(fault.msg, "token 1: id is 512; the vocabulary of"));
}
END_TEST

static int failing_point(void *user, const char *name, uint32_t rank, const uint64_t *dim,
                         const float *x, err *e) {
  (void)user, (void)rank, (void)dim, (void)x;
  return strcmp(name, "L1.scores") == 0 ? err_set(e, ERR_NO, "enough") : ERR_OK;
}

START_TEST(ref_forward__failing_callbacks__end_the_run_with_their_status) {
  uint32_t ids[T];
  load_model(0);
  load_ids(0, ids);
  ref_weights w = {seeded_rows, seeded_new(&m, 1, &mem)};
  ref_points points = {failing_point, NULL};
  ref_run run = ref_whole(&m, ids, T);
  ck_assert_int_eq(ref_forward(&m, &run, &w, &points, &fault), ERR_NO);
  fault = (err){0};
  run.layers = 3; /* the weights have no third layer */
  keeper k = {.name = "logits"};
  points = (ref_points){keep_point, &k};
  ck_assert_int_eq(ref_forward(&m, &run, &w, &points, &fault), ERR_INTERNAL);
}
END_TEST

int main(void) {
  Suite *s = suite_create("reference");
  TCase *t = tcase_create("reference");
  tcase_set_timeout(t, 60);
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, sha256__published_examples__equal);
  tcase_add_loop_test(t, seeded_fill__golden_models__every_tensor_has_its_sum, 0, N_MODELS);
  tcase_add_test(t, seeded_rows__any_part__equals_the_whole_and_beyond_is_refused);
  tcase_add_test(t, seeded_fill__other_seed_name_or_index__other_values);
  tcase_add_loop_test(t, ref_forward__golden_models__every_point_and_greedy_token_equal, 0,
                      N_MODELS);
  tcase_add_loop_test(t, ref_forward__other_scaling_factor_or_eps__is_seen_in_points, 0, 3);
  tcase_add_test(t, ref_forward__later_layers_alone__as_in_the_whole);
  tcase_add_test(t, ref_forward__fewer_tokens__same_bits_as_the_first_of_more);
  tcase_add_test(t, ref_forward__shifted_positions__turn_keys_but_hardly_scores);
  tcase_add_test(t, ref_forward__id_beyond_the_vocabulary__is_refused);
  tcase_add_test(t, ref_forward__failing_callbacks__end_the_run_with_their_status);
  suite_add_tcase(s, t);
  return suite_run(s);
}
