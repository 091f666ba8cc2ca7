/* What may reach a terminal. */
#define _XOPEN_SOURCE 700 /* posix_openpt */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/file.h"
#include "sim/base/text.h"
#include "tests/suite.h"

static void cleans(const char *text, size_t n, bool one_line, const char *want) {
  char got[64] = {0};
  memcpy(got, text, n);
  text_clean(got, n, one_line);
  ck_assert_mem_eq(got, want, n + 1);
}

#define CLEANS(text, one_line, want) cleans(text, sizeof(text) - 1, one_line, want)

START_TEST(text_clean__controls__are_question_marks) {
  CLEANS("a\033[31mb\007\r\b\177", true, "a?[31mb????");
  CLEANS("a\tb\nc", true, "a?b?c");
  CLEANS("a\tb\nc\033", false, "a\tb\nc?");
  CLEANS("x\xc2\x9b"
         "31m",
         false, "x??31m"); /* CSI as one character of C1 */
  CLEANS("x\x9b"
         "31m",
         false, "x?31m"); /* and as a byte of Latin-1 */
}
END_TEST

/* Shortest and longest of each length, and what lies beside them (RFC 3629). */
START_TEST(text_clean__utf8__stays_where_it_is_well_formed) {
  CLEANS("\xc2\xa0\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
         true,
         "\xc2\xa0\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
  CLEANS("\xc1\xbf\xe0\x9f\xbf\xf0\x8f\xbf\xbf", true, "?????????"); /* overlong */
  CLEANS("\xed\xa0\x80\xf4\x90\x80\x80", true, "???????");           /* surrogate; beyond */
  CLEANS("\xf9\x80\x80\x80\xff", true, "?????");                     /* no lead */
  CLEANS("\xe2\x96", true, "??");                                    /* cut short */
  CLEANS("\xe2"
         "ab",
         true, "?ab");
}
END_TEST

/* In short pieces and in one that is longer than any buffer. */
START_TEST(out_print__any_length__is_clean) {
  enum { LONG = 1 << 19, HEAD = 8, ALL = HEAD + 2 * LONG + 2 };
  err e = {0};
  char *text = malloc(LONG + 1), *got = malloc(ALL + 1);
  memset(text, '\033', LONG);
  text[LONG] = 0;
  int old = dup(STDOUT_FILENO);
  FILE *f = tmpfile();
  ck_assert_ptr_nonnull(f);
  ck_assert_int_eq(dup2(fileno(f), STDOUT_FILENO), STDOUT_FILENO);
  out *o = out_print(&e);
  ck_assert_ptr_nonnull(o);
  out_str(o, "\xe2\x96\x88\033[1m\n");
  out_str(o, text);
  out_printf(o, "%s\007\n", text);
  ck_assert_int_eq(out_close(o, &e), ERR_OK);
  ck_assert_int_eq(dup2(old, STDOUT_FILENO), STDOUT_FILENO);
  close(old);
  rewind(f);
  size_t n = fread(got, 1, ALL + 1, f);
  fclose(f);
  ck_assert_uint_eq(n, ALL);
  ck_assert_mem_eq(got, "\xe2\x96\x88?[1m\n", HEAD);
  for (size_t i = HEAD; i < n - 1; i++) ck_assert_int_eq(got[i], '?');
  ck_assert_int_eq(got[n - 1], '\n');
  free(text);
  free(got);
}
END_TEST

START_TEST(out_open__a_terminal__is_clean) {
  err e = {0};
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) return; /* none to be had here */
  int slave = open(ptsname(master), O_RDWR | O_NOCTTY);                    /* keeps it open */
  out *o = out_open(ptsname(master), &e);
  ck_assert_msg(o != NULL, "%s", e.msg);
  out_str(o, "a\033[2Jb\n");
  ck_assert_int_eq(out_close(o, &e), ERR_OK);
  char got[16] = {0};
  ck_assert_int_gt(read(master, got, sizeof got - 1), 0);
  ck_assert_int_eq(strncmp(got, "a?[2Jb", 6), 0);
  close(slave);
  close(master);
}
END_TEST

int main(void) {
  Suite *s = suite_create("text");
  TCase *t = tcase_create("text");
  tcase_add_test(t, text_clean__controls__are_question_marks);
  tcase_add_test(t, text_clean__utf8__stays_where_it_is_well_formed);
  tcase_add_test(t, out_print__any_length__is_clean);
  tcase_add_test(t, out_open__a_terminal__is_clean);
  suite_add_tcase(s, t);
  return suite_run(s);
}
