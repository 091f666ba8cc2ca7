#include "sim/sweep.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sim/base/units.h"

enum { MAX_KEYS = 64, MAX_LINE = 1 << 16 };

static const char RANGE_FORM[] =
    "a range is START:STOP:xFACTOR or START:STOP:+STEP, as 1:16:x2 or 0:4096:+512";

/* ---- axes ---- */

/* A number and the unit behind it. */
typedef struct quantity {
  double number;
  const char *unit;
} quantity;

static bool read_quantity(const char *text, quantity *q, arena *a) {
  char *end;
  if (!isdigit((unsigned char)*text) && *text != '-' && *text != '.') return false;
  q->number = strtod(text, &end);
  q->unit = arena_strdup(a, end);
  for (const char *p = q->unit; *p != '\0'; p++)
    if (!isalpha((unsigned char)*p)) return false;
  return end != text && isfinite(q->number);
}

static int push(sweep_axis *x, const char *key, const char *value, arena *a, err *e) {
  if (x->n >= SWEEP_MAX_VALUES)
    return err_set(e, ERR_BAD, "--vary %s: more than %d values", key, SWEEP_MAX_VALUES);
  ARENA_PUSH(a, x->value, x->n, x->cap, value);
  return ERR_OK;
}

static int bad_range(const char *key, const char *item, const char *why, err *e) {
  return err_set(e, ERR_BAD, "--vary %s: '%s': %s; %s", key, item, why, RANGE_FORM);
}

static int add_range(sweep_axis *x, const char *key, const char *item, arena *a, err *e) {
  const char *one = strchr(item, ':'), *two = strchr(one + 1, ':');
  if (two == NULL || strchr(two + 1, ':') != NULL)
    return bad_range(key, item, "a colon, but no range", e);
  quantity from, to, by;
  if (!read_quantity(arena_strndup(a, item, (size_t)(one - item)), &from, a) ||
      !read_quantity(arena_strndup(a, one + 1, (size_t)(two - one - 1)), &to, a))
    return bad_range(key, item, "START and STOP must be numbers, with or without a unit", e);
  bool times = two[1] == 'x';
  if ((!times && two[1] != '+') || !read_quantity(two + 2, &by, a))
    return bad_range(key, item, "after the second colon must come x or +, and a number", e);
  if (strcmp(from.unit, to.unit) != 0 || (*by.unit != '\0' && strcmp(by.unit, from.unit) != 0))
    return bad_range(key, item, "all of a range must have one unit", e);
  if (times && (!(by.number > 0) || *by.unit != '\0' || !(from.number > 0) || !(to.number > 0)))
    return bad_range(
        key, item,
        "to multiply, START, STOP and FACTOR must be greater than 0, and FACTOR has no unit", e);
  bool up = to.number > from.number;
  double step = times ? by.number - 1 : by.number;
  if (from.number != to.number && (up ? !(step > 0) : !(step < 0)))
    return bad_range(key, item, "its steps do not lead from START to STOP", e);
  double slack = 1e-9 * fmax(fabs(from.number), fabs(to.number));
  for (size_t k = 0;; k++) {
    double v =
        times ? from.number * pow(by.number, (double)k) : from.number + by.number * (double)k;
    if (k > 0 && (up ? v > to.number + slack : v < to.number - slack)) return ERR_OK;
    /* 12 digits: 12.8 * 2^5 is 409.6, and 0.1 + 0.2 is 0.3 */
    if (push(x, key, arena_printf(a, "%.12g%s", v, from.unit), a, e)) return e->status;
    if (from.number == to.number) return ERR_OK;
  }
}

static int add_axis(const char *text, sweep_plan *p, arena *a, err *e) {
  const char *equals = strchr(text, '=');
  if (equals == NULL || equals == text)
    return err_set(e, ERR_BAD, "--vary: '%s' is not KEY=V1,V2,...", text);
  const char *key = arena_strndup(a, text, (size_t)(equals - text));
  for (size_t k = 0; k < p->n_keys; k++)
    if (strcmp(p->key[k], key) == 0)
      return err_set(e, ERR_BAD, "--vary: '%s' varies twice; give all its values at once", key);
  sweep_axis *x = &p->axes[p->n_keys];
  p->key[p->n_keys++] = key;
  for (const char *at = equals + 1;; at++) {
    size_t n = strcspn(at, ",");
    const char *item = arena_strndup(a, at, n);
    if (n == 0)
      return err_set(e, ERR_BAD, "--vary %s: a value is missing in '%s'", key, equals + 1);
    bool range = strchr(item, ':') != NULL && (isdigit((unsigned char)*item) || *item == '-');
    if (range ? add_range(x, key, item, a, e) : push(x, key, item, a, e)) return e->status;
    at += n;
    if (*at == '\0') break;
  }
  for (size_t i = 0; x->n <= 4096 && i < x->n; i++)
    for (size_t j = 0; j < i; j++)
      if (strcmp(x->value[i], x->value[j]) == 0)
        return err_set(e, ERR_BAD, "--vary %s: the value '%s' stands there twice", key,
                       x->value[i]);
  if (p->n_points > UINT64_C(1000000000) / x->n)
    return err_set(e, ERR_BAD, "--vary: more than 1000000000 points");
  p->n_points *= x->n;
  return ERR_OK;
}

