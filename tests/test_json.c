/* Reading and writing JSON. */
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/json.h"
#include "tests/suite.h"

static arena mem;
static err fault;
static json_doc doc;

static void setup(void) {
  mem = (arena){0};
  fault = (err){0};
  doc = (json_doc){0};
}

static void teardown(void) {
  json_free(&doc);
  arena_free(&mem);
}

/* Parses a copy that ends exactly at its last byte, so that the sanitizer sees a read beyond. */
static int parse_bytes(const char *data, size_t len, json_doc *d, err *e) {
  unsigned char *copy = malloc(len > 0 ? len : 1);
  if (len > 0) memcpy(copy, data, len);
  int status = json_parse("f.json", copy, len, d, e);
  free(copy);
  return status;
}

static void parse(const char *text) {
  json_free(&doc);
  fault = (err){0};
  ck_assert_msg(parse_bytes(text, strlen(text), &doc, &fault) == ERR_OK, "%s: %s", text, fault.msg);
}

static uint64_t next_random(uint64_t *x) {
  *x ^= *x << 13;
  *x ^= *x >> 7;
  *x ^= *x << 17;
  return *x;
}

/* -- reading -- */

START_TEST(json_parse__faults__place_and_reason) {
  static const struct {
    const char *text, *message;
  } CASES[] = {
      {"", "f.json: is empty; it must be a JSON document"},
      {" \n\t ", "f.json: is empty; it must be a JSON document"},
      {"{\"a\": 1,\n  \"b\": x}", "f.json:2:8: this is not JSON: expected a value, got 'x'"},
      {"{\"a\" 1}", "f.json:1:6: this is not JSON: expected ':', got '1'"},
      {"{\"a\": 1,}", "f.json:1:9: this is not JSON: expected a key in double quotes, got '}'"},
      {"[1,]", "f.json:1:4: this is not JSON: expected a value, got ']'"},
      {"[1 2]", "f.json:1:4: this is not JSON: expected ',' or ']', got '2'"},
      {"{\"a\": 1 \"b\": 2}", "f.json:1:9: this is not JSON: expected ',' or '}', got '\"'"},
      {"[1}", "f.json:1:3: this is not JSON: expected ',' or ']', got '}'"},
      {"[1, NaN]", "f.json:1:5: this is not JSON: expected a value, got 'N'"},
      {"[Infinity]", "f.json:1:2: this is not JSON: expected a value, got 'I'"},
      {"[-Infinity]", "f.json:1:3: this is not JSON: expected a digit, got 'I'"},
      {"[01]", "f.json:1:3: this is not JSON: expected ',' or ']', got '1'"},
      {"[1.]", "f.json:1:4: this is not JSON: expected a digit, got ']'"},
      {"[.5]", "f.json:1:2: this is not JSON: expected a value, got '.'"},
      {"[+5]", "f.json:1:2: this is not JSON: expected a value, got '+'"},
      {"[1e+]", "f.json:1:5: this is not JSON: expected a digit, got ']'"},
      {"{'a': 1}", "f.json:1:2: this is not JSON: expected a key in double quotes, got '''"},
      {"{\"a\": [1, 2",
       "f.json:1:12: this is not JSON: expected ',' or ']', got the end of the file"},
      {"{\"a\": \"bc",
       "f.json:1:10: this is not JSON: expected a closing quote, got the end of the file"},
      {"{\"a\": \"bc\\\"",
       "f.json:1:12: this is not JSON: expected a closing quote, got the end of the file"},
      {"{\"a\": \"bc\n\"}",
       "f.json:1:10: this is not JSON: expected a closing quote, got byte 0x0a"},
      {"{\"a", "f.json:1:4: this is not JSON: expected a closing quote, got the end of the file"},
      {"{",
       "f.json:1:2: this is not JSON: expected a key in double quotes, got the end of the file"},
      {"[", "f.json:1:2: this is not JSON: expected a value, got the end of the file"},
      {"tru", "f.json:1:1: this is not JSON: expected a value, got 't'"},
      {"\"\\x\"",
       "f.json:1:3: this is not JSON: expected an escape such as \\n or \\u00e9, got 'x'"},
      {"\"\\u12g4\"", "f.json:1:6: this is not JSON: expected four hexadecimal digits, got 'g'"},
      {"\"\\u0000\"", "f.json:1:8: this is not JSON: expected a string without \\u0000, got '\"'"},
      {"\"\\ud83dx\"",
       "f.json:1:8: this is not JSON: expected a surrogate pair such as \\ud83d\\ude00, got 'x'"},
      {"\"\\udc00\"",
       "f.json:1:8: this is not JSON: expected a surrogate pair such as \\ud83d\\ude00, got '\"'"},
      {"{} x", "f.json:1:4: this is not JSON: expected the end of the document, got 'x'"},
      {"{}\n{}", "f.json:2:1: this is not JSON: expected the end of the document, got '{'"},
      {"1 2", "f.json:1:3: this is not JSON: expected the end of the document, got '2'"},
      {"\x80", "f.json:1:1: this is not JSON: expected a value, got byte 0x80"},
      {"[{\"a\": [1, 1e999]}]", "f.json: [0].a[1]: the number is too large; the limit is 1.8e308"},
      {"-1e999", "f.json: the document: the number is too large; the limit is 1.8e308"},
      {"{\"x\": {\"a\": 1, \"b\": 2, \"a\": 3}}",
       "f.json: .x.a: this key stands there twice; remove one"},
  };
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
    err e = {0};
    json_doc d;
    int status = parse_bytes(CASES[i].text, strlen(CASES[i].text), &d, &e);
    ck_assert_msg(status == ERR_BAD, "took %s", CASES[i].text);
    ck_assert_str_eq(e.msg, CASES[i].message);
    ck_assert_ptr_null(d.root);
  }
}
END_TEST

