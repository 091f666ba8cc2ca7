/* platform_priv.h - what the platform*.c files share and nobody else needs.
 *
 * The heart is one table of properties (platform_props.c): name, owner, unit, range and place in
 * the struct of each. The XML reader, the overrides, the checks and the writer all work from it, so
 * that they cannot disagree on what exists, what it is called or which values it takes. */
#ifndef LS_PLATFORM_PRIV_H
#define LS_PLATFORM_PRIV_H

#include "sim/base/units.h"
#include "sim/platform.h"

/* Kinds of things that have properties; the first four are plat_role's. */
typedef enum plat_obj {
  PLAT_OBJ_ENGINE = PLAT_ENGINE,
  PLAT_OBJ_SRAM = PLAT_SRAM,
  PLAT_OBJ_DRAM = PLAT_DRAM,
  PLAT_OBJ_DMA = PLAT_DMA,
  PLAT_OBJ_LINK,
  PLAT_OBJ_COUNT
} plat_obj;

const char *plat_obj_name(plat_obj o); /* "engine", ..., "link" */
/* PLAT_OBJ_COUNT where `name` is no role of a host. */
plat_obj plat_role_parse(const char *name);
/* PLAT_LINK_AUTO where `name` is no role of a link. */
plat_link_role plat_link_role_parse(const char *name);

typedef enum plat_family { PROP_ONE, PROP_BY_DTYPE, PROP_BY_OP } plat_family;
typedef enum plat_type { PROP_DOUBLE, PROP_SHAPE, PROP_COUNT, PROP_DTYPE } plat_type;

enum {
  PROP_ATTRIBUTE = 1, /* an attribute in XML, not a <prop> */
  PROP_FIXED = 2      /* no override */
};

typedef struct plat_prop {
  const char *name; /* "speed"; a family ends in a dot: "rate." */
  plat_obj obj;
  plat_family family;
  plat_type type;
  units_kind unit; /* of a PROP_DOUBLE */
  int range;       /* of a PROP_DOUBLE: which (platform_props.c) */
  size_t offset;   /* in plat_engine, plat_memory, plat_dma, plat_link */
  double fallback; /* of a PROP_DOUBLE: the value where XML states none */
  unsigned flags;
} plat_prop;

/* One property, or one member of a family. */
typedef struct plat_key {
  const plat_prop *prop; /* NULL: there is none */
  unsigned index;        /* dtype or op of a family's member */
} plat_key;

plat_key plat_key_find(plat_obj obj, const char *name);

/* Iterates over all keys of `obj` in order of the table: start with {0}; false at the end. */
bool plat_key_next(plat_obj obj, plat_key *k);

/* A small number of its own, for sets of keys. */
enum { PLAT_KEY_ORDINALS = 2048 };
unsigned plat_key_ordinal(plat_key k);

enum { PLAT_KEY_TEXT = 64 };
const char *plat_key_name(plat_key k, char buf[PLAT_KEY_TEXT]);
double plat_key_get(plat_key k, const void *object); /* of a PROP_DOUBLE */

/* Parses, checks the range, stores. Messages have no place: `bandwidth is -5 B/s; it must be
 * greater than 0`. */
ERR_CHECK int plat_key_set(plat_key k, void *object, const char *text, bool need_unit, err *e);

/* The range of every value of an object, by the same rule. */
ERR_CHECK int plat_values_check(plat_obj obj, const void *object, err *e);

/* Every PROP_DOUBLE's fallback, and the other types' defaults. */
void plat_values_default(plat_obj obj, void *object);

typedef enum plat_list { PLAT_LIST_PROPS, PLAT_LIST_KEYS } plat_list;
/* "speed rate.<dtype> ...": what XML takes as <prop>, or what an override takes; `sep` between two.
 */
char *plat_keys_list(plat_obj obj, plat_list what, const char *sep, arena *a);

/* Shortest plain decimal that reads back to the same double; with an exponent only below 1e-80. */
enum { PLAT_NUM_TEXT = 400 };
char *plat_num(char buf[PLAT_NUM_TEXT], double v);
/* The same with its base unit: "51200000000Bps". */
char *plat_quantity(char buf[PLAT_NUM_TEXT], units_kind unit, double v);

/* Names to things; open addressing, in an arena. */
typedef struct plat_named {
  const char *name;
  plat_obj obj;   /* PLAT_OBJ_COUNT: the zone */
  uint32_t index; /* in the array of its kind */
} plat_named;

typedef struct plat_names {
  plat_named *slot;
  size_t n, cap;
} plat_names;

const plat_named *plat_names_find(const plat_names *t, const char *name);
/* False where the name was there already. */
bool plat_names_add(plat_names *t, plat_named x, arena *a);

/* Where things stood in the file, one line number an object, so that plat_check's messages can say
 * so. */
typedef struct plat_lines {
  const char *where;
  long zone, dram;
  const long *engine, *sram, *dma, *link, *route;
} plat_lines;

/* plat_check; `at` may be NULL: messages without place. */
ERR_CHECK int plat_check_at(platform *p, const plat_lines *at, err *e);

/* A name's form; the message is what it must be. */
bool plat_name_ok(const char *name);
#define PLAT_NAME_RULE "a name is 1 to 63 letters, digits, '_' and '-'"

/* A message quotes what it got, and what it got may hold line ends: makes them '?'. Returns the
 * status. */
int plat_one_line(err *e);

/* Is the document valid by the schema? The message has place and what is allowed. `lines` are in
 * node->_private. */
struct _xmlDoc;
ERR_CHECK int plat_schema_check(const char *where, struct _xmlDoc *doc, err *e);

#endif
