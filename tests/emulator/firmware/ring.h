/* Receives by interrupt into a ring; sleeps until there is something in it. */
#ifndef RING_H
#define RING_H

#include "probe.h"

static uint8_t ring[4096];
static volatile uint32_t written;
static uint32_t taken;

void receive_interrupt(void)
{
    while ((USART3_ISR & (1u << 5)) != 0) {
        ring[written % sizeof ring] = (uint8_t)USART3_RDR;
        written++;
    }
}

static inline void listen(void)
{
    serial_start(RECEIVE_INTERRUPT);
    NVIC_ISER1 = 1u << 7;
}

/* WFI wakes for a masked interrupt too; it is taken at CPSIE. */
static inline uint8_t wait_for_byte(void)
{
    for (;;) {
        ASM("cpsid i");
        if (written != taken) {
            ASM("cpsie i");
            return ring[taken++ % sizeof ring];
        }
        ASM("dsb\n"
            "wfi\n"
            "cpsie i");
    }
}

#endif
