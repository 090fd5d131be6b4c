/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UART 0, polled. The emulator keeps received bytes until they are read, so none is lost while the core computes. No
 * interrupt handler adds its instructions to a layer's.
 */
#include "serial.h"

#include "registers.h"

#define RX_INTERRUPT_BIT (1u << UART0_RX_INTERRUPT)

void serial_start(uint32_t clock_hz, uint32_t baud)
{
    UART0_BAUDDIV = (clock_hz + baud / 2u) / baud;
    UART0_CTRL = UART_CTRL_TX_ENABLE | UART_CTRL_RX_ENABLE | UART_CTRL_RX_INTERRUPT_ENABLE;
}

uint32_t serial_read(uint8_t *destination, uint32_t capacity)
{
    uint32_t count = 0;
    while (count < capacity && (UART0_STATE & UART_STATE_RX_FULL) != 0) {
        UART0_INTCLEAR = UART_INTCLEAR_RX; /* before the read, which lets the next byte in */
        destination[count++] = (uint8_t)UART0_DATA;
    }
    return count;
}

void serial_write(const uint8_t *source, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++) {
        serial_flush();
        UART0_DATA = source[i];
    }
}

/* The interrupt is enabled to end the sleep, but only while it is masked: no handler runs, and it stays pending. */
void serial_wait(void)
{
    __asm volatile("cpsid i" ::: "memory");
    NVIC_ICPR(0) = RX_INTERRUPT_BIT;
    NVIC_ISER(0) = RX_INTERRUPT_BIT;
    if ((UART0_STATE & UART_STATE_RX_FULL) == 0) {
        data_synchronization_barrier();
        __asm volatile("wfi" ::: "memory");
    }
    NVIC_ICER(0) = RX_INTERRUPT_BIT;
    __asm volatile("cpsie i" ::: "memory");
}

void serial_flush(void)
{
    while ((UART0_STATE & UART_STATE_TX_FULL) != 0) {
    }
}

uint32_t serial_lost(void)
{
    return 0;
}
