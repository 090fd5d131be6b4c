/* SPDX-License-Identifier: Apache-2.0 */
#include "stq_fault.h"

#include "stq_bytes.h"

uint32_t stq_fault_write(const stq_fault_record *record, uint8_t *payload)
{
    const uint32_t words[STQ_FAULT_BYTES / 4u] = {
        record->r0,   record->r1,         record->r2,        record->r3,
        record->r12,  record->lr,         record->pc,        record->xpsr,
        record->sp,   record->exc_return, record->exception, record->cfsr,
        record->hfsr, record->mmfar,      record->bfar,      (uint32_t)record->layer,
    };
    for (uint32_t i = 0; i < STQ_FAULT_BYTES / 4u; i++) {
        stq_store_u32(payload + 4u * i, words[i]);
    }
    return STQ_FAULT_BYTES;
}
