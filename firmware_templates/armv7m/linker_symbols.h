/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linker_symbols.h - symbols of the generated linker script. Only the addresses of these arrays have a meaning.
 */
#ifndef LINKER_SYMBOLS_H
#define LINKER_SYMBOLS_H

#include <stdint.h>

/* Contents that start-up copies: from `image` in flash to `start`, up to `end`. */
typedef struct {
    const uint32_t *image;
    uint32_t *start;
    uint32_t *end;
} stq_copy;

extern const stq_copy stq_copies_start[], stq_copies_end[];
extern uint32_t stq_stack_bottom[], stq_stack_top[];
extern uint32_t stq_fault_stack_top[];
extern uint32_t stq_bss_start[], stq_bss_end[];
extern uint32_t stq_arena_start[], stq_arena_end[];
extern uint32_t stq_scratch_start[], stq_scratch_end[];
extern const uint32_t stq_vectors[];

#endif /* LINKER_SYMBOLS_H */
