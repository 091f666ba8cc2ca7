#include "workloads/dag.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/json.h"
#include "sim/base/text.h"
#include "workloads/dag_check.h"
#include "workloads/dag_link.h"

/* dag_read_json: JSON to tensors and raw tasks here; ids, dependencies and order in dag_link.c;
 * what the result must satisfy in dag_check.c. */

enum { MAX_NAME = 200, MAX_CTX = 320 };
static const uint64_t MAX_ITEMS = (uint64_t)1 << 26, MAX_POS = (uint64_t)1 << 30,
                      MAX_LENGTH = (uint64_t)1 << 24, MAX_COUNT = (uint64_t)1 << 16,
                      MAX_BYTES = (uint64_t)1 << 60;

/* How a file refers to a tensor. */
typedef struct tensor_ref {
  const char *name;
  uint32_t id, index;
} tensor_ref;

typedef struct reader {
  json_doc doc;
  dag *d;
  arena scratch;
  err *e;
  tensor_ref *by_id, *by_name;
  dag_raw raw;
} reader;

static int fail(const reader *r, const char *ctx, const char *key, const json *got,
                const char *want) {
  char text[JSON_DESCRIBE];
  return err_set(r->e, ERR_BAD, "%s: %s%s%s: is %s; it must be %s", r->doc.where, ctx,
                 key == NULL ? "" : ".", key == NULL ? "" : key, json_describe(got, text), want);
}

/* ---- strings, arrays, numbers -----------------------------------------------------------------
 */

/* Copies a string that will stand in messages, reports and traces: short, UTF-8, no control
 * characters. */
static int get_text(const reader *r, const json *obj, const char *ctx, const char *key, bool needed,
                    const char **text) {
  const char *s = NULL;
  if (needed ? json_need_str(&r->doc, obj, ctx, key, &s, r->e)
             : json_opt_str(&r->doc, obj, ctx, key, &s, r->e))
    return r->e->status;
  if (s == NULL) return ERR_OK;
  size_t n = strlen(s), at = 0;
  for (size_t len = 1; at < n && n <= MAX_NAME && len > 0; at += len)
    len = text_char(s + at, n - at);
  if (at < n || n > MAX_NAME)
    return fail(r, ctx, key, json_get(obj, key),
                "UTF-8 of at most 200 bytes without control characters");
  *text = arena_strndup(r->d->mem, s, n);
  return ERR_OK;
}

static int get_u32(const reader *r, const json *obj, const char *ctx, const char *key, bool needed,
                   uint64_t hi, uint32_t *v) {
  uint64_t x = *v;
  if (needed ? json_need_u64(&r->doc, obj, ctx, key, 0, hi, &x, r->e)
             : json_opt_u64(&r->doc, obj, ctx, key, 0, hi, &x, r->e))
    return r->e->status;
  *v = (uint32_t)x;
  return ERR_OK;
}

static int get_array(const reader *r, const json *obj, const char *ctx, const char *key,
                     const json **array) {
  *array = json_get(obj, key);
  if (json_is_array(*array)) return ERR_OK;
  return fail(r, ctx, key, *array, "an array");
}

/* An array of 1 to DAG_RANK whole numbers from `lo` to 2^32-2. */
static int get_dims(const reader *r, const json *obj, const char *ctx, const char *key, uint64_t lo,
                    uint64_t dim[DAG_RANK], uint32_t *rank) {
  const json *array;
  if (get_array(r, obj, ctx, key, &array)) return r->e->status;
  uint32_t n = 0;
  for (const json *v = json_first(array); v != NULL; v = json_next(v), n++) {
    double x = json_is_number(v) ? json_num(v) : -1;
    if (n == DAG_RANK) return fail(r, ctx, key, array, "of 1 to 4 dimensions");
    if (!(x >= (double)lo && x < (double)UINT32_MAX && x == (double)(uint64_t)x))
      return fail(r, ctx, key, v,
                  lo == 0 ? "whole numbers from 0 to 4294967294"
                          : "whole numbers from 1 to 4294967294");
    dim[n] = (uint64_t)x;
  }
  if (n == 0) return fail(r, ctx, key, array, "of 1 to 4 dimensions");
  *rank = n;
  return ERR_OK;
}

