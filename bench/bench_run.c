/* bench_run - times the stages of one run within one process: compile, bounds, plan and simulate,
 * report, and on request the trace.
 *
 * Usage: bench_run [KEY=VALUE ...]
 *   model=llama-3.2-1b scheduler=heft phase=decode past=4 tokens=1 steps=1 split=head
 *   layers=1   a number, also beyond the model's own (it then has that many), or all
 *   parts=N    compiles for N engines, whatever the platform has
 *   trace=1    writes a trace, too
 *   any other  changes platform npu4, as --set does: engines=64
 * Prints `name value` lines for scripts/bench.sh. `flows` is the most transfers and operand streams
 * that were under way at the same time; `memory_B` the process's peak before the trace. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "sim/exec.h"
#include "sim/platform_xml.h"
#include "sim/report.h"
#include "workloads/block.h"

static double wall(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Resident bytes of this process now. */
static double resident_B(void) {
  long total = 0, pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f == NULL || fscanf(f, "%ld %ld", &total, &pages) != 2) pages = 0;
  if (f != NULL) fclose(f);
  return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* Events in a written trace: one a line that opens with a brace and has a phase. */
static uint64_t count_events(const char *path) {
  static char buffer[1 << 20];
  uint64_t n = 0;
  size_t got;
  FILE *f = fopen(path, "r");
  if (f == NULL) return 0;
  static const char key[] = "\"ph\":";
  size_t at = 0;
  while ((got = fread(buffer, 1, sizeof buffer, f)) > 0)
    for (size_t i = 0; i < got; i++) {
      at = buffer[i] == key[at] ? at + 1 : buffer[i] == key[0];
      if (at == sizeof key - 1) n++, at = 0;
    }
  fclose(f);
  return n;
}

static int write_trace(const report *r, err *e) {
  char path[] = "/tmp/bench_run-XXXXXX";
  int fd = mkstemp(path);
  if (fd < 0) return err_set(e, ERR_BAD, "%s: cannot be made", path);
  close(fd);
  double before = resident_B(), t = wall();
  out *o = out_open(path, e);
  if (o == NULL) return e->status;
  report_write_trace(&r, 1, o);
  double grown = resident_B() - before;
  if (out_close(o, e)) return e->status;
  t = wall() - t;
  uint64_t events = count_events(path);
  printf("trace_events %.0f\ntrace_s %.6f\ntrace_events_per_s %.0f\ntrace_memory_B %.0f\n",
         (double)events, t, (double)events / t, grown);
  unlink(path);
  return ERR_OK;
}

typedef struct job {
  model m;
  platform p;
  wl_options o;
  uint32_t parts;
  const char *scheduler;
  bool trace;
} job;

static int set_layers(job *j, const char *value) {
  j->o.all = strcmp(value, "all") == 0;
  j->o.layers = j->o.all ? j->m.num_hidden_layers : strtoull(value, NULL, 10);
  if (j->o.layers > j->m.num_hidden_layers) j->m.num_hidden_layers = j->o.layers;
  return ERR_OK;
}

static int set(job *j, const char *key, const char *value, arena *a, err *e) {
  struct {
    const char *key;
    uint64_t *number;
  } number[] = {{"past", &j->o.past}, {"tokens", &j->o.tokens}, {"steps", &j->o.steps}};
  for (size_t i = 0; i < sizeof number / sizeof number[0]; i++)
    if (strcmp(key, number[i].key) == 0)
      return *number[i].number = strtoull(value, NULL, 10), ERR_OK;
  if (strcmp(key, "model") == 0) return model_load(value, &j->m, a, e);
  if (strcmp(key, "scheduler") == 0) return j->scheduler = value, ERR_OK;
  if (strcmp(key, "phase") == 0) return j->o.phase = value, ERR_OK;
  if (strcmp(key, "split") == 0) return j->o.split = wl_split_parse(value), ERR_OK;
  if (strcmp(key, "layers") == 0) return set_layers(j, value);
  if (strcmp(key, "parts") == 0) return j->parts = (uint32_t)strtoul(value, NULL, 10), ERR_OK;
  if (strcmp(key, "trace") == 0) return j->trace = strcmp(value, "0") != 0, ERR_OK;
  return plat_set(&j->p, arena_printf(a, "%s=%s", key, value), a, e);
}

