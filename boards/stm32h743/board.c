/* SPDX-License-Identifier: Apache-2.0 */
#include "board.h"

#include <stddef.h>
#include <stdint.h>

#include "caches.h"
#include "clocks.h"
#include "registers.h"
#include "watchdog.h"

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

void board_prepare_memory(void)
{
    work_around_axi_sram();
    start_clocks_of_sram1_2_3();
}

void board_start(void)
{
    protect_memory();
    caches_enable();
    clocks_start();
}

void board_start_watchdog(void)
{
    watchdog_start();
}

void board_feed_watchdog(void)
{
    watchdog_feed();
}

/* RM0433 "RCC reset status register"; several flags are set at once, so the most specific comes first. */
static stq_reset_cause find_reset_cause(void)
{
    static const struct {
        uint32_t flags;
        stq_reset_cause cause;
    } causes[] = {
        {(1u << 23) | (1u << 21), STQ_RESET_POWER},    /* PORRSTF, BORRSTF */
        {(1u << 26) | (1u << 28), STQ_RESET_WATCHDOG}, /* IWDG1RSTF, WWDG1RSTF */
        {1u << 24, STQ_RESET_SOFTWARE},                /* SFTRSTF */
        {1u << 22, STQ_RESET_PIN},                     /* PINRSTF */
    };
    uint32_t status = RCC_RSR;
    RCC_RSR = status | RCC_RSR_RMVF; /* clear, or the next reset would show these as well */
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        if ((status & causes[i].flags) != 0) {
            return causes[i].cause;
        }
    }
    return STQ_RESET_UNKNOWN;
}

board_reset board_find_reset(void)
{
    const stq_reset_cause cause = find_reset_cause();
    return (board_reset){cause, cause != STQ_RESET_POWER && cause != STQ_RESET_UNKNOWN};
}

void board_note_reset(void)
{
    /* RCC_RSR holds it */
}

uint32_t board_core_hz(void)
{
    return clocks_core_hz();
}

uint32_t board_serial_hz(void)
{
    return clocks_pclk1_hz();
}

uint32_t board_silicon(void)
{
    return DBGMCU_IDC;
}