START_TEST(json_parse__white_space_and_byte_order_mark__taken) {
  parse("\xef\xbb\xbf {\"a\" : [ 1 , true ] } \r\n\t");
  ck_assert_uint_eq(json_count(json_get(doc.root, "a")), 2);
}
END_TEST

START_TEST(json_parse__deep_nesting__limited_without_overflow) {
  enum { DEEP = 1000000 };
  char *text = arena_alloc(&mem, DEEP, 1);
  memset(text, '[', DEEP);
  ck_assert_int_eq(parse_bytes(text, DEEP, &doc, &fault), ERR_BAD);
  ck_assert_str_eq(fault.msg, "f.json:1:501: this is not JSON: expected at most 500 levels of "
                              "brackets, got '['");
  text = arena_alloc(&mem, DEEP, 1);
  memset(text, '[', 500);
  memset(text + 500, ']', 500);
  fault = (err){0};
  ck_assert_msg(parse_bytes(text, 1000, &doc, &fault) == ERR_OK, "%s", fault.msg);
}
END_TEST

/* An object of n keys (the last repeats the first where `twice`), and an array of n small objects.
 * Quadratic work on either would run into the time limit. */
static out *large(int n, bool twice) {
  out *o = out_memory();
  jw w = jw_new(o, 0, 0);
  jw_object(&w, NULL);
  for (int i = 0; i < n; i++) {
    char key[32];
    snprintf(key, sizeof key, "k%d", twice && i == n - 1 ? 0 : i);
    jw_u64(&w, key, (uint64_t)i);
  }
  jw_array(&w, "tasks");
  for (int i = 0; i < n; i++) {
    jw_object(&w, NULL);
    jw_u64(&w, "id", (uint64_t)i);
    jw_str(&w, "op", "MatMul");
    jw_end(&w);
  }
  jw_end(&w);
  jw_end(&w);
  return o;
}

