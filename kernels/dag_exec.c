#include "kernels/dag_exec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/dag_exec_priv.h"
#include "kernels/rope.h"

static const uint64_t MOST_BYTES = (uint64_t)1 << 36;

/* ---- messages ---------------------------------------------------------------------------------
 */

int dx_refuse(const dx *x, uint32_t task, int status, err *e, const char *fmt, ...) {
  char text[ERR_MSG_MAX];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  const dag_task *t = &x->d->tasks[task];
  return err_set(e, status, "task %u %s '%.200s' %s", task, op_name((op)t->op), t->name, text);
}

const char *dx_view_text(const dx *x, const dag_view *v, char buf[DX_TEXT]) {
  const dag_tensor *t = &x->d->tensors[v->tensor];
  size_t at = (size_t)snprintf(buf, DX_TEXT, "'%.200s'", t->name);
  for (int i = 0; i < t->rank; i++)
    at += (size_t)snprintf(buf + at, DX_TEXT - at, "%s%u:%" PRIu64, i == 0 ? "[" : ",", v->lo[i],
                           (uint64_t)v->lo[i] + v->len[i]);
  snprintf(buf + at, DX_TEXT - at, "]");
  return buf;
}

static const char *name_of(const dx *x, uint32_t tensor) {
  return x->d->tensors[tensor].name;
}

/* ---- making it --------------------------------------------------------------------------------
 */

/* Integer values and their scales in DRAM are known by the transfers that move both. */
static void find_pairs(dx *x, const dag_view *v, uint32_t n) {
  for (uint32_t i = 1; i < n; i++) {
    const dag_tensor *values = &x->d->tensors[v[i - 1].tensor], *s = &x->d->tensors[v[i].tensor];
    if (s->role != DAG_SCALE || s->space != DAG_DRAM || values->role == DAG_SCALE ||
        values->space != DAG_DRAM)
      continue;
    x->t[v[i].tensor].values = v[i - 1].tensor;
    x->t[v[i - 1].tensor].scale = v[i].tensor;
  }
}

static void find_sources(dx *x) {
  const dag *d = x->d;
  for (uint32_t i = 0; i < d->n_tasks; i++) {
    op_kind kind = op_kind_of((op)d->tasks[i].op);
    if (kind == OP_LOAD) find_pairs(x, dag_reads(d, &d->tasks[i]), d->tasks[i].n_reads);
    if (kind == OP_STORE) find_pairs(x, dag_writes(d, &d->tasks[i]), d->tasks[i].n_writes);
  }
  for (uint32_t i = 0; i < d->n_tensors; i++) {
    const dag_tensor *t = &d->tensors[i];
    uint32_t of = x->t[i].values;
    if (t->space != DAG_DRAM) continue;
    x->t[i].source = t->role == DAG_WEIGHT || (of != DX_NONE && d->tensors[of].role == DAG_WEIGHT);
    x->t[i].life = DX_LIVE;
  }
}

static void find_rooms(dx *x, arena *a) {
  uint32_t *over = dag_rooms(x->d, a);
  size_t n = x->d->n_tensors;
  for (uint32_t i = 0; i < n; i++)
    if (over[i] != DAG_NO_ROOM) x->t[over[i]].newer = i;
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t k = i; over[i] == DAG_NO_ROOM && k != DX_NONE; k = x->t[k].newer)
      x->t[k].room = i;
}

static double *rope_of(const model *m, arena *a) {
  double *inv_freq = ARENA_NEW(a, double, m->head_dim / 2 + 1);
  const model_rope_scaling *s = &m->rope_scaling;
  kern_rope_scaling scaling = {s->factor, s->low_freq_factor, s->high_freq_factor,
                               (double)s->original_max_position_embeddings};
  if (m->rope_factors != NULL)
    kern_rope_inv_freq_factors(inv_freq, m->head_dim, m->rope_theta, m->rope_factors);
  else
    kern_rope_inv_freq(inv_freq, m->head_dim, m->rope_theta, scaling);
  return inv_freq;
}

