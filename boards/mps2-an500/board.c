/* SPDX-License-Identifier: Apache-2.0 */
#include "board.h"

#include <stdint.h>

#include "board_config.h"
#include "registers.h"

#define CODE_SPACE_ADDRESS 0x00000000u
#define CODE_SPACE_LOG2_BYTES 29 /* up to the stack's bottom */
#define FLASH_ADDRESS 0x00000000u
#define FLASH_LOG2_BYTES 22

#define REQUESTED 0x7E5E7ED0u

/* Survives a reset, whose cause no register holds. */
__attribute__((section(".noinit"))) static volatile uint32_t requested_reset;

void board_prepare_memory(void)
{
    /* every memory is ready after a reset */
}

/*
 * Addresses below the stack ignore writes and read as zero, or mirror the flash, which is RAM. Access to them is
 * forbidden, so that a stack overflow or a null pointer's write faults as on other boards. The higher region wins.
 */
void board_start(void)
{
    MPU_RBAR = MPU_RBAR_REGION(0u, CODE_SPACE_ADDRESS);
    MPU_RASR = MPU_RASR_NO_ACCESS | MPU_RASR_EXECUTE_NEVER | MPU_RASR_SIZE(CODE_SPACE_LOG2_BYTES) | MPU_RASR_ENABLE;
    MPU_RBAR = MPU_RBAR_REGION(1u, FLASH_ADDRESS);
    MPU_RASR = MPU_RASR_READ_ONLY | MPU_RASR_SIZE(FLASH_LOG2_BYTES) | MPU_RASR_ENABLE;
    MPU_CTRL = MPU_CTRL_PRIVDEFENA | MPU_CTRL_ENABLE;
    data_synchronization_barrier();
    instruction_synchronization_barrier();
}

void board_start_watchdog(void)
{
    /* board.toml says why there is none */
}

void board_feed_watchdog(void)
{
}

/* This memory has no check bits, so reading words that were never written is harmless. */
board_reset board_find_reset(void)
{
    const bool requested = requested_reset == REQUESTED;
    requested_reset = 0;
    return (board_reset){requested ? STQ_RESET_SOFTWARE : STQ_RESET_POWER, true};
}

void board_note_reset(void)
{
    requested_reset = REQUESTED;
}

uint32_t board_core_hz(void)
{
    return BOARD_CORE_HZ;
}

uint32_t board_serial_hz(void)
{
    return BOARD_CORE_HZ;
}

uint32_t board_silicon(void)
{
    return 0;
}
