#include <assert.h>
#include <string.h>

#include "sim/base/json.h"
#include "sim/report_trace.h"

/* One counter track. Values are whole numbers of `1 / scale`, so that rounding noise makes no
 * event. */
typedef struct track {
  const char *head; /* the event up to its time */
  const char *unit; /* quoted: the args key */
  uint64_t scale, value, written;
} track;

/* A flow, by the resource whose task it serves: a resource has at most two at a time. */
typedef struct flow {
  const plat_route *route;
  double cap_Bps; /* smallest FATPIPE link on its way; INFINITY: none */
  uint32_t place; /* in `active` */
  bool open;      /* its rate is not settled yet */
} flow;

/* A link, while the flows share it. */
typedef struct link_state {
  double left_Bps, used_Bps; /* of its bandwidth */
  uint32_t flows, open;      /* on it; of these, not settled yet */
  bool tight;                /* it holds the open flows on it back */
  bool listed;               /* in `wet` */
} link_state;

struct counters {
  const timeline *tl;
  trace_out *t;
  int64_t now_ns;
  bool flows_changed;
  track *links, *srams, ready;
  flow *flows;      /* two by resource */
  uint32_t *active; /* n_active of them that flow */
  uint32_t n_active;
  link_state *states; /* by link */
  uint32_t *wet;      /* n_wet links with a flow now, or whose counter is not back at 0 yet */
  uint32_t n_wet;
};

static track track_new(const char *name, const char *unit, uint64_t scale, uint32_t pid, arena *a) {
  out *o = out_memory();
  out_printf(o, "{\"ph\":\"C\",\"pid\":%u,\"name\":", pid);
  out_json_str(o, name);
  out_str(o, ",\"ts\":");
  track k = {.head = arena_strdup(a, out_text(o, NULL)), .unit = unit, .scale = scale};
  out_abort(o);
  return k;
}

/* The value as a decimal number; `scale` is a power of ten. */
static void write_value(out *o, uint64_t value, uint64_t scale) {
  out_u64(o, value / scale);
  uint64_t rest = value % scale;
  if (rest == 0) return;
  out_char(o, '.');
  for (; rest != 0; rest %= scale) {
    scale /= 10;
    out_char(o, (char)('0' + rest / scale));
  }
}

static void track_write(counters *c, track *k, int64_t ns) {
  out *o = trace_next(c->t);
  out_str(o, k->head);
  out_us(o, ns);
  TRACE_LITERAL(o, ",\"args\":{");
  out_str(o, k->unit);
  out_char(o, ':');
  write_value(o, k->value, k->scale);
  TRACE_LITERAL(o, "}}");
  k->written = k->value;
}

static void track_update(counters *c, track *k) {
  if (k->value != k->written) track_write(c, k, c->now_ns);
}

counters *counters_new(const timeline *tl, uint32_t pid, trace_out *t, arena *a) {
  size_t n_links = tl->plat->n_links;
  counters *c = ARENA_NEW(a, counters, 1);
  *c = (counters){.tl = tl,
                  .t = t,
                  .links = ARENA_NEW(a, track, n_links),
                  .srams = ARENA_NEW(a, track, tl->plat->n_srams),
                  .flows = ARENA_NEW(a, flow, 2 * tl->n_resources),
                  .active = ARENA_NEW(a, uint32_t, 2 * tl->n_resources),
                  .states = ARENA_NEW(a, link_state, n_links),
                  .wet = ARENA_NEW(a, uint32_t, n_links)};
  for (size_t i = 0; i < n_links; i++) {
    const char *name = arena_printf(a, "bandwidth %s", tl->plat->links[i].name);
    c->links[i] = track_new(name, "\"GB/s\"", 1000000, pid, a);
    track_write(c, &c->links[i], 0);
  }
  for (size_t i = 0; i < tl->plat->n_srams; i++) {
    const char *name = "SRAM occupancy";
    if (tl->plat->n_srams > 1) name = arena_printf(a, "%s %s", name, tl->plat->srams[i].name);
    c->srams[i] = track_new(name, "\"bytes\"", 1, pid, a);
    track_write(c, &c->srams[i], 0);
  }
  c->ready = track_new("ready tasks", "\"tasks\"", 1, pid, a);
  track_write(c, &c->ready, 0);
  return c;
}

/* ---- max-min fair rates ---- */

static void open_flows(counters *c) {
  for (uint32_t i = 0; i < c->n_wet; i++) {
    link_state *p = &c->states[c->wet[i]];
    p->left_Bps = c->tl->plat->links[c->wet[i]].bandwidth_Bps;
    p->used_Bps = 0;
    p->open = p->flows;
  }
  for (uint32_t i = 0; i < c->n_active; i++) c->flows[c->active[i]].open = true;
}

/* The rate at which all open flows could go on together before a link or a cap holds some of them
 * back. */
static double level_of(const counters *c) {
  double level = INFINITY;
  for (uint32_t i = 0; i < c->n_wet; i++) {
    const link_state *p = &c->states[c->wet[i]];
    if (p->open > 0 && !c->tl->plat->links[c->wet[i]].fatpipe)
      level = fmin(level, p->left_Bps / p->open);
  }
  for (uint32_t i = 0; i < c->n_active; i++)
    if (c->flows[c->active[i]].open) level = fmin(level, c->flows[c->active[i]].cap_Bps);
  return fmax(level, 0);
}

