/* dag_format.h - the forms that a task DAG can be written in. A form is one function and one row of
 * DAG_FORMATS: the command line, its help and its messages read the names from there. Writers
 * stream in id order, without building anything in memory, and the same DAG gives the same bytes.
 * What they write of costs they take from cost.h.
 *
 * json is ours, and what `llamasim simulate` reads; docs/dag-format.md describes all of them. */
#ifndef LS_DAG_FORMAT_H
#define LS_DAG_FORMAT_H

#include "workloads/dag.h"

/* name, which is also that of its writer: dag_write_<name>; what it is. `SEP` parts the rows. */
#define DAG_FORMATS(X, SEP)                                                                        \
  X(json, "the task DAG, as `llamasim simulate` reads it")                                         \
  SEP X(dot, "a picture for Graphviz: dot -Tsvg") SEP X(                                           \
      chakra, "an MLCommons Chakra execution trace, as JSON")

typedef struct dag_format {
  const char *name, *text;
  void (*write)(const dag *d, out *o);
} dag_format;

#define X(name, text) void dag_write_##name(const dag *d, out *o);
DAG_FORMATS(X, )
#undef X

/* NULL where there is none of that name. */
const dag_format *dag_format_find(const char *name);
size_t dag_format_count(void);
const dag_format *dag_format_at(size_t i);

/* Bytes that `to` reads of what `from` writes; 0: it waits for `from` for another reason. Spaces
 * have no part in it: what a store put into DRAM may be loaded again. */
uint64_t dag_edge_bytes(const dag *d, uint32_t from, uint32_t to);

#endif
