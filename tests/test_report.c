/* Timeline, report, JSON, CSV and summary, on runs told by hand. Times are in closed
 * form: with the rig's platform (report_rig.h) an Add of n elements is n ns of vector work behind 1
 * us of overhead, and a transfer of n bytes is 2 us of setup, 1 us of latency and n ns of flow. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/json.h"
#include "tests/report_rig.h"
#include "tests/suite.h"

#define US 1e-6

/* Times of a few microseconds, sums of a few terms: 1e-18 s is a few roundings. */
#define ASSERT_TIME(x, y) ck_assert_double_eq_tol((x), (y), 1e-18)

/* ---- timeline ---- */

START_TEST(timeline_resources__channels__named) {
  rig *one = rig_new(2, 1), *two = rig_new(1, 2);
  rig_run(one, false);
  rig_run(two, false);
  ck_assert_uint_eq(one->tl->n_resources, 3);
  ck_assert_str_eq(one->tl->resources[1].name, "e1");
  ck_assert_str_eq(one->tl->resources[1].role, "engine");
  ck_assert_str_eq(one->tl->resources[2].name, "dma0");
  ck_assert_str_eq(two->tl->resources[1].name, "dma0.0");
  ck_assert_str_eq(two->tl->resources[2].name, "dma0.1");
  ck_assert_str_eq(two->tl->resources[2].role, "dma");
  ck_assert_uint_eq(two->tl->resources[2].host, 0);
  rig_free(one);
  rig_free(two);
}
END_TEST

START_TEST(timeline_links__overlapping_flows__active_once_bytes_twice) {
  rig *g = rig_new(1, 2);
  uint32_t a = rig_load(g, 2000), b = rig_load(g, 500);
  rig_play_task(g, a, 1, 0, 3 * US, 8 * US, 8 * US);
  rig_play_task(g, b, 2, 1 * US, 4 * US, 6 * US, 6 * US);
  rig_run(g, true);
  const tl_link *bus = &g->tl->links[0];
  ck_assert_uint_eq(bus->bytes, 5000);
  ck_assert_uint_eq(bus->flows, 2);
  ASSERT_TIME(bus->active_s, 5 * US);
  ck_assert_uint_eq(g->tl->links[1].flows, 0);
  ASSERT_TIME(g->tl->resources[1].busy_s, 8 * US);
  ASSERT_TIME(g->tl->resources[2].busy_s, 5 * US);
  ASSERT_TIME(g->tl->makespan_s, 8 * US);
  ck_assert_uint_eq(g->tl->high_water_B[0], 5000);
  uint64_t bytes = 0;
  ck_assert_ptr_eq(tl_route(g->tl, a, &bytes), &g->plat->routes[0]);
  ck_assert_uint_eq(bytes, 4000);
  ck_assert_uint_eq(g->tl->n_log, 2 * 5 + 4);
  for (size_t i = 1; i < g->tl->n_log; i++) ck_assert(g->tl->log[i].t_s >= g->tl->log[i - 1].t_s);
  rig_free(g);
}
END_TEST

START_TEST(timeline_log__not_asked_for__empty) {
  rig *g = rig_new(1, 1);
  rig_play_task(g, rig_load(g, 500), 1, 0, 3 * US, 4 * US, 4 * US);
  rig_run(g, false);
  ck_assert_uint_eq(g->tl->n_log, 0);
  ck_assert_ptr_null(g->tl->log);
  rig_free(g);
}
END_TEST

/* ---- figures ---- */

/* A load, a MatMul of 2*1000*1000 flop (2 us), a store; DRAM efficiency one half. */
static rig *figures(void) {
  rig *g = rig_new(2, 1);
  g->plat->dram.efficiency = 0.5;
  uint32_t load = rig_load(g, 1000), mul = rig_matmul(g, 1000, 1000),
           store = rig_store(g, 500, NULL, 0);
  rig_play_task(g, load, 2, 0, 3 * US, 7 * US, 7 * US);
  rig_play_task(g, mul, 1, 0, 1 * US, 9 * US, 9 * US);
  rig_play_task(g, store, 2, 7 * US, 9 * US, 12 * US, 12 * US); /* 2 us of bytes in 3 */
  rig_run(g, true);
  return g;
}

