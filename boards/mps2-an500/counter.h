/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counter.h - counts executed instructions. In QEMU each takes 128 ns (-icount shift=7), and timer 0 counts at 25 MHz:
 * 16 ticks for 5 instructions.
 */
#ifndef COUNTER_H
#define COUNTER_H

/* Call once, before the first stq_port_cycles(). */
void counter_start(void);

#endif /* COUNTER_H */
