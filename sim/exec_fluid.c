#include "sim/exec.h"

#include <math.h>
#include <string.h>

/* A resource's job is LEAD (lead and latency), then FLOW, then REST (what remains of the
 * arithmetic). */
typedef enum step { IDLE, LEAD, FLOW, REST } step;

typedef struct lane {
  step at;
  double until_s;      /* LEAD, REST */
  double arithmetic_s; /* when the arithmetic ends */
  double left_B, rate_Bps;
} lane;

typedef struct fluid {
  machine *m;
  const platform *plat;
  lane *lane;
  size_t n;
  double now;
  double *left_Bps; /* by link: bandwidth not given out yet */
  uint32_t *flows;  /* by link: flows without a rate yet */
} fluid;

static void begin(fluid *f, uint32_t r) {
  const machine_job *j = machine_job_of(f->m, r);
  lane *l = &f->lane[r];
  l->at = IDLE;
  if (j == NULL) return;
  l->at = LEAD;
  l->until_s = f->now + (j->parts.lead_s + j->parts.latency_s);
  l->arithmetic_s = f->now + j->parts.lead_s + j->parts.matrix_s + j->parts.vector_s;
}

/* Max-min fair rates: again and again, the link that gives its flows least fixes their rates. */
static void share(fluid *f) {
  size_t open = 0;
  for (size_t i = 0; i < f->plat->n_links; i++) {
    f->left_Bps[i] = f->plat->links[i].bandwidth_Bps;
    f->flows[i] = 0;
  }
  for (size_t r = 0; r < f->n; r++) {
    if (f->lane[r].at != FLOW) continue;
    const plat_route *route = machine_job_of(f->m, (uint32_t)r)->parts.route;
    f->lane[r].rate_Bps = -1;
    open++;
    for (uint32_t i = 0; i < route->n_links; i++) f->flows[route->link[i]]++;
  }
  while (open > 0) {
    double least = INFINITY;
    for (size_t i = 0; i < f->plat->n_links; i++) {
      if (f->flows[i] == 0) continue;
      double each = f->plat->links[i].fatpipe ? f->left_Bps[i] : f->left_Bps[i] / f->flows[i];
      least = fmin(least, each);
    }
    /* the tightest links are found first, then served, so that one flow does not loosen another's
     */
    size_t fixed = 0;
    for (size_t r = 0; r < f->n; r++) {
      if (f->lane[r].at != FLOW || f->lane[r].rate_Bps >= 0) continue;
      const plat_route *route = machine_job_of(f->m, (uint32_t)r)->parts.route;
      bool tight = false;
      for (uint32_t i = 0; i < route->n_links && !tight; i++) {
        uint32_t k = route->link[i];
        double each = f->plat->links[k].fatpipe ? f->left_Bps[k] : f->left_Bps[k] / f->flows[k];
        tight = each <= least * (1 + 1e-12);
      }
      if (!tight) continue;
      f->lane[r].rate_Bps = least;
      fixed++;
      for (uint32_t i = 0; i < route->n_links; i++) {
        uint32_t k = route->link[i];
        f->flows[k]--;
        if (!f->plat->links[k].fatpipe) f->left_Bps[k] = fmax(0, f->left_Bps[k] - least);
      }
    }
    open -= fixed;
  }
}

/* Moves resource r on as far as it goes without time passing. */
static void advance(fluid *f, uint32_t r) {
  lane *l = &f->lane[r];
  if (l->at == LEAD && l->until_s <= f->now) {
    const est_parts *x = &machine_job_of(f->m, r)->parts;
    l->at = REST;
    l->until_s = l->arithmetic_s;
    if (x->route != NULL) {
      l->at = FLOW;
      l->left_B = (double)x->flow_B;
      machine_flow(f->m, r, f->now, true);
    }
  } else if (l->at == FLOW && l->left_B <= 0) {
    machine_flow(f->m, r, f->now, false);
    l->at = REST;
    l->until_s = l->arithmetic_s;
  }
  if (l->at != REST || l->until_s > f->now) return;
  machine_end(f->m, r, f->now);
  begin(f, r);
  for (uint32_t w = machine_wake(f->m); w != OBS_NONE; w = machine_wake(f->m)) begin(f, w);
}

/* The time until the next step of any resource. */
static double next_step(const fluid *f) {
  double dt = INFINITY;
  for (size_t r = 0; r < f->n; r++) {
    const lane *l = &f->lane[r];
    if (l->at == FLOW) dt = fmin(dt, l->left_B / l->rate_Bps);
    if (l->at == LEAD || l->at == REST) dt = fmin(dt, fmax(0, l->until_s - f->now));
  }
  return dt;
}

static void pass(fluid *f, double dt) {
  double then = f->now + dt;
  for (size_t r = 0; r < f->n; r++) {
    lane *l = &f->lane[r];
    if (l->at == FLOW) {
      double left = l->left_B - l->rate_Bps * dt;
      l->left_B = left <= l->rate_Bps * 1e-15 + 1e-9 ? 0 : left; /* a rest below rounding is none */
    } else if (l->at != IDLE && l->until_s - f->now <= dt) {
      l->until_s = then;
    }
  }
  f->now = then;
}

int exec_fluid(const dag *d, const platform *p, const policy *pol, const machine_options *opt,
               const observer *obs, arena *a, err *e) {
  fluid f = {.plat = p};
  if (machine_new(&f.m, d, p, pol, opt, obs, a, e)) return e->status;
  f.n = machine_resources(f.m);
  f.lane = ARENA_NEW(a, lane, f.n);
  f.left_Bps = ARENA_NEW(a, double, p->n_links);
  f.flows = ARENA_NEW(a, uint32_t, p->n_links);
  machine_begin(f.m);
  for (uint32_t r = machine_wake(f.m); r != OBS_NONE; r = machine_wake(f.m)) begin(&f, r);
  while (!machine_finished(f.m) && !machine_stuck(f.m)) {
    for (uint32_t r = 0; r < f.n; r++) advance(&f, r);
    if (machine_finished(f.m)) break;
    share(&f);
    double dt = next_step(&f);
    if (dt > 0 && isfinite(dt)) pass(&f, dt);
  }
  return machine_verdict(f.m, e);
}
