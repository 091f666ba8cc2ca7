#include "sim/schedule_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/json.h"

static bool is_compute(const dag *d, uint32_t t) {
  return op_kind_of((op)d->tasks[t].op) == OP_COMPUTE;
}

/* ---- writing -------------------------------------------------------------------------------- */

void schedule_file_write(const dag *d, const platform *p, const pol_schedule *s,
                         const char *scheduler, out *o) {
  arena scratch = {0};
  uint32_t *planned = ARENA_NEW(&scratch, uint32_t, d->n_tasks + 1);
  for (size_t i = 0; s->dynamic && i < s->n_order; i++) planned[s->planned[i]] = (uint32_t)i;
  jw w = jw_new(o, 1, 2);
  jw_object(&w, NULL);
  jw_str(&w, "format", "llamasim-schedule");
  jw_u64(&w, "version", 1);
  jw_str(&w, "scheduler", scheduler);
  jw_str(&w, "kind", s->dynamic ? "dynamic" : s->serial ? "serial" : "static");
  jw_object(&w, "dag");
  jw_u64(&w, "tasks", d->n_tasks);
  jw_u64(&w, "compute", s->n_order);
  jw_end(&w);
  jw_array(&w, "tasks");
  for (size_t i = 0; i < s->n_order; i++) {
    uint32_t t = s->order[i];
    jw_object(&w, NULL);
    jw_u64(&w, "id", t);
    jw_str(&w, "name", d->tasks[t].name);
    jw_str(&w, "engine", p->engines[s->engine[t]].name);
    if (s->dynamic) jw_u64(&w, "planned", planned[t]);
    if (s->dynamic && s->forced[t]) jw_bool(&w, "forced", true);
    jw_end(&w);
  }
  jw_end(&w);
  jw_end(&w);
  arena_free(&scratch);
}

/* ---- reading -------------------------------------------------------------------------------- */

typedef struct named {
  const char *name;
  uint32_t id;
} named;

typedef struct reader {
  json_doc doc;
  const dag *d;
  const platform *p;
  const reach *within;
  pol_schedule *s;
  arena scratch;
  named *names; /* of compute tasks, sorted; NULL until asked for */
  size_t n_compute;
  uint32_t *place; /* by task: 1 + where it stands in the file; 0: not yet */
  uint32_t *group; /* by group: 1 + its first task */
  uint64_t last_engine;
  err *e;
} reader;

static int by_name(const void *a, const void *b) {
  const named *x = a, *y = b;
  int order = strcmp(x->name, y->name);
  return order != 0 ? order : (x->id > y->id) - (x->id < y->id);
}

