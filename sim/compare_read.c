#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/unpack.h"
#include "sim/compare.h"

static const char TRACE_BEGIN[] = "{\"traceEvents\":[";
static const char META_BEGIN[] = "\n],\"metadata\":";

/* Of any number: sums and ratios of such are numbers, too. */
static const double MOST = 1e100;

/* ---- fields ---- */

enum { MAX_DEPTH = 8 };

typedef struct fields {
  compare_run *r;
  size_t cap;
  arena *a;
} fields;

static int add_fields(fields *f, const char *path, const json *v, int depth, err *e) {
  if (!json_is_object(v) && !json_is_array(v)) {
    compare_field x = {.key = path, .value = v};
    if (json_is_number(v) && !(fabs(json_num(v)) <= MOST))
      return err_set(e, ERR_BAD, "%s: %s: is %g; a report's numbers are at most %g", f->r->path,
                     path, json_num(v), MOST);
    if (!json_is_null(v)) ARENA_PUSH(f->a, f->r->fields, f->r->n_fields, f->cap, x);
    return ERR_OK;
  }
  if (depth == MAX_DEPTH)
    return err_set(e, ERR_BAD, "%s: %s: is nested deeper than any report", f->r->path, path);
  size_t i = 0;
  for (const json *c = json_first(v); c != NULL; c = json_next(c), i++) {
    const json *name = json_get(c, "name");
    const char *key = json_is_object(v)                      ? json_key(c)
                      : name != NULL && json_is_string(name) ? json_str(name)
                                                             : arena_printf(f->a, "%zu", i);
    if (json_is_array(v) && json_is_object(c) && name == NULL) key = arena_printf(f->a, "%zu", i);
    const char *to = *path == '\0' ? key : arena_printf(f->a, "%s.%s", path, key);
    if (add_fields(f, to, c, depth + 1, e)) return e->status;
  }
  return ERR_OK;
}

static int by_key(const void *a, const void *b) {
  const compare_field *x = a, *y = b;
  return strcmp(x->key, y->key);
}

const json *compare_field_of(const compare_run *r, const char *key) {
  compare_field want = {.key = key};
  const compare_field *x = bsearch(&want, r->by_key, r->n_fields, sizeof want, by_key);
  return x != NULL ? x->value : NULL;
}

static int read_report(compare_run *r, arena *a, err *e) {
  const char *format = NULL;
  uint64_t version;
  json_doc d = {.where = r->path, .root = r->doc.root};
  if (!json_is_object(r->report))
    return err_set(e, ERR_BAD,
                   "%s: holds no report; write one with `run --report` or `run --trace`", r->path);
  if (json_need_str(&d, r->report, "", "format", &format, e)) return e->status;
  if (strcmp(format, "llamasim-report") != 0)
    return err_set(e, ERR_BAD,
                   "%s: .format: is \"%.40s\"; compare reads reports (llamasim-report) and traces",
                   r->path, format);
  if (json_need_u64(&d, r->report, "", "version", 1, 1, &version, e)) return e->status;
  if (json_need_f64(&d, r->report, "", "makespan_s", 0, MOST, &r->makespan_s, e)) return e->status;
  fields f = {.r = r, .a = a};
  if (add_fields(&f, "", r->report, 0, e)) return e->status;
  r->by_key = ARENA_NEW(a, compare_field, r->n_fields);
  memcpy(r->by_key, r->fields, r->n_fields * sizeof *r->fields);
  qsort(r->by_key, r->n_fields, sizeof *r->by_key, by_key);
  for (size_t i = 1; i < r->n_fields; i++)
    if (strcmp(r->by_key[i].key, r->by_key[i - 1].key) == 0)
      return err_set(e, ERR_BAD, "%s: %s: stands there twice", r->path, r->by_key[i].key);
  return ERR_OK;
}

/* ---- tasks of a trace ---- */

static int by_id(const void *a, const void *b) {
  const compare_task *x = a, *y = b;
  return (x->id > y->id) - (x->id < y->id);
}

/* One event of the trace, without the comma behind it. */
static int add_task(compare_run *r, const char *line, size_t len, size_t *cap, arena *a, err *e) {
  json_doc d = {0};
  compare_task t = {0};
  const char *name = NULL, *op = NULL;
  if (json_parse(r->path, (const unsigned char *)line, len, &d, e)) return e->status;
  const json *args = json_get(d.root, "args");
  int status = ERR_OK;
  if (json_need_str(&d, d.root, "", "name", &name, e) ||
      json_need_u64(&d, args, ".args", "task_id", 0, UINT32_MAX, &t.id, e) ||
      json_need_str(&d, args, ".args", "op", &op, e) ||
      json_need_f64(&d, args, ".args", "start_s", 0, MOST, &t.start_s, e) ||
      json_need_f64(&d, args, ".args", "dur_s", 0, MOST, &t.dur_s, e) ||
      json_need_f64(&d, args, ".args", "critical_s", 0, MOST, &t.critical_s, e)) {
    status = e->status;
  } else {
    t.name = arena_strdup(a, name);
    t.op = arena_strdup(a, op);
    ARENA_PUSH(a, r->tasks, r->n_tasks, *cap, t);
  }
  json_free(&d);
  return status;
}

