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

static double flow_s(const plat_route *route, uint64_t bytes) {
  return route == NULL ? 0 : (double)bytes / route->bandwidth_Bps;
}

/* Where a compute task's operands lie: bytes by sram, two srams at most (reach.h sees to that). */
typedef struct operands {
  uint32_t sram[2];
  uint64_t bytes[2];
} operands;

static operands operands_by_sram(const dag *d, uint32_t task) {
  operands o = {.bytes = {0, 0}};
  const dag_task *t = &d->tasks[task];
  const dag_view *v = dag_reads(d, t);
  o.sram[0] = o.sram[1] = (uint32_t)d->tensors[v[0].tensor].space - DAG_SRAM;
  for (uint32_t i = 0; i < (uint32_t)t->n_reads + t->n_writes; i++) {
    uint32_t s = (uint32_t)d->tensors[v[i].tensor].space - DAG_SRAM;
    if (s != o.sram[0]) o.sram[1] = s;
    o.bytes[s != o.sram[0]] += dag_view_bytes(d, &v[i]);
  }
  return o;
}

static inline operands operands_of(const platform *p, const dag *d, uint32_t task, const cost *c) {
  bool one = p->n_srams == 1 || c->operand_B == 0;
  return one ? (operands){.bytes = {c->operand_B, 0}} : operands_by_sram(d, task);
}

/* What two flows that begin together take at least where their routes share a link. */
static double shared_s(const platform *p, const est_parts *x) {
  double most = 0;
  for (uint32_t i = 0; i < x->route->n_links; i++)
    for (uint32_t k = 0; k < x->route2->n_links; k++) {
      const plat_link *l = &p->links[x->route->link[i]];
      if (x->route->link[i] == x->route2->link[k] && !l->fatpipe)
        most = fmax(most, ((double)x->flow_B + (double)x->flow2_B) / l->bandwidth_Bps);
    }
  return most == 0 ? 0 : fmin(x->latency_s, x->latency2_s) + most;
}

est_parts est_compute(const platform *p, const dag *d, uint32_t task, const cost *c,
                      uint32_t engine) {
  const plat_engine *e = &p->engines[engine];
  est_parts x = {.lead_s = e->overhead_s};
  double rate = e->rate_flops[c->rate] * e->efficiency[d->tasks[task].op];
  if (c->matrix_flops > 0) x.matrix_s = (double)c->matrix_flops / (rate * utilisation(e, c->mnk));
  x.vector_s = (double)c->vector_flops / e->vector_rate_flops;
  operands o = operands_of(p, d, task, c);
  x.sram = o.sram[0];
  if (o.bytes[0] > 0) {
    x.route = plat_find_route(p, plat_host_sram(p, x.sram), plat_host_engine(p, engine));
    if (x.route == NULL) return x.alone_s = INFINITY, x;
    x.flow_B = o.bytes[0];
    x.latency_s = x.route->latency_s;
  }
  double stream_s = x.latency_s + flow_s(x.route, x.flow_B);
  if (o.bytes[1] > 0) {
    x.sram2 = o.sram[1];
    x.route2 = plat_find_route(p, plat_host_sram(p, x.sram2), plat_host_engine(p, engine));
    if (x.route2 == NULL) return x.alone_s = INFINITY, x;
    x.flow2_B = o.bytes[1];
    x.latency2_s = x.route2->latency_s;
    stream_s = fmax(stream_s, x.latency2_s + flow_s(x.route2, x.flow2_B));
    stream_s = fmax(stream_s, shared_s(p, &x));
  }
  x.alone_s = x.lead_s + fmax(x.matrix_s + x.vector_s, stream_s);
  return x;
}

