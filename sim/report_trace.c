#include <stdlib.h>
#include <string.h>

#include "sim/base/json.h"
#include "sim/report_fields.h"
#include "sim/report_trace.h"

enum { FIRST_TID = 11 };

/* A link's present or last time of use. */
typedef struct use {
  int64_t since_ns, until_ns;
  uint64_t bytes, flows;
  uint32_t now; /* flows on it */
} use;

typedef struct trace {
  trace_out t;
  const report *r;
  const timeline *tl;
  uint32_t pid, tid0;
  uint64_t flow0;   /* id of the DAG's first dependency, in the whole file */
  int64_t *free_ns; /* by resource: since when it is idle */
  use *links;
  dag_succ succ; /* only where a task takes no time: see write_deps_out */
  uint64_t held; /* buffers in SRAM */
  arena mem;
} trace;

/* ---- pieces ---- */

/* `"key":` is part of `key`. Numbers that a double cannot hold go as strings. */
static void put_count(out *o, const char *key, uint64_t v) {
  out_str(o, key);
  bool large = v >= (uint64_t)1 << 53;
  if (large) out_char(o, '"');
  out_u64(o, v);
  if (large) out_char(o, '"');
}

static void put_number(out *o, const char *key, double v) {
  out_str(o, key);
  out_json_f64(o, v);
}

static void put_text(out *o, const char *key, const char *v) {
  out_str(o, key);
  out_json_str(o, v);
}

/* An event up to its arguments: phase, place, time. */
static out *begin_event(trace *x, char phase, uint32_t thread, int64_t ns) {
  out *o = trace_next(&x->t);
  TRACE_LITERAL(o, "{\"ph\":\"");
  out_char(o, phase);
  TRACE_LITERAL(o, "\",\"pid\":");
  out_u64(o, x->pid);
  TRACE_LITERAL(o, ",\"tid\":");
  out_u64(o, x->tid0 + thread);
  TRACE_LITERAL(o, ",\"ts\":");
  out_us(o, ns);
  return o;
}

static out *begin_slice(trace *x, uint32_t thread, int64_t from_ns, int64_t to_ns) {
  out *o = begin_event(x, 'X', thread, from_ns);
  TRACE_LITERAL(o, ",\"dur\":");
  out_us(o, to_ns - from_ns);
  return o;
}

/* ---- processes and threads ---- */

static void put_label(out *o, size_t i) {
  if (i >= 26) put_label(o, i / 26 - 1);
  out_char(o, (char)('A' + i % 26));
}

/* "A: heft llama-3.2-1b decode past 4, npu4" */
static char *process_name(const report *r, size_t i, arena *a) {
  const dag_workload *w = &r->dag->workload;
  out *o = out_memory();
  put_label(o, i);
  out_printf(o, ": %s %s %s past %llu, %s", r->tl->scheduler, w->model, w->phase,
             (unsigned long long)w->past, r->plat->name);
  char *name = arena_strdup(a, out_text(o, NULL));
  out_abort(o);
  return name;
}

static out *begin_meta(trace *x, const char *what, uint32_t thread) {
  out *o = begin_event(x, 'M', thread, 0);
  put_text(o, ",\"name\":", what);
  TRACE_LITERAL(o, ",\"args\":{");
  return o;
}

static void name_thread(trace *x, uint32_t thread, const char *name) {
  out *o = begin_meta(x, "thread_name", thread);
  put_text(o, "\"name\":", name);
  TRACE_LITERAL(o, "}}");
  o = begin_meta(x, "thread_sort_index", thread);
  put_count(o, "\"sort_index\":", thread + 1);
  TRACE_LITERAL(o, "}}");
}

static void write_names(trace *x, size_t i) {
  out *o = begin_meta(x, "process_name", 0);
  put_text(o, "\"name\":", process_name(x->r, i, &x->mem));
  TRACE_LITERAL(o, "}}");
  o = begin_meta(x, "process_sort_index", 0);
  put_count(o, "\"sort_index\":", i + 1);
  TRACE_LITERAL(o, "}}");
  for (uint32_t j = 0; j < x->r->n_resources; j++) name_thread(x, j, x->r->resources[j].name);
}

/* ---- tasks ---- */

