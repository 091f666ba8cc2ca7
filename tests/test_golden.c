/* The X.json + X.bin format: what is written reads back, and what is wrong is refused with file,
 * array, got and limit. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/golden.h"
#include "sim/base/file.h"
#include "tests/numeric.h"
#include "tests/suite.h"

static arena mem;
static err fault;
static char dir[256], stem[300];

static void setup(void) {
  const char *tmp = getenv("TMPDIR");
  mem = (arena){0};
  fault = (err){0};
  snprintf(dir, sizeof dir, "%s/llamasim-golden-XXXXXX", tmp != NULL ? tmp : "/tmp");
  ck_assert_ptr_nonnull(mkdtemp(dir));
  snprintf(stem, sizeof stem, "%s/x", dir);
}

static void teardown(void) {
  remove(arena_printf(&mem, "%s.json", stem));
  remove(arena_printf(&mem, "%s.bin", stem));
  ck_assert_int_eq(rmdir(dir), 0); /* nothing else was left behind */
  arena_free(&mem);
}

START_TEST(golden_write_read__every_dtype__same_names_shapes_and_values) {
  static const unsigned char BYTES[48] = {1, 2, 255, 4, 128};
  golden_writer *w = golden_create(stem, &mem, &fault);
  ck_assert_msg(w != NULL, "%s", fault.msg);
  for (int d = 0; d < GOLDEN_DTYPE_COUNT; d++)
    golden_add(w, arena_printf(&mem, "L%d.\"%s\"", d, golden_dtype_name((golden_dtype)d)),
               (golden_dtype)d, 2, (uint64_t[]){2, 3}, BYTES);
  golden_add(w, "scalar", GOLDEN_F64, 0, NULL, &(double){0.1});
  golden_add(w, "empty", GOLDEN_F32, 2, (uint64_t[]){5, 0}, NULL);
  ck_assert_msg(golden_close(w, &fault) == ERR_OK, "%s", fault.msg);
  golden g;
  ck_assert_msg(golden_read(stem, &g, &mem, &fault) == ERR_OK, "%s", fault.msg);
  ck_assert_uint_eq(g.n, GOLDEN_DTYPE_COUNT + 2);
  for (int d = 0; d < GOLDEN_DTYPE_COUNT; d++) {
    const golden_array *x = &g.arrays[d];
    ck_assert_str_eq(x->name,
                     arena_printf(&mem, "L%d.\"%s\"", d, golden_dtype_name((golden_dtype)d)));
    ck_assert(x->dtype == (golden_dtype)d && x->rank == 2 && x->dim[0] == 2 && x->dim[1] == 3 &&
              x->count == 6);
    ck_assert_mem_eq(x->data, BYTES, 6 * golden_dtype_bytes(x->dtype));
    ck_assert_uint_eq((uintptr_t)(x->data - g.arrays[0].data) % 64, 0);
  }
  ck_assert_double_eq(golden_at(golden_find(&g, "scalar"), 0), 0.1);
  ck_assert_uint_eq(golden_find(&g, "empty")->count, 0);
  ck_assert_ptr_null(golden_find(&g, "L0"));
}
END_TEST

START_TEST(golden_at__every_dtype__has_its_value) {
  static const struct {
    golden_dtype dtype;
    const char *bytes;
    double value;
  } CASES[] = {{GOLDEN_F64, "\0\0\0\0\0\0\xf8\xbf", -1.5},
               {GOLDEN_F32, "\0\0\xc0\xbf", -1.5},
               {GOLDEN_F16, "\0\xbe", -1.5},
               {GOLDEN_I64, "\xfe\xff\xff\xff\xff\xff\xff\xff", -2},
               {GOLDEN_I32, "\xfe\xff\xff\xff", -2},
               {GOLDEN_U32, "\xfe\xff\xff\xff", 4294967294},
               {GOLDEN_U16, "\xfe\xff", 65534},
               {GOLDEN_I8, "\xfe", -2},
               {GOLDEN_U8, "\xfe", 254}};
  for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
    golden_array x = {
        .count = 1, .data = (const unsigned char *)CASES[i].bytes, .dtype = CASES[i].dtype};
    ck_assert_double_eq(golden_at(&x, 0), CASES[i].value);
  }
}
END_TEST

