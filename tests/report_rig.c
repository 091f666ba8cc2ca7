#include "tests/report_rig.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- platform ---- */

static void add_engine(rig *g, uint32_t i) {
  plat_engine *e = &g->plat->engines[i];
  *e = (plat_engine){.name = arena_printf(&g->mem, "e%u", i),
                     .native = DT_BF16,
                     .speed_flops = 1e12,
                     .vector_rate_flops = 1e9,
                     .overhead_s = 1e-6,
                     .matrix_shape = {1, 1, 1},
                     .idle_W = 1,
                     .vector_energy_J = 4e-12};
  for (int d = 0; d < DT_COUNT; d++) e->rate_flops[d] = 1e12;
  e->rate_flops[DT_INT8] = 2e12;
  e->energy_J[DT_BF16] = 1e-12;
  for (int o = 0; o < OP_COUNT; o++) e->efficiency[o] = 1;
  g->plat->links[2 + i] = (plat_link){
      .name = arena_printf(&g->mem, "port%u", i), .role = PLAT_LINK_PORT, .bandwidth_Bps = 2e9};
  g->plat->routes[1 + i] = (plat_route){.src = plat_host_sram(g->plat, 0),
                                        .dst = plat_host_engine(g->plat, i),
                                        .symmetrical = true,
                                        .n_links = 2,
                                        .link = {1, 2 + i}};
}

static void make_platform(rig *g, uint32_t engines, uint32_t channels) {
  platform *p = g->plat = ARENA_NEW(&g->mem, platform, 1);
  *p = (platform){.name = "rig", .where = "rig", .n_engines = engines, .n_srams = 1, .n_dmas = 1};
  p->n_links = 2 + (size_t)engines;
  p->n_routes = 1 + (size_t)engines;
  p->engines = ARENA_NEW(&g->mem, plat_engine, engines);
  p->srams = ARENA_NEW(&g->mem, plat_memory, 1);
  p->dmas = ARENA_NEW(&g->mem, plat_dma, 1);
  p->links = ARENA_NEW(&g->mem, plat_link, p->n_links);
  p->routes = ARENA_NEW(&g->mem, plat_route, p->n_routes);
  p->srams[0] = (plat_memory){
      .name = "sram", .role = PLAT_SRAM, .capacity_B = 1 << 20, .efficiency = 1, .energy_J = 2e-12};
  p->dram = (plat_memory){.name = "dram", .role = PLAT_DRAM, .efficiency = 1, .energy_J = 10e-12};
  p->dmas[0] = (plat_dma){.name = "dma0", .channels = channels, .setup_s = 2e-6};
  p->links[0] = (plat_link){
      .name = "dram_bus", .role = PLAT_LINK_DRAM, .bandwidth_Bps = 1e9, .latency_s = 1e-6};
  p->links[1] = (plat_link){.name = "sram_bus", .role = PLAT_LINK_SRAM, .bandwidth_Bps = 4e9};
  p->routes[0] = (plat_route){.src = plat_host_dram(p),
                              .dst = plat_host_sram(p, 0),
                              .symmetrical = true,
                              .n_links = 1,
                              .link = {0}};
  for (uint32_t i = 0; i < engines; i++) add_engine(g, i);
  err e = {0};
  int status = plat_check(p, &e);
  if (status != ERR_OK) fprintf(stderr, "report_rig: %s\n", e.msg);
  assert(status == ERR_OK);
}

rig *rig_new(uint32_t engines, uint32_t channels) {
  rig *g = mem_alloc(1, sizeof *g);
  g->mem = (arena){0};
  g->n_plays = 0;
  make_platform(g, engines, channels);
  g->dag = dag_new(&g->mem);
  g->dag->workload = (dag_workload){.model = "toy",
                                    .phase = "decode",
                                    .split = "head",
                                    .attention = "three-pass",
                                    .kv_update = "smart-mask",
                                    .resident = "none",
                                    .fuse = "auto",
                                    .past = 4,
                                    .tokens = 1,
                                    .steps = 1,
                                    .batch = 1,
                                    .layers = 1,
                                    .weight_dtype = DT_BF16,
                                    .act_dtype = DT_BF16,
                                    .kv_dtype = DT_BF16};
  g->tl = NULL;
  return g;
}

