/* SPDX-License-Identifier: Apache-2.0 */
#include "memory_contents.h"

#include <stdint.h>

#include "linker_symbols.h"

static void fill_with_zero(uint32_t *first, const uint32_t *end)
{
    while (first < end) {
        *first++ = 0;
    }
}

void memory_fill(void)
{
    for (const stq_copy *copy = stq_copies_start; copy < stq_copies_end; copy++) {
        const uint32_t *image = copy->image;
        for (uint32_t *word = copy->start; word < copy->end; word++) {
            *word = *image++;
        }
    }
    fill_with_zero(stq_bss_start, stq_bss_end);
    /* Whole words: a byte written into memory with check bits, never written before, would be merged with random ones. */
    fill_with_zero(stq_arena_start, stq_arena_end);
    fill_with_zero(stq_scratch_start, stq_scratch_end);
}