static void put_views(out *o, const char *key, const dag *d, const dag_view *v, size_t n) {
  out_str(o, key);
  out_char(o, '[');
  for (size_t i = 0; i < n; i++) {
    const dag_tensor *t = &d->tensors[v[i].tensor];
    if (i > 0) out_char(o, ',');
    put_text(o, "{\"name\":", t->name);
    TRACE_LITERAL(o, ",\"shape\":[");
    for (uint32_t j = 0; j < t->rank; j++) {
      if (j > 0) out_char(o, ',');
      out_u64(o, v[i].len[j]);
    }
    TRACE_LITERAL(o, "],\"dtype\":\"");
    out_str(o, dtype_name((dtype)t->dtype));
    TRACE_LITERAL(o, "\"}");
  }
  out_char(o, ']');
}

/* The op comes first: Perfetto colours by name, digits aside. */
static void put_task_name(out *o, const dag_task *t) {
  char small[128];
  const char *first = op_name((op)t->op);
  size_t n1 = strlen(first), n2 = strlen(t->name);
  char *name = n1 + n2 + 2 <= sizeof small ? small : mem_alloc(n1 + n2 + 2, 1);
  memcpy(name, first, n1);
  name[n1] = ' ';
  memcpy(name + n1 + 1, t->name, n2 + 1);
  put_text(o, ",\"name\":", name);
  if (name != small) free(name);
}

static void put_task_args(trace *x, out *o, uint32_t task) {
  const dag *d = x->tl->dag;
  const dag_task *t = &d->tasks[task];
  const tl_record *r = &x->tl->records[task];
  cost c = cost_of(d, task);
  uint64_t flops = c.matrix_flops + c.vector_flops, bytes = c.operand_B + c.transfer_B;
  const char *cause = attr_wait_cause(x->tl, task);
  put_count(o, ",\"args\":{\"task_id\":", task);
  put_text(o, ",\"op\":", op_name((op)t->op));
  put_count(o, ",\"layer\":", t->layer);
  put_views(o, ",\"inputs\":", d, dag_reads(d, t), t->n_reads);
  put_views(o, ",\"outputs\":", d, dag_writes(d, t), t->n_writes);
  put_count(o, ",\"flops\":", flops);
  put_count(o, ",\"bytes\":", bytes);
  put_number(o, ",\"intensity\":", bytes > 0 ? (double)flops / (double)bytes : 0);
  put_number(o, ",\"start_s\":", r->start_s);
  put_number(o, ",\"dur_s\":", r->end_s - r->start_s);
  put_text(o, ",\"wait_cause\":", cause != NULL ? cause : "none");
  put_number(o, ",\"wait_s\":", cause != NULL ? r->start_s - r->why.ready_s : 0);
  out_str(o, ",\"critical\":");
  out_str(o, x->r->attr.critical[task] ? "true" : "false");
  put_number(o, ",\"critical_s\":", x->r->attr.task_s[task]);
  TRACE_LITERAL(o, "}}");
}

/* What the resource was idle for before this task, where it was. */
static void write_wait(trace *x, uint32_t task, int64_t start_ns) {
  uint32_t resource = x->tl->records[task].resource;
  int64_t from_ns = x->free_ns[resource];
  if (from_ns >= start_ns) return;
  const char *cause = attr_idle_cause(x->tl, task);
  out *o = begin_slice(x, resource, from_ns, start_ns);
  TRACE_LITERAL(o, ",\"name\":\"Wait ");
  out_str(o, cause);
  TRACE_LITERAL(o, "\",\"cat\":\"wait\",\"args\":{\"cause\":\"");
  out_str(o, cause);
  put_count(o, "\",\"next_task_id\":", task);
  TRACE_LITERAL(o, "}}");
}

static void write_flow_end(trace *x, char phase, uint32_t task, uint64_t id) {
  const tl_record *r = &x->tl->records[task];
  out *o = begin_event(x, phase, r->resource, trace_ns(r->start_s));
  put_count(o, ",\"id\":", x->flow0 + id);
  TRACE_LITERAL(o, ",\"name\":\"dependency\",\"cat\":\"dependency\"");
  if (phase == 'f') TRACE_LITERAL(o, ",\"bp\":\"e\"");
  out_char(o, '}');
}

static bool is_instant(const timeline *tl, uint32_t task) {
  const tl_record *r = &tl->records[task];
  return trace_ns(r->start_s) == trace_ns(r->end_s);
}

/* Arrows into this task. Both ends come now: an event belongs to the slice on top at its time, and
 * events of one time count in the order of the file, so the producer's end may come late unless
 * another slice could begin on that thread in the same nanosecond: then write_deps_out has written
 * it. */
