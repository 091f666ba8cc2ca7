/* platform_schema.c - validation by RELAX NG, and what to say when it fails.
 *
 * libxml2 judges; its messages do not say what is allowed instead. So on failure we read the schema
 * as a plain XML document, make a list of what each element may hold, and walk the platform until
 * something does not fit. The schema keeps to a small part of RELAX NG for that
 * (platforms/llamasim.rng says which). */
#include "sim/platform_priv.h"

#include <assert.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/relaxng.h>
#include <libxml/tree.h>

#if LIBXML_VERSION >= 21200
typedef const xmlError *xml_error;
#else
typedef xmlErrorPtr xml_error;
#endif

extern const char plat_schema[]; /* platforms/llamasim.rng */

static const char *name_of(const xmlNode *n) {
  return (const char *)n->name;
}

static bool is(const xmlNode *n, const char *name) {
  return n->type == XML_ELEMENT_NODE && strcmp(name_of(n), name) == 0;
}

/* The schema's own attributes: `name` of element, attribute, define, ref. It has no entities, so
 * the value is one text node. */
static const char *schema_name(const xmlNode *n) {
  for (const xmlAttr *a = n->properties; a != NULL; a = a->next)
    if (strcmp((const char *)a->name, "name") == 0) return (const char *)a->children->content;
  return "";
}

/* A group of child elements; groups follow each other. */
typedef struct group {
  const char **names;
  const xmlNode **elements; /* their definitions */
  size_t n, cap;
  bool needed, many;
} group;

typedef struct attribute {
  const char *name;
  bool needed;
  char *values; /* "SHARED FATPIPE"; "" where any will do */
} attribute;

typedef struct content { /* of one element, as the schema has it */
  attribute *attributes;
  group *groups;
  size_t n_attributes, cap_attributes, n_groups, cap_groups;
} content;

typedef struct walk {
  const xmlNode *grammar;
  const char *where;
  arena *a;
  err *e;
} walk;

#define FAULT(w, node, ...)                                                                        \
  (err_set((w)->e, ERR_BAD, __VA_ARGS__),                                                          \
   err_prefix((w)->e, "%s:%ld", (w)->where, (long)(intptr_t)(node)->_private))

static char *values_of(const xmlNode *n, char *list, arena *a) {
  for (const xmlNode *c = n->children; c != NULL; c = c->next) {
    if (is(c, "value"))
      list = arena_printf(a, "%s%s%s", list, *list ? " " : "", (const char *)c->children->content);
    list = values_of(c, list, a);
  }
  return list;
}

typedef struct place {
  bool optional, many, grouped; /* grouped: names go to the last group */
} place;

static void collect(const walk *w, const xmlNode *n, place at, content *c);

static void collect_element(const walk *w, const xmlNode *n, place at, content *c) {
  if (!at.grouped) {
    group fresh = {.needed = !at.optional, .many = at.many};
    ARENA_PUSH(w->a, c->groups, c->n_groups, c->cap_groups, fresh);
  }
  group *g = &c->groups[c->n_groups - 1];
  if (g->n == g->cap) {
    size_t cap = g->cap;
    g->names = arena_grow(w->a, g->names, g->n, &cap, sizeof *g->names);
    g->elements = arena_grow(w->a, g->elements, g->n, &g->cap, sizeof *g->elements);
  }
  g->names[g->n] = schema_name(n);
  g->elements[g->n++] = n;
}

static void collect_ref(const walk *w, const xmlNode *ref, place at, content *c) {
  for (const xmlNode *d = w->grammar->children; d != NULL; d = d->next)
    if (is(d, "define") && strcmp(schema_name(d), schema_name(ref)) == 0) collect(w, d, at, c);
}

static void collect(const walk *w, const xmlNode *n, place at, content *c) {
  for (const xmlNode *x = n->children; x != NULL; x = x->next) {
    place in = at;
    if (is(x, "attribute")) {
      attribute fresh = {schema_name(x), !at.optional, values_of(x, arena_strdup(w->a, ""), w->a)};
      ARENA_PUSH(w->a, c->attributes, c->n_attributes, c->cap_attributes, fresh);
    } else if (is(x, "element")) {
      collect_element(w, x, at, c);
    } else if (is(x, "ref")) {
      collect_ref(w, x, at, c);
    } else if (is(x, "optional")) {
      in.optional = true;
      collect(w, x, in, c);
    } else if (is(x, "zeroOrMore") || is(x, "oneOrMore")) {
      group fresh = {.needed = is(x, "oneOrMore"), .many = true};
      ARENA_PUSH(w->a, c->groups, c->n_groups, c->cap_groups, fresh);
      in.grouped = true;
      collect(w, x, in, c);
    } else if (is(x, "choice")) {
      collect(w, x, in, c);
    }
  }
}

