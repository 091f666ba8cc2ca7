#include "sim/platform_priv.h"

#include <assert.h>
#include <string.h>

/* names */

static const char *const LINK_ROLE[] = {"", "dram", "sram", "port"};

const char *plat_link_role_name(plat_link_role r) {
  return LINK_ROLE[r];
}

plat_link_role plat_link_role_parse(const char *name) {
  for (int r = PLAT_LINK_DRAM; r <= PLAT_LINK_PORT; r++)
    if (strcmp(name, LINK_ROLE[r]) == 0) return (plat_link_role)r;
  return PLAT_LINK_AUTO;
}

bool plat_name_ok(const char *name) {
  size_t n = strlen(name);
  static const char CHARS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
  return n >= 1 && n <= PLAT_MAX_NAME && strspn(name, CHARS) == n;
}

int plat_one_line(err *e) {
  for (char *s = e->msg; *s != '\0'; s++)
    if ((unsigned char)*s < ' ' || *s == 0x7f) *s = '?';
  return e->status;
}

static size_t name_slot(const plat_names *t, const char *name) {
  uint64_t h = 14695981039346656037u; /* FNV-1a */
  for (const char *s = name; *s; s++) h = (h ^ (unsigned char)*s) * 1099511628211u;
  size_t i = (size_t)(h ^ (h >> 32)) & (t->cap - 1);
  while (t->slot[i].name != NULL && strcmp(t->slot[i].name, name) != 0) i = (i + 1) & (t->cap - 1);
  return i;
}

const plat_named *plat_names_find(const plat_names *t, const char *name) {
  if (t->cap == 0) return NULL;
  const plat_named *x = &t->slot[name_slot(t, name)];
  return x->name == NULL ? NULL : x;
}

bool plat_names_add(plat_names *t, plat_named x, arena *a) {
  if (2 * (t->n + 1) > t->cap) {
    plat_names bigger = {.cap = t->cap == 0 ? 64 : 2 * t->cap};
    bigger.slot = ARENA_NEW(a, plat_named, bigger.cap);
    for (size_t i = 0; i < t->cap; i++)
      if (t->slot[i].name != NULL)
        bigger.slot[name_slot(&bigger, t->slot[i].name)] = t->slot[i], bigger.n++;
    *t = bigger;
  }
  size_t i = name_slot(t, x.name);
  if (t->slot[i].name != NULL) return false;
  t->slot[i] = x;
  t->n++;
  return true;
}

static size_t n_hosts(const platform *p) {
  return p->n_engines + p->n_srams + 1 + p->n_dmas;
}

/* The kind of host `id`; *index is its place in the array of its kind. */
static plat_obj host_kind(const platform *p, uint32_t id, size_t *index) {
  size_t i = id;
  *index = i;
  if (i < p->n_engines) return PLAT_OBJ_ENGINE;
  *index = i -= p->n_engines;
  if (i < p->n_srams) return PLAT_OBJ_SRAM;
  *index = i -= p->n_srams;
  if (i == 0) return PLAT_OBJ_DRAM;
  *index = i - 1;
  return PLAT_OBJ_DMA;
}

const char *plat_host_name(const platform *p, uint32_t host) {
  size_t i = 0;
  assert(host < n_hosts(p));
  switch (host_kind(p, host, &i)) {
  case PLAT_OBJ_ENGINE:
    return p->engines[i].name;
  case PLAT_OBJ_SRAM:
    return p->srams[i].name;
  case PLAT_OBJ_DRAM:
    return p->dram.name;
  default:
    return p->dmas[i].name;
  }
}

/* the route index: chains by the unordered pair of hosts; heads and links lie in the routes
 * themselves, as id + 1 */

static size_t route_bucket(const platform *p, uint32_t src, uint32_t dst) {
  uint64_t pair = src < dst ? (uint64_t)src << 32 | dst : (uint64_t)dst << 32 | src;
  return (size_t)((pair * 0x9E3779B97F4A7C15u) >> 32) % p->n_routes;
}

