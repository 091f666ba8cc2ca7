#include "sim/exec.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <simgrid/actor.h>
#include <simgrid/engine.h>
#include <simgrid/host.h>
#include <simgrid/semaphore.h>
#include <simgrid/version.h>
#include <xbt/config.h>

#if SIMGRID_VERSION >= 33400
#define TIMING_PRECISION "precision/timing"
#else
#define TIMING_PRECISION "surf/precision"
#endif

/* Flows are sent in units of 1/SCALE byte (and links carry SCALE times their bandwidth), as SimGrid
 * truncates a flow to whole units and a stream that turns real half-way has a fraction of a byte
 * left. */
enum { SCALE = 1 << 20 };

/* An engine's operand stream is quiet while no link can be short: then it runs at the rate of its
 * route, its end is known, and one timed wait plays the whole task. Only when more streams than
 * `quiet` could meet, all become real flows, with what they have left. This is exact: below that
 * number no shared link is saturated whatever the DMA does. */
typedef enum stream { NONE, QUIET, REAL } stream;

typedef struct lane { /* what an actor does */
  sg_sem_t sem;
  bool idle;
  stream stream;
  bool begun, ended;     /* the observer knows of the stream's begin, end */
  double begin_s, end_s; /* of a quiet stream */
  /* A job's second stream is sent by an actor of its own, as a blocking send is all that C has. */
  sg_sem_t second, second_over; /* NULL where there is no such actor */
  double second_begin_s;
} lane;

/* One simulation: what the actors share. SimGrid gives its actors no argument but strings, so it is
 * found here; there is one simulation a process anyway. */
static struct {
  machine *m;
  const platform *plat;
  sg_host_t *host; /* by host id */
  lane *lane;      /* by resource */
  size_t n_lanes;
  size_t quiet;     /* this many streams cannot saturate a link */
  size_t n_streams; /* quiet and real */
  size_t n_quiet;
  double quiet_next_s; /* no quiet stream begins or ends before it */
  bool stop, used;
} sim;

static void wake(uint32_t r) {
  if (!sim.lane[r].idle) return;
  sim.lane[r].idle = false;
  sg_sem_release(sim.lane[r].sem);
}

/* Tells the observer, in order, of the quiet streams' begins and ends up to `now`. */
static void catch_up(double now) {
  while (sim.n_quiet > 0 && sim.quiet_next_s <= now) {
    uint32_t next = UINT32_MAX;
    double at = INFINITY;
    for (uint32_t r = 0; r < sim.plat->n_engines; r++) {
      const lane *l = &sim.lane[r];
      if (l->stream != QUIET) continue;
      double t = l->begun ? l->end_s : l->begin_s;
      if (t < at) next = r, at = t;
    }
    sim.quiet_next_s = at;
    if (at > now) return;
    lane *l = &sim.lane[next];
    machine_flow(sim.m, next, 0, at, !l->begun);
    if (!l->begun) {
      l->begun = true;
      continue;
    }
    l->ended = true;
    l->stream = NONE;
    sim.n_quiet--;
    sim.n_streams--;
  }
}

/* What the machine started on idle resources. */
static void wake_all(void) {
  for (uint32_t w = machine_wake(sim.m); w != OBS_NONE; w = machine_wake(sim.m)) wake(w);
}

static void end_job(uint32_t r) {
  double now = simgrid_get_clock();
  catch_up(now);
  machine_end(sim.m, r, now);
  wake_all();
  sim.stop = machine_finished(sim.m) || machine_stuck(sim.m);
  for (uint32_t w = 0; sim.stop && w < sim.n_lanes; w++) {
    wake(w);
    if (sim.lane[w].second != NULL) sg_sem_release(sim.lane[w].second);
  }
}

