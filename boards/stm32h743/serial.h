/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serial.h - USART3 on PD8 (TX) and PD9 (RX), the virtual COM port of the ST-LINK. 8 data bits, no parity, 1 stop bit.
 */
#ifndef SERIAL_H
#define SERIAL_H

#include <stdint.h>

/* Start at `baud` (bits/s) from a kernel clock of `clock_hz`, receiving by interrupt. */
void serial_start(uint32_t clock_hz, uint32_t baud);

/* Move up to `capacity` received bytes to `destination`; returns how many. Never waits. */
uint32_t serial_read(uint8_t *destination, uint32_t capacity);

/* Send `length` bytes, polled: it works with interrupts masked. A stopped transmitter loses the bytes. */
void serial_write(const uint8_t *source, uint32_t length);

/* Sleep until an interrupt, but at most 2^24 core cycles, unless received bytes are ready. */
void serial_wait(void);

/* Wait until the last byte has left the wire. */
void serial_flush(void);

/* Bytes lost since reset, to a full ring or to the USART's overrun, framing or noise errors. */
uint32_t serial_lost(void);

/* The vector table's entry. */
void serial_interrupt(void);

#endif /* SERIAL_H */
