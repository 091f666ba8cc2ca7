#include "sim/exec.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <simgrid/actor.h>
#include <simgrid/engine.h>
#include <simgrid/host.h>
#include <simgrid/semaphore.h>

#include "sim/exec_simgrid_load.h"
#include "sim/exec_simgrid_streams.h"

/* SimGrid's clock at the end, far beyond that of any run (up to 1e13 s both are exact): a run that
 * is told when to end leaves its actors as they are. Without, each of them would have to end, which
 * costs an exception. */
static const double FOREVER_S = 1e30;

/* An engine's operand stream is quiet while no link can be short: then it runs at the rate of its
 * route, its end is known, and one timed wait plays the whole task. Only when more streams than
 * `quiet` could meet, all become real flows, with what they have left. This is exact: up to that
 * number no shared link is saturated whatever the DMA does. A stream apart crosses no link that
 * another route crosses, as a scratchpad's: it meets nothing, its end is always known. */
typedef enum stream_kind { NONE, APART, QUIET, REAL } stream_kind;

typedef struct stream {
  stream_kind kind;
  bool begun, ended;     /* the observer knows of its begin, end */
  double begin_s, end_s; /* of one that is quiet or apart */
} stream;

typedef struct lane { /* what an actor does */
  sg_actor_t actor;
  sg_sem_t sem; /* of quiet streams */
  bool idle;
  stream stream[2]; /* from the job's first sram, and from its second */
  /* Where both are neither quiet nor apart, the second is sent by an actor of its own, as a
   * blocking send is all that C has. */
  sg_sem_t second, second_over; /* NULL where there is no such actor */
  double second_begin_s;
} lane;

/* A simulation: what the actors share. SimGrid gives its actors no argument but strings, so it is
 * found here; there is one simulation at a time anyway. */
static struct {
  machine *m;
  const platform *plat;
  sg_host_t *host; /* by host id */
  lane *lane;      /* by resource */
  size_t n_lanes;
  bool *apart;         /* by route */
  size_t quiet;        /* this many streams run at their routes' rates */
  size_t n_streams;    /* quiet and real, of the main actors */
  size_t n_known;      /* quiet and apart: whose ends are known */
  double known_next_s; /* none of them begins or ends before it */
  bool rehearses;
  const platform *made; /* what SimGrid's platform was made of; NULL: there is none yet */
  bool used, failed;    /* there was a simulation; one that did not end well */
} sim;

static void wake(uint32_t r) {
  if (!sim.lane[r].idle) return;
  sim.lane[r].idle = false;
  sg_actor_resume(sim.lane[r].actor);
}

static bool known(const stream *x) {
  return x->kind == QUIET || x->kind == APART;
}

/* Tells the observer, in order, of begins and ends of streams that are quiet or apart, up to `now`.
 */
