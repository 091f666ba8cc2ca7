#include "sim/base/units.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A unit scales by 10^exp10 * 2^exp2. The decimal part is put into the number's own exponent before
 * strtod sees it and the binary part is exact, so "100ns" is the double nearest 1e-7. */
typedef struct unit {
  const char *name;
  int exp10, exp2;
  bool alias; /* understood, but not offered in messages */
} unit;

static const unit SIZES[] = {{"B", 0, 0, false},    {"KB", 3, 0, false},   {"kB", 3, 0, true},
                             {"MB", 6, 0, false},   {"GB", 9, 0, false},   {"TB", 12, 0, false},
                             {"KiB", 0, 10, false}, {"MiB", 0, 20, false}, {"GiB", 0, 30, false},
                             {"TiB", 0, 40, false}, {NULL, 0, 0, false}};
static const unit BANDWIDTHS[] = {
    {"Bps", 0, 0, false},    {"KBps", 3, 0, false},   {"kBps", 3, 0, true},
    {"MBps", 6, 0, false},   {"GBps", 9, 0, false},   {"TBps", 12, 0, false},
    {"KiBps", 0, 10, false}, {"MiBps", 0, 20, false}, {"GiBps", 0, 30, false},
    {"TiBps", 0, 40, false}, {"bps", 0, -3, false},   {"Kbps", 3, -3, false},
    {"kbps", 3, -3, true},   {"Mbps", 6, -3, false},  {"Gbps", 9, -3, false},
    {"Tbps", 12, -3, false}, {NULL, 0, 0, false}};
static const unit SPEEDS[] = {{"f", 0, 0, false},   {"Kf", 3, 0, false}, {"kf", 3, 0, true},
                              {"Mf", 6, 0, false},  {"Gf", 9, 0, false}, {"Tf", 12, 0, false},
                              {"Pf", 15, 0, false}, {NULL, 0, 0, false}};
static const unit TIMES[] = {{"ps", -12, 0, false}, {"ns", -9, 0, false}, {"us", -6, 0, false},
                             {"ms", -3, 0, false},  {"s", 0, 0, false},   {NULL, 0, 0, false}};
static const unit ENERGIES[] = {{"pJ", -12, 0, false}, {"nJ", -9, 0, false}, {"uJ", -6, 0, false},
                                {"mJ", -3, 0, false},  {"J", 0, 0, false},   {NULL, 0, 0, false}};
static const unit POWERS[] = {{"uW", -6, 0, false},
                              {"mW", -3, 0, false},
                              {"W", 0, 0, false},
                              {"kW", 3, 0, false},
                              {NULL, 0, 0, false}};
static const unit NUMBERS[] = {{NULL, 0, 0, false}};

static const struct {
  const char *name, *example;
} KINDS[UNITS_KIND_COUNT] = {
#define X(id, name, example) [UNITS_##id] = {name, example},
    UNITS_KINDS(X)
#undef X
};

static const unit *const UNITS[UNITS_KIND_COUNT] = {
    [UNITS_SIZE] = SIZES,     [UNITS_BANDWIDTH] = BANDWIDTHS, [UNITS_SPEED] = SPEEDS,
    [UNITS_TIME] = TIMES,     [UNITS_ENERGY] = ENERGIES,      [UNITS_POWER] = POWERS,
    [UNITS_NUMBER] = NUMBERS,
};

/* The user's text cut to a length fit for a message, control characters shown as '?'. */
static const char *shown(char buf[64], const char *text) {
  size_t n = 0;
  while (text[n] != '\0' && n < 48) {
    buf[n] = iscntrl((unsigned char)text[n]) ? '?' : text[n];
    n++;
  }
  buf[n] = '\0';
  if (text[n] != '\0') strcpy(buf + n, "...");
  return buf;
}

static int no_quantity(units_kind kind, const char *text, const char *why, err *e) {
  char names[256] = "", cut[64];
  size_t n = 0;
  for (const unit *u = UNITS[kind]; u->name != NULL; u++)
    if (!u->alias)
      n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", n > 0 ? " " : "", u->name);
  if (n > 0)
    return err_set(e, ERR_BAD, "'%s' is no %s%s; write a number with one of %s, as in %s",
                   shown(cut, text), KINDS[kind].name, why, names, KINDS[kind].example);
  return err_set(e, ERR_BAD, "'%s' is no %s%s; write it as in %s", shown(cut, text),
                 KINDS[kind].name, why, KINDS[kind].example);
}

/* [+-] digits [. digits] [e [+-] digits]: where the mantissa ends, where all of it ends (NULL: it
 * is no number). Not left to strtod, which takes "inf", "nan" and "0x10" too. */
static const char *scan_number(const char *s, const char **mantissa_end, long *exponent) {
  const char *p = s;
  if (*p == '+' || *p == '-') p++;
  size_t digits = 0;
  for (; isdigit((unsigned char)*p); p++) digits++;
  if (*p == '.')
    for (p++; isdigit((unsigned char)*p); p++) digits++;
  if (digits == 0) return NULL;
  *mantissa_end = p;
  *exponent = 0;
  if (*p != 'e' && *p != 'E') return p;
  const char *q = p + 1;
  if (*q == '+' || *q == '-') q++;
  if (!isdigit((unsigned char)*q)) return NULL;
  char *end;
  *exponent = strtol(p + 1, &end, 10);
  return end;
}