START_TEST(json_parse__large_document__linear) {
  enum { N = 300000 };
  size_t len;
  out *o = large(N, false);
  const char *text = out_text(o, &len);
  ck_assert_msg(parse_bytes(text, len, &doc, &fault) == ERR_OK, "%s", fault.msg);
  uint64_t n = 0, id;
  for (const json *v = json_first(json_get(doc.root, "tasks")); v != NULL; v = json_next(v), n++) {
    ck_assert_int_eq(json_need_u64(&doc, v, "", "id", 0, N, &id, &fault), ERR_OK);
    ck_assert_uint_eq(id, n);
  }
  ck_assert_uint_eq(n, N);
  ck_assert_uint_eq(json_count(doc.root), N + 1);
  out_abort(o);
  o = large(N, true);
  text = out_text(o, &len);
  json_doc d;
  ck_assert_int_eq(parse_bytes(text, len, &d, &fault), ERR_BAD);
  ck_assert_str_eq(fault.msg, "f.json: .k0: this key stands there twice; remove one");
  out_abort(o);
}
END_TEST

START_TEST(json_parse__random_mutations__never_crash) {
  static const char TEXT[] = "{\"a\": [1, -2.5e3, true, null], \"b\\u00e9\": {\"c\": \"x\\n\\ud83d"
                             "\\ude00\", \"d\": []}, \"e\": \"\"}";
  uint64_t x = 1;
  size_t taken = 0;
  for (int i = 0; i < 50000; i++) {
    char text[sizeof TEXT];
    memcpy(text, TEXT, sizeof TEXT);
    size_t len = sizeof TEXT - 1;
    for (uint64_t n = next_random(&x) % 4; n > 0; n--)
      text[next_random(&x) % len] = (char)next_random(&x);
    if (next_random(&x) % 4 == 0) len = next_random(&x) % len;
    err e = {0};
    json_doc d;
    int status = parse_bytes(text, len, &d, &e);
    ck_assert_msg(status == ERR_OK || status == ERR_BAD, "%s", e.msg); /* cJSON agrees with us */
    ck_assert((status == ERR_OK) == (d.root != NULL));
    ck_assert((status == ERR_OK) == (e.msg[0] == '\0'));
    taken += status == ERR_OK;
    json_free(&d);
  }
  ck_assert_uint_gt(taken,
                    10000); /* many mutations are harmless, and the loop must not refuse all */
  ck_assert_uint_lt(taken, 40000);
}
END_TEST

START_TEST(json_access__types__told_apart) {
  parse("{\"o\": {}, \"a\": [], \"s\": \"\", \"n\": 0, \"t\": true, \"z\": null}");
  const json *r = doc.root;
  ck_assert(json_is_object(json_get(r, "o")) && !json_is_array(json_get(r, "o")));
  ck_assert(json_is_array(json_get(r, "a")) && !json_is_object(json_get(r, "a")));
  ck_assert(json_is_string(json_get(r, "s")) && !json_is_number(json_get(r, "s")));
  ck_assert(json_is_number(json_get(r, "n")) && !json_is_bool(json_get(r, "n")));
  ck_assert(json_is_bool(json_get(r, "t")) && json_true(json_get(r, "t")));
  ck_assert(json_is_null(json_get(r, "z")) && !json_is_null(json_get(r, "o")));
  ck_assert_ptr_null(json_get(r, "O")); /* keys are case-sensitive */
  ck_assert_ptr_null(json_get(json_get(r, "a"), "x"));
  ck_assert_ptr_null(json_get(NULL, "x"));
  ck_assert_ptr_null(json_first(json_get(r, "a")));
  ck_assert_str_eq(json_key(json_next(json_first(r))), "a");
}
END_TEST

