/*
 * faults.h - catches processor faults, tells the host, and remembers them over the reset that follows.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "stq_port.h"

/* The vector table's entry for every fault, and for every interrupt that nothing enables. Does not return. */
void fault_entry(void);

/*
 * Take what the previous run left: its record, if it ended in a fault; after a reset by the watchdog, a record of zeros
 * with the layer that was running. Call once, before fault_last() and fault_note_layer().
 *   kept            whether this reset left memory alone. After power-up memory holds random check bits, and reading a
 *                   word that was never written could be a fault itself: then it is only written.
 *   by_watchdog     whether the watchdog caused this reset
 */
void fault_recall(bool kept, bool by_watchdog);

/* Remember the layer that runs now, or -1, over a reset by the watchdog. */
void fault_note_layer(int32_t layer);

/* The fault that caused the last reset, or a null pointer. */
const stq_fault_record *fault_last(void);

#endif /* FAULTS_H */
