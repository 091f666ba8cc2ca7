#include <inttypes.h>
#include <stdio.h>

#include "kernels/verify.h"

bool verify_passed(const verify_table *t) {
  size_t compared = 0;
  for (size_t i = 0; i < t->n; i++) {
    if (t->line[i].verdict == VERIFY_FAIL) return false;
    compared += t->line[i].verdict == VERIFY_PASS;
  }
  return compared > 0 && t->wrong == 0;
}

static const char *shape_text(const verify_line *l, char buf[80]) {
  int n = snprintf(buf, 80, "(%" PRIu64 ",%" PRIu64, l->dim[0], l->dim[1]);
  if (l->rank > 2) n += snprintf(buf + n, 80 - (size_t)n, ",%" PRIu64, l->dim[2]);
  snprintf(buf + n, 80 - (size_t)n, ")");
  return buf;
}

void verify_print(const verify_table *t, out *o) {
  out_printf(o, "against %s:\n", t->with);
  out_printf(o, "%-18s %-16s %12s %16s\n", "point", "shape", "max|d|", "max|d|/max|ref|");
  for (size_t i = 0; i < t->n; i++) {
    const verify_line *l = &t->line[i];
    char shape[80];
    out_printf(o, "%-18s %-16s ", l->name, shape_text(l, shape));
    if (l->verdict == VERIFY_ABSENT) {
      out_printf(o, "%12s %16s  -  not computed by this DAG\n", "-", "-");
      continue;
    }
    out_printf(o, "%12.3e %16.3e  %s", l->max_d, l->max_ref > 0 ? l->max_d / l->max_ref : l->max_d,
               l->verdict == VERIFY_PASS ? "PASS" : "FAIL");
    if (l->tolerance > t->tolerance) out_printf(o, "  (up to %.1e)", l->tolerance);
    if (l->rows < l->of) out_printf(o, "  %" PRIu64 " of %" PRIu64 " rows", l->rows, l->of);
    out_str(o, "\n");
  }
  if (t->tokens > 0)
    out_printf(o, "%-18s (%" PRIu64 ")%*" PRIu64 " differ  %s\n", "greedy tokens", t->tokens,
               t->tokens < 10    ? 35
               : t->tokens < 100 ? 34
                                 : 33,
               t->wrong, t->wrong == 0 ? "PASS" : "FAIL");
}

const char *verify_fault(const verify_table *t, arena *a) {
  for (size_t i = 0; i < t->n; i++) {
    const verify_line *l = &t->line[i];
    if (l->verdict != VERIFY_FAIL) continue;
    const char *third = l->rank > 2 ? arena_printf(a, ",%" PRIu64, l->at[2]) : "";
    return arena_printf(a,
                        "'%s' is the first point that differs from %s: at [%" PRIu64 ",%" PRIu64
                        "%s] got %.9g, want %.9g",
                        l->name, t->with, l->at[0], l->at[1], third, l->got, l->want);
  }
  if (t->wrong > 0)
    return arena_printf(a,
                        "the greedy token at position %" PRIu64 " differs from %s: got %" PRIu64
                        ", want %" PRIu64,
                        t->wrong_pos, t->with, t->wrong_got, t->wrong_want);
  return arena_printf(a, "nothing was compared with %s", t->with);
}
