/* text.h - text that came from a file, on its way to a terminal: a name may be hostile, and an
 * escape sequence in it would move the cursor, colour or retitle the window. Whatever prints for
 * people (out_print in file.h, main.c's message, progress), and all that goes to a terminal, goes
 * through here once, at the very end, so that no printf of a name needs to think of it. */
#ifndef LS_TEXT_H
#define LS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the UTF-8 character at s, which has n bytes; 0: it is none, or a control character (C0,
 * DEL, C1). Overlong forms, surrogates and what is cut short are none. */
size_t text_char(const char *s, size_t n);

/* Puts '?' for each byte that belongs to no character of text_char; line ends and tabs stay unless
 * it shall be one line. */
void text_clean(char *s, size_t n, bool one_line);

#endif
