/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_server.h - answers the host's requests over the board's serial port. docs/PROTOCOL.md has the bytes.
 *
 * A board's main() is: bring up clocks and serial, stq_server_init(), then forever stq_server_poll(),
 * stq_port_progress(-1) and stq_port_wait(); stq_server_run() is exactly that loop.
 */
#ifndef STQ_SERVER_H
#define STQ_SERVER_H

#include "stq_port.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Written by the build into a source file of its own. */
extern const uint8_t stq_build_id[16];

/* Forget every session and count, and announce the board with a READY frame. Call once, when stq_port_* works. */
void stq_server_init(void);

/* Handle everything that has arrived, then return. Inferences run inside this call. */
void stq_server_poll(void);

/* stq_server_init, then poll and wait. Does not return. */
void stq_server_run(void);

/*
 * For the board's fault handler: note the running layer in the record and send a FAULT frame. Uses no memory of
 * the server that the fault may have left half changed, and about 200 bytes of stack.
 */
void stq_server_fault(stq_fault_record *record);

#ifdef __cplusplus
}
#endif

#endif /* STQ_SERVER_H */