/* Settles every open flow that is held back at this level; returns how many. */
static uint32_t settle(counters *c, double level) {
  double reach = level * (1 + 1e-12);
  uint32_t settled = 0;
  for (uint32_t i = 0; i < c->n_wet; i++) {
    link_state *p = &c->states[c->wet[i]];
    bool shared = !c->tl->plat->links[c->wet[i]].fatpipe;
    p->tight = shared && p->open > 0 && p->left_Bps / p->open <= reach;
  }
  for (uint32_t i = 0; i < c->n_active; i++) {
    flow *f = &c->flows[c->active[i]];
    bool held = f->cap_Bps <= reach;
    for (uint32_t j = 0; j < f->route->n_links && !held; j++)
      held = c->states[f->route->link[j]].tight;
    if (!f->open || !held) continue;
    f->open = false;
    settled++;
    for (uint32_t j = 0; j < f->route->n_links; j++) {
      link_state *p = &c->states[f->route->link[j]];
      p->open--;
      p->left_Bps -= level;
      p->used_Bps += level;
    }
  }
  return settled;
}

/* Water-filling: raise all rates together; whoever meets a full link or its cap stays there. */
static void share_links(counters *c) {
  open_flows(c);
  for (uint32_t open = c->n_active; open > 0;) {
    uint32_t settled = settle(c, level_of(c));
    assert(settled > 0 && settled <= open);
    open -= settled;
  }
}

static void begin_flow(counters *c, uint32_t slot, const plat_route *route) {
  flow *f = &c->flows[slot];
  *f = (flow){.route = route, .cap_Bps = INFINITY, .place = c->n_active};
  for (uint32_t j = 0; j < route->n_links; j++) {
    uint32_t link = route->link[j];
    const plat_link *l = &c->tl->plat->links[link];
    link_state *p = &c->states[link];
    if (l->fatpipe) f->cap_Bps = fmin(f->cap_Bps, l->bandwidth_Bps);
    p->flows++;
    if (!p->listed) c->wet[c->n_wet++] = link;
    p->listed = true;
  }
  c->active[c->n_active++] = slot;
  c->flows_changed = true;
}

static void end_flow(counters *c, uint32_t slot) {
  const flow *f = &c->flows[slot];
  for (uint32_t j = 0; j < f->route->n_links; j++) c->states[f->route->link[j]].flows--;
  uint32_t last = c->active[--c->n_active];
  c->active[f->place] = last;
  c->flows[last].place = f->place;
  c->flows_changed = true;
}

/* ---- the log ---- */

/* Links in use now, or just before: the others stay at 0. */
static void write_links(counters *c) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < c->n_wet; i++) {
    uint32_t link = c->wet[i];
    link_state *p = &c->states[link];
    c->links[link].value = (uint64_t)llround(p->used_Bps / 1e3);
    track_update(c, &c->links[link]);
    p->listed = p->flows > 0;
    if (p->listed) c->wet[kept++] = link;
  }
  c->n_wet = kept;
}

static void write_changes(counters *c) {
  if (c->flows_changed) {
    share_links(c);
    write_links(c);
    c->flows_changed = false;
  }
  for (size_t i = 0; i < c->tl->plat->n_srams; i++) track_update(c, &c->srams[i]);
  track_update(c, &c->ready);
}

static uint64_t *occupancy(counters *c, const dag_tensor *t) {
  return &c->srams[t->space - DAG_SRAM].value;
}

static bool is_compute(const counters *c, uint32_t task) {
  return op_kind_of((op)c->tl->dag->tasks[task].op) == OP_COMPUTE;
}

void counters_event(counters *c, const tl_event *e) {
  int64_t ns = trace_ns(e->t_s);
  if (ns != c->now_ns) {
    write_changes(c);
    c->now_ns = ns;
  }
  const tl_record *r = c->tl->records;
  const dag_tensor *tensor =
      e->kind == TL_TAKE || e->kind == TL_GIVE ? &c->tl->dag->tensors[e->what] : NULL;
  switch ((tl_kind)e->kind) {
  case TL_READY:
    c->ready.value += is_compute(c, e->what);
    break;
  case TL_START:
    c->ready.value -= is_compute(c, e->what);
    break;
  case TL_FLOW_BEGIN:
    begin_flow(c, 2 * r[e->what].resource, r[e->what].route);
    break;
  case TL_FLOW_END:
    end_flow(c, 2 * r[e->what].resource);
    break;
  case TL_FLOW2_BEGIN:
    begin_flow(c, 2 * r[e->what].resource + 1, r[e->what].route2);
    break;
  case TL_FLOW2_END:
    end_flow(c, 2 * r[e->what].resource + 1);
    break;
  case TL_END:
    break;
  case TL_TAKE:
    *occupancy(c, tensor) += dag_tensor_bytes(tensor);
    break;
  case TL_GIVE:
    *occupancy(c, tensor) -= dag_tensor_bytes(tensor);
    break;
  }
}

static void track_end(counters *c, track *k) {
  k->value = 0;
  track_update(c, k);
}

void counters_end(counters *c) {
  write_changes(c);
  int64_t end_ns = trace_ns(c->tl->makespan_s);
  if (end_ns > c->now_ns) c->now_ns = end_ns;
  for (size_t l = 0; l < c->tl->plat->n_links; l++) track_end(c, &c->links[l]);
  for (size_t i = 0; i < c->tl->plat->n_srams; i++) track_end(c, &c->srams[i]);
  track_end(c, &c->ready);
}
