/* show.h - bytes from a file in a message: cut to a line's worth, what is not printable ASCII as
 * '?', so that a hostile name can neither flood nor steer a terminal. */
#ifndef LS_SHOW_H
#define LS_SHOW_H

#include <stddef.h>
#include <string.h>

enum { SHOW_MAX = 80 };

static inline const char *show_bytes(const char *s, size_t len, char text[SHOW_MAX]) {
  size_t n = len < SHOW_MAX - 4 ? len : SHOW_MAX - 4;
  for (size_t i = 0; i < n; i++) text[i] = '?';
  for (size_t i = 0; i < n; i++)
    if (s[i] >= 0x20 && s[i] < 0x7f) text[i] = s[i];
  strcpy(text + n, n < len ? "..." : "");
  return text;
}

/* For an argument of a message: lives as long as the block that it is written in. */
#define SHOW(s, len) show_bytes((s), (len), (char[SHOW_MAX]){0})

#endif