/* The index of a string in a closed set of names. */
static int get_name(const reader *r, const json *obj, const char *ctx, const char *key, bool needed,
                    const char *(*name)(int), int n, uint8_t *v) {
  const char *s = NULL;
  if (needed ? json_need_str(&r->doc, obj, ctx, key, &s, r->e)
             : json_opt_str(&r->doc, obj, ctx, key, &s, r->e))
    return r->e->status;
  if (s == NULL) return ERR_OK;
  char want[512] = "one of";
  size_t at = strlen(want);
  for (int i = 0; i < n; i++) {
    if (strcmp(s, name(i)) == 0) {
      *v = (uint8_t)i;
      return ERR_OK;
    }
    at += (size_t)snprintf(want + at, sizeof want - at, " %s", name(i));
  }
  return fail(r, ctx, key, json_get(obj, key), want);
}

static const char *a_dtype(int i) {
  return dtype_name((dtype)i);
}
static const char *a_role(int i) {
  return dag_role_name((dag_role)i);
}
static const char *an_op(int i) {
  return op_name((op)i);
}

/* ---- head: format, workload, model ------------------------------------------------------------
 */

static int read_dtype(const reader *r, const json *obj, const char *key, dtype *d) {
  uint8_t v = (uint8_t)*d;
  int status = get_name(r, obj, ".workload", key, false, a_dtype, DT_COUNT, &v);
  *d = (dtype)v;
  return status;
}

static int read_workload(const reader *r, const json *obj) {
  dag_workload *x = &r->d->workload;
  const char *ctx = ".workload";
  if (obj == NULL) return ERR_OK;
  if (!json_is_object(obj)) return fail(r, ctx, NULL, obj, "an object");
  const struct {
    const char *key;
    uint64_t hi, *v;
  } NUMBER[] = {{"past", MAX_LENGTH, &x->past},
                {"tokens", MAX_LENGTH, &x->tokens},
                {"steps", MAX_COUNT, &x->steps},
                {"batch", MAX_COUNT, &x->batch},
                {"layers", MAX_COUNT, &x->layers},
                {"sram_plan_B", MAX_BYTES, &x->sram_plan_B},
                {"engines_plan", MAX_COUNT, &x->engines_plan}};
  for (size_t i = 0; i < sizeof NUMBER / sizeof NUMBER[0]; i++)
    if (json_opt_u64(&r->doc, obj, ctx, NUMBER[i].key, 0, NUMBER[i].hi, NUMBER[i].v, r->e))
      return r->e->status;
  if (get_text(r, obj, ctx, "phase", false, &x->phase) ||
      get_text(r, obj, ctx, "split", false, &x->split) ||
      get_text(r, obj, ctx, "attention", false, &x->attention) ||
      get_text(r, obj, ctx, "kv_update", false, &x->kv_update) ||
      get_text(r, obj, ctx, "fuse", false, &x->fuse) ||
      get_text(r, obj, ctx, "resident", false, &x->resident) ||
      read_dtype(r, obj, "weight_dtype", &x->weight_dtype) ||
      read_dtype(r, obj, "act_dtype", &x->act_dtype) ||
      read_dtype(r, obj, "kv_dtype", &x->kv_dtype))
    return r->e->status;
  return ERR_OK;
}

