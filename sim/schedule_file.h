/* schedule_file.h - a schedule as a file: JSON that any language reads and writes
 * (docs/schedule-format.md). What is read has been checked: it names every compute task of the DAG
 * once, by id or name, each after all that it needs (directly or through transfers), on an engine
 * that exists, that its operands reach, and that its group's other tasks have, too. */
#ifndef LS_SCHEDULE_FILE_H
#define LS_SCHEDULE_FILE_H

#include "sim/base/file.h"
#include "sim/policy.h"

void schedule_file_write(const dag *d, const platform *p, const pol_schedule *s,
                         const char *scheduler, out *o);

/* ERR_BAD with the file, the place in it and the reason. The schedule lives in `a`. */
ERR_CHECK int schedule_file_read(const char *where, const unsigned char *data, size_t len,
                                 const dag *d, const platform *p, const reach *within,
                                 pol_schedule *s, arena *a, err *e);

#endif
