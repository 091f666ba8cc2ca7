/* The Perfetto trace of runs told by hand, and the rule checker itself: every rule must fail where
 * it is broken. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/json.h"
#include "tests/report_rig.h"
#include "tests/trace_rules.h"
#include "tests/suite.h"

#define US 1e-6

/* ---- the checker ---- */

#define NAME(pid, tid)                                                                             \
  "{\"ph\":\"M\",\"pid\":" pid ",\"tid\":" tid                                                     \
  ",\"ts\":0,\"name\":\"thread_name\",\"args\":{\"name\":\"t\"}},"                                 \
  "{\"ph\":\"M\",\"pid\":" pid ",\"tid\":" tid                                                     \
  ",\"ts\":0,\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":1}},"

/* Small, and all rules hold. */
static const char GOOD[] =
    "{\"traceEvents\":["
    "{\"ph\":\"M\",\"pid\":1,\"tid\":11,\"ts\":0,\"name\":\"process_name\",\"args\":{\"name\":"
    "\"A\"}},"
    "{\"ph\":\"M\",\"pid\":1,\"tid\":11,\"ts\":0,\"name\":\"process_sort_index\",\"args\":{\"sort_"
    "index\":1}}," NAME("1", "11") NAME(
        "1",
        "12") "{\"ph\":\"X\",\"pid\":1,\"tid\":11,\"ts\":0.000,\"dur\":5.000,\"name\":\"outer\"},"
              "{\"ph\":\"X\",\"pid\":1,\"tid\":11,\"ts\":1.000,\"dur\":4.000,\"name\":\"inner\"},"
              "{\"ph\":\"X\",\"pid\":1,\"tid\":11,\"ts\":5.000,\"dur\":2.001,\"name\":\"next\"},"
              "{\"ph\":\"X\",\"pid\":1,\"tid\":12,\"ts\":7.001,\"dur\":1.000,\"name\":\"far\"},"
              "{\"ph\":\"s\",\"pid\":1,\"tid\":11,\"ts\":5.000,\"id\":7,\"name\":\"d\",\"cat\":"
              "\"d\"},"
              "{\"ph\":\"f\",\"pid\":1,\"tid\":12,\"ts\":7.001,\"id\":7,\"bp\":\"e\",\"name\":"
              "\"d\",\"cat\":\"d\"},"
              "{\"ph\":\"C\",\"pid\":1,\"name\":\"c\",\"ts\":0.000,\"args\":{\"B\":0}},"
              "{\"ph\":\"C\",\"pid\":1,\"name\":\"c\",\"ts\":1.000,\"args\":{\"B\":9}},"
              "{\"ph\":\"C\",\"pid\":1,\"name\":\"c\",\"ts\":3.000,\"args\":{\"B\":0}},"
              "{\"ph\":\"b\",\"pid\":1,\"tid\":11,\"ts\":1.000,\"id2\":{\"local\":\"0x1\"},\"cat\":"
              "\"tensor\",\"name\":\"x\"},"
              "{\"ph\":\"e\",\"pid\":1,\"tid\":11,\"ts\":2.000,\"id2\":{\"local\":\"0x1\"},\"cat\":"
              "\"tensor\",\"name\":\"x\"}"
              "],\"metadata\":{}}";

