/* Runs side by side, on reports and traces of runs told by hand (report_rig.h): which fields
 * differ, where the makespan moved, tasks matched by id and name, one trace of many runs, and files
 * that are none of ours. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/unpack.h"
#include "sim/compare.h"
#include "tests/report_rig.h"
#include "tests/suite.h"
#include "tests/trace_rules.h"

#define US 1e-6

static arena mem;
static err fault;

static void setup(void) {
  mem = (arena){0};
  fault = (err){0};
}

static void teardown(void) {
  arena_free(&mem);
}

/* ---- runs ---- */

/* A load of 2000 B, then an add of `n` elements at `at_us`; where `more`, another after it. */
static rig *chain(uint64_t n, double at_us, bool more) {
  rig *g = rig_new(1, 1);
  uint32_t load = rig_load(g, 1000), add = rig_add(g, n, &load, 1);
  double end = at_us * US + 1 * US + (double)n * 1e-9;
  rig_play_task(g, load, 1, 0, 3 * US, 5 * US, 5 * US);
  rig_play *p = rig_play_task(g, add, 0, at_us * US, 0, 0, end);
  p->why.ready_s = at_us * US, p->why.ready_by = load;
  if (more) {
    uint32_t last = rig_add(g, 1000, &add, 1);
    p = rig_play_task(g, last, 0, end, 0, 0, end + 2 * US);
    p->why.ready_s = end, p->why.ready_by = add;
  }
  rig_run(g, true);
  return g;
}

static const char *text_of(rig *g, bool trace, size_t *len) {
  out *o = out_memory();
  const report *r = &g->report;
  if (trace)
    report_write_trace(&r, 1, o);
  else
    report_write_json(r, o);
  const char *text = arena_strdup(&mem, out_text(o, len));
  out_abort(o);
  return text;
}

static compare_run open_text(const char *name, const char *text) {
  compare_run r;
  ck_assert_msg(compare_parse(name, (const unsigned char *)text, strlen(text), &r, &mem, &fault) ==
                    ERR_OK,
                "%s", fault.msg);
  return r;
}

static compare_run open_run(rig *g, const char *name, bool trace) {
  size_t len;
  return open_text(name, text_of(g, trace, &len));
}

static size_t differences(const compare_run *r, size_t n, const char **said) {
  out *o = out_memory();
  size_t differ = compare_print(r, n, o, &mem);
  *said = arena_strdup(&mem, out_text(o, NULL));
  out_abort(o);
  return differ;
}

/* The line of the text that begins with `begin`, white space as single blanks. */
static const char *line_of(const char *text, const char *begin) {
  for (const char *p = text; p != NULL; p = strchr(p, '\n')) {
    p += *p == '\n';
    if (strncmp(p, begin, strlen(begin)) != 0) continue;
    char *line = arena_strndup(&mem, p, strcspn(p, "\n")), *to = line;
    for (const char *from = line; *from != '\0'; from++)
      if (*from != ' ' || (from[1] != ' ' && from[1] != '\0')) *to++ = *from;
    *to = '\0';
    return line;
  }
  return "";
}

/* ---- reports ---- */

START_TEST(compare__the_same_twice__no_difference) {
  rig *g = chain(3000, 5, false);
  compare_run r[2] = {open_run(g, "a", false), open_run(g, "b", true)};
  const char *said;
  ck_assert_uint_eq(differences(r, 2, &said), 0);
  ck_assert_ptr_null(strstr(said, "differ"));
  ck_assert_ptr_nonnull(strstr(said, "fields are equal"));
  for (int i = 0; i < 2; i++) compare_free(&r[i]);
  rig_free(g);
}
END_TEST

