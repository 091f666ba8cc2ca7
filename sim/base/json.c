#include "sim/base/json.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `json` is cJSON's item under another name; these two are the only places that know. */
static const cJSON *item(const json *v) {
  return (const cJSON *)v;
}

static const json *value(const cJSON *v) {
  return (const json *)v;
}

/* -- parsing -- */

/* The chain of values from the root to one below it, for its path in a message. */
typedef struct chain {
  const struct chain *up;
  const cJSON *v;
  size_t index; /* in its array */
} chain;

/* ".layers[3].name", cut at the front where it is too long; "" for the root. */
static void print_path(const chain *c, char *buf, size_t size) {
  size_t at = size - 1;
  buf[at] = '\0';
  for (; c != NULL && c->up != NULL; c = c->up) {
    char step[80];
    if (c->v->string != NULL)
      snprintf(step, sizeof step, ".%.60s", c->v->string);
    else
      snprintf(step, sizeof step, "[%zu]", c->index);
    size_t n = strlen(step);
    if (n > at) break;
    at -= n;
    memcpy(buf + at, step, n);
  }
  memmove(buf, buf + at, size - at);
  for (char *p = buf; *p != '\0'; p++)
    if (iscntrl((unsigned char)*p)) *p = '?';
}

static int by_key(const void *a, const void *b) {
  return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

/* A child whose key an earlier or later child has too, or NULL. Sorting keeps large objects from
 * being quadratic; small ones are compared pairwise, without memory. */
static const cJSON *find_duplicate(const cJSON *object, size_t n) {
  enum { SMALL = 16 };
  if (n <= SMALL) {
    for (const cJSON *b = object->child; b != NULL; b = b->next)
      for (const cJSON *a = object->child; a != b; a = a->next)
        if (strcmp(a->string, b->string) == 0) return b;
    return NULL;
  }
  const cJSON **keys = mem_alloc(n, sizeof *keys), *found = NULL;
  size_t i = 0;
  for (const cJSON *v = object->child; v != NULL; v = v->next) keys[i++] = v;
  qsort(keys, n, sizeof *keys, by_key);
  for (i = 1; i < n && found == NULL; i++)
    if (strcmp(keys[i - 1]->string, keys[i]->string) == 0) found = keys[i];
  free(keys);
  return found;
}

/* What cJSON lets pass and we do not: duplicate keys, numbers beyond double. Depth is bounded by
 * cJSON (CJSON_NESTING_LIMIT, 1000), so recursion is safe. */
static int check_tree(const char *where, const chain *c, err *e) {
  char path[256];
  const cJSON *v = c->v;
  if (cJSON_IsNumber(v) && !isfinite(v->valuedouble)) {
    print_path(c, path, sizeof path);
    return err_set(e, ERR_BAD, "%s: %s: the number is too large; the limit is 1.8e308", where,
                   path[0] != '\0' ? path : "the document");
  }
  size_t n = 0;
  for (const cJSON *child = v->child; child != NULL; child = child->next) {
    chain next = {c, child, n++};
    int status = check_tree(where, &next, e);
    if (status != ERR_OK) return status;
  }
  const cJSON *twice = cJSON_IsObject(v) ? find_duplicate(v, n) : NULL;
  if (twice == NULL) return ERR_OK;
  chain last = {c, twice, 0};
  print_path(&last, path, sizeof path);
  return err_set(e, ERR_BAD, "%s: %s: this key stands there twice; remove one", where, path);
}

static int syntax_error(const char *where, const unsigned char *data, size_t len, size_t at,
                        const char *want, err *e) {
  size_t line = 1, column = 1;
  for (size_t i = 0; i < at; i++) {
    column = data[i] == '\n' ? 1 : column + 1;
    line += data[i] == '\n';
  }
  char got[32] = "the end of the file";
  if (at < len && isprint(data[at]))
    snprintf(got, sizeof got, "'%c'", data[at]);
  else if (at < len)
    snprintf(got, sizeof got, "byte 0x%02x", data[at]);
  return err_set(e, ERR_BAD, "%s:%zu:%zu: this is not JSON: expected %s, got %s", where, line,
                 column, want, got);
}

int json_parse(const char *where, const unsigned char *data, size_t len, json_doc *doc, err *e) {
  *doc = (json_doc){.where = where};
  if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
    data += 3;
    len -= 3;
  }
  size_t begin = 0, at;
  while (begin < len && isspace(data[begin])) begin++;
  if (begin == len) return err_set(e, ERR_BAD, "%s: is empty; it must be a JSON document", where);

  /* cJSON takes more than JSON and is vague about places: the syntax is checked before */
  const char *want = json_scan(data, len, &at), *stop = NULL;
  if (want != NULL) return syntax_error(where, data, len, at, want, e);
  cJSON *root = cJSON_ParseWithLengthOpts((const char *)data, len, &stop, 0);
  if (root == NULL)
    return err_set(e, ERR_INTERNAL, "%s: cJSON refuses it at byte %zu (out of memory?)", where,
                   stop != NULL ? (size_t)(stop - (const char *)data) : 0);
  doc->root = (json *)root;
  chain top = {NULL, root, 0};
  int status = check_tree(where, &top, e);
  if (status != ERR_OK) json_free(doc);
  return status;
}

