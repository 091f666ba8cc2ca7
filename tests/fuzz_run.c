/* libFuzzer: whatever DAG the reader accepts is simulated on a small chip, by a policy and with a
 * prefetch that the bytes choose. The run ends, or is refused because it does not fit; it is never
 * faster than the bound; its causes sum to its makespan; and what is written of
 * it is JSON and a trace by the rules. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/json.h"
#include "sim/exec.h"
#include "sim/platform_xml.h"
#include "sim/report.h"
#include "tests/trace_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_TASKS = 400 };

#define REQUIRE(x)                                                                                 \
  do {                                                                                             \
    if (!(x)) abort();                                                                             \
  } while (0)

/* Two engines that differ, so that it matters which one is taken. */
static const char CHIP[] =
    "<?xml version='1.0'?><platform version='4.1'><zone id='chip' routing='Full'>"
    "<host id='e0' speed='1Gf'><prop id='role' value='engine'/>"
    "<prop id='task_overhead' value='1us'/><prop id='matrix_shape' value='4,4,4'/></host>"
    "<host id='e1' speed='3Gf'><prop id='role' value='engine'/>"
    "<prop id='vector_rate' value='1Gf'/></host>"
    "<host id='sram' speed='1f'><prop id='role' value='sram'/>"
    "<prop id='capacity' value='64KiB'/></host>"
    "<host id='dram' speed='1f'><prop id='role' value='dram'/>"
    "<prop id='efficiency' value='0.9'/></host>"
    "<host id='dma' speed='1f'><prop id='role' value='dma'/><prop id='channels' value='2'/>"
    "<prop id='setup' value='100ns'/></host>"
    "<link id='bus' bandwidth='1GBps' latency='50ns'/>"
    "<link id='shared' bandwidth='2GBps' latency='0s'/>"
    "<link id='p0' bandwidth='1GBps' latency='0s'/><link id='p1' bandwidth='1GBps' latency='10ns'/>"
    "<route src='dram' dst='sram'><link_ctn id='bus'/><link_ctn id='shared'/></route>"
    "<route src='sram' dst='e0'><link_ctn id='shared'/><link_ctn id='p0'/></route>"
    "<route src='sram' dst='e1'><link_ctn id='shared'/><link_ctn id='p1'/></route>"
    "</zone></platform>";

static uint32_t hash(const uint8_t *data, size_t size) { /* FNV-1a */
  uint32_t h = 2166136261u;
  for (size_t i = 0; i < size; i++) h = (h ^ data[i]) * 16777619u;
  return h ^ h >> 15;
}

static void check_written(const report *r) {
  const report *one = r;
  char why[TRACE_RULES_WHY];
  err e = {0};
  json_doc doc;
  size_t n;
  out *whole = out_memory(), *trace = out_memory(), *others = out_memory();
  report_write_json(r, whole);
  const char *text = out_text(whole, &n);
  REQUIRE(json_parse("report", (const unsigned char *)text, n, &doc, &e) == ERR_OK);
  json_free(&doc);
  report_write_trace(&one, 1, trace);
  text = out_text(trace, &n);
  REQUIRE(trace_rules_check(text, n, why) == 0);
  report_print_summary(r, others);
  report_write_csv_header(r, others);
  report_write_csv_row(r, others);
  out_abort(whole);
  out_abort(trace);
  out_abort(others);
}

static void simulate(const dag *d, uint32_t choice, arena *a) {
  platform p;
  err e = {0};
  REQUIRE(plat_parse_xml("chip", (const unsigned char *)CHIP, strlen(CHIP), &p, a, &e) == ERR_OK);
  const policy *pol = pol_at(choice % pol_count());
  const machine_options opt = {.prefetch = choice / 16 % 4};
  bounds b = est_bounds(&p, d, a);
  timeline *tl = tl_new(d, &p, pol->name, true, a);
  observer watch = tl_observer(tl);
  int status = exec_fluid(d, &p, pol, &opt, &watch, a, &e);
  if (status == ERR_OK) {
    report r = report_make(tl, &b, a);
    double explained = 0;
    for (int i = 0; i < ATTR_COUNT; i++) explained += r.attr.cause_s[i];
    REQUIRE(isfinite(tl->makespan_s) && tl->makespan_s >= b.lower_s * (1 - 1e-9));
    REQUIRE(fabs(explained - tl->makespan_s) <= 1e-9 * tl->makespan_s);
    check_written(&r);
  } else {
    REQUIRE(status == ERR_NO && e.msg[0] != '\0');
  }
  tl_free(tl);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  arena a = {0};
  err e = {0};
  dag *d = NULL;
  if (dag_read_json("fuzz", data, size, &d, &a, &e) == ERR_OK && d->n_tasks <= MAX_TASKS)
    simulate(d, hash(data, size), &a);
  arena_free(&a);
  return 0;
}