const plat_route *plat_find_route(const platform *p, uint32_t src, uint32_t dst) {
  if (p->n_routes == 0) return NULL;
  for (uint32_t i = p->routes[route_bucket(p, src, dst)].first; i != 0; i = p->routes[i - 1].next) {
    const plat_route *r = &p->routes[i - 1];
    if (r->src == src && r->dst == dst) return r;
    if (r->symmetrical && r->src == dst && r->dst == src) return r;
  }
  return NULL;
}

uint32_t plat_pad_of(const platform *p, size_t sram) {
  uint32_t engine = PLAT_NONE;
  if (p->n_engines == 1 && sram == 0) return PLAT_NONE;
  for (uint32_t e = 0; e < p->n_engines; e++) {
    if (plat_find_route(p, plat_host_sram(p, sram), plat_host_engine(p, e)) == NULL) continue;
    if (engine != PLAT_NONE) return PLAT_NONE;
    engine = e;
  }
  return engine;
}

/* checks */

typedef struct check {
  platform *p;
  const plat_lines *at; /* or NULL */
  err *e;
} check;

#define LINE(c, member) ((c)->at == NULL ? 0 : (c)->at->member)
/* Puts the place before the message just set. */
static int at_line(const check *c, long line) {
  return c->at == NULL ? c->e->status : err_prefix(c->e, "%s:%ld", c->at->where, line);
}
#define FAULT(c, line, ...) (err_set((c)->e, ERR_BAD, __VA_ARGS__), at_line((c), (line)))

static long host_line(const check *c, uint32_t host) {
  size_t i = 0;
  if (c->at == NULL) return 0;
  switch (host_kind(c->p, host, &i)) {
  case PLAT_OBJ_ENGINE:
    return c->at->engine[i];
  case PLAT_OBJ_SRAM:
    return c->at->sram[i];
  case PLAT_OBJ_DRAM:
    return c->at->dram;
  default:
    return c->at->dma[i];
  }
}

static int check_counts(const check *c) {
  const platform *p = c->p;
  const struct {
    const char *what;
    size_t n, min, max;
  } COUNT[] = {{"host of role engine", p->n_engines, 1, PLAT_MAX_ENGINES},
               {"host of role sram", p->n_srams, 1, PLAT_MAX_SRAMS},
               {"host of role dram", p->dram.name != NULL, 1, 1},
               {"host of role dma", p->n_dmas, 1, PLAT_MAX_DMAS},
               {"link", p->n_links, 1, PLAT_MAX_LINKS},
               {"route", p->n_routes, 1, PLAT_MAX_ROUTES}};
  enum { N = sizeof COUNT / sizeof *COUNT };
  /* too many first: a reader that stopped there has not seen the rest */
  for (size_t i = 0; i < N; i++)
    if (COUNT[i].n > COUNT[i].max)
      return FAULT(c, LINE(c, zone), "platform '%s' has more than %zu of: %s", p->name,
                   COUNT[i].max, COUNT[i].what);
  for (size_t i = 0; i < N; i++)
    if (COUNT[i].n < COUNT[i].min)
      return FAULT(c, LINE(c, zone), "platform '%s' has no %s; it needs at least one", p->name,
                   COUNT[i].what);
  return ERR_OK;
}

/* A role's word before the dot of an override's key means the role, so that it may name nothing of
 * another. */
static bool name_misleads(const char *name, plat_obj obj, plat_link_role link) {
  plat_obj role = plat_role_parse(name);
  plat_link_role link_role = plat_link_role_parse(name);
  if (role == PLAT_OBJ_COUNT && link_role == PLAT_LINK_AUTO) return false;
  if (obj == PLAT_OBJ_LINK) return link != PLAT_LINK_AUTO && link != link_role;
  return obj != role;
}

