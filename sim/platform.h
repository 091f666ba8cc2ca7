/* platform.h - the chip as a plain table: engines, memories, DMA, links, routes. No SimGrid here.
 *
 * The table comes from a SimGrid 4.1 platform XML (platform_xml.h), may be changed by overrides
 * (plat_set), and is written back as canonical SimGrid XML (plat_write_xml), which is all that
 * SimGrid ever sees. So whatever was read has been checked before, and what SimGrid simulates is
 * what this table says.
 *
 * Roles (property `role` of a host):
 *
 *   engine  speed              peak matrix rate of dtype `native`
 *           native             bf16 unless stated
 *           rate.<dtype>       matrix rate of another dtype, default: speed
 *           vector_rate        default: speed/32
 *           task_overhead      default 0s
 *           matrix_shape       "m,n,k", default 1,1,1 (no padding)
 *           efficiency.<op>    in (0,1], default 1; for the ops that do matrix work (no other op's
 *                              time depends on it)
 *           power.idle         default 0W
 *           energy.<dtype>     per matrix FLOP, default 0J
 *           energy.vector      per vector FLOP, default 0J
 *   sram    capacity           needed
 *           energy             per byte read or written, default 0J
 *   dram    capacity           default unlimited (0)
 *           efficiency         in (0,1], default 1
 *           energy             per byte, default 0J
 *   dma     channels           default 1
 *           setup              per transfer, default 0s
 *
 * SimGrid wants a speed on every host. On a host that does not compute it means nothing, so that
 * there it must be written as speed="1f" and nothing else.
 *
 * Roles of links (property `role` of a link; optional): dram, sram, port. They only name links for
 * overrides, cloning and pictures. Where not stated (PLAT_LINK_AUTO), plat_check decides, once: a
 * link of a dram<->sram route is `dram` unless an engine's route shares it, which makes it `sram`;
 * a link of exactly one engine's routes is `port` (but not the only link of the only engine's
 * route: that is a bus); every other link is `sram`.
 *
 * Routes are found by (src, dst); a route is symmetrical unless its XML says symmetrical="NO".
 * Ids are indices into the arrays, in file order. Times are seconds, rates per second, sizes bytes.
 *
 * Rules that plat_check enforces, beyond the schema:
 *   - at least one engine, sram and dma, exactly one dram, no more of anything than PLAT_MAX_*
 *   - values in range: rates and bandwidths from 1/s; shares in (0,1]; times and energies not
 *     negative; nothing infinite
 *   - names of letters, digits, `_` and `-`, unique among zone, hosts and links; a role's word
 *     (engine, sram, dram, dma, port) names nothing of another role
 *   - a route joins dram and sram, sram and engine, or two srams, has at least one link, no link
 *     twice, and stands once
 *   - some sram has dram->sram and sram->dram; every sram has a route into it, from the dram or from
 *     another sram, and one out of it, to an engine, the dram or another sram; every engine has one
 *     from at least one sram; every link is on a route
 *
 * Scratchpads: an sram may reach one engine only, and may have no route from or to the dram; then
 * moves between srams feed and empty it. In a DAG, "sram" is the first sram, "sram1" the second. */
#ifndef LS_PLATFORM_H
#define LS_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"
#include "sim/base/file.h"
#include "workloads/dtype.h"
#include "workloads/op.h"

enum {
  PLAT_MAX_ENGINES = 1024,
  PLAT_MAX_SRAMS = 1024,
  PLAT_MAX_DMAS = 256,
  PLAT_MAX_CHANNELS = 256, /* of one dma */
  PLAT_MAX_LINKS = 16384,
  PLAT_MAX_ROUTES = 131072,
  PLAT_MAX_ROUTE = 16, /* links of one route */
  PLAT_MAX_NAME = 63
};

#define PLAT_NONE UINT32_MAX

typedef enum plat_role { PLAT_ENGINE, PLAT_SRAM, PLAT_DRAM, PLAT_DMA } plat_role;
typedef enum plat_link_role {
  PLAT_LINK_AUTO, /* not stated: plat_check replaces it */
  PLAT_LINK_DRAM,
  PLAT_LINK_SRAM,
  PLAT_LINK_PORT
} plat_link_role;

typedef struct plat_engine {
  const char *name;
  dtype native;
  double speed_flops;          /* matrix rate of the native dtype, flop/s */
  double rate_flops[DT_COUNT]; /* matrix rate by dtype; plat_check fills in the default where 0 */
  double vector_rate_flops;    /* likewise */
  bool rate_follows[DT_COUNT]; /* the rate was not stated: it follows speed when that is changed */
  bool vector_follows;
  double overhead_s;
  uint32_t matrix_shape[3]; /* m, n, k of the native tile */
  double efficiency[OP_COUNT];
  double idle_W;
  double energy_J[DT_COUNT]; /* per matrix FLOP */
  double vector_energy_J;    /* per vector FLOP */
} plat_engine;

