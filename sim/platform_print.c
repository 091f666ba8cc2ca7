#include "sim/platform_priv.h"

#include <stdio.h>
#include <string.h>

/* XML. Names need no escaping: plat_check lets nothing through that would. */

static void write_prop(out *o, plat_key k, const void *object) {
  char name[PLAT_KEY_TEXT], value[PLAT_NUM_TEXT];
  plat_quantity(value, k.prop->unit, plat_key_get(k, object));
  out_printf(o, "      <prop id=\"%s\" value=\"%s\"/>\n", plat_key_name(k, name), value);
}

/* A rate that follows speed is not written, or it would not follow any more when read back. */
static bool is_default(plat_key k, plat_obj obj, const void *object) {
  if (obj == PLAT_OBJ_ENGINE) {
    const plat_engine *e = object;
    if (k.prop->offset == offsetof(plat_engine, rate_flops)) return e->rate_follows[k.index];
    if (k.prop->offset == offsetof(plat_engine, vector_rate_flops)) return e->vector_follows;
  }
  return plat_key_get(k, object) == k.prop->fallback;
}

static void write_host(out *o, plat_obj obj, const char *name, const void *object) {
  char speed[PLAT_NUM_TEXT] = "1f";
  const plat_engine *e = obj == PLAT_OBJ_ENGINE ? object : NULL;
  if (e != NULL) plat_quantity(speed, UNITS_SPEED, e->speed_flops);
  out_printf(o, "    <host id=\"%s\" speed=\"%s\">\n", name, speed);
  out_printf(o, "      <prop id=\"role\" value=\"%s\"/>\n", plat_obj_name(obj));
  if (e != NULL) {
    const uint32_t *s = e->matrix_shape;
    out_printf(o, "      <prop id=\"native\" value=\"%s\"/>\n", dtype_name(e->native));
    if (s[0] != 1 || s[1] != 1 || s[2] != 1)
      out_printf(o, "      <prop id=\"matrix_shape\" value=\"%u,%u,%u\"/>\n", s[0], s[1], s[2]);
  }
  if (obj == PLAT_OBJ_DMA)
    out_printf(o, "      <prop id=\"channels\" value=\"%u\"/>\n",
               ((const plat_dma *)object)->channels);
  for (plat_key k = {0}; plat_key_next(obj, &k);)
    if (k.prop->type == PROP_DOUBLE && !(k.prop->flags & PROP_ATTRIBUTE) &&
        !is_default(k, obj, object))
      write_prop(o, k, object);
  out_str(o, "    </host>\n");
}

static void write_link(out *o, const plat_link *l, bool zero_latency) {
  char bandwidth[PLAT_NUM_TEXT], latency[PLAT_NUM_TEXT] = "0ns";
  plat_quantity(bandwidth, UNITS_BANDWIDTH, l->bandwidth_Bps);
  if (!zero_latency) plat_quantity(latency, UNITS_TIME, l->latency_s);
  out_printf(o,
             "    <link id=\"%s\" bandwidth=\"%s\" latency=\"%s\" sharing_policy=\"%s\">\n"
             "      <prop id=\"role\" value=\"%s\"/>\n"
             "    </link>\n",
             l->name, bandwidth, latency, l->fatpipe ? "FATPIPE" : "SHARED",
             plat_link_role_name(l->role));
}

static void write_route(out *o, const platform *p, const plat_route *r) {
  out_printf(o, "    <route src=\"%s\" dst=\"%s\" symmetrical=\"%s\">\n", plat_host_name(p, r->src),
             plat_host_name(p, r->dst), r->symmetrical ? "YES" : "NO");
  for (uint32_t i = 0; i < r->n_links; i++)
    out_printf(o, "      <link_ctn id=\"%s\"/>\n", p->links[r->link[i]].name);
  out_str(o, "    </route>\n");
}

void plat_write_xml(const platform *p, bool zero_latency, out *o) {
  out_str(o, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
             "<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
             "<platform version=\"4.1\">\n");
  out_printf(o, "  <zone id=\"%s\" routing=\"Full\">\n", p->name);
  for (size_t i = 0; i < p->n_engines; i++)
    write_host(o, PLAT_OBJ_ENGINE, p->engines[i].name, &p->engines[i]);
  for (size_t i = 0; i < p->n_srams; i++)
    write_host(o, PLAT_OBJ_SRAM, p->srams[i].name, &p->srams[i]);
  write_host(o, PLAT_OBJ_DRAM, p->dram.name, &p->dram);
  for (size_t i = 0; i < p->n_dmas; i++) write_host(o, PLAT_OBJ_DMA, p->dmas[i].name, &p->dmas[i]);
  for (size_t i = 0; i < p->n_links; i++) write_link(o, &p->links[i], zero_latency);
  for (size_t i = 0; i < p->n_routes; i++) write_route(o, p, &p->routes[i]);
  out_str(o, "  </zone>\n</platform>\n");
}