void rig_free(rig *g) {
  if (g->tl != NULL) tl_free(g->tl);
  arena_free(&g->mem);
  free(g);
}

/* ---- tasks ---- */

static uint32_t tensor(rig *g, dag_space space, dag_role role, uint64_t rows, uint64_t cols) {
  const char *name = arena_printf(&g->mem, "x%zu", g->dag->n_tensors);
  return dag_add_tensor(g->dag, name, space, role, DT_BF16, 2, (uint64_t[]){rows, cols});
}

static dag_task task_of(rig *g, op o) {
  return (dag_task){.name = arena_printf(&g->mem, "t%zu", g->dag->n_tasks),
                    .group = DAG_NO_GROUP,
                    .op = (uint8_t)o};
}

uint32_t rig_add(rig *g, uint64_t n, const uint32_t *deps, size_t n_deps) {
  uint32_t a = tensor(g, DAG_SRAM, DAG_ACT, 1, n), b = tensor(g, DAG_SRAM, DAG_ACT, 1, n);
  uint32_t y = tensor(g, DAG_SRAM, DAG_ACT, 1, n);
  dag_view reads[2] = {dag_all(g->dag, a), dag_all(g->dag, b)}, write = dag_all(g->dag, y);
  dag_task t = task_of(g, OP_ADD);
  return dag_add_task_deps(g->dag, &t, reads, 2, &write, 1, deps, n_deps);
}

uint32_t rig_load(rig *g, uint64_t n) {
  uint32_t from = tensor(g, DAG_DRAM, DAG_WEIGHT, 1, n), to = tensor(g, DAG_SRAM, DAG_WEIGHT, 1, n);
  dag_view read = dag_all(g->dag, from), write = dag_all(g->dag, to);
  dag_task t = task_of(g, OP_LOAD_WEIGHT);
  return dag_add_task_deps(g->dag, &t, &read, 1, &write, 1, NULL, 0);
}

uint32_t rig_store(rig *g, uint64_t n, const uint32_t *deps, size_t n_deps) {
  uint32_t from = tensor(g, DAG_SRAM, DAG_ACT, 1, n), to = tensor(g, DAG_DRAM, DAG_ACT, 1, n);
  dag_view read = dag_all(g->dag, from), write = dag_all(g->dag, to);
  dag_task t = task_of(g, OP_STORE_ACT);
  return dag_add_task_deps(g->dag, &t, &read, 1, &write, 1, deps, n_deps);
}

uint32_t rig_matmul(rig *g, uint64_t rows, uint64_t cols) {
  uint32_t x = tensor(g, DAG_SRAM, DAG_ACT, 1, cols),
           w = tensor(g, DAG_SRAM, DAG_WEIGHT, rows, cols);
  uint32_t y = tensor(g, DAG_SRAM, DAG_ACT, 1, rows);
  dag_view reads[2] = {dag_all(g->dag, x), dag_all(g->dag, w)}, write = dag_all(g->dag, y);
  dag_task t = task_of(g, OP_MATMUL);
  return dag_add_task_deps(g->dag, &t, reads, 2, &write, 1, NULL, 0);
}

/* ---- runs ---- */

obs_why rig_why(void) {
  return (obs_why){
      .ready_by = OBS_NONE, .gate_by = OBS_NONE, .room_by = OBS_NONE, .free_by = OBS_NONE};
}

rig_play *rig_play_task(rig *g, uint32_t task, uint32_t resource, double start_s,
                        double flow_start_s, double flow_end_s, double end_s) {
  assert(g->n_plays < RIG_MAX_PLAYS);
  rig_play *p = &g->plays[g->n_plays++];
  *p = (rig_play){.task = task,
                  .resource = resource,
                  .start_s = start_s,
                  .flow_start_s = flow_start_s,
                  .flow_end_s = flow_end_s,
                  .end_s = end_s,
                  .why = rig_why()};
  return p;
}

/* In the order in which an executor tells events of one time; a run of no length begins after what
 * ended then. */
