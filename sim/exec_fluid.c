#include "sim/exec.h"

#include <math.h>
#include <string.h>

/* A stream of a job: LEAD (the job's lead and its latency), then FLOW, then OVER. A job ends when
 * its streams are over and its arithmetic is, too. */
typedef enum step { OVER, LEAD, FLOW } step;

typedef struct stream {
  step at;
  double until_s; /* LEAD */
  double left_B, rate_Bps;
  const plat_route *route; /* NULL: nothing flows */
} stream;

enum { STREAMS = 2 };

typedef struct lane {
  bool busy;
  double arithmetic_s; /* when the arithmetic ends */
  double turn_s;       /* when the channel's turn ends; INFINITY: with its setup */
  stream stream[STREAMS];
} lane;

typedef struct fluid {
  machine *m;
  const platform *plat;
  lane *lane;
  size_t n, ways; /* lanes; streams of each that may flow: with one sram, no second one does */
  double now;
  bool changed; /* a flow has begun or ended since the rates were found */
  /* while rates are found */
  stream **open;  /* flows without a rate yet */
  uint32_t *used; /* links that flows cross */
  size_t n_open, n_used;
  double *left_Bps; /* by link: bandwidth not given out yet */
  uint32_t *flows;  /* by link: flows without a rate yet; 0 between times */
} fluid;

static void begin(fluid *f, uint32_t r) {
  const machine_job *j = machine_job_of(f->m, r);
  lane *l = &f->lane[r];
  *l = (lane){.busy = j != NULL, .turn_s = INFINITY};
  if (j == NULL) return;
  const est_parts *x = &j->parts;
  if (j->turn_s > 0 && j->turn_s < x->lead_s + x->latency_s) l->turn_s = f->now + j->turn_s;
  l->arithmetic_s = f->now + x->lead_s + x->matrix_s + x->vector_s;
  l->stream[0] = (stream){LEAD, f->now + (x->lead_s + x->latency_s), 0, 0, x->route};
  if (x->route2 != NULL)
    l->stream[1] = (stream){LEAD, f->now + (x->lead_s + x->latency2_s), 0, 0, x->route2};
}

static double lesser(double a, double b) { /* fmin minds NaN, and is a call */
  return a < b ? a : b;
}

static double larger(double a, double b) {
  return a > b ? a : b;
}

static double fair_share(const fluid *f, uint32_t link) {
  double left_Bps = f->left_Bps[link];
  return f->plat->links[link].fatpipe ? left_Bps : left_Bps / f->flows[link];
}

/* Gives the flows on the tightest links their rate. The links are found first, then served, so that
 * one flow does not loosen another's. */
static void fix_rates(fluid *f, double least) {
  size_t kept = 0;
  for (size_t i = 0; i < f->n_open; i++) {
    stream *s = f->open[i];
    bool tight = false;
    for (uint32_t k = 0; k < s->route->n_links && !tight; k++)
      tight = fair_share(f, s->route->link[k]) <= least * (1 + 1e-12);
    if (!tight) {
      f->open[kept++] = s;
      continue;
    }
    s->rate_Bps = least;
    for (uint32_t k = 0; k < s->route->n_links; k++) {
      uint32_t l = s->route->link[k];
      f->flows[l]--;
      if (!f->plat->links[l].fatpipe) f->left_Bps[l] = larger(0, f->left_Bps[l] - least);
    }
  }
  f->n_open = kept;
}

/* Enters a flow into its links. */
static void open_flow(fluid *f, stream *s) {
  f->open[f->n_open++] = s;
  for (uint32_t k = 0; k < s->route->n_links; k++) {
    uint32_t l = s->route->link[k];
    if (f->flows[l]++ > 0) continue;
    f->left_Bps[l] = f->plat->links[l].bandwidth_Bps;
    f->used[f->n_used++] = l;
  }
}

/* Max-min fair rates: again and again, the link that gives its flows least fixes their rates. */
static void share(fluid *f) {
  f->n_open = f->n_used = 0;
  for (size_t r = 0; r < f->n; r++)
    for (size_t w = 0; w < f->ways; w++)
      if (f->lane[r].stream[w].at == FLOW) open_flow(f, &f->lane[r].stream[w]);
  while (f->n_open > 0) {
    double least = INFINITY;
    for (size_t i = 0; i < f->n_used; i++)
      if (f->flows[f->used[i]] > 0) least = lesser(least, fair_share(f, f->used[i]));
    fix_rates(f, least);
  }
}