/* for people */

/* Engines (or port links) in a row that differ only by name are one line: "engine0..engine63  64 x
 * ...". */
static bool engines_alike(const plat_engine *a, const plat_engine *b) {
  for (plat_key k = {0}; plat_key_next(PLAT_OBJ_ENGINE, &k);)
    if (k.prop->type == PROP_DOUBLE && plat_key_get(k, a) != plat_key_get(k, b)) return false;
  return a->native == b->native &&
         memcmp(a->matrix_shape, b->matrix_shape, sizeof a->matrix_shape) == 0;
}

static bool links_alike(const plat_link *a, const plat_link *b) {
  return a->role == b->role && a->bandwidth_Bps == b->bandwidth_Bps &&
         a->latency_s == b->latency_s && a->fatpipe == b->fatpipe;
}

static void print_range(out *o, const char *first, const char *last, size_t n) {
  char text[2 * PLAT_MAX_NAME + 32];
  if (n == 1)
    snprintf(text, sizeof text, "%s", first);
  else
    snprintf(text, sizeof text, "%s..%s", first, last);
  out_printf(o, "  %-20s", text);
  if (n > 1) out_printf(o, " %zu x", n);
}

/* What an engine's properties of one unit are set to, where that is not the default: ";
 * efficiency.QK 0.5". */
static void print_set(out *o, const plat_engine *e, units_kind unit, double scale,
                      const char *suffix) {
  char key[PLAT_KEY_TEXT];
  for (plat_key k = {0}; plat_key_next(PLAT_OBJ_ENGINE, &k);)
    if (k.prop->type == PROP_DOUBLE && k.prop->unit == unit &&
        plat_key_get(k, e) != k.prop->fallback)
      out_printf(o, "; %s %.6g%s", plat_key_name(k, key), plat_key_get(k, e) * scale, suffix);
}

static void print_engine(out *o, const plat_engine *e) {
  char t[UNITS_TEXT];
  out_printf(o, " %s %s", units_speed(t, e->speed_flops), dtype_name(e->native));
  for (int d = 0; d < DT_COUNT; d++)
    if (!e->rate_follows[d])
      out_printf(o, ", %s %s", units_speed(t, e->rate_flops[d]), dtype_name((dtype)d));
  out_printf(o, "; vector %s", units_speed(t, e->vector_rate_flops));
  out_printf(o, "; overhead %s", units_time(t, e->overhead_s));
  if (e->matrix_shape[0] * (uint64_t)e->matrix_shape[1] * e->matrix_shape[2] > 1)
    out_printf(o, "; tile %u,%u,%u", e->matrix_shape[0], e->matrix_shape[1], e->matrix_shape[2]);
  print_set(o, e, UNITS_NUMBER, 1, "");
  print_set(o, e, UNITS_POWER, 1, " W");
  print_set(o, e, UNITS_ENERGY, 1e12, " pJ");
  out_char(o, '\n');
}

static bool memories_alike(const plat_memory *a, const plat_memory *b) {
  return a->capacity_B == b->capacity_B && a->efficiency == b->efficiency &&
         a->energy_J == b->energy_J;
}

static void print_memory(out *o, const plat_memory *m, size_t n, const char *role) {
  char t[UNITS_TEXT];
  print_range(o, m->name, m[n - 1].name, n);
  out_printf(o, " %s", m->capacity_B > 0 ? units_size(t, m->capacity_B) : "unlimited");
  if (m->efficiency != 1) out_printf(o, "; streams at %g of peak", m->efficiency);
  if (m->energy_J > 0) out_printf(o, "; energy %.6g pJ a byte", m->energy_J * 1e12);
  out_printf(o, " (%s)\n", role);
}

