#include "probe.h"

void probe(void)
{
    serial_start(0);
    for (;;) {
        while ((USART3_ISR & (1u << 5)) == 0) {
        }
        put((uint8_t)USART3_RDR);
    }
}
