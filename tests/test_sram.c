/* The ledger against a plain array that does the same by brute force. */
#include <check.h>
#include <stdlib.h>

#include "sim/sram.h"
#include "tests/fixture.h"
#include "tests/suite.h"

enum { PLACES = 100, CAPACITY = 1000 };

static uint64_t brute_max(const int64_t *p, size_t lo, size_t hi) {
  int64_t most = 0;
  for (size_t k = lo; k < hi; k++) most = p[k] > most ? p[k] : most;
  return (uint64_t)most;
}

START_TEST(sram_take__random_operations__agrees_with_brute_force) {
  arena a = {0};
  fx_random r = {(uint64_t)_i};
  uint64_t planned[PLACES];
  int64_t p[PLACES];
  for (size_t k = 0; k < PLACES; k++) p[k] = (int64_t)(planned[k] = fx_range(&r, 0, 800));
  sram *s = sram_new(CAPACITY, planned, PLACES, &a);
  size_t frontier = 0, refused = 0, taken = 0;
  for (int i = 0; i < 2000; i++) {
    size_t place = fx_range(&r, 0, PLACES - 1);
    uint64_t bytes = fx_range(&r, 1, 150);
    if (fx_range(&r, 0, 40) == 0 && frontier < PLACES - 1) frontier++;
    if (fx_range(&r, 0, 1) == 0) {
      bool fits = place <= frontier || brute_max(p, frontier, place) + bytes <= CAPACITY;
      ck_assert_int_eq(sram_take(s, frontier, place, bytes), fits);
      for (size_t k = frontier; fits && k < place; k++) p[k] += (int64_t)bytes;
      if (fits)
        taken++;
      else
        refused++;
      if (fits && fx_range(&r, 0, 3) == 0) {
        sram_untake(s, frontier, place, bytes);
        for (size_t k = frontier; k < place; k++) p[k] -= (int64_t)bytes;
      }
    } else {
      bool can = true; /* only what is held can be given back */
      for (size_t k = frontier; k <= place; k++) can = can && p[k] >= (int64_t)bytes;
      if (!can) continue;
      sram_give(s, frontier, place, bytes);
      for (size_t k = frontier; k <= place; k++) p[k] -= (int64_t)bytes;
    }
    size_t lo = fx_range(&r, 0, PLACES - 1), hi = fx_range(&r, 0, PLACES);
    ck_assert_uint_eq(sram_promised(s, lo, hi), brute_max(p, lo, hi));
  }
  ck_assert(refused > 50 && taken > 50);
  arena_free(&a);
}
END_TEST

START_TEST(sram_take__at_its_planned_place__needs_no_room) {
  arena a = {0};
  uint64_t full[3] = {10, 10, 10};
  sram *s = sram_new(10, full, 3, &a);
  ck_assert(sram_take(s, 1, 1, 10));
  ck_assert(!sram_take(s, 1, 2, 1));
  sram_give(s, 1, 1, 1);
  ck_assert(sram_take(s, 1, 2, 1));
  ck_assert_uint_eq(sram_promised(s, 1, 3), 10);
  ck_assert_uint_eq(sram_promised(s, 2, 2), 0);
  arena_free(&a);
}
END_TEST

int main(void) {
  Suite *s = suite_create("sram");
  TCase *t = tcase_create("ledger");
  tcase_add_loop_test(t, sram_take__random_operations__agrees_with_brute_force, 0, 20);
  tcase_add_test(t, sram_take__at_its_planned_place__needs_no_room);
  suite_add_tcase(s, t);
  return suite_run(s);
}