typedef struct plat_memory { /* an sram or the dram */
  const char *name;
  plat_role role;
  double capacity_B; /* 0 = unlimited (dram only) */
  double efficiency; /* dram: streaming share of peak; sram: 1 */
  double energy_J;   /* per byte */
} plat_memory;

typedef struct plat_dma {
  const char *name;
  uint32_t channels;
  double setup_s;
} plat_dma;

typedef struct plat_link {
  const char *name;
  plat_link_role role;
  double bandwidth_Bps;
  double latency_s;
  bool fatpipe; /* sharing_policy="FATPIPE": a cap per flow instead of a shared capacity */
} plat_link;

/* src and dst are host ids: hosts are numbered engines first, then srams, then the dram, then dmas
 * (plat_host_*). */
typedef struct plat_route {
  uint32_t src, dst;
  bool symmetrical;
  uint32_t n_links;
  uint32_t link[PLAT_MAX_ROUTE];
  double latency_s;     /* sum over its links */
  double bandwidth_Bps; /* minimum over its links */
  uint32_t first, next; /* plat_find_route's hash chains, kept by plat_check */
} plat_route;

typedef struct plat_override {
  const char *key, *value; /* as the user wrote them */
} plat_override;

typedef struct platform {
  const char *name;  /* id of the outermost zone */
  const char *where; /* file it came from */
  size_t n_engines, n_srams, n_dmas, n_links, n_routes, n_overrides;
  plat_engine *engines;
  plat_memory *srams;
  plat_memory dram;
  plat_dma *dmas;
  plat_link *links;
  plat_route *routes;
  plat_override *overrides; /* applied, in order */
  /* What-if (explain.h), no property of a file: tasks of these ops take no time and move nothing. */
  bool op_free[OP_COUNT];
} platform;

static inline uint32_t plat_host_engine(const platform *p, size_t i) {
  (void)p;
  return (uint32_t)i;
}
static inline uint32_t plat_host_sram(const platform *p, size_t i) {
  return (uint32_t)(p->n_engines + i);
}
static inline uint32_t plat_host_dram(const platform *p) {
  return (uint32_t)(p->n_engines + p->n_srams);
}
static inline uint32_t plat_host_dma(const platform *p, size_t i) {
  return (uint32_t)(p->n_engines + p->n_srams + 1 + i);
}
const char *plat_host_name(const platform *p, uint32_t host);

/* The engine whose own scratchpad the sram is: the only one that it reaches. PLAT_NONE where it
 * reaches several or none, and for the one engine's first sram, which is the chip's. */
uint32_t plat_pad_of(const platform *p, size_t sram);

const char *plat_link_role_name(plat_link_role r); /* "dram", "sram", "port" */

/* The route from host src to host dst (or dst->src where that one is symmetrical); NULL where there
 * is none. A hash look-up in what the last plat_check built. */
const plat_route *plat_find_route(const platform *p, uint32_t src, uint32_t dst);

/* Checks the rules above and fills the derived fields (rates and link roles not stated, route
 * latency, bandwidth and index). Messages name the thing, not a line: there is no file any more
 * (plat_parse_xml's have lines). */
ERR_CHECK int plat_check(platform *p, err *e);

/* Applies one override and checks the result; `p` is unchanged on error. `assignment` is KEY=VALUE,
 * KEY one of
 *
 *   engines    1 to PLAT_MAX_ENGINES. Fewer: drops the last ones, and links that then serve nobody.
 *              More: clones the last engine with its routes; links of role port that serve it alone
 *              are cloned too, everything else is shared. Names count on: engine3, engine4, ...
 *              Where every engine has a scratchpad (plat_pad_of), it comes and goes with its
 *              engine, and so do its routes.
 *   engine.KEY, sram.KEY, dram.KEY, dma.KEY, NAME.KEY
 *              a property of all hosts of that role, or of one host: all that stand above, but for
 *              `native`
 *   dram.KEY, sram.KEY, port.KEY, LINK.KEY
 *              bandwidth or latency of all links of that role, or of one link
 *
 * A role's word before the dot always means the role. Units as in the contract; a bare number is in
 * base units. Errors (ERR_BAD) name the key, what it got, and list the keys that this platform has.
 * The override is added to p->overrides; one whose KEY stood there already takes the place at the
 * end. */
ERR_CHECK int plat_set(platform *p, const char *assignment, arena *a, err *e);

/* Canonical SimGrid 4.1 XML of the table (after plat_check). All links have latency="0ns" when
 * `zero_latency` (the executor sleeps latencies itself: model.md). Numbers are printed so that they
 * read back to the same double. */
void plat_write_xml(const platform *p, bool zero_latency, out *o);

/* Every resource for people: engines, memories, DMA, links with bandwidth and latency, routes,
 * ridge point. */
void plat_print(const platform *p, out *o);

#endif
