/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board's side of stq_port.h, and main().
 */
#include <stdbool.h>
#include <stddef.h>

#include "board_config.h"
#include "counter.h"
#include "faults.h"
#include "registers.h"
#include "serial.h"
#include "startup.h"
#include "stq_port.h"
#include "stq_server.h"

#define REQUESTED 0x7E5E7ED0u

/* Survives a reset, whose cause no register holds. */
__attribute__((section(".noinit"))) static volatile uint32_t requested_reset;

static stq_port_facts facts = {.board = BOARD_NAME, .clock_hz = BOARD_CORE_HZ};

static stq_reset_cause find_reset_cause(void)
{
    bool requested = requested_reset == REQUESTED;
    requested_reset = 0;
    if (fault_last() != NULL) {
        return STQ_RESET_FAULT;
    }
    return requested ? STQ_RESET_SOFTWARE : STQ_RESET_POWER;
}

int main(void)
{
    fault_recall(true, false); /* this memory has no check bits, so reading words never written is harmless */
    facts.reset_cause = find_reset_cause();
    counter_start();
    serial_start(BOARD_CORE_HZ, BOARD_SERIAL_BAUD);
    stq_server_run();
    return 0;
}

uint32_t stq_port_read(uint8_t *destination, uint32_t capacity)
{
    return serial_read(destination, capacity);
}

void stq_port_write(const uint8_t *source, uint32_t length)
{
    serial_write(source, length);
}

void stq_port_wait(void)
{
    serial_wait();
}

void stq_port_progress(int32_t layer)
{
    (void)layer; /* board.toml says why there is no watchdog */
}

void stq_port_reset(void)
{
    requested_reset = REQUESTED;
    serial_flush();
    data_synchronization_barrier();
    SCB_AIRCR = SCB_AIRCR_RESET_REQUEST;
    data_synchronization_barrier();
    for (;;) {
    }
}

uint32_t stq_port_overruns(void)
{
    return 0;
}

const stq_port_facts *stq_port_get_facts(void)
{
    return &facts;
}

const stq_fault_record *stq_port_last_fault(void)
{
    return fault_last();
}
