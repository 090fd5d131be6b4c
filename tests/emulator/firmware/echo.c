#include "ring.h"

void probe(void)
{
    listen();
    for (;;) {
        put(wait_for_byte());
    }
}