static void print_hosts(const platform *p, out *o) {
  char t[UNITS_TEXT];
  out_str(o, "engines\n");
  for (size_t i = 0, n; i < p->n_engines; i += n) {
    for (n = 1; i + n < p->n_engines && engines_alike(&p->engines[i], &p->engines[i + n]);) n++;
    print_range(o, p->engines[i].name, p->engines[i + n - 1].name, n);
    print_engine(o, &p->engines[i]);
  }
  out_str(o, "memories\n");
  for (size_t i = 0, n; i < p->n_srams; i += n) {
    for (n = 1; i + n < p->n_srams && memories_alike(&p->srams[i], &p->srams[i + n]);) n++;
    print_memory(o, &p->srams[i], n, "sram");
  }
  print_memory(o, &p->dram, 1, "dram");
  out_str(o, "dma\n");
  for (size_t i = 0; i < p->n_dmas; i++) {
    print_range(o, p->dmas[i].name, p->dmas[i].name, 1);
    out_printf(o, " %u channel%s; setup %s\n", p->dmas[i].channels,
               p->dmas[i].channels == 1 ? "" : "s", units_time(t, p->dmas[i].setup_s));
  }
}

static void print_links(const platform *p, out *o) {
  char t[UNITS_TEXT];
  out_str(o, "links\n");
  for (size_t i = 0, n; i < p->n_links; i += n) {
    const plat_link *l = &p->links[i];
    for (n = 1; i + n < p->n_links && links_alike(l, &p->links[i + n]);) n++;
    print_range(o, l->name, p->links[i + n - 1].name, n);
    out_printf(o, " %s", units_bandwidth(t, l->bandwidth_Bps));
    out_printf(o, "; latency %s; %s%s\n", units_time(t, l->latency_s), plat_link_role_name(l->role),
               l->fatpipe ? "; a cap per flow (FATPIPE)" : "");
  }
  enum { SHOWN = 40 };
  out_str(o, "routes\n");
  for (size_t i = 0; i < p->n_routes && i < SHOWN; i++) {
    const plat_route *r = &p->routes[i];
    char pair[2 * PLAT_MAX_NAME + 8];
    snprintf(pair, sizeof pair, "%s %s %s", plat_host_name(p, r->src),
             r->symmetrical ? "<->" : "->", plat_host_name(p, r->dst));
    out_printf(o, "  %-20s %s", pair, units_bandwidth(t, r->bandwidth_Bps));
    out_printf(o, "; latency %s; over", units_time(t, r->latency_s));
    for (uint32_t k = 0; k < r->n_links; k++) out_printf(o, " %s", p->links[r->link[k]].name);
    out_char(o, '\n');
  }
  if (p->n_routes > SHOWN) out_printf(o, "  and %zu more\n", p->n_routes - SHOWN);
}

/* FLOP a byte where arithmetic and DRAM take equally long: below it, DRAM sets the time. Per native
 * dtype, for the route with the most bandwidth. */
static void print_ridge(const platform *p, out *o) {
  char t[UNITS_TEXT], u[UNITS_TEXT];
  double bandwidth = 0;
  for (size_t s = 0; s < p->n_srams; s++) {
    const plat_route *r = plat_find_route(p, plat_host_dram(p), plat_host_sram(p, s));
    if (r != NULL && r->bandwidth_Bps > bandwidth) bandwidth = r->bandwidth_Bps;
  }
  bandwidth *= p->dram.efficiency;
  out_str(o, "ridge point\n");
  for (int d = 0; d < DT_COUNT; d++) {
    double rate = 0;
    bool stated = false;
    for (size_t i = 0; i < p->n_engines; i++) {
      rate += p->engines[i].rate_flops[d];
      stated |= !p->engines[i].rate_follows[d] || (int)p->engines[i].native == d;
    }
    if (stated)
      out_printf(o, "  %-20s %.4g FLOP/B: %s over %s of DRAM bandwidth\n", dtype_name((dtype)d),
                 rate / bandwidth, units_speed(t, rate), units_bandwidth(u, bandwidth));
  }
}

void plat_print(const platform *p, out *o) {
  out_printf(o, "%s: %zu engine%s", p->name, p->n_engines, p->n_engines == 1 ? "" : "s");
  if (p->where != NULL) out_printf(o, ", from %s", p->where);
  out_char(o, '\n');
  for (size_t i = 0; i < p->n_overrides; i++)
    out_printf(o, "  with %s=%s\n", p->overrides[i].key, p->overrides[i].value);
  print_hosts(p, o);
  print_links(p, o);
  print_ridge(p, o);
}