/* Replaces the first `from` behind the first `after`. */
static const struct {
  const char *after, *from, *to, *rule;
} BROKEN[] = {
    {"", "],\"metadata\"", "\"metadata\"", "json"},
    {"", "traceEvents", "events", "json"},
    {"", "metadata", "facts", "json"},
    {"", "\"ph\":\"b\"", "\"ph\":\"q\"", "json"},
    {"", "\"dur\":5.000", "\"dur\":5.0005", "time"},
    {"", "\"dur\":5.000", "\"dur\":-5", "time"},
    {"far", "\"ts\":5.000", "\"ts\":-5.000", "time"},
    {"", "process_name", "process_title", "names"},
    {"", "thread_name", "thread_title", "names"},
    {"thread_sort_index", "thread_name", "process_name", "names"},
    {"process_sort_index", "\"sort_index\":1", "\"sort_index\":0", "names"},
    {"", "\"tid\":12,\"ts\":7.001,\"dur\"", "\"tid\":13,\"ts\":7.001,\"dur\"", "names"},
    {"", "\"pid\":1,\"tid\":12,\"ts\":7.001,\"dur\"", "\"pid\":2,\"tid\":12,\"ts\":7.001,\"dur\"",
     "names"},
    {"", "\"pid\":1,\"name\":\"c\"", "\"name\":\"c\"", "tid"},
    {"", "\"ph\":\"X\",\"pid\":1,\"tid\":11,", "\"ph\":\"X\",\"pid\":1,", "tid"},
    {"inner", "\"ts\":5.000,\"dur\"", "\"ts\":4.999,\"dur\"", "nest"},
    {"outer", "\"dur\":4.000", "\"dur\":4.001", "nest"},
    {"", "\"ph\":\"f\"", "\"ph\":\"s\"", "flow"},
    {"", "\"ph\":\"s\"", "\"ph\":\"f\"", "flow"},
    {"\"ph\":\"f\"", "\"id\":7", "\"id\":8", "flow"},
    {"", "\"bp\":\"e\",", "", "flow"},
    {"\"ph\":\"f\"", "\"ts\":7.001", "\"ts\":8.002", "flow"},
    {"\"ph\":\"f\"", "\"ts\":7.001", "\"ts\":4.999", "flow"},
    {"\"ph\":\"s\",\"pid\":1,", "\"tid\":11", "\"tid\":12", "flow"},
    {"\"ts\":3.000", "\"B\":0", "\"B\":1", "counter"},
    {"\"name\":\"c\"", "\"B\":0", "\"B\":1", "counter"},
    {"\"name\":\"c\"", "\"ts\":0.000", "\"ts\":0.001", "counter"},
    {"\"name\":\"c\"", "\"B\":0", "\"B\":0,\"C\":0", "counter"},
    {"", "\"ph\":\"b\"", "\"ph\":\"e\"", "async"},
    {"", "\"ph\":\"e\"", "\"ph\":\"b\"", "async"},
    {"\"ph\":\"e\"", "0x1", "0x2", "async"},
    {"\"ph\":\"e\"", "\"ts\":2.000", "\"ts\":0.500", "async"},
};

START_TEST(trace_rules__small_trace__holds) {
  char why[TRACE_RULES_WHY];
  ck_assert_msg(trace_rules_check(GOOD, strlen(GOOD), why) == 0, "%s", why);
}
END_TEST

START_TEST(trace_rules__broken__named) {
  char text[sizeof GOOD + 64], why[TRACE_RULES_WHY];
  const char *after = strstr(GOOD, BROKEN[_i].after);
  ck_assert_ptr_nonnull(after);
  const char *at = strstr(after, BROKEN[_i].from);
  ck_assert_ptr_nonnull(at);
  snprintf(text, sizeof text, "%.*s%s%s", (int)(at - GOOD), GOOD, BROKEN[_i].to,
           at + strlen(BROKEN[_i].from));
  ck_assert_int_eq(trace_rules_check(text, strlen(text), why), 1);
  ck_assert_msg(strncmp(why, BROKEN[_i].rule, strlen(BROKEN[_i].rule)) == 0, "expected %s, got: %s",
                BROKEN[_i].rule, why);
}
END_TEST

START_TEST(trace_rules__small_tid__refused) {
  /* thread 12 becomes 9 everywhere: named, but too small; and 1, which is the pid */
  static const char *const NEW[] = {"\"tid\":9,", "\"tid\":1,"};
  for (int i = 0; i < 2; i++) {
    char text[sizeof GOOD], why[TRACE_RULES_WHY];
    size_t n = 0;
    for (const char *p = GOOD; *p != '\0';) {
      bool hit = strncmp(p, "\"tid\":12,", 9) == 0;
      const char *s = hit ? NEW[i] : p;
      size_t len = hit ? strlen(s) : 1;
      memcpy(text + n, s, len);
      n += len;
      p += hit ? 9 : 1;
    }
    ck_assert_int_eq(trace_rules_check(text, n, why), 1);
    ck_assert_msg(strncmp(why, "tid", 3) == 0, "%s", why);
  }
}
END_TEST

