#include "workloads/place.h"

#include <string.h>

#define NONE UINT32_MAX

/* What the latest compute task of a scratchpad had there of the shared SRAM. */
typedef struct copies {
  dag_view home[DAG_MAX_OPERANDS], here[DAG_MAX_OPERANDS];
  uint32_t n;
} copies;

typedef struct place {
  const dag *in;
  dag *out;
  const wl_pads *pads;
  uint32_t next_pad;
  uint32_t *group_pad;   /* by group */
  uint32_t *writer;      /* by tensor: the one load that brings these weights, or NONE */
  uint32_t *reader_pad;  /* by tensor: of all its readers; NONE: they differ, or it has none */
  uint32_t *last_reader; /* by tensor */
  uint32_t *load_pad;    /* by task: where a load's tiles go, or NONE */
  uint32_t *now;         /* by tensor: the one in `out`, or NONE */
  uint32_t *task;        /* by task of the input: of the output */
  uint32_t *after;       /* room for the most deps of a task */
  copies *latest;        /* by pad, where engines reach no more */
} place;

static bool is_compute(const dag *d, uint32_t t) {
  return op_kind_of((op)d->tasks[t].op) == OP_COMPUTE;
}

static uint32_t operands(const dag_task *t) {
  return (uint32_t)t->n_reads + t->n_writes;
}

static uint32_t deal(place *p) {
  uint32_t pad = p->next_pad++;
  if (p->next_pad == p->pads->n) p->next_pad = 0;
  return pad;
}

void wl_pads_target(const wl_pads *pads, wl_target *t) {
  t->pad_B = 0;
  t->pads_only = pads->n > 0 && !pads->shared;
  for (uint32_t i = 0; i < pads->n; i++)
    if (i == 0 || pads->pad[i].capacity_B < t->pad_B) t->pad_B = pads->pad[i].capacity_B;
}

/* ---- what goes where ------------------------------------------------------------------------ */

static uint32_t *filled(size_t n, arena *a) {
  uint32_t *x = ARENA_NEW(a, uint32_t, n + 1);
  memset(x, 0xff, n * sizeof *x); /* NONE */
  return x;
}

/* Matrices of weights that one load brings, and their scales: what this pass may place. */
static void find_writers(place *p, arena *a) {
  const dag *d = p->in;
  uint32_t *writes = ARENA_NEW(a, uint32_t, d->n_tensors + 1);
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const dag_task *task = &d->tasks[t];
    for (uint32_t i = 0; i < task->n_writes; i++) {
      uint32_t x = dag_writes(d, task)[i].tensor;
      bool weight = d->tensors[x].role == DAG_WEIGHT || d->tensors[x].role == DAG_SCALE;
      bool one = writes[x]++ == 0;
      bool matrix = weight && d->tensors[x].rank > 1;
      p->writer[x] = one && matrix && task->op == OP_LOAD_WEIGHT ? t : NONE;
    }
  }
}

/* A pad for every group that reads such weights; and for everything, where no engine may do
 * without. */
static void deal_groups(place *p) {
  const dag *d = p->in;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const dag_task *task = &d->tasks[t];
    if (task->group == DAG_NO_GROUP || p->group_pad[task->group] != NONE) continue;
    bool weights = !p->pads->shared;
    for (uint32_t i = 0; i < task->n_reads && !weights; i++)
      weights = p->writer[dag_reads(d, task)[i].tensor] != NONE;
    if (weights) p->group_pad[task->group] = deal(p);
  }
}

static void find_readers(place *p, arena *a) {
  const dag *d = p->in;
  bool *torn = ARENA_NEW(a, bool, d->n_tensors + 1);
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const dag_task *task = &d->tasks[t];
    uint32_t pad = task->group == DAG_NO_GROUP ? NONE : p->group_pad[task->group];
    for (uint32_t i = 0; i < task->n_reads; i++) {
      uint32_t x = dag_reads(d, task)[i].tensor;
      bool first = p->last_reader[x] == NONE;
      torn[x] = torn[x] || (!first && p->reader_pad[x] != pad);
      p->reader_pad[x] = torn[x] ? NONE : pad;
      p->last_reader[x] = t;
    }
  }
}

