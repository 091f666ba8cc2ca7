#include <math.h>
#include <string.h>

#include "sim/estimate_apart.h"
#include "sim/estimate_groups.h"
#include "sim/estimate_held.h"
#include "sim/estimate_stages.h"
#include "workloads/dag_room.h"

/* Lower bounds on any schedule. */

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

/* ---- what tasks take of the resources ---- */

typedef struct work {
  const platform *p;
  const dag *d;
  const must_cross *must;
  bool alike;
  double *area_s; /* by resource */
  use *uses;
  size_t n_uses, cap_uses;
  arena mem;
} work;

static void add_use(work *w, uint32_t resource, uint32_t task, double lead_s, double p_s) {
  w->area_s[resource] += p_s;
  ARENA_PUSH(&w->mem, w->uses, w->n_uses, w->cap_uses,
             ((use){.resource = resource, .task = task, .lead_s = lead_s, .p_s = p_s}));
}

static void add_stream(work *w, uint32_t task, uint32_t sram, uint64_t bytes, double lead_s) {
  const must_cross *m = &w->must[sram];
  for (uint32_t i = 0; bytes > 0 && i < m->n; i++)
    add_use(w, LINKS + m->link[i], task, lead_s,
            (double)bytes / w->p->links[m->link[i]].bandwidth_Bps);
}

/* Returns the task's best time. Leads are the shortest of any engine, as times are. */
static double add_compute(work *w, uint32_t t, const cost *c) {
  size_t n = w->alike ? 1 : w->p->n_engines;
  double best = INFINITY, lead[2] = {INFINITY, INFINITY};
  est_parts x = {0};
  for (uint32_t e = 0; e < n; e++) {
    est_parts y = est_compute(w->p, w->d, t, c, e);
    if (isinf(y.alone_s)) continue;
    best = fmin(best, y.alone_s);
    lead[0] = fmin(lead[0], y.lead_s + y.latency_s);
    lead[1] = fmin(lead[1], y.lead_s + y.latency2_s);
    x = y; /* what flows is the same on each */
  }
  add_use(w, ENGINES, t, 0, best / (double)w->p->n_engines);
  uint32_t g = w->d->tasks[t].group;
  if (g != DAG_NO_GROUP) add_use(w, LINKS + (uint32_t)w->p->n_links + g, t, 0, best);
  add_stream(w, t, x.sram, x.flow_B, lead[0]);
  add_stream(w, t, x.sram2, x.flow2_B, lead[1]);
  return best;
}

static double add_transfer(work *w, uint32_t t, const cost *c, double channels) {
  double best = INFINITY, lead = INFINITY;
  est_parts x = {0};
  for (uint32_t i = 0; i < w->p->n_dmas; i++) {
    x = est_transfer(w->p, w->d, t, c, i);
    best = fmin(best, x.alone_s);
    lead = fmin(lead, x.lead_s + x.latency_s);
  }
  add_use(w, CHANNELS, t, 0, best / channels);
  for (uint32_t i = 0; x.route != NULL && i < x.route->n_links; i++) {
    const plat_link *l = &w->p->links[x.route->link[i]];
    if (!l->fatpipe)
      add_use(w, LINKS + x.route->link[i], t, lead, (double)x.flow_B / l->bandwidth_Bps);
  }
  return best;
}

/* Each resource's area with what must come before and after it. */
static void make_around(work *w, size_t n_resources, const double *head, const double *tail,
                        double *around_s) {
  size_t *first = ARENA_NEW(&w->mem, size_t, n_resources + 1);
  for (size_t i = 0; i < w->n_uses; i++) first[w->uses[i].resource + 1]++;
  for (size_t r = 0; r < n_resources; r++) first[r + 1] += first[r];
  stretch *s = ARENA_NEW(&w->mem, stretch, w->n_uses);
  size_t *at = ARENA_NEW(&w->mem, size_t, n_resources), most = 0;
  for (size_t i = 0; i < w->n_uses; i++) {
    const use *u = &w->uses[i];
    s[first[u->resource] + at[u->resource]++] =
        (stretch){.r = head[u->task] + u->lead_s, .p = u->p_s, .q = tail[u->task]};
  }
  for (size_t r = 0; r < n_resources; r++) most = at[r] > most ? at[r] : most;
  around_space space = around_space_new(most, &w->mem);
  for (size_t r = 0; r < n_resources; r++)
    around_s[r] = around_end(s + first[r], first[r + 1] - first[r], &space);
}

