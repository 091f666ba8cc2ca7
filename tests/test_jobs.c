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

static int ends[2];

/* Piece 0 ends only when piece 1 has run. */
static int meet(void *ctx, size_t i, out *result, err *e) {
  char c = 'x';
  (void)ctx;
  ssize_t n = i == 0 ? read(ends[0], &c, 1) : write(ends[1], &c, 1);
  out_char(result, c);
  return n == 1 ? ERR_OK : err_set(e, ERR_INTERNAL, "no byte");
}

START_TEST(jobs_run__two_at_once__run_side_by_side) {
  ck_assert_int_eq(pipe(ends), 0);
  ck_assert_int_eq(jobs_run(2, 2, meet, note, &got, &fault), ERR_OK);
  ck_assert_uint_eq(got.n, 2);
  for (size_t i = 0; i < 2; i++) ck_assert_int_eq(got.status[i], ERR_OK);
}
END_TEST

/* ---- some pieces a process ---- */

/* What was prepared; what the last process was prepared for, as it sees it. */
static struct {
  size_t calls, first, n, most, refuse_at;
  size_t pieces; /* summed up over the calls */
} batch;

static int prepare_all(void *ctx, size_t i, size_t most, size_t *n, err *e) {
  (void)ctx;
  if (i == batch.refuse_at) return err_set(e, ERR_BAD, "not %zu", i);
  batch.first = i;
  *n = batch.n = most;
  batch.calls++;
  batch.pieces += most;
  if (most > batch.most) batch.most = most;
  return ERR_OK;
}

/* Says how many pieces its process had before it. */
static int count(void *ctx, size_t i, out *result, err *e) {
  static size_t before;
  (void)ctx, (void)e;
  if (i < batch.first || i >= batch.first + batch.n) return ERR_INTERNAL;
  if (i != batch.first + before) return ERR_INTERNAL;
  before++;
  out_printf(result, "%zu", before - 1);
  return ERR_OK;
}

static void begin_batches(void) {
  memset(&batch, 0, sizeof batch);
  batch.refuse_at = SIZE_MAX;
  got = (seen){.stop_at = MAX, .me = getpid()};
}

START_TEST(jobs_run_batches__short_pieces__some_a_process_in_order) {
  const jobs_batch all = {.prepare = prepare_all};
  const size_t jobs[] = {1, 2, 7};
  for (size_t k = 0; k < sizeof jobs / sizeof *jobs; k++) {
    begin_batches();
    ck_assert_int_eq(jobs_run_batches(MAX, jobs[k], &all, count, note, &got, &fault), ERR_OK);
    ck_assert_uint_eq(got.n, MAX);
    ck_assert_uint_eq(batch.pieces, MAX);
    ck_assert_uint_le(batch.most, JOBS_MOST);
    size_t first = 0;
    for (size_t i = 0; i < MAX; i++) {
      ck_assert_int_eq(got.status[i], ERR_OK);
      first += strcmp(got.text[i], "0") == 0;
    }
    ck_assert_uint_eq(first, batch.calls);
  }
}
END_TEST

static int takes_its_time(void *ctx, size_t i, out *result, err *e) {
  (void)ctx, (void)i, (void)e, (void)result;
  usleep(60000);
  return ERR_OK;
}

START_TEST(jobs_run_batches__long_pieces__one_a_process) {
  const jobs_batch all = {.prepare = prepare_all};
  begin_batches();
  ck_assert_int_eq(jobs_run_batches(12, 2, &all, takes_its_time, note, &got, &fault), ERR_OK);
  ck_assert_uint_eq(got.n, 12);
  ck_assert_uint_eq(batch.most, 1);
}
END_TEST

/* How many its process had before it; a late one sleeps. */
static int slow_in_the_end(void *ctx, size_t i, out *result, err *e) {
  if (i >= 100) usleep(100000);
  return count(ctx, i, result, e);
}

START_TEST(jobs_run_batches__pieces_that_become_long__are_left_to_others) {
  const jobs_batch all = {.prepare = prepare_all};
  begin_batches();
  ck_assert_int_eq(jobs_run_batches(130, 1, &all, slow_in_the_end, note, &got, &fault), ERR_OK);
  ck_assert_uint_eq(got.n, 130);
  ck_assert_uint_gt(batch.most, 1);
  size_t ran = 0; /* slow ones of the process that piece i had */
  for (size_t i = 100; i < 130; i++) {
    ck_assert_int_eq(got.status[i], ERR_OK);
    ran = strcmp(got.text[i], "0") == 0 ? 1 : ran + 1;
    ck_assert_uint_le(ran, 5);
  }
}
END_TEST