START_TEST(golden_write__same_input__same_bytes) {
  file_bytes first = {0}, again;
  for (int i = 0; i < 2; i++) {
    golden_writer *w = golden_create(stem, &mem, &fault);
    golden_add(w, "a", GOLDEN_F32, 1, (uint64_t[]){3}, (float[]){1, 2, 3});
    golden_add(w, "b", GOLDEN_U8, 1, (uint64_t[]){1}, "x");
    ck_assert_int_eq(golden_close(w, &fault), ERR_OK);
    ck_assert_int_eq(file_read(arena_printf(&mem, "%s.bin", stem), 4096, &again, &mem, &fault),
                     ERR_OK);
    ck_assert_uint_eq(again.len, 65);
    ck_assert_int_eq(file_read(arena_printf(&mem, "%s.json", stem), 4096, &again, &mem, &fault),
                     ERR_OK);
    if (i == 0) first = again;
  }
  ck_assert_uint_eq(first.len, again.len);
  ck_assert_mem_eq(first.data, again.data, first.len);
}
END_TEST

START_TEST(golden_write__given_up__leaves_no_file) {
  golden_writer *w = golden_create(stem, &mem, &fault);
  golden_add(w, "b", GOLDEN_U8, 1, (uint64_t[]){1}, "x");
  golden_abort(w);
  ck_assert(!file_exists(arena_printf(&mem, "%s.bin", stem)));
  ck_assert(!file_exists(arena_printf(&mem, "%s.json", stem)));
  ck_assert_ptr_null(golden_create("/nowhere/at/all", &mem, &fault));
  ck_assert_int_eq(fault.status, ERR_BAD);
}
END_TEST

START_TEST(golden_read__no_file__says_which) {
  golden g;
  ck_assert_int_eq(golden_read(stem, &g, &mem, &fault), ERR_BAD);
  ck_assert_ptr_nonnull(strstr(fault.msg, "x.json"));
}
END_TEST

static const struct bad {
  const char *json, *message;
} BAD[] = {
    {"{", "is not JSON"},
    {"[]", ".tensors: is missing"},
    {"{\"tensors\": [1]}", ".tensors: is an array; it must be an object"},
    {"{\"tensors\": {\"a\": 3}}", ".tensors.a: must be an object"},
    {"{\"tensors\": {\"a\": {\"shape\": [1], \"offset\": 0}}}", ".tensors.a.dtype"},
    {"{\"tensors\": {\"a\": {\"dtype\": \"f8\", \"shape\": [1], \"offset\": 0}}}",
     "is 'f8'; it must be one of f64 f32"},
    {"{\"tensors\": {\"a\": {\"dtype\": \"f32\", \"offset\": 0}}}", ".tensors.a.shape: is missing"},
    {"{\"tensors\": {\"a\": {\"dtype\": \"f32\", \"shape\": [1,1,1,1,1,1,1,1,1], \"offset\": 0}}}",
     "at most 8"},
    {"{\"tensors\": {\"a\": {\"dtype\": \"f32\", \"shape\": [-1], \"offset\": 0}}}",
     "holds -1; it must hold whole"},
    {"{\"tensors\": {\"a\": {\"dtype\": \"f32\", \"shape\": [1.5], \"offset\": 0}}}", "holds 1.5"},
    {"{\"tensors\": {\"a\": {\"dtype\": \"f32\", \"shape\": [\"2\"], \"offset\": 0}}}",
     "holds \"2\""},
    {"{\"tensors\": {\"a\": {\"dtype\": \"f32\", \"shape\": [9000000000000000,9000000000000000], "
     "\"offset\": 0}}}",
     "beyond 2^64"},
    {"{\"tensors\": {\"a\": {\"dtype\": \"f32\", \"shape\": [4294967296,1073741824], \"offset\": "
     "0}}}",
     "do not fit"},
    {"{\"tensors\": {\"a\": {\"dtype\": \"f32\", \"shape\": [1]}}}", ".tensors.a.offset"},
    {"{\"tensors\": {\"a\": {\"dtype\": \"f32\", \"shape\": [1], \"offset\": 4}}}",
     "is 4; it must be a multiple of 64"},
    {"{\"tensors\": {\"a\": {\"dtype\": \"f32\", \"shape\": [17], \"offset\": 64}}}",
     "17 values of 4 bytes from byte 64 on do not fit; 'y.bin' has 128 bytes"},
    {"{\"tensors\": {\"a\": {\"dtype\": \"u8\", \"shape\": [0], \"offset\": 192}}}", "do not fit"},
    {"{\"tensors\": {\"a\": {\"dtype\": \"u8\", \"shape\": [1], \"offset\": 128}}}", "do not fit"},
};