typedef enum happening {
  FLOW_ENDS,
  ENDS,
  GIVES,
  READY,
  TAKES,
  STARTS,
  FLOW_BEGINS,
  INSTANT
} happening;

typedef struct told {
  double t;
  happening what;
  uint32_t n; /* play, or tensor */
} told;

static int in_order(const void *a, const void *b) {
  const told *x = a, *y = b;
  if (x->t != y->t) return x->t < y->t ? -1 : 1;
  if (x->what != y->what) return x->what < y->what ? -1 : 1;
  return (x->n > y->n) - (x->n < y->n);
}

/* When each SRAM tensor is taken and given back; -1: never. */
static size_t add_buffers(const rig *g, told *list, size_t n) {
  const dag *d = g->dag;
  double *from = mem_alloc(d->n_tensors, 2 * sizeof *from), *to = from + d->n_tensors;
  for (size_t i = 0; i < d->n_tensors; i++) from[i] = to[i] = -1;
  for (size_t i = 0; i < g->n_plays; i++) {
    const rig_play *p = &g->plays[i];
    const dag_task *t = &d->tasks[p->task];
    for (uint32_t j = 0; j < (uint32_t)t->n_reads + t->n_writes; j++) {
      uint32_t x = d->views[t->view0 + j].tensor;
      if (d->tensors[x].space != DAG_SRAM) continue;
      if (from[x] < 0 || p->start_s < from[x]) from[x] = p->start_s;
      to[x] = fmax(to[x], p->end_s);
    }
  }
  for (uint32_t i = 0; i < d->n_tensors; i++) {
    if (from[i] < 0 || from[i] == to[i]) continue;
    list[n++] = (told){from[i], TAKES, i};
    list[n++] = (told){to[i], GIVES, i};
  }
  free(from);
  return n;
}

static size_t list_events(const rig *g, told *list) {
  size_t n = add_buffers(g, list, 0);
  for (uint32_t i = 0; i < g->n_plays; i++) {
    const rig_play *p = &g->plays[i];
    list[n++] = (told){p->why.ready_s, READY, i};
    if (p->start_s == p->end_s) {
      list[n++] = (told){p->start_s, INSTANT, i};
      continue;
    }
    list[n++] = (told){p->start_s, STARTS, i};
    list[n++] = (told){p->end_s, ENDS, i};
    if (!(p->flow_start_s < p->flow_end_s)) continue;
    list[n++] = (told){p->flow_start_s, FLOW_BEGINS, i};
    list[n++] = (told){p->flow_end_s, FLOW_ENDS, i};
  }
  return n;
}

static void tell_flow(const rig *g, const observer *o, const told *e) {
  const rig_play *p = &g->plays[e->n];
  bool engine = p->resource < g->plat->n_engines;
  cost c = cost_of(g->dag, p->task);
  est_parts x = engine ? est_compute(g->plat, g->dag, p->task, &c, p->resource)
                       : est_transfer(g->plat, g->dag, p->task, &c, 0);
  o->flow(o->self, e->t, p->task, p->resource, x.route, x.flow_B, e->what == FLOW_BEGINS);
}

static void tell(const rig *g, const observer *o, const told *e, uint64_t *used_B) {
  const rig_play *p = &g->plays[e->n];
  switch (e->what) {
  case READY:
    o->ready(o->self, e->t, p->task);
    break;
  case STARTS:
    o->start(o->self, e->t, p->task, p->resource, &p->why);
    break;
  case ENDS:
    o->end(o->self, e->t, p->task, p->resource);
    break;
  case INSTANT:
    o->start(o->self, e->t, p->task, p->resource, &p->why);
    o->end(o->self, e->t, p->task, p->resource);
    break;
  case FLOW_BEGINS:
  case FLOW_ENDS:
    tell_flow(g, o, e);
    break;
  case TAKES:
  case GIVES: {
    uint64_t bytes = dag_tensor_bytes(&g->dag->tensors[e->n]);
    *used_B += e->what == TAKES ? bytes : 0 - bytes;
    o->buffer(o->self, e->t, e->n, 0, bytes, *used_B, e->what == TAKES);
    break;
  }
  }
}