static void catch_up(double now) {
  int ways = sim.plat->n_srams > 1 ? 2 : 1;
  while (sim.n_known > 0 && sim.known_next_s <= now) {
    uint32_t next = UINT32_MAX;
    int which = 0;
    double at = INFINITY;
    for (uint32_t r = 0; r < sim.plat->n_engines; r++)
      for (int w = 0; w < ways; w++) {
        const stream *x = &sim.lane[r].stream[w];
        if (!known(x)) continue;
        double t = x->begun ? x->end_s : x->begin_s;
        if (t < at) next = r, which = w, at = t;
      }
    sim.known_next_s = at;
    if (at > now) return;
    stream *x = &sim.lane[next].stream[which];
    machine_flow(sim.m, next, which, at, !x->begun);
    if (!x->begun) {
      x->begun = true;
      continue;
    }
    x->ended = true;
    sim.n_known--;
    if (x->kind == QUIET) sim.n_streams--;
    x->kind = NONE;
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
}

/* Sends a flow of the job, or what is left of it, and tells the observer. */
static void flow(uint32_t r, const machine_job *j, int which, double bytes, bool begins) {
  if (begins) {
    double now = simgrid_get_clock();
    catch_up(now);
    machine_flow(sim.m, r, which, now, true);
    wake_all();
  }
  sg_host_t from = sim.host[which == 0 ? j->src : j->src2];
  if (bytes > 0) sg_host_sendto(from, sim.host[j->dst], bytes * EXEC_SCALE);
  double now = simgrid_get_clock();
  catch_up(now);
  machine_flow(sim.m, r, which, now, false);
}

/* From now on every stream is a real flow, but those apart: actors that wait for quiet ones are
 * woken to send what is left. */
static void all_real(void) {
  for (uint32_t r = 0; r < sim.plat->n_engines; r++)
    for (int w = 0; w < 2; w++) {
      if (sim.lane[r].stream[w].kind != QUIET) continue;
      sim.lane[r].stream[w].kind = REAL;
      sim.n_known--;
      sg_sem_release(sim.lane[r].sem);
    }
}

static const plat_route *route_of(const machine_job *j, int which) {
  return which == 0 ? j->parts.route : j->parts.route2;
}

static bool is_apart(const plat_route *r) {
  return sim.apart[r - sim.plat->routes];
}

/* Enters a stream of the engine's job that begins at `begin`: apart, or quiet where that is exact,
 * or real. */
static void enter_stream(uint32_t r, const machine_job *j, int which, double begin) {
  stream *x = &sim.lane[r].stream[which];
  const plat_route *route = route_of(j, which);
  uint64_t bytes = which == 0 ? j->parts.flow_B : j->parts.flow2_B;
  catch_up(simgrid_get_clock());
  x->begin_s = begin;
  x->end_s = begin + (double)bytes / route->bandwidth_Bps;
  x->begun = x->ended = false;
  x->kind = is_apart(route) ? APART : QUIET;
  sim.n_known++;
  sim.known_next_s = fmin(sim.known_next_s, begin);
  if (x->kind == APART) return;
  if (++sim.n_streams > sim.quiet) {
    x->kind = REAL;
    sim.n_known--;
    all_real();
  }
}

/* Waits for time `until`; false where the wait was cut short because the stream turned real, which
 * one that is apart does not. */
static bool wait_quiet(const lane *l, const stream *x, double until) {
  for (double left = until - simgrid_get_clock(); left > 0; left = until - simgrid_get_clock())
    if (sg_sem_acquire_timeout(l->sem, left))
      return true;
    else if (x->kind == REAL)
      return false;
  return true;
}

static void sleep_until(double t) {
  double left = t - simgrid_get_clock();
  if (left > 0) sg_actor_sleep_for(left);
}

/* The job is over, so its streams are too, even where rounding put their ends a bit later. */
static void settle(uint32_t r) {
  double now = simgrid_get_clock();
  bool any = false;
  for (int w = 0; w < 2; w++) {
    stream *x = &sim.lane[r].stream[w];
    if (!known(x)) continue;
    x->begin_s = fmin(x->begin_s, now);
    x->end_s = fmin(x->end_s, now);
    sim.known_next_s = fmin(sim.known_next_s, x->begin_s);
    any = true;
  }
  if (any) catch_up(now);
  assert(!known(&sim.lane[r].stream[0]) && !known(&sim.lane[r].stream[1]));
}

/* The stream that the engine's own actor must wait for, 0 or 1, or -1 where all are apart; those
 * that are apart have entered, and the later of `ends` and their ends is returned in it. */
static int enter_apart(uint32_t r, const machine_job *j, const double begin[2], double *ends) {
  int own = -1;
  for (int w = 1; w >= 0; w--) {
    if (route_of(j, w) == NULL) continue;
    if (!is_apart(route_of(j, w))) {
      own = w;
      continue;
    }
    enter_stream(r, j, w, begin[w]);
    *ends = fmax(*ends, sim.lane[r].stream[w].end_s);
  }
  return own;
}

/* Sends what is left of a stream that is or became real. */
static void send_rest(uint32_t r, const machine_job *j, int which) {
  stream *x = &sim.lane[r].stream[which];
  uint64_t bytes = which == 0 ? j->parts.flow_B : j->parts.flow2_B;
  sleep_until(x->begin_s);
  double moved = fmax(0, simgrid_get_clock() - x->begin_s) * route_of(j, which)->bandwidth_Bps;
  flow(r, j, which, (double)bytes - moved, !x->begun);
  x->kind = NONE;
  sim.n_streams--;
}

static void play_compute(uint32_t r, const machine_job *j) {
  lane *l = &sim.lane[r];
  const est_parts *x = &j->parts;
  double flows = simgrid_get_clock() + x->lead_s, ends = flows + x->matrix_s + x->vector_s;
  const double begin[2] = {flows + x->latency_s, flows + x->latency2_s};
  int own = enter_apart(r, j, begin, &ends);
  bool second = own == 0 && x->route2 != NULL && !is_apart(x->route2);
  if (second) {
    l->second_begin_s = begin[1];
    sg_sem_release(l->second);
  }
  bool quiet = false;
  if (own >= 0) {
    stream *s = &l->stream[own];
    enter_stream(r, j, own, begin[own]);
    quiet = s->kind == QUIET && wait_quiet(l, s, fmax(ends, s->end_s));
    if (!quiet && !s->ended) send_rest(r, j, own);
  }
  if (second) sg_sem_acquire(l->second_over);
  if (own < 0 && x->route != NULL)
    (void)wait_quiet(l, &l->stream[0], ends); /* as a quiet one would */
  else if (!quiet)
    sleep_until(ends);
  settle(r);
}

/* Sends the second streams of an engine's jobs. */
static void second_actor(int argc, char **argv) {
  assert(argc == 2);
  (void)argc;
  uint32_t r = (uint32_t)strtoul(argv[1], NULL, 10);
  lane *l = &sim.lane[r];
  for (;;) {
    sg_sem_acquire(l->second);
    const machine_job *j = machine_job_of(sim.m, r);
    sleep_until(l->second_begin_s);
    flow(r, j, 1, (double)j->parts.flow2_B, true);
    sg_sem_release(l->second_over);
  }
}

static void play_transfer(uint32_t r, const machine_job *j) {
  const est_parts *x = &j->parts;
  double before_s = x->lead_s + x->latency_s;
  if (j->turn_s > 0 && j->turn_s < before_s) {
    sg_actor_sleep_for(j->turn_s);
    before_s -= j->turn_s;
    catch_up(simgrid_get_clock());
    machine_turn(sim.m, r, simgrid_get_clock());
    wake_all();
  }
  if (before_s > 0) sg_actor_sleep_for(before_s);
  if (x->route != NULL) flow(r, j, 0, (double)x->flow_B, true);
}

/* What a simulation will do, in no time: what it then finds is bound, mapped and allocated. */
static void rehearse(uint32_t r) {
  const plat_route *way = &sim.plat->routes[0];
  if (r == 0) {
    (void)sg_sem_acquire_timeout(sim.lane[0].sem, 1);
    sg_host_sendto(sim.host[way->src], sim.host[way->dst], 0);
  } else if (r == 1) {
    sg_sem_release(sim.lane[0].sem);
  }
}

static void resource_actor(int argc, char **argv) {
  assert(argc == 2);
  (void)argc;
  uint32_t r = (uint32_t)strtoul(argv[1], NULL, 10);
  if (sim.rehearses) rehearse(r);
  for (;;) {
    const machine_job *j = sim.m == NULL ? NULL : machine_job_of(sim.m, r);
    if (j == NULL) {
      sim.lane[r].idle = true;
      sg_actor_suspend(sim.lane[r].actor);
      continue;
    }
    if (r < sim.plat->n_engines)
      play_compute(r, j);
    else
      play_transfer(r, j);
    end_job(r);
  }
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
  sim.lane[r].actor = sg_actor_create_(number, home, resource_actor, 2, argv);
  if (r >= p->n_engines || !exec_streams_meet(p, sim.apart, r)) return;
  sim.lane[r].second = sg_sem_init(0);
  sim.lane[r].second_over = sg_sem_init(0);
  argv[0] = "second";
  sg_actor_create_(number, home, second_actor, 2, argv);
}

static bool same_route(const plat_route *a, const plat_route *b) {
  return a->src == b->src && a->dst == b->dst && a->symmetrical == b->symmetrical &&
         a->n_links == b->n_links && memcmp(a->link, b->link, a->n_links * sizeof *a->link) == 0;
}

bool exec_simgrid_alike(const platform *a, const platform *b) {
  uint32_t n_hosts = plat_host_dma(a, 0) + (uint32_t)a->n_dmas;
  if (a->n_engines != b->n_engines || a->n_srams != b->n_srams || a->n_dmas != b->n_dmas ||
      a->n_links != b->n_links || a->n_routes != b->n_routes)
    return false;
  for (uint32_t h = 0; h < n_hosts; h++)
    if (strcmp(plat_host_name(a, h), plat_host_name(b, h)) != 0) return false;
  for (size_t i = 0; i < a->n_dmas; i++)
    if (a->dmas[i].channels != b->dmas[i].channels) return false;
  for (size_t i = 0; i < a->n_links; i++)
    if (strcmp(a->links[i].name, b->links[i].name) != 0 ||
        a->links[i].fatpipe != b->links[i].fatpipe)
      return false;
  for (size_t i = 0; i < a->n_routes; i++)
    if (!same_route(&a->routes[i], &b->routes[i])) return false;
  return true;
}

/* An engine and a DMA channel are two lanes at least. */
static int prepare(const platform *p, bool rehearses, err *e) {
  static arena forever;
  assert(sim.lane == NULL && "one platform a process");
  if (exec_load(p, e)) return e->status;
  sim.plat = sim.made = p;
  sim.rehearses = rehearses;
  find_hosts(p, &forever);
  sim.apart = exec_streams_apart(p, &forever);
  sim.n_lanes = p->n_engines;
  for (size_t i = 0; i < p->n_dmas; i++) sim.n_lanes += p->dmas[i].channels;
  sim.lane = ARENA_NEW(&forever, lane, sim.n_lanes);
  for (uint32_t r = 0; r < sim.n_lanes; r++) start_actors(r);
  simgrid_run_until(0); /* they begin, find no job and wait for one */
  return ERR_OK;
}

int exec_simgrid_prepare(const platform *p, err *e) {
  if (p != NULL) return prepare(p, true, e);
  exec_start();
  return ERR_OK;
}

/* Do all actors wait for what begins a simulation, with nothing left over from the last one? */
static bool at_rest(void) {
  for (uint32_t r = 0; r < sim.n_lanes; r++) {
    const lane *l = &sim.lane[r];
    if (!l->idle || !sg_sem_would_block(l->sem) || l->stream[0].kind != NONE ||
        l->stream[1].kind != NONE)
      return false;
    if (l->second != NULL &&
        (!sg_sem_would_block(l->second) || !sg_sem_would_block(l->second_over)))
      return false;
  }
  return sim.n_streams == 0 && sim.n_known == 0;
}

bool exec_simgrid_again(const platform *p) {
  if (sim.made == NULL) return true;
  if (!exec_simgrid_alike(sim.made, p)) return false;
  return !sim.used || (!sim.failed && at_rest() && exec_can_rewind());
}

int exec_simgrid(const dag *d, const platform *p, const policy *pol, const machine_options *opt,
                 const observer *obs, arena *a, err *e) {
  assert(exec_simgrid_again(p) && "one platform a process");
  if (machine_new(&sim.m, d, p, pol, opt, obs, a, e)) return e->status;
  if (sim.lane == NULL && prepare(p, false, e)) return e->status;
  if (sim.used) exec_rewind();
  sim.used = true;
  assert(sim.n_lanes == machine_resources(sim.m));
  sim.plat = p;
  exec_load_bandwidths(p);
  sim.quiet = exec_streams_quiet(p, sim.apart);
  sim.known_next_s = INFINITY;
  machine_begin(sim.m);
  for (uint32_t r = machine_wake(sim.m); r != OBS_NONE; r = machine_wake(sim.m)) continue;
  for (uint32_t r = 0; r < sim.n_lanes; r++)
    if (machine_job_of(sim.m, r) != NULL) wake(r);
  simgrid_run_until(FOREVER_S);
  int status = machine_verdict(sim.m, e);
  sim.failed = status != ERR_OK;
  return status;
}
