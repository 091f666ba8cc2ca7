/* closed_form.h - what a step must cost, from the model's shape alone: written apart from the compiler and cost.c. */
#ifndef LS_TESTS_CLOSED_FORM_H
#define LS_TESTS_CLOSED_FORM_H

#include "workloads/block.h"
#include "workloads/cost.h"

/* Fails the test where the DAG's sums differ from the closed forms of contract.md, "What is counted". */
void cf_check(const model *m, const wl_options *o, const dag *d);

#endif
