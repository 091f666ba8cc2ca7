/* search.h - makes a plan better by simulating others like it (pol_host). The policy `search` is
 * made of it, and heft takes a few steps with it.
 *
 * State: for every unit (a group, or a task without one) an engine, for every task a place. The
 * plan orders tasks by place as far as dependencies allow. Each state is simulated; `events` are
 * what happened. From the best start on, simulated annealing: `now` moves, `best` is kept.
 *
 * Moves. Most start where the makespan is made, on the critical chain: the task that ended last,
 * the one whose end let it start, and so on. A transfer on it is late: its user comes earlier, or
 * right before the user of the transfer that it waited for, or another task of the engine fills the
 * wait. Of two compute tasks the one that is waited for comes earlier, the one that waits changes
 * places with it, or goes to another engine, alone or in exchange. The other moves are blind: a
 * task comes earlier or later, with its unit or with what follows it; all from one place on change
 * places with a stretch behind them; a unit goes to another engine; two units change engines. How
 * far and how bold shrinks with what is left of the budget. Where a move changes engines, the order
 * that suited the old ones is mostly given up for that in which the new ones would take tasks by
 * themselves, which is a simulation, too (policy_placed). A move that changes nothing is not
 * simulated. Random numbers come from
 * --seed alone.
 *
 * Late orders (search_late.c). A task's latest start in `now` is what its time could slip to if all
 * else took as long as it did and each engine kept its order. In the order of these times loads
 * bring last what is needed last, and SRAM and the DMA are left to what the end waits for, as when
 * a schedule is justified to the right and to the left again (Li, Willis 1992). So at first the
 * plan is put in the order of its own times: the latest ones, or some way from the real ones to
 * them, again and again as long as that gains (SWEEP). From there on half of the moves are such
 * orders, part of the way drawn at random, mostly with a unit, or what it does in a stretch of
 * time, earlier or later than its turn. */
#ifndef LS_SEARCH_H
#define LS_SEARCH_H

#include "sim/policy/list_dag.h"
#include "sim/policy/rand.h"

typedef struct search_state {
  double *key;       /* by task: later places are smaller, as list_order wants it */
  uint32_t *engine;  /* by task */
  uint32_t *order;   /* compute tasks; the place of a task in it is -key */
  pol_event *events; /* by task */
  double makespan_s;
} search_state;

typedef struct search {
  const pol_input *in;
  const pol_host *host;
  arena *mem;
  list_dag l;
  pol_rand rand;
  size_t n;                 /* compute tasks */
  uint32_t n_units, *unit;  /* by task; POL_NONE for transfers */
  uint32_t *first, *member; /* unit u: member[first[u] .. first[u + 1] - 1] */
  uint32_t *chain, *waits;  /* the critical chain of `now`, and what on it waits for another task
                               than the one before it on its engine */
  size_t n_chain, n_waits;
  double *late_s;        /* by task: the latest start in `now` */
  uint32_t swept;        /* late orders tried since the last that gained; SWEEPS: enough of them */
  uint64_t done, budget; /* simulations */
  uint64_t patience;     /* search_anneal ends when so many gained next to nothing; 0: does not */
  double bound_s;        /* no schedule is shorter */
  bool quiet;            /* tells nobody of progress */
  search_state now, best, tried;
} search;

/* Lives in the arena; `n` compute tasks. Nothing is simulated yet: best.makespan_s is INFINITY. */
search search_new(const pol_input *in, const pol_host *host, uint64_t budget, size_t n,
                  double bound_s, arena *a);

/* Simulates a plan, and begins there if it is the best so far. */
void search_from(search *s, const pol_plan *plan);

/* Is the best within that share of the lower bound? */
bool search_close(const search *s, double share);

/* Until the budget is spent, the best is that close, or nothing else is left to try. `hot`: the
 * temperature at first, as a share of the makespan; 0: never takes what is worse. */
void search_anneal(search *s, double hot, double close);

/* The best into the plan. */
void search_result(const search *s, pol_plan *plan);

/* search_moves.c: reads the chain off `now`; makes `tried` of `now`, `left` being the share of the
 * budget that is left. */
void search_chain(search *s);
void search_move(search *s, double left);

/* search_late.c: finds the latest starts in `now`; orders `tried` by start (late = 0), by latest
 * start (1) or by what is so far between them; does so at random, and moves a unit. */
void search_late_find(search *s);
void search_late_order(search *s, double late);
void search_late_move(search *s);

#endif
