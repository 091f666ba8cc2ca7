#include <math.h>
#include <string.h>

#include "sim/explain.h"

/* ---- which knobs there are ---- */

typedef struct list {
  explain_knob *items;
  size_t n, cap;
  arena *a;
} list;

static explain_knob *add(list *l, const char *key, units_kind kind, size_t n) {
  explain_knob k = {.label = key, .key = key, .kind = kind, .n = n};
  k.value = ARENA_NEW(l->a, double, n);
  k.names = ARENA_NEW(l->a, const char *, n);
  ARENA_PUSH(l->a, l->items, l->n, l->cap, k);
  return &l->items[l->n - 1];
}

static void set_value(explain_knob *k, size_t i, const char *name, double v) {
  ((const char **)(uintptr_t)k->names)[i] = name;
  k->value[i] = v;
}

/* Takes the knob away where all its values are zero: there is nothing to make a tenth more of. */
static void drop_if_zero(list *l) {
  const explain_knob *k = &l->items[l->n - 1];
  for (size_t i = 0; i < k->n; i++)
    if (k->value[i] > 0) return;
  l->n--;
}

/* The rates that the DAG's tasks use: engine.speed where a dtype's rate follows it. */
static void add_rates(list *l, const platform *p, const dag *d) {
  bool used[DT_COUNT] = {false}, vector = false, speed = false;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    if (op_kind_of((op)d->tasks[t].op) != OP_COMPUTE) continue;
    cost c = cost_of(d, t);
    used[c.rate] |= c.matrix_flops > 0;
    vector |= c.vector_flops > 0;
  }
  for (int dt = 0; dt < DT_COUNT; dt++) {
    if (!used[dt]) continue;
    bool follows = p->engines[0].rate_follows[dt] || p->engines[0].native == (dtype)dt;
    if (follows && speed) continue;
    speed |= follows;
    const char *key =
        follows ? "engine.speed" : arena_printf(l->a, "engine.rate.%s", dtype_name((dtype)dt));
    explain_knob *k = add(l, key, UNITS_SPEED, p->n_engines);
    k->rate = true;
    k->owner[0] = "engines";
    for (size_t e = 0; e < p->n_engines; e++) {
      const plat_engine *x = &p->engines[e];
      set_value(k, e, x->name, follows ? x->speed_flops : x->rate_flops[dt]);
    }
  }
  if (!vector) return;
  explain_knob *k = add(l, "engine.vector_rate", UNITS_SPEED, p->n_engines);
  k->rate = true;
  k->owner[0] = "engines";
  for (size_t e = 0; e < p->n_engines; e++)
    set_value(k, e, p->engines[e].name, p->engines[e].vector_rate_flops);
}

/* Bandwidth and latency of the links of a role; one link alone goes by its name. */
static void add_links(list *l, const platform *p, plat_link_role role) {
  size_t n = 0;
  const char *name = plat_link_role_name(role);
  for (size_t i = 0; i < p->n_links; i++) n += p->links[i].role == role;
  if (n == 0) return;
  for (int latency = 0; latency < 2; latency++) {
    const char *what = latency ? "latency" : "bandwidth";
    explain_knob *k =
        add(l, arena_printf(l->a, "%s.%s", name, what), latency ? UNITS_TIME : UNITS_BANDWIDTH, n);
    k->rate = !latency;
    if (role == PLAT_LINK_PORT) {
      k->owner[0] = "ports";
      k->owner[1] = "engines";
    }
    for (size_t i = 0, j = 0; i < p->n_links; i++)
      if (p->links[i].role == role)
        set_value(k, j++, p->links[i].name,
                  latency ? p->links[i].latency_s : p->links[i].bandwidth_Bps);
    if (n == 1 && !latency) k->label = k->names[0];
    if (n == 1 && latency) k->label = arena_printf(l->a, "%s.latency", k->names[0]);
    drop_if_zero(l);
  }
}

static void add_hosts(list *l, const platform *p) {
  explain_knob *k = add(l, "engine.task_overhead", UNITS_TIME, p->n_engines);
  for (size_t i = 0; i < k->n; i++) set_value(k, i, p->engines[i].name, p->engines[i].overhead_s);
  drop_if_zero(l);
  k = add(l, "sram.capacity", UNITS_SIZE, p->n_srams);
  for (size_t i = 0; i < k->n; i++) set_value(k, i, p->srams[i].name, p->srams[i].capacity_B);
  k = add(l, "dma.setup", UNITS_TIME, p->n_dmas);
  for (size_t i = 0; i < k->n; i++) set_value(k, i, p->dmas[i].name, p->dmas[i].setup_s);
  drop_if_zero(l);
  k = add(l, "dma.channels", UNITS_NUMBER, p->n_dmas);
  k->step = true;
  for (size_t i = 0; i < k->n; i++) set_value(k, i, p->dmas[i].name, (double)p->dmas[i].channels);
  k = add(l, "engines", UNITS_NUMBER, 1);
  k->step = true;
  k->names = NULL;
  k->value[0] = (double)p->n_engines;
}

size_t explain_knobs(const platform *p, const dag *d, explain_knob **knobs, arena *a) {
  list l = {.a = a};
  add_rates(&l, p, d);
  add_links(&l, p, PLAT_LINK_DRAM);
  add_links(&l, p, PLAT_LINK_SRAM);
  add_links(&l, p, PLAT_LINK_PORT);
  add_hosts(&l, p);
  *knobs = l.items;
  return l.n;
}

/* ---- changing them ---- */

static const char *value_text(units_kind kind, double v, arena *a) {
  switch (kind) {
  case UNITS_SPEED:
    return arena_printf(a, "%.6gTf", v / 1e12);
  case UNITS_BANDWIDTH:
    return arena_printf(a, "%.6gGBps", v / 1e9);
  case UNITS_TIME:
    return arena_printf(a, "%.6gns", v * 1e9);
  case UNITS_SIZE:
    return arena_printf(a, "%.0f", v); /* whole bytes */
  default:
    return arena_printf(a, "%.0f", v);
  }
}

static bool changed(const explain_knob *k, double value, double factor, double *v) {
  *v = k->step ? value + factor : value * factor;
  return !k->step || *v >= 1;
}

const char **explain_assign(const explain_knob *k, double factor, arena *a) {
  const char **set = ARENA_NEW(a, const char *, k->n + 2);
  size_t n = 0;
  double v;
  bool alike = true;
  for (size_t i = 0; i < k->n; i++) {
    if (!changed(k, k->value[i], factor, &v)) return NULL;
    alike = alike && k->value[i] == k->value[0];
  }
  if (alike) {
    (void)changed(k, k->value[0], factor, &v);
    set[0] = arena_printf(a, "%s=%s", k->key, value_text(k->kind, v, a));
    return set;
  }
  /* One by one. A name that is the role's word means all of the role, so that it comes first. */
  const char *dot = strchr(k->key, '.');
  const char *role = arena_strndup(a, k->key, (size_t)(dot - k->key));
  for (int pass = 0; pass < 2; pass++)
    for (size_t i = 0; i < k->n; i++) {
      if ((strcmp(k->names[i], role) == 0) != (pass == 0)) continue;
      (void)changed(k, k->value[i], factor, &v);
      set[n++] = arena_printf(a, "%s%s=%s", k->names[i], dot, value_text(k->kind, v, a));
    }
  return set;
}
