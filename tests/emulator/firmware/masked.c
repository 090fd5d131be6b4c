/* A byte arrives while BASEPRI masks the interrupt, then PRIMASK; sends how many were received before and after each. */
#include "ring.h"

static void wait_until_one_is_in_the_fifo(void)
{
    while ((USART3_ISR & (1u << 5)) == 0) {
    }
}

void probe(void)
{
    *(volatile uint8_t *)0xE000E427u = 0x40; /* priority of interrupt 39 */
    __asm volatile("msr basepri, %0" ::"r"(0x40) : "memory"); /* masks this priority and less urgent ones */
    listen();
    wait_until_one_is_in_the_fifo();
    put_word(written);
    __asm volatile("msr basepri, %0" ::"r"(0x50) : "memory");
    put_word(written);
    __asm volatile("cpsid i\n"
                   "msr basepri, %0" ::"r"(0)
                   : "memory");
    put_word(0xA5A5A5A5u); /* the second byte may come */
    wait_until_one_is_in_the_fifo();
    put_word(written);
    ASM("cpsie i");
    put_word(written);
}
