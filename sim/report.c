#include "sim/report.h"

#include <math.h>
#include <string.h>

#include "sim/report_fields.h"

/* A share of the makespan; what exceeds 1 by rounding alone is 1. */
static double share(double busy_s, double makespan_s) {
  if (!(makespan_s > 0)) return 0;
  double u = busy_s / makespan_s;
  return u > 1 && u < 1 + 1e-9 ? 1 : u;
}

/* Every byte of an operand is read or written where it lies. */
static double sram_energy(const report *r, uint32_t task, uint64_t bytes) {
  const platform *p = r->plat;
  if (p->n_srams == 1) return p->srams[0].energy_J * (double)bytes;
  const dag_task *t = &r->dag->tasks[task];
  const dag_view *v = dag_reads(r->dag, t);
  double energy_J = 0;
  for (uint32_t i = 0; i < (uint32_t)t->n_reads + t->n_writes; i++) {
    uint32_t space = r->dag->tensors[v[i].tensor].space;
    if (space != DAG_DRAM)
      energy_J += p->srams[space - DAG_SRAM].energy_J * (double)dag_view_bytes(r->dag, &v[i]);
  }
  return energy_J;
}

/* What is summed over tasks: bytes of a resource, time of an op, energy. */
static void add_task(report *r, uint32_t task) {
  const tl_record *rec = &r->tl->records[task];
  if (rec->resource == OBS_NONE) return;
  cost c = cost_of(r->dag, task);
  bool compute = tl_is_engine(r->tl, rec->resource);
  uint64_t bytes = compute ? c.operand_B : c.transfer_B;
  op o = (op)r->dag->tasks[task].op;
  r->op_s[o] += rec->end_s - rec->start_s;
  r->op_tasks[o]++;
  r->resources[rec->resource].bytes += bytes;
  r->energy_sram_J += sram_energy(r, task, bytes);
  if (compute) {
    const plat_engine *e = &r->plat->engines[rec->resource];
    r->energy_engine_J += e->energy_J[c.rate] * (double)c.matrix_flops;
    r->energy_engine_J += e->vector_energy_J * (double)c.vector_flops;
  } else {
    double flow_s = rec->route != NULL ? rec->end_s - rec->flow_start_s : 0;
    r->dma_lead_s += rec->end_s - rec->start_s - flow_s;
    if (op_kind_of(o) != OP_MOVE) r->energy_dram_J += r->plat->dram.energy_J * (double)bytes;
  }
}

static void list_resources(report *r, arena *a) {
  const timeline *tl = r->tl;
  r->n_resources = tl->n_resources + r->plat->n_links;
  r->resources = ARENA_NEW(a, report_resource, r->n_resources);
  report_resource *x = r->resources;
  for (size_t i = 0; i < tl->n_resources; i++) {
    const tl_resource *t = &tl->resources[i];
    *x++ = (report_resource){.name = t->name,
                             .role = t->role,
                             .busy_s = t->busy_s,
                             .active_s = t->busy_s,
                             .tasks = t->tasks};
  }
  for (size_t i = 0; i < r->plat->n_links; i++) {
    const plat_link *l = &r->plat->links[i];
    const tl_link *t = &tl->links[i];
    double moved_s = (double)t->bytes / l->bandwidth_Bps;
    *x++ = (report_resource){.name = l->name,
                             .role = "link",
                             .busy_s = l->fatpipe ? t->active_s : moved_s,
                             .active_s = t->active_s,
                             .tasks = t->flows,
                             .bytes = t->bytes};
  }
  for (size_t i = 0; i < r->n_resources; i++)
    r->resources[i].utilization = share(r->resources[i].busy_s, tl->makespan_s);
}

static void list_memory(report *r, arena *a) {
  const platform *p = r->plat;
  r->n_memory = p->n_srams + 1;
  r->memory = ARENA_NEW(a, report_memory, r->n_memory);
  for (size_t i = 0; i < p->n_srams; i++)
    r->memory[i] = (report_memory){.name = p->srams[i].name,
                                   .capacity_B = p->srams[i].capacity_B,
                                   .high_water_B = r->tl->high_water_B[i]};
  report_memory dram = {.name = p->dram.name, .capacity_B = p->dram.capacity_B};
  for (size_t i = 0; i < r->dag->n_tensors; i++) {
    const dag_tensor *t = &r->dag->tensors[i];
    if (t->space == DAG_DRAM) dram.high_water_B += dag_tensor_bytes(t);
  }
  r->memory[p->n_srams] = dram;
}

