#include "workloads/spill.h"

#include <stdlib.h>
#include <string.h>

#include "workloads/dag_room.h"

#define NEVER UINT32_MAX

/* What the pass knows of a tensor of the input. */
typedef struct life {
  uint64_t bytes;        /* 0: not in SRAM */
  uint64_t use0, n_uses; /* tasks that touch it: uses[use0 ..], ascending */
  uint64_t at;           /* first use that is not over */
  uint32_t last_writer;
  bool loaded; /* all its writers are loads that can be done again */
  bool held, evicted;
  bool given;    /* another tensor has begun to take over its room */
  uint32_t now;  /* its tensor in the output; DAG_DRAM ones are copied at first use */
  uint32_t copy; /* its copy in DRAM, once spilled; NEVER before */
} life;

typedef struct pass {
  const dag *in;
  dag *out; /* NULL: only what is moved is asked for; tensors keep their numbers then */
  arena *scratch;
  life *life;
  uint32_t *uses;
  const uint32_t *over; /* dag_rooms */
  uint32_t *task;       /* by task of the input: of the output */
  uint32_t *held;       /* tensors held, in no order */
  size_t n_held;
  uint64_t budget, used, traffic;
} pass;

static bool reloadable(const dag_task *t) {
  return op_kind_of((op)t->op) == OP_LOAD && t->op != OP_LOAD_EMBED;
}

static void find_lives(pass *p, arena *a) {
  const dag *d = p->in;
  p->life = ARENA_NEW(a, life, d->n_tensors);
  p->uses = ARENA_NEW(a, uint32_t, d->n_views + 1);
  for (uint32_t i = 0; i < d->n_tensors; i++) {
    life *l = &p->life[i];
    *l = (life){.loaded = true, .now = NEVER, .copy = NEVER};
    if (d->tensors[i].space == DAG_SRAM) l->bytes = dag_tensor_bytes(&d->tensors[i]);
  }
  for (int fill = 0; fill < 2; fill++) {
    for (uint32_t t = 0; t < d->n_tasks; t++) {
      const dag_task *task = &d->tasks[t];
      const dag_view *v = dag_reads(d, task);
      for (uint32_t i = 0; i < (uint32_t)task->n_reads + task->n_writes; i++) {
        life *l = &p->life[v[i].tensor];
        if (fill) p->uses[l->use0 + l->n_uses] = t;
        l->n_uses++;
        if (i < task->n_reads) continue;
        l->last_writer = t;
        l->loaded = l->loaded && reloadable(task);
      }
    }
    uint64_t sum = 0;
    for (uint32_t i = 0; i < d->n_tensors && !fill; i++) {
      p->life[i].use0 = sum;
      sum += p->life[i].n_uses;
      p->life[i].n_uses = 0;
    }
  }
}

static uint32_t next_use(const pass *p, const life *l, uint32_t after) {
  for (uint64_t i = l->at; i < l->n_uses; i++)
    if (p->uses[l->use0 + i] > after) return p->uses[l->use0 + i];
  return NEVER;
}

/* Whose tensors `now` and `copy` are. */
static const dag *result(const pass *p) {
  return p->out != NULL ? p->out : p->in;
}

static uint32_t mapped(pass *p, uint32_t tensor) {
  life *l = &p->life[tensor];
  if (p->out == NULL) {
    l->now = tensor;
  } else if (l->now == NEVER) {
    const dag_tensor *t = &p->in->tensors[tensor];
    l->now = dag_add_tensor(p->out, t->name, (dag_space)t->space, (dag_role)t->role,
                            (dtype)t->dtype, t->rank, t->dim);
  }
  return l->now;
}

/* The room comes from the tensor that this one takes over, where there is one. */
static void hold(pass *p, uint32_t tensor) {
  life *l = &p->life[tensor];
  bool anew = l->evicted || p->over[tensor] == DAG_NO_ROOM;
  if (!anew) p->life[p->over[tensor]].given = true;
  p->used += anew ? l->bytes : 0;
  l->held = true;
  l->evicted = false;
  p->held[p->n_held++] = tensor;
}

static void let_go(pass *p, size_t index) {
  life *l = &p->life[p->held[index]];
  l->held = false;
  p->used -= l->given ? 0 : l->bytes;
  p->held[index] = p->held[--p->n_held];
}

static void transfer(pass *p, op o, const char *name, const dag_task *near, dag_view from,
                     dag_view to) {
  dag_task t = {.name = name,
                .group = DAG_NO_GROUP,
                .layer = near->layer,
                .step = near->step,
                .op = (uint8_t)o};
  if (p->out != NULL) dag_add_task(p->out, &t, &from, 1, &to, 1);
  p->traffic += dag_view_bytes(result(p), &from);
}