/* "bandwidth id latency": sorted, so that the order of the schema does not matter. */
static char *sorted(const char **names, size_t n, arena *a) {
  for (size_t i = 1; i < n; i++)
    for (size_t j = i; j > 0 && strcmp(names[j - 1], names[j]) > 0; j--) {
      const char *t = names[j];
      names[j] = names[j - 1];
      names[j - 1] = t;
    }
  char *list = arena_strdup(a, n == 0 ? "nothing" : "");
  for (size_t i = 0; i < n; i++) list = arena_printf(a, "%s%s%s", list, i ? " " : "", names[i]);
  return list;
}

static char *attribute_list(const walk *w, const content *c, bool needed_only) {
  const char **names = ARENA_NEW(w->a, const char *, c->n_attributes + 1);
  size_t n = 0;
  for (size_t i = 0; i < c->n_attributes; i++)
    if (c->attributes[i].needed || !needed_only) names[n++] = c->attributes[i].name;
  return sorted(names, n, w->a);
}

static char *group_list(const walk *w, const group *g, size_t n_groups) {
  size_t n = 0;
  for (size_t i = 0; i < n_groups; i++) n += g[i].n;
  const char **names = ARENA_NEW(w->a, const char *, n + 1);
  n = 0;
  for (size_t i = 0; i < n_groups; i++)
    for (size_t k = 0; k < g[i].n; k++) names[n++] = g[i].names[k];
  return sorted(names, n, w->a);
}

static bool in_list(const char *list, const char *word) {
  size_t n = strlen(word);
  for (const char *s = list; n > 0 && (s = strstr(s, word)) != NULL; s++)
    if ((s == list || s[-1] == ' ') && (s[n] == ' ' || s[n] == '\0')) return true;
  return false;
}

static int walk_attributes(const walk *w, const xmlNode *n, const content *c) {
  for (const xmlAttr *a = n->properties; a != NULL; a = a->next) {
    const attribute *known = NULL;
    for (size_t i = 0; i < c->n_attributes && a->ns == NULL; i++)
      if (strcmp((const char *)a->name, c->attributes[i].name) == 0) known = &c->attributes[i];
    const char *prefix = a->ns != NULL && a->ns->prefix != NULL ? (const char *)a->ns->prefix : "";
    if (known == NULL)
      return FAULT(w, n, "<%.80s> has no attribute '%.80s%s%.80s'; allowed: %s", name_of(n), prefix,
                   *prefix ? ":" : "", (const char *)a->name, attribute_list(w, c, false));
    if (*known->values == '\0') continue;
    xmlChar *v = xmlNodeGetContent((const xmlNode *)a);
    char *value = arena_strdup(w->a, v == NULL ? "" : (const char *)v);
    xmlFree(v);
    if (strchr(value, ' ') != NULL || !in_list(known->values, value))
      return FAULT(w, n, "%s of <%s> is '%.80s'; allowed: %s", known->name, name_of(n), value,
                   known->values);
  }
  for (size_t i = 0; i < c->n_attributes; i++) {
    if (!c->attributes[i].needed) continue;
    bool there = false;
    for (const xmlAttr *a = n->properties; a != NULL && !there; a = a->next)
      there = strcmp((const char *)a->name, c->attributes[i].name) == 0;
    if (!there)
      return FAULT(w, n, "<%s> lacks the attribute '%s'; it needs: %s", name_of(n),
                   c->attributes[i].name, attribute_list(w, c, true));
  }
  return ERR_OK;
}

static int namespaced(const walk *w, const xmlNode *n) {
  const char *uri = n->ns->href == NULL ? "" : (const char *)n->ns->href;
  return FAULT(w, n, "<%.80s> is in the namespace '%.80s'; a platform has none: remove xmlns",
               name_of(n), uri);
}

static const xmlNode *group_find(const group *g, const xmlNode *child) {
  for (size_t i = 0; i < g->n; i++)
    if (strcmp(g->names[i], name_of(child)) == 0) return g->elements[i];
  return NULL;
}

static int missing(const walk *w, const xmlNode *n, const group *g) {
  return FAULT(w, n, "<%s> is incomplete; it needs at least one of: %s", name_of(n),
               group_list(w, g, 1));
}

static int walk_element(const walk *w, const xmlNode *n, const xmlNode *definition);

/* Text that stands between elements, where only white space may. */
static int walk_text(const walk *w, const xmlNode *n, const xmlNode *text) {
  if (text->type == XML_COMMENT_NODE || text->type == XML_PI_NODE) return ERR_OK;
  const char *s = text->content == NULL ? "&" : (const char *)text->content;
  s += strspn(s, " \t\r\n");
  if (*s == '\0') return ERR_OK;
  return FAULT(w, n, "<%s> has text in it ('%.20s'); only elements may stand here", name_of(n), s);
}