START_TEST(json_need_u64__faults__path_value_and_range) {
  parse("{\"m\": {\"neg\": -3, \"frac\": 1.5, \"big\": 5000, \"s\": \"12\", \"b\": true, \"o\": {},"
        "\"a\": [], \"z\": null, \"huge\": 1e300, \"exact\": 9007199254740993}}");
  static const struct {
    const char *key, *is;
  } CASES[] = {{"neg", "is -3"},     {"frac", "is 1.5"},  {"big", "is 5000"},
               {"s", "is \"12\""},   {"b", "is true"},    {"o", "is an object"},
               {"a", "is an array"}, {"z", "is missing"}, {"none", "is missing"},
               {"huge", "is 1e+300"}};
  const json *m = json_get(doc.root, "m");
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
    err e = {0};
    uint64_t v = 7;
    char want[128];
    ck_assert_int_eq(json_need_u64(&doc, m, ".m", CASES[i].key, 1, 4096, &v, &e), ERR_BAD);
    snprintf(want, sizeof want, "f.json: .m.%s: %s; it must be a whole number from 1 to 4096",
             CASES[i].key, CASES[i].is);
    ck_assert_str_eq(e.msg, want);
    ck_assert_uint_eq(v, 7);
  }
  uint64_t v;
  ck_assert_int_eq(json_need_u64(&doc, m, ".m", "big", 5000, 5000, &v, &fault), ERR_OK);
  ck_assert_uint_eq(v, 5000);
}
END_TEST

START_TEST(json_need_u64__above_2_to_53__exact_as_a_string) {
  parse("{\"s\": \"18446744073709551615\", \"n\": 9007199254740992, \"n2\": 18446744073709551615,"
        "\"over\": \"18446744073709551616\", \"x\": \"0x10000000000000000\"}");
  uint64_t v;
  ck_assert_int_eq(json_need_u64(&doc, doc.root, "", "s", 0, UINT64_MAX, &v, &fault), ERR_OK);
  ck_assert_uint_eq(v, UINT64_MAX);
  ck_assert_int_eq(json_need_u64(&doc, doc.root, "", "n", 0, UINT64_MAX, &v, &fault), ERR_OK);
  ck_assert_uint_eq(v, UINT64_C(1) << 53);
  static const char *const BAD[] = {"n2", "over", "x"};
  for (size_t i = 0; i < 3; i++) {
    err e = {0};
    ck_assert_int_eq(json_need_u64(&doc, doc.root, "", BAD[i], 0, UINT64_MAX, &v, &e), ERR_BAD);
    ck_assert_ptr_nonnull(strstr(e.msg, "above 2^53 as a string"));
  }
}
END_TEST

START_TEST(json_opt__missing_or_null__value_left_alone) {
  parse("{\"z\": null}");
  uint64_t u = 1;
  double f = 2;
  bool b = true;
  const char *s = "s";
  static const char *const KEYS[] = {"z", "none"};
  for (size_t i = 0; i < 2; i++) {
    const char *k = KEYS[i];
    ck_assert_int_eq(json_opt_u64(&doc, doc.root, "", k, 5, 9, &u, &fault), ERR_OK);
    ck_assert_int_eq(json_opt_f64(&doc, doc.root, "", k, 5, 9, &f, &fault), ERR_OK);
    ck_assert_int_eq(json_opt_bool(&doc, doc.root, "", k, &b, &fault), ERR_OK);
    ck_assert_int_eq(json_opt_str(&doc, doc.root, "", k, &s, &fault), ERR_OK);
  }
  ck_assert(u == 1 && f == 2 && b && strcmp(s, "s") == 0);
}
END_TEST

START_TEST(json_access__wrong_type__said) {
  parse("{\"f\": \"x\\u0007y\", \"b\": 1, \"s\": 1, \"low\": 0.5}");
  err e[5] = {{0}, {0}, {0}, {0}, {0}};
  double f;
  bool b;
  const char *s;
  ck_assert_int_eq(json_need_f64(&doc, doc.root, "", "f", 0, 1, &f, &e[0]), ERR_BAD);
  ck_assert_str_eq(e[0].msg, "f.json: .f: is \"x?y\"; it must be a number from 0 to 1");
  ck_assert_int_eq(json_opt_bool(&doc, doc.root, "", "b", &b, &e[1]), ERR_BAD);
  ck_assert_str_eq(e[1].msg, "f.json: .b: is 1; it must be true or false");
  ck_assert_int_eq(json_need_str(&doc, doc.root, ".x", "s", &s, &e[2]), ERR_BAD);
  ck_assert_str_eq(e[2].msg, "f.json: .x.s: is 1; it must be a string");
  ck_assert_int_eq(json_need_str(&doc, doc.root, "", "none", &s, &e[3]), ERR_BAD);
  ck_assert_str_eq(e[3].msg, "f.json: .none: is missing; it must be a string");
  ck_assert_int_eq(json_need_f64(&doc, doc.root, "", "low", 1, 2, &f, &e[4]), ERR_BAD);
  ck_assert_str_eq(e[4].msg, "f.json: .low: is 0.5; it must be a number from 1 to 2");
}
END_TEST

