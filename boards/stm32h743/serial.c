/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USART3 on PD8 (TX) and PD9 (RX), the virtual COM port of the ST-LINK, received by interrupt into a ring. To wait sleeps
 * until an interrupt, at most 2^24 core cycles.
 */
#include "serial.h"

#include <stdbool.h>

#include "board_config.h"
#include "registers.h"
#include "stq_protocol.h"

#define RING_BYTES 8192u /* a power of two, so that free-running indices wrap by masking */

_Static_assert((RING_BYTES & (RING_BYTES - 1u)) == 0, "the ring's size must be a power of two");
_Static_assert(RING_BYTES >= STQ_LINK_RX_RING_BYTES, "the link needs a larger ring");

/* A FIFO place frees itself within one character, some 5,000 core cycles at 921600 baud; this allows 9600 baud. */
#define MAXIMUM_TURNS 1000000u

#define ALTERNATE_FUNCTION_USART3 7u

static uint8_t ring[RING_BYTES];
static volatile uint32_t written; /* only by the interrupt */
static volatile uint32_t taken;   /* only by serial_read */
static volatile uint32_t lost;
static bool started;

/* Set a field of `width` bits for pins 8 and 9; `first` is the position of pin 8's field. */
static void set_both_pins(volatile uint32_t *address, uint32_t first, uint32_t width, uint32_t pin8, uint32_t pin9)
{
    uint32_t mask = (1u << width) - 1u;
    uint32_t value = *address & ~((mask << first) | (mask << (first + width)));
    *address = value | (pin8 << first) | (pin9 << (first + width));
}

void serial_start(uint32_t clock_hz, uint32_t baud)
{
    RCC_AHB4ENR |= RCC_AHB4ENR_GPIODEN;
    RCC_APB1LENR |= RCC_APB1LENR_USART3EN; /* its kernel clock after reset is APB1's, RM0433 "RCC_D2CCIP2R" */
    (void)RCC_APB1LENR; /* RM0433 "Peripheral clock enabling delay": a read back before the first access */

    set_both_pins(&GPIOD_AFRH, 0, 4, ALTERNATE_FUNCTION_USART3, ALTERNATE_FUNCTION_USART3);
    set_both_pins(&GPIOD_PUPDR, 16, 2, 0, 1); /* RX pulled up: with nothing attached the line is idle, not noise */
    set_both_pins(&GPIOD_MODER, 16, 2, 2, 2); /* alternate function */

    USART3_CR1 = USART_CR1_FIFOEN; /* 16 bytes, so a late interrupt loses nothing; only settable while disabled */
    USART3_BRR = (clock_hz + baud / 2u) / baud;
    USART3_CR1 = USART_CR1_FIFOEN | USART_CR1_TE | USART_CR1_RE | USART_CR1_RXFNEIE | USART_CR1_UE;
    started = true;
    NVIC_ISER(BOARD_SERIAL_INTERRUPT / 32u) = 1u << (BOARD_SERIAL_INTERRUPT % 32u);
}

void serial_interrupt(void)
{
    uint32_t status = USART3_ISR;
    uint32_t errors = status & (USART_ISR_ORE | USART_ISR_FE | USART_ISR_NE);
    if (errors != 0) {
        USART3_ICR = errors; /* the clear bits have the status bits' positions; a set ORE would interrupt forever */
        lost++;
    }
    while ((status & USART_ISR_RXFNE) != 0) {
        uint8_t byte = (uint8_t)USART3_RDR;
        if (written - taken < RING_BYTES) {
            ring[written % RING_BYTES] = byte;
            written++;
        } else {
            lost++;
        }
        status = USART3_ISR;
    }
}

uint32_t serial_read(uint8_t *destination, uint32_t capacity)
{
    uint32_t count = written - taken;
    if (count > capacity) {
        count = capacity;
    }
    uint32_t first = taken;
    for (uint32_t i = 0; i < count; i++) {
        destination[i] = ring[(first + i) % RING_BYTES];
    }
    /* The interrupt may reuse the places once `taken` moves: the reads above must be done by then. */
    __asm volatile("" ::: "memory");
    taken = first + count;
    return count;
}

void serial_write(const uint8_t *source, uint32_t length)
{
    if (!started) {
        return; /* a fault before serial_start(): without its clock the USART must not be touched */
    }
    for (uint32_t i = 0; i < length; i++) {
        uint32_t turn = 0;
        while ((USART3_ISR & USART_ISR_TXFNF) == 0) {
            if (++turn == MAXIMUM_TURNS) {
                return;
            }
        }
        USART3_TDR = source[i];
    }
}

void serial_wait(void)
{
    /* WFI also wakes for an interrupt that is masked; masking closes the gap between the check and the sleep. */
    __asm volatile("cpsid i" ::: "memory");
    if (written == taken) {
        /* An idle board feeds its watchdog as well: SysTick ends the sleep, and the main loop goes round. */
        SYST_RVR = SYST_LONGEST;
        SYST_CVR = 0;
        SYST_CSR = SYST_CSR_CORE_CLOCK | SYST_CSR_INTERRUPT | SYST_CSR_ENABLE;
        data_synchronization_barrier();
        __asm volatile("wfi" ::: "memory");
        SYST_CSR = 0;
        SCB_ICSR = SCB_ICSR_SYSTICK_CLEAR; /* it only ends the sleep: there is no handler */
        data_synchronization_barrier();
    }
    __asm volatile("cpsie i" ::: "memory");
}

void serial_flush(void)
{
    if (!started) {
        return;
    }
    for (uint32_t turn = 0; turn < MAXIMUM_TURNS && (USART3_ISR & USART_ISR_TC) == 0; turn++) {
    }
}

uint32_t serial_lost(void)
{
    return lost;
}
