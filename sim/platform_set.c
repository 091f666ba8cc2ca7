#include "sim/platform_priv.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* An override is applied to a copy, which replaces the original only when all is well. */

static void *dup(arena *a, const void *items, size_t n, size_t size) {
  void *copy = arena_alloc(a, n, size);
  if (n > 0) memcpy(copy, items, n * size);
  return copy;
}
#define DUP(a, items, n) dup((a), (items), (n), sizeof *(items))

static platform copy_of(const platform *p, arena *a) {
  platform q = *p;
  q.engines = DUP(a, p->engines, p->n_engines);
  q.srams = DUP(a, p->srams, p->n_srams);
  q.dmas = DUP(a, p->dmas, p->n_dmas);
  q.links = DUP(a, p->links, p->n_links);
  q.routes = DUP(a, p->routes, p->n_routes);
  return q;
}

/* the number of engines */

/* By sram: the engine with which it comes and goes, or PLAT_NONE. */
static uint32_t *pads_of(const platform *p, arena *a) {
  uint32_t *pad = ARENA_NEW(a, uint32_t, p->n_srams);
  bool *has = ARENA_NEW(a, bool, p->n_engines), all = true;
  for (size_t s = 0; s < p->n_srams; s++) {
    pad[s] = plat_pad_of(p, s);
    if (pad[s] != PLAT_NONE) has[pad[s]] = true;
  }
  for (size_t e = 0; e < p->n_engines; e++) all &= has[e];
  for (size_t s = 0; s < p->n_srams && !all; s++) pad[s] = PLAT_NONE;
  return pad;
}

/* Drops the scratchpads of engines from n on. Returns the new host ids by old ones, PLAT_NONE for
 * what goes. */
static uint32_t *drop_hosts(platform *p, size_t n, arena *a) {
  const uint32_t *pad = pads_of(p, a);
  size_t srams = 0, old = p->n_engines + p->n_srams;
  uint32_t *id = ARENA_NEW(a, uint32_t, old + 1);
  for (uint32_t e = 0; e < p->n_engines; e++) id[e] = e < n ? e : PLAT_NONE;
  for (size_t s = 0; s < p->n_srams; s++) {
    bool goes = pad[s] != PLAT_NONE && pad[s] >= n;
    id[p->n_engines + s] = goes ? PLAT_NONE : (uint32_t)(n + srams);
    if (!goes) p->srams[srams++] = p->srams[s];
  }
  id[old] = (uint32_t)(n + srams);
  p->n_engines = n;
  p->n_srams = srams;
  return id;
}

static void drop_engines(platform *p, size_t n, arena *a) {
  uint32_t *id = ARENA_NEW(a, uint32_t, p->n_links); /* new id + 1 of a link still in use */
  const uint32_t *host = drop_hosts(p, n, a);
  size_t routes = 0, links = 0;
  for (size_t i = 0; i < p->n_routes; i++) {
    plat_route r = p->routes[i];
    r.src = host[r.src];
    r.dst = host[r.dst];
    if (r.src == PLAT_NONE || r.dst == PLAT_NONE) continue;
    for (uint32_t k = 0; k < r.n_links; k++) id[r.link[k]] = 1;
    p->routes[routes++] = r;
  }
  for (size_t l = 0; l < p->n_links; l++) {
    if (id[l] == 0) continue;
    p->links[links] = p->links[l];
    id[l] = (uint32_t)++links;
  }
  for (size_t i = 0; i < routes; i++)
    for (uint32_t k = 0; k < p->routes[i].n_links; k++)
      p->routes[i].link[k] = id[p->routes[i].link[k]] - 1;
  p->n_routes = routes;
  p->n_links = links;
}

/* "engine3" -> "engine4", or the next number that is free. The width of "engine03" is kept. */
static const char *next_name(plat_names *names, const char *name, plat_obj obj, arena *a) {
  size_t stem = strlen(name);
  while (stem > 0 && isdigit((unsigned char)name[stem - 1]) && strlen(name) - stem < 9) stem--;
  int width = (int)(strlen(name) - stem);
  unsigned number = 0;
  sscanf(name + stem, "%u", &number);
  for (;;) {
    char *next = arena_printf(a, "%.*s%0*u", (int)stem, name, width, ++number);
    if (plat_names_add(names, (plat_named){next, obj, 0}, a)) return next;
  }
}

