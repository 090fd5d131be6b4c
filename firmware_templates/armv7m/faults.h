/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faults.h - catches processor faults, reports them to the host, and keeps them over the reset.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "stq_port.h"

/* The vector table's entry for every fault, and for every interrupt that nothing enables. Does not return. */
void fault_entry(void);

/*
 * Take the previous run's record, if it ended in a fault; after a reset by the watchdog, a record of zeros with the
 * running layer. Call once, before fault_last() and fault_note_layer().
 *   kept            whether this reset preserved memory. After power-up memory has random check bits, and reading a
 *                   word that was never written could itself fault, so memory is then only written.
 *   by_watchdog     whether the watchdog caused this reset
 */
void fault_recall(bool kept, bool by_watchdog);

/* Remember the layer that runs now, or -1, over a reset by the watchdog. */
void fault_note_layer(int32_t layer);

/* The fault that caused the last reset, or a null pointer. */
const stq_fault_record *fault_last(void);

#endif /* FAULTS_H */
