/* Sends 40,000 bytes of a pattern while it receives 2,000, then sends those. */
#include "ring.h"

void probe(void)
{
    listen();
    for (uint32_t i = 0; i < 40000; i++) {
        put((uint8_t)((i * 7) >> 3));
    }
    while (written < 2000) {
    }
    for (int i = 0; i < 2000; i++) {
        put(ring[i]);
    }
}
