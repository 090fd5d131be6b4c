/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vector table: DAI0500 "Interrupts". The core loads its stack pointer and first instruction from here. Ranges of
 * elements are an extension that GCC and clang share.
 */
#include <stdint.h>

#include "faults.h"
#include "linker_symbols.h"
#include "startup.h"

#define SYSTEM_EXCEPTIONS 16u
#define INTERRUPTS 32u

typedef union {
    void (*handler)(void);
    uint32_t *stack_top;
} vector;

_Static_assert(sizeof(vector) == 4, "a vector is one word");

#pragma GCC diagnostic ignored "-Wpedantic" /* for the ranges below */

__attribute__((section(".vectors"), used)) const vector vectors[SYSTEM_EXCEPTIONS + INTERRUPTS] = {
    [0] = {.stack_top = stq_stack_top},
    [1] = {startup_reset},
    [2 ... SYSTEM_EXCEPTIONS + INTERRUPTS - 1] = {fault_entry},
};
