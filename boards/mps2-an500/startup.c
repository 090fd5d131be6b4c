/* SPDX-License-Identifier: Apache-2.0 */
#include "startup.h"

#include <stdint.h>

#include "linker_symbols.h"
#include "memory_contents.h"
#include "registers.h"

#define CODE_SPACE_ADDRESS 0x00000000u
#define CODE_SPACE_LOG2_BYTES 29 /* up to the stack's bottom */
#define FLASH_ADDRESS 0x00000000u
#define FLASH_LOG2_BYTES 22

/*
 * Addresses below the stack ignore writes and read as zero, or mirror the flash, which is RAM. Access to them is
 * forbidden, so that a stack overflow or a null pointer's write faults as on other boards. The higher region wins.
 */
static void protect_memory(void)
{
    MPU_RBAR = MPU_RBAR_REGION(0u, CODE_SPACE_ADDRESS);
    MPU_RASR = MPU_RASR_NO_ACCESS | MPU_RASR_EXECUTE_NEVER | MPU_RASR_SIZE(CODE_SPACE_LOG2_BYTES) | MPU_RASR_ENABLE;
    MPU_RBAR = MPU_RBAR_REGION(1u, FLASH_ADDRESS);
    MPU_RASR = MPU_RASR_READ_ONLY | MPU_RASR_SIZE(FLASH_LOG2_BYTES) | MPU_RASR_ENABLE;
    MPU_CTRL = MPU_CTRL_PRIVDEFENA | MPU_CTRL_ENABLE;
    data_synchronization_barrier();
    instruction_synchronization_barrier();
}

__attribute__((noreturn, used)) static void start(void)
{
    SCB_SHCSR |= SCB_SHCSR_MEM_BUS_USAGE_FAULT_ENABLE;
    SCB_CCR |= SCB_CCR_DIV_0_TRP;
    memory_fill();
    protect_memory();
    (void)main();
    for (;;) {
    }
}

/* The compiler may use FPU registers in any C function, so the FPU is enabled before the first. */
__attribute__((naked, noreturn)) void startup_reset(void)
{
    __asm volatile("ldr r0, =0xE000ED88\n" /* CPACR */
                   "ldr r1, [r0]\n"
                   "orr r1, r1, #0xF00000\n" /* full access to CP10 and CP11 */
                   "str r1, [r0]\n"
                   "dsb\n"
                   "isb\n"
                   "b start\n"
                   ".ltorg\n");
}
