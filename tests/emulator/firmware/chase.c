/* Loads through a register that the load overwrites, TURNS times, while bytes for its interrupt wait; sends the turns. */
#include "ring.h"

void probe(void)
{
    static uint32_t cell[2];
    uint32_t turns = 0;

    listen();
    cell[0] = 0x00050003u; /* no address */
    do {
        register uint32_t at __asm__("r1") = (uint32_t)cell;
        register uint32_t second __asm__("r2");
        __asm volatile("ldrd r1, r2, [r1]" : "+r"(at), "=r"(second) : : "memory");
        turns += at == 0x00050003u && second == 0;
    } while (turns < TURNS);
    put_word(turns);
    for (int i = 0; i < 256; i++) {
        put(wait_for_byte());
    }
}
