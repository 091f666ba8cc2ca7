/* design_try.h - the inside of design.h: candidates, tried one by one (design_try.c). design.c says
 * which, design_finer.c which finer ones, design_last.c what becomes of the best. Nobody else includes
 * this. */
#ifndef LS_DESIGN_TRY_H
#define LS_DESIGN_TRY_H

#include "sim/design.h"
#include "sim/platform.h"

enum { MOST_TASKS = 1 << 19, FINE = 3, FINALISTS = 6, LOOKED = 2, FEW_ROWS = 4, CUTS = 128 };
#define NEAR 1.01  /* times what it cannot be below: no other is much faster */
#define CLOSE 1.05 /* times the best so far: worth another look */
#define FAR 1.15   /* not worth one */
#define NEXT 1.03  /* the same, and rather so */
#define GAIN 0.999 /* times the best so far: worth going on */

static inline bool few_rows(const wl_options *o) {
  return o->batch * o->tokens <= FEW_ROWS && o->tile_B == 0;
}

/* Whole ops, each on an engine, of many rows. */
static inline bool long_ops(const wl_options *o) {
  return o->split == WL_OP && !few_rows(o);
}

/* How it is cut: for how many engines, with room for how many tiles, with how many chunks in work
 * and more blocks of tokens, and whether in the inner dimension, too (wl_target, also of the
 * zeros). */
typedef struct plan {
  uint32_t engines, tiles, chunks, blocks, pieces, rows, heads, abreast;
  bool inner;
} plan;

static inline bool same_plan(plan a, plan b) {
  return a.engines == b.engines && a.tiles == b.tiles && a.chunks == b.chunks &&
         a.blocks == b.blocks && a.pieces == b.pieces && a.rows == b.rows && a.heads == b.heads &&
         a.abreast == b.abreast && a.inner == b.inner;
}

/* What of it may be turned, as far as a step allows. */
typedef enum knob { ROWS, PIECES, HEADS, BLOCKS, TILES, ABREAST, KNOBS } knob;

static inline uint32_t *knob_of(plan *p, knob k) {
  uint32_t *const of[KNOBS] = {&p->rows,   &p->pieces, &p->heads,
                               &p->blocks, &p->tiles,  &p->abreast};
  return of[k];
}

/* A target's plan, and a target under another one. */
static inline plan target_plan(const wl_target *t) {
  return (plan){.engines = t->engines,
                .tiles = t->tiles,
                .chunks = t->chunks,
                .blocks = t->blocks,
                .pieces = t->pieces,
                .rows = t->rows,
                .heads = t->heads,
                .abreast = t->abreast,
                .inner = t->inner};
}

static inline void set_plan(wl_target *t, plan p) {
  t->engines = p.engines;
  t->tiles = p.tiles;
  t->chunks = p.chunks;
  t->blocks = p.blocks;
  t->pieces = p.pieces;
  t->rows = p.rows;
  t->heads = p.heads;
  t->abreast = p.abreast;
  t->inner = p.inner;
}

/* What is tried out. */
typedef struct trial {
  const model *m;
  wl_options o;
  wl_target t;
  plan whole; /* as the platform is */
  bool inner; /* plans are cut in the inner dimension, too, from here on */
  platform p;
  plat_memory *sram;
  uint64_t all_B; /* what there is */
  bool enough; /* of few rows: the first candidate is one from which on larger tiles change nothing
                */
  uint64_t steps;            /* candidates an octave */
  uint64_t first_B;          /* the first candidate */
  const design_start *first; /* compiled for the whole platform, where that is done; or NULL */
  pol_known *known;          /* what comes of that as it stands; NULL: nobody asks */
  arena *mem;                /* of what is known */
  size_t most;               /* effort at which the search ends */
  double floor_s;            /* what the busiest resource takes of the largest tiles */
} trial;

typedef enum fate { RUNS, SAME, SLOW, TOO_LARGE, HOPELESS, RUNS_NOWHERE } fate;

/* A candidate. */
typedef struct candidate {
  plan p;
  uint64_t size_B, needs_B;
  uint64_t peak_B, traffic_B;
  double least_s;   /* the fastest so far */
  double traffic_s; /* what its bytes take on the DRAM's route */
  size_t tasks, deps;
  bool wasteless;
  fate fate;
  bool gain; /* it was worth it */
  bool near; /* smaller tiles would not be */
} candidate;

/* A cut, and the room that it runs in. */
typedef struct found {
  plan p;
  uint64_t size_B; /* 0: none */
  uint64_t room_B;
  double measure;
} found;

/* What tells the cuts of a step apart. */
typedef struct cut_id {
  size_t tasks, deps;
  uint64_t traffic_B, needs_B;
} cut_id;

/* What has been found so far. */
typedef struct search {
  uint64_t best; /* 0: none yet */
  plan p;
  uint64_t plan_B;
  uint64_t first_room_B; /* where the platform's own first candidate is fastest */
  found top[FINALISTS];  /* the best of each plan, fastest first */
  found looked[LOOKED];  /* the best as heft sees them when it looks, fastest first */
  found coarse;          /* the best before finer ones were tried */
  found by_rank;         /* the platform's own plan's best, under heft's plan by rank */
  double measure;    /* given tiles are to move the fewest bytes; chosen ones, to be the fastest */
  bool near;         /* no other can be much faster */
  bool tight;        /* nor one of the best's plan */
  size_t effort;     /* tasks compiled and simulated */
  candidate last;    /* the latest that ran */
  cut_id cuts[CUTS]; /* of long steps under op, simulated lately: others often cut alike */
  size_t n_cuts;
} search;

/* design.c: x cuts by that plan from here on, for the whole SRAM unless its t.sram_B says less. */
void take_plan(trial *x, plan p);

/* The same, for the cut's size. Is the prompt cut in blocks of tokens? */
bool in_blocks(trial *x, const found *f);

/* What the search asks of a candidate, whatever the platform. Keeps what simulations ask. */
design_start describe(dag *d);

/* What all tasks together take of the engines, of the DMA channels or of a link. */
double areas_s(const trial *x, const dag *d, arena *a);

/* Tries one more: one layer, compiled for that much, and simulated unless it needs more than there
 * is or its traffic alone takes longer than the best so far. */
candidate look(trial *x, uint64_t size_B, search *s);

/* How long one layer, compiled as x->t says, takes in `room_B` under heft as a run has it, which
 * simulates what it plans; INFINITY where it must take longer than `best_s`. */
double looked_at_s(trial *x, uint64_t room_B, double best_s);

/* No schedule of that layer takes less, in so much SRAM; 0 where it cannot be compiled. */
double bound_s(trial *x, uint64_t room_B);

/* What its arithmetic takes of all engines, or its traffic of the DRAM: much the same of all cuts.
 */
double needs_s(trial *x, uint64_t room_B);

/* The same under heft as the run itself has it, for as long. */
double looked_longer_s(trial *x, uint64_t room_B);

/* How many tasks are simulated for that, at most. */
uint64_t look_tasks(trial *x);

/* The same under heft's plan by rank. */
double by_rank_s(trial *x, uint64_t room_B);

/* design_finer.c: long steps, of the best few the same in finer pieces, one thing after the other:
 * blocks of tokens, query rows and KV heads that attention works on together, and tiles of weights.
 * What waits for the last of a coarse piece begins sooner after a fine one, and less is held. */
void choose_finer(trial *x, search *s);

/* design_last.c: the best as heft sees them when it looks. */
void choose_last(trial *x, search *s);

#endif
