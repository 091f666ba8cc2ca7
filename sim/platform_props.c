#include "sim/platform_priv.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The ranges leave every quotient and sum of a simulation finite; nothing real comes near them. */
typedef enum range { NO_RANGE, RATE, VECTOR, SHARE, SECONDS, JOULES, WATTS, BYTES } range;
static const struct {
  double lo, hi; /* lo > 0 also means that 0 is wrong */
} RANGES[] = {[RATE] = {1, 1e21},  [VECTOR] = {1. / 32, 1e21}, /* the default, speed/32, is in range
                                                                  for every speed */
              [SHARE] = {1e-4, 1}, [SECONDS] = {0, 1e6},       [JOULES] = {0, 1e3},
              [WATTS] = {0, 1e6},  [BYTES] = {1, 1e18}};

#define AT(T, member) offsetof(T, member)

static const plat_prop TABLE[] = {
#define ROW(name, obj, family, type, unit, range, field, fallback, flags)                          \
  { name, PLAT_OBJ_##obj, family, type, UNITS_##unit, range, field, fallback, flags }
#define ONE(name, obj, unit, range, field, fallback)                                               \
  ROW(name, obj, PROP_ONE, PROP_DOUBLE, unit, range, field, fallback, 0)
    ROW("speed", ENGINE, PROP_ONE, PROP_DOUBLE, SPEED, RATE, AT(plat_engine, speed_flops), 0,
        PROP_ATTRIBUTE),
    ROW("native", ENGINE, PROP_ONE, PROP_DTYPE, NUMBER, NO_RANGE, AT(plat_engine, native), 0,
        PROP_FIXED),
    ROW("rate.", ENGINE, PROP_BY_DTYPE, PROP_DOUBLE, SPEED, RATE, AT(plat_engine, rate_flops), 0,
        0),
    ONE("vector_rate", ENGINE, SPEED, VECTOR, AT(plat_engine, vector_rate_flops), 0),
    ONE("task_overhead", ENGINE, TIME, SECONDS, AT(plat_engine, overhead_s), 0),
    ROW("matrix_shape", ENGINE, PROP_ONE, PROP_SHAPE, NUMBER, NO_RANGE,
        AT(plat_engine, matrix_shape), 0, 0),
    ROW("efficiency.", ENGINE, PROP_BY_OP, PROP_DOUBLE, NUMBER, SHARE, AT(plat_engine, efficiency),
        1, 0),
    ONE("power.idle", ENGINE, POWER, WATTS, AT(plat_engine, idle_W), 0),
    ONE("energy.vector", ENGINE, ENERGY, JOULES, AT(plat_engine, vector_energy_J), 0),
    ROW("energy.", ENGINE, PROP_BY_DTYPE, PROP_DOUBLE, ENERGY, JOULES, AT(plat_engine, energy_J), 0,
        0),
    ONE("capacity", SRAM, SIZE, BYTES, AT(plat_memory, capacity_B), 0),
    ONE("energy", SRAM, ENERGY, JOULES, AT(plat_memory, energy_J), 0),
    ONE("capacity", DRAM, SIZE, BYTES, AT(plat_memory, capacity_B), 0),
    ONE("efficiency", DRAM, NUMBER, SHARE, AT(plat_memory, efficiency), 1),
    ONE("energy", DRAM, ENERGY, JOULES, AT(plat_memory, energy_J), 0),
    ROW("channels", DMA, PROP_ONE, PROP_COUNT, NUMBER, NO_RANGE, AT(plat_dma, channels), 0, 0),
    ONE("setup", DMA, TIME, SECONDS, AT(plat_dma, setup_s), 0),
    ROW("bandwidth", LINK, PROP_ONE, PROP_DOUBLE, BANDWIDTH, RATE, AT(plat_link, bandwidth_Bps), 0,
        PROP_ATTRIBUTE),
    ROW("latency", LINK, PROP_ONE, PROP_DOUBLE, TIME, SECONDS, AT(plat_link, latency_s), 0,
        PROP_ATTRIBUTE),
};
enum { N_PROPS = sizeof TABLE / sizeof *TABLE, MAX_SHAPE = 65536, MAX_MEMBERS = 40 };
_Static_assert(N_PROPS *MAX_MEMBERS <= PLAT_KEY_ORDINALS, "ordinals");
_Static_assert((int)DT_COUNT <= (int)MAX_MEMBERS && (int)OP_COUNT <= (int)MAX_MEMBERS,
               "members of a family");

static const char *const BASE_UNIT[UNITS_KIND_COUNT] = {
    [UNITS_SIZE] = "B",   [UNITS_BANDWIDTH] = "B/s", [UNITS_SPEED] = "flop/s", [UNITS_TIME] = "s",
    [UNITS_ENERGY] = "J", [UNITS_POWER] = "W",       [UNITS_NUMBER] = ""};

const char *plat_obj_name(plat_obj o) {
  static const char *const NAME[PLAT_OBJ_COUNT] = {"engine", "sram", "dram", "dma", "link"};
  return NAME[o];
}

plat_obj plat_role_parse(const char *name) {
  for (int o = 0; o < PLAT_OBJ_LINK; o++)
    if (strcmp(name, plat_obj_name((plat_obj)o)) == 0) return (plat_obj)o;
  return PLAT_OBJ_COUNT;
}

/* Only matrix work has an efficiency: a property of another op would change nothing. */
static bool op_has_efficiency(unsigned o) {
  return op_kind_of((op)o) == OP_COMPUTE && strcmp(op_class((op)o), "matmul") == 0;
}

static bool family_has(const plat_prop *p, unsigned i) {
  if (p->family == PROP_BY_DTYPE) return i < DT_COUNT;
  if (p->family == PROP_BY_OP) return i < OP_COUNT;
  return i == 0;
}

static bool member_allowed(const plat_prop *p, unsigned i) {
  return family_has(p, i) && (p->family != PROP_BY_OP || op_has_efficiency(i));
}

static const char *member_name(const plat_prop *p, unsigned i) {
  if (p->family == PROP_BY_DTYPE) return dtype_name((dtype)i);
  return p->family == PROP_BY_OP ? op_name((op)i) : "";
}

bool plat_key_next(plat_obj obj, plat_key *k) {
  const plat_prop *p = k->prop == NULL ? TABLE : k->prop;
  unsigned i = k->prop == NULL ? 0 : k->index + 1;
  for (; p < TABLE + N_PROPS; p++, i = 0) {
    if (p->obj != obj) continue;
    while (family_has(p, i) && !member_allowed(p, i)) i++;
    if (!family_has(p, i)) continue;
    *k = (plat_key){p, i};
    return true;
  }
  return false;
}

plat_key plat_key_find(plat_obj obj, const char *name) {
  for (const plat_prop *p = TABLE; p < TABLE + N_PROPS; p++) {
    size_t stem = strlen(p->name);
    if (p->obj != obj || strncmp(name, p->name, stem) != 0) continue;
    for (unsigned i = 0; family_has(p, i); i++)
      if (strcasecmp(name + stem, member_name(p, i)) == 0 && member_allowed(p, i))
        return (plat_key){p, i};
  }
  return (plat_key){0};
}

const char *plat_key_name(plat_key k, char buf[PLAT_KEY_TEXT]) {
  snprintf(buf, PLAT_KEY_TEXT, "%s%s", k.prop->name, member_name(k.prop, k.index));
  return buf;
}

unsigned plat_key_ordinal(plat_key k) {
  return (unsigned)(k.prop - TABLE) * MAX_MEMBERS + k.index;
}

static double *double_at(plat_key k, void *object) {
  return (double *)(void *)((char *)object + k.prop->offset) + k.index;
}

double plat_key_get(plat_key k, const void *object) {
  const char *at = (const char *)object + k.prop->offset + k.index * sizeof(double);
  double v;
  memcpy(&v, at, sizeof v);
  return v;
}

static int range_check(plat_key k, double v, err *e) {
  const plat_prop *p = k.prop;
  char name[PLAT_KEY_TEXT], got[64];
  double lo = RANGES[p->range].lo, hi = RANGES[p->range].hi;
  const char *unit = BASE_UNIT[p->unit], *space = *unit ? " " : "";
  if (v >= lo && v <= hi) return ERR_OK;
  plat_key_name(k, name);
  snprintf(got, sizeof got, "%.6g%s%s", v, space, unit);
  if (!isfinite(v)) return err_set(e, ERR_BAD, "%s is %s; it must be finite", name, got);
  if (p->unit == UNITS_NUMBER && (v <= 0 || v > hi))
    return err_set(e, ERR_BAD, "%s is %s; it must be greater than 0 and at most %g", name, got, hi);
  if (v <= 0 && lo > 0)
    return err_set(e, ERR_BAD, "%s is %s; it must be greater than 0", name, got);
  if (v < 0) return err_set(e, ERR_BAD, "%s is %s; it must not be negative", name, got);
  return err_set(e, ERR_BAD, "%s is %s; it must be %s %g%s%s", name, got,
                 v < lo ? "at least" : "at most", v < lo ? lo : hi, space, unit);
}

static int set_double(plat_key k, void *object, const char *text, bool need_unit, err *e) {
  char name[PLAT_KEY_TEXT];
  double v = 0;
  if (units_parse(k.prop->unit, text, need_unit, &v, e) != ERR_OK)
    return err_prefix(e, "%s", plat_key_name(k, name));
  if (range_check(k, v, e) != ERR_OK) return e->status;
  if (k.prop->obj == PLAT_OBJ_ENGINE) {
    plat_engine *engine = object;
    if (k.prop->offset == AT(plat_engine, rate_flops)) {
      if (k.index == (unsigned)engine->native)
        return err_set(e, ERR_BAD, "%s is the rate of the native dtype: set speed instead",
                       plat_key_name(k, name));
      engine->rate_follows[k.index] = false;
    }
    if (k.prop->offset == AT(plat_engine, vector_rate_flops)) engine->vector_follows = false;
  }
  *double_at(k, object) = v;
  return ERR_OK;
}

static int set_count(plat_key k, void *object, const char *text, err *e) {
  char name[PLAT_KEY_TEXT];
  uint64_t v = 0;
  if (units_parse_u64(text, 1, PLAT_MAX_CHANNELS, &v, e) != ERR_OK)
    return err_prefix(e, "%s", plat_key_name(k, name));
  *(uint32_t *)(void *)((char *)object + k.prop->offset) = (uint32_t)v;
  return ERR_OK;
}

static int set_shape(plat_key k, void *object, const char *text, err *e) {
  uint32_t *shape = (uint32_t *)(void *)((char *)object + k.prop->offset), mnk[3];
  const char *s = text;
  for (int i = 0; i < 3; i++) {
    char *end = NULL;
    unsigned long v = *s >= '0' && *s <= '9' ? strtoul(s, &end, 10) : 0;
    if (v < 1 || v > MAX_SHAPE || *end != (i < 2 ? ',' : '\0'))
      return err_set(
          e, ERR_BAD,
          "matrix_shape is '%.40s'; it must be m,n,k, whole numbers from 1 to %d, as in 16,16,64",
          text, MAX_SHAPE);
    mnk[i] = (uint32_t)v;
    s = end + 1;
  }
  memcpy(shape, mnk, sizeof mnk);
  return ERR_OK;
}

static int set_dtype(plat_key k, void *object, const char *text, err *e) {
  dtype d = dtype_parse(text);
  if (d == DT_COUNT) {
#define X(id, name, bits) " " name
    return err_set(e, ERR_BAD, "%s is '%.40s'; allowed:" DTYPES(X), k.prop->name, text);
#undef X
  }
  *(dtype *)(void *)((char *)object + k.prop->offset) = d;
  return ERR_OK;
}

int plat_key_set(plat_key k, void *object, const char *text, bool need_unit, err *e) {
  switch (k.prop->type) {
  case PROP_DOUBLE:
    return set_double(k, object, text, need_unit, e);
  case PROP_COUNT:
    return set_count(k, object, text, e);
  case PROP_SHAPE:
    return set_shape(k, object, text, e);
  case PROP_DTYPE:
    return set_dtype(k, object, text, e);
  }
  assert(0);
  return ERR_INTERNAL;
}

int plat_values_check(plat_obj obj, const void *object, err *e) {
  for (const plat_prop *p = TABLE; p < TABLE + N_PROPS; p++) {
    if (p->obj != obj || p->type != PROP_DOUBLE) continue;
    for (unsigned i = 0; family_has(p, i); i++) {
      plat_key k = {p, i};
      double v = plat_key_get(k, object);
      bool unlimited = obj == PLAT_OBJ_DRAM && v == 0 && p->unit == UNITS_SIZE;
      if (!unlimited && range_check(k, v, e) != ERR_OK) return e->status;
    }
  }
  if (obj == PLAT_OBJ_DMA) {
    uint32_t n = ((const plat_dma *)object)->channels;
    if (n < 1 || n > PLAT_MAX_CHANNELS)
      return err_set(e, ERR_BAD, "channels is %u; it must be from 1 to %d", n, PLAT_MAX_CHANNELS);
  }
  for (int i = 0; obj == PLAT_OBJ_ENGINE && i < 3; i++)
    if (((const plat_engine *)object)->matrix_shape[i] < 1)
      return err_set(e, ERR_BAD, "matrix_shape has a 0; its three numbers must be at least 1");
  return ERR_OK;
}

void plat_values_default(plat_obj obj, void *object) {
  for (plat_key k = {0}; plat_key_next(obj, &k);)
    if (k.prop->type == PROP_DOUBLE) *double_at(k, object) = k.prop->fallback;
  if (obj == PLAT_OBJ_DMA) ((plat_dma *)object)->channels = 1;
  if (obj == PLAT_OBJ_SRAM) ((plat_memory *)object)->efficiency = 1;
  if (obj != PLAT_OBJ_ENGINE) return;
  plat_engine *e = object;
  e->native = DT_BF16;
  for (int i = 0; i < 3; i++) e->matrix_shape[i] = 1;
  for (int o = 0; o < OP_COUNT; o++) e->efficiency[o] = 1;
}

static const char *op_list(arena *a) {
  const char *list = "";
  for (unsigned o = 0; o < OP_COUNT; o++)
    if (op_has_efficiency(o))
      list = arena_printf(a, "%s%s%s", list, *list ? "|" : "<", op_name((op)o));
  return arena_printf(a, "%s>", list);
}

char *plat_keys_list(plat_obj obj, plat_list what, const char *sep, arena *a) {
  char *list = arena_strdup(a, "");
  for (const plat_prop *p = TABLE; p < TABLE + N_PROPS; p++) {
    if (p->obj != obj ||
        ((p->flags & (what == PLAT_LIST_PROPS ? PROP_ATTRIBUTE : PROP_FIXED)) != 0))
      continue;
    const char *member = "", *mark = *list ? sep : "";
    if (p->family == PROP_BY_DTYPE) member = "<dtype>";
    if (p->family == PROP_BY_OP) member = op_list(a);
    list = arena_printf(a, "%s%s%s%s", list, mark, p->name, member);
  }
  return list;
}

char *plat_num(char buf[PLAT_NUM_TEXT], double v) {
  char sci[40];
  int digits = 0;
  do {
    snprintf(sci, sizeof sci, "%.*e", digits, v);
  } while (digits++ < 17 && strtod(sci, NULL) != v);
  int exponent = atoi(strchr(sci, 'e') + 1);
  /* `digits` significant ones: exponent < digits-1 leaves that many of them behind the point */
  int behind = digits - 1 - exponent;
  if (behind > 100)
    snprintf(buf, PLAT_NUM_TEXT, "%.*e", digits - 1, v); /* units_parse takes 128 digits */
  else
    snprintf(buf, PLAT_NUM_TEXT, "%.*f", behind > 0 ? behind : 0, v);
  return buf;
}

char *plat_quantity(char buf[PLAT_NUM_TEXT], units_kind unit, double v) {
  static const char *const SUFFIX[UNITS_KIND_COUNT] = {
      [UNITS_SIZE] = "B",   [UNITS_BANDWIDTH] = "Bps", [UNITS_SPEED] = "f", [UNITS_TIME] = "s",
      [UNITS_ENERGY] = "J", [UNITS_POWER] = "W",       [UNITS_NUMBER] = ""};
  size_t n = strlen(plat_num(buf, v));
  snprintf(buf + n, PLAT_NUM_TEXT - n, "%s", SUFFIX[unit]);
  return buf;
}
