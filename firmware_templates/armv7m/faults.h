/*
 * faults.h - catches processor faults, tells the host, and remembers them over the reset that follows.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include "stq_port.h"

/* The vector table's entry for every fault, and for every interrupt that nothing enables. Does not return. */
void fault_entry(void);

/* Take the record that the previous run left, if it ended in a fault. Call once, before fault_last(). */
void fault_recall(void);

/* The fault that caused the last reset, or a null pointer. */
const stq_fault_record *fault_last(void);

#endif /* FAULTS_H */
