/* platform_rig.h - what the platform suites share: a small good document, and exact comparison of
 * two tables. */
#ifndef LS_TESTS_PLATFORM_RIG_H
#define LS_TESTS_PLATFORM_RIG_H

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/platform_priv.h"
#include "sim/platform_xml.h"

/* The two suites may each leave some of this unused. */
#pragma GCC diagnostic ignored "-Wunused-const-variable"

static const char *const SHIPPED[] = {"npu1",     "npu4",      "npu16",           "npu4-sram1m", "npu4-resident",
                                      "npu4-hbm", "npu4-pads", "npu4-pads-direct"};
enum {
  N_SHIPPED = sizeof SHIPPED / sizeof *SHIPPED,
  N_SHARED = N_SHIPPED - 2
}; /* the last two have scratchpads */

static inline platform load(const char *spec, arena *a) {
  platform p = {0};
  err e = {0};
  ck_assert_msg(plat_load(spec, &p, a, &e) == ERR_OK, "%s: %s", spec, e.msg);
  return p;
}

static inline int parse(const char *text, platform *p, arena *a, err *e) {
  return plat_parse_xml("t.xml", (const unsigned char *)text, strlen(text), p, a, e);
}

static inline void set(platform *p, const char *assignment, arena *a) {
  err e = {0};
  ck_assert_msg(plat_set(p, assignment, a, &e) == ERR_OK, "%s", e.msg);
}

/* Line 1 is <platform>; each line below is one of the document. */
static const char GOOD[] =
    "<platform version=\"4.1\">\n"                                                      /* 1 */
    "<zone id=\"z\" routing=\"Full\">\n"                                                /* 2 */
    "<host id=\"e0\" speed=\"4Tf\"><prop id=\"role\" value=\"engine\"/></host>\n"       /* 3 */
    "<host id=\"s0\" speed=\"1f\"><prop id=\"role\" value=\"sram\"/>"                   /* 4 */
    "<prop id=\"capacity\" value=\"1MiB\"/></host>\n"                                   /* 4 */
    "<host id=\"d0\" speed=\"1f\"><prop id=\"role\" value=\"dram\"/></host>\n"          /* 5 */
    "<host id=\"x0\" speed=\"1f\"><prop id=\"role\" value=\"dma\"/></host>\n"           /* 6 */
    "<link id=\"db\" bandwidth=\"50GBps\" latency=\"100ns\"/>\n"                        /* 7 */
    "<link id=\"sb\" bandwidth=\"200GBps\"/>\n"                                         /* 8 */
    "<link id=\"p0\" bandwidth=\"60GBps\" latency=\"1ns\"/>\n"                          /* 9 */
    "<route src=\"d0\" dst=\"s0\"><link_ctn id=\"db\"/><link_ctn id=\"sb\"/></route>\n" /* 10 */
    "<route src=\"s0\" dst=\"e0\"><link_ctn id=\"sb\"/><link_ctn id=\"p0\"/></route>\n" /* 11 */
    "</zone>\n"                                                                         /* 12 */
    "</platform>\n";                                                                    /* 13 */

/* GOOD with `from` (which must be there) replaced by `to`. */
static inline char *changed(const char *from, const char *to, arena *a) {
  const char *at = strstr(GOOD, from);
  ck_assert_msg(at != NULL, "the test's own text is missing: %s", from);
  return arena_printf(a, "%.*s%s%s", (int)(at - GOOD), GOOD, to, at + strlen(from));
}

/* equality of tables, exactly; overrides and the file's name aside */

static inline void same_values(plat_obj obj, const char *name, const void *x, const char *other,
                               const void *y) {
  char key[PLAT_KEY_TEXT];
  ck_assert_str_eq(name, other);
  for (plat_key k = {0}; plat_key_next(obj, &k);)
    if (k.prop->type == PROP_DOUBLE)
      ck_assert_msg(plat_key_get(k, x) == plat_key_get(k, y), "%s %s: %.17g, %.17g", name,
                    plat_key_name(k, key), plat_key_get(k, x), plat_key_get(k, y));
}

