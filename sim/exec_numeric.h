/* exec_numeric.h - an observer that executes the DAG while it is simulated: each task's numbers are
 * made when the task ends, each SRAM buffer lives from when the machine takes it until it gives it
 * back. So what comes out was computed in the order, and within the memory, that the simulation
 * chose, and the executor (kernels/dag_exec.h) refuses what that got wrong.
 *
 * An observer cannot stop a simulation: from the first refusal on nothing more is executed, and
 * whoever ran it asks `fault` afterwards. The struct must outlive the run. */
#ifndef LS_EXEC_NUMERIC_H
#define LS_EXEC_NUMERIC_H

#include "kernels/dag_exec.h"
#include "sim/observer.h"

typedef struct exec_numeric {
  dx *x;
  err fault;       /* of the first refusal */
  double fault_s;  /* and its simulated time */
  uint32_t n_done; /* tasks executed */
} exec_numeric;

observer exec_numeric_observer(exec_numeric *n);

#endif
