#include "sim/exec_numeric.h"

static void end(void *self, double t, uint32_t task, uint32_t resource) {
  exec_numeric *n = self;
  (void)resource;
  if (n->fault.status != ERR_OK) return;
  if (dx_task(n->x, task, &n->fault) == ERR_OK)
    n->n_done++;
  else
    n->fault_s = t;
}

static void buffer(void *self, double t, uint32_t tensor, uint32_t sram, uint64_t bytes,
                   uint64_t used_B, bool taken) {
  exec_numeric *n = self;
  (void)sram, (void)bytes, (void)used_B;
  if (n->fault.status != ERR_OK) return;
  if ((taken ? dx_take(n->x, tensor, &n->fault) : dx_give(n->x, tensor, &n->fault)) != ERR_OK)
    n->fault_s = t;
}

observer exec_numeric_observer(exec_numeric *n) {
  return (observer){.self = n, .end = end, .buffer = buffer};
}
