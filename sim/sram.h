/* sram.h - the ledger behind SRAM admission: what is promised at every place of the full order (the
 * banker's rule of machine.h). It knows places and bytes, not tasks.
 *
 * P[k], for k in 0..n-1: bytes that will be held at place k if, from now on, everything runs in the
 * order. Updates and queries over ranges cost O(log n): a tree of maxima with pending additions
 * (bottom-up, nothing is pushed down). */
#ifndef LS_SRAM_H
#define LS_SRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/arena.h"

typedef struct sram sram;

/* `planned` has n entries: P at the start. */
sram *sram_new(uint64_t capacity_B, const uint64_t *planned, size_t n, arena *a);

/* Takes `bytes` at a time when the frontier stands at `frontier`, for a buffer whose planned life
 * starts at place p. False, and nothing taken, where some P[k], frontier <= k < p, would exceed the
 * capacity. */
bool sram_take(sram *s, size_t frontier, size_t p, uint64_t bytes);

/* Undoes a sram_take of the same arguments, at the same frontier. */
void sram_untake(sram *s, size_t frontier, size_t p, uint64_t bytes);

/* Gives back a buffer whose planned life lasts until place r (inclusive). */
void sram_give(sram *s, size_t frontier, size_t r, uint64_t bytes);

/* max P[k] over lo <= k < hi; 0 for an empty range. */
uint64_t sram_promised(const sram *s, size_t lo, size_t hi);

#endif
