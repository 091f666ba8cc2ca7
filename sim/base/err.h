/* err.h - how a fault travels: a function that can fail on input returns a status and fills one
 * message; the caller checks it and passes it up; only main.c prints it and exits.
 *
 * The status is the exit status of the program (contract):
 *   ERR_OK 0        done
 *   ERR_NO 1        the answer is no (verification failed, infeasible)
 *   ERR_BAD 2       bad usage or bad input
 *   ERR_INTERNAL 3  a defect of ours, never the user's
 * A message says what, where, got, limit and cure, in one line without a final newline:
 *   npu.xml:14: link 'dram_bus': bandwidth is -5 B/s; it must be greater than 0
 * Programmer faults are asserts, never an err. */
#ifndef LS_ERR_H
#define LS_ERR_H

#include <stdarg.h>

enum { ERR_OK = 0, ERR_NO = 1, ERR_BAD = 2, ERR_INTERNAL = 3 };

enum { ERR_MSG_MAX = 4096 };

typedef struct err {
  int status;            /* ERR_OK until the first fault */
  char msg[ERR_MSG_MAX]; /* "" until the first fault */
} err;

#define ERR_CHECK __attribute__((warn_unused_result))

/* Records a fault (the first one wins; a later one is dropped) and returns its status,
 * so that a reader can say `return err_set(e, ERR_BAD, "...")`. */
int err_set(err *e, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts `prefix: ` before the message already recorded; returns its status. */
int err_prefix(err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