int units_parse(units_kind kind, const char *text, bool need_unit, double *value, err *e) {
  const char *s = text, *mantissa_end;
  while (isspace((unsigned char)*s)) s++;
  long exponent;
  const char *p = scan_number(s, &mantissa_end, &exponent);
  if (p == NULL) return no_quantity(kind, text, "", e);
  while (isspace((unsigned char)*p)) p++;
  size_t n = strlen(p);
  while (n > 0 && isspace((unsigned char)p[n - 1])) n--;

  const unit *u = UNITS[kind];
  static const unit NONE = {"", 0, 0, false};
  if (n == 0) {
    u = &NONE;
  } else {
    while (u->name != NULL && (strncmp(u->name, p, n) != 0 || u->name[n] != '\0')) u++;
    if (u->name == NULL) return no_quantity(kind, text, "", e);
  }

  char number[160];
  size_t len = (size_t)(mantissa_end - s);
  if (len > 128) return no_quantity(kind, text, " of at most 128 digits", e);
  if (exponent > 100000) exponent = 100000;
  if (exponent < -100000) exponent = -100000;
  snprintf(number, sizeof number, "%.*se%ld", (int)len, s, exponent + u->exp10);
  double v = ldexp(strtod(number, NULL), u->exp2);
  if (!isfinite(v)) return no_quantity(kind, text, " below 1e308", e);
  if (n == 0 && need_unit && kind != UNITS_NUMBER && v != 0)
    return no_quantity(kind, text, ", its unit is missing", e);
  *value = v;
  return ERR_OK;
}

int units_parse_u64(const char *text, uint64_t lo, uint64_t hi, uint64_t *value, err *e) {
  char cut[64];
  uint64_t v = 0;
  bool ok = *text != '\0', over = false;
  for (const char *p = text; *p != '\0' && ok; p++) {
    ok = *p >= '0' && *p <= '9';
    uint64_t digit = (uint64_t)(*p - '0');
    over = over || v > (UINT64_MAX - digit) / 10;
    v = v * 10 + digit;
  }
  if (!ok || over || v < lo || v > hi)
    return err_set(e, ERR_BAD, "'%s' %s; it must be a whole number from %llu to %llu",
                   shown(cut, text), ok ? "is out of range" : "is no whole number",
                   (unsigned long long)lo, (unsigned long long)hi);
  *value = v;
  return ERR_OK;
}

/* `x` with the fewest digits: exact where 6 digits do, else rounded to 4. */
static void few_digits(char buf[UNITS_TEXT], double x) {
  snprintf(buf, UNITS_TEXT, "%.6g", x);
  if (fabs(strtod(buf, NULL) - x) > 1e-13 * fabs(x)) snprintf(buf, UNITS_TEXT, "%.4g", x);
}

typedef struct step {
  const char *name;
  int exp10, exp2;
} step;

static double scaled(double v, const step *s) {
  double x = ldexp(v, -s->exp2);
  return s->exp10 < 0 ? x * pow(10, -s->exp10) : x / pow(10, s->exp10);
}

/* The largest step of which `v` has at least one; the smallest one where there is none. Rounding
 * may lift 999.96 to 1000, which the next step then says better. */
static char *print(char buf[UNITS_TEXT], double v, const step *steps, size_t n) {
  size_t i = n - 1;
  while (i > 0 && fabs(scaled(v, &steps[i])) < 1) i--;
  if (v == 0 || !isfinite(v)) /* in the base unit */
    for (i = 0; steps[i].exp10 != 0 || steps[i].exp2 != 0;) i++;
  few_digits(buf, scaled(v, &steps[i]));
  if (i + 1 < n && v != 0) {
    double next = scaled(v, &steps[i + 1]) / scaled(v, &steps[i]);
    if (fabs(strtod(buf, NULL) * next) >= 1 - 1e-12) few_digits(buf, scaled(v, &steps[++i]));
  }
  size_t used = strlen(buf);
  snprintf(buf + used, UNITS_TEXT - used, " %s", steps[i].name);
  return buf;
}

#define COUNT(a) (sizeof(a) / sizeof *(a))

char *units_time(char buf[UNITS_TEXT], double seconds) {
  static const step STEPS[] = {
      {"ps", -12, 0}, {"ns", -9, 0}, {"us", -6, 0}, {"ms", -3, 0}, {"s", 0, 0}};
  return print(buf, seconds, STEPS, COUNT(STEPS));
}

char *units_size(char buf[UNITS_TEXT], double bytes) {
  static const step STEPS[] = {
      {"B", 0, 0}, {"KiB", 0, 10}, {"MiB", 0, 20}, {"GiB", 0, 30}, {"TiB", 0, 40}};
  return print(buf, bytes, STEPS, COUNT(STEPS));
}

char *units_size_si(char buf[UNITS_TEXT], double bytes) {
  static const step STEPS[] = {
      {"B", 0, 0}, {"kB", 3, 0}, {"MB", 6, 0}, {"GB", 9, 0}, {"TB", 12, 0}};
  return print(buf, bytes, STEPS, COUNT(STEPS));
}

char *units_bandwidth(char buf[UNITS_TEXT], double Bps) {
  static const step STEPS[] = {
      {"B/s", 0, 0}, {"kB/s", 3, 0}, {"MB/s", 6, 0}, {"GB/s", 9, 0}, {"TB/s", 12, 0}};
  return print(buf, Bps, STEPS, COUNT(STEPS));
}

char *units_speed(char buf[UNITS_TEXT], double flops) {
  static const step STEPS[] = {{"flop/s", 0, 0},  {"kflop/s", 3, 0},  {"Mflop/s", 6, 0},
                               {"Gflop/s", 9, 0}, {"Tflop/s", 12, 0}, {"Pflop/s", 15, 0}};
  return print(buf, flops, STEPS, COUNT(STEPS));
}
