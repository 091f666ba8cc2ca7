/* Pieces of work in processes of their own: in order, apart from each other, and what happens when
 * one dies. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/jobs.h"
#include "tests/suite.h"

enum { MAX = 200 };

typedef struct seen {
  size_t n;
  int status[MAX];
  char text[MAX][64];
  char msg[MAX][128];
  uint64_t len[MAX];
  size_t stop_at; /* take refuses this one */
  pid_t me;
} seen;

static seen got;
static err fault;

static void setup(void) {
  got = (seen){.stop_at = MAX, .me = getpid()};
  fault = (err){0};
}

static int note(void *ctx, size_t i, const jobs_result *r, err *e) {
  seen *s = ctx;
  ck_assert_int_eq(getpid(), s->me);
  ck_assert_uint_eq(i, s->n);
  s->status[i] = r->status;
  snprintf(s->text[i], sizeof s->text[i], "%s", r->data);
  snprintf(s->msg[i], sizeof s->msg[i], "%s", r->msg);
  s->len[i] = r->len;
  s->n++;
  return i == s->stop_at ? err_set(e, ERR_NO, "enough") : ERR_OK;
}

/* Later pieces are done sooner. */
static int square(void *ctx, size_t i, out *result, err *e) {
  seen *s = ctx;
  (void)e;
  if (getpid() == s->me) return ERR_INTERNAL;
  usleep(i % 4 == 0 ? 20000 : 0);
  s->n = 1000; /* nobody else's business */
  out_printf(result, "%zu", i * i);
  return ERR_OK;
}

START_TEST(jobs_run__any_number_at_once__same_results_in_order) {
  const size_t jobs[] = {0, 1, 3, 50};
  for (size_t k = 0; k < sizeof jobs / sizeof *jobs; k++) {
    got.n = 0;
    ck_assert_int_eq(jobs_run(100, jobs[k], square, note, &got, &fault), ERR_OK);
    ck_assert_uint_eq(got.n, 100);
    for (size_t i = 0; i < got.n; i++) {
      ck_assert_int_eq(got.status[i], ERR_OK);
      ck_assert_uint_eq(strtoul(got.text[i], NULL, 10), i * i);
      ck_assert_str_eq(got.msg[i], "");
    }
  }
}
END_TEST

START_TEST(jobs_run__none__is_done) {
  ck_assert_int_eq(jobs_run(0, 4, square, note, &got, &fault), ERR_OK);
  ck_assert_uint_eq(got.n, 0);
}
END_TEST

static int fails_in_some_way(void *ctx, size_t i, out *result, err *e) {
  (void)ctx;
  out_str(result, "half");
  if (i == 1) return err_set(e, ERR_BAD, "sram is 3 bytes short");
  if (i == 2) raise(SIGKILL);
  if (i == 3) _exit(0);
  if (i == 4) abort();
  return ERR_OK;
}

START_TEST(jobs_run__a_piece_fails_or_dies__that_one_says_so_and_the_others_go_on) {
  ck_assert_int_eq(jobs_run(6, 2, fails_in_some_way, note, &got, &fault), ERR_OK);
  ck_assert_uint_eq(got.n, 6);
  const int status[] = {ERR_OK, ERR_BAD, ERR_INTERNAL, ERR_INTERNAL, ERR_INTERNAL, ERR_OK};
  for (size_t i = 0; i < 6; i++) ck_assert_int_eq(got.status[i], status[i]);
  ck_assert_str_eq(got.msg[1], "sram is 3 bytes short");
  ck_assert_str_eq(got.text[1], "half");
  ck_assert_ptr_nonnull(strstr(got.msg[2], "ended by signal 9"));
  ck_assert_ptr_nonnull(strstr(got.msg[3], "gave no result"));
  ck_assert_ptr_nonnull(strstr(got.msg[4], "ended by signal 6"));
}
END_TEST

START_TEST(jobs_run__take_refuses__nothing_further_starts) {
  got.stop_at = 5;
  ck_assert_int_eq(jobs_run(100, 3, square, note, &got, &fault), ERR_NO);
  ck_assert_str_eq(fault.msg, "enough");
  ck_assert_uint_eq(got.n, 6);
}
END_TEST

enum { LARGE = 3 << 20 };

static int much(void *ctx, size_t i, out *result, err *e) {
  (void)ctx, (void)e;
  for (size_t k = 0; k < LARGE; k++) out_char(result, (char)('a' + i));
  return ERR_OK;
}

static int check_much(void *ctx, size_t i, const jobs_result *r, err *e) {
  (void)ctx, (void)e;
  ck_assert_uint_eq(r->len, LARGE);
  ck_assert_uint_eq(strlen(r->data), LARGE);
  for (size_t k = 0; k < LARGE; k++)
    if (r->data[k] != (char)('a' + i)) ck_abort_msg("byte %zu of piece %zu", k, i);
  return ERR_OK;
}

START_TEST(jobs_run__more_than_a_pipe_holds__arrives_whole) {
  ck_assert_int_eq(jobs_run(5, 3, much, check_much, NULL, &fault), ERR_OK);
}
END_TEST

START_TEST(jobs_run__text_waiting_in_stdio__is_written_once) {
  char path[] = "/tmp/llamasim-jobs-XXXXXX";
  int fd = mkstemp(path);
  ck_assert_int_ge(fd, 0);
  FILE *f = fdopen(fd, "w+");
  fputs("once", f);
  ck_assert_int_eq(jobs_run(8, 4, square, note, &got, &fault), ERR_OK);
  fflush(f);
  ck_assert_int_eq(ftell(f), 4);
  fseek(f, 0, SEEK_END);
  ck_assert_int_eq(ftell(f), 4);
  fclose(f);
  unlink(path);
}
END_TEST

int main(void) {
  Suite *s = suite_create("jobs");
  TCase *c = tcase_create("jobs");
  tcase_set_timeout(c, 60);
  tcase_add_checked_fixture(c, setup, NULL);
  tcase_add_test(c, jobs_run__any_number_at_once__same_results_in_order);
  tcase_add_test(c, jobs_run__none__is_done);
  tcase_add_test(c, jobs_run__a_piece_fails_or_dies__that_one_says_so_and_the_others_go_on);
  tcase_add_test(c, jobs_run__take_refuses__nothing_further_starts);
  tcase_add_test(c, jobs_run__more_than_a_pipe_holds__arrives_whole);
  tcase_add_test(c, jobs_run__text_waiting_in_stdio__is_written_once);
  suite_add_tcase(s, c);
  return suite_run(s);
}
