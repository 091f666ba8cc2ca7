#include "sim/base/json.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- pieces -- */

/* Length of the valid UTF-8 sequence at s (RFC 3629: no overlong forms, no surrogates, at most
 * U+10FFFF); 0 where there is none. The NUL at the end of s is no continuation byte, so this never
 * reads past it. */
static size_t utf8_length(const unsigned char *s) {
  unsigned char lo = 0x80, hi = 0xBF;
  size_t n;
  if (s[0] < 0x80) return 1;
  if (s[0] >= 0xC2 && s[0] <= 0xDF) {
    n = 2;
  } else if (s[0] >= 0xE0 && s[0] <= 0xEF) {
    n = 3;
    if (s[0] == 0xE0) lo = 0xA0;
    if (s[0] == 0xED) hi = 0x9F;
  } else if (s[0] >= 0xF0 && s[0] <= 0xF4) {
    n = 4;
    if (s[0] == 0xF0) lo = 0x90;
    if (s[0] == 0xF4) hi = 0x8F;
  } else {
    return 0;
  }
  if (s[1] < lo || s[1] > hi) return 0;
  for (size_t i = 2; i < n; i++)
    if (s[i] < 0x80 || s[i] > 0xBF) return 0;
  return n;
}

void out_json_str(out *o, const char *text) {
  static const char HEX[] = "0123456789abcdef";
  const unsigned char *s = (const unsigned char *)text;
  out_char(o, '"');
  while (*s != '\0') {
    /* a run that needs no care */
    const unsigned char *p = s;
    while (*p >= 0x20 && *p < 0x7F && *p != '"' && *p != '\\') p++;
    out_write(o, s, (size_t)(p - s));
    s = p;
    if (*s == '\0') break;

    size_t n = utf8_length(s);
    if (n > 1) {
      out_write(o, s, n);
    } else if (n == 0) {
      out_str(o, "\xEF\xBF\xBD"); /* U+FFFD for each byte that is no UTF-8 */
      n = 1;
    } else if (*s == '"' || *s == '\\') {
      out_char(o, '\\');
      out_char(o, (char)*s);
    } else if (*s == '\n') {
      out_str(o, "\\n");
    } else if (*s == '\t') {
      out_str(o, "\\t");
    } else {
      out_str(o, "\\u00");
      out_char(o, HEX[*s >> 4]);
      out_char(o, HEX[*s & 15]);
    }
    s += n;
  }
  out_char(o, '"');
}

/* Writes d * 10^exp10 as printf's %.<precision>g would, with d's trailing zeros left out. */
static void print_decimal(out *o, uint64_t d, int exp10, int precision) {
  char digits[24], *end = digits + sizeof digits, *p = end, text[48], *t = text;
  for (; d % 10 == 0; d /= 10) exp10++;
  for (; d != 0; d /= 10) *--p = (char)('0' + d % 10);
  int n = (int)(end - p), exponent = n - 1 + exp10;
  if (exponent < -4 || exponent >= precision) {
    *t++ = *p++;
    if (p < end) *t++ = '.';
    while (p < end) *t++ = *p++;
    t += sprintf(t, "e%+03d", exponent);
  } else {
    for (int i = exponent; i < 0; i++) { /* 0.000ddd */
      *t++ = '0';
      if (i == exponent) *t++ = '.';
    }
    for (int i = 0; i < n || i <= exponent; i++) {
      if (i > 0 && i == exponent + 1) *t++ = '.';
      *t++ = i < n ? p[i] : '0';
    }
  }
  out_write(o, text, (size_t)(t - text));
}

#ifdef __SIZEOF_INT128__
__extension__ typedef unsigned __int128 u128;

/* The same text as print_slowly, in exact integer arithmetic, for the range that times and sizes
 * have; false (and nothing written) outside of it. With v = m * 2^e, P = m * 5^k holds v * 10^k in
 * units of 2^-shift, shift = -(e + k). k is such that the whole part has 17 digits. A decimal reads
 * back as v if it is within half of v's last bit, which is 5^k / 2. */