static const named *find_name(reader *r, const char *name) {
  if (r->names == NULL) {
    size_t n = 0;
    r->names = ARENA_NEW(&r->scratch, named, r->n_compute + 1);
    for (uint32_t t = 0; t < r->d->n_tasks; t++)
      if (is_compute(r->d, t)) r->names[n++] = (named){r->d->tasks[t].name, t};
    qsort(r->names, n, sizeof *r->names, by_name);
  }
  size_t lo = 0, hi = r->n_compute;
  while (lo < hi) { /* the first that is not before it */
    size_t mid = lo + (hi - lo) / 2;
    if (strcmp(r->names[mid].name, name) < 0)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo < r->n_compute && strcmp(r->names[lo].name, name) == 0 ? &r->names[lo] : NULL;
}

/* The task that the entry names. */
static int read_task(reader *r, const json *v, const char *ctx, uint32_t *task) {
  const dag *d = r->d;
  uint64_t id = UINT64_MAX;
  const char *name = NULL;
  if (json_opt_u64(&r->doc, v, ctx, "id", 0, (uint64_t)1 << 32, &id, r->e) ||
      json_opt_str(&r->doc, v, ctx, "name", &name, r->e))
    return r->e->status;
  if (id == UINT64_MAX && name == NULL)
    return err_set(r->e, ERR_BAD, "%s: %s: names no task; it must have an id or a name",
                   r->doc.where, ctx);
  if (id == UINT64_MAX) {
    const named *x = find_name(r, name);
    if (x == NULL)
      return err_set(r->e, ERR_BAD, "%s: %s: the DAG has no compute task '%.200s'", r->doc.where,
                     ctx, name);
    if (x + 1 < r->names + r->n_compute && strcmp(x[1].name, name) == 0)
      return err_set(r->e, ERR_BAD,
                     "%s: %s: tasks %u and %u of the DAG are both named '%.200s'; give the id",
                     r->doc.where, ctx, x->id, x[1].id, name);
    return *task = x->id, ERR_OK;
  }
  if (id >= d->n_tasks)
    return err_set(r->e, ERR_BAD,
                   "%s: %s: there is no task %" PRIu64 "; the DAG has tasks 0 to %zu", r->doc.where,
                   ctx, id, d->n_tasks - 1);
  *task = (uint32_t)id;
  if (name != NULL && strcmp(name, d->tasks[id].name) != 0)
    return err_set(r->e, ERR_BAD,
                   "%s: %s: task %" PRIu64
                   " is '%.200s' here and '%.200s' in the DAG: the schedule is "
                   "for another DAG",
                   r->doc.where, ctx, id, name, d->tasks[id].name);
  if (!is_compute(d, *task))
    return err_set(r->e, ERR_BAD,
                   "%s: %s: task %u '%s %s' is a transfer; a schedule places compute tasks, and "
                   "transfers follow them",
                   r->doc.where, ctx, *task, op_name((op)d->tasks[id].op), d->tasks[id].name);
  return ERR_OK;
}

static int read_engine(reader *r, const json *v, const char *ctx, uint32_t task, uint32_t *engine) {
  const platform *p = r->p;
  const char *name;
  if (json_need_str(&r->doc, v, ctx, "engine", &name, r->e)) return r->e->status;
  /* files list an engine many times: begin where the last was found */
  for (size_t i = 0; i < p->n_engines; i++) {
    size_t e = (r->last_engine + i) % p->n_engines;
    if (strcmp(p->engines[e].name, name) != 0) continue;
    r->last_engine = e;
    *engine = (uint32_t)e;
    if (reach_may_run(r->within, task, *engine)) return ERR_OK;
    return err_set(
        r->e, ERR_BAD,
        "%s: %s: task %u '%s' is on '%s', which does not reach its operands' SRAM, or not "
        "those of its group",
        r->doc.where, ctx, task, r->d->tasks[task].name, name);
  }
  return err_set(
      r->e, ERR_BAD, "%s: %s: platform '%s' has no engine '%.100s'; its engines are '%s' to '%s'",
      r->doc.where, ctx, p->name, name, p->engines[0].name, p->engines[p->n_engines - 1].name);
}

/* Tasks of one group are on one engine. */
static int check_group(reader *r, const char *ctx, uint32_t t) {
  uint32_t g = r->d->tasks[t].group;
  if (g == DAG_NO_GROUP) return ERR_OK;
  if (r->group[g] == 0) return r->group[g] = t + 1, ERR_OK;
  uint32_t other = r->group[g] - 1, x = r->s->engine[t], y = r->s->engine[other];
  if (x == y) return ERR_OK;
  return err_set(
      r->e, ERR_BAD,
      "%s: %s: task %u '%s' is on '%s', but task %u '%s' of the same group on '%s'; a group "
      "has one engine",
      r->doc.where, ctx, t, r->d->tasks[t].name, r->p->engines[x].name, other,
      r->d->tasks[other].name, r->p->engines[y].name);
}

static int read_entry(reader *r, const json *v, size_t i) {
  char ctx[48];
  uint32_t t = 0, engine = 0;
  uint64_t planned = UINT64_MAX;
  pol_schedule *s = r->s;
  snprintf(ctx, sizeof ctx, ".tasks[%zu]", i);
  if (read_task(r, v, ctx, &t)) return r->e->status;
  if (r->place[t] != 0)
    return err_set(r->e, ERR_BAD, "%s: %s: task %u '%s' stands twice, first at .tasks[%u]",
                   r->doc.where, ctx, t, r->d->tasks[t].name, r->place[t] - 1);
  if (read_engine(r, v, ctx, t, &engine)) return r->e->status;
  r->place[t] = (uint32_t)i + 1;
  s->order[i] = t;
  s->engine[t] = engine;
  if (check_group(r, ctx, t)) return r->e->status;
  if (!s->dynamic) return ERR_OK;
  if (json_opt_u64(&r->doc, v, ctx, "planned", 0, r->n_compute - 1, &planned, r->e) ||
      json_opt_bool(&r->doc, v, ctx, "forced", &s->forced[t], r->e))
    return r->e->status;
  if (planned == UINT64_MAX) planned = i;
  if (s->planned[planned] != POL_NONE)
    return err_set(r->e, ERR_BAD, "%s: %s: tasks %u and %u are both planned at place %" PRIu64,
                   r->doc.where, ctx, s->planned[planned], t, planned);
  s->planned[planned] = t;
  return ERR_OK;
}

/* Every compute task after all compute tasks before it, also those behind transfers. `what` says
 * which order this is. */
static int check_order(reader *r, const uint32_t *order, const char *what) {
  const dag *d = r->d;
  uint32_t *place = ARENA_NEW(&r->scratch, uint32_t, d->n_tasks);
  uint32_t *last =
      ARENA_NEW(&r->scratch, uint32_t, d->n_tasks); /* the latest compute task before a transfer */
  for (size_t i = 0; i < r->n_compute; i++) place[order[i]] = (uint32_t)i;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    uint32_t need = POL_NONE, through = POL_NONE;
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    for (uint32_t i = 0; i < d->tasks[t].n_deps; i++) {
      uint32_t u = is_compute(d, deps[i]) ? deps[i] : last[deps[i]];
      if (u == POL_NONE || (need != POL_NONE && place[u] <= place[need])) continue;
      need = u;
      through = u == deps[i] ? POL_NONE : deps[i];
    }
    last[t] = need;
    if (!is_compute(d, t) || need == POL_NONE || place[need] < place[t]) continue;
    const char *way = through == POL_NONE ? ""
                                          : arena_printf(&r->scratch, ", through transfer %u '%s'",
                                                         through, d->tasks[through].name);
    return err_set(
        r->e, ERR_BAD,
        "%s: violated dependency: task %u '%s %s' %s at place %u, before task %u '%s %s' at "
        "place %u, whose result it needs%s",
        r->doc.where, t, op_name((op)d->tasks[t].op), d->tasks[t].name, what, place[t], need,
        op_name((op)d->tasks[need].op), d->tasks[need].name, place[need], way);
  }
  return ERR_OK;
}