/* ---- traces ---- */

typedef struct opened {
  out *o;
  json_doc doc;
} opened;

static opened open_trace(const report *const *r, size_t n) {
  opened x = {.o = out_memory()};
  report_write_trace(r, n, x.o);
  size_t len;
  const char *text = out_text(x.o, &len);
  char why[TRACE_RULES_WHY];
  err e = {0};
  ck_assert_msg(trace_rules_check(text, len, why) == 0, "%s", why);
  ck_assert_int_eq(json_parse("trace", (const unsigned char *)text, len, &x.doc, &e), ERR_OK);
  return x;
}

static void close_trace(opened *x) {
  json_free(&x->doc);
  out_abort(x->o);
}

/* The n-th event of a phase whose name begins so; NULL where there are fewer. */
static const json *find(const opened *x, const char *phase, const char *name, int n) {
  const json *v = json_first(json_get(x->doc.root, "traceEvents"));
  for (; v != NULL; v = json_next(v)) {
    if (strcmp(json_str(json_get(v, "ph")), phase) != 0) continue;
    if (strncmp(json_str(json_get(v, "name")), name, strlen(name)) == 0 && n-- == 0) return v;
  }
  return NULL;
}

static const json *need(const opened *x, const char *phase, const char *name, int n) {
  const json *v = find(x, phase, name, n);
  ck_assert_msg(v != NULL, "no %s event %d named '%s'", phase, n, name);
  return v;
}

static double num(const json *v, const char *key) {
  ck_assert_msg(json_get(v, key) != NULL && json_is_number(json_get(v, key)), "no number '%s'",
                key);
  return json_num(json_get(v, key));
}

static const char *str(const json *v, const char *key) {
  ck_assert_msg(json_get(v, key) != NULL && json_is_string(json_get(v, key)), "no string '%s'",
                key);
  return json_str(json_get(v, key));
}

/* A counter must take exactly these values (pairs of us and value, ended by -1). */
static void assert_counter(const opened *x, const char *name, const char *unit,
                           const double *pairs) {
  int n = 0;
  for (; pairs[0] >= 0; pairs += 2, n++) {
    const json *v = need(x, "C", name, n);
    ck_assert_double_eq_tol(num(v, "ts"), pairs[0], 1e-9);
    ck_assert_double_eq_tol(num(json_get(v, "args"), unit), pairs[1], 1e-9);
  }
  ck_assert_msg(find(x, "C", name, n) == NULL, "'%s' has more than %d values", name, n);
}
#define ASSERT_COUNTER(x, name, unit, ...)                                                         \
  assert_counter((x), (name), (unit), (const double[]){__VA_ARGS__, -1})

/* Two loads on two channels, overlapping; an Add of what the first brought. */
static rig *two_loads(void) {
  rig *g = rig_new(1, 2);
  uint32_t a = rig_load(g, 2000), b = rig_load(g, 500), add = rig_add(g, 1000, &a, 1);
  rig_play_task(g, a, 1, 0, 3 * US, 8 * US, 8 * US);
  rig_play_task(g, b, 2, 1 * US, 4 * US, 6 * US, 6 * US);
  rig_play *p = rig_play_task(g, add, 0, 9 * US, 10 * US, 13 * US, 13 * US);
  p->why.ready_s = 8 * US, p->why.ready_by = a;
  p->why.gate_s = 9 * US;
  rig_run(g, true);
  return g;
}