void json_free(json_doc *doc) {
  cJSON_Delete((cJSON *)doc->root);
  doc->root = NULL;
}

/* -- plain access -- */

bool json_is_object(const json *v) {
  return cJSON_IsObject(item(v));
}
bool json_is_array(const json *v) {
  return cJSON_IsArray(item(v));
}
bool json_is_string(const json *v) {
  return cJSON_IsString(item(v));
}
bool json_is_number(const json *v) {
  return cJSON_IsNumber(item(v));
}
bool json_is_bool(const json *v) {
  return cJSON_IsBool(item(v));
}
bool json_is_null(const json *v) {
  return cJSON_IsNull(item(v));
}

const json *json_get(const json *v, const char *key) {
  return json_is_object(v) ? value(cJSON_GetObjectItemCaseSensitive(item(v), key)) : NULL;
}

const json *json_first(const json *v) {
  return v != NULL ? value(item(v)->child) : NULL;
}

const json *json_next(const json *v) {
  return value(item(v)->next);
}

const char *json_key(const json *v) {
  return item(v)->string;
}

size_t json_count(const json *v) {
  size_t n = 0;
  for (const json *c = json_first(v); c != NULL; c = json_next(c)) n++;
  return n;
}

const char *json_str(const json *v) {
  assert(json_is_string(v));
  return item(v)->valuestring;
}

double json_num(const json *v) {
  assert(json_is_number(v));
  return item(v)->valuedouble;
}

bool json_true(const json *v) {
  return cJSON_IsTrue(item(v));
}

/* -- checked access -- */

const char *json_describe(const json *v, char buf[JSON_DESCRIBE]) {
  if (json_is_number(v)) {
    snprintf(buf, JSON_DESCRIBE, "%.15g", json_num(v));
  } else if (json_is_string(v)) {
    const char *s = json_str(v);
    int n = snprintf(buf, JSON_DESCRIBE, "\"%.40s%s\"", s, strlen(s) > 40 ? "..." : "");
    for (int i = 0; i < n; i++)
      if (iscntrl((unsigned char)buf[i])) buf[i] = '?';
  } else {
    snprintf(buf, JSON_DESCRIBE, "%s",
             v == NULL           ? "missing"
             : json_is_object(v) ? "an object"
             : json_is_array(v)  ? "an array"
             : json_is_null(v)   ? "null"
             : json_true(v)      ? "true"
                                 : "false");
  }
  return buf;
}

/* The member, or NULL where it is missing or null. */
static const json *present(const json *obj, const char *key) {
  const json *v = json_get(obj, key);
  return v == NULL || json_is_null(v) ? NULL : v;
}

static int missing(const json_doc *d, const char *ctx, const char *key, const char *want, err *e) {
  return err_set(e, ERR_BAD, "%s: %s.%s: is missing; it must be %s", d->where, ctx, key, want);
}