static int read_model(const reader *r, const json *obj) {
  dag_workload *x = &r->d->workload;
  const json_doc *doc = &r->doc;
  const char *ctx = ".model", *rope = ".model.rope_scaling";
  if (obj == NULL) return ERR_OK;
  if (!json_is_object(obj)) return fail(r, ctx, NULL, obj, "an object");
  if (get_text(r, obj, ctx, "name", false, &x->model) ||
      json_opt_u64(doc, obj, ctx, "head_dim", 0, MAX_COUNT, &x->head_dim, r->e) ||
      json_opt_f64(doc, obj, ctx, "rms_norm_eps", 0, 1, &x->rms_norm_eps, r->e) ||
      json_opt_f64(doc, obj, ctx, "rope_theta", 0, 1e15, &x->rope_theta, r->e))
    return r->e->status;
  const json *scaling = json_get(obj, "rope_scaling");
  if (scaling == NULL || json_is_null(scaling)) return ERR_OK;
  if (!json_is_object(scaling)) return fail(r, rope, NULL, scaling, "an object");
  if (json_need_f64(doc, scaling, rope, "factor", 0, 1e6, &x->rope_factor, r->e) ||
      json_need_f64(doc, scaling, rope, "low_freq_factor", 0, 1e6, &x->rope_low_freq_factor,
                    r->e) ||
      json_need_f64(doc, scaling, rope, "high_freq_factor", 0, 1e6, &x->rope_high_freq_factor,
                    r->e) ||
      json_need_u64(doc, scaling, rope, "original_max_position_embeddings", 0, MAX_LENGTH,
                    &x->rope_original_max_position, r->e))
    return r->e->status;
  return ERR_OK;
}

static int read_head(const reader *r) {
  const json *root = r->doc.root;
  const char *format = NULL;
  uint64_t version = 0;
  if (!json_is_object(root)) return fail(r, "the document", NULL, root, "an object");
  if (json_need_str(&r->doc, root, "", "format", &format, r->e)) return r->e->status;
  if (strcmp(format, "llamasim-dag") != 0)
    return fail(r, "", "format", json_get(root, "format"), "\"llamasim-dag\"");
  if (json_need_u64(&r->doc, root, "", "version", 1, 1, &version, r->e) ||
      read_workload(r, json_get(root, "workload")))
    return r->e->status;
  return read_model(r, json_get(root, "model"));
}

/* ---- tensors ----------------------------------------------------------------------------------
 */

static int ref_by_id(const void *a, const void *b) {
  const tensor_ref *x = a, *y = b;
  if (x->id != y->id) return x->id < y->id ? -1 : 1;
  return (x->index > y->index) - (x->index < y->index);
}

static int ref_by_name(const void *a, const void *b) {
  const tensor_ref *x = a, *y = b;
  int order = strcmp(x->name, y->name);
  return order != 0 ? order : ref_by_id(a, b);
}

typedef struct raw_tensor {
  const char *name;
  uint64_t dim[DAG_RANK];
  uint32_t rank;
  uint8_t dtype, role;
  uint16_t space;
} raw_tensor;

static int read_space(const reader *r, const json *obj, const char *ctx, uint16_t *space) {
  const char *name;
  if (json_need_str(&r->doc, obj, ctx, "space", &name, r->e)) return r->e->status;
  dag_space s = dag_space_parse(name);
  if (s == DAG_SPACE_COUNT)
    return fail(r, ctx, "space", json_get(obj, "space"), "one of dram sram sram1 sram2 ...");
  *space = (uint16_t)s;
  return ERR_OK;
}

static int read_tensor(const reader *r, const json *obj, uint32_t index, raw_tensor *t,
                       tensor_ref *ref) {
  char ctx[MAX_CTX], why[DAG_WHY];
  snprintf(ctx, sizeof ctx, ".tensors[%u]", index);
  *ref = (tensor_ref){.id = index, .index = index};
  if (!json_is_object(obj)) return fail(r, ctx, NULL, obj, "an object");
  if (get_u32(r, obj, ctx, "id", false, UINT32_MAX - 1, &ref->id) ||
      get_text(r, obj, ctx, "name", true, &t->name))
    return r->e->status;
  ref->name = t->name;
  snprintf(ctx, sizeof ctx, "tensor %u '%s'", ref->id, t->name);
  if (get_dims(r, obj, ctx, "shape", 1, t->dim, &t->rank) ||
      get_name(r, obj, ctx, "dtype", true, a_dtype, DT_COUNT, &t->dtype) ||
      get_name(r, obj, ctx, "role", true, a_role, DAG_ROLE_COUNT, &t->role) ||
      read_space(r, obj, ctx, &t->space))
    return r->e->status;
  if (dag_check_dims(t->dim, t->rank, (dtype)t->dtype, why) != ERR_OK)
    return err_set(r->e, ERR_BAD, "%s: %s: %s", r->doc.where, ctx, why);
  return ERR_OK;
}

