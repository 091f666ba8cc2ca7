#include "sim/timeline.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static size_t count_resources(const platform *p) {
  size_t n = p->n_engines;
  for (size_t i = 0; i < p->n_dmas; i++) n += p->dmas[i].channels;
  return n;
}

static void name_resources(timeline *tl, arena *a) {
  const platform *p = tl->plat;
  tl_resource *r = tl->resources;
  for (uint32_t i = 0; i < p->n_engines; i++)
    *r++ = (tl_resource){.name = p->engines[i].name, .role = "engine", .host = i};
  for (uint32_t i = 0; i < p->n_dmas; i++) {
    const plat_dma *dma = &p->dmas[i];
    for (uint32_t c = 0; c < dma->channels; c++) {
      const char *name = dma->channels == 1 ? dma->name : arena_printf(a, "%s.%u", dma->name, c);
      *r++ = (tl_resource){.name = name, .role = "dma", .host = i};
    }
  }
}

timeline *tl_new(const dag *d, const platform *p, const char *scheduler, bool log, arena *a) {
  timeline *tl = ARENA_NEW(a, timeline, 1);
  *tl = (timeline){.dag = d, .plat = p, .scheduler = scheduler, .prefetch = 2, .logging = log};
  tl->records = ARENA_NEW(a, tl_record, d->n_tasks);
  for (size_t i = 0; i < d->n_tasks; i++) tl->records[i].resource = OBS_NONE;
  tl->n_resources = count_resources(p);
  tl->resources = ARENA_NEW(a, tl_resource, tl->n_resources);
  name_resources(tl, a);
  tl->links = ARENA_NEW(a, tl_link, p->n_links);
  tl->high_water_B = ARENA_NEW(a, uint64_t, p->n_srams);
  return tl;
}

void tl_free(timeline *tl) {
  free(tl->log);
  tl->log = NULL;
  tl->n_log = tl->cap_log = 0;
}

static inline void log_event(timeline *tl, double t, uint32_t what, tl_kind kind) {
  if (!tl->logging) return;
  if (tl->n_log == tl->cap_log) {
    tl->cap_log = tl->cap_log == 0 ? 1024 : 2 * tl->cap_log;
    tl->log = mem_realloc(tl->log, tl->cap_log, sizeof *tl->log);
  }
  tl->log[tl->n_log++] = (tl_event){.t_s = t, .what = what, .kind = (uint32_t)kind};
}

static void on_ready(void *self, double t, uint32_t task) {
  log_event(self, t, task, TL_READY);
}

static void on_start(void *self, double t, uint32_t task, uint32_t resource, const obs_why *why) {
  timeline *tl = self;
  assert(resource < tl->n_resources);
  tl_record *r = &tl->records[task];
  *r = (tl_record){.start_s = t,
                   .end_s = t,
                   .flow_start_s = t,
                   .flow_end_s = t,
                   .why = *why,
                   .resource = resource};
  tl->resources[resource].tasks++;
  log_event(tl, t, task, TL_START);
}

static void on_flow(void *self, double t, uint32_t task, uint32_t resource,
                    const struct plat_route *route, uint64_t bytes, bool begins) {
  timeline *tl = self;
  tl_record *r = &tl->records[task];
  bool second = begins ? r->route != NULL : route != r->route;
  if (begins && second) {
    r->route2 = route;
    r->flow2_B = bytes;
  } else if (begins) {
    r->flow_start_s = t;
    r->route = route;
    r->flow_B = bytes;
  }
  r->flow_end_s = t;
  if (begins) tl->resources[resource].bytes += bytes;
  for (uint32_t i = 0; i < route->n_links; i++) {
    tl_link *l = &tl->links[route->link[i]];
    if (begins) {
      l->bytes += bytes;
      l->flows++;
      if (l->now++ == 0) l->since_s = t;
    } else {
      assert(l->now > 0);
      if (--l->now == 0) l->active_s += t - l->since_s;
    }
  }
  log_event(tl, t, task,
            begins   ? (second ? TL_FLOW2_BEGIN : TL_FLOW_BEGIN)
            : second ? TL_FLOW2_END
                     : TL_FLOW_END);
}

static void on_end(void *self, double t, uint32_t task, uint32_t resource) {
  timeline *tl = self;
  tl_record *r = &tl->records[task];
  r->end_s = t;
  tl->resources[resource].busy_s += t - r->start_s;
  if (t > tl->makespan_s) tl->makespan_s = t;
  log_event(tl, t, task, TL_END);
}

static void on_buffer(void *self, double t, uint32_t tensor, uint32_t sram, uint64_t bytes,
                      uint64_t used_B, bool taken) {
  (void)bytes;
  timeline *tl = self;
  if (used_B > tl->high_water_B[sram]) tl->high_water_B[sram] = used_B;
  log_event(tl, t, tensor, taken ? TL_TAKE : TL_GIVE);
}

observer tl_observer(timeline *tl) {
  return (observer){.self = tl,
                    .ready = on_ready,
                    .start = on_start,
                    .flow = on_flow,
                    .end = on_end,
                    .buffer = on_buffer};
}

const plat_route *tl_route(const timeline *tl, uint32_t task, uint64_t *bytes) {
  const tl_record *r = &tl->records[task];
  *bytes = r->flow_B;
  return r->route;
}