int sweep_plan_vary(const char *const *vary, size_t n, sweep_plan *p, arena *a, err *e) {
  if (n > MAX_KEYS) return err_set(e, ERR_BAD, "--vary: more than %d keys", MAX_KEYS);
  *p = (sweep_plan){.n_points = 1};
  p->key = ARENA_NEW(a, const char *, n);
  p->axes = ARENA_NEW(a, sweep_axis, n);
  for (size_t i = 0; i < n; i++)
    if (add_axis(vary[i], p, a, e)) return e->status;
  return ERR_OK;
}

/* ---- a file ---- */

/* Splits a line into at most `max` cells, in place; SIZE_MAX where quotes are wrong. Returns how
 * many there are, also beyond `max`. */
static size_t split(char *line, const char **cell, size_t max) {
  size_t n = 0;
  for (char *in = line;; in++) {
    char *put = in;
    if (n < max) cell[n] = put;
    n++;
    if (*in == '"') {
      for (in++; *in != '\0' && (*in != '"' || in[1] == '"'); in++) {
        if (*in == '"') in++;
        *put++ = *in;
      }
      if (*in != '"') return SIZE_MAX;
      in++;
      if (*in != ',' && *in != '\0') return SIZE_MAX;
    } else {
      for (; *in != ',' && *in != '\0'; in++) {
        if (*in == '"') return SIZE_MAX;
        put++;
      }
    }
    bool last = *in == '\0';
    *put = '\0';
    if (last) return n;
  }
}

/* The next line that is not blank, without its end, in c->text; false at the end of the file. */
static bool read_line(sweep_cursor *c, err *e) {
  for (;;) {
    ssize_t n = getline(&c->text, &c->cap, c->file);
    if (n < 0) {
      if (ferror(c->file))
        err_set(e, ERR_BAD, "%s: cannot read it: %s", c->plan->path, strerror(errno));
      return false;
    }
    c->line++;
    if (n > MAX_LINE || strlen(c->text) != (size_t)n) {
      err_set(e, ERR_BAD, "%s:%" PRIu64 ": longer than %d bytes, or a NUL byte in it: no CSV",
              c->plan->path, c->line, MAX_LINE);
      return false;
    }
    while (n > 0 && (c->text[n - 1] == '\n' || c->text[n - 1] == '\r')) c->text[--n] = '\0';
    if (n > 0) return true;
  }
}

static int open_file(sweep_cursor *c, err *e) {
  const char *path = c->plan->path;
  struct stat st;
  if (stat(path, &st) != 0 || (!S_ISREG(st.st_mode) && (errno = EINVAL) != 0) ||
      (c->file = fopen(path, "re")) == NULL)
    return err_set(e, ERR_BAD, "--points: cannot read '%s': %s%s", path, strerror(errno),
                   errno == EINVAL ? "; it must be a regular file, as it is read twice" : "");
  c->next = c->line = 0;
  return ERR_OK;
}

static int read_cells(sweep_cursor *c, const char **cell, size_t *n, err *e) {
  *n = 0;
  if (!read_line(c, e)) return e->status;
  *n = split(c->text, cell, MAX_KEYS);
  if (*n == SIZE_MAX)
    return err_set(e, ERR_BAD,
                   "%s:%" PRIu64 ": quotes are wrong; a cell in quotes ends with one on the same "
                   "line, and \"\" stands for a quote inside",
                   c->plan->path, c->line);
  return ERR_OK;
}

