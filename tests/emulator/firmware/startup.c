/* Sends .data, .bss and .noinit as main() finds them. */
#include "probe.h"

volatile uint32_t data[2] = {0x12345678u, 0x9ABCDEF0u};
volatile uint32_t bss;
__attribute__((section(".noinit"))) volatile uint32_t noinit[4];

void probe(void)
{
    serial_start(0);
    put_word(data[0]);
    put_word(data[1]);
    put_word(bss);
    for (int i = 0; i < 4; i++) {
        put_word(noinit[i]);
    }
}