static void add_throughput(report *r) {
  const dag_workload *w = &r->dag->workload;
  double span = r->tl->makespan_s, tokens = (double)w->tokens * (double)w->batch;
  double steps = w->steps > 1 ? (double)w->steps : 1;
  if (strcmp(w->phase, "decode") == 0) {
    r->tpot_s = span / steps;
    tokens *= steps;
  }
  if (strcmp(w->phase, "prefill") == 0) r->ttft_s = span;
  if (strcmp(w->phase, "hybrid") == 0 && w->steps > 0) {
    for (uint32_t t = 0; t < r->dag->n_tasks; t++)
      if (r->dag->tasks[t].step == 0) r->ttft_s = fmax(r->ttft_s, r->tl->records[t].end_s);
    span -= r->ttft_s;
    tokens = (double)w->batch * (double)w->steps;
    r->tpot_s = span / (double)w->steps;
  }
  if (span > 0) r->tokens_per_s = tokens / span;
}

report report_make(const timeline *tl, const bounds *b, arena *a) {
  report r = {.tl = tl, .dag = tl->dag, .plat = tl->plat, .bound = *b};
  r.totals = cost_sum(tl->dag);
  r.gap = b->lower_s > 0 ? tl->makespan_s / b->lower_s - 1 : 0;
  r.attr = attr_walk(tl, a);
  list_resources(&r, a);
  list_memory(&r, a);
  for (uint32_t i = 0; i < tl->dag->n_tasks; i++) add_task(&r, i);
  for (size_t i = 0; i < tl->plat->n_engines; i++)
    r.energy_idle_J += tl->plat->engines[i].idle_W * tl->makespan_s;
  r.energy_J = r.energy_engine_J + r.energy_idle_J + r.energy_sram_J + r.energy_dram_J;
  add_throughput(&r);
  return r;
}

/* ---- every scalar of the report, in the contract's order ---- */

/* The first block: 0 of a DAG that does not say. */
static uint64_t first_layer(const dag *d) {
  uint64_t first = d->n_tasks > 0 ? d->tasks[0].layer : 0;
  for (size_t t = 1; t < d->n_tasks; t++)
    if (d->tasks[t].layer < first) first = d->tasks[t].layer;
  return first;
}

static void put_workload(const dag *d, const report_sink *s) {
  const dag_workload *w = &d->workload;
  s->object(s->self, "workload");
  s->text(s->self, "model", w->model);
  s->text(s->self, "phase", w->phase);
  s->count(s->self, "past", w->past);
  s->count(s->self, "tokens", w->tokens);
  s->count(s->self, "steps", w->steps);
  s->count(s->self, "batch", w->batch);
  s->count(s->self, "layers", w->layers);
  s->count(s->self, "layer", first_layer(d));
  s->text(s->self, "weight_dtype", dtype_name(w->weight_dtype));
  s->text(s->self, "act_dtype", dtype_name(w->act_dtype));
  s->text(s->self, "kv_dtype", dtype_name(w->kv_dtype));
  s->text(s->self, "split", w->split);
  s->text(s->self, "attention", w->attention);
  s->text(s->self, "kv_update", w->kv_update);
  s->text(s->self, "fuse", w->fuse);
  s->text(s->self, "resident", w->resident);
  s->count(s->self, "sram_plan_B", w->sram_plan_B);
  if (s->flat || w->engines_plan > 0) s->count(s->self, "engines_plan", w->engines_plan);
  s->end(s->self);
}

static void put_platform(const platform *p, const report_sink *s) {
  s->object(s->self, "platform");
  s->text(s->self, "name", p->name);
  s->count(s->self, "engines", p->n_engines);
  s->object(s->self, "overrides");
  for (size_t i = 0; i < p->n_overrides; i++) {
    bool again = false; /* the last value counts, and a key may stand but once */
    for (size_t j = i + 1; j < p->n_overrides && !again; j++)
      again = strcmp(p->overrides[i].key, p->overrides[j].key) == 0;
    if (!again) s->text(s->self, p->overrides[i].key, p->overrides[i].value);
  }
  s->end(s->self);
  s->end(s->self);
}

static void put_links(const report *r, const char *key, const double *v, const report_sink *s) {
  s->object(s->self, key);
  for (size_t i = 0; i < r->plat->n_links; i++)
    if (!s->flat || r->plat->links[i].role != PLAT_LINK_PORT)
      s->number(s->self, r->plat->links[i].name, v[i]);
  s->end(s->self);
}

