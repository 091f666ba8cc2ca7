#include "sim/base/text.h"

#include <stdint.h>

size_t text_char(const char *text, size_t n) {
  static const uint32_t LEAST[5] = {0, 0x20, 0x80, 0x800, 0x10000};
  const unsigned char *s = (const unsigned char *)text;
  if (n == 0) return 0;
  size_t len = s[0] < 0x80   ? 1
               : s[0] < 0xC0 ? 0
               : s[0] < 0xE0 ? 2
               : s[0] < 0xF0 ? 3
               : s[0] < 0xF8 ? 4
                             : 0;
  uint32_t code = len < 2 ? s[0] : s[0] & (0x7Fu >> len);
  if (len > n) return 0;
  for (size_t i = 1; i < len; i++) {
    if ((s[i] & 0xC0) != 0x80) return 0;
    code = code << 6 | (s[i] & 0x3Fu);
  }
  bool surrogate = code >= 0xD800 && code <= 0xDFFF, control = code >= 0x7F && code < 0xA0;
  return code < LEAST[len] || code > 0x10FFFF || surrogate || control ? 0 : len;
}

void text_clean(char *s, size_t n, bool one_line) {
  for (size_t i = 0; i < n;) {
    size_t len = text_char(s + i, n - i);
    if (len == 0 && (one_line || (s[i] != '\n' && s[i] != '\t'))) s[i] = '?';
    i += len == 0 ? 1 : len;
  }
}
