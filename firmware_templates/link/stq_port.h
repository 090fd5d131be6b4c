/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_port.h - the link server's interface to a board. Each board folder implements these functions.
 */
#ifndef STQ_PORT_H
#define STQ_PORT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Receive memory. Bytes that arrive while the core computes must be kept, because the host keeps STQ_LINK_WINDOW
 * requests outstanding: a board receives by interrupt or DMA into a ring of at least STQ_LINK_RX_RING_BYTES
 * (stq_protocol.h). Bytes that do not fit are dropped and counted; the link recovers from that.
 */

/* Move up to `capacity` received bytes to `destination`; returns how many, 0 if there are none. Never waits. */
uint32_t stq_port_read(uint8_t *destination, uint32_t capacity);

/*
 * Send `length` bytes; returns when the bytes at `source` are no longer needed. It is also called from the fault
 * handler, so it must work with interrupts masked.
 */
void stq_port_write(const uint8_t *source, uint32_t length);

/*
 * Sleep until a byte may have arrived. It may return early, and must return before the board's watchdog expires. It
 * must not miss a byte that arrives between the last stq_port_read and the sleep (on Arm: mask interrupts, check the
 * ring, WFI, unmask).
 */
void stq_port_wait(void);

/* Free-running cycle counter. It wraps; differences below 2^32 cycles are exact. */
uint32_t stq_port_cycles(void);

/* Wait until everything written has left the wire, then reset the system. Does not return. */
void stq_port_reset(void);

/*
 * The firmware makes progress: bytes were handled, the main loop went round, or a layer begins (`layer` is its index)
 * or has ended (-1). Only this call feeds the board's watchdog, if it has one. No interrupt calls it, because
 * interrupts continue while a kernel hangs. A board may keep `layer` over a reset, for stq_port_last_fault().
 */
void stq_port_progress(int32_t layer);

/* Receive events lost since reset: ring full, or the UART's own overrun, framing and noise errors. */
uint32_t stq_port_overruns(void);

typedef enum {
    STQ_RESET_UNKNOWN = 0,
    STQ_RESET_POWER = 1, /* power-on or brown-out */
    STQ_RESET_PIN = 2,
    STQ_RESET_SOFTWARE = 3, /* stq_port_reset, or a debugger */
    STQ_RESET_WATCHDOG = 4,
    STQ_RESET_FAULT = 5, /* the fault handler's reset; stq_port_last_fault has the record */
} stq_reset_cause;

typedef struct {
    const char *board; /* e.g. "stm32h743"; at most STQ_LINK_BOARD_NAME_BYTES count */
    uint32_t clock_hz; /* the clock that stq_port_cycles counts */
    uint32_t silicon;  /* the vendor's identity register (STM32: DBGMCU_IDC); 0 if there is none */
    stq_reset_cause reset_cause;
} stq_port_facts;

/* Constant from the first call on. */
const stq_port_facts *stq_port_get_facts(void);

/* A processor fault on Armv7-M. The order of the members is the order on the wire. */
typedef struct {
    uint32_t r0, r1, r2, r3, r12, lr, pc, xpsr; /* as stacked by the exception; 0 if the stack was unusable */
    uint32_t sp;                                /* before the exception */
    uint32_t exc_return;
    uint32_t exception; /* IPSR: 3 HardFault, 4 MemManage, 5 BusFault, 6 UsageFault, 2 NMI; 0: the watchdog's reset */
    uint32_t cfsr, hfsr, mmfar, bfar;
    int32_t layer; /* running when it happened, -1 for none; filled in by stq_server_fault */
} stq_fault_record;

/*
 * The fault that caused the last reset, or a null pointer. After a reset by the watchdog, a record of zeros with the
 * layer that was running, if the board kept it. A board's fault handler fills a record in memory that
 * survives a reset, calls stq_server_fault(record), and resets.
 */
const stq_fault_record *stq_port_last_fault(void);

#ifdef __cplusplus
}
#endif

#endif /* STQ_PORT_H */