static int check_name(const check *c, plat_names *names, plat_named x, long line, arena *a) {
  const char *what = x.obj == PLAT_OBJ_COUNT ? "zone" : x.obj == PLAT_OBJ_LINK ? "link" : "host";
  if (!plat_name_ok(x.name)) return FAULT(c, line, "%s '%.80s': " PLAT_NAME_RULE, what, x.name);
  if (!plat_names_add(names, x, a))
    return FAULT(c, line,
                 "%s '%s': that name is taken; zone, hosts and links need names of their own", what,
                 x.name);
  plat_link_role role = x.obj == PLAT_OBJ_LINK ? c->p->links[x.index].role : PLAT_LINK_AUTO;
  if (x.obj != PLAT_OBJ_COUNT && name_misleads(x.name, x.obj, role))
    return FAULT(c, line, "%s '%s': that is the name of a role that it does not have; rename it",
                 what, x.name);
  return ERR_OK;
}

static int check_names(const check *c, arena *a) {
  const platform *p = c->p;
  plat_names names = {0};
  if (check_name(c, &names, (plat_named){p->name, PLAT_OBJ_COUNT, 0}, LINE(c, zone), a) != ERR_OK)
    return c->e->status;
  for (uint32_t h = 0; h < n_hosts(p); h++) {
    size_t i = 0;
    plat_named x = {plat_host_name(p, h), host_kind(p, h, &i), 0};
    x.index = (uint32_t)i;
    if (check_name(c, &names, x, host_line(c, h), a) != ERR_OK) return c->e->status;
  }
  for (uint32_t l = 0; l < p->n_links; l++) {
    plat_named x = {p->links[l].name, PLAT_OBJ_LINK, l};
    if (check_name(c, &names, x, LINE(c, link[l]), a) != ERR_OK) return c->e->status;
  }
  return ERR_OK;
}

static void fill_rates(plat_engine *e) {
  for (int d = 0; d < DT_COUNT; d++) {
    if (e->rate_flops[d] == 0 || d == (int)e->native) e->rate_follows[d] = true;
    if (e->rate_follows[d]) e->rate_flops[d] = e->speed_flops;
  }
  if (e->vector_rate_flops == 0) e->vector_follows = true;
  if (e->vector_follows) e->vector_rate_flops = e->speed_flops / 32;
}

static int check_values(const check *c) {
  const platform *p = c->p;
  for (uint32_t h = 0; h < n_hosts(p); h++) {
    size_t i = 0;
    plat_obj kind = host_kind(p, h, &i);
    const void *object = kind == PLAT_OBJ_ENGINE ? (const void *)&p->engines[i]
                         : kind == PLAT_OBJ_SRAM ? (const void *)&p->srams[i]
                         : kind == PLAT_OBJ_DRAM ? (const void *)&p->dram
                                                 : (const void *)&p->dmas[i];
    if (plat_values_check(kind, object, c->e) == ERR_OK) continue;
    err_prefix(c->e, "host '%s'", plat_host_name(p, h));
    return at_line(c, host_line(c, h));
  }
  for (size_t l = 0; l < p->n_links; l++) {
    if (plat_values_check(PLAT_OBJ_LINK, &p->links[l], c->e) == ERR_OK) continue;
    err_prefix(c->e, "link '%s'", p->links[l].name);
    return at_line(c, LINE(c, link[l]));
  }
  return ERR_OK;
}

static int check_ends(const check *c, size_t route) {
  const platform *p = c->p;
  const plat_route *r = &p->routes[route];
  const char *src = plat_host_name(p, r->src), *dst = plat_host_name(p, r->dst);
  size_t i = 0;
  plat_obj a = host_kind(p, r->src, &i), b = host_kind(p, r->dst, &i);
  long line = LINE(c, route[route]);
  if (r->src == r->dst)
    return FAULT(c, line, "route '%s' -> '%s': a host needs no route to itself", src, dst);
  if ((a != PLAT_OBJ_SRAM && b != PLAT_OBJ_SRAM) || a == PLAT_OBJ_DMA || b == PLAT_OBJ_DMA)
    return FAULT(
        c, line,
        "route '%s' -> '%s' joins %s and %s; a route joins dram and sram, sram and engine, or "
        "two srams",
        src, dst, plat_obj_name(a), plat_obj_name(b));
  if (a == PLAT_OBJ_ENGINE && !r->symmetrical)
    return FAULT(
        c, line,
        "route '%s' -> '%s': one way from an engine carries nothing (operands and results are "
        "counted on the route from sram to engine); drop it, or turn it round",
        src, dst);
  return ERR_OK;
}

