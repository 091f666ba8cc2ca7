#include "sim/exec_simgrid_streams.h"

#include <math.h>

static bool on_route(const plat_route *r, uint32_t link) {
  for (uint32_t i = 0; r != NULL && i < r->n_links; i++)
    if (r->link[i] == link) return true;
  return false;
}

/* The most that transfers can bring over link `l`: each direction no more than the narrowest other
 * link of its route lets through, and both together no more than a link that they share. */
static double brought_Bps(const platform *p, const plat_route *dma[2], uint32_t l) {
  double sum = 0, shared = INFINITY;
  bool both = on_route(dma[0], l) && on_route(dma[1], l);
  for (int d = 0; d < 2; d++) {
    if (!on_route(dma[d], l)) continue;
    double others = INFINITY;
    for (uint32_t i = 0; i < dma[d]->n_links; i++) {
      uint32_t k = dma[d]->link[i];
      if (k == l || p->links[k].fatpipe) continue;
      others = fmin(others, p->links[k].bandwidth_Bps);
      if (both && on_route(dma[1 - d], k)) shared = fmin(shared, p->links[k].bandwidth_Bps);
    }
    sum += others;
  }
  return fmin(sum, shared);
}

/* The same where there are several SRAMs: the sum over the routes of all transfers. */
static double brought_by_all_Bps(const platform *p, uint32_t l) {
  double sum = 0;
  for (size_t i = 0; i < p->n_routes; i++) {
    const plat_route *r = &p->routes[i];
    bool engine = r->src < p->n_engines || r->dst < p->n_engines;
    if (engine || !on_route(r, l)) continue;
    double others = INFINITY;
    for (uint32_t k = 0; k < r->n_links; k++)
      if (r->link[k] != l && !p->links[r->link[k]].fatpipe)
        others = fmin(others, p->links[r->link[k]].bandwidth_Bps);
    sum += others;
  }
  return sum;
}

/* The route of the engine's streams that are not apart; NULL: there is none. `n` counts them. */
static const plat_route *busy_route(const platform *p, const bool *apart, size_t engine,
                                    size_t *n) {
  const plat_route *busy = NULL;
  *n = 0;
  for (size_t s = 0; s < p->n_srams; s++) {
    const plat_route *r = plat_find_route(p, plat_host_sram(p, s), plat_host_engine(p, engine));
    if (r != NULL && !apart[r - p->routes]) busy = r, ++*n;
  }
  return busy;
}

bool exec_streams_meet(const platform *p, const bool *apart, size_t engine) {
  size_t n;
  (void)busy_route(p, apart, engine, &n);
  return n > 1;
}

size_t exec_streams_quiet(const platform *p, const bool *apart) {
  size_t quiet = p->n_engines;
  const plat_route *dma[2] = {plat_find_route(p, plat_host_dram(p), plat_host_sram(p, 0)),
                              plat_find_route(p, plat_host_sram(p, 0), plat_host_dram(p))};
  for (uint32_t l = 0; l < p->n_links; l++) {
    if (p->links[l].fatpipe) continue;
    double widest = 0, bandwidth = p->links[l].bandwidth_Bps;
    double brought = p->n_srams > 1 ? brought_by_all_Bps(p, l) : brought_Bps(p, dma, l);
    size_t users = 0, n;
    for (size_t e = 0; e < p->n_engines; e++) {
      const plat_route *r = busy_route(p, apart, e, &n);
      if (n > 1) return 0;
      if (on_route(r, l)) users++, widest = fmax(widest, r->bandwidth_Bps);
    }
    if (users == 0 || (users == 1 && brought == 0)) continue;
    size_t fit = bandwidth > brought ? (size_t)((bandwidth - brought) / widest) : 0;
    if (fit < users && fit < quiet) quiet = fit;
  }
  return quiet;
}

bool *exec_streams_apart(const platform *p, arena *a) {
  bool *apart = ARENA_NEW(a, bool, p->n_routes);
  uint32_t *users = ARENA_NEW(a, uint32_t, p->n_links);
  for (size_t i = 0; i < p->n_routes; i++)
    for (uint32_t k = 0; k < p->routes[i].n_links; k++) users[p->routes[i].link[k]]++;
  for (size_t i = 0; i < p->n_routes; i++) {
    const plat_route *r = &p->routes[i];
    apart[i] = r->src < p->n_engines || r->dst < p->n_engines;
    for (uint32_t k = 0; k < r->n_links && apart[i]; k++)
      apart[i] = p->links[r->link[k]].fatpipe || users[r->link[k]] == 1;
  }
  return apart;
}