dx *dx_new(const dag *d, const model *m, const dx_weights *w, const dx_tap *tap, arena *a, err *e) {
  dx *x = ARENA_NEW(a, dx, 1);
  *x = (dx){.d = d, .m = m, .weights = w, .tap = tap};
  x->t = ARENA_NEW(a, dx_tensor, d->n_tensors + 1);
  x->done = ARENA_NEW(a, bool, d->n_tasks + 1);
  for (uint32_t i = 0; i < d->n_tensors; i++) {
    x->t[i] = (dx_tensor){.room = i, .newer = DX_NONE, .scale = DX_NONE, .values = DX_NONE};
    dx_lay_out(x, i);
  }
  find_sources(x);
  find_rooms(x, a);
  x->inv_freq = rope_of(m, a);
  for (uint32_t i = 0; i < d->n_tensors; i++)
    if (!x->t[i].source && x->t[i].bytes > MOST_BYTES) {
      err_set(e, ERR_BAD,
              "tensor '%.200s' has %" PRIu64 " B; the executor keeps at most 2^36 B of a tensor",
              name_of(x, i), x->t[i].bytes);
      return NULL;
    }
  return x;
}

void dx_free(dx *x) {
  if (x == NULL) return;
  for (uint32_t i = 0; i < x->d->n_tensors; i++) {
    if (x->t[i].room == i) free(x->t[i].data);
    free(x->t[i].written);
    free(x->t[i].row_scale);
  }
  for (size_t i = 0; i < x->n_pool; i++) free(x->pool[i].data);
  for (int i = 0; i < DX_SLOTS; i++) free(x->slot[i].at);
}

float *dx_floats(dx *x, unsigned slot, size_t n) {
  dx_slot *s = &x->slot[slot];
  if (s->cap < n) {
    free(s->at);
    s->at = mem_alloc(n, sizeof *s->at);
    s->cap = n;
  }
  return s->at;
}

/* ---- what DRAM holds --------------------------------------------------------------------------
 */

static int check_dram(const dx *x, uint32_t tensor, err *e) {
  const dag_tensor *t = &x->d->tensors[tensor];
  char space[DAG_SPACE_TEXT];
  if (t->space != DAG_DRAM)
    return err_set(e, ERR_BAD, "tensor '%.200s' is in %s; only what DRAM holds is set and got",
                   t->name, dag_space_name((dag_space)t->space, space));
  if (x->t[tensor].source)
    return err_set(e, ERR_BAD, "tensor '%.200s' has weights, which come from their source",
                   t->name);
  return ERR_OK;
}

static void home(dx *x, uint32_t tensor) {
  dx_tensor *s = &x->t[tensor];
  if (s->data == NULL) s->data = dx_buffer(x, s->bytes);
}

static bool is_integer(dtype form) {
  return form == DT_INT8 || form == DT_INT4;
}

int dx_set(dx *x, uint32_t tensor, const dag_view *box, const float *values, err *e) {
  if (check_dram(x, tensor, e)) return e->status;
  home(x, tensor);
  if (!is_integer(x->t[tensor].form)) {
    dx_write(x, box, values);
    dx_mark(x, box);
    return ERR_OK;
  }
  dag_view scale;
  if (!dx_kv_scales(x, box, &scale))
    return err_set(e, ERR_BAD, "tensor '%.200s' is %s: it is set in whole rows, which have scales",
                   name_of(x, tensor), dtype_name(x->t[tensor].form));
  home(x, scale.tensor);
  dx_kv_write(x, box, &scale, false, values);
  dx_mark(x, box);
  dx_mark(x, &scale);
  return ERR_OK;
}

int dx_get(dx *x, uint32_t tensor, const dag_view *box, float *values, err *e) {
  if (check_dram(x, tensor, e)) return e->status;
  dag_view scale = *box;
  bool scaled = is_integer(x->t[tensor].form) && dx_kv_scales(x, box, &scale);
  char text[DX_TEXT];
  uint64_t missing;
  if (!dx_all_written(x, box, &missing) || !dx_all_written(x, &scale, &missing))
    return err_set(e, ERR_NO, "%s is asked for: no task has written %s", dx_view_text(x, box, text),
                   dx_any_written(x, box) ? "all of it" : "it");
  if (scaled)
    dx_kv_read(x, box, &scale, false, values);
  else
    dx_read(x, box, values);
  return ERR_OK;
}

/* ---- lives ------------------------------------------------------------------------------------
 */

static int check_room(const dx *x, uint32_t tensor, err *e) {
  const dag_tensor *t = &x->d->tensors[tensor];
  if (t->space == DAG_DRAM)
    return err_set(e, ERR_INTERNAL, "tensor '%.200s' is in dram, which is not taken or given",
                   t->name);
  if (x->t[tensor].room == tensor) return ERR_OK;
  return err_set(
      e, ERR_INTERNAL,
      "tensor '%.200s' takes over the room of '%.200s', which is taken and given for both", t->name,
      name_of(x, x->t[tensor].room));
}

