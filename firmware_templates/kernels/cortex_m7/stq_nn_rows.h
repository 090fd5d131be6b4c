/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_nn_rows.h - two rows of packed weights times one or more columns of activations (internal to the kernels).
 *
 * A core includes this after defining `stq_block`, its accumulators, and `stq_multiply_word`. That function multiplies
 * a word of each row by as many pairs of the columns, and advances `*columns` by these. For 1-bit weights, `*steps`
 * counts remaining half-words and is decremented by two; if it is 1, only the low half is used. Widths are constants
 * in every caller.
 */
#ifndef STQ_NN_ROWS_H
#define STQ_NN_ROWS_H

#include "stq_intrinsics.h"
#include "stq_nn_pairs.h"

/* The next word of a row. */
static inline uint32_t stq_next_word(const uint32_t **row)
{
#if STQ_DSP
    // Without this, gcc gives each word of an unrolled loop its own address, and runs out of registers.
    uint32_t word;
    __asm__("ldr %0, [%1], #4" : "=r"(word), "+r"(*row) : : "memory");
    return word;
#else
    return *(*row)++;
#endif
}

static inline stq_block stq_multiply_next_words(stq_block acc, const stq_word **columns, const uint32_t **row0,
                                                const uint32_t **row1, int32_t bits, uint32_t mask, int32_t *steps)
{
    const uint32_t word0 = stq_next_word(row0);
    const uint32_t word1 = stq_next_word(row1);
    return stq_multiply_word(acc, columns, word0, word1, bits, mask, steps);
}

/* Rows of `steps` steps: see stq_row_steps. */
static inline stq_block stq_multiply_rows(stq_block acc, const stq_word *columns, const uint32_t *row0,
                                          const uint32_t *row1, int32_t steps, int32_t bits, uint32_t mask)
{
    if (bits == 1) {
        do {
            acc = stq_multiply_next_words(acc, &columns, &row0, &row1, bits, mask, &steps);
        } while (steps > 0);
        return acc;
    }

    const int32_t round = bits == 2 ? 1 : bits == 4 ? 2 : 4; // words
    const uint32_t *end = row0 + steps;
    const uint32_t *end_of_rounds = row0 + steps / round * round;

    while (row0 < end_of_rounds) {
        acc = stq_multiply_next_words(acc, &columns, &row0, &row1, bits, mask, &steps);
        if (round >= 2) {
            acc = stq_multiply_next_words(acc, &columns, &row0, &row1, bits, mask, &steps);
        }
        if (round >= 4) {
            acc = stq_multiply_next_words(acc, &columns, &row0, &row1, bits, mask, &steps);
            acc = stq_multiply_next_words(acc, &columns, &row0, &row1, bits, mask, &steps);
        }
    }
    while (round > 1 && row0 < end) {
        acc = stq_multiply_next_words(acc, &columns, &row0, &row1, bits, mask, &steps);
    }
    return acc;
}

#endif /* STQ_NN_ROWS_H */
