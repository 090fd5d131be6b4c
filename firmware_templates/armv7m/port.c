/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main(), and stq_port.h on top of board.h and serial.h.
 */
#include <stdbool.h>
#include <stddef.h>

#include "board.h"
#include "board_config.h"
#include "core_registers.h"
#include "faults.h"
#include "serial.h"
#include "startup.h"
#include "stq_port.h"
#include "stq_server.h"

static stq_port_facts facts = {.board = BOARD_NAME};

int main(void)
{
    const board_reset reset = board_find_reset();
    const bool by_watchdog = reset.cause == STQ_RESET_WATCHDOG;
    board_start_watchdog();
    fault_recall(reset.kept, by_watchdog);
    facts.clock_hz = board_core_hz();
    facts.silicon = board_silicon();
    facts.reset_cause = fault_last() != NULL && !by_watchdog ? STQ_RESET_FAULT : reset.cause;
    serial_start(board_serial_hz(), BOARD_SERIAL_BAUD);
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
    fault_note_layer(layer);
    board_feed_watchdog();
}

void stq_port_reset(void)
{
    board_note_reset();
    serial_flush();
    data_synchronization_barrier(); /* ARMv7-M ARM "Application Interrupt and Reset Control Register" */
    SCB_AIRCR = SCB_AIRCR_RESET_REQUEST;
    data_synchronization_barrier();
    for (;;) {
    }
}

uint32_t stq_port_overruns(void)
{
    return serial_lost();
}

const stq_port_facts *stq_port_get_facts(void)
{
    return &facts;
}

const stq_fault_record *stq_port_last_fault(void)
{
    return fault_last();
}