/* 5 us of load; then 1 us + 3 us, against 1 us + 7 us. */
START_TEST(compare__one_op_slower__the_makespan_moved_there) {
  rig *g = chain(3000, 5, false), *h = chain(7000, 5, false);
  compare_run r[2] = {open_run(g, "a", false), open_run(h, "b", false)};
  const char *said;
  ck_assert_uint_gt(differences(r, 2, &said), 0);
  ck_assert_str_eq(line_of(said, "makespan_s "), "makespan_s 9e-06 1.3e-05 +44.44%");
  ck_assert_str_eq(line_of(said, "Add "), "Add 4 us 8 us +4 us");
  ck_assert_str_eq(line_of(said, "LoadWeight "), "LoadWeight 5 us 5 us 0");
  ck_assert_str_eq(line_of(said, "makespan "), "makespan 9 us 13 us +4 us");
  ck_assert_str_eq(line_of(said, "bytes.dram_read "), ""); /* equal: not shown */
  ck_assert_ptr_null(strstr(said, "tasks of A"));          /* reports know none */
  for (int i = 0; i < 2; i++) compare_free(&r[i]);
  rig_free(g);
  rig_free(h);
}
END_TEST

START_TEST(compare__three_runs__each_against_the_first) {
  rig *g[3] = {chain(3000, 5, false), chain(4000, 5, false), chain(2000, 5, false)};
  compare_run r[3];
  for (int i = 0; i < 3; i++) r[i] = open_run(g[i], "x", i == 1);
  const char *said;
  ck_assert_uint_gt(differences(r, 3, &said), 0);
  ck_assert_str_eq(line_of(said, "Add "), "Add 4 us 5 us 3 us +1 us -1 us");
  ck_assert_str_eq(line_of(said, "makespan_s "), "makespan_s 9e-06 1e-05 8e-06 +11.11% -11.11%");
  for (int i = 0; i < 3; i++) compare_free(&r[i]);
  for (int i = 0; i < 3; i++) rig_free(g[i]);
}
END_TEST

START_TEST(compare__another_workload__says_so) {
  rig *g = chain(3000, 5, false);
  size_t len;
  const char *text = text_of(g, false, &len), *at = strstr(text, "\"past\": 4");
  ck_assert_ptr_nonnull(at);
  char *other = arena_strdup(&mem, text);
  other[at - text + 8] = '5';
  compare_run r[2] = {open_text("a", text), open_text("b", other)};
  const char *said;
  ck_assert_uint_eq(differences(r, 2, &said), 1);
  ck_assert_ptr_nonnull(strstr(said, "Workloads differ"));
  ck_assert_str_eq(line_of(said, "workload.past "), "workload.past 4 5");
  for (int i = 0; i < 2; i++) compare_free(&r[i]);
  rig_free(g);
}
END_TEST

/* ---- tasks ---- */

START_TEST(compare__traces__tasks_by_id_and_name) {
  rig *g = chain(3000, 5, false), *h = chain(7000, 5, true);
  compare_run r[2] = {open_run(g, "a", true), open_run(h, "b", true)};
  const char *said;
  ck_assert_uint_gt(differences(r, 2, &said), 0);
  ck_assert_ptr_nonnull(
      strstr(said, "2 match by id and name, 1 of them at other times; 0 only in A, 1 only in B"));
  /* the matching add 4 us, and 2 us of the one that only B has */
  ck_assert_str_eq(line_of(said, "  Add "), " Add +4 us 0 +2 us +6 us");
  ck_assert_str_eq(line_of(said, "  makespan "), " makespan +4 us 0 +2 us +6 us");
  for (int i = 0; i < 2; i++) compare_free(&r[i]);
  rig_free(g);
  rig_free(h);
}
END_TEST

START_TEST(compare__traces_with_one_name_changed__that_task_has_no_match) {
  rig *g = chain(3000, 5, false);
  size_t len;
  const char *text = text_of(g, true, &len);
  char *other = arena_strdup(&mem, text), *at = strstr(other, ",\"name\":\"Add ");
  ck_assert_ptr_nonnull(at);
  at[13] = at[13] == 'z' ? 'y' : 'z';
  compare_run r[2] = {open_text("a", text), open_text("b", other)};
  const char *said;
  ck_assert_uint_eq(differences(r, 2, &said), 2);
  ck_assert_ptr_nonnull(
      strstr(said, "1 match by id and name, 0 of them at other times; 1 only in A, 1 only in B"));
  ck_assert_str_eq(line_of(said, "  Add "), " Add 0 -4 us +4 us 0");
  for (int i = 0; i < 2; i++) compare_free(&r[i]);
  rig_free(g);
}
END_TEST