void rig_run(rig *g, bool log) {
  g->tl = tl_new(g->dag, g->plat, "by-hand", log, &g->mem);
  observer o = tl_observer(g->tl);
  told *list = mem_alloc(5 * g->n_plays + 2 * g->dag->n_tensors + 1, sizeof *list);
  size_t n = list_events(g, list);
  qsort(list, n, sizeof *list, in_order);
  uint64_t used_B = 0;
  for (size_t i = 0; i < n; i++) tell(g, &o, &list[i], &used_B);
  free(list);
  bounds b = est_bounds(g->plat, g->dag, &g->mem);
  g->report = report_make(g->tl, &b, &g->mem);
}

/* ---- random runs ---- */

static uint32_t next_random(uint32_t *state, uint32_t below) {
  *state = *state * 1664525u + 1013904223u;
  return (uint32_t)(((uint64_t)*state * below) >> 32);
}

/* Conditions of a task from tasks before it: what each was met by ends no later than the condition.
 */
static obs_why random_why(const rig *g, uint32_t task, uint32_t resource, uint32_t *state) {
  obs_why y = rig_why();
  const dag_task *t = &g->dag->tasks[task];
  for (uint32_t i = 0; i < t->n_deps; i++) {
    uint32_t dep = dag_deps(g->dag, t)[i];
    if (g->plays[dep].end_s > y.ready_s) y.ready_s = g->plays[dep].end_s, y.ready_by = dep;
  }
  for (uint32_t i = 0; i < task; i++)
    if (g->plays[i].resource == resource && g->plays[i].end_s > y.free_s)
      y.free_s = g->plays[i].end_s, y.free_by = i;
  if (task == 0) return y;
  uint32_t gate = next_random(state, task), room = next_random(state, task);
  if (next_random(state, 3) == 0) y.gate_s = g->plays[gate].end_s, y.gate_by = gate;
  if (next_random(state, 3) == 0) y.room_s = g->plays[room].end_s, y.room_by = room;
  return y;
}

static void random_play(rig *g, uint32_t task, uint32_t *state) {
  bool compute = op_kind_of((op)g->dag->tasks[task].op) == OP_COMPUTE;
  uint32_t engines = (uint32_t)g->plat->n_engines;
  uint32_t resource = compute ? next_random(state, engines)
                              : engines + next_random(state, g->plat->dmas[0].channels);
  obs_why y = random_why(g, task, resource, state);
  double start = fmax(fmax(y.ready_s, y.gate_s), fmax(y.room_s, y.free_s));
  cost c = cost_of(g->dag, task);
  est_parts x = compute ? est_compute(g->plat, g->dag, task, &c, resource)
                        : est_transfer(g->plat, g->dag, task, &c, 0);
  double slow = 1 + next_random(state, 3); /* as if it shared its links */
  double flow = start + x.lead_s + x.latency_s;
  double flow_end = flow + slow * (double)x.flow_B / x.route->bandwidth_Bps;
  double end = fmax(flow_end, start + x.lead_s + x.matrix_s + x.vector_s);
  rig_play_task(g, task, resource, start, flow, flow_end, end)->why = y;
}

void rig_random(rig *g, uint32_t seed, uint32_t n_tasks) {
  uint32_t state = seed;
  for (uint32_t i = 0; i < n_tasks; i++) {
    uint32_t deps[2], n_deps = 0, kind = next_random(&state, 4);
    uint64_t n = 1 + next_random(&state, 20000);
    if (i > 0 && next_random(&state, 4) > 0) deps[n_deps++] = next_random(&state, i);
    if (n_deps == 1 && deps[0] + 1 < i && next_random(&state, 2)) {
      deps[1] = deps[0] + 1 + next_random(&state, i - deps[0] - 1);
      n_deps = 2;
    }
    uint32_t task = kind == 0   ? rig_load(g, n)
                    : kind == 1 ? rig_store(g, n, deps, n_deps)
                                : rig_add(g, n, deps, n_deps);
    random_play(g, task, &state);
  }
  rig_run(g, true);
}
