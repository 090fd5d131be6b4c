/* SPDX-License-Identifier: Apache-2.0 */
/* The usual start-up of a Cortex-M with FPU: copy .data, clear .bss, call main. */
#include <stdint.h>

extern uint32_t _sidata[], _sdata[], _edata[], _sbss[], _ebss[], _estack[];

int main(void);

__attribute__((noreturn, used)) static void start(void)
{
    const uint32_t *image = _sidata;

    for (uint32_t *word = _sdata; word < _edata; word++) {
        *word = *image++;
    }
    for (uint32_t *word = _sbss; word < _ebss; word++) {
        *word = 0;
    }
    (void)main();
    for (;;) {
        __asm volatile("wfi");
    }
}

/* The FPU is on before the first C function, which may use its registers. */
__attribute__((naked, noreturn)) void Reset_Handler(void)
{
    __asm volatile("ldr r0, =0xE000ED88\n" /* CPACR */
                   "ldr r1, [r0]\n"
                   "orr r1, r1, #0xF00000\n"
                   "str r1, [r0]\n"
                   "dsb\n"
                   "isb\n"
                   "b start\n"
                   ".ltorg\n");
}

static void Default_Handler(void)
{
    for (;;) {
    }
}

typedef union {
    void (*handler)(void);
    uint32_t *stack;
} vector;

__attribute__((section(".isr_vector"), used)) static const vector vectors[16] = {
    {.stack = _estack}, {Reset_Handler}, {Default_Handler}, {Default_Handler}, {Default_Handler}, {Default_Handler},
    {.stack = 0},       {.stack = 0},    {.stack = 0},      {.stack = 0},      {.stack = 0},      {Default_Handler},
    {Default_Handler},  {.stack = 0},    {Default_Handler}, {Default_Handler},
};