/* Derived fields of one route, after its links were found sound. */
static int check_links(const check *c, size_t route) {
  platform *p = c->p;
  plat_route *r = &p->routes[route];
  const char *src = plat_host_name(p, r->src), *dst = plat_host_name(p, r->dst);
  if (r->n_links < 1 || r->n_links > PLAT_MAX_ROUTE)
    return FAULT(c, LINE(c, route[route]),
                 "route '%s' -> '%s' crosses %u links; it must cross 1 to %d", src, dst, r->n_links,
                 PLAT_MAX_ROUTE);
  r->latency_s = 0;
  r->bandwidth_Bps = p->links[r->link[0]].bandwidth_Bps;
  for (uint32_t i = 0; i < r->n_links; i++) {
    const plat_link *l = &p->links[r->link[i]];
    for (uint32_t j = 0; j < i; j++)
      if (r->link[j] == r->link[i])
        return FAULT(c, LINE(c, route[route]), "route '%s' -> '%s' crosses link '%s' twice", src,
                     dst, l->name);
    r->latency_s += l->latency_s;
    if (l->bandwidth_Bps < r->bandwidth_Bps) r->bandwidth_Bps = l->bandwidth_Bps;
  }
  return ERR_OK;
}

static int check_routes(const check *c) {
  platform *p = c->p;
  for (size_t i = 0; i < p->n_routes; i++) p->routes[i].first = p->routes[i].next = 0;
  for (size_t i = 0; i < p->n_routes; i++) {
    plat_route *r = &p->routes[i];
    if (check_ends(c, i) != ERR_OK || check_links(c, i) != ERR_OK) return c->e->status;
    const plat_route *old = plat_find_route(p, r->src, r->dst);
    if (old == NULL && r->symmetrical) old = plat_find_route(p, r->dst, r->src);
    if (old != NULL)
      return FAULT(
          c, LINE(c, route[i]), "route '%s' -> '%s' is already given by route '%s' -> '%s'%s",
          plat_host_name(p, r->src), plat_host_name(p, r->dst), plat_host_name(p, old->src),
          plat_host_name(p, old->dst), old->symmetrical ? ", which is symmetrical" : "");
    size_t bucket = route_bucket(p, r->src, r->dst);
    r->next = p->routes[bucket].first;
    p->routes[bucket].first = (uint32_t)i + 1;
  }
  return ERR_OK;
}

/* Data comes into every sram and out of it, and at least one joins the dram both ways. */
static int check_srams(const check *c, arena *a) {
  const platform *p = c->p;
  uint32_t first = plat_host_sram(p, 0), dram = plat_host_dram(p);
  bool *into = ARENA_NEW(a, bool, p->n_srams), *from = ARENA_NEW(a, bool, p->n_srams),
       joined = false;
  for (size_t i = 0; i < p->n_routes; i++) {
    const plat_route *r = &p->routes[i];
    for (int turn = 0; turn <= (int)r->symmetrical; turn++) {
      uint32_t src = turn == 0 ? r->src : r->dst, dst = turn == 0 ? r->dst : r->src;
      if (src >= first && dst >= first && dst < dram) into[dst - first] = true;
      if (src >= first && src < dram) from[src - first] = true;
    }
  }
  for (uint32_t s = first; s < dram && !joined; s++)
    joined = plat_find_route(p, dram, s) != NULL && plat_find_route(p, s, dram) != NULL;
  bool to = plat_find_route(p, dram, first) != NULL;
  if (!joined)
    return FAULT(c, host_line(c, first),
                 "no route from '%s' to '%s'; loads and stores need both ways%s",
                 plat_host_name(p, to ? first : dram), plat_host_name(p, to ? dram : first),
                 p->n_srams > 1 ? ", to and from one sram at least" : "");
  for (size_t s = 0; s < p->n_srams; s++)
    if (!into[s] || !from[s])
      return FAULT(
          c, host_line(c, plat_host_sram(p, s)),
          "no route %s sram '%s'; data comes in from the dram or another sram, and goes out "
          "to an engine, the dram or another sram",
          into[s] ? "out of" : "into", p->srams[s].name);
  return ERR_OK;
}