START_TEST(report_make__energy__sum_of_parts) {
  rig *g = figures();
  const report *r = &g->report;
  double operands = 2.0 * (1000 + 1000 * 1000 + 1000), moved = 2.0 * (1000 + 500);
  ck_assert_double_eq_tol(r->energy_engine_J, 2e6 * 1e-12, 1e-20);
  ck_assert_double_eq_tol(r->energy_idle_J, 2 * 12 * US, 1e-18);
  ck_assert_double_eq_tol(r->energy_sram_J, (operands + moved) * 2e-12, 1e-18);
  ck_assert_double_eq_tol(r->energy_dram_J, moved * 10e-12, 1e-20);
  ck_assert_double_eq_tol(
      r->energy_J, r->energy_engine_J + r->energy_idle_J + r->energy_sram_J + r->energy_dram_J,
      1e-18);
  rig_free(g);
}
END_TEST

START_TEST(report_make__resources__plain_and_occupied_bytes) {
  rig *g = figures();
  const report_resource *r = g->report.resources;
  ck_assert_uint_eq(g->report.n_resources, 2 + 1 + 4);
  ck_assert_uint_eq(r[2].bytes, 3000); /* channel: as the tasks count them */
  ck_assert_uint_eq(r[2].tasks, 2);
  ck_assert_uint_eq(r[3].bytes, 6000); /* link: as occupied */
  ASSERT_TIME(r[3].busy_s, 6 * US);
  ck_assert_double_eq_tol(r[3].utilization, 0.5, 1e-15);
  ck_assert_uint_eq(r[1].bytes, 2 * (1000 + 1000 * 1000 + 1000));
  ck_assert_uint_eq(r[0].tasks, 0);
  ck_assert_str_eq(r[3].role, "link");
  ASSERT_TIME(r[3].active_s, 7 * US);
  ASSERT_TIME(g->report.dma_lead_s, 5 * US);
  rig_free(g);
}
END_TEST

START_TEST(report_make__throughput__by_phase) {
  rig *g = figures();
  dag_workload *w = &g->dag->workload;
  w->batch = 3;
  report r = report_make(g->tl, &g->report.bound, &g->mem);
  ck_assert_double_eq_tol(r.tokens_per_s, 3 / (12 * US), 1e-6);
  ck_assert_double_eq_tol(r.tpot_s, 12 * US, 1e-18);
  ck_assert_double_eq(r.ttft_s, 0);
  *w = (dag_workload){.phase = "prefill", .tokens = 512, .steps = 1, .batch = 1};
  r = report_make(g->tl, &g->report.bound, &g->mem);
  ck_assert_double_eq_tol(r.tokens_per_s, 512 / (12 * US), 1e-6);
  ck_assert_double_eq_tol(r.ttft_s, 12 * US, 1e-18);
  ck_assert_double_eq(r.tpot_s, 0);
  /* hybrid: the prefill is task 0, the two decode steps all that ends after it */
  *w = (dag_workload){.phase = "hybrid", .tokens = 512, .steps = 2, .batch = 3};
  for (uint32_t t = 1; t < g->dag->n_tasks; t++) g->dag->tasks[t].step = 1;
  double first = g->tl->records[0].end_s;
  r = report_make(g->tl, &g->report.bound, &g->mem);
  ck_assert_double_gt(first, 0);
  ck_assert_double_eq_tol(r.ttft_s, first, 1e-18);
  ck_assert_double_eq_tol(r.tpot_s, (12 * US - first) / 2, 1e-18);
  ck_assert_double_eq_tol(r.tokens_per_s, 6 / (12 * US - first), 1e-6);
  rig_free(g);
}
END_TEST

/* ---- JSON ---- */

/* The contract's example. Keys must stand in its order; more may follow. */
static const char CONTRACT[] =
    "format version workload.model workload.phase workload.past workload.tokens workload.steps "
    "workload.batch workload.layers workload.weight_dtype workload.act_dtype workload.kv_dtype "
    "workload.split workload.attention workload.kv_update workload.fuse workload.resident workload.sram_plan_B "
    "platform.name platform.engines "
    "platform.overrides scheduler tasks.compute tasks.load tasks.store tasks.move flops.matrix "
    "flops.vector "
    "bytes.dram_read bytes.dram_write bytes.weights bytes.scales bytes.kv_read bytes.kv_write "
    "bytes.spill bytes.move bytes.resident_weights bytes.resident_kv makespan_s "
    "bounds.critical_path_s bounds.engine_s bounds.link_s bounds.lower_s "
    "bounds.gap resources memory attribution.matrix_s attribution.vector_s attribution.overhead_s "
    "attribution.dram_s attribution.sram_s attribution.wait_sram_full_s attribution.wait_dma_s "
    "attribution.wait_engine_s energy_J.total throughput.tokens_per_s throughput.ttft_s "
    "throughput.tpot_s";

static bool next_key(const char **list, const char *key) {
  size_t n = strlen(key);
  if (strncmp(*list, key, n) != 0 || ((*list)[n] != ' ' && (*list)[n] != '\0')) return false;
  *list += n + ((*list)[n] == ' ');
  return true;
}

