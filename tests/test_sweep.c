/* The points of a sweep: ranges, products, files, shards; and the file that its rows go to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/sweep.h"
#include "sim/sweep_file.h"
#include "tests/suite.h"

static arena mem;
static err fault;

/* All values of one axis, joined by blanks; the message where there is a fault. */
static const char *axis(const char *text) {
  static char joined[1024];
  sweep_plan p;
  fault = (err){0};
  if (sweep_plan_vary(&text, 1, &p, &mem, &fault)) return fault.msg;
  joined[0] = '\0';
  for (size_t i = 0; i < p.axes[0].n; i++) {
    if (i > 0) strcat(joined, " ");
    strcat(joined, p.axes[0].value[i]);
  }
  return joined;
}

START_TEST(sweep_plan_vary__ranges__values_to_the_stop) {
  ck_assert_str_eq(axis("k=a,b c,d:e"), "a b c d:e");
  ck_assert_str_eq(axis("k=1:16:x2"), "1 2 4 8 16");
  ck_assert_str_eq(axis("k=1:15:x2"), "1 2 4 8");
  ck_assert_str_eq(axis("k=0:4096:+1024"), "0 1024 2048 3072 4096");
  ck_assert_str_eq(axis("k=12.8GBps:409.6GBps:x2"),
                   "12.8GBps 25.6GBps 51.2GBps 102.4GBps 204.8GBps 409.6GBps");
  /* 0.1 three times is not 0.3 in binary: the stop belongs to the range, and prints as written */
  ck_assert_str_eq(axis("k=0.1:0.3:+0.1"), "0.1 0.2 0.3");
  ck_assert_str_eq(axis("k=16:1:x0.5"), "16 8 4 2 1");
  ck_assert_str_eq(axis("k=3:-3:+-3"), "3 0 -3");
  ck_assert_str_eq(axis("k=5:5:+1"), "5");
  ck_assert_str_eq(axis("k=1,2,4:16:x2,file:F"), "1 2 4 8 16 file:F");
}
END_TEST

START_TEST(sweep_plan_vary__bad_ranges__refused) {
  const char *const BAD[] = {"1:2",      "1:2:3",      "1:2:*3",    "1:2:x",   "1:2:x1",
                             "1:2:x0.5", "2:1:x2",     "1:2:+0",    "1:2:+-1", "0:2:x2",
                             "-1:2:x2",  "1s:2ms:+1s", "1:2:+1:+1", "1:b:+1",  "1:2:+inf"};
  for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
    const char *said = axis(arena_printf(&mem, "k=%s", BAD[i]));
    ck_assert_msg(strstr(said, "a range is START:STOP:xFACTOR") != NULL, "%s: %s", BAD[i], said);
    ck_assert_int_eq(fault.status, ERR_BAD);
  }
}
END_TEST

START_TEST(sweep_point__axes__first_changes_slowest) {
  const char *const VARY[] = {"a=1,2", "b=x,y,z"};
  const char *const *v;
  sweep_plan p;
  fault = (err){0};
  ck_assert_int_eq(sweep_plan_vary(VARY, 2, &p, &mem, &fault), ERR_OK);
  ck_assert_uint_eq(p.n_points, 6);
  sweep_cursor c = {.plan = &p};
  for (uint64_t i = 0; i < 6; i++) {
    ck_assert_int_eq(sweep_point(&c, i, &v, &fault), ERR_OK);
    ck_assert_int_eq(v[0][0], "111222"[i]);
    ck_assert_int_eq(v[1][0], "xyzxyz"[i]);
  }
  sweep_cursor_free(&c);
}
END_TEST

START_TEST(sweep_plan_vary__too_many_points__refused) {
  const char *const VARY[] = {"a=0:99999:+1", "b=0:99999:+1"};
  sweep_plan p;
  fault = (err){0};
  ck_assert_int_eq(sweep_plan_vary(VARY, 2, &p, &mem, &fault), ERR_BAD);
  ck_assert_ptr_nonnull(strstr(fault.msg, "more than 1000000000 points"));
}
END_TEST

/* A file of its own in the working folder. */
static const char *file_of(const char *text) {
  const char *path = arena_printf(&mem, "test_sweep-%ld.csv", (long)getpid());
  FILE *f = fopen(path, "w");
  ck_assert_ptr_nonnull(f);
  fputs(text, f);
  fclose(f);
  return path;
}

