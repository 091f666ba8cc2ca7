/* trace_rules.h - checks a Perfetto trace (Chrome JSON) against the rules that its importer holds
 * us to, and those of the contract: json      it parses, and has "traceEvents" and "metadata" time
 * ts and dur are whole nanoseconds, not negative names     every process and every thread that is
 * used has a name, threads exactly one, with a sort index >= 1 tid       a tid is at least 11, and
 * no pid nest      slices of one thread nest or follow each other flow      every `s` has one `f`
 * of the same id and the other way round, none earlier than its start; `f` binds to the enclosing
 * slice; both lie in slices counter   one args key; first 0 at 0, last 0 async     `b` and `e` of
 * one (pid, cat, id2) come in turns, in order of time, and end with `e` Reads the whole tree into
 * memory: for tests. */
#ifndef LS_TRACE_RULES_H
#define LS_TRACE_RULES_H

#include <stddef.h>

enum { TRACE_RULES_WHY = 512 };

/* 0 where all rules hold; else 1, and `why` (TRACE_RULES_WHY bytes) begins with the rule's word. */
int trace_rules_check(const char *text, size_t len, char *why);

#endif