static json_doc parse_report(const rig *g, out *o) {
  err e = {0};
  json_doc doc;
  size_t len;
  report_write_json(&g->report, o);
  const char *text = out_text(o, &len);
  ck_assert_msg(json_parse("report", (const unsigned char *)text, len, &doc, &e) == ERR_OK, "%s",
                e.msg);
  return doc;
}

static const json *at(const json *v, const char *a, const char *b) {
  v = json_get(v, a);
  if (b != NULL) v = json_get(v, b);
  ck_assert_ptr_nonnull(v);
  return v;
}

START_TEST(report_json__keys__as_the_contract_orders_them) {
  rig *g = figures();
  out *o = out_memory();
  json_doc doc = parse_report(g, o);
  const char *left = CONTRACT;
  char path[128];
  for (const json *v = json_first(doc.root); v != NULL; v = json_next(v)) {
    if (next_key(&left, json_key(v)) || !json_is_object(v)) continue;
    for (const json *x = json_first(v); x != NULL; x = json_next(x)) {
      snprintf(path, sizeof path, "%s.%s", json_key(v), json_key(x));
      next_key(&left, path);
    }
  }
  ck_assert_str_eq(left, "");
  json_free(&doc);
  out_abort(o);
  rig_free(g);
}
END_TEST

START_TEST(report_json__values__those_of_the_report) {
  rig *g = figures();
  plat_override over[] = {{"engines", "2"}, {"dram.efficiency", "0.7"}, {"dram.efficiency", "0.5"}};
  g->plat->overrides = over;
  g->plat->n_overrides = 3;
  g->tl->prefetch = 5;
  g->tl->seed = 9;
  out *o = out_memory();
  json_doc doc = parse_report(g, o);
  ck_assert_str_eq(json_str(at(doc.root, "format", NULL)), "llamasim-report");
  ck_assert_double_eq(json_num(at(doc.root, "prefetch", NULL)), 5);
  ck_assert_double_eq(json_num(at(doc.root, "seed", NULL)), 9);
  ck_assert_double_eq(json_num(at(doc.root, "flops", "matrix")), 2e6);
  ck_assert_double_eq(json_num(at(doc.root, "bytes", "dram_write")), 1000);
  ck_assert_double_eq(json_num(at(doc.root, "makespan_s", NULL)), g->tl->makespan_s);
  ck_assert_double_eq(json_num(at(doc.root, "attribution", "dram_s")),
                      g->report.attr.cause_s[ATTR_DRAM]);
  const json *overrides = at(doc.root, "platform", "overrides");
  ck_assert_uint_eq(json_count(overrides), 2); /* the last value of a key counts */
  ck_assert_str_eq(json_str(json_get(overrides, "dram.efficiency")), "0.5");
  const json *bus = json_first(json_get(doc.root, "resources"));
  for (int i = 0; i < 3; i++) bus = json_next(bus);
  ck_assert_str_eq(json_str(json_get(bus, "name")), "dram_bus");
  ck_assert_double_eq_tol(json_num(json_get(bus, "active_s")), 7 * US, 1e-18);
  const json *sram = json_first(json_get(doc.root, "memory"));
  ck_assert_double_eq(json_num(json_get(sram, "capacity_B")), 1 << 20);
  ck_assert_double_eq(json_num(json_get(sram, "high_water_B")), (double)g->tl->high_water_B[0]);
  json_free(&doc);
  out_abort(o);
  rig_free(g);
}
END_TEST

/* ---- CSV ---- */

/* Splits an RFC 4180 line in place; returns the number of cells. */
static size_t split_csv(char *line, char **cell, size_t max) {
  size_t n = 0;
  char *to = line;
  for (bool more = true; more && n < max;) {
    bool quoted = *line == '"';
    if (quoted) line++;
    cell[n++] = to;
    for (; *line != '\0'; line++) {
      if (quoted && line[0] == '"' && line[1] == '"')
        line++;
      else if (quoted ? *line == '"' : *line == ',' || *line == '\n')
        break;
      *to++ = *line;
    }
    if (quoted) line++;
    more = *line == ',';
    if (*line != '\0') line++;
    *to++ = '\0';
  }
  return n;
}

enum { CELLS = 200 };

static size_t csv_lines(const rig *g, char *header[CELLS], char *row[CELLS], char **texts) {
  out *h = out_memory(), *v = out_memory();
  report_write_csv_header(&g->report, h);
  report_write_csv_row(&g->report, v);
  texts[0] = strdup(out_text(h, NULL));
  texts[1] = strdup(out_text(v, NULL));
  size_t n = split_csv(texts[0], header, CELLS);
  ck_assert_uint_eq(split_csv(texts[1], row, CELLS), n);
  ck_assert_uint_lt(n, CELLS);
  out_abort(h);
  out_abort(v);
  return n;
}

