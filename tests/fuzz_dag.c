/* libFuzzer: whatever the bytes are, the DAG reader ends with a DAG or with a message; a DAG that
 * it accepts is written and read back to the same bytes; its other forms are written, too, and what
 * claims to be JSON is. */
#include <stdlib.h>
#include <string.h>

#include "sim/base/json.h"
#include "workloads/cost.h"
#include "workloads/dag_format.h"

static out *write(const dag *d) {
  out *o = out_memory();
  dag_write_json(d, o);
  return o;
}

static void write_all(const dag *d) {
  for (size_t i = 0; i < dag_format_count(); i++) {
    size_t n, at;
    out *o = out_memory();
    dag_format_at(i)->write(d, o);
    const char *text = out_text(o, &n);
    bool is_dot = strcmp(dag_format_at(i)->name, "dot") == 0;
    if (n == 0 || (!is_dot && json_scan((const unsigned char *)text, n, &at) != NULL)) abort();
    out_abort(o);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  arena mem = {0};
  err e = {0};
  dag *d = NULL, *again = NULL;
  if (dag_read_json("fuzz", data, size, &d, &mem, &e) == ERR_OK) {
    cost_totals totals = cost_sum(d);
    if (totals.compute + totals.load + totals.store + totals.move != d->n_tasks) abort();
    size_t n, n2;
    out *first = write(d);
    const char *text = out_text(first, &n);
    if (dag_read_json("again", (const unsigned char *)text, n, &again, &mem, &e) != ERR_OK) abort();
    out *second = write(again);
    const char *text2 = out_text(second, &n2);
    if (n != n2 || memcmp(text, text2, n) != 0) abort();
    out_abort(first);
    out_abort(second);
    write_all(d);
  } else if (e.msg[0] == '\0') {
    abort();
  }
  arena_free(&mem);
  return 0;
}
