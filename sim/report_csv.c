#include <string.h>

#include "sim/base/json.h"
#include "sim/report_fields.h"

enum { DEPTH = 4 };

/* One walk over the fields writes either their names or their values. */
typedef struct csv {
  out *o;
  bool header, first;
  bool lost;       /* the run failed: cells of results stay empty */
  const char *why; /* it failed; NULL: it did not */
  int depth;
  const char *path[DEPTH];
} csv;

/* A cell from up to `n` pieces joined by dots, quoted where RFC 4180 wants it. */
static void write_cell(csv *c, const char *const *piece, int n) {
  bool quote = false;
  for (int i = 0; i < n; i++) quote = quote || strpbrk(piece[i], ",\"\r\n") != NULL;
  if (quote) out_char(c->o, '"');
  for (int i = 0; i < n; i++) {
    if (i > 0) out_char(c->o, '.');
    for (const char *p = piece[i]; *p != '\0'; p++) {
      if (*p == '"') out_char(c->o, '"');
      out_char(c->o, *p);
    }
  }
  if (quote) out_char(c->o, '"');
}

/* Begins a cell; true where its value is still to be written. */
static bool begin_cell(csv *c, const char *key) {
  if (!c->first) out_char(c->o, ',');
  c->first = false;
  if (!c->header) return !c->lost;
  c->path[c->depth] = key;
  write_cell(c, c->path, c->depth + 1);
  return false;
}

static void put_object(void *self, const char *key) {
  csv *c = self;
  if (c->why != NULL && c->depth == 0 && strcmp(key, "tasks") == 0)
    c->lost = true; /* the first result */
  c->path[c->depth++] = key;
}

static void put_end(void *self) {
  csv *c = self;
  c->depth--;
}

static void put_text(void *self, const char *key, const char *v) {
  csv *c = self;
  if (begin_cell(c, key)) write_cell(c, &v, 1);
}

static void put_count(void *self, const char *key, uint64_t v) {
  csv *c = self;
  if (begin_cell(c, key)) out_u64(c->o, v);
}

static void put_number(void *self, const char *key, double v) {
  csv *c = self;
  if (begin_cell(c, key)) out_json_f64(c->o, v);
}

/* Sum, mean and maximum over resources [from, to) of the report; links: only ports. */
static void put_class(const report *r, csv *c, const char *name, size_t from, size_t to) {
  size_t n = 0, links = r->tl->n_resources;
  double busy_s = 0, most = 0;
  uint64_t tasks = 0, bytes = 0;
  for (size_t i = from; i < to; i++) {
    if (i >= links && r->plat->links[i - links].role != PLAT_LINK_PORT) continue;
    const report_resource *x = &r->resources[i];
    n++;
    busy_s += x->busy_s;
    tasks += x->tasks;
    bytes += x->bytes;
    if (x->utilization > most) most = x->utilization;
  }
  double all_s = (double)n * r->tl->makespan_s;
  put_object(c, name);
  put_number(c, "busy_s", busy_s);
  put_number(c, "utilization", all_s > 0 ? busy_s / all_s : 0);
  put_number(c, "utilization_max", most);
  put_count(c, "tasks", tasks);
  put_count(c, "bytes", bytes);
  put_end(c);
}

static void put_link(const report_resource *x, csv *c) {
  put_object(c, x->name);
  put_number(c, "busy_s", x->busy_s);
  put_number(c, "utilization", x->utilization);
  put_count(c, "tasks", x->tasks);
  put_count(c, "bytes", x->bytes);
  put_number(c, "active_s", x->active_s);
  put_end(c);
}

static void put_lists(const report *r, csv *c) {
  size_t engines = r->plat->n_engines, links = r->tl->n_resources;
  put_object(c, "resources");
  put_class(r, c, "engine", 0, engines);
  put_class(r, c, "dma", engines, links);
  put_class(r, c, "port", links, r->n_resources);
  for (size_t i = links; i < r->n_resources; i++)
    if (r->plat->links[i - links].role != PLAT_LINK_PORT) put_link(&r->resources[i], c);
  put_end(c);
  put_object(c, "memory");
  double pads_B = 0;
  uint64_t fullest_B = 0;
  for (size_t i = 0; i < r->n_memory; i++) {
    if (i < r->plat->n_srams && plat_pad_of(r->plat, i) != PLAT_NONE) {
      pads_B += r->memory[i].capacity_B;
      if (r->memory[i].high_water_B > fullest_B) fullest_B = r->memory[i].high_water_B;
      continue;
    }
    put_object(c, r->memory[i].name);
    put_number(c, "capacity_B", r->memory[i].capacity_B);
    put_count(c, "high_water_B", r->memory[i].high_water_B);
    put_end(c);
  }
  if (pads_B > 0) {
    put_object(c, "scratchpads");
    put_number(c, "capacity_B", pads_B);
    put_count(c, "high_water_B", fullest_B);
    put_end(c);
  }
  put_end(c);
}

static void write_line(const report *r, out *o, bool header, const char *why) {
  csv c = {.o = o, .header = header, .first = true, .why = why};
  report_sink s = {.self = &c,
                   .flat = true,
                   .object = put_object,
                   .end = put_end,
                   .text = put_text,
                   .count = put_count,
                   .number = put_number};
  report_put_head(r, &s);
  put_lists(r, &c);
  report_put_tail(r, &s);
  c.lost = false;
  put_text(&c, "error", why != NULL ? why : "");
  out_char(o, '\n');
}

void report_write_csv_header(const report *r, out *o) {
  write_line(r, o, true, NULL);
}

void report_write_csv_row(const report *r, out *o) {
  write_line(r, o, false, NULL);
}

void report_write_csv_failure(const report *r, const char *why, out *o) {
  write_line(r, o, false, why);
}
