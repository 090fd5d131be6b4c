/* SPDX-License-Identifier: Apache-2.0 */
#include "caches.h"

#include <stdint.h>

#include "core_registers.h"

/* PM0253 "Enabling and disabling caches": their contents are random after power-up, so invalidate first. */
void caches_enable(void)
{
    SCB_ICIALLU = 0;
    SCB_CSSELR = 0; /* level 1 data cache */
    data_synchronization_barrier();
    uint32_t size = SCB_CCSIDR;
    uint32_t last_set = (size >> 13) & 0x7FFFu;
    uint32_t last_way = (size >> 3) & 0x3FFu;
    for (uint32_t set = 0; set <= last_set; set++) {
        for (uint32_t way = 0; way <= last_way; way++) {
            SCB_DCISW = (set << 5) | (way << 30); /* lines of 32 bytes, 4 ways: fixed in the Cortex-M7 */
        }
    }
    data_synchronization_barrier();
    SCB_CCR |= SCB_CCR_IC | SCB_CCR_DC;
    data_synchronization_barrier();
    instruction_synchronization_barrier();
}
