/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watchdog.h - IWDG1, which resets the chip unless the firmware makes progress. Its own oscillator (LSI) also ends a
 * core clock that has stopped. RM0433 "Independent watchdog (IWDG)".
 */
#ifndef WATCHDOG_H
#define WATCHDOG_H

/* Start it. Only a reset stops it, but it pauses while a debugger has halted the core. */
void watchdog_start(void);

/* The firmware has made progress: restart its time. */
void watchdog_feed(void);

#endif /* WATCHDOG_H */
