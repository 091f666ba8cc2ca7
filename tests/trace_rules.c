#include "tests/trace_rules.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/json.h"

/* One event, in what the rules look at. */
typedef struct event {
  char phase;
  uint32_t pid, tid;
  int64_t ts, dur; /* ns */
  double id;       /* s, f */
  const char *key; /* b, e: cat and id; C: name */
  double value;    /* C */
  bool enclosing;  /* f: bp is "e" */
  size_t at;       /* place in the file */
} event;

typedef struct thread {
  uint32_t pid, tid;
  uint32_t names;
  double sort_index;
  bool is_process; /* the name of the process */
} thread;

typedef struct trace {
  arena mem;
  char *why;
  event *events;
  size_t n, cap;
  thread *threads;
  size_t n_threads, cap_threads;
} trace;

__attribute__((format(printf, 2, 3))) static int fail(trace *t, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(t->why, TRACE_RULES_WHY, fmt, ap);
  va_end(ap);
  return 1;
}

/* ---- reading ---- */

static double number(const json *v, const char *key) {
  const json *x = json_get(v, key);
  return x != NULL && json_is_number(x) ? json_num(x) : NAN;
}

static const char *text_of(const json *v, const char *key) {
  const json *x = json_get(v, key);
  return x != NULL && json_is_string(x) ? json_str(x) : "";
}

static int read_time(trace *t, const json *v, const char *key, int64_t *ns, size_t at) {
  double us = number(v, key), whole = round(us * 1000);
  /* %.3f of microseconds, read back: off by an ulp of us at most */
  if (!(us >= 0) || fabs(us * 1000 - whole) > 1e-12 * whole + 1e-9)
    return fail(t, "time: event %zu: %s %.17g is no whole number of nanoseconds", at, key, us);
  *ns = (int64_t)whole;
  return 0;
}

static thread *thread_at(trace *t, uint32_t pid, uint32_t tid, bool is_process) {
  for (size_t i = 0; i < t->n_threads; i++) {
    thread *x = &t->threads[i];
    if (x->pid == pid && x->is_process == is_process && (is_process || x->tid == tid)) return x;
  }
  thread x = {.pid = pid, .tid = tid, .is_process = is_process};
  ARENA_PUSH(&t->mem, t->threads, t->n_threads, t->cap_threads, x);
  return &t->threads[t->n_threads - 1];
}

static void read_name(trace *t, const json *v, uint32_t pid, uint32_t tid) {
  const char *what = text_of(v, "name");
  const json *args = json_get(v, "args");
  bool named = *text_of(args, "name") != '\0';
  if (strcmp(what, "process_name") == 0 && named) thread_at(t, pid, 0, true)->names++;
  if (strcmp(what, "process_sort_index") == 0)
    thread_at(t, pid, 0, true)->sort_index = number(args, "sort_index");
  if (strcmp(what, "thread_name") == 0 && named) thread_at(t, pid, tid, false)->names++;
  if (strcmp(what, "thread_sort_index") == 0)
    thread_at(t, pid, tid, false)->sort_index = number(args, "sort_index");
}

static int read_counter(trace *t, const json *v, event *e) {
  const json *args = json_get(v, "args");
  if (args == NULL || json_count(args) != 1 || !json_is_number(json_first(args)))
    return fail(t, "counter: event %zu: its args are not one number", e->at);
  e->key = arena_printf(&t->mem, "%s", text_of(v, "name"));
  e->value = json_num(json_first(args));
  return 0;
}

static int read_event(trace *t, const json *v, size_t at) {
  event e = {.phase = *text_of(v, "ph"), .key = "", .at = at};
  double pid = number(v, "pid"), tid = number(v, "tid");
  if (!(pid >= 1)) return fail(t, "tid: event %zu has no pid", at);
  if (e.phase != 'C' && !(tid >= 1)) return fail(t, "tid: event %zu has no tid", at);
  e.pid = (uint32_t)pid;
  e.tid = tid >= 1 ? (uint32_t)tid : 0;
  if (read_time(t, v, "ts", &e.ts, at) != 0) return 1;
  switch (e.phase) {
  case 'M':
    read_name(t, v, e.pid, e.tid);
    return 0;
  case 'X':
    if (read_time(t, v, "dur", &e.dur, at) != 0) return 1;
    break;
  case 's':
  case 'f':
    e.id = number(v, "id");
    e.enclosing = strcmp(text_of(v, "bp"), "e") == 0;
    break;
  case 'C':
    if (read_counter(t, v, &e) != 0) return 1;
    break;
  case 'b':
  case 'e':
    e.key = arena_printf(&t->mem, "%s %s", text_of(v, "cat"), text_of(json_get(v, "id2"), "local"));
    break;
  default:
    return fail(t, "json: event %zu: unknown phase '%c'", at, e.phase);
  }
  ARENA_PUSH(&t->mem, t->events, t->n, t->cap, e);
  return 0;
}