static const char *csv_cell(char *const *header, char *const *row, size_t n, const char *name) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(header[i], name) == 0) return row[i];
  ck_abort_msg("no column %s", name);
  return "";
}

START_TEST(report_csv__columns__inputs_first_and_quoted) {
  rig *g = figures();
  plat_override over[] = {{"odd,\"key\"", "a,b\n\"c\""}, {"engines", "2"}};
  g->plat->overrides = over;
  g->plat->n_overrides = 2;
  char *header[CELLS], *row[CELLS], *texts[2];
  size_t n = csv_lines(g, header, row, texts);
  ck_assert_str_eq(header[0], "workload.model");
  ck_assert_str_eq(row[0], "toy");
  ck_assert_str_eq(csv_cell(header, row, n, "platform.overrides.odd,\"key\""), "a,b\n\"c\"");
  ck_assert_str_eq(csv_cell(header, row, n, "platform.overrides.engines"), "2");
  ck_assert_str_eq(csv_cell(header, row, n, "prefetch"), "2");
  ck_assert_str_eq(csv_cell(header, row, n, "resources.dram_bus.bytes"), "6000");
  ck_assert_str_eq(csv_cell(header, row, n, "memory.sram.capacity_B"), "1048576");
  double gap = strtod(csv_cell(header, row, n, "bounds.gap"), NULL);
  ck_assert_double_eq(gap, g->report.gap);
  double mean = strtod(csv_cell(header, row, n, "resources.engine.utilization"), NULL);
  ck_assert_double_eq_tol(mean, 9.0 / 12 / 2, 1e-15);
  double most = strtod(csv_cell(header, row, n, "resources.engine.utilization_max"), NULL);
  ck_assert_double_eq_tol(most, 9.0 / 12, 1e-15);
  ck_assert_str_eq(header[n - 1], "error");
  ck_assert_str_eq(row[n - 1], "");
  free(texts[0]);
  free(texts[1]);
  rig_free(g);
}
END_TEST

START_TEST(report_csv__failure__inputs_and_reason_alone) {
  rig *g = figures();
  char *header[CELLS], *row[CELLS], *texts[2], *lost[CELLS];
  size_t n = csv_lines(g, header, row, texts), inputs = 0;
  out *o = out_memory();
  report_write_csv_failure(&g->report, "4 KiB short, \"sram\"", o);
  char *text = strdup(out_text(o, NULL));
  ck_assert_uint_eq(split_csv(text, lost, CELLS), n);
  while (strcmp(header[inputs], "tasks.compute") != 0) inputs++;
  ck_assert_str_eq(header[inputs - 1], "seed");
  for (size_t i = 0; i < n - 1; i++) ck_assert_str_eq(lost[i], i < inputs ? row[i] : "");
  ck_assert_str_eq(lost[n - 1], "4 KiB short, \"sram\"");
  out_abort(o);
  free(text);
  free(texts[0]);
  free(texts[1]);
  rig_free(g);
}
END_TEST

START_TEST(report_csv__engines_varied__same_columns) {
  rig *few = rig_new(1, 1), *many = rig_new(6, 3);
  rig_random(few, 1, 30);
  rig_random(many, 1, 30);
  out *a = out_memory(), *b = out_memory();
  report_write_csv_header(&few->report, a);
  report_write_csv_header(&many->report, b);
  ck_assert_str_eq(out_text(a, NULL), out_text(b, NULL));
  out_abort(a);
  out_abort(b);
  rig_free(few);
  rig_free(many);
}
END_TEST

/* ---- timeline table ---- */

/* A load that waits for its channel (its name needs quotes), an Add after it, a load that never
 * ran. */