/* Tensors become those of the DAG in the order of their ids. */
static int read_tensors(reader *r) {
  const json *array;
  if (get_array(r, r->doc.root, "", "tensors", &array)) return r->e->status;
  size_t n = json_count(array);
  if (n > MAX_ITEMS) return fail(r, "", "tensors", array, "shorter: 67108864 tensors at most");
  raw_tensor *t = ARENA_NEW(&r->scratch, raw_tensor, n);
  r->by_id = ARENA_NEW(&r->scratch, tensor_ref, n);
  r->by_name = ARENA_NEW(&r->scratch, tensor_ref, n);
  uint32_t i = 0;
  for (const json *v = json_first(array); v != NULL; v = json_next(v), i++)
    if (read_tensor(r, v, i, &t[i], &r->by_id[i])) return r->e->status;
  if (n == 0) return ERR_OK;
  qsort(r->by_id, n, sizeof *r->by_id, ref_by_id);
  for (i = 0; i < n; i++) {
    if (i > 0 && r->by_id[i].id == r->by_id[i - 1].id)
      return err_set(r->e, ERR_BAD,
                     "%s: tensor id %u stands there twice; every tensor needs its own",
                     r->doc.where, r->by_id[i].id);
    const raw_tensor *x = &t[r->by_id[i].index];
    r->by_id[i].index = i;
    dag_add_tensor(r->d, x->name, (dag_space)x->space, (dag_role)x->role, (dtype)x->dtype, x->rank,
                   x->dim);
  }
  memcpy(r->by_name, r->by_id, n * sizeof *r->by_id);
  qsort(r->by_name, n, sizeof *r->by_name, ref_by_name);
  return ERR_OK;
}

/* ---- tasks ------------------------------------------------------------------------------------
 */

/* A tensor by id, or by name where only one has it. */
static int find_tensor(const reader *r, const json *v, const char *ctx, uint32_t *index) {
  size_t n = r->d->n_tensors;
  tensor_ref key = {.name = json_is_string(v) ? json_str(v) : NULL}, *at = NULL;
  if (key.name != NULL) {
    size_t lo = 0, hi = n;
    while (lo < hi) {
      size_t mid = lo + (hi - lo) / 2;
      if (strcmp(r->by_name[mid].name, key.name) < 0)
        lo = mid + 1;
      else
        hi = mid;
    }
    if (lo < n && strcmp(r->by_name[lo].name, key.name) == 0) at = &r->by_name[lo];
    if (at != NULL && lo + 1 < n && strcmp(at[1].name, key.name) == 0)
      return err_set(r->e, ERR_BAD,
                     "%s: %s.tensor: '%s' is the name of tensors %u and %u; write the id instead",
                     r->doc.where, ctx, key.name, at[0].id, at[1].id);
  } else if (json_is_number(v)) {
    double x = json_num(v);
    if (x >= 0 && x < (double)UINT32_MAX && x == (double)(uint32_t)x) {
      key.id = (uint32_t)x;
      bool guess = key.id < n && r->by_id[key.id].id == key.id;
      size_t lo = 0, hi = guess ? 0 : n;
      while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (r->by_id[mid].id < key.id)
          lo = mid + 1;
        else
          hi = mid;
      }
      if (guess) lo = key.id;
      if (lo < n && r->by_id[lo].id == key.id) at = &r->by_id[lo];
    }
  }
  if (at == NULL) return fail(r, ctx, "tensor", v, "the id or the name of a tensor of this file");
  *index = at->index;
  return ERR_OK;
}

