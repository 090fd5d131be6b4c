/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts executed instructions. In QEMU each takes 128 ns (-icount shift=7), and timer 0 counts at 25 MHz: 16 ticks for
 * 5 instructions.
 */
#include "cycle_counter.h"
#include "registers.h"
#include "stq_port.h"

__attribute__((used)) static uint32_t counted; /* instructions up to the last call of stq_port_cycles() */

void cycle_counter_start(void)
{
    TIMER0_RELOAD = UINT32_MAX;
    TIMER0_VALUE = UINT32_MAX; /* it counts down */
    TIMER0_CTRL = TIMER_CTRL_ENABLE;
}

/*
 * Adds the timer's count since the last call, and restarts the timer. So the time between reading and restarting,
 * inside this function, does not count. Between two calls only `bx`, `ldr`, `ldr` count: three instructions, as in the
 * STM32H743's stq_port_cycles(). That is why it is in assembly.
 *
 * A reading is less than one tick (a third of an instruction) too low. So the nearest integer is exact for up to 2^32
 * ticks, 1.3e9 instructions, between two calls.
 */
__attribute__((naked)) uint32_t stq_port_cycles(void)
{
    __asm volatile("ldr   r3, =0x40000004\n" /* TIMER0_VALUE */
                   "ldr   r0, [r3]\n"
                   "mvn   r0, r0\n"          /* ticks */
                   "mov   r1, #0x50000000\n" /* 5/16 of 2^32 */
                   "umull r1, r0, r0, r1\n"  /* instructions in r0, their fraction in r1 */
                   "adds  r1, r1, r1\n"      /* carry: at least half of one */
                   "ldr   r2, =counted\n"
                   "ldr   r1, [r2]\n"
                   "adc   r0, r0, r1\n"
                   "str   r0, [r2]\n"
                   "mov   r1, #0xFFFFFFFF\n"
                   "str   r1, [r3]\n"
                   "bx    lr\n"
                   ".ltorg\n");
}