START_TEST(report_timeline__rows__a_task_each_in_id_order) {
  rig *g = rig_new(1, 1);
  uint32_t load = rig_load(g, 1000), never = rig_load(g, 500), add = rig_add(g, 1000, &load, 1);
  g->dag->tasks[load].name = "w, \"odd\"";
  rig_play *p = rig_play_task(g, load, 1, 1 * US, 4 * US, 6 * US, 6 * US);
  p->why.free_s = 1 * US;
  p = rig_play_task(g, add, 0, 6 * US, 0, 0, 8 * US);
  p->why.ready_s = 6 * US;
  p->why.ready_by = load;
  rig_run(g, false);
  out *o = out_memory();
  report_write_timeline(&g->report, o);
  ck_assert_uint_eq(never, 1);
  ck_assert_str_eq(
      out_text(o, NULL),
      "task,name,op,class,layer,resource,ready_s,start_s,end_s,flow_start_s,flow_end_s,wait_cause,"
      "wait_s,flops,bytes,critical\n"
      "0,\"w, \"\"odd\"\"\",LoadWeight,load,0,dma0,0,1e-06,6e-06,4e-06,6e-06,dma_busy,1e-06,0,2000,"
      "true\n"
      "1,t1,LoadWeight,load,0,,,,,,,,,0,1000,false\n"
      "2,t2,Add,vector,0,e0,6e-06,6e-06,8e-06,6e-06,6e-06,none,0,1000,6000,true\n");
  out_abort(o);
  rig_free(g);
}
END_TEST

/* ---- summary ---- */

/* Checks the shape and returns the text (give it to out_abort). */
static out *summary(const rig *g) {
  out *o = out_memory();
  report_print_summary(&g->report, o);
  size_t lines = 0, columns = 0;
  for (const char *p = out_text(o, NULL); *p != '\0'; p++) {
    if (*p == '\n') {
      ck_assert_uint_le(columns, 100);
      lines++;
      columns = 0;
    } else if (((unsigned char)*p & 0xC0) != 0x80) {
      columns++;
    }
  }
  ck_assert_uint_le(lines, 34);
  return o;
}

START_TEST(report_summary__small__says_what_matters) {
  rig *g = figures();
  out *o = summary(g);
  const char *text = out_text(o, NULL);
  static const char *const WANT[] = {"toy",           "12 us",  "dram_bus", "2 ports",
                                     "LoadWeight",    "MatMul", "bound by", "gap",
                                     "DRAM transfer", "uJ"};
  for (size_t i = 0; i < sizeof WANT / sizeof *WANT; i++)
    ck_assert_msg(strstr(text, WANT[i]) != NULL, "no '%s' in:\n%s", WANT[i], text);
  out_abort(o);
  rig_free(g);
}
END_TEST

START_TEST(report_summary__many_engines__one_line) {
  rig *g = rig_new(64, 12);
  rig_random(g, 3, 300);
  plat_override over[30];
  for (int i = 0; i < 30; i++) over[i] = (plat_override){"engine.efficiency.MatMul", "0.123456789"};
  g->plat->overrides = over;
  g->plat->n_overrides = 30;
  out *o = out_memory();
  report_print_summary(&g->report, o);
  ck_assert_ptr_nonnull(strstr(out_text(o, NULL), "64 engines"));
  ck_assert_ptr_nonnull(strstr(out_text(o, NULL), "12 channels"));
  ck_assert_ptr_null(strstr(out_text(o, NULL), "\ne5 "));
  out_abort(o);
  g->plat->n_overrides = 2;
  out_abort(summary(g));
  rig_free(g);
}
END_TEST

START_TEST(report_summary__nothing_ran__no_nan) {
  rig *g = rig_new(1, 1);
  rig_run(g, false);
  out *o = summary(g);
  ck_assert_ptr_null(strstr(out_text(o, NULL), "nan"));
  ck_assert_ptr_null(strstr(out_text(o, NULL), "inf"));
  out_abort(o);
  rig_free(g);
}
END_TEST

int main(void) {
  Suite *s = suite_create("report");
  TCase *t = tcase_create("timeline");
  tcase_add_test(t, timeline_resources__channels__named);
  tcase_add_test(t, timeline_links__overlapping_flows__active_once_bytes_twice);
  tcase_add_test(t, timeline_log__not_asked_for__empty);
  suite_add_tcase(s, t);
  t = tcase_create("report");
  tcase_add_test(t, report_make__energy__sum_of_parts);
  tcase_add_test(t, report_make__resources__plain_and_occupied_bytes);
  tcase_add_test(t, report_make__throughput__by_phase);
  tcase_add_test(t, report_json__keys__as_the_contract_orders_them);
  tcase_add_test(t, report_json__values__those_of_the_report);
  tcase_add_test(t, report_csv__columns__inputs_first_and_quoted);
  tcase_add_test(t, report_csv__failure__inputs_and_reason_alone);
  tcase_add_test(t, report_csv__engines_varied__same_columns);
  tcase_add_test(t, report_timeline__rows__a_task_each_in_id_order);
  tcase_add_test(t, report_summary__small__says_what_matters);
  tcase_add_test(t, report_summary__many_engines__one_line);
  tcase_add_test(t, report_summary__nothing_ran__no_nan);
  suite_add_tcase(s, t);
  return suite_run(s);
}
