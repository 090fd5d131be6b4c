/* Computes without sleeping or touching a peripheral while it receives 256 bytes; sends results and bytes. */
#include "ring.h"

static inline uint32_t crc(uint32_t sum, uint8_t byte)
{
    sum ^= byte;
    for (int i = 0; i < 8; i++) {
        sum = (sum >> 1) ^ ((sum & 1) ? 0xEDB88320u : 0);
    }
    return sum;
}

/* Apart from probe(): it saves FPU registers, which must not happen before the FPU is on. */
__attribute__((noinline)) static void compute(void)
{
    uint32_t sum = 0xFFFFFFFFu;
    float real = 0;
    for (uint32_t i = 0; i < TURNS || written < 256; i++) {
        if (i < TURNS) {
            sum = crc(sum, (uint8_t)i);
            real += 0.25f;
        }
    }
    put_word(~sum);
    put_word((uint32_t)real);
    for (int i = 0; i < 256; i++) {
        put(ring[i]);
    }
}

void probe(void)
{
    enable_fpu();
    listen();
    compute();
}
