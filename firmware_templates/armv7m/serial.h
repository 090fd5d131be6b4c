/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serial.h - the board's serial port for the link: 8 data bits, no parity, 1 stop bit. Each board implements it.
 */
#ifndef SERIAL_H
#define SERIAL_H

#include <stdint.h>

/* Start at `baud` (bits/s) from a kernel clock of `clock_hz`. */
void serial_start(uint32_t clock_hz, uint32_t baud);

/* Move up to `capacity` received bytes to `destination`; returns how many. Never waits. */
uint32_t serial_read(uint8_t *destination, uint32_t capacity);

/*
 * Send `length` bytes, polled: it works with interrupts masked. Before serial_start(), and where the transmitter has
 * stopped for good, the bytes are lost.
 */
void serial_write(const uint8_t *source, uint32_t length);

/*
 * Sleep until received bytes may be ready. It may return early, and must return before the watchdog expires. It misses
 * no byte that arrives between the last serial_read() and the sleep.
 */
void serial_wait(void);

/* Wait until the last byte has left the wire. */
void serial_flush(void);

/* Bytes lost since reset: to a full ring, or to the port's own overrun, framing and noise errors. */
uint32_t serial_lost(void);

#endif /* SERIAL_H */