static int read_events(trace *t, const json *root) {
  const json *list = json_get(root, "traceEvents");
  if (list == NULL || !json_is_array(list)) return fail(t, "json: no traceEvents");
  if (!json_is_object(json_get(root, "metadata"))) return fail(t, "json: no metadata");
  size_t at = 0;
  for (const json *v = json_first(list); v != NULL; v = json_next(v))
    if (read_event(t, v, at++) != 0) return 1;
  return 0;
}

/* ---- rules ---- */

static int check_names(trace *t) {
  for (size_t i = 0; i < t->n;
       i++) { /* what is used, but was never named, gets an entry without name */
    thread_at(t, t->events[i].pid, 0, true);
    if (t->events[i].phase != 'C') thread_at(t, t->events[i].pid, t->events[i].tid, false);
  }
  for (size_t i = 0; i < t->n_threads; i++) {
    const thread *x = &t->threads[i];
    if (x->names != 1)
      return fail(t, "names: %s %u of process %u has %u names",
                  x->is_process ? "process" : "thread", x->tid, x->pid, x->names);
    if (!(x->sort_index >= 1))
      return fail(t, "names: thread %u of process %u has sort index %g", x->tid, x->pid,
                  x->sort_index);
    if (x->is_process) continue;
    if (x->tid < 11) return fail(t, "tid: %u is less than 11", x->tid);
    for (size_t j = 0; j < t->n_threads; j++)
      if (t->threads[j].is_process && t->threads[j].pid == x->tid)
        return fail(t, "tid: %u is a pid too", x->tid);
  }
  return 0;
}

#define ORDER(a, b)                                                                                \
  if ((a) != (b)) return (a) < (b) ? -1 : 1

static int by_slice(const void *a, const void *b) {
  const event *x = a, *y = b;
  ORDER(x->phase != 'X', y->phase != 'X');
  ORDER(x->pid, y->pid);
  ORDER(x->tid, y->tid);
  ORDER(x->ts, y->ts);
  ORDER(y->dur, x->dur); /* the enclosing one first */
  ORDER(x->at, y->at);
  return 0;
}

static size_t count_slices(const trace *t) {
  size_t n = 0;
  while (n < t->n && t->events[n].phase == 'X') n++;
  return n;
}

static int check_slices(trace *t, size_t n) {
  int64_t *ends = mem_alloc(n + 1, sizeof *ends); /* of the slices that are open */
  size_t depth = 0;
  int status = 0;
  for (size_t i = 0; i < n && status == 0; i++) {
    const event *e = &t->events[i], *before = e - 1;
    if (i == 0 || before->pid != e->pid || before->tid != e->tid) depth = 0;
    while (depth > 0 && ends[depth - 1] <= e->ts) depth--;
    int64_t end = e->ts + e->dur;
    if (depth > 0 && end > ends[depth - 1])
      status = fail(
          t,
          "nest: event %zu, a slice of thread %u from %lld to %lld ns, cuts one that ends at %lld",
          e->at, e->tid, (long long)e->ts, (long long)end, (long long)ends[depth - 1]);
    ends[depth++] = end;
  }
  free(ends);
  return status;
}

/* Is there a slice of its thread that holds this point? Slices are sorted, and mostly flat: the
 * last one that begins no later holds it, or one that encloses that. */
static bool in_slice(const trace *t, size_t n, const event *e) {
  size_t lo = 0, hi = n;
  while (lo < hi) {
    size_t mid = (lo + hi) / 2;
    const event *s = &t->events[mid];
    bool before = s->pid != e->pid   ? s->pid < e->pid
                  : s->tid != e->tid ? s->tid < e->tid
                                     : s->ts <= e->ts;
    if (before)
      lo = mid + 1;
    else
      hi = mid;
  }
  for (size_t i = lo; i-- > 0;) {
    const event *s = &t->events[i];
    if (s->pid != e->pid || s->tid != e->tid) return false;
    if (s->ts + s->dur >= e->ts) return true;
  }
  return false;
}

