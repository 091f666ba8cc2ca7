/* libFuzzer: whatever DAG the reader accepts is executed on a small model, with all that DRAM holds
 * set. Every task is executed, or one is refused with a message. */
#include <stdlib.h>
#include <string.h>

#include "kernels/dag_exec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_TASKS = 400, MAX_ELEMENTS = 1 << 16 };

#define REQUIRE(x)                                                                                 \
  do {                                                                                             \
    if (!(x)) abort();                                                                             \
  } while (0)

static int box(void *user, const char *name, uint64_t row0, uint64_t rows, uint64_t col0,
               uint64_t cols, float *y, err *e) {
  (void)user, (void)name, (void)e;
  for (uint64_t r = 0; r < rows; r++)
    for (uint64_t c = 0; c < cols; c++) *y++ = (float)((row0 + r + 3 * (col0 + c)) % 17) / 8 - 1;
  return ERR_OK;
}

/* Small enough to be worth it: elements, and products of a matmul. */
static bool small(const dag *d) {
  if (d->n_tasks > MAX_TASKS) return false;
  uint64_t sum = 0;
  for (size_t i = 0; i < d->n_tensors; i++) {
    const uint64_t *dim = d->tensors[i].dim;
    for (int k = 0; k < DAG_RANK; k++)
      if (dim[k] > MAX_ELEMENTS) return false;
    if (dim[0] * dim[1] > MAX_ELEMENTS || dim[2] * dim[3] > MAX_ELEMENTS) return false;
    sum += dim[0] * dim[1] * dim[2] * dim[3];
    if (sum > MAX_ELEMENTS) return false;
  }
  return true;
}

static bool overlap(const dag_view *x, const dag_view *y) {
  bool apart = x->tensor != y->tensor;
  for (int i = 0; i < DAG_RANK; i++)
    apart = apart || x->lo[i] + x->len[i] <= y->lo[i] || y->lo[i] + y->len[i] <= x->lo[i];
  return !apart;
}

/* Does a task write any of it? */
static bool is_result(const dag *d, const dag_view *v) {
  for (uint32_t t = 0; t < d->n_tasks; t++)
    for (uint32_t i = 0; i < d->tasks[t].n_writes; i++)
      if (overlap(v, &dag_writes(d, &d->tasks[t])[i])) return true;
  return false;
}

/* Sets what loads read and no task writes, where that can be set: weights come from their source,
 * integers without scales from nowhere. */
static void set_all(dx *x, const dag *d, const float *values) {
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const dag_view *r = dag_reads(d, &d->tasks[t]);
    for (uint32_t i = 0; i < d->tasks[t].n_reads; i++) {
      err e = {0};
      if (!is_result(d, &r[i]) && dx_set(x, r[i].tensor, &r[i], values, &e) != ERR_OK)
        REQUIRE(e.status == ERR_BAD && e.msg[0] != 0);
    }
  }
}

static void execute(const dag *d, arena *a) {
  err e = {0};
  uint64_t hd = d->workload.head_dim, head_dim = hd > 0 && hd <= 64 && hd % 2 == 0 ? hd : 4;
  model m = {.hidden_size = 8,
             .intermediate_size = 8,
             .num_hidden_layers = 1,
             .num_attention_heads = 2,
             .num_key_value_heads = 1,
             .head_dim = head_dim,
             .vocab_size = 16,
             .rms_norm_eps = 1e-5,
             .rope_theta = 10000};
  dx_weights w = {box, NULL};
  float *values = ARENA_NEW(a, float, MAX_ELEMENTS);
  dx *x = dx_new(d, &m, &w, NULL, a, &e);
  REQUIRE(x != NULL);
  for (int i = 0; i < MAX_ELEMENTS; i++) values[i] = (float)(i % 5);
  set_all(x, d, values);
  int status = dx_run(x, NULL, &e);
  REQUIRE(status == ERR_OK ? e.msg[0] == 0 : e.status == status && e.msg[0] != 0);
  for (uint32_t i = 0; i < d->n_tensors; i++) {
    err got = {0};
    dag_view all = dag_all(d, i);
    if (dx_get(x, i, &all, values, &got) != ERR_OK) REQUIRE(got.msg[0] != 0);
  }
  dx_free(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  arena a = {0};
  err e = {0};
  dag *d;
  if (dag_read_json("fuzz", data, size, &d, &a, &e) == ERR_OK && small(d)) execute(d, &a);
  arena_free(&a);
  return 0;
}
