/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serial.h - UART 0, polled. The emulator keeps received bytes until they are read, so none is lost while the core
 * computes. No interrupt handler adds its instructions to a layer's.
 */
#ifndef SERIAL_H
#define SERIAL_H

#include <stdint.h>

/* Start at `baud` (bits/s) from a clock of `clock_hz`. */
void serial_start(uint32_t clock_hz, uint32_t baud);

/* Move up to `capacity` received bytes to `destination`; returns how many. Never waits. */
uint32_t serial_read(uint8_t *destination, uint32_t capacity);

/* Send `length` bytes. */
void serial_write(const uint8_t *source, uint32_t length);

/* Sleep until a byte has arrived. */
void serial_wait(void);

/* Wait until the last byte has left. */
void serial_flush(void);

#endif /* SERIAL_H */