est_parts est_transfer(const platform *p, const dag *d, uint32_t task, const cost *c,
                       uint32_t dma) {
  est_parts x = {.lead_s = p->dmas[dma].setup_s};
  const dag_task *t = &d->tasks[task];
  op_kind kind = op_kind_of((op)t->op);
  uint32_t dram = plat_host_dram(p);
  uint32_t from = d->tensors[dag_reads(d, t)->tensor].space,
           to = d->tensors[dag_writes(d, t)->tensor].space;
  x.sram = (kind == OP_LOAD ? to : from) - DAG_SRAM;
  x.sram2 = kind == OP_MOVE ? to - DAG_SRAM : 0;
  uint32_t src = kind == OP_LOAD ? dram : plat_host_sram(p, x.sram);
  uint32_t dst = kind == OP_STORE  ? dram
                 : kind == OP_LOAD ? plat_host_sram(p, x.sram)
                                   : plat_host_sram(p, x.sram2);
  double share = kind == OP_MOVE ? 1 : p->dram.efficiency;
  uint64_t occupied = (uint64_t)ceil((double)c->transfer_B / share);
  const plat_route *route = plat_find_route(p, src, dst);
  if (route != NULL && occupied > 0) {
    x.route = route;
    x.flow_B = occupied;
    x.latency_s = route->latency_s;
  }
  x.alone_s = x.lead_s + x.latency_s + flow_s(x.route, x.flow_B);
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

/* Shared links that a stream from an sram must cross, whichever engine it goes to. */
typedef struct must_cross {
  uint32_t n, link[PLAT_MAX_ROUTE];
} must_cross;

static bool crosses(const plat_route *r, uint32_t link) {
  for (uint32_t i = 0; i < r->n_links; i++)
    if (r->link[i] == link) return true;
  return false;
}

static must_cross *mandatory_links(const platform *p, arena *a) {
  must_cross *must = ARENA_NEW(a, must_cross, p->n_srams);
  for (size_t s = 0; s < p->n_srams; s++) {
    must_cross *m = &must[s];
    bool first = true;
    for (size_t e = 0; e < p->n_engines; e++) {
      const plat_route *r = plat_find_route(p, plat_host_sram(p, s), plat_host_engine(p, e));
      if (r == NULL) continue;
      uint32_t kept = 0;
      for (uint32_t i = 0; i < (first ? r->n_links : m->n); i++) {
        uint32_t l = first ? r->link[i] : m->link[i];
        if (first ? !p->links[l].fatpipe : crosses(r, l)) m->link[kept++] = l;
      }
      m->n = kept;
      first = false;
    }
  }
  return must;
}

bool est_engines_alike(const platform *p) {
  if (p->n_srams > 1) return false; /* then they differ in what they reach */
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

/* Adds what the task must move over each link, whatever the schedule. */
static void add_bytes(const platform *p, const dag *d, uint32_t t, const cost *c,
                      const must_cross *must, double *bytes) {
  if (op_kind_of((op)d->tasks[t].op) == OP_COMPUTE) {
    operands o = operands_of(p, d, t, c);
    for (int k = 0; k < 2 && o.bytes[k] > 0; k++)
      for (uint32_t i = 0; i < must[o.sram[k]].n; i++)
        bytes[must[o.sram[k]].link[i]] += (double)o.bytes[k];
    return;
  }
  est_parts x = est_transfer(p, d, t, c, 0);
  for (uint32_t i = 0; x.route != NULL && i < x.route->n_links; i++)
    if (!p->links[x.route->link[i]].fatpipe) bytes[x.route->link[i]] += (double)x.flow_B;
}

bounds est_bounds(const platform *p, const dag *d, arena *a) {
  bounds b = {.link_s = ARENA_NEW(a, double, p->n_links), .binding = "critical_path"};
  arena scratch = {0};
  double *finish = ARENA_NEW(&scratch, double, d->n_tasks);
  double *bytes = ARENA_NEW(&scratch, double, p->n_links);
  const must_cross *must = mandatory_links(p, &scratch);
  bool alike = est_engines_alike(p);
  double work = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const dag_task *task = &d->tasks[t];
    cost c = cost_of(d, t);
    double best = est_best_s(p, d, t, &c, alike);
    if (op_kind_of((op)task->op) == OP_COMPUTE) work += best;
    add_bytes(p, d, t, &c, must, bytes);
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