static void collect_names(const platform *p, plat_names *names, arena *a) {
  bool ok = plat_names_add(names, (plat_named){p->name, PLAT_OBJ_COUNT, 0}, a);
  size_t hosts = p->n_engines + p->n_srams + 1 + p->n_dmas;
  for (uint32_t h = 0; h < hosts; h++)
    ok &= plat_names_add(names, (plat_named){plat_host_name(p, h), PLAT_OBJ_ENGINE, h}, a);
  for (uint32_t l = 0; l < p->n_links; l++)
    ok &= plat_names_add(names, (plat_named){p->links[l].name, PLAT_OBJ_LINK, l}, a);
  assert(ok); /* plat_check keeps them unique */
  (void)ok;
}

/* What it takes to clone the last engine: its routes and its scratchpads', and for each link
 * whether it serves no other engine. */
typedef struct mould {
  const plat_route **routes;
  size_t n_routes, n_private, n_pads;
  bool *pad;              /* by sram: it is the engine's own */
  const char **pad_name;  /* the latest clone's, by sram */
  bool *private;          /* by link */
  const char **link_name; /* the latest clone's, by link */
  uint32_t *link_id;
} mould;

/* Is the host the engine of the mould, or a scratchpad of it? */
static bool in_mould(const platform *p, const mould *m, uint32_t host) {
  size_t s = (size_t)host - p->n_engines;
  return host == p->n_engines - 1 || (host >= p->n_engines && s < p->n_srams && m->pad[s]);
}

static mould mould_of(const platform *p, arena *a) {
  uint32_t last = (uint32_t)(p->n_engines - 1);
  mould m = {.routes = ARENA_NEW(a, const plat_route *, p->n_routes),
             .pad = ARENA_NEW(a, bool, p->n_srams),
             .pad_name = ARENA_NEW(a, const char *, p->n_srams),
             .private = ARENA_NEW(a, bool, p->n_links),
             .link_name = ARENA_NEW(a, const char *, p->n_links),
             .link_id = ARENA_NEW(a, uint32_t, p->n_links)};
  const uint32_t *pad = pads_of(p, a);
  for (size_t s = 0; s < p->n_srams; s++) {
    m.pad[s] = pad[s] == last;
    m.pad_name[s] = p->srams[s].name;
    m.n_pads += m.pad[s];
  }
  for (size_t i = 0; i < p->n_routes; i++) {
    const plat_route *r = &p->routes[i];
    if (!in_mould(p, &m, r->src) && !in_mould(p, &m, r->dst)) continue;
    m.routes[m.n_routes++] = r;
    for (uint32_t k = 0; k < r->n_links; k++)
      m.private[r->link[k]] = p->links[r->link[k]].role == PLAT_LINK_PORT;
  }
  for (size_t i = 0; i < p->n_routes; i++) {
    const plat_route *r = &p->routes[i];
    for (uint32_t k = 0; k < r->n_links; k++)
      if (!in_mould(p, &m, r->src) && !in_mould(p, &m, r->dst)) m.private[r->link[k]] = false;
  }
  for (uint32_t l = 0; l < p->n_links; l++) {
    m.link_name[l] = p->links[l].name;
    m.link_id[l] = l;
    m.n_private += m.private[l];
  }
  return m;
}