static void write_deps_in(trace *x, uint32_t task) {
  const dag *d = x->tl->dag;
  const dag_task *t = &d->tasks[task];
  const uint32_t *deps = dag_deps(d, t);
  for (uint32_t i = 0; i < t->n_deps; i++) {
    if (x->tl->records[deps[i]].resource == OBS_NONE) continue;
    if (!is_instant(x->tl, deps[i])) write_flow_end(x, 's', deps[i], t->dep0 + i);
    write_flow_end(x, 'f', task, t->dep0 + i);
  }
}

static void write_deps_out(trace *x, uint32_t task) {
  if (!is_instant(x->tl, task)) return;
  const dag *d = x->tl->dag;
  for (uint64_t s = x->succ.first[task]; s < x->succ.first[task + 1]; s++) {
    const dag_task *t = &d->tasks[x->succ.succ[s]];
    const uint32_t *deps = dag_deps(d, t);
    uint32_t i = 0;
    while (deps[i] != task) i++;
    if (x->tl->records[x->succ.succ[s]].resource != OBS_NONE)
      write_flow_end(x, 's', task, t->dep0 + i);
  }
}

static void write_task(trace *x, uint32_t task) {
  const dag_task *t = &x->tl->dag->tasks[task];
  const tl_record *r = &x->tl->records[task];
  int64_t from_ns = trace_ns(r->start_s), to_ns = trace_ns(r->end_s);
  write_wait(x, task, from_ns);
  x->free_ns[r->resource] = to_ns;
  out *o = begin_slice(x, r->resource, from_ns, to_ns);
  put_task_name(o, t);
  put_text(o, ",\"cat\":", op_class((op)t->op));
  put_task_args(x, o, task);
  write_deps_out(x, task);
  write_deps_in(x, task);
}

/* ---- links ---- */

static void write_use(trace *x, uint32_t link) {
  const use *u = &x->links[link];
  if (u->flows == 0) return;
  out *o = begin_slice(x, (uint32_t)x->tl->n_resources + link, u->since_ns, u->until_ns);
  TRACE_LITERAL(o, ",\"name\":\"Busy\",\"cat\":\"link\"");
  put_count(o, ",\"args\":{\"bytes\":", u->bytes);
  put_count(o, ",\"flows\":", u->flows);
  TRACE_LITERAL(o, "}}");
}

static void use_links(trace *x, const plat_route *route, uint64_t bytes, int64_t ns, bool begins) {
  for (uint32_t i = 0; i < route->n_links; i++) {
    use *u = &x->links[route->link[i]];
    if (!begins) {
      u->now--;
      u->until_ns = ns;
      continue;
    }
    /* what begins in the nanosecond in which the last use ended goes on with it */
    if (u->now == 0 && (u->flows == 0 || u->until_ns != ns)) {
      write_use(x, route->link[i]);
      *u = (use){.since_ns = ns};
    }
    u->now++;
    u->flows++;
    u->bytes += bytes;
  }
}

/* ---- tensors ---- */

static void write_buffer(trace *x, uint32_t tensor, int64_t ns, bool taken) {
  static const char HEX[] = "0123456789abcdef";
  char id[16], *p = id + sizeof id;
  for (uint64_t v = (uint64_t)tensor + 1; v != 0; v /= 16) *--p = HEX[v % 16];
  const dag_tensor *t = &x->tl->dag->tensors[tensor];
  out *o = begin_event(x, taken ? 'b' : 'e', 0, ns);
  TRACE_LITERAL(o, ",\"id2\":{\"local\":\"0x");
  out_write(o, p, (size_t)(id + sizeof id - p));
  TRACE_LITERAL(o, "\"},\"cat\":\"tensor\"");
  put_text(o, ",\"name\":", t->name);
  if (taken) {
    put_count(o, ",\"args\":{\"bytes\":", dag_tensor_bytes(t));
    out_char(o, '}');
  }
  out_char(o, '}');
  x->held += taken ? 1 : (uint64_t)-1;
}

/* Buffers that nobody gave back live to the end. */
static void give_back_rest(trace *x) {
  if (x->held == 0) return;
  const timeline *tl = x->tl;
  uint8_t *held = ARENA_NEW(&x->mem, uint8_t, tl->dag->n_tensors);
  for (size_t i = 0; i < tl->n_log; i++) {
    if (tl->log[i].kind == TL_TAKE) held[tl->log[i].what] = 1;
    if (tl->log[i].kind == TL_GIVE) held[tl->log[i].what] = 0;
  }
  for (uint32_t i = 0; i < tl->dag->n_tensors; i++)
    if (held[i]) write_buffer(x, i, trace_ns(tl->makespan_s), false);
}