static int read_view(const reader *r, const json *obj, const char *ctx, dag_view *v) {
  if (!json_is_object(obj)) return fail(r, ctx, NULL, obj, "an object");
  if (find_tensor(r, json_get(obj, "tensor"), ctx, &v->tensor)) return r->e->status;
  const dag_tensor *t = &r->d->tensors[v->tensor];
  uint64_t lo[DAG_RANK] = {0}, len[DAG_RANK];
  uint32_t n_lo = t->rank, n_len = t->rank;
  if (json_get(obj, "lo") != NULL && get_dims(r, obj, ctx, "lo", 0, lo, &n_lo)) return r->e->status;
  for (int i = 0; i < DAG_RANK; i++) len[i] = lo[i] < t->dim[i] ? t->dim[i] - lo[i] : 0;
  if (json_get(obj, "len") != NULL && get_dims(r, obj, ctx, "len", 1, len, &n_len))
    return r->e->status;
  if (n_lo != t->rank || n_len != t->rank)
    return err_set(r->e, ERR_BAD, "%s: %s: lo has %u and len %u dimensions, but '%s' has %u",
                   r->doc.where, ctx, n_lo, n_len, t->name, t->rank);
  for (int i = 0; i < DAG_RANK; i++) {
    if (len[i] == 0 || lo[i] + len[i] > t->dim[i])
      return err_set(r->e, ERR_BAD,
                     "%s: %s: from %" PRIu64 " on, %" PRIu64
                     " elements are asked for, but dimension %d of '%s' has %" PRIu64,
                     r->doc.where, ctx, lo[i], len[i], i, t->name, t->dim[i]);
    v->lo[i] = (uint32_t)lo[i];
    v->len[i] = (uint32_t)len[i];
  }
  return ERR_OK;
}

static int read_views(reader *r, const json *task, const char *ctx, const char *key, uint8_t *n) {
  const json *array;
  if (get_array(r, task, ctx, key, &array)) return r->e->status;
  for (const json *v = json_first(array); v != NULL; v = json_next(v), (*n)++) {
    char at[MAX_CTX + 40];
    snprintf(at, sizeof at, "%s.%s[%u]", ctx, key, *n);
    dag_view view = {0};
    if (*n == DAG_MAX_OPERANDS) return fail(r, ctx, key, array, "shorter: 64 operands at most");
    if (read_view(r, v, at, &view)) return r->e->status;
    ARENA_PUSH(&r->scratch, r->raw.views, r->raw.n_views, r->raw.cap_views, view);
  }
  return ERR_OK;
}

static int read_deps(reader *r, const json *task, const char *ctx, dag_raw_task *t) {
  const json *array;
  t->given0 = r->raw.n_given;
  if (json_get(task, "deps") == NULL) return ERR_OK;
  if (get_array(r, task, ctx, "deps", &array)) return r->e->status;
  for (const json *v = json_first(array); v != NULL; v = json_next(v)) {
    double x = json_is_number(v) ? json_num(v) : -1;
    if (!(x >= 0 && x < (double)UINT32_MAX && x == (double)(uint32_t)x))
      return fail(r, ctx, "deps", v, "ids of tasks");
    if (r->raw.n_given == MAX_ITEMS * 2)
      return fail(r, "", "tasks", v, "with fewer dependencies: 134217728 at most");
    ARENA_PUSH(&r->scratch, r->raw.given, r->raw.n_given, r->raw.cap_given, (uint32_t)x);
    t->n_given++;
  }
  return ERR_OK;
}

static int read_op(const reader *r, const json *obj, const char *ctx, dag_raw_task *t) {
  const char *kind = NULL;
  if (get_name(r, obj, ctx, "op", true, an_op, OP_COUNT, &t->t.op) ||
      json_opt_str(&r->doc, obj, ctx, "kind", &kind, r->e))
    return r->e->status;
  const char *is = op_kind_name(op_kind_of((op)t->t.op));
  if (kind == NULL || strcmp(kind, is) == 0) return ERR_OK;
  return err_set(r->e, ERR_BAD, "%s: %s.kind: is \"%.40s\"; the kind of %s is \"%s\"", r->doc.where,
                 ctx, kind, op_name((op)t->t.op), is);
}