static uint32_t spilled_copy(pass *p, uint32_t tensor) {
  if (p->out == NULL) return tensor;
  const dag_tensor *x = &p->in->tensors[tensor];
  const char *name = arena_printf(p->out->mem, "%s.spilled", x->name);
  return dag_add_tensor(p->out, name, DAG_DRAM, (dag_role)x->role, (dtype)x->dtype, x->rank,
                        x->dim);
}

/* Makes room by evicting the buffer whose next use is farthest away; false where none can go. */
static bool evict(pass *p, uint32_t task) {
  const dag_task *t = &p->in->tasks[task];
  const dag_view *v = dag_reads(p->in, t);
  size_t best = p->n_held;
  uint32_t farthest = 0;
  for (size_t i = 0; i < p->n_held; i++) {
    const life *l = &p->life[p->held[i]];
    bool operand = false;
    for (uint32_t k = 0; k < (uint32_t)t->n_reads + t->n_writes; k++)
      operand = operand || v[k].tensor == p->held[i];
    dag_role role = (dag_role)p->in->tensors[p->held[i]].role;
    if (operand || l->given || l->last_writer >= task || role == DAG_WEIGHT || role == DAG_SCALE)
      continue;
    uint32_t next = next_use(p, l, task);
    if (best == p->n_held || next > farthest || (next == farthest && p->held[i] < p->held[best]))
      best = i, farthest = next;
  }
  if (best == p->n_held) return false;
  uint32_t tensor = p->held[best];
  life *l = &p->life[tensor];
  const dag_tensor *x = &p->in->tensors[tensor];
  if (!l->loaded && l->copy == NEVER) {
    l->copy = spilled_copy(p, tensor);
    transfer(p, OP_SPILL, x->name, t, dag_all(result(p), mapped(p, tensor)),
             dag_all(result(p), l->copy));
  }
  l->evicted = true;
  let_go(p, best);
  return true;
}

/* Fills the tensor from where its loads had it from. */
static void reload(pass *p, uint32_t tensor, uint32_t task) {
  const life *l = &p->life[tensor];
  for (uint64_t i = 0; i < l->n_uses; i++) {
    const dag_task *t = &p->in->tasks[p->uses[l->use0 + i]];
    if (p->uses[l->use0 + i] >= task) break;
    if (i > 0 && p->uses[l->use0 + i] == p->uses[l->use0 + i - 1]) continue;
    for (uint32_t w = 0; w < t->n_writes; w++) {
      dag_view from = dag_reads(p->in, t)[w], to = dag_writes(p->in, t)[w];
      if (to.tensor != tensor) continue;
      from.tensor = mapped(p, from.tensor);
      to.tensor = l->now;
      transfer(p, OP_FILL, t->name, t, from, to);
    }
  }
}

/* Brings an evicted operand back, into a new tensor. */
static void bring_back(pass *p, uint32_t tensor, uint32_t task) {
  life *l = &p->life[tensor];
  l->now = NEVER;
  uint32_t now = mapped(p, tensor);
  hold(p, tensor);
  if (l->loaded)
    reload(p, tensor, task);
  else
    transfer(p, OP_FILL, p->in->tensors[tensor].name, &p->in->tasks[task],
             dag_all(result(p), l->copy), dag_all(result(p), now));
}

static void copy_task(pass *p, uint32_t task) {
  const dag_task *t = &p->in->tasks[task];
  dag_view v[DAG_MAX_OPERANDS];
  uint32_t n = (uint32_t)t->n_reads + t->n_writes;
  for (uint32_t i = 0; i < n; i++) {
    v[i] = dag_reads(p->in, t)[i];
    v[i].tensor = mapped(p, v[i].tensor);
  }
  uint32_t *after = ARENA_NEW(p->scratch, uint32_t, t->n_deps + 1);
  for (uint32_t i = 0; i < t->n_deps; i++) after[i] = p->task[dag_deps(p->in, t)[i]];
  p->task[task] =
      dag_add_task_after(p->out, t, v, t->n_reads, v + t->n_reads, t->n_writes, after, t->n_deps);
}