static int wrong(const json_doc *d, const json *v, const char *ctx, const char *key,
                 const char *want, err *e) {
  char got[JSON_DESCRIBE];
  return err_set(e, ERR_BAD, "%s: %s.%s: is %s; it must be %s", d->where, ctx, key,
                 json_describe(v, got), want);
}

#define EXACT_MAX 9007199254740992.0 /* 2^53 */

/* A whole number, exact: a double up to 2^53, or a larger one as decimal digits in a string. */
static bool as_u64(const json *v, uint64_t *x) {
  if (json_is_number(v)) {
    double n = json_num(v);
    if (!(n >= 0 && n <= EXACT_MAX && n == floor(n))) return false;
    *x = (uint64_t)n;
    return true;
  }
  if (!json_is_string(v) || *json_str(v) == '\0') return false;
  uint64_t n = 0;
  for (const char *p = json_str(v); *p != '\0'; p++) {
    if (*p < '0' || *p > '9') return false;
    uint64_t digit = (uint64_t)(*p - '0');
    if (n > (UINT64_MAX - digit) / 10) return false;
    n = n * 10 + digit;
  }
  *x = n;
  return n > (uint64_t)EXACT_MAX;
}

static const char *range_text(char buf[96], uint64_t lo, uint64_t hi) {
  snprintf(buf, 96, "a whole number from %" PRIu64 " to %" PRIu64 "%s", lo, hi,
           hi > (uint64_t)EXACT_MAX ? " (above 2^53 as a string)" : "");
  return buf;
}

int json_opt_u64(const json_doc *d, const json *obj, const char *ctx, const char *key, uint64_t lo,
                 uint64_t hi, uint64_t *v, err *e) {
  const json *member = present(obj, key);
  uint64_t x;
  if (member == NULL) return ERR_OK;
  if (as_u64(member, &x) && x >= lo && x <= hi) {
    *v = x;
    return ERR_OK;
  }
  char want[96];
  return wrong(d, member, ctx, key, range_text(want, lo, hi), e);
}

int json_need_u64(const json_doc *d, const json *obj, const char *ctx, const char *key, uint64_t lo,
                  uint64_t hi, uint64_t *v, err *e) {
  if (present(obj, key) != NULL) return json_opt_u64(d, obj, ctx, key, lo, hi, v, e);
  char want[96];
  return missing(d, ctx, key, range_text(want, lo, hi), e);
}

int json_opt_f64(const json_doc *d, const json *obj, const char *ctx, const char *key, double lo,
                 double hi, double *v, err *e) {
  const json *member = present(obj, key);
  if (member == NULL) return ERR_OK;
  if (json_is_number(member) && json_num(member) >= lo && json_num(member) <= hi) {
    *v = json_num(member);
    return ERR_OK;
  }
  char want[80];
  snprintf(want, sizeof want, "a number from %g to %g", lo, hi);
  return wrong(d, member, ctx, key, want, e);
}

int json_need_f64(const json_doc *d, const json *obj, const char *ctx, const char *key, double lo,
                  double hi, double *v, err *e) {
  if (present(obj, key) != NULL) return json_opt_f64(d, obj, ctx, key, lo, hi, v, e);
  char want[80];
  snprintf(want, sizeof want, "a number from %g to %g", lo, hi);
  return missing(d, ctx, key, want, e);
}

int json_opt_str(const json_doc *d, const json *obj, const char *ctx, const char *key,
                 const char **v, err *e) {
  const json *member = present(obj, key);
  if (member == NULL) return ERR_OK;
  if (!json_is_string(member)) return wrong(d, member, ctx, key, "a string", e);
  *v = json_str(member);
  return ERR_OK;
}

int json_need_str(const json_doc *d, const json *obj, const char *ctx, const char *key,
                  const char **v, err *e) {
  if (present(obj, key) == NULL) return missing(d, ctx, key, "a string", e);
  return json_opt_str(d, obj, ctx, key, v, e);
}

int json_opt_bool(const json_doc *d, const json *obj, const char *ctx, const char *key, bool *v,
                  err *e) {
  const json *member = present(obj, key);
  if (member == NULL) return ERR_OK;
  if (!json_is_bool(member)) return wrong(d, member, ctx, key, "true or false", e);
  *v = json_true(member);
  return ERR_OK;
}
