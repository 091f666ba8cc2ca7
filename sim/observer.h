/* observer.h - what the executor tells while a simulation runs. Calls come in order of simulated time.
 *
 * Resources of tasks are numbered: engines 0..n_engines-1, then DMA channels, all DMAs in order.
 * An observer must not call back into the executor. NULL members are skipped. */
#ifndef LS_OBSERVER_H
#define LS_OBSERVER_H

#include <stdbool.h>
#include <stdint.h>

struct plat_route;

#define OBS_NONE UINT32_MAX

/* Why a task started no earlier: the times at which each condition was met, and the task whose end met it
 * (OBS_NONE: met from the start, or by no task). `start` is the latest of them. */
typedef struct obs_why {
  double ready_s, gate_s, room_s, free_s;     /* inputs there; prefetch allows; SRAM has room; resource is free */
  uint32_t ready_by, gate_by, room_by, free_by;
} obs_why;

typedef struct observer {
  void *self;
  /* All inputs of the task are there (for a load: it may start as far as its inputs go). */
  void (*ready)(void *self, double t, uint32_t task);
  void (*start)(void *self, double t, uint32_t task, uint32_t resource, const obs_why *why);
  /* The task's data begins or ends to flow over the links of its route. A compute task with operands in two SRAMs has two
   * flows, on different routes, at overlapping times. */
  void (*flow)(void *self, double t, uint32_t task, uint32_t resource, const struct plat_route *route,
               uint64_t bytes, bool begins);
  void (*end)(void *self, double t, uint32_t task, uint32_t resource);
  /* A buffer is taken in or given back to SRAM number `sram`; `used_B` is that one's occupancy after it. */
  void (*buffer)(void *self, double t, uint32_t tensor, uint32_t sram, uint64_t bytes, uint64_t used_B, bool taken);
} observer;

#endif
