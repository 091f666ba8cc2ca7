#include <string.h>

#include "sim/base/json.h"
#include "sim/report.h"

/* Quoted where RFC 4180 wants it: names of a DAG by hand may hold anything. */
static void put_text(out *o, const char *s) {
  if (strpbrk(s, ",\"\r\n") == NULL) {
    out_str(o, s);
    return;
  }
  out_char(o, '"');
  for (const char *p = s; *p != '\0'; p++) {
    if (*p == '"') out_char(o, '"');
    out_char(o, *p);
  }
  out_char(o, '"');
}

static void next_number(out *o, double v) {
  out_char(o, ',');
  out_json_f64(o, v);
}

static void next_count(out *o, uint64_t v) {
  out_char(o, ',');
  out_u64(o, v);
}

static void next_text(out *o, const char *s) {
  out_char(o, ',');
  put_text(o, s);
}

/* Cells on when and why; empty for a task that never ran, so that no zero is taken for a time. */
static void put_run(const report *r, uint32_t task, out *o) {
  const tl_record *rec = &r->tl->records[task];
  if (rec->resource == OBS_NONE) {
    out_str(o, ",,,,,,,,");
    return;
  }
  const char *cause = attr_wait_cause(r->tl, task);
  next_text(o, r->tl->resources[rec->resource].name);
  next_number(o, rec->why.ready_s);
  next_number(o, rec->start_s);
  next_number(o, rec->end_s);
  next_number(o, rec->flow_start_s);
  next_number(o, rec->flow_end_s);
  next_text(o, cause != NULL ? cause : "none");
  next_number(o, cause != NULL ? rec->start_s - rec->why.ready_s : 0);
}

static void put_row(const report *r, uint32_t task, out *o) {
  const dag_task *t = &r->dag->tasks[task];
  cost c = cost_of(r->dag, task);
  out_u64(o, task);
  next_text(o, t->name);
  next_text(o, op_name((op)t->op));
  next_text(o, op_class((op)t->op));
  next_count(o, t->layer);
  put_run(r, task, o);
  next_count(o, c.matrix_flops + c.vector_flops);
  next_count(o, c.operand_B + c.transfer_B);
  out_str(o, r->attr.critical[task] ? ",true\n" : ",false\n");
}

void report_write_timeline(const report *r, out *o) {
  out_str(o, "task,name,op,class,layer,resource,ready_s,start_s,end_s,flow_start_s,flow_end_s,"
             "wait_cause,wait_s,flops,bytes,critical\n");
  for (uint32_t i = 0; i < r->dag->n_tasks; i++) put_row(r, i, o);
}