/* Sends a flow of the job, or what is left of it, and tells the observer. */
static void flow(uint32_t r, const machine_job *j, int which, double bytes, bool begins) {
  if (begins) {
    catch_up(simgrid_get_clock());
    machine_flow(sim.m, r, which, simgrid_get_clock(), true);
    wake_all();
  }
  sg_host_t from = sim.host[which == 0 ? j->src : j->src2];
  if (bytes > 0) sg_host_sendto(from, sim.host[j->dst], bytes * SCALE);
  catch_up(simgrid_get_clock());
  machine_flow(sim.m, r, which, simgrid_get_clock(), false);
}

/* From now on every stream is a real flow: actors that wait for quiet ones are woken to send what
 * is left. */
static void all_real(void) {
  for (uint32_t r = 0; sim.n_quiet > 0 && r < sim.plat->n_engines; r++) {
    if (sim.lane[r].stream != QUIET) continue;
    sim.lane[r].stream = REAL;
    sim.n_quiet--;
    sg_sem_release(sim.lane[r].sem);
  }
}

/* Enters the engine's stream; quiet where that is exact. */
static void enter_stream(uint32_t r, const machine_job *j, double begin) {
  lane *l = &sim.lane[r];
  const est_parts *x = &j->parts;
  catch_up(simgrid_get_clock());
  l->begin_s = begin;
  l->end_s = begin + (double)x->flow_B / x->route->bandwidth_Bps;
  l->begun = l->ended = false;
  l->stream = QUIET;
  sim.n_quiet++;
  sim.quiet_next_s = fmin(sim.quiet_next_s, begin);
  if (++sim.n_streams > sim.quiet) {
    l->stream = REAL;
    sim.n_quiet--;
    all_real();
  }
}

/* Waits for time `until`; false where the wait was cut short because the stream turned real. */
static bool wait_quiet(const lane *l, double until) {
  for (double left = until - simgrid_get_clock(); left > 0; left = until - simgrid_get_clock())
    if (sg_sem_acquire_timeout(l->sem, left))
      return true;
    else if (l->stream == REAL)
      return false;
  return true;
}

static void sleep_until(double t) {
  double left = t - simgrid_get_clock();
  if (left > 0) sg_actor_sleep_for(left);
}

/* The job of a quiet stream is over, so the stream is too, even where rounding put its end a bit
 * later. */
static void settle(uint32_t r) {
  lane *l = &sim.lane[r];
  double now = simgrid_get_clock();
  if (l->stream != QUIET) return;
  l->begin_s = fmin(l->begin_s, now);
  l->end_s = fmin(l->end_s, now);
  sim.quiet_next_s = fmin(sim.quiet_next_s, l->begin_s);
  catch_up(now);
  assert(l->stream == NONE);
}

static void play_compute(uint32_t r, const machine_job *j) {
  lane *l = &sim.lane[r];
  const est_parts *x = &j->parts;
  double start = simgrid_get_clock(),
         arithmetic_ends = start + x->lead_s + x->matrix_s + x->vector_s;
  if (x->route == NULL) {
    sleep_until(arithmetic_ends);
    return;
  }
  if (x->route2 != NULL) {
    l->second_begin_s = start + x->lead_s + x->latency2_s;
    sg_sem_release(l->second);
  }
  enter_stream(r, j, start + x->lead_s + x->latency_s);
  if (l->stream == QUIET && wait_quiet(l, fmax(arithmetic_ends, l->end_s))) {
    settle(r);
    return;
  }
  if (!l->ended) {
    sleep_until(l->begin_s);
    double moved = fmax(0, simgrid_get_clock() - l->begin_s) * x->route->bandwidth_Bps;
    flow(r, j, 0, (double)x->flow_B - moved, !l->begun);
    l->stream = NONE;
    sim.n_streams--;
  }
  if (x->route2 != NULL) sg_sem_acquire(l->second_over);
  sleep_until(arithmetic_ends);
}