static void put_bounds(const report *r, const report_sink *s) {
  s->object(s->self, "bounds");
  s->number(s->self, "critical_path_s", r->bound.critical_path_s);
  s->number(s->self, "engine_s", r->bound.engine_s);
  put_links(r, "link_s", r->bound.link_s, s);
  s->number(s->self, "dma_s", r->bound.dma_s);
  s->number(s->self, "engine_around_s", r->bound.engine_around_s);
  put_links(r, "link_around_s", r->bound.link_around_s, s);
  s->number(s->self, "dma_around_s", r->bound.dma_around_s);
  s->number(s->self, "group_s", r->bound.group_s);
  s->number(s->self, "stages_s", r->bound.stages_s);
  s->number(s->self, "room_s", r->bound.room_s);
  s->number(s->self, "lower_s", r->bound.lower_s);
  s->number(s->self, "gap", r->gap);
  s->text(s->self, "binding", r->bound.binding);
  s->end(s->self);
}

void report_put_head(const report *r, const report_sink *s) {
  const cost_totals *t = &r->totals;
  put_workload(r->dag, s);
  put_platform(r->plat, s);
  s->text(s->self, "scheduler", r->tl->scheduler);
  s->count(s->self, "prefetch", r->tl->prefetch);
  s->count(s->self, "seed", r->tl->seed);
  s->object(s->self, "tasks");
  s->count(s->self, "compute", t->compute);
  s->count(s->self, "load", t->load);
  s->count(s->self, "store", t->store);
  s->count(s->self, "move", t->move);
  s->end(s->self);
  s->object(s->self, "flops");
  s->count(s->self, "matrix", t->matrix_flops);
  s->count(s->self, "vector", t->vector_flops);
  s->end(s->self);
  s->object(s->self, "bytes");
  s->count(s->self, "dram_read", t->dram_read);
  s->count(s->self, "dram_write", t->dram_write);
  s->count(s->self, "weights", t->weights);
  s->count(s->self, "scales", t->scales);
  s->count(s->self, "kv_read", t->kv_read);
  s->count(s->self, "kv_write", t->kv_write);
  s->count(s->self, "spill", t->spill);
  s->count(s->self, "move", t->moved);
  s->count(s->self, "resident_weights", t->resident_weights);
  s->count(s->self, "resident_kv", t->resident_kv);
  s->end(s->self);
  s->number(s->self, "makespan_s", r->tl->makespan_s);
  put_bounds(r, s);
}

/* Columns: all engines, all channels. */
static void put_resource_s(const report *r, const report_sink *s) {
  double engine_s = 0, dma_s = 0;
  s->object(s->self, "attribution_by_resource");
  for (uint32_t i = 0; i < r->tl->n_resources; i++) {
    double x = r->attr.resource_s[i];
    *(tl_is_engine(r->tl, i) ? &engine_s : &dma_s) += x;
    if (!s->flat && x > 0) s->number(s->self, r->tl->resources[i].name, x);
  }
  if (s->flat) s->number(s->self, "engine", engine_s);
  if (s->flat) s->number(s->self, "dma", dma_s);
  s->end(s->self);
}

void report_put_tail(const report *r, const report_sink *s) {
  s->object(s->self, "attribution");
  for (int i = 0; i < ATTR_COUNT; i++)
    s->number(s->self, attr_name((attr_cause)i), r->attr.cause_s[i]);
  s->end(s->self);
  s->object(s->self, "energy_J");
  s->number(s->self, "total", r->energy_J);
  s->number(s->self, "engines", r->energy_engine_J);
  s->number(s->self, "idle", r->energy_idle_J);
  s->number(s->self, "sram", r->energy_sram_J);
  s->number(s->self, "dram", r->energy_dram_J);
  s->end(s->self);
  s->object(s->self, "throughput");
  s->number(s->self, "tokens_per_s", r->tokens_per_s);
  s->number(s->self, "ttft_s", r->ttft_s);
  s->number(s->self, "tpot_s", r->tpot_s);
  s->end(s->self);
  s->object(s->self, "attribution_by_op");
  for (int i = 0; i < OP_COUNT; i++)
    if (s->flat || r->attr.op_s[i] > 0) s->number(s->self, op_name((op)i), r->attr.op_s[i]);
  s->end(s->self);
  put_resource_s(r, s);
}