/* Moves one stream of resource r on as far as it goes without time passing. */
static void advance_stream(fluid *f, uint32_t r, int which) {
  stream *s = &f->lane[r].stream[which];
  if (s->at == LEAD && s->until_s <= f->now) {
    const est_parts *x = &machine_job_of(f->m, r)->parts;
    s->at = OVER;
    if (s->route == NULL) return;
    s->at = FLOW;
    f->changed = true;
    s->left_B = (double)(which == 0 ? x->flow_B : x->flow2_B);
    machine_flow(f->m, r, which, f->now, true);
    for (uint32_t w = machine_wake(f->m); w != OBS_NONE; w = machine_wake(f->m)) begin(f, w);
  } else if (s->at == FLOW && s->left_B <= 0) {
    machine_flow(f->m, r, which, f->now, false);
    s->at = OVER;
    f->changed = true;
  }
}

static void advance(fluid *f, uint32_t r) {
  lane *l = &f->lane[r];
  bool over = true;
  if (!l->busy) return;
  if (l->turn_s <= f->now) {
    l->turn_s = INFINITY;
    machine_turn(f->m, r, f->now);
    for (uint32_t w = machine_wake(f->m); w != OBS_NONE; w = machine_wake(f->m)) begin(f, w);
  }
  for (size_t k = 0; k < f->ways; k++) {
    advance_stream(f, r, (int)k);
    over = over && l->stream[k].at == OVER;
  }
  if (!over || l->arithmetic_s > f->now) return;
  machine_end(f->m, r, f->now);
  begin(f, r);
  for (uint32_t w = machine_wake(f->m); w != OBS_NONE; w = machine_wake(f->m)) begin(f, w);
}

/* The time until the next step of any resource. */
static double next_step(const fluid *f) {
  double dt = INFINITY;
  for (size_t r = 0; r < f->n; r++) {
    const lane *l = &f->lane[r];
    bool over = true;
    if (!l->busy) continue;
    for (size_t w = 0; w < f->ways; w++) {
      const stream *s = &l->stream[w];
      if (s->at == FLOW) dt = lesser(dt, s->left_B / s->rate_Bps);
      if (s->at == LEAD) dt = lesser(dt, larger(0, s->until_s - f->now));
      over = over && s->at == OVER;
    }
    dt = lesser(dt, larger(0, l->turn_s - f->now));
    if (over) dt = lesser(dt, larger(0, l->arithmetic_s - f->now));
  }
  return dt;
}

static void pass(fluid *f, double dt) {
  double then = f->now + dt;
  for (size_t r = 0; r < f->n; r++) {
    lane *l = &f->lane[r];
    if (!l->busy) continue;
    for (size_t w = 0; w < f->ways; w++) {
      stream *s = &l->stream[w];
      if (s->at == FLOW) {
        double left = s->left_B - s->rate_Bps * dt;
        s->left_B =
            left <= s->rate_Bps * 1e-15 + 1e-9 ? 0 : left; /* a rest below rounding is none */
      } else if (s->at == LEAD && s->until_s - f->now <= dt) {
        s->until_s = then;
      }
    }
    if (l->turn_s - f->now <= dt) l->turn_s = then;
    if (l->arithmetic_s - f->now <= dt) l->arithmetic_s = lesser(l->arithmetic_s, then);
  }
  f->now = then;
}

int exec_fluid(const dag *d, const platform *p, const policy *pol, const machine_options *opt,
               const observer *obs, arena *a, err *e) {
  fluid f = {.plat = p};
  if (machine_new(&f.m, d, p, pol, opt, obs, a, e)) return e->status;
  f.n = machine_resources(f.m);
  f.ways = p->n_srams > 1 ? STREAMS : 1;
  f.lane = ARENA_NEW(a, lane, f.n);
  f.left_Bps = ARENA_NEW(a, double, p->n_links);
  f.flows = ARENA_NEW(a, uint32_t, p->n_links);
  f.used = ARENA_NEW(a, uint32_t, p->n_links);
  f.open = ARENA_NEW(a, stream *, f.n * f.ways);
  machine_begin(f.m);
  for (uint32_t r = machine_wake(f.m); r != OBS_NONE; r = machine_wake(f.m)) begin(&f, r);
  while (!machine_finished(f.m) && !machine_stuck(f.m)) {
    for (uint32_t r = 0; r < f.n; r++) advance(&f, r);
    if (machine_finished(f.m)) break;
    if (f.changed) share(&f);
    f.changed = false;
    double dt = next_step(&f);
    if (dt > 0 && isfinite(dt)) pass(&f, dt);
  }
  return machine_verdict(f.m, e);
}