START_TEST(trace_slices__task__carries_the_contracts_args) {
  rig *g = two_loads();
  const report *r = &g->report;
  opened x = open_trace(&r, 1);
  const json *v = need(&x, "X", "Add t2", 0), *args = json_get(v, "args");
  ck_assert_str_eq(str(v, "cat"), "vector");
  ck_assert_double_eq(num(v, "tid"), 11);
  ck_assert_double_eq_tol(num(v, "ts"), 9, 1e-12);
  ck_assert_double_eq_tol(num(v, "dur"), 4, 1e-12);
  ck_assert_double_eq(num(args, "task_id"), 2);
  ck_assert_str_eq(str(args, "op"), "Add");
  ck_assert_double_eq(num(args, "layer"), 0);
  ck_assert_uint_eq(json_count(json_get(args, "inputs")), 2);
  const json *out0 = json_first(json_get(args, "outputs"));
  ck_assert_str_eq(str(out0, "dtype"), "bf16");
  ck_assert_double_eq(json_num(json_next(json_first(json_get(out0, "shape")))), 1000);
  ck_assert_double_eq(num(args, "flops"), 1000);
  ck_assert_double_eq(num(args, "bytes"), 6000);
  ck_assert_double_eq(num(args, "intensity"), 1000.0 / 6000);
  ck_assert_double_eq(num(args, "start_s"), g->tl->records[2].start_s);
  ck_assert_double_eq(num(args, "dur_s"), g->tl->records[2].end_s - g->tl->records[2].start_s);
  ck_assert_str_eq(str(args, "wait_cause"), "prefetch");
  ck_assert_double_eq_tol(num(args, "wait_s"), 1 * US, 1e-18);
  ck_assert(json_true(json_get(args, "critical")));
  ck_assert_str_eq(str(json_get(need(&x, "X", "LoadWeight t1", 0), "args"), "wait_cause"), "none");
  ck_assert_str_eq(str(need(&x, "X", "Wait prefetch", 0), "cat"), "wait");
  ck_assert_double_eq(num(json_get(need(&x, "X", "Wait prefetch", 0), "args"), "next_task_id"), 2);
  close_trace(&x);
  rig_free(g);
}
END_TEST

START_TEST(trace_slices__link__one_a_time_of_use) {
  rig *g = two_loads();
  const report *r = &g->report;
  opened x = open_trace(&r, 1);
  const json *v = need(&x, "X", "Busy", 0);
  ck_assert_double_eq(num(v, "tid"), 11 + 3); /* behind one engine and two channels */
  ck_assert_double_eq_tol(num(v, "ts"), 3, 1e-12);
  ck_assert_double_eq_tol(num(v, "dur"), 5, 1e-12);
  ck_assert_double_eq(num(json_get(v, "args"), "bytes"), 5000);
  ck_assert_double_eq(num(json_get(v, "args"), "flows"), 2);
  ck_assert_ptr_nonnull(find(&x, "X", "Busy", 2)); /* sram_bus and port0 */
  ck_assert_ptr_null(find(&x, "X", "Busy", 3));
  close_trace(&x);
  rig_free(g);
}
END_TEST

START_TEST(trace_slices__link_used_without_a_break__one_slice) {
  rig *g = rig_new(1, 2);
  uint32_t a = rig_load(g, 1000), b = rig_load(g, 1000);
  rig_play_task(g, a, 1, 0, 3 * US, 5 * US, 5 * US);
  rig_play_task(g, b, 2, 2 * US, 5 * US, 7 * US, 7 * US);
  rig_run(g, true);
  const report *r = &g->report;
  opened x = open_trace(&r, 1);
  ck_assert_double_eq_tol(num(need(&x, "X", "Busy", 0), "dur"), 4, 1e-12);
  ck_assert_ptr_null(find(&x, "X", "Busy", 1));
  ASSERT_COUNTER(&x, "bandwidth dram_bus", "GB/s", 0, 0, 3, 1, 7, 0);
  close_trace(&x);
  rig_free(g);
}
END_TEST

START_TEST(trace_counters__shared_link__fair_rates) {
  rig *g = two_loads();
  const report *r = &g->report;
  opened x = open_trace(&r, 1);
  ASSERT_COUNTER(&x, "bandwidth dram_bus", "GB/s", 0, 0, 3, 1, 8, 0);
  ASSERT_COUNTER(&x, "bandwidth port0", "GB/s", 0, 0, 10, 2, 13, 0);
  ASSERT_COUNTER(&x, "ready tasks", "tasks", 0, 0, 8, 1, 9, 0);
  ASSERT_COUNTER(&x, "SRAM occupancy", "bytes", 0, 0, 0, 4000, 1, 5000, 6, 4000, 8, 0, 9, 6000, 13,
                 0);
  close_trace(&x);
  rig_free(g);
}
END_TEST

