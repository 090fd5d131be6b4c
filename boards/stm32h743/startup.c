/* SPDX-License-Identifier: Apache-2.0 */
#include "startup.h"

#include <stddef.h>
#include <stdint.h>

#include "clocks.h"
#include "linker_symbols.h"
#include "memory_contents.h"
#include "registers.h"

#define ITCM_ADDRESS 0x00000000u
#define ITCM_LOG2_BYTES 16
#define ITCM_EIGHTH_LOG2_BYTES (ITCM_LOG2_BYTES - 3)
#define WHOLE_SPACE_ADDRESS 0x00000000u
#define WHOLE_SPACE_LOG2_BYTES 32
#define EIGHTHS_BELOW_0X60000000_AND_ABOVE_0XDFFFFFFF 0x87u

/* From the linker script: start of ITCM's contents, at a multiple of an eighth of it; its end if there are none. */
extern uint32_t stq_itcm_contents[];

/*
 * Errata ES0392, "Reading from AXI SRAM may lead to data read corruption", silicon before revision X. It must come
 * before the first use of AXI SRAM.
 */
static void work_around_axi_sram(void)
{
    if (DBGMCU_IDC >> DBGMCU_IDC_REVISION_SHIFT < DBGMCU_IDC_REVISION_X) {
        AXI_TARG7_FN_MOD = AXI_TARG7_FN_MOD_READ_ISS_ONE;
    }
}

/* They are off after reset. RM0433 "RCC clock enable delays": an access right after the write may come too early. */
static void start_clocks_of_sram1_2_3(void)
{
    RCC_AHB2ENR |= RCC_AHB2ENR_SRAM1EN_SRAM2EN_SRAM3EN;
    (void)RCC_AHB2ENR;
    data_synchronization_barrier();
}

/*
 * Region 0 keeps the core's speculative reads off 0x60000000 - 0xDFFFFFFF, where the unclocked external memory
 * controllers would stall them (ST AN4838). Region 1 makes ITCM, which memory_fill() has filled, read-only; region 2
 * forbids all access below its contents, so that a null pointer faults.
 */
static void protect_memory(void)
{
    MPU_RBAR = MPU_RBAR_REGION(0u, WHOLE_SPACE_ADDRESS);
    MPU_RASR = MPU_RASR_NO_ACCESS | MPU_RASR_EXECUTE_NEVER |
               MPU_RASR_SUBREGIONS_OFF(EIGHTHS_BELOW_0X60000000_AND_ABOVE_0XDFFFFFFF) |
               MPU_RASR_SIZE(WHOLE_SPACE_LOG2_BYTES) | MPU_RASR_ENABLE;
    MPU_RBAR = MPU_RBAR_REGION(1u, ITCM_ADDRESS);
    MPU_RASR = MPU_RASR_READ_ONLY | MPU_RASR_NORMAL_MEMORY | MPU_RASR_SIZE(ITCM_LOG2_BYTES) | MPU_RASR_ENABLE;
    const uint32_t eighths_below = ((uint32_t)(uintptr_t)stq_itcm_contents - ITCM_ADDRESS) >> ITCM_EIGHTH_LOG2_BYTES;
    MPU_RBAR = MPU_RBAR_REGION(2u, ITCM_ADDRESS);
    MPU_RASR = MPU_RASR_NO_ACCESS | MPU_RASR_EXECUTE_NEVER | MPU_RASR_SUBREGIONS_OFF(0xFFu << eighths_below & 0xFFu) |
               MPU_RASR_SIZE(ITCM_LOG2_BYTES) | MPU_RASR_ENABLE;
    MPU_CTRL = MPU_CTRL_PRIVDEFENA | MPU_CTRL_ENABLE;
    data_synchronization_barrier();
    instruction_synchronization_barrier();
}

/* PM0253 "Enabling and disabling caches": their contents are random after power-up, so invalidate first. */
static void enable_caches(void)
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

/* ARMv7-M ARM "Data Watchpoint and Trace": trace on, then the Cortex-M7's software lock, then the counter. */
static void start_cycle_counter(void)
{
    DEMCR |= DEMCR_TRCENA;
    DWT_LAR = DWT_LAR_KEY;
    DWT_CYCCNT = 0;
    DWT_CTRL |= DWT_CTRL_CYCCNTENA;
}

__attribute__((noreturn, used)) static void start(void)
{
    SCB_VTOR = (uint32_t)(uintptr_t)stq_vectors; /* a boot loader or debugger may have left another */
    SCB_SHCSR |= SCB_SHCSR_MEM_BUS_USAGE_FAULT_ENABLE;
    SCB_CCR |= SCB_CCR_DIV_0_TRP;
    work_around_axi_sram();
    start_clocks_of_sram1_2_3();
    memory_fill();
    protect_memory();
    enable_caches();
    start_cycle_counter();
    clocks_start();
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
