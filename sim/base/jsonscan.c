#include "sim/base/json.h"

#include <string.h>

/* A scan keeps its place; `want` says what should stand there once something else does. */
typedef struct scan {
  const unsigned char *p, *end;
  const char *want;
} scan;

static bool fail(scan *s, const char *want) {
  s->want = want;
  return false;
}

static int peek(const scan *s) {
  return s->p < s->end ? *s->p : -1;
}

static void skip_space(scan *s) {
  while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r')) s->p++;
}

static bool skip_digits(scan *s) {
  if (peek(s) < '0' || peek(s) > '9') return fail(s, "a digit");
  while (peek(s) >= '0' && peek(s) <= '9') s->p++;
  return true;
}

static bool scan_number(scan *s) {
  enum { LONGEST = 63 }; /* cJSON cuts longer ones */
  const unsigned char *start = s->p;
  if (peek(s) == '-') s->p++;
  if (peek(s) == '0')
    s->p++;
  else if (!skip_digits(s))
    return false;
  if (peek(s) == '.') {
    s->p++;
    if (!skip_digits(s)) return false;
  }
  if (peek(s) == 'e' || peek(s) == 'E') {
    s->p++;
    if (peek(s) == '+' || peek(s) == '-') s->p++;
    if (!skip_digits(s)) return false;
  }
  return s->p - start <= LONGEST || fail(s, "a number of at most 63 characters");
}

/* The four digits of \uXXXX; -1 where they are none. */
static long scan_hex4(scan *s) {
  long v = 0;
  for (int i = 0; i < 4; i++, s->p++) {
    int c = peek(s), low = c | 0x20;
    if (c >= '0' && c <= '9')
      v = v * 16 + c - '0';
    else if (low >= 'a' && low <= 'f')
      v = v * 16 + low - 'a' + 10;
    else
      return -1;
  }
  return v;
}

static bool scan_escape(scan *s) {
  int c = peek(s);
  if (c < 0 || strchr("\"\\/bfnrtu", c) == NULL || c == 0)
    return fail(s, "an escape such as \\n or \\u00e9");
  s->p++;
  if (c != 'u') return true;
  long v = scan_hex4(s);
  if (v < 0) return fail(s, "four hexadecimal digits");
  if (v == 0) return fail(s, "a string without \\u0000");
  if (v < 0xD800 || v > 0xDFFF) return true;
  /* beyond 16 bits: a high surrogate, then a low one */
  if (v > 0xDBFF || peek(s) != '\\') return fail(s, "a surrogate pair such as \\ud83d\\ude00");
  s->p++;
  if (peek(s) == 'u') {
    s->p++;
    v = scan_hex4(s);
    if (v >= 0xDC00 && v <= 0xDFFF) return true;
  }
  return fail(s, "a surrogate pair such as \\ud83d\\ude00");
}

static bool scan_string(scan *s, const char *want) {
  if (peek(s) != '"') return fail(s, want);
  s->p++;
  for (;;) {
    while (s->p < s->end && *s->p != '"' && *s->p != '\\' && *s->p >= 0x20) s->p++;
    if (peek(s) == '"') break;
    if (peek(s) != '\\') return fail(s, "a closing quote");
    s->p++;
    if (!scan_escape(s)) return false;
  }
  s->p++;
  return true;
}

static bool scan_scalar(scan *s) {
  static const char *const WORDS[] = {"true", "false", "null"};
  if (peek(s) == '"') return scan_string(s, "");
  if (peek(s) == '-' || (peek(s) >= '0' && peek(s) <= '9')) return scan_number(s);
  for (size_t i = 0; i < 3; i++) {
    size_t n = strlen(WORDS[i]);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, WORDS[i], n) != 0) continue;
    s->p += n;
    return true;
  }
  return fail(s, "a value");
}

static bool scan_key(scan *s) {
  skip_space(s);
  if (!scan_string(s, "a key in double quotes")) return false;
  skip_space(s);
  if (peek(s) != ':') return fail(s, "':'");
  s->p++;
  return true;
}

/* The stack of open brackets replaces recursion, so that no input can overflow the real one. */
static bool scan_document(scan *s) {
  enum { DEEPEST = 500 };
  char close[DEEPEST];
  size_t depth = 0;
  for (;;) {
    /* a value, or the beginning of one */
    skip_space(s);
    int c = peek(s);
    if (c == '{' || c == '[') {
      if (depth == DEEPEST) return fail(s, "at most 500 levels of brackets");
      close[depth++] = c == '{' ? '}' : ']';
      s->p++;
      skip_space(s);
      if (peek(s) != close[depth - 1]) {
        if (c == '{' && !scan_key(s)) return false;
        continue;
      }
    } else if (!scan_scalar(s)) {
      return false;
    }
    /* what may follow it */
    for (skip_space(s); depth > 0 && peek(s) == close[depth - 1]; skip_space(s)) {
      depth--;
      s->p++;
    }
    if (depth == 0) return s->p == s->end || fail(s, "the end of the document");
    bool object = close[depth - 1] == '}';
    if (peek(s) != ',') return fail(s, object ? "',' or '}'" : "',' or ']'");
    s->p++;
    if (object && !scan_key(s)) return false;
  }
}

const char *json_scan(const unsigned char *data, size_t len, size_t *at) {
  scan s = {data, data + len, NULL};
  (void)scan_document(&s);
  *at = (size_t)(s.p - data);
  return s.want;
}