/* Sends the second streams of an engine's jobs. */
static void second_actor(int argc, char **argv) {
  assert(argc == 2);
  (void)argc;
  uint32_t r = (uint32_t)strtoul(argv[1], NULL, 10);
  lane *l = &sim.lane[r];
  for (;;) {
    sg_sem_acquire(l->second);
    if (sim.stop) return;
    const machine_job *j = machine_job_of(sim.m, r);
    sleep_until(l->second_begin_s);
    flow(r, j, 1, (double)j->parts.flow2_B, true);
    sg_sem_release(l->second_over);
  }
}

static void play_transfer(uint32_t r, const machine_job *j) {
  const est_parts *x = &j->parts;
  if (x->lead_s + x->latency_s > 0) sg_actor_sleep_for(x->lead_s + x->latency_s);
  if (x->route != NULL) flow(r, j, 0, (double)x->flow_B, true);
}

static void resource_actor(int argc, char **argv) {
  assert(argc == 2);
  (void)argc;
  uint32_t r = (uint32_t)strtoul(argv[1], NULL, 10);
  while (!sim.stop) {
    const machine_job *j = machine_job_of(sim.m, r);
    if (j == NULL) {
      sim.lane[r].idle = true;
      sg_sem_acquire(sim.lane[r].sem);
      continue;
    }
    if (r < sim.plat->n_engines)
      play_compute(r, j);
    else
      play_transfer(r, j);
    end_job(r);
  }
}

static bool on_route(const plat_route *r, uint32_t link) {
  for (uint32_t i = 0; r != NULL && i < r->n_links; i++)
    if (r->link[i] == link) return true;
  return false;
}

/* The most that transfers can bring over link `l`: each direction no more than the narrowest other
 * link of its route lets through, and both together no more than a link that they share. */
static double brought_Bps(const platform *p, const plat_route *dma[2], uint32_t l) {
  double sum = 0, shared = INFINITY;
  bool both = on_route(dma[0], l) && on_route(dma[1], l);
  for (int d = 0; d < 2; d++) {
    if (!on_route(dma[d], l)) continue;
    double others = INFINITY;
    for (uint32_t i = 0; i < dma[d]->n_links; i++) {
      uint32_t k = dma[d]->link[i];
      if (k == l || p->links[k].fatpipe) continue;
      others = fmin(others, p->links[k].bandwidth_Bps);
      if (both && on_route(dma[1 - d], k)) shared = fmin(shared, p->links[k].bandwidth_Bps);
    }
    sum += others;
  }
  return fmin(sum, shared);
}

/* How many operand streams fit on every shared link at the same time, each at its route's rate,
 * beside all that the DMA can bring. With several SRAMs streams and moves take many routes: none is
 * quiet then. */
static size_t quiet_streams(const platform *p) {
  size_t quiet = p->n_srams > 1 ? 0 : p->n_engines;
  const plat_route *dma[2] = {plat_find_route(p, plat_host_dram(p), plat_host_sram(p, 0)),
                              plat_find_route(p, plat_host_sram(p, 0), plat_host_dram(p))};
  for (uint32_t l = 0; l < p->n_links; l++) {
    if (p->links[l].fatpipe) continue;
    double widest = 0, brought = brought_Bps(p, dma, l);
    size_t users = 0;
    for (size_t e = 0; e < p->n_engines; e++) {
      const plat_route *r = plat_find_route(p, plat_host_sram(p, 0), plat_host_engine(p, e));
      if (on_route(r, l)) users++, widest = fmax(widest, r->bandwidth_Bps);
    }
    if (users == 0 || (users == 1 && brought == 0)) continue;
    double room = p->links[l].bandwidth_Bps - brought;
    size_t fit = room > 0 ? (size_t)(room / widest) : 0;
    if (fit < users && fit < quiet) quiet = fit;
  }
  return quiet;
}

static void configure(void) {
  static char name[] = "llamasim", quiet[] = "--log=root.thresh:critical";
  static char *argv[] = {name, quiet, NULL};
  int argc = 2;
  struct sigaction
      interrupt; /* SimGrid takes SIGINT over, and would exit with 1 and leave files behind */
  sigaction(SIGINT, NULL, &interrupt);
  simgrid_init(&argc, argv);
  sigaction(SIGINT, &interrupt, NULL);
  sg_cfg_set_string("network/model", "CM02");
  sg_cfg_set_double("network/TCP-gamma", 0);
  sg_cfg_set_boolean("network/crosstraffic", "no");
  sg_cfg_set_double(TIMING_PRECISION, 1e-13);
}

