#include "sim/platform_xml.h"

#include <string.h>

#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <libxml/tree.h>

#include "sim/platform_priv.h"

#if LIBXML_VERSION >= 21200
typedef const xmlError *xml_error;
#else
typedef xmlErrorPtr xml_error;
#endif

/* step 1: well-formed XML, as a tree */

typedef struct source {
  const char *where;
  err *e;
} source;

/* A warning counts as a fault: with a DOCTYPE, an unknown entity is only a warning, and its text
 * would be lost. */
static void on_error(void *context, xml_error error) {
  const source *s = ((xmlParserCtxt *)context)->_private;
  const char *text = error->message == NULL ? "unknown error" : error->message;
  err_set(s->e, ERR_BAD, "%s:%d: not well-formed XML: %.*s", s->where, error->line,
          (int)strcspn(text, "\n"), text);
}

static void refuse(void *context, const char *what) {
  xmlParserCtxt *ctxt = context;
  const source *s = ctxt->_private;
  err_set(s->e, ERR_BAD, "%s:%d: %s", s->where, ctxt->input == NULL ? 0 : ctxt->input->line, what);
  xmlStopParser(ctxt);
}

#define NO_DECLARATIONS                                                                            \
  "declarations inside DOCTYPE (entities, elements, attributes) are not allowed; remove [...]"

#define DOCTYPE "<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">"

/* Refusing the declaration, rather than a use, leaves nothing to expand. */
static void on_entity(void *ctx, const xmlChar *name, int type, const xmlChar *public_id,
                      const xmlChar *system_id, xmlChar *text) {
  (void)name, (void)type, (void)public_id, (void)system_id, (void)text;
  refuse(ctx, NO_DECLARATIONS);
}

static void on_unparsed(void *ctx, const xmlChar *name, const xmlChar *public_id,
                        const xmlChar *system_id, const xmlChar *notation) {
  (void)name, (void)public_id, (void)system_id, (void)notation;
  refuse(ctx, NO_DECLARATIONS);
}

static void on_notation(void *ctx, const xmlChar *name, const xmlChar *public_id,
                        const xmlChar *system_id) {
  (void)name, (void)public_id, (void)system_id;
  refuse(ctx, NO_DECLARATIONS);
}

static void on_element_decl(void *ctx, const xmlChar *name, int type, xmlElementContent *model) {
  (void)name, (void)type, (void)model;
  refuse(ctx, NO_DECLARATIONS);
}

static void on_attribute_decl(void *ctx, const xmlChar *element, const xmlChar *name, int type,
                              int def, const xmlChar *value, xmlEnumeration *tree) {
  (void)element, (void)name, (void)type, (void)def, (void)value;
  xmlFreeEnumeration(tree); /* ours to free, by the SAX contract */
  refuse(ctx, NO_DECLARATIONS);
}

static void on_doctype(void *ctx, const xmlChar *name, const xmlChar *public_id,
                       const xmlChar *system_id) {
  static const char DTD[] = "simgrid.dtd";
  size_t n = system_id == NULL ? 0 : strlen((const char *)system_id);
  bool ours = system_id == NULL ||
              (n >= strlen(DTD) && strcmp((const char *)system_id + n - strlen(DTD), DTD) == 0);
  if (public_id != NULL || !ours || strcmp((const char *)name, "platform") != 0) {
    refuse(ctx, "DOCTYPE must be " DOCTYPE ", or left out");
    return;
  }
  xmlSAX2InternalSubset(ctx, name, public_id, system_id); /* owns the comments in a [...] */
}

/* libxml2 gives an element the line where its tag ends, in 16 bits. We look for the start: a tag
 * holds no other '<'. */
static void on_start(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                     int n_ns, const xmlChar **ns, int n_attributes, int n_defaulted,
                     const xmlChar **attributes) {
  xmlParserCtxt *ctxt = context;
  const xmlParserInput *in = ctxt->input;
  long line = in->line;
  for (const xmlChar *s = in->cur; s > in->base && *s != '<'; s--) line -= *s == '\n';
  const xmlNode *parent = ctxt->node;
  xmlSAX2StartElementNs(context, name, prefix, uri, n_ns, ns, n_attributes, n_defaulted,
                        attributes);
  if (ctxt->node != NULL && ctxt->node != parent) ctxt->node->_private = (void *)(intptr_t)line;
}