static int read_task(reader *r, const json *obj, size_t index, size_t n_tasks) {
  dag_raw_task t = {.t = {.group = DAG_NO_GROUP, .name = ""}};
  char ctx[MAX_CTX];
  snprintf(ctx, sizeof ctx, ".tasks[%zu]", index);
  if (!json_is_object(obj)) return fail(r, ctx, NULL, obj, "an object");
  if (get_u32(r, obj, ctx, "id", true, UINT32_MAX - 1, &t.id)) return r->e->status;
  snprintf(ctx, sizeof ctx, "task %u", t.id);
  if (get_text(r, obj, ctx, "name", true, &t.t.name)) return r->e->status;
  snprintf(ctx, sizeof ctx, "task %u '%s'", t.id, t.t.name);
  t.t.view0 = (uint32_t)r->raw.n_views;
  /* groups are counted by their largest id: a bound keeps that from growing beyond the tasks */
  if (read_op(r, obj, ctx, &t) ||
      get_u32(r, obj, ctx, "layer", false, UINT32_MAX - 1, &t.t.layer) ||
      get_u32(r, obj, ctx, "group", false, n_tasks - 1, &t.t.group) ||
      get_u32(r, obj, ctx, "pos", false, MAX_POS, &t.t.pos) ||
      get_u32(r, obj, ctx, "key", false, MAX_POS, &t.t.key) ||
      get_u32(r, obj, ctx, "step", false, MAX_POS, &t.t.step) ||
      read_views(r, obj, ctx, "reads", &t.t.n_reads) ||
      read_views(r, obj, ctx, "writes", &t.t.n_writes) || read_deps(r, obj, ctx, &t))
    return r->e->status;
  if (t.t.n_reads + t.t.n_writes > DAG_MAX_OPERANDS)
    return err_set(r->e, ERR_BAD, "%s: %s: it has %d operands; the limit is %d", r->doc.where, ctx,
                   t.t.n_reads + t.t.n_writes, DAG_MAX_OPERANDS);
  ARENA_PUSH(&r->scratch, r->raw.tasks, r->raw.n_tasks, r->raw.cap_tasks, t);
  return ERR_OK;
}

static int read_tasks(reader *r) {
  const json *array;
  if (get_array(r, r->doc.root, "", "tasks", &array)) return r->e->status;
  size_t n = json_count(array), i = 0;
  if (n == 0) return err_set(r->e, ERR_BAD, "%s: .tasks: is empty; nothing to run", r->doc.where);
  if (n > MAX_ITEMS) return fail(r, "", "tasks", array, "shorter: 67108864 tasks at most");
  for (const json *v = json_first(array); v != NULL; v = json_next(v), i++)
    if (read_task(r, v, i, n)) return r->e->status;
  return ERR_OK;
}

int dag_read_json(const char *where, const unsigned char *data, size_t len, dag **d, arena *a,
                  err *e) {
  reader r = {.d = dag_new(a), .e = e};
  /* a file may have no view and no dependency at all; arrays stand there even so */
  r.raw.views = ARENA_NEW(&r.scratch, dag_view, r.raw.cap_views = 16);
  r.d->deps = ARENA_NEW(a, uint32_t, r.d->cap_deps = 16);
  r.d->views = ARENA_NEW(a, dag_view, r.d->cap_views = 16);
  uint32_t *ids = NULL;
  int status = json_parse(where, data, len, &r.doc, e);
  if (status == ERR_OK) status = read_head(&r);
  if (status == ERR_OK) status = read_tensors(&r);
  if (status == ERR_OK) status = read_tasks(&r);
  json_free(&r.doc);
  if (status == ERR_OK) status = dag_link(&r.raw, where, r.d, &ids, &r.scratch, e);
  if (status == ERR_OK) status = dag_check_ids(r.d, where, ids, e);
  if (status == ERR_OK) *d = r.d;
  arena_free(&r.scratch);
  return status;
}