static int walk_children(const walk *w, const xmlNode *n, const content *c) {
  size_t at = 0, count = 0; /* the group we are in, and its elements so far */
  for (const xmlNode *x = n->children; x != NULL; x = x->next) {
    if (x->type != XML_ELEMENT_NODE) {
      if (walk_text(w, n, x) != ERR_OK) return w->e->status;
      continue;
    }
    if (x->ns != NULL) return namespaced(w, x);
    size_t g = 0;
    const xmlNode *definition = NULL;
    for (; g < c->n_groups && (definition = group_find(&c->groups[g], x)) == NULL;) g++;
    if (definition == NULL)
      return FAULT(w, x, "unknown element <%.80s> in <%s>; allowed: %s", name_of(x), name_of(n),
                   group_list(w, c->groups, c->n_groups));
    if (g < at)
      return FAULT(w, x, "<%s> comes too late in <%s>; it must stand before every: %s", name_of(x),
                   name_of(n), group_list(w, &c->groups[g + 1], c->n_groups - g - 1));
    for (; at < g; at++, count = 0)
      if (c->groups[at].needed && count == 0) return missing(w, n, &c->groups[at]);
    if (++count > 1 && !c->groups[at].many)
      return FAULT(w, x, "a second <%s> in <%s>; only one is allowed", name_of(x), name_of(n));
    if (walk_element(w, x, definition) != ERR_OK) return w->e->status;
  }
  for (; at < c->n_groups; at++, count = 0)
    if (c->groups[at].needed && count == 0) return missing(w, n, &c->groups[at]);
  return ERR_OK;
}

static int walk_element(const walk *w, const xmlNode *n, const xmlNode *definition) {
  arena scratch = {0};
  walk here = *w;
  content c = {0};
  here.a = &scratch;
  collect(&here, definition, (place){0}, &c);
  int status = walk_attributes(&here, n, &c);
  if (status == ERR_OK) status = walk_children(&here, n, &c);
  arena_free(&scratch);
  return status;
}

static int explain(const char *where, const xmlNode *root, err *e) {
  xmlDoc *schema = xmlReadMemory(plat_schema, (int)strlen(plat_schema), NULL, NULL,
                                 XML_PARSE_NOBLANKS | XML_PARSE_NONET);
  if (schema == NULL) return err_set(e, ERR_INTERNAL, "the platform schema is not well-formed");
  arena scratch = {0};
  walk w = {xmlDocGetRootElement(schema), where, &scratch, e};
  content c = {0};
  for (const xmlNode *n = w.grammar->children; n != NULL; n = n->next)
    if (is(n, "start")) collect(&w, n, (place){0}, &c);
  assert(c.n_groups == 1 && c.groups[0].n == 1);
  const xmlNode *definition = group_find(&c.groups[0], root);
  int status = ERR_OK;
  if (root->ns != NULL)
    status = namespaced(&w, root);
  else if (definition != NULL)
    status = walk_element(&w, root, definition);
  else
    status = FAULT(&w, root, "the outermost element is <%.80s>; it must be <%s>", name_of(root),
                   c.groups[0].names[0]);
  arena_free(&scratch);
  xmlFreeDoc(schema);
  return status;
}

/* libxml2's own words, for what our walk does not see. */
typedef struct heard {
  const char *where;
  err first;
} heard;

static void hear(void *self, xml_error error) {
  heard *h = self;
  const xmlNode *n = error->node;
  long line = n != NULL && n->type == XML_ELEMENT_NODE ? (long)(intptr_t)n->_private : error->line;
  const char *text = error->message == NULL ? "" : error->message;
  err_set(&h->first, ERR_BAD, "%s:%ld: %.*s", h->where, line, (int)strcspn(text, "\n"), text);
}

int plat_schema_check(const char *where, xmlDoc *doc, err *e) {
  heard h = {.where = where};
  int result = -1;
  xmlRelaxNGParserCtxt *parser = xmlRelaxNGNewMemParserCtxt(plat_schema, (int)strlen(plat_schema));
  if (parser != NULL) xmlRelaxNGSetParserStructuredErrors(parser, hear, &h);
  xmlRelaxNG *schema = parser == NULL ? NULL : xmlRelaxNGParse(parser);
  xmlRelaxNGValidCtxt *valid = schema == NULL ? NULL : xmlRelaxNGNewValidCtxt(schema);
  if (valid != NULL) {
    xmlRelaxNGSetValidStructuredErrors(valid, hear, &h);
    result = xmlRelaxNGValidateDoc(valid, doc);
  }
  xmlRelaxNGFreeValidCtxt(valid);
  xmlRelaxNGFree(schema);
  xmlRelaxNGFreeParserCtxt(parser);
  if (result == 0) return ERR_OK;
  if (result < 0)
    return err_set(e, ERR_INTERNAL, "%s: the platform schema cannot be used: %s", where,
                   h.first.msg);
  if (explain(where, xmlDocGetRootElement(doc), e) != ERR_OK) return e->status;
  return err_set(e, ERR_BAD, "%s",
                 h.first.status != ERR_OK ? h.first.msg : "the platform does not match its schema");
}