static int read_arguments(job *j, int argc, char **argv, arena *a, err *e) {
  *j = (job){.o = wl_defaults(), .scheduler = "heft"};
  if (model_load("llama-3.2-1b", &j->m, a, e) || plat_load("npu4", &j->p, a, e)) return e->status;
  for (int i = 1; i < argc; i++) {
    char *value = strchr(argv[i], '=');
    if (value == NULL) return err_set(e, ERR_BAD, "'%s' is not KEY=VALUE", argv[i]);
    *value = 0;
    if (set(j, argv[i], value + 1, a, e)) return e->status;
  }
  if (strcmp(j->o.phase, "decode") != 0) j->o.past = 0;
  if (j->o.split == WL_SPLIT_COUNT) return err_set(e, ERR_BAD, "no such split");
  if (j->parts == 0) j->parts = (uint32_t)j->p.n_engines;
  return ERR_OK;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The most flows under way at the same time. */
static size_t most_flows(const timeline *tl, arena *a) {
  double *from = ARENA_NEW(a, double, tl->dag->n_tasks),
         *to = ARENA_NEW(a, double, tl->dag->n_tasks);
  size_t n = 0, now = 0, most = 0, ended = 0;
  for (uint32_t t = 0; t < tl->dag->n_tasks; t++) {
    const tl_record *x = &tl->records[t];
    if (x->flow_end_s > x->flow_start_s) from[n] = x->flow_start_s, to[n++] = x->flow_end_s;
  }
  qsort(from, n, sizeof *from, by_value);
  qsort(to, n, sizeof *to, by_value);
  for (size_t i = 0; i < n; i++) {
    while (to[ended] <= from[i]) ended++, now--;
    most = ++now > most ? now : most;
  }
  return most;
}

static int bench(job *j, arena *a, err *e) {
  dag *d;
  const policy *pol = pol_find(j->scheduler);
  if (pol == NULL) return err_set(e, ERR_BAD, "no scheduler '%s'", j->scheduler);
  wl_target target = {.engines = j->parts, .sram_B = (uint64_t)j->p.srams[0].capacity_B};
  double t0 = wall();
  if (wl_compile(&j->m, &j->o, &target, &d, a, e)) return e->status;
  double t1 = wall();
  bounds b = est_bounds(&j->p, d, a);
  double t2 = wall();
  timeline *tl = tl_new(d, &j->p, j->scheduler, j->trace, a);
  observer obs = tl_observer(tl);
  if (exec_simgrid(d, &j->p, pol, &(machine_options){.prefetch = 2}, &obs, a, e)) return e->status;
  double t3 = wall();
  report r = report_make(tl, &b, a);
  double t4 = wall(), n = (double)d->n_tasks;
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  printf("tasks %zu\ncompile_s %.6f\nbounds_s %.6f\nsimulate_s %.6f\nreport_s %.6f\n", d->n_tasks,
         t1 - t0, t2 - t1, t3 - t2, t4 - t3);
  printf("tasks_per_s %.0f\nsimulate_us %.6f\nall_us %.6f\n", n / (t3 - t2), (t3 - t2) / n * 1e6,
         (t4 - t0) / n * 1e6);
  printf("memory_B %.0f\nmakespan_s %.9g\nflows %zu\n", (double)use.ru_maxrss * 1024,
         tl->makespan_s, most_flows(tl, a));
  int status = j->trace ? write_trace(&r, e) : ERR_OK;
  tl_free(tl);
  return status;
}

int main(int argc, char **argv) {
  arena a = {0};
  err e = {0};
  job j;
  int status = read_arguments(&j, argc, argv, &a, &e);
  if (status == ERR_OK) status = bench(&j, &a, &e);
  if (status != ERR_OK) fprintf(stderr, "bench_run: %s\n", e.msg);
  arena_free(&a);
  return status;
}