/* ---- one process; the file ---- */

static void write_log(trace *x) {
  const timeline *tl = x->tl;
  counters *c = counters_new(tl, x->pid, &x->t, &x->mem);
  for (size_t i = 0; i < tl->n_log; i++) {
    const tl_event *e = &tl->log[i];
    const tl_record *r;
    counters_event(c, e);
    switch ((tl_kind)e->kind) {
    case TL_START:
      write_task(x, e->what);
      break;
    case TL_FLOW_BEGIN:
    case TL_FLOW_END:
      r = &tl->records[e->what];
      use_links(x, r->route, r->flow_B, trace_ns(e->t_s), e->kind == TL_FLOW_BEGIN);
      break;
    case TL_FLOW2_BEGIN:
    case TL_FLOW2_END:
      r = &tl->records[e->what];
      use_links(x, r->route2, r->flow2_B, trace_ns(e->t_s), e->kind == TL_FLOW2_BEGIN);
      break;
    case TL_TAKE:
    case TL_GIVE:
      write_buffer(x, e->what, trace_ns(e->t_s), e->kind == TL_TAKE);
      break;
    case TL_READY:
    case TL_END:
      break;
    }
  }
  for (uint32_t l = 0; l < tl->plat->n_links; l++) write_use(x, l);
  give_back_rest(x);
  counters_end(c);
}

static void write_process(trace *x, const report *r, size_t i) {
  const timeline *tl = r->tl;
  x->r = r;
  x->tl = tl;
  x->pid = (uint32_t)i + 1;
  x->mem = (arena){0};
  x->free_ns = ARENA_NEW(&x->mem, int64_t, tl->n_resources);
  x->links = ARENA_NEW(&x->mem, use, tl->plat->n_links);
  x->held = 0;
  x->succ = (dag_succ){0};
  bool instants = false;
  for (uint32_t t = 0; t < tl->dag->n_tasks && !instants; t++) instants = is_instant(tl, t);
  if (instants) x->succ = dag_successors(tl->dag, &x->mem);
  write_names(x, i);
  write_log(x);
  arena_free(&x->mem);
  x->flow0 += tl->dag->n_deps;
}

/* Facts of one run; with several runs their keys begin with the run's label. */
static void put_facts(jw *w, const report *r, const char *label) {
  const dag_workload *m = &r->dag->workload;
  const struct {
    const char *key, *text;
  } texts[] = {{"model", m->model},
               {"phase", m->phase},
               {"platform", r->plat->name},
               {"scheduler", r->tl->scheduler}};
  const struct {
    const char *key;
    double value;
  } numbers[] = {{"past", (double)m->past},
                 {"tokens", (double)m->tokens},
                 {"batch", (double)m->batch},
                 {"layers", (double)m->layers},
                 {"makespan_s", r->tl->makespan_s},
                 {"lower_bound_s", r->bound.lower_s},
                 {"gap", r->gap}};
  arena a = {0};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    jw_str(w, arena_printf(&a, "%s%s", label, texts[i].key), texts[i].text);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    jw_f64(w, arena_printf(&a, "%s%s", label, numbers[i].key), numbers[i].value);
  jw_object(w, arena_printf(&a, "%sreport", label));
  report_put_members(r, w);
  jw_end(w);
  arena_free(&a);
}

static void write_metadata(const report *const *r, size_t n, out *o) {
  jw w = jw_new(o, 0, 0);
  jw_object(&w, NULL);
#ifdef LLAMASIM_VERSION
  jw_str(&w, "llamasim", LLAMASIM_VERSION);
#endif
  for (size_t i = 0; i < n; i++) {
    out *label = out_memory();
    if (n > 1) {
      put_label(label, i);
      out_char(label, '.');
    }
    put_facts(&w, r[i], out_text(label, NULL));
    out_abort(label);
  }
  jw_end(&w);
}

void report_write_trace(const report *const *r, size_t n, out *o) {
  /* a thread with the number of its process would be taken for its main thread */
  uint32_t tid0 = n < FIRST_TID ? FIRST_TID : (uint32_t)n + 1;
  trace x = {.t = {.o = o}, .tid0 = tid0, .flow0 = 1};
  TRACE_LITERAL(o, "{\"traceEvents\":[\n");
  for (size_t i = 0; i < n; i++) write_process(&x, r[i], i);
  TRACE_LITERAL(o, "\n],\"metadata\":");
  write_metadata(r, n, o);
  TRACE_LITERAL(o, "}\n");
}
