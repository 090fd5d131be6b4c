/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clocks.h - from the 64 MHz oscillator that runs after reset to the fastest clock this silicon allows.
 */
#ifndef CLOCKS_H
#define CLOCKS_H

#include <stdint.h>

/*
 * Raise the supply, set the flash wait states, start PLL1 and switch to it: 480 MHz, or 400 MHz on silicon before
 * revision X. Every wait is bounded: if a step does not become ready, the fastest clock reached so far stays, and
 * clocks_core_hz() returns it.
 */
void clocks_start(void);

/* Clock of the core, and so of the cycle counter. */
uint32_t clocks_core_hz(void);

/* Clock of APB1, which feeds USART3. */
uint32_t clocks_pclk1_hz(void);

#endif /* CLOCKS_H */
