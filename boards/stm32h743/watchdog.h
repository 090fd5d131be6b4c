/*
 * watchdog.h - IWDG1, which resets the chip unless the firmware gets on. It has an oscillator of its own (LSI), so it also
 * ends a core clock that has stopped. RM0433 "Independent watchdog (IWDG)".
 */
#ifndef WATCHDOG_H
#define WATCHDOG_H

/* Start it. Only a reset stops it again; while a debugger has halted the core it stands still. */
void watchdog_start(void);

/* The firmware has got on: its time begins anew. */
void watchdog_feed(void);

#endif /* WATCHDOG_H */
