#include "sim/reach.h"

#include <stdio.h>
#include <string.h>

typedef struct make {
  const platform *p;
  const dag *d;
  size_t words;
  uint64_t *by_sram;  /* the engines that an sram reaches */
  uint64_t *by_group; /* the engines that may run all of a group's tasks so far */
  uint64_t *set;      /* classes */
  size_t n_set, cap_set;
  uint32_t *slot; /* hash table of classes + 1 */
  size_t slots;
  arena scratch;
  err *e;
} make;

static op_kind kind_of(const dag *d, uint32_t t) {
  return op_kind_of((op)d->tasks[t].op);
}

static uint32_t sram_of(const dag *d, const dag_view *v) {
  return (uint32_t)d->tensors[v->tensor].space - DAG_SRAM;
}

static const char *space_of(const make *m, const dag_view *v) {
  uint16_t space = m->d->tensors[v->tensor].space;
  return space == DAG_DRAM ? m->p->dram.name : m->p->srams[space - DAG_SRAM].name;
}

static bool is_empty(const uint64_t *set, size_t words) {
  uint64_t any = 0;
  for (size_t i = 0; i < words; i++) any |= set[i];
  return any == 0;
}

static int check_spaces(const make *m) {
  char space[DAG_SPACE_TEXT];
  for (size_t i = 0; i < m->d->n_tensors; i++) {
    const dag_tensor *t = &m->d->tensors[i];
    if (t->space <= m->p->n_srams) continue;
    return err_set(m->e, ERR_NO,
                   "infeasible: tensor %zu '%.200s' is in %s, but platform '%s' has %zu sram%s", i,
                   t->name, dag_space_name((dag_space)t->space, space), m->p->name, m->p->n_srams,
                   m->p->n_srams == 1 ? "" : "s");
  }
  return ERR_OK;
}

static int check_transfer(const make *m, uint32_t task) {
  const dag_task *t = &m->d->tasks[task];
  const dag_view *from = dag_reads(m->d, t), *to = dag_writes(m->d, t);
  op_kind kind = kind_of(m->d, task);
  uint32_t dram = plat_host_dram(m->p);
  uint32_t src = kind == OP_LOAD ? dram : plat_host_sram(m->p, sram_of(m->d, from));
  uint32_t dst = kind == OP_STORE ? dram : plat_host_sram(m->p, sram_of(m->d, to));
  if (plat_find_route(m->p, src, dst) != NULL) return ERR_OK;
  return err_set(m->e, ERR_NO,
                 "infeasible: task %u '%s %.200s' goes from '%s' to '%s', and platform '%s' has no "
                 "route that way",
                 task, op_name((op)t->op), t->name, plat_host_name(m->p, src),
                 plat_host_name(m->p, dst), m->p->name);
}

/* "'x' in 'sram', 'w' in 'pad1'": the first operand in each of the task's srams. */
static void list_operands(const make *m, uint32_t task, char *text, size_t size) {
  const dag_task *t = &m->d->tasks[task];
  const dag_view *v = dag_reads(m->d, t);
  size_t len = 0;
  *text = '\0';
  for (uint32_t i = 0; i < (uint32_t)t->n_reads + t->n_writes && len < size; i++) {
    uint32_t k = 0;
    while (sram_of(m->d, &v[k]) != sram_of(m->d, &v[i])) k++;
    if (k < i) continue;
    len += (size_t)snprintf(text + len, size - len, "%s'%.80s' in '%s'", i > 0 ? ", " : "",
                            m->d->tensors[v[i].tensor].name, space_of(m, &v[i]));
  }
}

/* The engines that reach all operands of the task alone. */
static int engines_of(const make *m, uint32_t task, uint64_t *set) {
  const dag_task *t = &m->d->tasks[task];
  const dag_view *v = dag_reads(m->d, t);
  uint32_t seen[REACH_SRAMS], n = 0, i = 0;
  memset(set, 0xff, m->words * sizeof *set);
  for (; i < (uint32_t)t->n_reads + t->n_writes; i++) {
    uint32_t s = sram_of(m->d, &v[i]), k = 0;
    while (k < n && seen[k] != s) k++;
    if (k < n) continue;
    if (n == REACH_SRAMS) break;
    seen[n++] = s;
    for (size_t w = 0; w < m->words; w++) set[w] &= m->by_sram[s * m->words + w];
  }
  bool many = i < (uint32_t)t->n_reads + t->n_writes;
  if (!many && !is_empty(set, m->words)) return ERR_OK;
  char operands[1024];
  list_operands(m, task, operands, sizeof operands);
  return err_set(m->e, ERR_NO,
                 many ? "infeasible: task %u '%s %.200s' has operands in more than two srams (%s); "
                        "move some of them together"
                      : "infeasible: no engine reaches all operands of task %u '%s %.200s' (%s); "
                        "move some of them, or add a route",
                 task, op_name((op)t->op), t->name, operands);
}