/* Engine `c` of q, as the last of p, whose arrays q already holds with room for more. */
static void add_clone(platform *q, const platform *p, mould *m, plat_names *names, size_t c,
                      arena *a) {
  size_t last = p->n_engines - 1, old = p->n_engines + p->n_srams;
  uint32_t *host = ARENA_NEW(a, uint32_t, old + 1); /* what a route of the mould joins here */
  size_t srams = p->n_srams + (c - p->n_engines) * m->n_pads;
  for (uint32_t e = 0; e < p->n_engines; e++) host[e] = e == last ? (uint32_t)c : e;
  for (size_t s = 0; s < p->n_srams; s++) {
    host[p->n_engines + s] = plat_host_sram(q, m->pad[s] ? srams : s);
    if (!m->pad[s]) continue;
    m->pad_name[s] = next_name(names, m->pad_name[s], PLAT_OBJ_SRAM, a);
    q->srams[srams] = p->srams[s];
    q->srams[srams++].name = m->pad_name[s];
  }
  host[old] = plat_host_dram(q);
  q->engines[c] = p->engines[last];
  q->engines[c].name = next_name(names, q->engines[c - 1].name, PLAT_OBJ_ENGINE, a);
  for (uint32_t l = 0; l < p->n_links; l++) {
    if (!m->private[l]) continue;
    m->link_name[l] = next_name(names, m->link_name[l], PLAT_OBJ_LINK, a);
    m->link_id[l] = (uint32_t)q->n_links;
    q->links[q->n_links] = p->links[l];
    q->links[q->n_links++].name = m->link_name[l];
  }
  for (size_t i = 0; i < m->n_routes; i++) {
    plat_route r = *m->routes[i];
    r.src = host[r.src];
    r.dst = host[r.dst];
    for (uint32_t k = 0; k < r.n_links; k++) r.link[k] = m->link_id[r.link[k]];
    q->routes[q->n_routes++] = r;
  }
}

/* An old host's new id, where all of them stay and more came behind those of their kind. */
static uint32_t moved(const platform *p, const platform *q, uint32_t host) {
  if (host < p->n_engines) return host;
  if (host < plat_host_dram(p)) return (uint32_t)(host - p->n_engines + q->n_engines);
  return host - plat_host_dram(p) + plat_host_dram(q);
}

static int clone_engines(platform *p, size_t n, arena *a, err *e) {
  arena scratch = {0};
  mould m = mould_of(p, &scratch);
  size_t old = p->n_engines, more = n - old, links = p->n_links + more * m.n_private;
  size_t routes = p->n_routes + more * m.n_routes, srams = p->n_srams + more * m.n_pads;
  if (srams > PLAT_MAX_SRAMS) {
    arena_free(&scratch);
    return err_set(e, ERR_BAD, "that makes %zu srams; at most %d are supported", srams,
                   PLAT_MAX_SRAMS);
  }
  if (links > PLAT_MAX_LINKS || routes > PLAT_MAX_ROUTES) {
    arena_free(&scratch);
    return err_set(e, ERR_BAD,
                   "that makes %zu links and %zu routes; at most %d and %d are supported", links,
                   routes, PLAT_MAX_LINKS, PLAT_MAX_ROUTES);
  }
  platform q = *p;
  q.n_engines = n;
  q.n_srams = srams;
  plat_names names = {0};
  collect_names(p, &names, &scratch);
  q.engines = ARENA_NEW(a, plat_engine, n);
  q.srams = ARENA_NEW(a, plat_memory, srams);
  q.links = ARENA_NEW(a, plat_link, links);
  q.routes = ARENA_NEW(a, plat_route, routes);
  memcpy(q.engines, p->engines, old * sizeof *q.engines);
  memcpy(q.srams, p->srams, p->n_srams * sizeof *q.srams);
  memcpy(q.links, p->links, p->n_links * sizeof *q.links);
  for (size_t i = 0; i < p->n_routes; i++) {
    q.routes[i] = p->routes[i];
    q.routes[i].src = moved(p, &q, p->routes[i].src);
    q.routes[i].dst = moved(p, &q, p->routes[i].dst);
  }
  for (size_t c = old; c < n; c++) add_clone(&q, p, &m, &names, c, a);
  *p = q;
  arena_free(&scratch);
  return ERR_OK;
}