static inline void same_platform(const platform *p, const platform *q) {
  ck_assert_str_eq(p->name, q->name);
  ck_assert_uint_eq(p->n_engines, q->n_engines);
  ck_assert_uint_eq(p->n_srams, q->n_srams);
  ck_assert_uint_eq(p->n_dmas, q->n_dmas);
  ck_assert_uint_eq(p->n_links, q->n_links);
  ck_assert_uint_eq(p->n_routes, q->n_routes);
  for (size_t i = 0; i < p->n_engines; i++) {
    const plat_engine *x = &p->engines[i], *y = &q->engines[i];
    same_values(PLAT_OBJ_ENGINE, x->name, x, y->name, y);
    ck_assert_int_eq(x->native, y->native);
    ck_assert_mem_eq(x->matrix_shape, y->matrix_shape, sizeof x->matrix_shape);
    ck_assert_mem_eq(x->rate_follows, y->rate_follows, sizeof x->rate_follows);
    ck_assert_int_eq(x->vector_follows, y->vector_follows);
  }
  for (size_t i = 0; i < p->n_srams; i++)
    same_values(PLAT_OBJ_SRAM, p->srams[i].name, &p->srams[i], q->srams[i].name, &q->srams[i]);
  same_values(PLAT_OBJ_DRAM, p->dram.name, &p->dram, q->dram.name, &q->dram);
  for (size_t i = 0; i < p->n_dmas; i++) {
    same_values(PLAT_OBJ_DMA, p->dmas[i].name, &p->dmas[i], q->dmas[i].name, &q->dmas[i]);
    ck_assert_uint_eq(p->dmas[i].channels, q->dmas[i].channels);
  }
  for (size_t i = 0; i < p->n_links; i++) {
    same_values(PLAT_OBJ_LINK, p->links[i].name, &p->links[i], q->links[i].name, &q->links[i]);
    ck_assert_int_eq(p->links[i].role, q->links[i].role);
    ck_assert_int_eq(p->links[i].fatpipe, q->links[i].fatpipe);
  }
  for (size_t i = 0; i < p->n_routes; i++) {
    const plat_route *x = &p->routes[i], *y = &q->routes[i];
    ck_assert_uint_eq(x->src, y->src);
    ck_assert_uint_eq(x->dst, y->dst);
    ck_assert_int_eq(x->symmetrical, y->symmetrical);
    ck_assert_uint_eq(x->n_links, y->n_links);
    ck_assert_mem_eq(x->link, y->link, x->n_links * sizeof *x->link);
    ck_assert(x->latency_s == y->latency_s && x->bandwidth_Bps == y->bandwidth_Bps);
  }
}

static inline char *written(const platform *p, bool zero_latency, arena *a) {
  size_t n = 0;
  err e = {0};
  out *o = out_memory();
  plat_write_xml(p, zero_latency, o);
  const char *text = out_text(o, &n);
  char *copy = arena_strndup(a, text, n);
  ck_assert_int_eq(out_close(o, &e), ERR_OK);
  return copy;
}

static inline void round_trip(const platform *p, arena *a) {
  platform q = {0};
  err e = {0};
  ck_assert_msg(parse(written(p, false, a), &q, a, &e) == ERR_OK, "%s", e.msg);
  same_platform(p, &q);
}

#define PROP(id, value) "<prop id=\"" id "\" value=\"" value "\"/>"
#define ENGINE(more) "<prop id=\"role\" value=\"engine\"/>" more
#define HOST_E "<host id=\"e0\" speed=\"4Tf\"><prop id=\"role\" value=\"engine\"/></host>"
#define BUS "<link id=\"db\" bandwidth=\"50GBps\" latency=\"100ns\"/>"
#define DRAM "<host id=\"d0\" speed=\"1f\"><prop id=\"role\" value=\"dram\"/></host>"
#define DMA "<host id=\"x0\" speed=\"1f\"><prop id=\"role\" value=\"dma\"/></host>"
#define ROUTE_DS "<route src=\"d0\" dst=\"s0\"><link_ctn id=\"db\"/><link_ctn id=\"sb\"/></route>\n"
#define ROUTE_SE "<route src=\"s0\" dst=\"e0\"><link_ctn id=\"sb\"/><link_ctn id=\"p0\"/></route>\n"
#define START "<platform version=\"4.1\">\n"

/* xorshift64: explicit seed, same sequence everywhere */
static inline uint64_t next_random(uint64_t *s) {
  *s ^= *s << 13;
  *s ^= *s >> 7;
  *s ^= *s << 17;
  return *s;
}

#endif