static void step(pass *p, uint32_t task) {
  const dag_task *t = &p->in->tasks[task];
  const dag_view *v = dag_reads(p->in, t);
  uint32_t n = (uint32_t)t->n_reads + t->n_writes;
  uint64_t need = 0;
  for (uint32_t i = 0; i < n; i++) {
    bool again = false;
    for (uint32_t k = 0; k < i; k++) again = again || v[k].tensor == v[i].tensor;
    const life *l = &p->life[v[i].tensor];
    if (!l->held && !l->evicted && p->over[v[i].tensor] != DAG_NO_ROOM) continue;
    if (!again && !l->held) need += l->bytes;
  }
  while (p->used + need > p->budget && evict(p, task)) continue;
  for (uint32_t i = 0; i < n; i++) {
    life *l = &p->life[v[i].tensor];
    if (l->bytes == 0 || l->held) continue;
    if (l->evicted)
      bring_back(p, v[i].tensor, task);
    else
      hold(p, v[i].tensor);
  }
  if (p->out != NULL) copy_task(p, task);
  for (uint32_t i = 0; i < n; i++) {
    life *l = &p->life[v[i].tensor];
    while (l->at < l->n_uses && p->uses[l->use0 + l->at] <= task) l->at++;
  }
  for (size_t i = p->n_held; i-- > 0;)
    if (p->life[p->held[i]].at == p->life[p->held[i]].n_uses) let_go(p, i);
}

/* The most bytes held when the tasks run one by one. */
static uint64_t peak_B(const dag *d, const uint32_t *over, arena *a) {
  pass p = {.in = d};
  find_lives(&p, a);
  uint64_t most = 0, used = 0, *free_after = ARENA_NEW(a, uint64_t, d->n_tasks + 1);
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const dag_view *v = dag_reads(d, &d->tasks[t]);
    for (uint32_t i = 0; i < (uint32_t)d->tasks[t].n_reads + d->tasks[t].n_writes; i++) {
      life *l = &p.life[v[i].tensor];
      if (l->bytes == 0 || l->held) continue;
      l->held = true;
      uint32_t from = over[v[i].tensor];
      if (from == DAG_NO_ROOM)
        used += l->bytes;
      else /* its room is not given back, but handed on */
        free_after[p.uses[p.life[from].use0 + p.life[from].n_uses - 1]] -= l->bytes;
      free_after[p.uses[l->use0 + l->n_uses - 1]] += l->bytes;
    }
    most = used > most ? used : most;
    used -= free_after[t];
  }
  return most;
}

/* Spills into `to`, which may be NULL. Returns the bytes that this moves. */
static uint64_t spill_to(const dag *in, dag *to, const uint32_t *over, uint64_t budget) {
  arena scratch = {0};
  pass p = {.in = in, .out = to, .over = over, .scratch = &scratch, .budget = budget};
  find_lives(&p, &scratch);
  p.task = ARENA_NEW(&scratch, uint32_t, in->n_tasks);
  p.held = ARENA_NEW(&scratch, uint32_t, in->n_tensors + 1);
  if (to != NULL) {
    to->workload = in->workload;
    to->n_groups = in->n_groups;
  }
  for (uint32_t t = 0; t < in->n_tasks; t++) step(&p, t);
  arena_free(&scratch);
  return p.traffic;
}

/* The least budget, in sixteenths of the peak, that spills no more than a sixteenth of what the DAG
 * loads anyway: the peak itself where none of them does. */
static uint64_t lean_B(const dag *in, const uint32_t *over, uint64_t peak) {
  uint64_t dram = 0, lean = peak;
  for (uint32_t t = 0; t < in->n_tasks; t++)
    if (op_kind_of((op)in->tasks[t].op) == OP_LOAD)
      dram += dag_view_bytes(in, dag_reads(in, &in->tasks[t]));
  uint64_t lo = 5, hi = 16; /* too little; enough */
  while (hi - lo > 1) {
    uint64_t mid = (lo + hi) / 2;
    if (spill_to(in, NULL, over, peak / 16 * mid) <= dram / 16)
      hi = mid;
    else
      lo = mid;
  }
  if (hi < 16) lean = peak / 16 * hi;
  return lean;
}

uint64_t wl_peak_B(const dag *d) {
  arena scratch = {0};
  uint64_t peak = peak_B(d, dag_rooms(d, &scratch), &scratch);
  arena_free(&scratch);
  return peak;
}

dag *wl_spill(dag *in, uint64_t sram_B, uint64_t reserve_B, arena *a) {
  arena scratch = {0};
  const uint32_t *over = dag_rooms(in, &scratch);
  uint64_t peak = peak_B(in, over, &scratch);
  dag *best = in;
  if (peak + reserve_B > sram_B) {
    uint64_t lean = lean_B(in, over, peak), budget = sram_B;
    if (sram_B > lean) budget = sram_B - lean > reserve_B ? sram_B - reserve_B : lean;
    best = dag_new(a);
    spill_to(in, best, over, budget);
  }
  arena_free(&scratch);
  return best;
}