static int set_engines(platform *p, const char *value, arena *a, err *e) {
  uint64_t n = 0;
  if (units_parse_u64(value, 1, PLAT_MAX_ENGINES, &n, e) != ERR_OK) return err_prefix(e, "engines");
  if (n > p->n_engines) return clone_engines(p, (size_t)n, a, e);
  arena scratch = {0};
  if (n < p->n_engines) drop_engines(p, (size_t)n, &scratch);
  arena_free(&scratch);
  return ERR_OK;
}

/* properties */

/* What the part of a key before its dot stands for: all things of a role, or one thing. Where a
 * role is of hosts and of links ("dram"), it stands for both: their properties have different
 * names. */
typedef struct target {
  plat_obj host;       /* PLAT_OBJ_COUNT: no hosts */
  plat_link_role role; /* PLAT_LINK_AUTO: no links by role */
  const char *name;    /* one host or link of that name; NULL: all of the role */
} target;

static bool has_link_role(const platform *p, plat_link_role role) {
  for (size_t l = 0; l < p->n_links; l++)
    if (p->links[l].role == role) return true;
  return false;
}

/* The n-th host of a kind, NULL after the last. */
static void *host_at(platform *p, plat_obj kind, size_t n, const char **name) {
  void *object = NULL;
  if (kind == PLAT_OBJ_ENGINE && n < p->n_engines) object = &p->engines[n];
  if (kind == PLAT_OBJ_SRAM && n < p->n_srams) object = &p->srams[n];
  if (kind == PLAT_OBJ_DRAM && n < 1) object = &p->dram;
  if (kind == PLAT_OBJ_DMA && n < p->n_dmas) object = &p->dmas[n];
  if (object == NULL) return NULL;
  switch (kind) {
  case PLAT_OBJ_ENGINE:
    *name = p->engines[n].name;
    break;
  case PLAT_OBJ_DMA:
    *name = p->dmas[n].name;
    break;
  default:
    *name = ((plat_memory *)object)->name;
  }
  return object;
}

static bool find_target(platform *p, const char *left, target *t) {
  *t = (target){plat_role_parse(left), plat_link_role_parse(left), NULL};
  if (t->role != PLAT_LINK_AUTO && !has_link_role(p, t->role)) t->role = PLAT_LINK_AUTO;
  if (t->host != PLAT_OBJ_COUNT || t->role != PLAT_LINK_AUTO) return true;
  t->name = left;
  const char *name = NULL;
  for (int kind = 0; kind < PLAT_OBJ_LINK; kind++)
    for (size_t i = 0; host_at(p, (plat_obj)kind, i, &name) != NULL; i++)
      if (strcmp(name, left) == 0) return t->host = (plat_obj)kind, true;
  for (size_t l = 0; l < p->n_links; l++)
    if (strcmp(p->links[l].name, left) == 0) return t->role = p->links[l].role, true;
  return false;
}

static char *target_keys(const target *t, const char *sep, arena *a) {
  char *host = t->host == PLAT_OBJ_COUNT ? arena_strdup(a, "")
                                         : plat_keys_list(t->host, PLAT_LIST_KEYS, sep, a);
  if (t->role == PLAT_LINK_AUTO) return host;
  return arena_printf(a, "%s%s%s", host, *host ? sep : "",
                      plat_keys_list(PLAT_OBJ_LINK, PLAT_LIST_KEYS, sep, a));
}

/* "engine0 engine1 ... engine63": names of one kind, the middle of long rows left out. */
static char *some_names(platform *p, plat_obj kind, arena *a) {
  char *list = arena_strdup(a, "");
  size_t n = kind == PLAT_OBJ_LINK ? p->n_links : 0;
  const char *name = NULL;
  while (kind != PLAT_OBJ_LINK && host_at(p, kind, n, &name) != NULL) n++;
  for (size_t i = 0; i < n; i++) {
    if (kind == PLAT_OBJ_LINK)
      name = p->links[i].name;
    else
      host_at(p, kind, i, &name);
    if (n <= 8 || i < 6 || i == n - 1)
      list = arena_printf(a, "%s, %s", list, name);
    else if (i == 6)
      list = arena_printf(a, "%s, ...", list);
  }
  return list;
}