int dx_take(dx *x, uint32_t tensor, err *e) {
  if (check_room(x, tensor, e)) return e->status;
  if (x->t[tensor].life != DX_UNBORN)
    return err_set(e, ERR_NO, "the buffer of '%.200s' is taken a second time", name_of(x, tensor));
  uint8_t *data = dx_buffer(x, x->t[tensor].bytes);
  for (uint32_t i = tensor; i != DX_NONE; i = x->t[i].newer) {
    x->t[i].data = data;
    x->t[i].life = DX_LIVE;
  }
  return ERR_OK;
}

int dx_give(dx *x, uint32_t tensor, err *e) {
  if (check_room(x, tensor, e)) return e->status;
  if (x->t[tensor].life != DX_LIVE)
    return err_set(e, ERR_NO, "the buffer of '%.200s' is given back, but is not held",
                   name_of(x, tensor));
  dx_buffer_back(x, x->t[tensor].data, x->t[tensor].bytes);
  for (uint32_t i = tensor; i != DX_NONE; i = x->t[i].newer) {
    dx_tensor *s = &x->t[i];
    free(s->written);
    s->written = NULL;
    s->data = NULL;
    s->n_written = 0;
    s->life = DX_OVER;
  }
  return ERR_OK;
}

/* ---- a task -----------------------------------------------------------------------------------
 */

/* The newer tensor that was written over element `at` of this one, or DX_NONE. */
static uint32_t written_over(const dx *x, uint32_t tensor, uint64_t at) {
  for (uint32_t i = x->t[tensor].newer; i != DX_NONE; i = x->t[i].newer)
    if (x->t[i].n_written > 0 && (x->t[i].written[at / 64] >> at % 64 & 1) != 0) return i;
  return DX_NONE;
}

static int check_read(const dx *x, uint32_t task, const dag_view *v, err *e) {
  const dx_tensor *s = &x->t[v->tensor];
  char text[DX_TEXT];
  uint64_t missing = 0;
  if (s->source) return ERR_OK;
  if (s->life == DX_OVER)
    return dx_refuse(x, task, ERR_NO, e, "reads %s: its buffer was given back before",
                     dx_view_text(x, v, text));
  if (dx_all_written(x, v, &missing)) return ERR_OK;
  uint32_t by = written_over(x, v->tensor, missing);
  if (by != DX_NONE)
    return dx_refuse(x, task, ERR_NO, e, "reads %s: '%.200s' was written over it",
                     dx_view_text(x, v, text), name_of(x, by));
  return dx_refuse(x, task, ERR_NO, e, "reads %s: no task has written %s", dx_view_text(x, v, text),
                   dx_any_written(x, v) ? "all of it" : "it");
}

static int check_write(dx *x, uint32_t task, const dag_view *v, err *e) {
  char text[DX_TEXT];
  dx_tensor *s = &x->t[v->tensor];
  if (s->source)
    return dx_refuse(x, task, ERR_BAD, e, "writes %s: weights do not change",
                     dx_view_text(x, v, text));
  if (x->d->tensors[v->tensor].space == DAG_DRAM) home(x, v->tensor);
  if (s->life != DX_LIVE)
    return dx_refuse(x, task, ERR_NO, e, "writes %s: its buffer %s", dx_view_text(x, v, text),
                     s->life == DX_OVER ? "was given back before" : "has not been taken");
  if (dx_any_written(x, v))
    return dx_refuse(x, task, ERR_NO, e, "writes %s: elements of it are written already",
                     dx_view_text(x, v, text));
  for (uint32_t i = s->newer; i != DX_NONE; i = x->t[i].newer) {
    dag_view same = *v;
    same.tensor = i;
    if (dx_any_written(x, &same))
      return dx_refuse(x, task, ERR_NO, e,
                       "writes %s: '%.200s', which takes over its room, is there",
                       dx_view_text(x, v, text), name_of(x, i));
  }
  return ERR_OK;
}

/* Marks the box, and ends what lay there. */
static void wrote(dx *x, const dag_view *v) {
  dx_mark(x, v);
  for (uint32_t i = x->t[v->tensor].room; i != v->tensor; i = x->t[i].newer) dx_unmark(x, i, v);
}

