/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_nn_rows.h - two rows of packed weights times one or more columns of activations (internal to the kernels).
 *
 * A core includes this, and a file may include several cores. Before, the core defines
 *  - STQ_BLOCK, the type of its accumulators,
 *  - STQ_ROWS(name), the name of a function in this core, and
 *  - STQ_ROWS(multiply_word), which multiplies a word of each row by as many pairs of the columns, and advances
 *    `*columns` by these. For 1-bit weights, `*steps` counts remaining half-words and is decremented by two; if it is
 *    1, only the low half is used.
 */
STQ_INLINE STQ_BLOCK STQ_ROWS(multiply_next_words)(STQ_BLOCK acc, const stq_word **columns, const uint32_t **row0,
                                                   const uint32_t **row1, int32_t bits, uint32_t mask, int32_t *steps)
{
    const uint32_t word0 = stq_next_word(row0);
    const uint32_t word1 = stq_next_word(row1);
    return STQ_ROWS(multiply_word)(acc, columns, word0, word1, bits, mask, steps);
}

/* Rows of `steps` steps: see stq_row_steps. */
STQ_INLINE STQ_BLOCK STQ_ROWS(multiply_rows)(STQ_BLOCK acc, const stq_word *columns, const uint32_t *row0,
                                             const uint32_t *row1, int32_t steps, int32_t bits, uint32_t mask)
{
    if (bits == 1) {
        do {
            acc = STQ_ROWS(multiply_next_words)(acc, &columns, &row0, &row1, bits, mask, &steps);
        } while (steps > 0);
        return acc;
    }

    const int32_t round = bits == 2 ? 1 : bits == 4 ? 2 : 4; // words
    const uint32_t *end = row0 + steps;
    const uint32_t *end_of_rounds = row0 + steps / round * round;

    while (row0 < end_of_rounds) {
        acc = STQ_ROWS(multiply_next_words)(acc, &columns, &row0, &row1, bits, mask, &steps);
        if (round >= 2) {
            acc = STQ_ROWS(multiply_next_words)(acc, &columns, &row0, &row1, bits, mask, &steps);
        }
        if (round >= 4) {
            acc = STQ_ROWS(multiply_next_words)(acc, &columns, &row0, &row1, bits, mask, &steps);
            acc = STQ_ROWS(multiply_next_words)(acc, &columns, &row0, &row1, bits, mask, &steps);
        }
    }
    while (round > 1 && row0 < end) {
        acc = STQ_ROWS(multiply_next_words)(acc, &columns, &row0, &row1, bits, mask, &steps);
    }
    return acc;
}

#undef STQ_BLOCK
#undef STQ_ROWS
