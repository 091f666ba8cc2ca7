/* bench_run - times the stages of one run within one process: compile, bounds, plan and simulate, report, trace.
 *
 * Usage: bench_run MODEL LAYERS [SCHEDULER]
 * One block after the other of MODEL in decode on platform npu4, split head. Prints `name value` lines for scripts/bench.sh. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
  printf("trace_events %.0f\ntrace_s %.6f\ntrace_events_per_s %.0f\ntrace_memory_B %.0f\n", (double)events, t,
         (double)events / t, grown);
  unlink(path);
  return ERR_OK;
}

static int bench(const char *model_name, uint64_t layers, const char *scheduler, arena *a, err *e) {
  model m;
  platform p;
  dag *d;
  wl_options o = wl_defaults();
  o.layers = layers;
  if (model_load(model_name, &m, a, e) || plat_load("npu4", &p, a, e)) return e->status;
  const policy *pol = pol_find(scheduler);
  if (pol == NULL) return err_set(e, ERR_BAD, "no scheduler '%s'", scheduler);
  wl_target target = {(uint32_t)p.n_engines, (uint64_t)p.srams[0].capacity_B};
  double t0 = wall();
  if (wl_compile(&m, &o, &target, &d, a, e)) return e->status;
  double t1 = wall();
  bounds b = est_bounds(&p, d, a);
  double t2 = wall();
  timeline *tl = tl_new(d, &p, scheduler, true, a);
  observer obs = tl_observer(tl);
  if (exec_simgrid(d, &p, pol, &(machine_options){.prefetch = 2}, &obs, a, e)) return e->status;
  double t3 = wall();
  report r = report_make(tl, &b, a);
  double t4 = wall();
  printf("tasks %zu\ncompile_s %.6f\nbounds_s %.6f\nsimulate_s %.6f\nreport_s %.6f\ntasks_per_s %.0f\n", d->n_tasks,
         t1 - t0, t2 - t1, t3 - t2, t4 - t3, (double)d->n_tasks / (t3 - t2));
  int status = write_trace(&r, e);
  tl_free(tl);
  return status;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fputs("usage: bench_run MODEL LAYERS [SCHEDULER]\n", stderr);
    return 2;
  }
  arena a = {0};
  err e = {0};
  int status = bench(argv[1], strtoull(argv[2], NULL, 10), argc > 3 ? argv[3] : "heft", &a, &e);
  if (status != ERR_OK) fprintf(stderr, "bench_run: %s\n", e.msg);
  arena_free(&a);
  return status;
}