static int check_dag(reader *r) {
  const json *x = json_get(r->doc.root, "dag");
  if (x == NULL) return ERR_OK;
  uint64_t tasks = r->d->n_tasks, compute = r->n_compute;
  if (json_opt_u64(&r->doc, x, ".dag", "tasks", 0, UINT32_MAX, &tasks, r->e) ||
      json_opt_u64(&r->doc, x, ".dag", "compute", 0, UINT32_MAX, &compute, r->e))
    return r->e->status;
  if (tasks == r->d->n_tasks && compute == r->n_compute) return ERR_OK;
  return err_set(r->e, ERR_BAD,
                 "%s: is for a DAG of %" PRIu64 " tasks, %" PRIu64
                 " of them compute tasks; this one has "
                 "%zu and %zu: give the options that it was made with",
                 r->doc.where, tasks, compute, r->d->n_tasks, r->n_compute);
}

static int read_head(reader *r, arena *a) {
  const char *format, *kind = "static", *scheduler = "file";
  uint64_t version;
  const json *root = r->doc.root;
  if (json_need_str(&r->doc, root, "", "format", &format, r->e)) return r->e->status;
  if (strcmp(format, "llamasim-schedule") != 0)
    return err_set(r->e, ERR_BAD, "%s: .format: is '%.60s'; it must be 'llamasim-schedule'",
                   r->doc.where, format);
  if (json_need_u64(&r->doc, root, "", "version", 1, 1, &version, r->e) ||
      json_opt_str(&r->doc, root, "", "kind", &kind, r->e) ||
      json_opt_str(&r->doc, root, "", "scheduler", &scheduler, r->e))
    return r->e->status;
  if (strcmp(kind, "static") != 0 && strcmp(kind, "dynamic") != 0 && strcmp(kind, "serial") != 0)
    return err_set(r->e, ERR_BAD, "%s: .kind: is '%.60s'; it must be static, dynamic or serial",
                   r->doc.where, kind);
  r->s->dynamic = strcmp(kind, "dynamic") == 0;
  r->s->serial = strcmp(kind, "serial") == 0;
  r->s->scheduler = arena_strdup(a, scheduler);
  return ERR_OK;
}