static int check_reach(const check *c) {
  const platform *p = c->p;
  for (size_t i = 0; i < p->n_engines; i++) {
    bool served = false;
    for (size_t s = 0; s < p->n_srams && !served; s++)
      served = plat_find_route(p, plat_host_sram(p, s), plat_host_engine(p, i)) != NULL;
    if (!served)
      return FAULT(
          c, host_line(c, plat_host_engine(p, i)),
          "no route from an sram to engine '%s'; add one, as in <route src=\"%s\" dst=\"%s\">",
          p->engines[i].name, p->srams[0].name, p->engines[i].name);
  }
  return ERR_OK;
}

/* What crosses a link. */
typedef struct link_use {
  bool used, dram, sole; /* sole: the only link of an engine's route */
  uint32_t engine;       /* the one engine's id; PLAT_NONE: no engine */
  bool engines;          /* more than one engine */
} link_use;

static void use_links(const platform *p, const plat_route *r, link_use *use) {
  uint32_t dram = plat_host_dram(p), engine = PLAT_NONE;
  if (r->src < p->n_engines) engine = r->src;
  if (r->dst < p->n_engines) engine = r->dst;
  for (uint32_t i = 0; i < r->n_links; i++) {
    link_use *u = &use[r->link[i]];
    u->used = true;
    u->dram |= r->src == dram || r->dst == dram;
    u->sole |= engine != PLAT_NONE && r->n_links == 1;
    u->engines |= u->engine != PLAT_NONE && engine != PLAT_NONE && u->engine != engine;
    if (engine != PLAT_NONE) u->engine = engine;
  }
}

static int check_uses(const check *c, arena *a) {
  platform *p = c->p;
  link_use *use = ARENA_NEW(a, link_use, p->n_links);
  for (size_t l = 0; l < p->n_links; l++) use[l].engine = PLAT_NONE;
  for (size_t i = 0; i < p->n_routes; i++) use_links(p, &p->routes[i], use);
  for (size_t l = 0; l < p->n_links; l++) {
    const link_use *u = &use[l];
    plat_link *link = &p->links[l];
    if (!u->used)
      return FAULT(c, LINE(c, link[l]), "link '%s' is on no route; add it to one or drop it",
                   link->name);
    if (link->role != PLAT_LINK_AUTO) continue;
    bool private = u->engine != PLAT_NONE && !u->engines && !u->dram;
    link->role = PLAT_LINK_SRAM;
    if (u->dram && u->engine == PLAT_NONE) link->role = PLAT_LINK_DRAM;
    if (private && (p->n_engines > 1 || !u->sole)) link->role = PLAT_LINK_PORT;
    if (name_misleads(link->name, PLAT_OBJ_LINK, link->role))
      return FAULT(c, LINE(c, link[l]),
                   "link '%s': that is the name of a role, and its own is '%s'; rename it",
                   link->name, plat_link_role_name(link->role));
  }
  return ERR_OK;
}

int plat_check_at(platform *p, const plat_lines *at, err *e) {
  check c = {p, at, e};
  arena scratch = {0};
  int status = check_counts(&c);
  if (status == ERR_OK) status = check_names(&c, &scratch);
  for (size_t i = 0; status == ERR_OK && i < p->n_engines; i++) fill_rates(&p->engines[i]);
  if (status == ERR_OK) status = check_values(&c);
  if (status == ERR_OK) status = check_routes(&c);
  if (status == ERR_OK) status = check_srams(&c, &scratch);
  if (status == ERR_OK) status = check_reach(&c);
  if (status == ERR_OK) status = check_uses(&c, &scratch);
  arena_free(&scratch);
  return status;
}

int plat_check(platform *p, err *e) {
  return plat_check_at(p, NULL, e);
}
