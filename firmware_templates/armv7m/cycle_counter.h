/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cycle_counter.h - starts what stq_port_cycles() reads: the core's counter, or the board's own. board.toml names it.
 */
#ifndef CYCLE_COUNTER_H
#define CYCLE_COUNTER_H

/* Call once, before the first stq_port_cycles(). */
void cycle_counter_start(void);

#endif /* CYCLE_COUNTER_H */
