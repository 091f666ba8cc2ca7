#include "sim/base/json.h"
#include "sim/report_fields.h"

static void put_object(void *self, const char *key) {
  jw_object(self, key);
}

static void put_end(void *self) {
  jw_end(self);
}

static void put_text(void *self, const char *key, const char *v) {
  jw_str(self, key, v);
}

static void put_count(void *self, const char *key, uint64_t v) {
  jw_u64(self, key, v);
}

static void put_number(void *self, const char *key, double v) {
  jw_f64(self, key, v);
}

/* A list with one element a line. */
static void begin_list(jw *w, const char *key) {
  w->pretty = 2;
  jw_array(w, key);
}

static void end_list(jw *w) {
  jw_end(w);
  w->pretty = 1;
}

static void write_resources(const report *r, jw *w) {
  begin_list(w, "resources");
  for (size_t i = 0; i < r->n_resources; i++) {
    const report_resource *x = &r->resources[i];
    jw_object(w, NULL);
    jw_str(w, "name", x->name);
    jw_str(w, "role", x->role);
    jw_f64(w, "busy_s", x->busy_s);
    jw_f64(w, "utilization", x->utilization);
    jw_u64(w, "tasks", x->tasks);
    jw_u64(w, "bytes", x->bytes);
    if (i >= r->tl->n_resources) jw_f64(w, "active_s", x->active_s);
    jw_end(w);
  }
  end_list(w);
}

static void write_memory(const report *r, jw *w) {
  begin_list(w, "memory");
  for (size_t i = 0; i < r->n_memory; i++) {
    jw_object(w, NULL);
    jw_str(w, "name", r->memory[i].name);
    jw_f64(w, "capacity_B", r->memory[i].capacity_B);
    jw_u64(w, "high_water_B", r->memory[i].high_water_B);
    jw_end(w);
  }
  end_list(w);
}

void report_put_members(const report *r, jw *w) {
  report_sink s = {.self = w,
                   .object = put_object,
                   .end = put_end,
                   .text = put_text,
                   .count = put_count,
                   .number = put_number};
  jw_str(w, "format", "llamasim-report");
  jw_u64(w, "version", 1);
  report_put_head(r, &s);
  write_resources(r, w);
  write_memory(r, w);
  report_put_tail(r, &s);
}

void report_write_json(const report *r, out *o) {
  jw w = jw_new(o, 2, 1);
  jw_object(&w, NULL);
  report_put_members(r, &w);
  jw_end(&w);
}
