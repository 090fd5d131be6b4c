/* SPDX-License-Identifier: Apache-2.0 */
#include "startup.h"

#include <stdint.h>

#include "board.h"
#include "core_registers.h"
#include "cycle_counter.h"
#include "linker_symbols.h"
#include "memory_contents.h"

__attribute__((noreturn, used)) static void start(void)
{
    SCB_VTOR = (uint32_t)(uintptr_t)stq_vectors; /* a boot loader or debugger may have left another */
    SCB_SHCSR |= SCB_SHCSR_MEM_BUS_USAGE_FAULT_ENABLE;
    SCB_CCR |= SCB_CCR_DIV_0_TRP;
    board_prepare_memory();
    memory_fill();
    cycle_counter_start();
    board_start();
    (void)main();
    for (;;) {
    }
}

/*
 * The compiler may use FPU registers in any C function, so the FPU is enabled before the first: PM0253 "Enabling
 * the FPU". The stack pointer is loaded too, since a debugger may start here without a reset.
 */
__attribute__((naked, noreturn)) void startup_reset(void)
{
    __asm volatile("ldr r0, =stq_stack_top\n"
                   "mov sp, r0\n"
                   "ldr r0, =0xE000ED88\n" /* CPACR */
                   "ldr r1, [r0]\n"
                   "orr r1, r1, #0xF00000\n" /* full access to CP10 and CP11 */
                   "str r1, [r0]\n"
                   "dsb\n"
                   "isb\n"
                   "b start\n"
                   ".ltorg\n");
}