/* Three streams on a bus of 4 GB/s: port0 gives 0.5, port1 caps each flow at 1, and port2 could
 * take 8, so that it gets the rest of the bus, 2.5. */
START_TEST(trace_counters__narrow_port_and_fatpipe__water_filling) {
  rig *g = rig_new(3, 1);
  g->plat->links[2].bandwidth_Bps = 0.5e9;
  g->plat->links[3].bandwidth_Bps = 1e9;
  g->plat->links[3].fatpipe = true;
  g->plat->links[4].bandwidth_Bps = 8e9;
  uint32_t a = rig_add(g, 1000, NULL, 0), b = rig_add(g, 1000, NULL, 0),
           c = rig_add(g, 1000, NULL, 0);
  rig_play_task(g, a, 0, 0, 1 * US, 9 * US, 9 * US);
  rig_play_task(g, b, 1, 0, 2 * US, 8 * US, 8 * US);
  rig_play_task(g, c, 2, 0, 3 * US, 7 * US, 7 * US);
  rig_run(g, true);
  const report *r = &g->report;
  opened x = open_trace(&r, 1);
  ASSERT_COUNTER(&x, "bandwidth port0", "GB/s", 0, 0, 1, 0.5, 9, 0);
  ASSERT_COUNTER(&x, "bandwidth port1", "GB/s", 0, 0, 2, 1, 8, 0);
  ASSERT_COUNTER(&x, "bandwidth port2", "GB/s", 0, 0, 3, 2.5, 7, 0);
  ASSERT_COUNTER(&x, "bandwidth sram_bus", "GB/s", 0, 0, 1, 0.5, 2, 1.5, 3, 4, 7, 1.5, 8, 0.5, 9,
                 0);
  close_trace(&x);
  rig_free(g);
}
END_TEST

START_TEST(trace_buffers__never_given_back__end_with_the_run) {
  rig *g = rig_new(1, 1);
  uint32_t a = rig_add(g, 1000, NULL, 0);
  rig_play_task(g, a, 0, 0, 0, 0, 2 * US);
  rig_run(g, true);
  while (g->tl->log[g->tl->n_log - 1].kind == TL_GIVE) g->tl->n_log--;
  const report *r = &g->report;
  opened x = open_trace(&r, 1);
  ck_assert_double_eq_tol(num(need(&x, "e", "x2", 0), "ts"), 2, 1e-12);
  ASSERT_COUNTER(&x, "SRAM occupancy", "bytes", 0, 0, 0, 6000, 2, 0);
  close_trace(&x);
  rig_free(g);
}
END_TEST

/* b takes no time and a successor begins on its engine in the same nanosecond: its arrow must still
 * start from b, which means that it stands between b's slice and the successor's. */
START_TEST(trace_flows__task_of_no_length__start_comes_before_the_next_slice) {
  rig *g = rig_new(1, 1);
  uint32_t a = rig_add(g, 1000, NULL, 0), b = rig_add(g, 1, &a, 1), c = rig_add(g, 1000, &b, 1);
  uint32_t d = rig_add(g, 1000, (uint32_t[]){a, b}, 2);
  rig_play_task(g, a, 0, 0, 0, 0, 2 * US);
  rig_play_task(g, b, 0, 2 * US, 0, 0, 2 * US)->why.ready_s = 2 * US;
  rig_play_task(g, c, 0, 2 * US, 0, 0, 4 * US)->why.ready_s = 2 * US;
  rig_play_task(g, d, 0, 4 * US, 0, 0, 6 * US)->why.ready_s = 2 * US;
  rig_run(g, true);
  const report *r = &g->report;
  opened x = open_trace(&r, 1);
  int order = 0;
  int starts_at_2 = 0;
  for (const json *v = json_first(json_get(x.doc.root, "traceEvents")); v != NULL;
       v = json_next(v)) {
    char phase = *json_str(json_get(v, "ph"));
    if (phase == 'X' && strcmp(str(v, "name"), "Add t1") == 0) order = 1;
    if (phase == 'X' && strcmp(str(v, "name"), "Add t2") == 0) order = 2;
    if (phase == 's' && num(v, "ts") == 2) {
      ck_assert_int_eq(order, 1);
      starts_at_2++;
    }
  }
  ck_assert_int_eq(starts_at_2, 2);
  close_trace(&x);
  rig_free(g);
}
END_TEST