/* The pad that all tiles of the load go to, and their bytes; NONE: they go to none. */
static uint32_t wanted(const place *p, uint32_t load, uint64_t *bytes) {
  const dag_task *task = &p->in->tasks[load];
  const dag_view *w = dag_writes(p->in, task);
  uint32_t pad = p->reader_pad[w[0].tensor];
  *bytes = 0;
  for (uint32_t i = 0; i < task->n_writes; i++) {
    uint32_t x = w[i].tensor;
    if (p->writer[x] != load || p->reader_pad[x] != pad) return NONE;
    *bytes += dag_tensor_bytes(&p->in->tensors[x]);
  }
  return pad;
}

/* Plays the compute tasks in program order, and gives each tile room from its first reader to its
 * last. */
static void fit_tiles(place *p, arena *a) {
  const dag *d = p->in;
  uint64_t *used = ARENA_NEW(a, uint64_t, p->pads->n), bytes;
  bool *decided = ARENA_NEW(a, bool, d->n_tasks + 1);
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    if (!is_compute(d, t)) continue;
    const dag_task *task = &d->tasks[t];
    const dag_view *r = dag_reads(d, task);
    for (uint32_t i = 0; i < task->n_reads; i++) {
      uint32_t load = p->writer[r[i].tensor];
      if (load == NONE || decided[load]) continue;
      decided[load] = true;
      uint32_t pad = wanted(p, load, &bytes);
      if (pad == NONE || bytes > p->pads->pad[pad].capacity_B - used[pad]) continue;
      used[pad] += bytes;
      p->load_pad[load] = pad;
    }
    for (uint32_t i = 0; i < task->n_reads; i++) {
      uint32_t x = r[i].tensor;
      uint32_t pad = p->writer[x] == NONE ? NONE : p->load_pad[p->writer[x]];
      if (pad == NONE || p->last_reader[x] != t) continue;
      used[pad] -= dag_tensor_bytes(&d->tensors[x]);
      p->last_reader[x] = NONE; /* once, even where the task reads it twice */
    }
  }
}

/* ---- the new DAG ---------------------------------------------------------------------------- */

static uint32_t add_tensor(place *p, uint32_t like, const char *name, dag_space space) {
  const dag_tensor *x = &p->in->tensors[like];
  return dag_add_tensor(p->out, name, space, (dag_role)x->role, (dtype)x->dtype, x->rank, x->dim);
}

static uint32_t mapped(place *p, uint32_t tensor) {
  if (p->now[tensor] != NONE) return p->now[tensor];
  const dag_tensor *x = &p->in->tensors[tensor];
  uint32_t load = p->writer[tensor];
  uint32_t pad = load == NONE ? NONE : p->load_pad[load];
  dag_space space = pad == NONE ? (dag_space)x->space : p->pads->pad[pad].space;
  return p->now[tensor] = add_tensor(p, tensor, x->name, space);
}

/* The task of the input with new operands; it keeps its order behind what it depended on. */
static void add_again(place *p, const dag_task *task, const dag_view *reads,
                      const dag_view *writes) {
  const uint32_t *deps = dag_deps(p->in, task);
  for (uint32_t i = 0; i < task->n_deps; i++) p->after[i] = p->task[deps[i]];
  p->task[task - p->in->tasks] = dag_add_task_after(p->out, task, reads, task->n_reads, writes,
                                                    task->n_writes, p->after, task->n_deps);
}

static void add_move(place *p, const dag_task *near, const char *name, const dag_view *from,
                     const dag_view *to, size_t n) {
  dag_task t = {.name = name,
                .group = DAG_NO_GROUP,
                .layer = near->layer,
                .step = near->step,
                .op = OP_MOVE_SRAM};
  dag_add_task(p->out, &t, from, n, to, n);
}

/* A load of tiles that live in a pad: there at once, or in two hops. */
static void add_load(place *p, uint32_t load) {
  const dag_task *task = &p->in->tasks[load];
  const wl_pad *pad = &p->pads->pad[p->load_pad[load]];
  dag_view from[DAG_MAX_OPERANDS], to[DAG_MAX_OPERANDS], staged[DAG_MAX_OPERANDS];
  for (uint32_t i = 0; i < task->n_reads; i++) {
    from[i] = dag_reads(p->in, task)[i];
    from[i].tensor = mapped(p, from[i].tensor);
  }
  for (uint32_t i = 0; i < task->n_writes; i++) {
    to[i] = dag_writes(p->in, task)[i];
    uint32_t x = to[i].tensor;
    to[i].tensor = mapped(p, x);
    staged[i] = to[i];
    if (pad->from_dram) continue;
    const char *name = arena_printf(p->out->mem, "%s.staged", p->in->tensors[x].name);
    staged[i].tensor = add_tensor(p, x, name, DAG_SRAM);
  }
  add_again(p, task, from, staged);
  if (!pad->from_dram) add_move(p, task, task->name, staged, to, task->n_writes);
}