/* Over random runs: what ops, and matching and other tasks, moved sums to what the makespan did. */
START_TEST(compare__random_runs__tasks_have_the_whole_makespan) {
  rig *g = rig_new(3, 2);
  rig_random(g, 17 + (uint32_t)_i, 200);
  compare_run r = open_run(g, "a", true);
  ck_assert_uint_eq(r.n_tasks, 200);
  double sum = 0;
  for (size_t i = 0; i < r.n_tasks; i++) {
    ck_assert_uint_eq(r.tasks[i].id, i);
    ck_assert_double_eq(r.tasks[i].start_s, g->tl->records[i].start_s);
    sum += r.tasks[i].critical_s;
  }
  ck_assert_double_eq_tol(sum, r.makespan_s, 1e-9 * r.makespan_s);
  compare_free(&r);
  rig_free(g);
}
END_TEST

/* ---- one trace ---- */

static char *merged(const compare_run *r, size_t n) {
  out *o = out_memory();
  ck_assert_msg(compare_merge(r, n, o, &fault) == ERR_OK, "%s", fault.msg);
  char *text = arena_strdup(&mem, out_text(o, NULL));
  out_abort(o);
  return text;
}

static void assert_rules(const char *text) {
  char why[TRACE_RULES_WHY] = "";
  ck_assert_msg(trace_rules_check(text, strlen(text), why) == 0, "%s", why);
}

static size_t count(const char *text, const char *what) {
  size_t n = 0;
  for (const char *p = strstr(text, what); p != NULL; p = strstr(p + 1, what)) n++;
  return n;
}

enum { MANY = 13 };

/* More processes than the smallest tid, too. */
START_TEST(compare_merge__random_runs__rules_hold_and_nothing_is_lost) {
  static const size_t N[] = {1, 2, 5, MANY};
  rig *g[MANY];
  compare_run r[MANY];
  size_t n = N[_i], slices = 0, arrows = 0;
  for (size_t i = 0; i < n; i++) {
    g[i] = rig_new(1 + (uint32_t)i % 4, 1 + (uint32_t)i % 2);
    rig_random(g[i], 100 + (uint32_t)i, 20 + 5 * (uint32_t)i);
    r[i] = open_run(g[i], "x", true);
    slices += count((const char *)r[i].text, "{\"ph\":\"X\"");
    arrows += g[i]->dag->n_deps;
  }
  char *text = merged(r, n);
  assert_rules(text);
  ck_assert_uint_eq(count(text, "{\"ph\":\"X\""), slices);
  ck_assert_uint_eq(count(text, "{\"ph\":\"s\""), arrows);
  ck_assert_uint_eq(count(text, "\"process_name\""), n);
  for (size_t i = 0; i < n; i++) {
    char label[COMPARE_LABEL];
    const char *l = compare_label(label, i);
    ck_assert_uint_eq(
        count(text, arena_printf(&mem, "\"process_name\",\"args\":{\"name\":\"%s: ", l)), 1);
    ck_assert_uint_eq(count(text, arena_printf(&mem, "\"%s.makespan_s\": ", l)), 1);
    compare_free(&r[i]);
    rig_free(g[i]);
  }
}
END_TEST

/* What several reports write together in one process is what merging gives, but for the metadata.
 */
START_TEST(compare_merge__two_runs__as_one_process_writes_them) {
  rig *g = rig_new(2, 1), *h = rig_new(3, 2);
  rig_random(g, 5, 60);
  rig_random(h, 6, 80);
  const report *both[2] = {&g->report, &h->report};
  out *o = out_memory();
  report_write_trace(both, 2, o);
  compare_run r[2] = {open_run(g, "a", true), open_run(h, "b", true)};
  const char *text = merged(r, 2), *want = out_text(o, NULL);
  size_t n = (size_t)(strstr(want, "\n],\"metadata\":") - want);
  ck_assert_ptr_eq(strstr(text, "\n],\"metadata\":"), text + n);
  ck_assert_int_eq(strncmp(text, want, n), 0);
  out_abort(o);
  for (int i = 0; i < 2; i++) compare_free(&r[i]);
  rig_free(g);
  rig_free(h);
}
END_TEST