START_TEST(trace_processes__several__unique_and_labelled) {
  rig *g = rig_new(2, 2), *h = rig_new(3, 1);
  rig_random(g, 5, 60);
  rig_random(h, 6, 60);
  const report *r[12];
  for (int i = 0; i < 12; i++) r[i] = i % 2 == 0 ? &g->report : &h->report;
  opened x = open_trace(r, 12); /* more processes than the smallest tid */
  ck_assert_str_eq(str(json_get(need(&x, "M", "process_name", 0), "args"), "name"),
                   "A: by-hand toy decode past 4, rig");
  ck_assert(strncmp(str(json_get(need(&x, "M", "process_name", 11), "args"), "name"), "L: ", 3) ==
            0);
  const json *facts = json_get(x.doc.root, "metadata");
  ck_assert_double_eq(num(facts, "A.makespan_s"), g->tl->makespan_s);
  ck_assert_str_eq(str(facts, "L.scheduler"), "by-hand");
  close_trace(&x);
  rig_free(g);
  rig_free(h);
}
END_TEST

START_TEST(trace__random_runs__rules_hold) {
  rig *g = rig_new(1 + (uint32_t)_i % 5, 1 + (uint32_t)_i % 4);
  rig_random(g, 100 + (uint32_t)_i, 10 + 30 * (uint32_t)_i);
  const report *r = &g->report;
  opened x = open_trace(&r, 1);
  size_t tasks = 0, arrows = 0;
  for (const json *v = json_first(json_get(x.doc.root, "traceEvents")); v != NULL;
       v = json_next(v)) {
    tasks += json_get(json_get(v, "args"), "task_id") != NULL;
    arrows += *json_str(json_get(v, "ph")) == 's';
  }
  ck_assert_uint_eq(tasks, g->dag->n_tasks);
  ck_assert_uint_eq(arrows, g->dag->n_deps);
  close_trace(&x);
  rig_free(g);
}
END_TEST

START_TEST(trace__empty_run__rules_hold) {
  rig *g = rig_new(1, 1);
  rig_run(g, true);
  const report *r = &g->report;
  opened x = open_trace(&r, 1);
  ck_assert_str_eq(str(json_get(x.doc.root, "metadata"), "platform"), "rig");
  close_trace(&x);
  rig_free(g);
}
END_TEST

int main(void) {
  Suite *s = suite_create("trace");
  TCase *t = tcase_create("rules");
  tcase_add_test(t, trace_rules__small_trace__holds);
  tcase_add_loop_test(t, trace_rules__broken__named, 0, (int)(sizeof BROKEN / sizeof *BROKEN));
  tcase_add_test(t, trace_rules__small_tid__refused);
  suite_add_tcase(s, t);
  t = tcase_create("trace");
  tcase_add_test(t, trace_slices__task__carries_the_contracts_args);
  tcase_add_test(t, trace_slices__link__one_a_time_of_use);
  tcase_add_test(t, trace_slices__link_used_without_a_break__one_slice);
  tcase_add_test(t, trace_counters__shared_link__fair_rates);
  tcase_add_test(t, trace_counters__narrow_port_and_fatpipe__water_filling);
  tcase_add_test(t, trace_buffers__never_given_back__end_with_the_run);
  tcase_add_test(t, trace_flows__task_of_no_length__start_comes_before_the_next_slice);
  tcase_add_test(t, trace_processes__several__unique_and_labelled);
  tcase_add_loop_test(t, trace__random_runs__rules_hold, 0, 16);
  tcase_add_test(t, trace__empty_run__rules_hold);
  suite_add_tcase(s, t);
  return suite_run(s);
}