/* Best times, all uses, and the longest chain of best times. */
static double find_uses(work *w, double *best) {
  const dag *d = w->d;
  double channels = 0, longest = 0, *end = ARENA_NEW(&w->mem, double, d->n_tasks);
  for (size_t i = 0; i < w->p->n_dmas; i++) channels += (double)w->p->dmas[i].channels;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    cost c = cost_of(d, t);
    bool compute = op_kind_of((op)d->tasks[t].op) == OP_COMPUTE;
    best[t] = compute ? add_compute(w, t, &c) : add_transfer(w, t, &c, channels);
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    for (uint32_t i = 0; i < d->tasks[t].n_deps; i++) end[t] = fmax(end[t], end[deps[i]]);
    end[t] += best[t];
    longest = fmax(longest, end[t]);
  }
  return longest;
}

static void bind(bounds *b, double s, const char *name) {
  if (s > b->lower_s) b->lower_s = s, b->binding = name;
}

bounds est_bounds(const platform *p, const dag *d, arena *a) {
  bounds b = {.link_s = ARENA_NEW(a, double, p->n_links),
              .link_around_s = ARENA_NEW(a, double, p->n_links),
              .binding = "critical_path"};
  size_t groups = LINKS + p->n_links, n = groups + d->n_groups;
  work w = {.p = p, .d = d, .alike = est_engines_alike(p)};
  w.must = mandatory_links(p, &w.mem);
  w.cap_uses =
      4 * d->n_tasks; /* most tasks use an engine or a channel, and two links or a group besides */
  w.uses = ARENA_NEW(&w.mem, use, w.cap_uses);
  w.area_s = ARENA_NEW(&w.mem, double, n);
  double *head = ARENA_NEW(&w.mem, double, d->n_tasks),
         *tail = ARENA_NEW(&w.mem, double, d->n_tasks);
  double *best = ARENA_NEW(&w.mem, double, d->n_tasks), *around_s = ARENA_NEW(&w.mem, double, n);
  b.critical_path_s = b.lower_s = find_uses(&w, best);
  const uint32_t *root = dag_room_roots(d, &w.mem);
  stages s = stages_find(d, best, &w.mem);
  held h = {0};
  if (held_bounds(p)) h = held_find(d, root, (uint64_t)p->srams[0].capacity_B, &w.mem);
  b.stages_s =
      fmax(b.critical_path_s, stages_times(&s, p, d, best, root, held_bounds(p) ? &h : NULL, w.uses,
                                           w.n_uses, head, tail));
  make_around(&w, n, head, tail, around_s);
  b.room_s = held_s(&h, p, d, best, head, tail, w.uses, w.n_uses);
  if (held_bounds(p)) b.room_s = fmax(b.room_s, apart_s(&h, p, d, root, best, w.uses, w.n_uses));
  b.engine_s = w.area_s[ENGINES];
  b.dma_s = w.area_s[CHANNELS];
  b.engine_around_s = fmax(b.engine_s, around_s[ENGINES]); /* but for rounding, it is no less */
  b.dma_around_s = fmax(b.dma_s, around_s[CHANNELS]);
  bind(&b, b.engine_around_s, "engine");
  bind(&b, b.dma_around_s, "dma");
  b.group_s = groups_packed_s(d, p->n_engines, best, head, tail);
  for (size_t g = groups; g < n; g++) b.group_s = fmax(b.group_s, around_s[g]);
  for (uint32_t l = 0; l < p->n_links; l++) {
    b.link_s[l] = w.area_s[LINKS + l];
    b.link_around_s[l] = fmax(b.link_s[l], around_s[LINKS + l]);
    bind(&b, b.link_around_s[l], p->links[l].name);
  }
  bind(&b, b.group_s, "group");
  bind(&b, b.stages_s, "stages");
  bind(&b, b.room_s, "room");
  arena_free(&w.mem);
  return b;
}
