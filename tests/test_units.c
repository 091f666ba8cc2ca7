/* Quantities with units. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/units.h"
#include "tests/suite.h"

/* The message must hold every one of the '|'-separated parts. */
static void says(const err *e, int status, const char *parts) {
  ck_assert_int_eq(e->status, status);
  char copy[256], *save = NULL;
  strcpy(copy, parts);
  for (char *p = strtok_r(copy, "|", &save); p != NULL; p = strtok_r(NULL, "|", &save))
    ck_assert_msg(strstr(e->msg, p) != NULL, "'%s' is not in: %s", p, e->msg);
}

START_TEST(units_parse__all_units__nearest_double) {
  err fault = {0};
  static const struct {
    units_kind kind;
    const char *text;
    double v;
  } CASES[] = {
      {UNITS_SIZE, "8MiB", 8388608},
      {UNITS_SIZE, "8 KB", 8000},
      {UNITS_SIZE, "1.5GiB", 1610612736},
      {UNITS_SIZE, "3TiB", 3298534883328},
      {UNITS_SIZE, "4096", 4096},
      {UNITS_SIZE, "7B", 7},
      {UNITS_BANDWIDTH, "51.2GBps", 51.2e9},
      {UNITS_BANDWIDTH, "1Gbps", 125e6},
      {UNITS_BANDWIDTH, "2MiBps", 2097152},
      {UNITS_BANDWIDTH, "12.8 kBps", 12800},
      {UNITS_BANDWIDTH, "8bps", 1},
      {UNITS_SPEED, "4Tf", 4e12},
      {UNITS_SPEED, "0.1Pf", 1e14},
      {UNITS_SPEED, "1.1kf", 1100},
      {UNITS_TIME, "100ns", 1e-7},
      {UNITS_TIME, "3.3ps", 3.3e-12},
      {UNITS_TIME, " 2.378 ms ", 2.378e-3},
      {UNITS_TIME, "1e3us", 1e-3},
      {UNITS_TIME, "-5s", -5},
      {UNITS_ENERGY, "20pJ", 20e-12},
      {UNITS_POWER, "50mW", 0.05},
      {UNITS_POWER, "2kW", 2000},
      {UNITS_NUMBER, ".9", 0.9},
      {UNITS_NUMBER, "+1.e2", 100},
  };
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
    double v = NAN;
    ck_assert_msg(units_parse(CASES[i].kind, CASES[i].text, false, &v, &fault) == ERR_OK, "%s",
                  fault.msg);
    /* the literal is the nearest double, and so must be the parsed value: no tolerance */
    ck_assert_msg(v == CASES[i].v, "%s: %.17g, not %.17g", CASES[i].text, v, CASES[i].v);
  }
}
END_TEST

START_TEST(units_parse__not_a_quantity__refused_with_the_units) {
  static const struct {
    units_kind kind;
    const char *text, *says;
  } CASES[] = {
      {UNITS_SIZE, "8 MiBs", "'8 MiBs' is no size|B KB MB GB TB KiB MiB GiB TiB|8MiB"},
      {UNITS_SIZE, "", "'' is no size"},
      {UNITS_SIZE, "MiB", "'MiB' is no size"},
      {UNITS_SIZE, "0x10", "'0x10' is no size"},
      {UNITS_SIZE, "1e", "'1e' is no size"},
      {UNITS_SIZE, "1..2", "no size"},
      {UNITS_SIZE, "8mib", "no size"},
      {UNITS_BANDWIDTH, "8GB", "no bandwidth|GBps|Gbps"},
      {UNITS_TIME, "nan", "no time|ps ns us ms s"},
      {UNITS_TIME, "inf", "no time"},
      {UNITS_SPEED, "1e400f", "no speed|1e308"},
      {UNITS_SPEED, "1e99999999999999999999f", "no speed|1e308"},
      {UNITS_NUMBER, "0.9x", "'0.9x' is no number|0.9"},
      {UNITS_NUMBER, "1\n2", "'1?2' is no number"},
  };
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
    err e = {0};
    double v = 42;
    ck_assert_msg(units_parse(CASES[i].kind, CASES[i].text, false, &v, &e) != ERR_OK, "took '%s'",
                  CASES[i].text);
    says(&e, ERR_BAD, CASES[i].says);
    ck_assert(v == 42);
  }
}
END_TEST