static int read_tasks(reader *r) {
  const json *list = json_get(r->doc.root, "tasks");
  char got[JSON_DESCRIBE];
  if (!json_is_array(list))
    return err_set(r->e, ERR_BAD, "%s: .tasks: is %s; it must be an array", r->doc.where,
                   json_describe(list, got));
  size_t i = 0;
  for (const json *v = json_first(list); v != NULL; v = json_next(v), i++) {
    if (!json_is_object(v))
      return err_set(r->e, ERR_BAD, "%s: .tasks[%zu]: is %s; it must be an object", r->doc.where, i,
                     json_describe(v, got));
    if (i == r->n_compute)
      return err_set(r->e, ERR_BAD,
                     "%s: .tasks: has more entries than the DAG has compute tasks, %zu",
                     r->doc.where, r->n_compute);
    if (read_entry(r, v, i)) return r->e->status;
  }
  for (uint32_t t = 0; t < r->d->n_tasks && i < r->n_compute; t++)
    if (is_compute(r->d, t) && r->place[t] == 0)
      return err_set(
          r->e, ERR_BAD, "%s: .tasks: lacks task %u '%s %s'; %zu of %zu compute tasks are there",
          r->doc.where, t, op_name((op)r->d->tasks[t].op), r->d->tasks[t].name, i, r->n_compute);
  return ERR_OK;
}

int schedule_file_read(const char *where, const unsigned char *data, size_t len, const dag *d,
                       const platform *p, const reach *within, pol_schedule *s, arena *a, err *e) {
  reader r = {.d = d, .p = p, .within = within, .s = s, .e = e};
  if (json_parse(where, data, len, &r.doc, e)) return e->status;
  for (uint32_t t = 0; t < d->n_tasks; t++) r.n_compute += is_compute(d, t);
  *s = (pol_schedule){.n_order = r.n_compute};
  s->order = ARENA_NEW(a, uint32_t, r.n_compute + 1);
  s->planned = ARENA_NEW(a, uint32_t, r.n_compute + 1);
  s->engine = ARENA_NEW(a, uint32_t, d->n_tasks + 1);
  s->forced = ARENA_NEW(a, bool, d->n_tasks + 1);
  for (size_t i = 0; i < r.n_compute; i++) s->planned[i] = POL_NONE;
  r.place = ARENA_NEW(&r.scratch, uint32_t, d->n_tasks + 1);
  r.group = ARENA_NEW(&r.scratch, uint32_t, d->n_groups + 1);
  if (read_head(&r, a) == ERR_OK && check_dag(&r) == ERR_OK && read_tasks(&r) == ERR_OK &&
      check_order(&r, s->order, "stands") == ERR_OK && s->dynamic)
    (void)check_order(&r, s->planned, "is planned");
  json_free(&r.doc);
  arena_free(&r.scratch);
  return e->status;
}