/* -- writing -- */

static void write_sample(jw *w) {
  jw_object(w, NULL);
  jw_u64(w, "u", UINT64_MAX);
  jw_i64(w, "i", INT64_MIN);
  jw_object(w, "o");
  jw_array(w, "a");
  jw_f64(w, NULL, 0.1);
  jw_bool(w, NULL, true);
  jw_null(w, NULL);
  jw_end(w);
  jw_array(w, "none");
  jw_end(w);
  jw_end(w);
  jw_str(w, "s", "x");
  jw_end(w);
}

START_TEST(jw__one_line__exact_text) {
  out *o = out_memory();
  jw w = jw_new(o, 0, 0);
  write_sample(&w);
  ck_assert_str_eq(out_text(o, NULL), "{\"u\": 18446744073709551615, \"i\": -9223372036854775808, "
                                      "\"o\": {\"a\": [0.1, true, null], \"none\": []}, "
                                      "\"s\": \"x\"}\n");
  out_abort(o);
}
END_TEST

START_TEST(jw__outer_levels_pretty__exact_text) {
  out *o = out_memory();
  jw w = jw_new(o, 2, 2);
  write_sample(&w);
  ck_assert_str_eq(out_text(o, NULL), "{\n"
                                      "  \"u\": 18446744073709551615,\n"
                                      "  \"i\": -9223372036854775808,\n"
                                      "  \"o\": {\n"
                                      "    \"a\": [0.1, true, null],\n"
                                      "    \"none\": []\n"
                                      "  },\n"
                                      "  \"s\": \"x\"\n"
                                      "}\n");
  out_abort(o);
}
END_TEST

START_TEST(out_json_str__escapes_and_broken_utf8__valid_json) {
  static const struct {
    const char *in, *text;
  } CASES[] = {
      {"", "\"\""},
      {"a\"b\\c/d", "\"a\\\"b\\\\c/d\""},
      {"\n\t\r\b\x01\x1f\x7f", "\"\\n\\t\\u000d\\u0008\\u0001\\u001f\\u007f\""},
      {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\""},
      {"\xff", "\"\xef\xbf\xbd\""},
      {"a\xc3", "\"a\xef\xbf\xbd\""},                               /* cut off */
      {"\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* overlong */
      {"\xe2\x82z", "\"\xef\xbf\xbd\xef\xbf\xbdz\""},               /* cut in the middle */
      {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a surrogate */
      {"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
  };
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
    out *o = out_memory();
    out_json_str(o, CASES[i].in);
    ck_assert_str_eq(out_text(o, NULL), CASES[i].text);
    out_abort(o);
  }
}
END_TEST

/* The definition in the header, literally. */
static void fewest_digits(char text[40], double v) {
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, 40, "%.*g", digits, v);
    if (strtod(text, NULL) == v) return;
  }
}

static double some_double(uint64_t *x, int i) {
  uint64_t bits = next_random(x);
  double v;
  if (i % 5 == 1) return (double)(bits % 1000000007) / pow(10, (double)((bits >> 40) % 20));
  if (i % 5 == 2) return (double)(bits % 100000) * 1e-9 * (double)((bits >> 40) % 77777);
  if (i % 5 == 3) return ldexp((double)(bits % 64 + 1), -(int)((bits >> 40) % 70));
  if (i % 5 == 4) /* exponents of times and sizes */
    bits = (bits & ~(UINT64_C(0x7ff) << 52)) | (uint64_t)(963 + (bits >> 20) % 130) << 52;
  memcpy(&v, &bits, sizeof v);
  return isfinite(v) ? v : 0;
}

