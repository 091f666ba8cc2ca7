#include "sim/base/err.h"

#include <stdio.h>
#include <string.h>

int err_set(err *e, int status, const char *fmt, ...) {
  if (e->status != ERR_OK) return e->status;
  e->status = status;
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(e->msg, sizeof e->msg, fmt, ap);
  va_end(ap);
  return status;
}

int err_prefix(err *e, const char *fmt, ...) {
  char old[ERR_MSG_MAX];
  memcpy(old, e->msg, sizeof old);
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
  va_end(ap);
  if (n < 0) n = 0;
  size_t at = (size_t)n < sizeof e->msg ? (size_t)n : sizeof e->msg - 1;
  size_t room = sizeof e->msg - at, len = strlen(old);
  if (room > 2) { /* a message cut at 4 KiB is still a message */
    if (len > room - 3) len = room - 3;
    memcpy(e->msg + at, ": ", 2);
    memcpy(e->msg + at + 2, old, len);
    e->msg[at + 2 + len] = 0;
  }
  return e->status;
}