static int by_flow(const void *a, const void *b) {
  const event *x = a, *y = b;
  ORDER(x->id, y->id);
  ORDER(x->phase == 'f', y->phase == 'f');
  ORDER(x->at, y->at);
  return 0;
}

static int check_flow(trace *t, size_t n_slices, const event *s, const event *f) {
  if (s->phase != 's' || f == NULL || f->phase != 'f' || f->id != s->id)
    return fail(t, "flow: id %.0f is not one s and one f (event %zu)", s->id, s->at);
  if (!f->enclosing) return fail(t, "flow: event %zu: f without \"bp\":\"e\"", f->at);
  if (f->ts < s->ts) return fail(t, "flow: id %.0f ends before it starts", s->id);
  if (!in_slice(t, n_slices, s)) return fail(t, "flow: event %zu: s outside of any slice", s->at);
  if (!in_slice(t, n_slices, f)) return fail(t, "flow: event %zu: f outside of any slice", f->at);
  return 0;
}

static int check_flows(trace *t, size_t n_slices) {
  event *flows = mem_alloc(t->n + 1, sizeof *flows);
  size_t n = 0;
  int status = 0;
  for (size_t i = n_slices; i < t->n; i++)
    if (t->events[i].phase == 's' || t->events[i].phase == 'f') flows[n++] = t->events[i];
  qsort(flows, n, sizeof *flows, by_flow);
  for (size_t i = 0; i < n && status == 0; i += 2)
    status = check_flow(t, n_slices, &flows[i], i + 1 < n ? &flows[i + 1] : NULL);
  free(flows);
  return status;
}

static int by_track(const void *a, const void *b) {
  const event *x = a, *y = b;
  ORDER(x->pid, y->pid);
  int order = strcmp(x->key, y->key);
  if (order != 0) return order;
  ORDER(x->ts, y->ts);
  ORDER(x->at, y->at);
  return 0;
}

static bool same_track(const event *a, const event *b) {
  return a->pid == b->pid && strcmp(a->key, b->key) == 0;
}

/* Counters (C) or lifetimes (b, e), track by track. */
static int check_tracks(trace *t, bool counters) {
  event *list = mem_alloc(t->n + 1, sizeof *list);
  size_t n = 0;
  int status = 0;
  for (size_t i = 0; i < t->n; i++) {
    char p = t->events[i].phase;
    if (counters ? p == 'C' : p == 'b' || p == 'e') list[n++] = t->events[i];
  }
  qsort(list, n, sizeof *list, by_track);
  for (size_t i = 0; i < n && status == 0; i++) {
    const event *e = &list[i];
    bool first = i == 0 || !same_track(e - 1, e), last = i + 1 == n || !same_track(e + 1, e);
    if (counters && first && (e->ts != 0 || e->value != 0))
      status = fail(t, "counter: '%s' does not begin with 0 at 0", e->key);
    else if (counters && last && e->value != 0)
      status = fail(t, "counter: '%s' ends at %g", e->key, e->value);
    else if (!counters && (e->phase == 'b') != (first || e[-1].phase == 'e'))
      status = fail(t, "async: '%s': b and e do not take turns at event %zu", e->key, e->at);
    else if (!counters && last && e->phase == 'b')
      status = fail(t, "async: '%s' never ends", e->key);
  }
  free(list);
  return status;
}

int trace_rules_check(const char *text, size_t len, char *why) {
  trace t = {.why = why};
  json_doc doc;
  err e = {0};
  if (json_parse("trace", (const unsigned char *)text, len, &doc, &e) != ERR_OK)
    return fail(&t, "json: %.400s", e.msg);
  *why = '\0';
  int status = read_events(&t, doc.root);
  json_free(&doc);
  if (status == 0) status = check_names(&t);
  if (t.n > 0) qsort(t.events, t.n, sizeof *t.events, by_slice);
  size_t n_slices = count_slices(&t);
  if (status == 0) status = check_slices(&t, n_slices);
  if (status == 0) status = check_flows(&t, n_slices);
  if (status == 0) status = check_tracks(&t, true);
  if (status == 0) status = check_tracks(&t, false);
  arena_free(&t.mem);
  return status;
}