/* Every fifth piece ends its process in some way; the fourth of ten fails. */
static int ends_in_some_way(void *ctx, size_t i, out *result, err *e) {
  (void)ctx;
  out_printf(result, "%zu", i);
  if (i % 10 == 3) return err_set(e, ERR_BAD, "no %zu", i);
  if (i % 15 == 4) raise(SIGKILL);
  if (i % 15 == 9) _exit(0);
  if (i % 15 == 14) _exit(9);
  return ERR_OK;
}

START_TEST(jobs_run_batches__processes_that_die__lose_one_piece_each) {
  const jobs_batch all = {.prepare = prepare_all};
  const size_t jobs[] = {1, 3, 20};
  for (size_t k = 0; k < sizeof jobs / sizeof *jobs; k++) {
    begin_batches();
    ck_assert_int_eq(jobs_run_batches(MAX, jobs[k], &all, ends_in_some_way, note, &got, &fault),
                     ERR_OK);
    ck_assert_uint_eq(got.n, MAX);
    for (size_t i = 0; i < MAX; i++) {
      bool dies = i % 5 == 4;
      ck_assert_int_eq(got.status[i], dies ? ERR_INTERNAL : i % 10 == 3 ? ERR_BAD : ERR_OK);
      if (!dies) ck_assert_uint_eq(strtoul(got.text[i], NULL, 10), i);
      if (i % 15 == 4) ck_assert_ptr_nonnull(strstr(got.msg[i], "ended by signal 9"));
      if (i % 15 == 9) ck_assert_ptr_nonnull(strstr(got.msg[i], "status 0 and gave no result"));
      if (i % 15 == 14) ck_assert_ptr_nonnull(strstr(got.msg[i], "status 9"));
    }
  }
}
END_TEST

static bool not_every_third(void *ctx, size_t i) {
  (void)ctx;
  return i % 3 != 0;
}

START_TEST(jobs_run_batches__process_may_not_go_on__another_takes_the_rest) {
  const jobs_batch some = {.prepare = prepare_all, .again = not_every_third};
  begin_batches();
  ck_assert_int_eq(jobs_run_batches(MAX, 2, &some, count, note, &got, &fault), ERR_OK);
  ck_assert_uint_eq(got.n, MAX);
  for (size_t i = 0; i < MAX; i++) {
    ck_assert_int_eq(got.status[i], ERR_OK);
    if (i % 3 == 0) ck_assert_str_eq(got.text[i], "0");
  }
}
END_TEST

START_TEST(jobs_run_batches__cannot_be_prepared__ends_all) {
  const jobs_batch all = {.prepare = prepare_all};
  begin_batches();
  batch.refuse_at = 0;
  ck_assert_int_eq(jobs_run_batches(MAX, 2, &all, count, note, &got, &fault), ERR_BAD);
  ck_assert_str_eq(fault.msg, "not 0");
  ck_assert_uint_eq(got.n, 0);
}
END_TEST

static int much_and_more(void *ctx, size_t i, out *result, err *e) {
  return i % 2 == 0 ? much(ctx, i % 26, result, e) : ERR_OK;
}

static int check_every_other(void *ctx, size_t i, const jobs_result *r, err *e) {
  if (i % 2 == 0) return check_much(ctx, i % 26, r, e);
  ck_assert_uint_eq(r->len, 0);
  return ERR_OK;
}

START_TEST(jobs_run_batches__more_than_a_pipe_holds__arrives_whole) {
  const jobs_batch all = {.prepare = prepare_all};
  begin_batches();
  ck_assert_int_eq(jobs_run_batches(40, 2, &all, much_and_more, check_every_other, NULL, &fault),
                   ERR_OK);
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
  tcase_add_test(c, jobs_run__two_at_once__run_side_by_side);
  tcase_add_test(c, jobs_run_batches__short_pieces__some_a_process_in_order);
  tcase_add_test(c, jobs_run_batches__long_pieces__one_a_process);
  tcase_add_test(c, jobs_run_batches__pieces_that_become_long__are_left_to_others);
  tcase_add_test(c, jobs_run_batches__processes_that_die__lose_one_piece_each);
  tcase_add_test(c, jobs_run_batches__process_may_not_go_on__another_takes_the_rest);
  tcase_add_test(c, jobs_run_batches__cannot_be_prepared__ends_all);
  tcase_add_test(c, jobs_run_batches__more_than_a_pipe_holds__arrives_whole);
  suite_add_tcase(s, c);
  return suite_run(s);
}
