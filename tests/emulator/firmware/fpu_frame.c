/* An exception handler that uses the FPU between two uses by the program. Sends EXC_RETURN, S0, S11, FPSCR, CONTROL. */
#include "probe.h"

volatile uint32_t exc_return, kept[4];

__attribute__((naked)) void supervisor_call(void)
{
    __asm volatile("ldr r0, =exc_return\n"
                   "str lr, [r0]\n"
                   "vmov.f64 d0, #9.0\n"
                   "vmov.f64 d5, d0\n"
                   "mov r1, #0\n"
                   "vmsr fpscr, r1\n"
                   "bx lr\n"
                   ".ltorg");
}

void probe(void)
{
    enable_fpu();
    __asm volatile("mov r0, #0x00C00000\n"
                   "vmsr fpscr, r0\n"
                   "mov r0, #22\n"
                   "vmov s0, r0\n"
                   "mov r0, #11\n"
                   "vmov s11, r0\n"
                   "svc #0\n"
                   "ldr r0, =kept\n"
                   "vstr s0, [r0]\n"
                   "vstr s11, [r0, #4]\n"
                   "vmrs r1, fpscr\n"
                   "str r1, [r0, #8]\n"
                   "mrs r1, control\n"
                   "str r1, [r0, #12]" ::: "r0", "r1", "s0", "s11", "memory");
    serial_start(0);
    put_word(exc_return);
    for (int i = 0; i < 4; i++) {
        put_word(kept[i]);
    }
}