static bool print_fast(out *o, double v) {
  enum { K_MAX = 27, DIGITS = 17 }; /* 5^27 < 2^63, so P < 2^116 */
  uint64_t bits, pow5 = 1;
  memcpy(&bits, &v, sizeof bits);
  int biased = (int)(bits >> 52);
  uint64_t m = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
  int k = DIGITS - 1 - (int)floor((biased - 1023) * 0.30103), shift = 1075 - biased - k;
  /* at m = 2^52 the bit below is half as large */
  if (biased == 0 || m == UINT64_C(1) << 52 || k < 1 || k > K_MAX || shift < 4) return false;
  for (int i = 0; i < k; i++) pow5 *= 5;
  u128 P = (u128)m * pow5;
  if (P >> shift >= UINT64_C(100000) * 1000 * 1000 * 1000 * 1000) {
    pow5 /= 5; /* the estimate of the logarithm was one short */
    P /= 5;
    k--;
    shift++;
  }
  uint64_t whole = (uint64_t)(P >> shift), drop = 100;
  u128 fraction = P & (((u128)1 << shift) - 1);
  for (int dropped = 2; dropped >= 0; dropped--, drop /= 10) { /* 15, 16, 17 digits */
    uint64_t d = whole / drop;
    u128 unit = (u128)drop << shift, rest = (u128)(whole % drop) << shift | fraction;
    if (rest > unit / 2 || (rest == unit / 2 && d % 2 == 1)) {
      d++;
      rest = unit - rest;
    }
    if (dropped > 0 && (2 * rest > pow5 || (2 * rest == pow5 && m % 2 == 1))) continue;
    print_decimal(o, d, dropped - k, DIGITS - dropped);
    break;
  }
  return true;
}
#else
static bool print_fast(out *o, double v) {
  (void)o;
  (void)v;
  return false;
}
#endif

static void print_slowly(out *o, double v) {
  char text[32];
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, v);
    if (digits == 17 || strtod(text, NULL) == v) break;
  }
  out_str(o, text);
}

void out_json_f64(out *o, double v) {
  assert(isfinite(v));
  if (signbit(v)) {
    out_char(o, '-');
    v = -v;
  }
  if (v < 1e15 && v == floor(v)) /* the same as %.15g, and most numbers are of this kind */
    out_u64(o, (uint64_t)v);
  else if (!print_fast(o, v))
    print_slowly(o, v);
}

/* -- the writer -- */

jw jw_new(out *o, int indent, int pretty) {
  return (jw){.o = o, .indent = indent, .pretty = indent > 0 ? pretty : 0};
}

static void new_line(jw *w, int depth) {
  out_char(w->o, '\n');
  for (int i = 0; i < w->indent * depth; i++) out_char(w->o, ' ');
}

/* What stands before any value: comma, line break, key. */
static void member(jw *w, const char *key) {
  assert(w->depth == 0 ? key == NULL : (key == NULL) == w->is_array[w->depth]);
  if (w->depth > 0) {
    if (!w->first[w->depth]) out_char(w->o, ',');
    if (w->depth <= w->pretty)
      new_line(w, w->depth);
    else if (!w->first[w->depth])
      out_char(w->o, ' ');
    w->first[w->depth] = false;
  }
  if (key == NULL) return;
  out_json_str(w->o, key);
  out_write(w->o, ": ", 2);
}

static void begin(jw *w, const char *key, bool is_array) {
  member(w, key);
  assert(w->depth + 1 < JW_DEPTH);
  w->depth++;
  w->first[w->depth] = true;
  w->is_array[w->depth] = is_array;
  out_char(w->o, is_array ? '[' : '{');
}

void jw_object(jw *w, const char *key) {
  begin(w, key, false);
}

void jw_array(jw *w, const char *key) {
  begin(w, key, true);
}

void jw_end(jw *w) {
  assert(w->depth > 0);
  bool empty = w->first[w->depth], is_array = w->is_array[w->depth];
  w->depth--;
  if (!empty && w->depth < w->pretty) new_line(w, w->depth);
  out_char(w->o, is_array ? ']' : '}');
  if (w->depth == 0) out_char(w->o, '\n');
}

void jw_str(jw *w, const char *key, const char *v) {
  member(w, key);
  out_json_str(w->o, v);
}

void jw_u64(jw *w, const char *key, uint64_t v) {
  member(w, key);
  out_u64(w->o, v);
}

void jw_i64(jw *w, const char *key, int64_t v) {
  member(w, key);
  if (v < 0) out_char(w->o, '-');
  out_u64(w->o, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void jw_f64(jw *w, const char *key, double v) {
  member(w, key);
  out_json_f64(w->o, v);
}

void jw_bool(jw *w, const char *key, bool v) {
  member(w, key);
  out_str(w->o, v ? "true" : "false");
}

void jw_null(jw *w, const char *key) {
  member(w, key);
  out_str(w->o, "null");
}
