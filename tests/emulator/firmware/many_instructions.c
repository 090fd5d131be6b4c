/* Not to be run: instructions of many kinds, to be read. */
#include "probe.h"

volatile float singles[4];
volatile double doubles[4];
volatile int numbers[8];
struct pair {
    long long a, b;
} pairs[2];

void probe(void)
{
    enable_fpu();
    for (int i = 0; i < 4; i++) {
        singles[i] = singles[i] / (float)numbers[i];
        doubles[i] += singles[i];
    }
    numbers[0] = numbers[1] / numbers[2];
    numbers[3] = numbers[3] > numbers[4] ? numbers[5] + numbers[6] * 3 : numbers[6] - numbers[7];
    pairs[0] = pairs[1];
    __asm volatile("cmp r0, #1\n"
                   "ite ne\n"
                   "movne r1, #1\n"
                   "moveq r1, #2\n"
                   "itttt lt\n"
                   "ldrdlt r2, r3, [r1]\n"
                   "addlt r1, #1\n"
                   "sdivlt r1, r2, r3\n"
                   "vmovlt s0, r1\n"
                   "itet cs\n"
                   "addcs r1, #1\n"
                   "addcc r1, #2\n"
                   "addcs.w r1, r1, #3" ::: "r0", "r1", "r2", "r3", "s0", "cc", "memory");
}
