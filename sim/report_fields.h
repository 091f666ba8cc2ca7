/* report_fields.h - the scalars of a report, told one by one in the contract's order to whoever
 * writes them down, so that JSON and CSV have the same keys and values. For report_*.c only. */
#ifndef LS_REPORT_FIELDS_H
#define LS_REPORT_FIELDS_H

#include "sim/base/json.h"
#include "sim/report.h"

typedef struct report_sink {
  void *self;
  bool flat; /* columns: the same fields for every run, whatever is zero, and none a port */
  void (*object)(void *self, const char *key);
  void (*end)(void *self);
  void (*text)(void *self, const char *key, const char *v);
  void (*count)(void *self, const char *key, uint64_t v);
  void (*number)(void *self, const char *key, double v);
} report_sink;

/* Up to "bounds"; then come "resources" and "memory", which are lists; then the rest. */
void report_put_head(const report *r, const report_sink *s);
void report_put_tail(const report *r, const report_sink *s);

/* The whole JSON report, into an object that is open. */
void report_put_members(const report *r, jw *w);

#endif
