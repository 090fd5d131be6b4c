/*
 * Pieces of code whose instructions one can count by hand, and one whose one cannot. Sends the difference of two
 * readings of DWT_CYCCNT around each. The readings themselves cost what the first, empty piece says.
 */
#include "ring.h"

#define MEASURE(code)                                                                                                  \
    __asm volatile("ldr r1, [r0, #4]\n" code "ldr r2, [r0, #4]\n"                                                      \
                   "sub %0, r2, r1"                                                                                    \
                   : "=r"(count)                                                                                       \
                   : "r"(r0)                                                                                           \
                   : "r1", "r2", "r3", "r4", "r5", "cc", "memory")

void probe(void)
{
    uint32_t count;
    register uint32_t r0 __asm__("r0") = 0xE0001000u;
    uint32_t counts[6];
    start_counter();
    MEASURE("");
    counts[0] = count;
    MEASURE("nop\nnop.w\nnop\n");
    counts[1] = count;
    MEASURE("movw r3, #1000\n1: subs r3, #1\nbne 1b\n"); /* 1 + 1000 * 2 */
    counts[2] = count;
    /* 1 + 100 * (6 + 2), the failing ones of an IT block included */
    MEASURE("mov r3, #100\n1: tst r3, #1\nittee ne\naddne r4, #1\naddne r5, #1\nsubeq r4, #1\nsubeq r5, #1\nsubs r3, #1\nbne 1b\n");
    counts[3] = count;
    /* A block with peripheral accesses in it: 1 + 10 * (2 + 3 + 2) */
    MEASURE("mov r3, #10\n1: nop\nldr r4, [r0]\nnop\nldr r4, [r0, #4]\nnop.w\nsubs r3, #1\nbne 1b\n");
    counts[4] = count;
    listen();
    count = DWT_CYCCNT;
    for (int i = 0; i < 64; i++) {
        count += wait_for_byte();
    }
    for (int i = 0; i < 5; i++) {
        put_word(counts[i]);
    }
}