START_TEST(units_parse__unit_needed__bare_number_refused_but_zero_taken) {
  err fault = {0};
  double v;
  ck_assert_int_eq(units_parse(UNITS_TIME, "5", true, &v, &fault), ERR_BAD);
  says(&fault, ERR_BAD, "'5'|unit is missing|ns");
  fault = (err){0};
  ck_assert_int_eq(units_parse(UNITS_TIME, "0", true, &v, &fault), ERR_OK);
  ck_assert(v == 0);
  ck_assert_int_eq(units_parse(UNITS_NUMBER, "5", true, &v, &fault), ERR_OK);
}
END_TEST

START_TEST(units_parse_u64__range__kept) {
  err fault = {0};
  uint64_t v = 0;
  ck_assert_int_eq(units_parse_u64("18446744073709551615", 0, UINT64_MAX, &v, &fault), ERR_OK);
  ck_assert_uint_eq(v, UINT64_MAX);
  static const char *const BAD[] = {"",    "-1",  "+1", " 1",  "1 ",
                                    "1.0", "1e3", "0",  "101", "18446744073709551616"};
  for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
    err e = {0};
    ck_assert_msg(units_parse_u64(BAD[i], 1, 100, &v, &e) == ERR_BAD, "took '%s'", BAD[i]);
    says(&e, ERR_BAD, "from 1 to 100");
  }
  ck_assert_uint_eq(v, UINT64_MAX);
}
END_TEST

START_TEST(units_print__values__few_digits_and_fitting_unit) {
  char b[UNITS_TEXT];
  ck_assert_str_eq(units_time(b, 2.3781234e-3), "2.378 ms");
  ck_assert_str_eq(units_time(b, 12.345e-6), "12.345 us"); /* exact where it is short */
  ck_assert_str_eq(units_time(b, 100e-9), "100 ns");
  ck_assert_str_eq(units_time(b, 999.99999e-6), "1 ms"); /* rounding reaches the next unit */
  ck_assert_str_eq(units_time(b, 0), "0 s");
  ck_assert_str_eq(units_time(b, -0.25), "-250 ms");
  ck_assert_str_eq(units_time(b, 86400), "86400 s");
  ck_assert_str_eq(units_time(b, 2.5e-13), "0.25 ps");
  ck_assert_str_eq(units_size(b, 8388608), "8 MiB");
  ck_assert_str_eq(units_size(b, 1023), "1023 B");
  ck_assert_str_eq(units_size(b, 1024), "1 KiB");
  ck_assert_str_eq(units_size(b, 1048575), "1 MiB");
  ck_assert_str_eq(units_size_si(b, 121643008), "121.6 MB");
  ck_assert_str_eq(units_bandwidth(b, 51.2e9), "51.2 GB/s");
  ck_assert_str_eq(units_speed(b, 4e12), "4 Tflop/s");
  ck_assert_str_eq(units_speed(b, 1e21), "1e+06 Pflop/s");
}
END_TEST

int main(void) {
  Suite *s = suite_create("units");
  TCase *t = tcase_create("units");
  tcase_add_test(t, units_parse__all_units__nearest_double);
  tcase_add_test(t, units_parse__not_a_quantity__refused_with_the_units);
  tcase_add_test(t, units_parse__unit_needed__bare_number_refused_but_zero_taken);
  tcase_add_test(t, units_parse_u64__range__kept);
  tcase_add_test(t, units_print__values__few_digits_and_fitting_unit);
  suite_add_tcase(s, t);
  return suite_run(s);
}