static xmlDoc *parse_tree(const source *s, const unsigned char *data, size_t len) {
  xmlParserCtxt *ctxt = xmlNewParserCtxt();
  if (ctxt == NULL) {
    err_set(s->e, ERR_INTERNAL, "%s: out of memory", s->where);
    return NULL;
  }
  ctxt->_private = (void *)s;
  xmlSAXHandler *sax = ctxt->sax;
  sax->serror = on_error;
  sax->internalSubset = on_doctype;
  sax->entityDecl = on_entity;
  sax->unparsedEntityDecl = on_unparsed;
  sax->notationDecl = on_notation;
  sax->elementDecl = on_element_decl;
  sax->attributeDecl = on_attribute_decl;
  sax->startElementNs = on_start;
  xmlDoc *doc = xmlCtxtReadMemory(ctxt, (const char *)data, (int)len, NULL, NULL,
                                  XML_PARSE_NONET | XML_PARSE_BIG_LINES);
  if (doc == NULL || !ctxt->wellFormed)
    err_set(s->e, ERR_BAD, "%s:1: not well-formed XML", s->where);
  xmlFreeParserCtxt(ctxt);
  if (s->e->status == ERR_OK) return doc;
  xmlFreeDoc(doc);
  return NULL;
}

/* step 3 (step 2 is plat_schema_check): our rules */

typedef struct longs {
  long *items;
  size_t cap;
} longs;

typedef struct reader {
  const char *where;
  platform p;
  plat_lines lines;
  size_t cap_engines, cap_srams, cap_dmas, cap_links, cap_routes;
  longs engine, sram, dma, link, route;
  plat_names names;
  arena *a;
  arena scratch;
  err *e;
} reader;

static long line_of(const xmlNode *n) {
  return (long)(intptr_t)n->_private;
}

#define FAULT(r, node, ...)                                                                        \
  (err_set((r)->e, ERR_BAD, __VA_ARGS__), err_prefix((r)->e, "%s:%ld", (r)->where, line_of(node)))