/* SimGrid reads platforms from files only: the table goes through a temporary one. */
static int load_platform(const platform *p, err *e) {
  const char *dir = getenv("TMPDIR");
  char path[4096];
  snprintf(path, sizeof path, "%s/llamasim-platform-XXXXXX",
           dir != NULL && *dir != 0 ? dir : "/tmp");
  int fd = mkstemp(path);
  if (fd < 0)
    return err_set(
        e, ERR_BAD,
        "%s: cannot create a temporary file: %s; set TMPDIR to a folder that can be written", path,
        strerror(errno));
  out *o = out_memory();
  platform scaled = *p;
  plat_link *links = mem_alloc(p->n_links, sizeof *links);
  memcpy(links, p->links, p->n_links * sizeof *links);
  for (size_t i = 0; i < p->n_links; i++) links[i].bandwidth_Bps *= SCALE;
  scaled.links = links;
  plat_write_xml(&scaled, true, o);
  free(links);
  size_t len, done = 0;
  const char *text = out_text(o, &len);
  while (done < len) {
    ssize_t n = write(fd, text + done, len - done);
    if (n <= 0) break;
    done += (size_t)n;
  }
  if (close(fd) != 0 || done < len)
    err_set(e, ERR_BAD, "%s: cannot write a temporary file: %s; set TMPDIR to a folder with room",
            path, strerror(errno));
  else
    simgrid_load_platform(path);
  out_abort(o);
  unlink(path);
  return e->status;
}

static void find_hosts(const platform *p, arena *a) {
  uint32_t n = plat_host_dma(p, 0) + (uint32_t)p->n_dmas;
  sim.host = ARENA_NEW(a, sg_host_t, n);
  for (uint32_t h = 0; h < n; h++) sim.host[h] = sg_host_by_name(plat_host_name(p, h));
}

static void start_actors(uint32_t r) {
  const platform *p = sim.plat;
  char number[16];
  snprintf(number, sizeof number, "%u", r);
  const char *argv[] = {"resource", number, NULL};
  sim.lane[r].sem = sg_sem_init(0);
  sg_host_t home = r < p->n_engines ? sim.host[r] : sim.host[plat_host_dma(p, 0)];
  sg_actor_create_(number, home, resource_actor, 2, argv);
  if (r >= p->n_engines || p->n_srams == 1) return;
  sim.lane[r].second = sg_sem_init(0);
  sim.lane[r].second_over = sg_sem_init(0);
  argv[0] = "second";
  sg_actor_create_(number, home, second_actor, 2, argv);
}

int exec_simgrid(const dag *d, const platform *p, const policy *pol, const machine_options *opt,
                 const observer *obs, arena *a, err *e) {
  assert(!sim.used && "one simulation a process");
  if (machine_new(&sim.m, d, p, pol, opt, obs, a, e)) return e->status;
  sim.used = true;
  configure();
  if (load_platform(p, e)) return e->status;
  find_hosts(p, a);
  sim.plat = p;
  sim.quiet = quiet_streams(p);
  sim.quiet_next_s = INFINITY;
  sim.n_lanes = machine_resources(sim.m);
  sim.lane = ARENA_NEW(a, lane, sim.n_lanes);
  machine_begin(sim.m);
  for (uint32_t r = machine_wake(sim.m); r != OBS_NONE; r = machine_wake(sim.m)) continue;
  if (machine_finished(sim.m) || machine_stuck(sim.m)) return machine_verdict(sim.m, e);
  for (uint32_t r = 0; r < sim.n_lanes; r++) start_actors(r);
  simgrid_run();
  return machine_verdict(sim.m, e);
}
