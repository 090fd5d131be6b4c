/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board's side of stq_port.h, and main().
 */
#include <stdbool.h>
#include <stddef.h>

#include "board_config.h"
#include "clocks.h"
#include "faults.h"
#include "registers.h"
#include "serial.h"
#include "startup.h"
#include "stq_port.h"
#include "stq_server.h"
#include "watchdog.h"

static stq_port_facts facts = {.board = BOARD_NAME};

/* RM0433 "RCC reset status register"; several flags are set at once, so the most specific comes first. */
static stq_reset_cause find_reset_cause(void)
{
    static const struct {
        uint32_t flags;
        stq_reset_cause cause;
    } causes[] = {
        {(1u << 23) | (1u << 21), STQ_RESET_POWER},    /* PORRSTF, BORRSTF */
        {(1u << 26) | (1u << 28), STQ_RESET_WATCHDOG}, /* IWDG1RSTF, WWDG1RSTF */
        {1u << 24, STQ_RESET_SOFTWARE},                /* SFTRSTF */
        {1u << 22, STQ_RESET_PIN},                     /* PINRSTF */
    };
    uint32_t status = RCC_RSR;
    RCC_RSR = status | RCC_RSR_RMVF; /* clear, or the next reset would show these as well */
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        if ((status & causes[i].flags) != 0) {
            return causes[i].cause;
        }
    }
    return STQ_RESET_UNKNOWN;
}

int main(void)
{
    const stq_reset_cause cause = find_reset_cause();
    const bool by_watchdog = cause == STQ_RESET_WATCHDOG;
    watchdog_start();
    fault_recall(cause != STQ_RESET_POWER && cause != STQ_RESET_UNKNOWN, by_watchdog);
    facts.clock_hz = clocks_core_hz();
    facts.silicon = DBGMCU_IDC;
    facts.reset_cause = fault_last() != NULL && !by_watchdog ? STQ_RESET_FAULT : cause;
    serial_start(clocks_pclk1_hz(), BOARD_SERIAL_BAUD);
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
    watchdog_feed();
}

/* In assembly, so that it takes three instructions with every compiler and layer counts compare across boards. */
__attribute__((naked)) uint32_t stq_port_cycles(void)
{
    __asm volatile("ldr r0, =0xE0001004\n" /* DWT_CYCCNT */
                   "ldr r0, [r0]\n"
                   "bx lr\n"
                   ".ltorg\n");
}

void stq_port_reset(void)
{
    serial_flush();
    data_synchronization_barrier(); /* PM0253 "Application interrupt and reset control register" */
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
