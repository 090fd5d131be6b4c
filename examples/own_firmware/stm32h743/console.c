/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USART3 at 921,600 baud on PD8 and PD9, the virtual serial port of a NUCLEO-H743ZI. The chip runs as reset leaves it,
 * from its internal oscillator.
 */
#include "console.h"

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define RCC_AHB4ENR REGISTER(0x580244E0u)
#define RCC_APB1LENR REGISTER(0x580244E8u)
#define GPIOD_MODER REGISTER(0x58020C00u)
#define GPIOD_AFRH REGISTER(0x58020C24u)
#define USART3_CR1 REGISTER(0x40004800u)
#define USART3_BRR REGISTER(0x4000480Cu)
#define USART3_ISR REGISTER(0x4000481Cu)
#define USART3_TDR REGISTER(0x40004828u)

#define RESET_CLOCK_HZ 64000000u
#define BAUD 921600u

void console_start(void)
{
    RCC_AHB4ENR |= 1u << 3;   /* GPIOD */
    RCC_APB1LENR |= 1u << 18; /* USART3 */
    (void)RCC_APB1LENR;       /* RM0433 "Peripheral clock enabling delay" */
    GPIOD_AFRH = (GPIOD_AFRH & ~0xFFu) | 0x77u;
    GPIOD_MODER = (GPIOD_MODER & ~(0xFu << 16)) | (0xAu << 16);
    USART3_BRR = (RESET_CLOCK_HZ + BAUD / 2u) / BAUD;
    USART3_CR1 = (1u << 3) | (1u << 0); /* transmitter, enable */
}

void console_write(const char *text)
{
    for (; *text != '\0'; text++) {
        while ((USART3_ISR & (1u << 7)) == 0) {
        }
        USART3_TDR = (uint8_t)*text;
    }
}
