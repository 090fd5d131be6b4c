/* SPDX-License-Identifier: Apache-2.0 */
#include "watchdog.h"

#include <stdint.h>

#include "board_config.h"
#include "network.h"
#include "registers.h"

/* RM0433 "IWDG prescaler register": the largest, for a resolution of 8 ms. */
#define PRESCALER 256u
#define LONGEST_TICKS 4096u

/*
 * The slowest layer's time at the slowest core clock, but at least the board's minimum. Ticks are counted by the
 * fastest oscillator, whose ticks are shortest.
 */
#define SLOWEST_LAYER_MS (STQ_NETWORK_LAYER_CYCLES / (BOARD_RESET_CORE_HZ / 1000u) + 1u)
#define TICKS_OF_MS(ms) ((ms)*BOARD_WATCHDOG_HIGHEST_HZ / (1000u * PRESCALER) + 1u)

#if TICKS_OF_MS(SLOWEST_LAYER_MS) > LONGEST_TICKS
#define STARTS 0 /* a layer may exceed the longest possible time, and a watchdog would end good runs */
#define TICKS LONGEST_TICKS
#elif SLOWEST_LAYER_MS > BOARD_WATCHDOG_SHORTEST_MS
#define STARTS 1
#define TICKS TICKS_OF_MS(SLOWEST_LAYER_MS)
#else
#define STARTS 1
#define TICKS TICKS_OF_MS(BOARD_WATCHDOG_SHORTEST_MS)
#endif

/* RM0433 "IWDG status register": an update takes up to five periods of LSI, 0.2 ms; a turn over 10 cycles of 480 MHz. */
#define MAXIMUM_TURNS 100000u

void watchdog_start(void)
{
    if (!STARTS) {
        return;
    }
    DBGMCU_APB4FZ1 |= DBGMCU_APB4FZ1_WDGLSD1;
    /* RM0433 "Configuring the IWDG when the window option is disabled". */
    IWDG1_KR = IWDG_KR_START;
    IWDG1_KR = IWDG_KR_UNLOCK;
    IWDG1_PR = IWDG_PR_DIV256;
    IWDG1_RLR = (uint32_t)(TICKS - 1u);
    for (uint32_t turn = 0; turn < MAXIMUM_TURNS && IWDG1_SR != 0; turn++) {
    }
    watchdog_feed();
}

void watchdog_feed(void)
{
    IWDG1_KR = IWDG_KR_RELOAD; /* without effect while it is not started */
}