START_TEST(out_json_f64__random_and_special__fewest_digits_that_read_back) {
  static const double SPECIAL[] = {0.0,    -0.0,    1e15,        999999999999999,
                                   1e-5,   1e-4,    DBL_MAX,     DBL_MIN,
                                   5e-324, 0.1,     1e22,        1e23,
                                   0.3,    1.0 / 3, 1e16,        123456789012345678.0,
                                   2e-308, -1e-7,   DBL_EPSILON, 9007199254740993.0,
                                   0.5,    1e17};
  uint64_t x = 42;
  const int n_special = (int)(sizeof SPECIAL / sizeof *SPECIAL);
  for (int i = 0; i < 300000; i++) {
    double v = i < n_special ? SPECIAL[i] : some_double(&x, i);
    char want[40], got[64];
    fewest_digits(want, v);
    static out *o;
    if (o == NULL) o = out_memory();
    size_t before, after;
    out_text(o, &before);
    out_json_f64(o, v);
    const char *text = out_text(o, &after);
    snprintf(got, sizeof got, "%s", text + before);
    ck_assert_msg(strcmp(got, want) == 0, "%a: %s, not %s", v, got, want);
    if (after > 1 << 17 || i == 299999) {
      out_abort(o);
      o = NULL;
    }
  }
}
END_TEST

START_TEST(jw__random_values__read_back_the_same) {
  enum { N = 20000 };
  uint64_t x = 7;
  out *o = out_memory();
  jw w = jw_new(o, 1, 1);
  jw_array(&w, NULL);
  for (int i = 0; i < N; i++) {
    char text[9] = {0};
    uint64_t bits = next_random(&x);
    for (int k = 0; k < 8; k++) text[k] = (char)(bits >> (8 * k) & 0x7f); /* ASCII with controls */
    jw_object(&w, NULL);
    jw_f64(&w, "f", some_double(&x, i));
    jw_str(&w, "s", text);
    jw_end(&w);
  }
  jw_end(&w);
  size_t len;
  const char *text = out_text(o, &len);
  ck_assert_msg(parse_bytes(text, len, &doc, &fault) == ERR_OK, "%s", fault.msg);
  out_abort(o);
  x = 7;
  int i = 0;
  for (const json *v = json_first(doc.root); v != NULL; v = json_next(v), i++) {
    char want[9] = {0};
    uint64_t bits = next_random(&x);
    for (int k = 0; k < 8; k++) want[k] = (char)(bits >> (8 * k) & 0x7f);
    ck_assert(json_num(json_get(v, "f")) == some_double(&x, i));
    ck_assert_str_eq(json_str(json_get(v, "s")), want);
  }
  ck_assert_int_eq(i, N);
}
END_TEST

int main(void) {
  Suite *s = suite_create("json");
  TCase *t = tcase_create("json");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 120); /* against quadratic work; nothing here is a measurement */
  tcase_add_test(t, json_parse__faults__place_and_reason);
  tcase_add_test(t, json_parse__white_space_and_byte_order_mark__taken);
  tcase_add_test(t, json_parse__deep_nesting__limited_without_overflow);
  tcase_add_test(t, json_parse__large_document__linear);
  tcase_add_test(t, json_parse__random_mutations__never_crash);
  tcase_add_test(t, json_access__types__told_apart);
  tcase_add_test(t, json_need_u64__faults__path_value_and_range);
  tcase_add_test(t, json_need_u64__above_2_to_53__exact_as_a_string);
  tcase_add_test(t, json_opt__missing_or_null__value_left_alone);
  tcase_add_test(t, json_access__wrong_type__said);
  tcase_add_test(t, jw__one_line__exact_text);
  tcase_add_test(t, jw__outer_levels_pretty__exact_text);
  tcase_add_test(t, out_json_str__escapes_and_broken_utf8__valid_json);
  tcase_add_test(t, out_json_f64__random_and_special__fewest_digits_that_read_back);
  tcase_add_test(t, jw__random_values__read_back_the_same);
  suite_add_tcase(s, t);
  return suite_run(s);
}