static int take_header(sweep_cursor *c, sweep_plan *p, arena *a, err *e) {
  size_t n;
  const char *cell[MAX_KEYS];
  if (read_cells(c, cell, &n, e)) return e->status;
  if (n == 0)
    return err_set(e, ERR_BAD, "%s: is empty; its first line must name the keys", p->path);
  if (n > MAX_KEYS) return err_set(e, ERR_BAD, "%s: more than %d keys", p->path, MAX_KEYS);
  p->key = ARENA_NEW(a, const char *, n);
  for (size_t i = 0; i < n; i++) {
    const char *key = cell[i];
    if (i == 0 && strncmp(key, "\xef\xbb\xbf", 3) == 0) key += 3;
    if (*key == '\0')
      return err_set(e, ERR_BAD, "%s:%" PRIu64 ": key %zu is empty", p->path, c->line, i + 1);
    for (size_t j = 0; j < i; j++)
      if (strcmp(p->key[j], key) == 0)
        return err_set(e, ERR_BAD, "%s:%" PRIu64 ": the key '%s' stands there twice", p->path,
                       c->line, key);
    p->key[p->n_keys++] = arena_strdup(a, key);
  }
  return ERR_OK;
}

static int read_row(sweep_cursor *c, const char **cell, bool *end, err *e) {
  size_t n;
  if (read_cells(c, cell, &n, e)) return e->status;
  *end = n == 0;
  if (*end || n == c->plan->n_keys) return ERR_OK;
  return err_set(e, ERR_BAD, "%s:%" PRIu64 ": has %zu cells, but the header has %zu", c->plan->path,
                 c->line, n, c->plan->n_keys);
}

int sweep_plan_file(const char *path, sweep_plan *p, arena *a, err *e) {
  *p = (sweep_plan){.path = path};
  sweep_cursor c = {.plan = p};
  const char *cell[MAX_KEYS];
  int status = open_file(&c, e);
  if (status == ERR_OK) status = take_header(&c, p, a, e);
  for (bool end = false; status == ERR_OK && !end;) {
    status = read_row(&c, cell, &end, e);
    if (status == ERR_OK && !end) p->n_points++;
  }
  sweep_cursor_free(&c);
  if (status == ERR_OK && p->n_points == 0)
    return err_set(e, ERR_BAD, "%s: no point stands below its header", path);
  return status;
}

static int seek_file(sweep_cursor *c, uint64_t i, err *e) {
  const char *cell[MAX_KEYS];
  if (c->file != NULL && i < c->next) {
    fclose(c->file);
    c->file = NULL;
  }
  if (c->file == NULL) {
    size_t n;
    if (open_file(c, e) || read_cells(c, cell, &n, e)) return e->status;
  }
  for (bool end = false; c->next <= i; c->next++) {
    if (read_row(c, c->value, &end, e)) return e->status;
    if (end) return err_set(e, ERR_BAD, "%s: has become shorter", c->plan->path);
  }
  return ERR_OK;
}

int sweep_point(sweep_cursor *c, uint64_t i, const char *const **values, err *e) {
  const sweep_plan *p = c->plan;
  if (c->value == NULL) c->value = mem_alloc(MAX_KEYS, sizeof *c->value);
  *values = c->value;
  if (p->path != NULL) return seek_file(c, i, e);
  for (size_t k = p->n_keys; k-- > 0; i /= p->axes[k].n)
    c->value[k] = p->axes[k].value[i % p->axes[k].n];
  return ERR_OK;
}

void sweep_cursor_free(sweep_cursor *c) {
  if (c->file != NULL) fclose(c->file);
  free(c->text);
  free(c->value);
  *c = (sweep_cursor){.plan = c->plan};
}

/* ---- shards ---- */

int sweep_shard(const char *text, uint64_t n_points, uint64_t *first, uint64_t *end, err *e) {
  uint64_t i, n;
  char copy[64];
  const char *slash = strchr(text, '/');
  err ignored = {0};
  bool fits = slash != NULL && strlen(text) < sizeof copy;
  if (fits) {
    memcpy(copy, text, strlen(text) + 1);
    copy[slash - text] = '\0';
  }
  if (!fits || units_parse_u64(copy + (slash - text) + 1, 1, 1000000, &n, &ignored) ||
      units_parse_u64(copy, 1, n, &i, &ignored))
    return err_set(e, ERR_BAD,
                   "--shard: '%s' is not I/N; N is the number of shards, to 1000000, and I which "
                   "one, from 1 to N",
                   text);
  *first = n_points * (i - 1) / n;
  *end = n_points * i / n;
  return ERR_OK;
}
