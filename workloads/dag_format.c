#include "workloads/dag_format.h"

#include <string.h>

static const dag_format FORMATS[] = {
#define X(name, text) {#name, text, dag_write_##name},
    DAG_FORMATS(X, )
#undef X
};

size_t dag_format_count(void) {
  return sizeof FORMATS / sizeof FORMATS[0];
}

const dag_format *dag_format_at(size_t i) {
  return &FORMATS[i];
}

const dag_format *dag_format_find(const char *name) {
  for (size_t i = 0; i < dag_format_count(); i++)
    if (strcmp(FORMATS[i].name, name) == 0) return &FORMATS[i];
  return NULL;
}

/* The box that two boxes of one tensor share; false where it is empty. */
static bool overlap(const dag_view *a, const dag_view *b, dag_view *both) {
  *both = (dag_view){.tensor = a->tensor};
  if (a->tensor != b->tensor) return false;
  for (int i = 0; i < DAG_RANK; i++) {
    uint32_t end_a = a->lo[i] + a->len[i], end_b = b->lo[i] + b->len[i];
    uint32_t end = end_a < end_b ? end_a : end_b;
    both->lo[i] = a->lo[i] > b->lo[i] ? a->lo[i] : b->lo[i];
    if (both->lo[i] >= end) return false;
    both->len[i] = end - both->lo[i];
  }
  return true;
}

uint64_t dag_edge_bytes(const dag *d, uint32_t from, uint32_t to) {
  const dag_task *a = &d->tasks[from], *b = &d->tasks[to];
  uint64_t bytes = 0;
  for (uint32_t w = 0; w < a->n_writes; w++)
    for (uint32_t r = 0; r < b->n_reads; r++) {
      dag_view both;
      if (overlap(&dag_writes(d, a)[w], &dag_reads(d, b)[r], &both))
        bytes += dag_view_bytes(d, &both);
    }
  return bytes;
}
