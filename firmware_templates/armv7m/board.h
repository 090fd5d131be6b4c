/* SPDX-License-Identifier: Apache-2.0 */
/*
 * board.h - what a board gives to startup.c and port.c, beside the serial port (serial.h). All boards of this
 * architecture share those two.
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "stq_port.h"

/* Make every memory usable. No variable has its value yet, and code that runs from RAM is absent. */
void board_prepare_memory(void);

/* Bring up the chip, once variables have their values: protected memory, caches, clocks. */
void board_start(void);

/* Start the watchdog, if there is one. main() calls it first, after the cause of the reset is known. */
void board_start_watchdog(void);

/* The firmware has made progress: restart the watchdog's time. */
void board_feed_watchdog(void);

/*
 *   cause   of the last reset; a reset by the fault handler counts as STQ_RESET_SOFTWARE
 *   kept    whether memory outside .data and .bss kept its contents, and can be read
 */
typedef struct {
    stq_reset_cause cause;
    bool kept;
} board_reset;

/* Find why the board was reset, and forget it. Call once. */
board_reset board_find_reset(void);

/* stq_port_reset() comes next. For a board that has to remember it, because no register does. */
void board_note_reset(void);

/* Clock of the core, and of the serial port, in Hz. */
uint32_t board_core_hz(void);
uint32_t board_serial_hz(void);

/* The vendor's identity register; 0 if there is none. */
uint32_t board_silicon(void);

#endif /* BOARD_H */