static int no_such_key(platform *p, err *e) {
  static const char *const WORDS[] = {"engine", "sram", "dram", "dma", "port"};
  arena a = {0};
  char *list = arena_strdup(&a, "engines");
  for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
    target t;
    if (find_target(p, WORDS[i], &t) && t.name == NULL)
      list = arena_printf(&a, "%s, %s.{%s}", list, WORDS[i], target_keys(&t, ",", &a));
  }
  char *names = arena_strdup(&a, "");
  for (int k = 0; k < PLAT_OBJ_COUNT; k++)
    names = arena_printf(&a, "%s%s", names, some_names(p, (plat_obj)k, &a));
  int status =
      err_set(e, ERR_BAD, "no such key; this platform has: %s; and by name: %s", list, names + 2);
  arena_free(&a);
  return status;
}

static int no_such_property(const target *t, const char *left, const char *key, err *e) {
  arena a = {0};
  int status =
      err_set(e, ERR_BAD, "'%s' has no '%s'; it has: %s", left, key, target_keys(t, " ", &a));
  arena_free(&a);
  return status;
}

static int set_property(platform *p, const char *left, const char *key, const char *value, err *e) {
  target t;
  if (!find_target(p, left, &t)) return no_such_key(p, e);
  plat_key host = {0}, link = {0};
  if (t.host != PLAT_OBJ_COUNT) host = plat_key_find(t.host, key);
  if (t.role != PLAT_LINK_AUTO) link = plat_key_find(PLAT_OBJ_LINK, key);
  if (host.prop != NULL && (host.prop->flags & PROP_FIXED)) host.prop = NULL;
  if (host.prop == NULL && link.prop == NULL) return no_such_property(&t, left, key, e);
  const char *name = NULL;
  void *object = NULL;
  for (size_t i = 0; host.prop != NULL && (object = host_at(p, t.host, i, &name)) != NULL; i++)
    if ((t.name == NULL || strcmp(t.name, name) == 0) &&
        plat_key_set(host, object, value, false, e) != ERR_OK)
      return e->status;
  for (size_t l = 0; link.prop != NULL && l < p->n_links; l++) {
    bool hit = t.name == NULL ? p->links[l].role == t.role : strcmp(t.name, p->links[l].name) == 0;
    if (hit && plat_key_set(link, &p->links[l], value, false, e) != ERR_OK) return e->status;
  }
  return ERR_OK;
}

/* An earlier override of the same key says nothing any more. */
static void record(platform *p, const char *key, const char *value, arena *a) {
  plat_override *list = ARENA_NEW(a, plat_override, p->n_overrides + 1);
  size_t n = 0;
  for (size_t i = 0; i < p->n_overrides; i++)
    if (strcmp(p->overrides[i].key, key) != 0) list[n++] = p->overrides[i];
  list[n++] = (plat_override){key, arena_strdup(a, value)};
  p->overrides = list;
  p->n_overrides = n;
}

int plat_set(platform *p, const char *assignment, arena *a, err *e) {
  const char *equals = strchr(assignment, '=');
  if (equals == NULL || equals == assignment || equals[1] == '\0')
    return err_set(e, ERR_BAD, "--set %.200s: it must be KEY=VALUE, as in engines=8", assignment);
  char *key = arena_strndup(a, assignment, (size_t)(equals - assignment));
  const char *value = equals + 1, *dot = strchr(key, '.');
  platform q = copy_of(p, a);
  int status = ERR_OK;
  if (strcmp(key, "engines") == 0)
    status = set_engines(&q, value, a, e);
  else if (dot == NULL || dot == key)
    status = no_such_key(&q, e);
  else
    status = set_property(&q, arena_strndup(a, key, (size_t)(dot - key)), dot + 1, value, e);
  if (status == ERR_OK) status = plat_check(&q, e);
  if (status != ERR_OK) {
    err_prefix(e, "--set %.200s", assignment);
    return plat_one_line(e);
  }
  record(&q, key, value, a);
  *p = q;
  return ERR_OK;
}