static int add_to_group(const make *m, uint32_t task, const uint64_t *set) {
  const dag_task *t = &m->d->tasks[task];
  uint64_t *group = &m->by_group[t->group * m->words];
  for (size_t w = 0; w < m->words; w++) group[w] &= set[w];
  if (!is_empty(group, m->words)) return ERR_OK;
  char operands[1024];
  list_operands(m, task, operands, sizeof operands);
  return err_set(m->e, ERR_NO,
                 "infeasible: group %u is to run on one engine, and no engine that reaches the "
                 "operands of its earlier tasks reaches those of task %u '%s %.200s' (%s)",
                 t->group, task, op_name((op)t->op), t->name, operands);
}

/* The number of the class with this set; a new one where there is none yet. */
static uint32_t class_of(make *m, const uint64_t *set, arena *a) {
  uint64_t h = 14695981039346656037u;
  for (size_t w = 0; w < m->words; w++) h = (h ^ set[w] ^ (set[w] >> 29)) * 1099511628211u;
  size_t i = (size_t)(h ^ (h >> 32)) & (m->slots - 1);
  for (; m->slot[i] != 0; i = (i + 1) & (m->slots - 1))
    if (memcmp(&m->set[(m->slot[i] - 1) * m->words], set, m->words * sizeof *set) == 0)
      return m->slot[i] - 1;
  uint32_t class = (uint32_t)(m->n_set / m->words);
  for (size_t w = 0; w < m->words; w++) ARENA_PUSH(a, m->set, m->n_set, m->cap_set, set[w]);
  m->slot[i] = class + 1;
  return class;
}

static void begin(make *m) {
  const platform *p = m->p;
  m->words = (p->n_engines + 63) / 64;
  m->by_sram = ARENA_NEW(&m->scratch, uint64_t, p->n_srams * m->words);
  for (uint32_t s = 0; s < p->n_srams; s++)
    for (uint32_t x = 0; x < p->n_engines; x++)
      if (plat_find_route(p, plat_host_sram(p, s), plat_host_engine(p, x)) != NULL)
        m->by_sram[s * m->words + x / 64] |= (uint64_t)1 << (x % 64);
  size_t groups = (size_t)m->d->n_groups * m->words;
  m->by_group = ARENA_NEW(&m->scratch, uint64_t, groups + 1);
  memset(m->by_group, 0xff, groups * sizeof *m->by_group);
  m->slots = 4; /* never full: there are no more classes than tasks */
  while (m->slots < 2 * m->d->n_tasks) m->slots *= 2;
  m->slot = ARENA_NEW(&m->scratch, uint32_t, m->slots);
}

static int make_classes(make *m, reach *r, arena *a) {
  const dag *d = m->d;
  uint32_t *of = ARENA_NEW(a, uint32_t, d->n_tasks);
  uint64_t *set = ARENA_NEW(&m->scratch, uint64_t, m->words);
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    bool compute = kind_of(d, t) == OP_COMPUTE;
    if (compute ? engines_of(m, t, set) : check_transfer(m, t)) return m->e->status;
    if (compute && d->tasks[t].group != DAG_NO_GROUP && add_to_group(m, t, set))
      return m->e->status;
  }
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    if (kind_of(d, t) != OP_COMPUTE) continue;
    uint32_t g = d->tasks[t].group;
    const uint64_t *engines = g == DAG_NO_GROUP ? set : &m->by_group[g * m->words];
    if (g == DAG_NO_GROUP && engines_of(m, t, set)) return m->e->status;
    of[t] = class_of(m, engines, a);
  }
  *r = (reach){
      .n_classes = (uint32_t)(m->n_set / m->words), .of = of, .set = m->set, .words = m->words};
  return ERR_OK;
}

/* One sram reaches every engine (plat_check), and then there is nothing to find out. */
static void everything(reach *r, const platform *p, arena *a) {
  size_t words = (p->n_engines + 63) / 64;
  uint64_t *set = ARENA_NEW(a, uint64_t, words);
  memset(set, 0xff, words * sizeof *set);
  *r = (reach){.n_classes = 1, .set = set, .words = words};
}

int reach_make(reach *r, const platform *p, const dag *d, arena *a, err *e) {
  make m = {.p = p, .d = d, .e = e};
  if (check_spaces(&m)) return e->status;
  everything(r, p, a);
  if (p->n_srams == 1) return ERR_OK;
  begin(&m);
  int status = make_classes(&m, r, a);
  arena_free(&m.scratch);
  return status;
}

uint32_t reach_first(const reach *r, uint32_t task) {
  uint32_t engine = 0;
  while (!reach_may_run(r, task, engine)) engine++;
  return engine;
}
