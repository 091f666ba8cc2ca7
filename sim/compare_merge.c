#include <stdio.h>
#include <string.h>

#include "sim/compare.h"

/* Merging works on the text of each trace, an event a line, as report_trace.c writes it: only the
 * numbers that must differ between processes are replaced, so that everything else stays to the
 * byte. */

enum { FIRST_TID = 11 };

const char *compare_label(char buf[COMPARE_LABEL], size_t i) {
  char *p = buf + COMPARE_LABEL;
  *--p = '\0';
  for (i++; i > 0; i = (i - 1) / 26) *--p = (char)('A' + (i - 1) % 26);
  return p;
}

typedef struct merge {
  out *o;
  size_t run, n;
  uint64_t flow0, flow_max; /* added to ids; the largest id given so far */
  const char *at, *end;     /* what is left of the line */
  bool any;
} merge;

/* Takes `text` off the line; false where it does not stand there. */
static bool take(merge *m, const char *text) {
  size_t n = strlen(text);
  if ((size_t)(m->end - m->at) < n || memcmp(m->at, text, n) != 0) return false;
  m->at += n;
  return true;
}

static bool take_number(merge *m, uint64_t *v) {
  const char *p = m->at;
  *v = 0;
  for (; p < m->end && *p >= '0' && *p <= '9' && p - m->at < 16; p++)
    *v = 10 * *v + (uint64_t)(*p - '0');
  bool any = p > m->at;
  m->at = p;
  return any;
}

/* The label in a process's name, and its place. */
static bool put_process_name(merge *m) {
  char label[COMPARE_LABEL];
  const char *NAME = ",\"name\":\"process_name\",\"args\":{\"name\":\"A: ";
  const char *INDEX = ",\"name\":\"process_sort_index\",\"args\":{\"sort_index\":";
  uint64_t old;
  if (take(m, NAME)) {
    out_printf(
        m->o, ",\"name\":\"process_name\",\"args\":{\"name\":\"%s: ", compare_label(label, m->run));
    return true;
  }
  if (!take(m, INDEX) || !take_number(m, &old)) return true; /* a thread's */
  out_str(m->o, INDEX);
  out_u64(m->o, m->run + 1);
  return true;
}

static bool put_flow_id(merge *m) {
  uint64_t id;
  if (!take(m, ",\"id\":") || !take_number(m, &id) || id == 0) return false;
  id += m->flow0;
  if (id > m->flow_max) m->flow_max = id;
  out_str(m->o, ",\"id\":");
  out_u64(m->o, id);
  return true;
}

/* One event; false where it is not as report_trace.c writes it. */
static bool put_event(merge *m) {
  uint64_t pid, tid;
  /* a thread with the number of a process would be taken for its main thread */
  uint64_t tid0 = m->n < FIRST_TID ? FIRST_TID : m->n + 1;
  if (!take(m, "{\"ph\":\"") || m->at == m->end) return false;
  char phase = *m->at++;
  if (!take(m, "\",\"pid\":") || !take_number(m, &pid) || pid != 1) return false;
  if (m->any) out_str(m->o, ",\n");
  m->any = true;
  out_printf(m->o, "{\"ph\":\"%c\",\"pid\":%zu", phase, m->run + 1);
  if (phase != 'C') {
    if (!take(m, ",\"tid\":") || !take_number(m, &tid) || tid < FIRST_TID) return false;
    out_str(m->o, ",\"tid\":");
    out_u64(m->o, tid - FIRST_TID + tid0);
    if (!take(m, ",\"ts\":")) return false;
    out_str(m->o, ",\"ts\":");
    if (phase == 's' || phase == 'f' || phase == 'M') {
      const char *ts = m->at;
      while (m->at < m->end && *m->at != ',') m->at++;
      out_write(m->o, ts, (size_t)(m->at - ts));
      if (phase == 'M' ? !put_process_name(m) : !put_flow_id(m)) return false;
    }
  }
  out_write(m->o, m->at, (size_t)(m->end - m->at));
  return true;
}

/* Every line is one event, whole, until the array ends. */
static int put_run(merge *m, const compare_run *r, err *e) {
  const char *p = memchr(r->text, '\n', r->len), *end = (const char *)r->text + r->len;
  size_t line = 2, at;
  m->flow0 = m->flow_max;
  for (p = p != NULL ? p + 1 : end; p < end; line++) {
    const char *next = memchr(p, '\n', (size_t)(end - p));
    if (next == NULL) next = end;
    if (next == p || *p == ']') break;
    m->at = p;
    m->end = next[-1] == ',' ? next - 1 : next;
    if (json_scan((const unsigned char *)p, (size_t)(m->end - p), &at) != NULL || !put_event(m))
      break;
    p = next + 1;
  }
  static const char END[] = "],\"metadata\":";
  if ((size_t)(end - p) > sizeof END && memcmp(p, END, sizeof END - 1) == 0) return ERR_OK;
  return err_set(e, ERR_BAD, "%s:%zu: no event of a trace of one run, as `run --trace` writes it",
                 r->path, line);
}

/* ---- metadata ---- */

static void put_json(jw *w, const char *key, const json *v) {
  if (json_is_object(v) || json_is_array(v)) {
    json_is_object(v) ? jw_object(w, key) : jw_array(w, key);
    for (const json *c = json_first(v); c != NULL; c = json_next(c))
      put_json(w, json_is_object(v) ? json_key(c) : NULL, c);
    jw_end(w);
  } else if (json_is_string(v)) {
    jw_str(w, key, json_str(v));
  } else if (json_is_number(v)) {
    jw_f64(w, key, json_num(v));
  } else if (json_is_bool(v)) {
    jw_bool(w, key, json_true(v));
  } else {
    jw_null(w, key);
  }
}

static void put_metadata(const compare_run *r, size_t n, out *o) {
  arena a = {0};
  jw w = jw_new(o, 0, 0);
  jw_object(&w, NULL);
#ifdef LLAMASIM_VERSION
  jw_str(&w, "llamasim", LLAMASIM_VERSION);
#endif
  for (size_t i = 0; i < n; i++) {
    char buf[COMPARE_LABEL];
    const char *label = compare_label(buf, i);
    const char *const FACTS[] = {"workload.model", "workload.phase", "platform.name", "scheduler",
                                 "makespan_s",     "bounds.lower_s", "bounds.gap"};
    for (size_t k = 0; k < sizeof FACTS / sizeof *FACTS; k++) {
      const json *v = compare_field_of(&r[i], FACTS[k]);
      if (v != NULL) put_json(&w, arena_printf(&a, "%s.%s", label, FACTS[k]), v);
    }
    put_json(&w, arena_printf(&a, "%s.report", label), r[i].report);
  }
  jw_end(&w);
  arena_free(&a);
}

int compare_merge(const compare_run *r, size_t n, out *o, err *e) {
  merge m = {.o = o, .n = n};
  out_str(o, "{\"traceEvents\":[\n");
  for (m.run = 0; m.run < n; m.run++)
    if (put_run(&m, &r[m.run], e)) return e->status;
  out_str(o, "\n],\"metadata\":");
  put_metadata(r, n, o);
  out_str(o, "}\n");
  return ERR_OK;
}
