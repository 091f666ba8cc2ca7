/* machine_state.h - the inside of a machine, shared by machine.c (what happens in a run),
 * machine_sram.c (its SRAM admission) and machine_new.c (what is prepared before it). Nobody else
 * includes this. */
#ifndef LS_MACHINE_STATE_H
#define LS_MACHINE_STATE_H

#include "sim/machine.h"
#include "sim/order.h"
#include "sim/sram.h"

typedef enum m_state {
  M_WAITING,
  M_BLOCKED,
  M_RUNNING,
  M_DONE
} m_state; /* BLOCKED: was refused room */

typedef struct m_task {
  obs_why why;
  uint32_t wait;   /* inputs that are not there yet */
  uint32_t held;   /* inputs that wait for more than the DMA: compute tasks that have not ended,
                      transfers that are themselves held. A task with held = 0 needs nothing any more
                      but transfers. */
  uint32_t engine; /* compute: once known */
  uint8_t state;
  uint8_t kind : 4;
  bool gate_open : 1; /* transfer: prefetch let it go; a store or move only carries this on to the
                         loads before it */
  uint16_t to;        /* transfer: the space it goes to */
  uint32_t visit;     /* transfer: the last walk over inputs that came by */
  union {
    uint64_t ahead_B; /* compute: bytes of its loads that it was the first to let go */
    uint64_t load_B;  /* load: what it brings into SRAM */
  };
} m_task;

typedef struct m_buffer {
  order_buffer plan;
  bool taken;
  uint32_t by; /* while one task takes several: by which */
} m_buffer;

typedef struct m_resource {
  machine_job job;
  bool running;
  bool look; /* engine: something changed that may let it start */
  double free_s;
  uint32_t free_by;
  uint32_t dma;    /* channel: its DMA */
  bool has_turn;   /* channel: the others begin nothing */
  uint32_t *queue; /* engine: queue[head ..] are to run, those before scan had their loads let go */
  size_t n_queue, cap_queue, head, scan;
  uint64_t ahead_B; /* sum over the tasks from head on */
} m_resource;

static inline uint32_t m_queue_at(const m_resource *e, size_t i) {
  return e->queue[i];
}

typedef struct m_space { /* one SRAM */
  sram *ledger;
  const order_profile *plan;
  size_t at; /* the frontier's piece of the plan, as far as known */
  uint64_t used_B;
} m_space;

typedef struct heap { /* of places, smallest first */
  uint32_t *pos;
  size_t n;
} heap;

/* Doubles the stack, keeping what is on it. */
void machine_grow_stack(machine *m);

/* Room for all that the task writes, or none of it: false. Remembers since when the task waits. */
bool machine_admit(machine *m, uint32_t t);

/* The task used its operands for the last time; buffers without further users go back. True if any
 * did. */
bool machine_give(machine *m, uint32_t t);

/* machine.c: nothing but room and a channel keeps the transfer now. */
void machine_make_eligible(machine *m, uint32_t t);

/* machine_prefetch.c: the prefetch rule of machine.h, for an engine's queue; and lets a task's loads go,
 * ahead of it on its engine. */
void machine_open_window(machine *m, uint32_t e);
void machine_open_loads(machine *m, uint32_t e, uint32_t t);

/* Eligible transfers that go to one space. */
typedef struct m_queue {
  heap places;
  bool blocked;       /* the first one was refused room, and all behind it wait */
  double unblocked_s; /* when that last came to an end, and by whose end */
  uint32_t unblocked_by;
} m_queue;

struct machine {
  const dag *dag;
  const platform *plat;
  const policy *policy;
  void *pol_state;
  observer obs;
  arena *mem;
  dag_succ succ;
  order order;
  uint32_t *compute; /* the planned compute tasks; next_compute: the first that has not ended (kept
                        by escape) */
  size_t n_compute, next_compute;
  uint32_t prefetch;
  uint64_t prefetch_B; /* prefetch times the largest tile */
  bool serial;
  m_task *task;
  m_buffer *buffer;
  uint32_t *group_engine;
  reach reach;
  m_space *space; /* by sram */
  m_resource *resource;
  uint32_t n_resources;
  m_queue *to;   /* by space: n_spaces of them */
  size_t queued; /* transfers in all of these */
  uint32_t n_spaces;
  bool any_blocked; /* of these */
  uint32_t dram_users; /* loads and stores that run */
  uint32_t *stack;  /* for walks over transfers: n_stack entries */
  size_t n_stack;
  uint32_t visit;
  bool anyone;        /* a dynamic policy has something for any idle engine */
  uint32_t frontier;
  size_t n_done, n_running;
  double now;
  uint32_t ending; /* the task whose end is being handled, and its resource */
  uint32_t self;
  uint32_t *wake;
  size_t n_wake;
};

#endif
