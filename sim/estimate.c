#include "sim/estimate.h"

#include <math.h>
#include <string.h>

/* The filled share of the problem padded to the engine's native tile. */
static double utilisation(const plat_engine *e, const uint64_t mnk[3]) {
  double share = 1;
  for (int i = 0; i < 3; i++) {
    uint64_t tile = e->matrix_shape[i];
    if (tile <= 1 || mnk[i] == 0) continue;
    uint64_t padded = (mnk[i] + tile - 1) / tile * tile;
    share *= (double)mnk[i] / (double)padded;
  }
  return share;
}

static void set_flow(est_parts *x, const plat_route *route, uint64_t bytes) {
  if (route == NULL || bytes == 0) return;
  x->route = route;
  x->flow_B = bytes;
  x->latency_s = route->latency_s;
}

static double flow_s(const est_parts *x) {
  return x->route == NULL ? 0 : (double)x->flow_B / x->route->bandwidth_Bps;
}

est_parts est_compute(const platform *p, const dag *d, uint32_t task, const cost *c,
                      uint32_t engine) {
  const plat_engine *e = &p->engines[engine];
  est_parts x = {.lead_s = e->overhead_s};
  double rate = e->rate_flops[c->rate] * e->efficiency[d->tasks[task].op];
  if (c->matrix_flops > 0) x.matrix_s = (double)c->matrix_flops / (rate * utilisation(e, c->mnk));
  x.vector_s = (double)c->vector_flops / e->vector_rate_flops;
  /* an operand stream comes from the first sram that reaches the engine */
  for (size_t i = 0; i < p->n_srams && x.route == NULL; i++)
    set_flow(&x, plat_find_route(p, plat_host_sram(p, i), plat_host_engine(p, engine)),
             c->operand_B);
  x.alone_s = x.lead_s + fmax(x.matrix_s + x.vector_s, x.latency_s + flow_s(&x));
  return x;
}

est_parts est_transfer(const platform *p, const dag *d, uint32_t task, const cost *c,
                       uint32_t dma) {
  est_parts x = {.lead_s = p->dmas[dma].setup_s};
  uint32_t dram = plat_host_dram(p), sram = plat_host_sram(p, 0);
  bool load = op_kind_of((op)d->tasks[task].op) == OP_LOAD;
  const plat_route *route = load ? plat_find_route(p, dram, sram) : plat_find_route(p, sram, dram);
  double occupied = ceil((double)c->transfer_B / p->dram.efficiency);
  set_flow(&x, route, (uint64_t)occupied);
  x.alone_s = x.lead_s + x.latency_s + flow_s(&x);
  return x;
}

double est_best_s(const platform *p, const dag *d, uint32_t task, const cost *c, bool alike) {
  double best = INFINITY;
  if (op_kind_of((op)d->tasks[task].op) == OP_COMPUTE) {
    if (alike) return est_compute(p, d, task, c, 0).alone_s;
    for (uint32_t e = 0; e < p->n_engines; e++)
      best = fmin(best, est_compute(p, d, task, c, e).alone_s);
  } else {
    for (uint32_t i = 0; i < p->n_dmas; i++)
      best = fmin(best, est_transfer(p, d, task, c, i).alone_s);
  }
  return best;
}

static bool crosses(const plat_route *r, uint32_t link) {
  for (uint32_t i = 0; r != NULL && i < r->n_links; i++)
    if (r->link[i] == link) return true;
  return false;
}

/* Links that the operand stream of a task must cross, whichever engine it runs on. */
static void mandatory_links(const platform *p, bool *must) {
  for (uint32_t l = 0; l < p->n_links; l++) {
    must[l] = !p->links[l].fatpipe;
    for (uint32_t e = 0; e < p->n_engines && must[l]; e++) {
      const plat_route *r = NULL;
      for (size_t s = 0; s < p->n_srams && r == NULL; s++)
        r = plat_find_route(p, plat_host_sram(p, s), plat_host_engine(p, e));
      must[l] = crosses(r, l);
    }
  }
}

bool est_engines_alike(const platform *p) {
  for (size_t e = 1; e < p->n_engines; e++) {
    plat_engine a = p->engines[0], b = p->engines[e];
    const plat_route *ra = plat_find_route(p, plat_host_sram(p, 0), plat_host_engine(p, 0));
    const plat_route *rb = plat_find_route(p, plat_host_sram(p, 0), plat_host_engine(p, e));
    if (ra == NULL || rb == NULL || ra->bandwidth_Bps != rb->bandwidth_Bps ||
        ra->latency_s != rb->latency_s || a.vector_rate_flops != b.vector_rate_flops ||
        a.overhead_s != b.overhead_s ||
        memcmp(a.rate_flops, b.rate_flops, sizeof a.rate_flops) != 0 ||
        memcmp(a.efficiency, b.efficiency, sizeof a.efficiency) != 0 ||
        memcmp(a.matrix_shape, b.matrix_shape, sizeof a.matrix_shape) != 0)
      return false;
  }
  return true;
}

bounds est_bounds(const platform *p, const dag *d, arena *a) {
  bounds b = {.link_s = ARENA_NEW(a, double, p->n_links), .binding = "critical_path"};
  arena scratch = {0};
  double *finish = ARENA_NEW(&scratch, double, d->n_tasks);
  double *bytes = ARENA_NEW(&scratch, double, p->n_links);
  bool *must = ARENA_NEW(&scratch, bool, p->n_links);
  mandatory_links(p, must);
  bool alike = est_engines_alike(p);
  double work = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const dag_task *task = &d->tasks[t];
    cost c = cost_of(d, t);
    bool compute = op_kind_of((op)task->op) == OP_COMPUTE;
    est_parts x = compute ? est_compute(p, d, t, &c, 0) : est_transfer(p, d, t, &c, 0);
    double best = est_best_s(p, d, t, &c, alike);
    if (compute) work += best;
    for (uint32_t i = 0; x.route != NULL && i < x.route->n_links; i++) {
      uint32_t l = x.route->link[i];
      if (compute ? must[l] : !p->links[l].fatpipe) bytes[l] += (double)x.flow_B;
    }
    double start = 0;
    const uint32_t *deps = dag_deps(d, task);
    for (uint32_t i = 0; i < task->n_deps; i++) start = fmax(start, finish[deps[i]]);
    finish[t] = start + best;
    b.critical_path_s = fmax(b.critical_path_s, finish[t]);
  }
  b.engine_s = work / (double)p->n_engines;
  b.lower_s = b.critical_path_s;
  if (b.engine_s > b.lower_s) b.lower_s = b.engine_s, b.binding = "engine";
  for (uint32_t l = 0; l < p->n_links; l++) {
    b.link_s[l] = bytes[l] / p->links[l].bandwidth_Bps;
    if (b.link_s[l] > b.lower_s) b.lower_s = b.link_s[l], b.binding = p->links[l].name;
  }
  arena_free(&scratch);
  return b;
}
