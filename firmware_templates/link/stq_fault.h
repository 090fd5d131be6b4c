/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_fault.h - a fault record as bytes, for the FAULT frame and the answer to LAST_FAULT.
 */
#ifndef STQ_FAULT_H
#define STQ_FAULT_H

#include <stdint.h>

#include "stq_port.h"

#ifdef __cplusplus
extern "C" {
#endif

#define STQ_FAULT_BYTES 64u

/* Write STQ_FAULT_BYTES bytes; returns that number. Safe to call from the fault handler. */
uint32_t stq_fault_write(const stq_fault_record *record, uint8_t *payload);

#ifdef __cplusplus
}
#endif

#endif /* STQ_FAULT_H */