START_TEST(sweep_point__file__cells_forward_and_back) {
  const char *path = file_of("\xef\xbb\xbf"
                             "a,\"b,c\"\r\n1,\"x\"\"y\"\n\n2,\n\"3\",z");
  const char *const *v;
  sweep_plan p;
  fault = (err){0};
  ck_assert_int_eq(sweep_plan_file(path, &p, &mem, &fault), ERR_OK);
  ck_assert_uint_eq(p.n_points, 3);
  ck_assert_str_eq(p.key[0], "a");
  ck_assert_str_eq(p.key[1], "b,c");
  sweep_cursor c = {.plan = &p};
  const uint64_t ORDER[] = {0, 2, 1, 0};
  const char *const SECOND[] = {"x\"y", "", "z"};
  for (size_t k = 0; k < 4; k++) {
    ck_assert_int_eq(sweep_point(&c, ORDER[k], &v, &fault), ERR_OK);
    ck_assert_int_eq(v[0][0], "123"[ORDER[k]]);
    ck_assert_str_eq(v[1], SECOND[ORDER[k]]);
  }
  (void)file_of("a,b\n1,2\n"); /* shorter while it is in use */
  ck_assert_int_eq(sweep_point(&c, 0, &v, &fault), ERR_OK);
  ck_assert_int_eq(sweep_point(&c, 2, &v, &fault), ERR_BAD);
  sweep_cursor_free(&c);
  unlink(path);
}
END_TEST

START_TEST(sweep_shard__any_number__contiguous_and_whole) {
  for (uint64_t n = 1; n <= 20; n++)
    for (unsigned shards = 1; shards <= 25; shards++) {
      uint64_t at = 0, first, end;
      for (unsigned i = 1; i <= shards; i++) {
        char text[32];
        snprintf(text, sizeof text, "%u/%u", i, shards);
        fault = (err){0};
        ck_assert_int_eq(sweep_shard(text, n, &first, &end, &fault), ERR_OK);
        ck_assert_uint_eq(first, at);
        ck_assert(end - first <= n / shards + 1);
        at = end;
      }
      ck_assert_uint_eq(at, n);
    }
}
END_TEST

static const char HEADER[] = "a,error\n";

static int open_rows(const char *path, const char *plan, bool resume, sweep_file *f) {
  fault = (err){0};
  return sweep_file_open(path, HEADER, plan, resume, f, &mem, &fault);
}

/* What the file holds; NULL: there is none. */
static const char *text_of(const char *path) {
  FILE *f = fopen(path, "r");
  if (f == NULL) return NULL;
  char *text = arena_alloc(&mem, 4096, 1);
  size_t n = fread(text, 1, 4095, f);
  text[n] = '\0';
  fclose(f);
  return text;
}

START_TEST(sweep_file__cut_anywhere__resumed_whole) {
  const char *path = arena_printf(&mem, "test_sweep-%ld.out", (long)getpid());
  const char *part = arena_printf(&mem, "%s.part", path),
             *lock = arena_printf(&mem, "%s.sweep", path);
  const char *const ROW[] = {"1,\n", "\"2\n,2\",\n", "3,\"why, \"\"so\"\"\"\n"};
  const char *whole = "a,error\n1,\n\"2\n,2\",\n3,\"why, \"\"so\"\"\"\n";
  for (size_t cut = 0; cut <= strlen(whole); cut++) {
    sweep_file f;
    ck_assert_int_eq(open_rows(path, "plan", false, &f), ERR_OK);
    sweep_file_leave(&f);
    FILE *out = fopen(part, "w");
    fwrite(whole, 1, cut, out);
    fputc('\0', out);
    fclose(out);
    ck_assert_int_eq(open_rows(path, "plan", false, &f), ERR_BAD);
    ck_assert_int_eq(open_rows(path, "other", true, &f), ERR_BAD);
    ck_assert_int_eq(open_rows(path, "plan", true, &f), ERR_OK);
    ck_assert_ptr_null(text_of(path));
    while (f.rows < 3)
      ck_assert_int_eq(sweep_file_add(&f, ROW[f.rows], strlen(ROW[f.rows]), &fault), ERR_OK);
    ck_assert_uint_eq(f.failed, 1);
    ck_assert_int_eq(sweep_file_finish(&f, &fault), ERR_OK);
    ck_assert_str_eq(text_of(path), whole);
    ck_assert_ptr_null(text_of(part));
    ck_assert_ptr_null(text_of(lock));
    unlink(path);
  }
}
END_TEST

int main(void) {
  Suite *s = suite_create("sweep");
  TCase *t = tcase_create("points");
  tcase_add_test(t, sweep_plan_vary__ranges__values_to_the_stop);
  tcase_add_test(t, sweep_plan_vary__bad_ranges__refused);
  tcase_add_test(t, sweep_point__axes__first_changes_slowest);
  tcase_add_test(t, sweep_plan_vary__too_many_points__refused);
  tcase_add_test(t, sweep_point__file__cells_forward_and_back);
  tcase_add_test(t, sweep_shard__any_number__contiguous_and_whole);
  suite_add_tcase(s, t);
  t = tcase_create("file");
  tcase_add_test(t, sweep_file__cut_anywhere__resumed_whole);
  suite_add_tcase(s, t);
  return suite_run(s);
}
