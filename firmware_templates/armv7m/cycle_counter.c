/* SPDX-License-Identifier: Apache-2.0 */
#include "cycle_counter.h"

#include "board_config.h"
#include "core_registers.h"
#include "stq_port.h"

#if BOARD_COUNTS_WITH_DWT

/* ARMv7-M ARM "Data Watchpoint and Trace": trace on, then the Cortex-M7's software lock, then the counter. */
void cycle_counter_start(void)
{
    DEMCR |= DEMCR_TRCENA;
    DWT_LAR = DWT_LAR_KEY;
    DWT_CYCCNT = 0;
    DWT_CTRL |= DWT_CTRL_CYCCNTENA;
}

/* In assembly, so that it takes three instructions with every compiler and layer counts compare across boards. */
__attribute__((naked)) uint32_t stq_port_cycles(void)
{
    __asm volatile("ldr r0, =0xE0001004\n" /* DWT_CYCCNT */
                   "ldr r0, [r0]\n"
                   "bx lr\n"
                   ".ltorg\n");
}

#endif