/* A tensor of the pad for the view of one in the shared SRAM. */
static dag_view local(place *p, const dag_view *v, const wl_pad *pad) {
  const dag_tensor x = p->out->tensors[v->tensor];
  uint64_t dim[DAG_RANK];
  for (int i = 0; i < DAG_RANK; i++) dim[i] = v->len[i];
  const char *name = arena_printf(p->out->mem, "%s.local", x.name);
  return dag_all(p->out, dag_add_tensor(p->out, name, pad->space, (dag_role)x.role, (dtype)x.dtype,
                                        x.rank, dim));
}

static uint32_t find_view(const dag_view *v, uint32_t n, const dag_view *x) {
  uint32_t k = 0;
  while (k < n && memcmp(&v[k], x, sizeof *x) != 0) k++;
  return k;
}

/* A compute task on an engine that reaches its pad only: operands in, unless the pad's latest task
 * had them, too; results out. What is copied does not change: every element is written once. */
static void add_remote(place *p, const dag_task *task, dag_view *v, const wl_pad *pad) {
  dag_view home[DAG_MAX_OPERANDS];
  uint32_t n = operands(task);
  copies *latest = &p->latest[pad - p->pads->pad], now = {.n = 0};
  for (uint32_t i = 0; i < n; i++) {
    home[i] = v[i];
    if (p->out->tensors[v[i].tensor].space != DAG_SRAM) continue;
    uint32_t k = find_view(home, i, &home[i]), old = find_view(latest->home, latest->n, &home[i]);
    if (k < i) {
      v[i] = v[k];
      continue;
    }
    v[i] = old < latest->n ? latest->here[old] : local(p, &home[i], pad);
    if (old == latest->n && i < task->n_reads)
      add_move(p, task, arena_printf(p->out->mem, "%s in", task->name), &home[i], &v[i], 1);
    now.home[now.n] = home[i], now.here[now.n++] = v[i];
  }
  *latest = now;
  add_again(p, task, v, v + task->n_reads);
  for (uint32_t i = task->n_reads; i < n; i++)
    if (v[i].tensor != home[i].tensor)
      add_move(p, task, arena_printf(p->out->mem, "%s out", task->name), &v[i], &home[i], 1);
}

static void add_task(place *p, uint32_t t) {
  const dag_task *task = &p->in->tasks[t];
  dag_view v[DAG_MAX_OPERANDS];
  for (uint32_t i = 0; i < operands(task); i++) {
    v[i] = dag_reads(p->in, task)[i];
    v[i].tensor = mapped(p, v[i].tensor);
  }
  uint32_t pad = task->group == DAG_NO_GROUP ? NONE : p->group_pad[task->group];
  if (is_compute(p->in, t) && pad == NONE && !p->pads->shared) pad = deal(p);
  if (is_compute(p->in, t) && pad != NONE && !p->pads->pad[pad].beside_shared)
    add_remote(p, task, v, &p->pads->pad[pad]);
  else
    add_again(p, task, v, v + task->n_reads);
}

dag *wl_place(dag *in, const wl_pads *pads, arena *a) {
  if (pads->n == 0) return in;
  arena scratch = {0};
  place p = {.in = in,
             .out = dag_new(a),
             .pads = pads,
             .group_pad = filled(in->n_groups, &scratch),
             .writer = filled(in->n_tensors, &scratch),
             .reader_pad = filled(in->n_tensors, &scratch),
             .last_reader = filled(in->n_tensors, &scratch),
             .load_pad = filled(in->n_tasks, &scratch),
             .now = filled(in->n_tensors, &scratch),
             .task = filled(in->n_tasks, &scratch),
             .latest = ARENA_NEW(&scratch, copies, pads->n)};
  uint32_t most = 0;
  for (uint32_t t = 0; t < in->n_tasks; t++)
    most = in->tasks[t].n_deps > most ? in->tasks[t].n_deps : most;
  p.after = filled(most, &scratch);
  p.out->workload = in->workload;
  p.out->n_groups = in->n_groups;
  find_writers(&p, &scratch);
  deal_groups(&p);
  find_readers(&p, &scratch);
  fit_tiles(&p, &scratch);
  for (uint32_t t = 0; t < in->n_tasks; t++) {
    if (p.load_pad[t] != NONE)
      add_load(&p, t);
    else
      add_task(&p, t);
  }
  arena_free(&scratch);
  return p.out;
}