START_TEST(golden_parse__bad_index__is_refused_with_the_reason) {
  static const unsigned char BIN[128];
  golden g;
  const char *json = BAD[_i].json;
  int status = golden_parse("y", (const unsigned char *)json, strlen(json), BIN, sizeof BIN, &g,
                            &mem, &fault);
  ck_assert_int_eq(status, ERR_BAD);
  ck_assert_msg(strncmp(fault.msg, "y.json", 6) == 0 && strstr(fault.msg, BAD[_i].message) != NULL,
                "%s", fault.msg);
}
END_TEST

START_TEST(golden_parse__arrays_up_to_the_last_byte__are_taken) {
  static const unsigned char BIN[128];
  golden g;
  const char *json = "{\"model\": \"m\", \"tensors\": {\"a\": {\"dtype\": \"f32\", \"shape\": "
                     "[4,4], \"offset\": 64}}}";
  ck_assert_int_eq(
      golden_parse("y", (const unsigned char *)json, strlen(json), BIN, 128, &g, &mem, &fault),
      ERR_OK);
  ck_assert_uint_eq(g.n, 1);
  ck_assert_ptr_eq(g.arrays[0].data, BIN + 64);
}
END_TEST

START_TEST(golden_parse__ids__are_taken_where_all_are_ids) {
  static const struct {
    const char *ids;
    size_t n;
  } CASE[] = {{"[7, 0, 4294967295]", 3},
              {"[]", 0},
              {"[7, -1]", 0},
              {"[7, 4294967296]", 0},
              {"[1.5]", 0},
              {"[\"7\"]", 0},
              {"7", 0},
              {"{\"a\": 7}", 0}};
  for (size_t i = 0; i < sizeof CASE / sizeof CASE[0]; i++) {
    golden g;
    const char *json = arena_printf(&mem, "{\"ids\": %s, \"tensors\": {}}", CASE[i].ids);
    int status = golden_parse("y", (const unsigned char *)json, strlen(json),
                              (const unsigned char *)"", 0, &g, &mem, &fault);
    ck_assert_msg(status == ERR_OK, "%s", fault.msg);
    ck_assert_msg(g.n_ids == CASE[i].n, "%s: %zu ids", CASE[i].ids, g.n_ids);
    if (i == 0) ck_assert_mem_eq(g.ids, ((uint32_t[]){7, 0, UINT32_MAX}), 3 * sizeof *g.ids);
  }
}
END_TEST

int main(void) {
  Suite *s = suite_create("golden");
  TCase *t = tcase_create("golden");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, golden_write_read__every_dtype__same_names_shapes_and_values);
  tcase_add_test(t, golden_at__every_dtype__has_its_value);
  tcase_add_test(t, golden_write__same_input__same_bytes);
  tcase_add_test(t, golden_write__given_up__leaves_no_file);
  tcase_add_test(t, golden_read__no_file__says_which);
  tcase_add_loop_test(t, golden_parse__bad_index__is_refused_with_the_reason, 0,
                      sizeof BAD / sizeof BAD[0]);
  tcase_add_test(t, golden_parse__arrays_up_to_the_last_byte__are_taken);
  tcase_add_test(t, golden_parse__ids__are_taken_where_all_are_ids);
  suite_add_tcase(s, t);
  return suite_run(s);
}