static void tell(dx *x, uint32_t task) {
  const dag_task *t = &x->d->tasks[task];
  const dag_view *w = dag_writes(x->d, t);
  for (uint32_t i = 0; i < t->n_writes; i++) {
    uint64_t n = dag_view_elements(&w[i]);
    float *y = dx_floats(x, 0, n);
    if (t->op == OP_KVAPPEND && i == 0 && t->n_writes > 1)
      dx_kv_read(x, &w[0], &w[1], false, y);
    else
      dx_read(x, &w[i], y);
    x->tap->wrote(x->tap->user, task, i, y);
  }
}

int dx_task(dx *x, uint32_t task, err *e) {
  const dag_task *t = &x->d->tasks[task];
  const dag_view *r = dag_reads(x->d, t), *w = dag_writes(x->d, t);
  if (x->done[task]) return dx_refuse(x, task, ERR_NO, e, "is executed a second time");
  for (uint32_t i = 0; i < t->n_reads; i++)
    if (check_read(x, task, &r[i], e)) return e->status;
  for (uint32_t i = 0; i < t->n_writes; i++)
    if (check_write(x, task, &w[i], e)) return e->status;
  if (dx_execute(x, task, e)) return e->status;
  for (uint32_t i = 0; i < t->n_writes; i++) wrote(x, &w[i]);
  x->done[task] = true;
  op_kind kind = op_kind_of((op)t->op);
  bool act = x->d->tensors[w[0].tensor].role == DAG_ACT;
  bool brings = act && (kind == OP_MOVE || t->op == OP_LOAD_EMBED);
  if (x->tap != NULL && (kind == OP_COMPUTE || brings)) tell(x, task);
  return ERR_OK;
}

/* ---- all of them ------------------------------------------------------------------------------
 */

/* By room: the place in the order of its last user. */
static void find_last(const dx *x, const uint32_t *order, uint32_t *last) {
  for (uint32_t i = 0; i < x->d->n_tasks; i++) {
    const dag_task *t = &x->d->tasks[order == NULL ? i : order[i]];
    const dag_view *v = dag_reads(x->d, t);
    for (uint32_t k = 0; k < (uint32_t)t->n_reads + t->n_writes; k++)
      last[x->t[v[k].tensor].room] = i;
  }
}

static int check_order(const dx *x, const uint32_t *order, arena *a, err *e) {
  bool *seen = ARENA_NEW(a, bool, x->d->n_tasks + 1);
  for (uint32_t i = 0; i < x->d->n_tasks && order != NULL; i++) {
    if (order[i] >= x->d->n_tasks || seen[order[i]])
      return err_set(e, ERR_BAD, "order: place %u has task %u, which %s", i, order[i],
                     order[i] < x->d->n_tasks ? "stands there twice" : "does not exist");
    seen[order[i]] = true;
  }
  return ERR_OK;
}

/* Executes the task at place i, between the lives that begin and end there. */
static int run_place(dx *x, uint32_t i, uint32_t task, const uint32_t *last, err *e) {
  const dag_task *t = &x->d->tasks[task];
  const dag_view *v = dag_reads(x->d, t);
  uint32_t n = (uint32_t)t->n_reads + t->n_writes;
  for (uint32_t k = t->n_reads; k < n; k++) {
    uint32_t room = x->t[v[k].tensor].room;
    if (x->t[room].life == DX_UNBORN && dx_take(x, room, e)) return e->status;
  }
  if (dx_task(x, task, e)) return e->status;
  for (uint32_t k = 0; k < n; k++) {
    uint32_t room = x->t[v[k].tensor].room;
    bool sram = x->d->tensors[room].space != DAG_DRAM;
    if (sram && last[room] == i && x->t[room].life == DX_LIVE && dx_give(x, room, e))
      return e->status;
  }
  return ERR_OK;
}

int dx_run(dx *x, const uint32_t *order, err *e) {
  arena scratch = {0};
  uint32_t *last = ARENA_NEW(&scratch, uint32_t, x->d->n_tensors + 1);
  int status = check_order(x, order, &scratch, e);
  if (status == ERR_OK) find_last(x, order, last);
  for (uint32_t i = 0; i < x->d->n_tasks && status == ERR_OK; i++)
    status = run_place(x, i, order == NULL ? i : order[i], last, e);
  arena_free(&scratch);
  return status;
}
