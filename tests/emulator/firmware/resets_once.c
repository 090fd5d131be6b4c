/* Sends RCC_RSR, RCC_APB1LENR, a variable and CPACR; resets itself; sends them again, and what it had kept. */
#include "probe.h"

volatile uint32_t data = 7;
__attribute__((section(".noinit"))) volatile uint32_t kept;

void probe(void)
{
    uint32_t cause = REGISTER(0x580244D0u);
    uint32_t clocks = RCC_APB1LENR;
    serial_start(0);
    put_word(cause);
    put_word(clocks);
    put_word(data);
    put_word(SCB_CPACR);
    if ((cause & (1u << 24)) != 0) {
        put_word(kept);
        return;
    }
    enable_fpu();
    ASM("vmov.f32 s0, #1.0");
    kept = 0xCAFE;
    data = 8;
    SCB_AIRCR = 0x05FA0004u;
    for (;;) {
    }
}