static bool contains(const char *line, size_t len, const char *what) {
  size_t n = strlen(what);
  for (const char *p = line; len >= n; p++, len--) {
    const char *q = memchr(p, what[0], len - n + 1);
    if (q == NULL) return false;
    len -= (size_t)(q - p);
    p = q;
    if (memcmp(p, what, n) == 0) return true;
  }
  return false;
}

static int read_tasks(compare_run *r, const char *from, const char *to, arena *a, err *e) {
  size_t cap = 0;
  while (from < to) {
    const char *end = memchr(from, '\n', (size_t)(to - from));
    if (end == NULL) end = to;
    size_t len = (size_t)(end - from);
    if (len > 0 && from[len - 1] == ',') len--;
    if (contains(from, len, "\"args\":{\"task_id\":") && add_task(r, from, len, &cap, a, e))
      return e->status;
    from = end + 1;
  }
  if (r->n_tasks > 0) qsort(r->tasks, r->n_tasks, sizeof *r->tasks, by_id);
  for (size_t i = 1; i < r->n_tasks; i++)
    if (r->tasks[i].id == r->tasks[i - 1].id)
      return err_set(e, ERR_BAD,
                     "%s: task %llu stands there twice; compare reads traces of one run each",
                     r->path, (unsigned long long)r->tasks[i].id);
  return ERR_OK;
}

/* The last occurrence of the metadata's beginning: no string of an event has a bare line end. */
static const char *find_metadata(const char *text, size_t len) {
  size_t n = sizeof META_BEGIN - 1;
  for (size_t i = len >= n ? len - n + 1 : 0; i-- > 0;)
    if (text[i] == '\n' && memcmp(text + i, META_BEGIN, n) == 0) return text + i;
  return NULL;
}

static bool is_trace(const unsigned char *text, size_t len) {
  return len >= sizeof TRACE_BEGIN && memcmp(text, TRACE_BEGIN, sizeof TRACE_BEGIN - 1) == 0;
}

static int not_ours(const char *path, err *e) {
  return err_set(e, ERR_BAD,
                 "%s: is no trace of one run as this version of `run --trace` writes it", path);
}

/* Checks it whole; `meta` gets its metadata. */
static int read_trace(compare_run *r, const unsigned char *text, size_t len, json_doc *meta,
                      arena *a, err *e) {
  size_t at;
  const char *bad = json_scan(text, len, &at), *s = (const char *)text;
  if (bad != NULL)
    return err_set(e, ERR_BAD, "%s: byte %zu: this is not JSON: expected %s", r->path, at, bad);
  const char *m = find_metadata(s, len), *end = s + len;
  while (end > s && (end[-1] == '\n' || end[-1] == ' ')) end--;
  if (m == NULL || end - m < (long)sizeof META_BEGIN || end[-1] != '}') return not_ours(r->path, e);
  const char *object = m + sizeof META_BEGIN - 1;
  if (json_parse(r->path, (const unsigned char *)object, (size_t)(end - 1 - object), meta, e))
    return e->status;
  r->text = text;
  r->len = len;
  return read_tasks(r, s + sizeof TRACE_BEGIN - 1, m, a, e);
}

int compare_add_trace(compare_run *r, const unsigned char *text, size_t len, arena *a, err *e) {
  json_doc meta = {0};
  if (!is_trace(text, len)) return not_ours(r->path, e);
  int status = read_trace(r, text, len, &meta, a, e);
  json_free(&meta);
  return status;
}

int compare_parse(const char *path, const unsigned char *text, size_t len, compare_run *r, arena *a,
                  err *e) {
  *r = (compare_run){.path = path};
  if (!is_trace(text, len)) {
    if (json_parse(path, text, len, &r->doc, e)) return e->status;
    r->report = r->doc.root;
    return read_report(r, a, e);
  }
  if (read_trace(r, text, len, &r->doc, a, e)) return e->status;
  r->report = json_get(r->doc.root, "report");
  return r->report == NULL ? not_ours(path, e) : read_report(r, a, e);
}

int compare_read(const char *path, compare_run *r, arena *a, err *e) {
  *r = (compare_run){.path = path};
  file_bytes b;
  if (file_read(path, COMPARE_LIMIT, &b, a, e)) return e->status;
  if (unpack_gzip(path, COMPARE_LIMIT, &b, a, e)) return e->status;
  return compare_parse(path, b.data, b.len, r, a, e);
}

void compare_free(compare_run *r) {
  json_free(&r->doc);
  r->doc = (json_doc){0};
}
