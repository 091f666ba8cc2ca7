/* bare_simgrid - what SimGrid itself can do with a run's work: the same executions and transfers as llamasim's tasks (their
 * sizes are taken from the compiled DAG), by the same number of actors, but with no dependencies, no SRAM, no policy
 * and no records. scripts/bench.sh compares llamasim's tasks/s with this program's.
 *
 * Usage: bare_simgrid MODEL LAYERS MODE
 *   MODE same: a compute task sleeps its overhead, sends its operand stream from sram to its engine and sleeps the rest of its
 *              arithmetic; a transfer sleeps setup and latency and sends: what llamasim's actors do
 *   MODE exec: a compute task is one sg_actor_execute of its FLOPs, and streams are left out; a transfer only sends
 * Compute tasks go round the engines of platform npu4, transfers round its DMA channels. The lists are made before the clock
 * starts. Prints: tasks, seconds of wall clock within simgrid_run, tasks/s, simulated seconds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <simgrid/actor.h>
#include <simgrid/engine.h>
#include <simgrid/host.h>
#include <simgrid/version.h>
#include <xbt/config.h>

#include "sim/estimate.h"
#include "sim/platform_xml.h"
#include "workloads/block.h"

#if SIMGRID_VERSION >= 33400
#define TIMING_PRECISION "precision/timing"
#else
#define TIMING_PRECISION "surf/precision"
#endif

typedef struct job {
  double lead_s, flow_B, rest_s, flops;
  bool store;
} job;

static struct {
  job *compute, *transfer;
  size_t n_compute, n_transfer, engines, channels;
  bool exec;
  sg_host_t dram, sram;
} run;

static double wall(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void engine(int argc, char **argv) {
  (void)argc;
  sg_host_t me = sg_host_self();
  for (size_t i = (size_t)atol(argv[1]); i < run.n_compute; i += run.engines) {
    const job *j = &run.compute[i];
    if (run.exec) {
      sg_actor_execute(j->flops);
      continue;
    }
    sg_actor_sleep_for(j->lead_s);
    sg_host_sendto(run.sram, me, j->flow_B);
    if (j->rest_s > 0) sg_actor_sleep_for(j->rest_s);
  }
}

static void channel(int argc, char **argv) {
  (void)argc;
  for (size_t i = (size_t)atol(argv[1]); i < run.n_transfer; i += run.channels) {
    const job *j = &run.transfer[i];
    if (!run.exec) sg_actor_sleep_for(j->lead_s);
    sg_host_sendto(j->store ? run.sram : run.dram, j->store ? run.dram : run.sram, j->flow_B);
  }
}

static void make_jobs(const platform *p, const dag *d) {
  run.compute = calloc(d->n_tasks, sizeof *run.compute);
  run.transfer = calloc(d->n_tasks, sizeof *run.transfer);
  if (run.compute == NULL || run.transfer == NULL) exit(3);
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    cost c = cost_of(d, t);
    op_kind kind = op_kind_of((op)d->tasks[t].op);
    bool compute = kind == OP_COMPUTE;
    est_parts x = compute ? est_compute(p, d, t, &c, 0) : est_transfer(p, d, t, &c, 0);
    job j = {.lead_s = x.lead_s + x.latency_s, .flow_B = (double)x.flow_B, .store = kind == OP_STORE,
             .flops = (double)(c.matrix_flops + c.vector_flops)};
    j.rest_s = x.matrix_s + x.vector_s - (double)x.flow_B / x.route->bandwidth_Bps;
    if (compute)
      run.compute[run.n_compute++] = j;
    else
      run.transfer[run.n_transfer++] = j;
  }
}

static void load_platform(const platform *p) {
  char path[] = "/tmp/bare_simgrid-XXXXXX";
  int fd = mkstemp(path);
  FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
  if (f == NULL) exit(3);
  out *o = out_memory();
  plat_write_xml(p, true, o);
  size_t len;
  const char *text = out_text(o, &len);
  if (fwrite(text, 1, len, f) != len || fclose(f) != 0) exit(3);
  out_abort(o);
  simgrid_load_platform(path);
  remove(path);
}

static void start_actors(const char *name, size_t n, bool engines, void (*code)(int, char **)) {
  for (size_t i = 0; i < n; i++) {
    char number[24], host[32];
    snprintf(number, sizeof number, "%zu", i);
    snprintf(host, sizeof host, "engine%zu", i);
    const char *argv[] = {name, number, NULL};
    sg_actor_create_(name, engines ? sg_host_by_name(host) : run.dram, code, 2, argv);
  }
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fputs("usage: bare_simgrid MODEL LAYERS same|exec\n", stderr);
    return 2;
  }
  arena a = {0};
  err e = {0};
  model m;
  platform p;
  dag *d;
  wl_options o = wl_defaults();
  o.layers = strtoull(argv[2], NULL, 10);
  run.exec = strcmp(argv[3], "exec") == 0;
  if (model_load(argv[1], &m, &a, &e) || plat_load("npu4", &p, &a, &e)) return fprintf(stderr, "%s\n", e.msg), 2;
  wl_target target = {.engines = (uint32_t)p.n_engines, .sram_B = (uint64_t)p.srams[0].capacity_B};
  if (wl_compile(&m, &o, &target, &d, &a, &e)) return fprintf(stderr, "%s\n", e.msg), 2;
  make_jobs(&p, d);
  run.engines = p.n_engines;
  run.channels = p.dmas[0].channels;

  int one = 1;
  char *none[] = {argv[0], NULL};
  simgrid_init(&one, none);
  sg_cfg_set_string("network/model", "CM02");
  sg_cfg_set_double("network/TCP-gamma", 0);
  sg_cfg_set_boolean("network/crosstraffic", "no");
  sg_cfg_set_double(TIMING_PRECISION, 1e-13);
  load_platform(&p);
  run.dram = sg_host_by_name("dram"), run.sram = sg_host_by_name("sram");
  start_actors("engine", run.engines, true, engine);
  start_actors("dma", run.channels, false, channel);
  double t = wall();
  simgrid_run();
  t = wall() - t;
  printf("%zu %.6f %.0f %.9g\n", d->n_tasks, t, (double)d->n_tasks / t, simgrid_get_clock());
  arena_free(&a);
  return 0;
}