START_TEST(compare_label__beyond_z__two_letters) {
  char buf[COMPARE_LABEL];
  ck_assert_str_eq(compare_label(buf, 0), "A");
  ck_assert_str_eq(compare_label(buf, 25), "Z");
  ck_assert_str_eq(compare_label(buf, 26), "AA");
  ck_assert_str_eq(compare_label(buf, 26 + 25), "AZ");
  ck_assert_str_eq(compare_label(buf, 26 + 26), "BA");
}
END_TEST

/* ---- what is none of ours ---- */

static void refuses(const char *text, const char *say) {
  compare_run r;
  fault = (err){0};
  int status = compare_parse("f.json", (const unsigned char *)text, strlen(text), &r, &mem, &fault);
  ck_assert_msg(status == ERR_BAD, "accepts %.60s", text);
  ck_assert_msg(strncmp(fault.msg, "f.json", 6) == 0 && strstr(fault.msg, say) != NULL,
                "says '%s', not '%s'", fault.msg, say);
  compare_free(&r);
}

#define HEAD "{\"format\": \"llamasim-report\", \"version\": 1, \"makespan_s\": 1"

START_TEST(compare_parse__no_report__is_refused) {
  refuses("", "is empty");
  refuses("[1]", "holds no report");
  refuses("{}", ".format: is missing");
  refuses("{\"format\": \"llamasim-dag\"}", "compare reads reports");
  refuses("{\"format\": \"llamasim-report\", \"version\": 2}", "version");
  refuses("{\"format\": \"llamasim-report\", \"version\": 1}", "makespan_s: is missing");
  refuses("{\"format\": \"llamasim-report\", \"version\": 1, \"makespan_s\": -1}", "is -1");
  refuses("{\"format\": \"llamasim-report\", \"version\": 1, \"makespan_s\": 2e100}", "is 2e+100");
  refuses(HEAD ", \"links\": {\"bus\": -3e300}}", "links.bus: is -3e+300");
  refuses(HEAD ", \"a\": [[[[[[[[[1]]]]]]]]]}", "nested deeper");
  refuses(HEAD ", \"a\": [{\"name\": \"x\", \"v\": 1}, {\"name\": \"x\", \"v\": 2}]}",
          "a.x.name: stands there twice");
}
END_TEST

START_TEST(compare_parse__damaged_trace__is_refused) {
  rig *g = chain(3000, 5, false);
  size_t len;
  const char *text = text_of(g, true, &len);
  refuses(arena_strndup(&mem, text, len / 2), "not JSON");
  refuses("{\"traceEvents\":[\n\n],\"metadata\":{}}\n", "is no trace of one run");
  refuses("{\"traceEvents\":[]}", "is no trace of one run");
  char *two = arena_strdup(&mem, text), *at = strstr(two, "\"task_id\":1");
  at[10] = '0';
  refuses(two, "task 0 stands there twice");
  char *old = arena_strdup(&mem, text);
  memcpy(strstr(old, "\"critical_s\""), "\"critical_x\"", 12);
  refuses(old, "critical_s: is missing");
  rig_free(g);
}
END_TEST

/* Replaces the first `what` by as many bytes. */
static void merge_refuses(rig *g, const char *what, const char *by) {
  size_t len;
  char *text = arena_strdup(&mem, text_of(g, true, &len)), *at = strstr(text, what);
  ck_assert_ptr_nonnull(at);
  memcpy(at, by, strlen(what));
  compare_run r = open_text("f.json", text);
  out *o = out_memory();
  fault = (err){0};
  ck_assert_msg(compare_merge(&r, 1, o, &fault) == ERR_BAD, "accepts %s", by);
  ck_assert_ptr_nonnull(strstr(fault.msg, "f.json:"));
  out_abort(o);
  compare_free(&r);
}