/* PUSH(r, kind, x): an object and its line */
#define PUSH(r, kind, x, node)                                                                     \
  do {                                                                                             \
    size_t n_ = (r)->p.n_##kind##s;                                                                \
    ARENA_PUSH(&(r)->scratch, (r)->kind.items, n_, (r)->kind.cap, line_of(node));                  \
    ARENA_PUSH((r)->a, (r)->p.kind##s, (r)->p.n_##kind##s, (r)->cap_##kind##s, x);                 \
  } while (0)

/* The schema has made sure that attributes it calls needed are there. */
static char *attribute(const xmlNode *n, const char *name, arena *a) {
  xmlChar *v = xmlGetNoNsProp(n, (const xmlChar *)name);
  char *copy = v == NULL ? NULL : arena_strdup(a, (const char *)v);
  xmlFree(v);
  return copy;
}

static bool is(const xmlNode *n, const char *name) {
  return n->type == XML_ELEMENT_NODE && strcmp((const char *)n->name, name) == 0;
}

static const xmlNode *next_named(const xmlNode *n, const char *name) {
  while (n != NULL && !is(n, name)) n = n->next;
  return n;
}

static int add_name(reader *r, const xmlNode *n, const char *what, plat_named x) {
  if (!plat_name_ok(x.name)) return FAULT(r, n, "%s '%.80s': " PLAT_NAME_RULE, what, x.name);
  if (plat_names_add(&r->names, x, &r->scratch)) return ERR_OK;
  return FAULT(r, n, "%s '%s': that name is taken; zone, hosts and links need names of their own",
               what, x.name);
}

/* Finds the value of one of a host's or link's properties, refusing a second one. */
static int find_prop(reader *r, const xmlNode *n, const char *what, const char *name,
                     const char *id, const char **value, const xmlNode **at) {
  *value = NULL;
  *at = n;
  for (const xmlNode *x = n->children; (x = next_named(x, "prop")) != NULL; x = x->next) {
    if (strcmp(attribute(x, "id", &r->scratch), id) != 0) continue;
    if (*value != NULL) return FAULT(r, x, "%s '%s': property '%s' is there twice", what, name, id);
    *value = attribute(x, "value", &r->scratch);
    *at = x;
  }
  return ERR_OK;
}

static int set_value(reader *r, const xmlNode *n, const char *what, const char *name, plat_key k,
                     void *object, const char *text) {
  if (plat_key_set(k, object, text, true, r->e) == ERR_OK) return ERR_OK;
  err_prefix(r->e, "%s '%s'", what, name);
  return err_prefix(r->e, "%s:%ld", r->where, line_of(n));
}

typedef union host_object {
  plat_engine engine;
  plat_memory memory;
  plat_dma dma;
} host_object;

/* All <prop>s but role; `native` comes first, as a rate may not be that of the native dtype. */
static int read_props(reader *r, const xmlNode *n, const char *name, plat_obj role,
                      host_object *object) {
  unsigned char seen[PLAT_KEY_ORDINALS] = {0};
  const char *native = NULL;
  const xmlNode *at = n;
  if (find_prop(r, n, "host", name, "native", &native, &at) != ERR_OK) return r->e->status;
  plat_key first = plat_key_find(role, "native");
  if (native != NULL && first.prop != NULL &&
      set_value(r, at, "host", name, first, object, native) != ERR_OK)
    return r->e->status;
  for (const xmlNode *x = n->children; (x = next_named(x, "prop")) != NULL; x = x->next) {
    const char *id = attribute(x, "id", &r->scratch);
    if (strcmp(id, "role") == 0) continue;
    plat_key k = plat_key_find(role, id);
    if (k.prop == NULL || (k.prop->flags & PROP_ATTRIBUTE))
      return FAULT(r, x, "host '%s': unknown property '%.80s' of %s; allowed: role %s", name, id,
                   plat_obj_name(role), plat_keys_list(role, PLAT_LIST_PROPS, " ", &r->scratch));
    if (seen[plat_key_ordinal(k)]++)
      return FAULT(r, x, "host '%s': property '%s' is there twice", name, id);
    if (k.prop == first.prop) continue;
    const char *value = attribute(x, "value", &r->scratch);
    if (set_value(r, x, "host", name, k, object, value) != ERR_OK) return r->e->status;
  }
  return ERR_OK;
}

static int read_speed(reader *r, const xmlNode *n, const char *name, plat_obj role,
                      host_object *object) {
  const char *speed = attribute(n, "speed", &r->scratch);
  if (role == PLAT_OBJ_ENGINE)
    return set_value(r, n, "host", name, plat_key_find(role, "speed"), object, speed);
  err ignored = {0};
  double v = 0;
  if (units_parse(UNITS_SPEED, speed, true, &v, &ignored) == ERR_OK && v == 1) return ERR_OK;
  return FAULT(
      r, n, "host '%s': speed is '%.40s'; a host of role %s does not compute, write speed=\"1f\"",
      name, speed, plat_obj_name(role));
}

static int push_host(reader *r, const xmlNode *n, const char *name, plat_obj role, host_object *o) {
  plat_named x = {name, role, 0};
  switch (role) {
  case PLAT_OBJ_ENGINE:
    x.index = (uint32_t)r->p.n_engines;
    o->engine.name = name;
    PUSH(r, engine, o->engine, n);
    break;
  case PLAT_OBJ_DMA:
    x.index = (uint32_t)r->p.n_dmas;
    o->dma.name = name;
    PUSH(r, dma, o->dma, n);
    break;
  default:
    o->memory.name = name;
    o->memory.role = (plat_role)role;
    if (role == PLAT_OBJ_SRAM) {
      x.index = (uint32_t)r->p.n_srams;
      if (o->memory.capacity_B == 0)
        return FAULT(
            r, n,
            "host '%s': a sram needs a capacity, as in <prop id=\"capacity\" value=\"8MiB\"/>",
            name);
      PUSH(r, sram, o->memory, n);
    } else {
      if (r->p.dram.name != NULL)
        return FAULT(
            r, n,
            "host '%s': a second host of role dram, after '%s' (line %ld); only one is allowed",
            name, r->p.dram.name, r->lines.dram);
      r->p.dram = o->memory;
      r->lines.dram = line_of(n);
    }
  }
  return add_name(r, n, "host", x);
}

static int read_host(reader *r, const xmlNode *n) {
  const char *name = attribute(n, "id", r->a), *word = NULL;
  const xmlNode *at = n;
  if (find_prop(r, n, "host", name, "role", &word, &at) != ERR_OK) return r->e->status;
  if (word == NULL)
    return FAULT(
        r, n,
        "host '%.80s' has no role; add <prop id=\"role\" value=\"engine\"/> (or sram, dram, dma)",
        name);
  plat_obj role = plat_role_parse(word);
  if (role == PLAT_OBJ_COUNT)
    return FAULT(r, at, "host '%.80s': unknown role '%.80s'; allowed: engine sram dram dma", name,
                 word);
  host_object object;
  memset(&object, 0, sizeof object);
  plat_values_default(role, &object);
  if (read_speed(r, n, name, role, &object) != ERR_OK) return r->e->status;
  if (read_props(r, n, name, role, &object) != ERR_OK) return r->e->status;
  return push_host(r, n, name, role, &object);
}

static int read_link(reader *r, const xmlNode *n) {
  plat_link link = {.name = attribute(n, "id", r->a)};
  const char *ATTRIBUTES[] = {"bandwidth", "latency"}, *role = NULL;
  const xmlNode *at = n;
  for (size_t i = 0; i < 2; i++) {
    const char *text = attribute(n, ATTRIBUTES[i], &r->scratch);
    plat_key k = plat_key_find(PLAT_OBJ_LINK, ATTRIBUTES[i]);
    if (text != NULL && set_value(r, n, "link", link.name, k, &link, text) != ERR_OK)
      return r->e->status;
  }
  const char *policy = attribute(n, "sharing_policy", &r->scratch);
  link.fatpipe = policy != NULL && strcmp(policy, "FATPIPE") == 0;
  if (find_prop(r, n, "link", link.name, "role", &role, &at) != ERR_OK) return r->e->status;
  for (const xmlNode *x = n->children; (x = next_named(x, "prop")) != NULL; x = x->next) {
    const char *id = attribute(x, "id", &r->scratch);
    if (strcmp(id, "role") != 0)
      return FAULT(r, x, "link '%.80s': unknown property '%.80s'; allowed: role", link.name, id);
  }
  if (role != NULL && (link.role = plat_link_role_parse(role)) == PLAT_LINK_AUTO)
    return FAULT(r, at, "link '%.80s': unknown role '%.80s'; allowed: dram sram port", link.name,
                 role);
  plat_named x = {link.name, PLAT_OBJ_LINK, (uint32_t)r->p.n_links};
  PUSH(r, link, link, n);
  return add_name(r, n, "link", x);
}

static int read_end(reader *r, const xmlNode *n, const char *which, uint32_t *host) {
  const char *name = attribute(n, which, &r->scratch);
  const plat_named *x = plat_names_find(&r->names, name);
  if (x == NULL || x->obj >= PLAT_OBJ_LINK)
    return FAULT(r, n, "route: %s is '%.80s', and there is no host of that name%s", which, name,
                 x != NULL && x->obj == PLAT_OBJ_LINK ? " (it is a link)" : "");
  switch (x->obj) {
  case PLAT_OBJ_ENGINE:
    *host = plat_host_engine(&r->p, x->index);
    break;
  case PLAT_OBJ_SRAM:
    *host = plat_host_sram(&r->p, x->index);
    break;
  case PLAT_OBJ_DRAM:
    *host = plat_host_dram(&r->p);
    break;
  default:
    *host = plat_host_dma(&r->p, x->index);
  }
  return ERR_OK;
}

static int read_route(reader *r, const xmlNode *n) {
  plat_route route = {.symmetrical = true};
  if (read_end(r, n, "src", &route.src) != ERR_OK) return r->e->status;
  if (read_end(r, n, "dst", &route.dst) != ERR_OK) return r->e->status;
  const char *src = plat_host_name(&r->p, route.src), *dst = plat_host_name(&r->p, route.dst);
  const char *symmetrical = attribute(n, "symmetrical", &r->scratch);
  if (symmetrical != NULL)
    route.symmetrical = strcmp(symmetrical, "YES") == 0 || strcmp(symmetrical, "yes") == 0;
  for (const xmlNode *x = n->children; (x = next_named(x, "link_ctn")) != NULL; x = x->next) {
    const char *id = attribute(x, "id", &r->scratch);
    const plat_named *link = plat_names_find(&r->names, id);
    if (link == NULL || link->obj != PLAT_OBJ_LINK)
      return FAULT(r, x, "route '%s' -> '%s': there is no link '%.80s'%s", src, dst, id,
                   link != NULL ? " (it is a host or the zone)" : "");
    if (route.n_links == PLAT_MAX_ROUTE)
      return FAULT(r, x, "route '%s' -> '%s' crosses more than %d links", src, dst, PLAT_MAX_ROUTE);
    route.link[route.n_links++] = link->index;
  }
  PUSH(r, route, route, n);
  return ERR_OK;
}

/* One more than plat_check allows is enough to be refused: no memory for the rest. */
static bool too_many(const platform *p) {
  return p->n_engines > PLAT_MAX_ENGINES || p->n_srams > PLAT_MAX_SRAMS ||
         p->n_dmas > PLAT_MAX_DMAS || p->n_links > PLAT_MAX_LINKS || p->n_routes > PLAT_MAX_ROUTES;
}

static int read_zone(reader *r, const xmlNode *zone) {
  r->p.name = attribute(zone, "id", r->a);
  r->p.where = arena_strdup(r->a, r->where);
  r->lines = (plat_lines){.where = r->where, .zone = line_of(zone)};
  if (add_name(r, zone, "zone", (plat_named){r->p.name, PLAT_OBJ_COUNT, 0}) != ERR_OK)
    return r->e->status;
  /* routes stand last, so that hosts are complete and have their ids by then */
  for (const xmlNode *x = zone->children; x != NULL && !too_many(&r->p); x = x->next) {
    int status = ERR_OK;
    if (is(x, "host"))
      status = read_host(r, x);
    else if (is(x, "link"))
      status = read_link(r, x);
    else if (is(x, "route")) {
      if (r->p.dram.name == NULL)
        break; /* plat_check says so; without a dram host ids mean nothing */
      status = read_route(r, x);
    }
    if (status != ERR_OK) return status;
  }
  r->lines.engine = r->engine.items;
  r->lines.sram = r->sram.items;
  r->lines.dma = r->dma.items;
  r->lines.link = r->link.items;
  r->lines.route = r->route.items;
  return plat_check_at(&r->p, &r->lines, r->e);
}

int plat_parse_xml(const char *where, const unsigned char *data, size_t len, platform *p, arena *a,
                   err *e) {
  if (len > PLAT_XML_MAX)
    return err_set(e, ERR_BAD, "%s: is larger than %d MiB, too large for a platform", where,
                   PLAT_XML_MAX >> 20);
  if (len == 0) return err_set(e, ERR_BAD, "%s: is empty", where);
  source s = {where, e};
  xmlDoc *doc = parse_tree(&s, data, len);
  if (doc == NULL) return plat_one_line(e);
  reader r = {.where = where, .a = a, .e = e};
  int status = plat_schema_check(where, doc, e);
  if (status == ERR_OK)
    status = read_zone(&r, next_named(xmlDocGetRootElement(doc)->children, "zone"));
  if (status == ERR_OK)
    *p = r.p;
  else
    plat_one_line(e);
  arena_free(&r.scratch);
  xmlFreeDoc(doc);
  return status;
}

/* finding the file */

static int no_platform(const char *spec, err *e) {
  arena a = {0};
  char **names = NULL, *list = arena_strdup(&a, "");
  size_t n = file_list_data("platforms", ".xml", &names, &a);
  for (size_t i = 0; i < n; i++) list = arena_printf(&a, "%s %s", list, names[i]);
  int status =
      err_set(e, ERR_BAD, "platform '%.200s': no such file; shipped with the program:%s", spec,
              n == 0 ? " none (set LLAMASIM_DATA to the folder that holds platforms/)" : list);
  arena_free(&a);
  return status;
}

int plat_load(const char *spec, platform *p, arena *a, err *e) {
  const char *name = strncmp(spec, "platforms/", 10) == 0 ? spec + 10 : spec;
  bool bare = strchr(spec, '/') == NULL && strchr(spec, '.') == NULL && strcmp(spec, "-") != 0;
  const char *path = bare ? NULL : spec;
  if (path == NULL || (strcmp(path, "-") != 0 && !file_exists(path)))
    path = strchr(name, '/') == NULL ? file_find_data("platforms", name, ".xml", a) : NULL;
  if (path == NULL) return no_platform(spec, e);
  file_bytes bytes;
  arena scratch = {0};
  int status = file_read(path, PLAT_XML_MAX, &bytes, &scratch, e);
  if (status == ERR_OK) status = plat_parse_xml(path, bytes.data, bytes.len, p, a, e);
  arena_free(&scratch);
  return status;
}
