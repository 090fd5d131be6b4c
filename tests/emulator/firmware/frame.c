/* What an exception pushes, with the stack pointer MISALIGNED bytes off. */
#include "probe.h"

volatile uint32_t seen[8]; /* frame, its xPSR, EXC_RETURN, IPSR, its R0; before: SP; after: R0, SP */

__attribute__((naked)) void supervisor_call(void)
{
    __asm volatile("ldr r0, =seen\n"
                   "mrs r1, msp\n"
                   "str r1, [r0]\n"
                   "ldr r2, [r1, #28]\n"
                   "str r2, [r0, #4]\n"
                   "str lr, [r0, #8]\n"
                   "mrs r2, ipsr\n"
                   "str r2, [r0, #12]\n"
                   "ldr r2, [r1]\n"
                   "str r2, [r0, #16]\n"
                   "mov r3, #99\n"
                   "str r3, [r1]\n"
                   "bx lr\n"
                   ".ltorg");
}

void probe(void)
{
    __asm volatile("sub sp, %0\n"
                   "ldr r1, =seen\n"
                   "mrs r2, msp\n"
                   "str r2, [r1, #20]\n"
                   "mov r0, #77\n"
                   "movs r2, #0\n"
                   "svc #0\n"
                   "ldr r1, =seen\n"
                   "str r0, [r1, #24]\n"
                   "mrs r2, msp\n"
                   "str r2, [r1, #28]\n"
                   "add sp, %0" ::"i"(MISALIGNED)
                   : "r0", "r1", "r2", "r3", "cc", "memory");
    serial_start(0);
    for (int i = 0; i < 8; i++) {
        put_word(seen[i]);
    }
}