START_TEST(compare_merge__event_of_another_form__is_refused) {
  rig *g = chain(3000, 5, false);
  merge_refuses(g, "{\"ph\":\"X\",\"pid\":1,", "{\"ph\":\"X\",\"pid\":2,");
  merge_refuses(g, "\"pid\":1,\"tid\":12", "\"tid\":12,\"pid\":1");
  merge_refuses(g, "},\n{\"ph\":\"M\"",
                "}\n,{\"ph\":\"M\""); /* not an event a line: nothing is left out */
  merge_refuses(g, "\"tid\":11", "\"tid\":10");
  merge_refuses(g, "\"id\":1,", "\"id\":0,");
  rig_free(g);
}
END_TEST

START_TEST(unpack_gzip__whole_cut_damaged_too_long__only_the_first_unpacks) {
  char path[] = "/tmp/llamasim-unpack-XXXXXX.gz";
  int fd = mkstemps(path, 3);
  ck_assert_int_ge(fd, 0);
  out *o = out_open(path, &fault);
  for (int i = 0; i < 50000; i++) out_printf(o, "%d ", i);
  ck_assert_int_eq(out_close(o, &fault), ERR_OK);
  file_bytes packed, b;
  ck_assert_int_eq(file_read(path, 1 << 20, &packed, &mem, &fault), ERR_OK);
  b = packed;
  ck_assert_int_eq(unpack_gzip("f", 1 << 20, &b, &mem, &fault), ERR_OK);
  ck_assert_uint_eq(b.len, 288890);
  ck_assert_int_eq(memcmp(b.data, "0 1 2 3 ", 8), 0);
  ck_assert_int_eq(b.data[b.len], 0);
  struct {
    size_t len, limit, flip;
    const char *say;
  } bad[] = {{packed.len - 9, 1 << 20, 0, "cut off"},
             {packed.len, 288889, 0, "more than the limit"},
             {packed.len, 1 << 20, packed.len - 6, "damaged"}};
  for (size_t i = 0; i < 3; i++) {
    unsigned char *copy =
        (unsigned char *)arena_strndup(&mem, (const char *)packed.data, packed.len);
    if (bad[i].flip != 0) copy[bad[i].flip] ^= 1;
    b = (file_bytes){copy, bad[i].len};
    fault = (err){0};
    ck_assert_int_eq(unpack_gzip("f", bad[i].limit, &b, &mem, &fault), ERR_BAD);
    ck_assert_msg(strstr(fault.msg, bad[i].say) != NULL, "says: %s", fault.msg);
  }
  b = (file_bytes){(const unsigned char *)"{}", 2};
  ck_assert_int_eq(unpack_gzip("f", 1, &b, &mem, &fault), ERR_OK); /* not gzipped: as it is */
  close(fd);
  unlink(path);
}
END_TEST

int main(void) {
  Suite *s = suite_create("compare");
  TCase *c = tcase_create("compare");
  tcase_add_checked_fixture(c, setup, teardown);
  tcase_add_test(c, compare__the_same_twice__no_difference);
  tcase_add_test(c, compare__one_op_slower__the_makespan_moved_there);
  tcase_add_test(c, compare__three_runs__each_against_the_first);
  tcase_add_test(c, compare__another_workload__says_so);
  tcase_add_test(c, compare__traces__tasks_by_id_and_name);
  tcase_add_test(c, compare__traces_with_one_name_changed__that_task_has_no_match);
  tcase_add_loop_test(c, compare__random_runs__tasks_have_the_whole_makespan, 0, 5);
  tcase_add_loop_test(c, compare_merge__random_runs__rules_hold_and_nothing_is_lost, 0, 4);
  tcase_add_test(c, compare_merge__two_runs__as_one_process_writes_them);
  tcase_add_test(c, compare_label__beyond_z__two_letters);
  tcase_add_test(c, compare_parse__no_report__is_refused);
  tcase_add_test(c, compare_parse__damaged_trace__is_refused);
  tcase_add_test(c, compare_merge__event_of_another_form__is_refused);
  tcase_add_test(c, unpack_gzip__whole_cut_damaged_too_long__only_the_first_unpacks);
  suite_add_tcase(s, c);
  return suite_run(s);
}
