/* Reads where there is no memory as soon as a byte arrives. */
#include "ring.h"

void probe(void)
{
    listen();
    (void)wait_for_byte();
    (void)REGISTER(0x60000000u);
}
