/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_convolve_rows.h - two rows of packed weights times two columns of activations (internal to the kernels).
 *
 * The hand-written loops keep the multiplier busy. A SMLAD starts in nearly every cycle, beside an instruction that
 * loads or unpacks what a later SMLAD needs. The order follows the rules of the core that docs/PROFILING.md names:
 *  - two SMLAD never start together, and an instruction that moves bits (SXTB16) starts only as the first of two;
 *  - SMLAD can use a loaded word two cycles later, and an unpacked pair one cycle later.
 * They need 13 registers and take all they need from memory, so that the compiler may keep a frame pointer. What a word
 * needs only once waits in 16 bytes that they push. The stack analysis counts them from the instructions.
 */
#ifndef STQ_CONVOLVE_ROWS_H
#define STQ_CONVOLVE_ROWS_H

#include "stq_convolve_parts.h"
#include "stq_nn_pairs.h"

/* The next rows, two columns, and where the sums of their products go. The assembly knows the order. */
typedef struct {
    const stq_word *columns; /* pairs of the two pixels in turn: see stq_nn_columns.h */
    int32_t pitch;           /* bytes from the first row to the second */
    const uint32_t *row;     /* the first row, which is not empty */
    const uint32_t *end;     /* after it */
    int32_t initial[2];      /* a sum of each pixel begins with this */
    int32_t *sums[2];        /* the next two sums of each pixel */
    int32_t pairs;           /* of rows that follow; at least 1 */
    uint32_t mask;           /* of fields of up to 4 bits */
} stq_rows;

#if STQ_HAND_WRITTEN

/* 1-bit weights: 16 pairs in a word, which rotations bring to the mask. */
STQ_INLINE void stq_multiply_rows_b1(stq_rows *rows)
{
    uint32_t x, a, b, w0, w1, s00, s01, s10, s11, columns, row, mask;
    stq_rows *y = rows;

    // One line for each cycle: the instructions in it start together.
    // clang-format off
    __asm__ volatile(
        // The first row pair's place, from the structure at `y`; at 7, each pair's initial sums.
        "ldrd %[a], %[row], [%[y], #4]\n\t"
        "ldr %[w0], [%[y], #12]\n\t"
        "str %[y], [sp, #-8]!\n\t"
        "strd %[a], %[w0], [sp, #-8]!\n\t"
        "7:\n\t"
        "str %[w0], [sp, #4]\n\t"                       "ldr %[w1], [%[row], %[a]]\n\t"
        "ldrd %[s00], %[s01], [%[y], #16]\n\t"
        "ldr %[columns], [%[y]]\n\t"                    "mov %[s10], %[s00]\n\t"
        "mov %[s11], %[s01]\n\t"
        // The first pair of weights of each row, and the first levels.
        "ldr %[w0], [%[row]], #4\n\t"                   "ldr %[mask], [%[y], #36]\n\t"
        "ldr %[x], [%[columns]], #4\n\t"
        "and %[b], %[mask], %[w1]\n\t"
        "and %[a], %[mask], %[w0]\n\t"
        "1:\n\t"
        // Pair 0: its products, while the next pair is shifted into place.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], ror #1\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], ror #1\n\t"
        // Pair 1.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], ror #2\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], ror #2\n\t"
        // Pair 2.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], ror #3\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], ror #3\n\t"
        // Pair 3.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], ror #4\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], ror #4\n\t"
        // Pair 4.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], ror #5\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], ror #5\n\t"
        // Pair 5.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], ror #6\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], ror #6\n\t"
        // Pair 6.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], ror #7\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], ror #7\n\t"
        // Pair 7.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], ror #8\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], ror #8\n\t"
        // Pair 8.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], ror #9\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], ror #9\n\t"
        // Pair 9.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], ror #10\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], ror #10\n\t"
        // Pair 10.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], ror #11\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], ror #11\n\t"
        // Pair 11.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], ror #12\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], ror #12\n\t"
        // Pair 12.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], ror #13\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], ror #13\n\t"
        // Pair 13.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], ror #14\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], ror #14\n\t"
        // Pair 14.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], ror #15\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], ror #15\n\t"
        // The products of a word's last pair, while the next words are loaded if there are any.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[w0], [sp, #4]\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "cmp %[row], %[w0]\n\t"                         "ldr %[w1], [sp]\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "beq.w 2f\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "ldr %[w1], [%[row], %[w1]]\n\t"
        "ldr %[w0], [%[row]], #4\n\t"                   "ldr %[x], [%[columns]], #4\n\t"
        "and %[b], %[mask], %[w1]\n\t"
        "and %[a], %[mask], %[w0]\n\t"                  "b.w 1b\n\t"
        "2:\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"
        // Store the sums, and go on with the next pair of rows.
        "ldr %[y], [sp, #8]\n\t"                        "ldr %[a], [sp]\n\t"
        "ldrd %[w0], %[w1], [%[y], #24]\n\t"
        "ldr %[b], [%[y], #32]\n\t"                     "add %[row], %[row], %[a]\n\t"
        "strd %[s00], %[s10], [%[w0]], #8\n\t"
        "subs %[b], %[b], #1\n\t"
        "strd %[s01], %[s11], [%[w1]], #8\n\t"
        "strd %[w0], %[w1], [%[y], #24]\n\t"
        "add %[w0], %[row], %[a]\n\t"                   "str %[b], [%[y], #32]\n\t"
        "bne.w 7b\n\t"
        "strd %[row], %[w0], [%[y], #8]\n\t"
        "add sp, sp, #16\n\t"
        : [y] "+r"(y), [x] "=&r"(x), [a] "=&r"(a), [b] "=&r"(b), [w0] "=&r"(w0), [w1] "=&r"(w1), [s00] "=&r"(s00),
          [s01] "=&r"(s01), [s10] "=&r"(s10), [s11] "=&r"(s11), [columns] "=&r"(columns), [row] "=&r"(row),
          [mask] "=&r"(mask)
        :
        : "memory", "cc");
    // clang-format on
}

/* 2-bit weights: 8 pairs in a word. */
STQ_INLINE void stq_multiply_rows_t2(stq_rows *rows)
{
    uint32_t x, a, b, w0, w1, s00, s01, s10, s11, columns, row, mask;
    stq_rows *y = rows;

    // One line for each cycle: the instructions in it start together.
    // clang-format off
    __asm__ volatile(
        // The first row pair's place, from the structure at `y`; at 7, each pair's initial sums.
        "ldrd %[a], %[row], [%[y], #4]\n\t"
        "ldr %[w0], [%[y], #12]\n\t"
        "str %[y], [sp, #-8]!\n\t"
        "strd %[a], %[w0], [sp, #-8]!\n\t"
        "7:\n\t"
        "str %[w0], [sp, #4]\n\t"                       "ldr %[w1], [%[row], %[a]]\n\t"
        "ldrd %[s00], %[s01], [%[y], #16]\n\t"
        "ldr %[columns], [%[y]]\n\t"                    "mov %[s10], %[s00]\n\t"
        "mov %[s11], %[s01]\n\t"
        // The first pair of weights of each row, and the first levels.
        "ldr %[w0], [%[row]], #4\n\t"                   "ldr %[mask], [%[y], #36]\n\t"
        "ldr %[x], [%[columns]], #4\n\t"
        "and %[b], %[mask], %[w1]\n\t"
        "and %[a], %[mask], %[w0]\n\t"
        "1:\n\t"
        // Pair 0: its products, while the next pair is shifted into place.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], lsr #2\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], lsr #2\n\t"
        // Pair 1.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], lsr #4\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], lsr #4\n\t"
        // Pair 2.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], lsr #6\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], lsr #6\n\t"
        // Pair 3.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], lsr #8\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], lsr #8\n\t"
        // Pair 4.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], lsr #10\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], lsr #10\n\t"
        // Pair 5.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], lsr #12\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], lsr #12\n\t"
        // Pair 6.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], lsr #14\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], lsr #14\n\t"
        // The products of a word's last pair, while the next words are loaded if there are any.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[w0], [sp, #4]\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "cmp %[row], %[w0]\n\t"                         "ldr %[w1], [sp]\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "beq.w 2f\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "ldr %[w1], [%[row], %[w1]]\n\t"
        "ldr %[w0], [%[row]], #4\n\t"                   "ldr %[x], [%[columns]], #4\n\t"
        "and %[b], %[mask], %[w1]\n\t"
        "and %[a], %[mask], %[w0]\n\t"                  "b.w 1b\n\t"
        "2:\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"
        // Store the sums, and go on with the next pair of rows.
        "ldr %[y], [sp, #8]\n\t"                        "ldr %[a], [sp]\n\t"
        "ldrd %[w0], %[w1], [%[y], #24]\n\t"
        "ldr %[b], [%[y], #32]\n\t"                     "add %[row], %[row], %[a]\n\t"
        "strd %[s00], %[s10], [%[w0]], #8\n\t"
        "subs %[b], %[b], #1\n\t"
        "strd %[s01], %[s11], [%[w1]], #8\n\t"
        "strd %[w0], %[w1], [%[y], #24]\n\t"
        "add %[w0], %[row], %[a]\n\t"                   "str %[b], [%[y], #32]\n\t"
        "bne.w 7b\n\t"
        "strd %[row], %[w0], [%[y], #8]\n\t"
        "add sp, sp, #16\n\t"
        : [y] "+r"(y), [x] "=&r"(x), [a] "=&r"(a), [b] "=&r"(b), [w0] "=&r"(w0), [w1] "=&r"(w1), [s00] "=&r"(s00),
          [s01] "=&r"(s01), [s10] "=&r"(s10), [s11] "=&r"(s11), [columns] "=&r"(columns), [row] "=&r"(row),
          [mask] "=&r"(mask)
        :
        : "memory", "cc");
    // clang-format on
}

/* 4-bit weights: two words a turn. A row of an odd number of words enters at the second. */
STQ_INLINE void stq_multiply_rows_s4(stq_rows *rows)
{
    uint32_t x, a, b, w0, w1, s00, s01, s10, s11, columns, row, mask;
    stq_rows *y = rows;

    // One line for each cycle: the instructions in it start together.
    // clang-format off
    __asm__ volatile(
        // The first row pair's place, from the structure at `y`; at 7, each pair's initial sums.
        "ldrd %[a], %[row], [%[y], #4]\n\t"
        "ldr %[w0], [%[y], #12]\n\t"
        "str %[y], [sp, #-8]!\n\t"
        "strd %[a], %[w0], [sp, #-8]!\n\t"
        "7:\n\t"
        "str %[w0], [sp, #4]\n\t"                       "ldr %[w1], [%[row], %[a]]\n\t"
        "ldrd %[s00], %[s01], [%[y], #16]\n\t"
        "ldr %[columns], [%[y]]\n\t"                    "mov %[s10], %[s00]\n\t"
        "mov %[s11], %[s01]\n\t"
        // Whether the number of words is odd.
        "sub %[b], %[w0], %[row]\n\t"
        "lsls %[b], %[b], #29\n\t"
        // The first pair of weights of each row, and the first levels.
        "ldr %[w0], [%[row]], #4\n\t"                   "ldr %[mask], [%[y], #36]\n\t"
        "ldr %[x], [%[columns]], #4\n\t"
        "and %[b], %[mask], %[w1]\n\t"
        "and %[a], %[mask], %[w0]\n\t"
        "bmi.w 3f\n\t"
        "1:\n\t"
        // Pair 0: its products, while the next pair is shifted into place.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], lsr #4\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], lsr #4\n\t"
        // Pair 1.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], lsr #8\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], lsr #8\n\t"
        // Pair 2.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], lsr #12\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], lsr #12\n\t"
        // Pair 3, while the next word of each row is loaded.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[w1], [sp]\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "ldr %[w1], [%[row], %[w1]]\n\t"
        "ldr %[w0], [%[row]], #4\n\t"
        "and %[b], %[mask], %[w1]\n\t"
        "and %[a], %[mask], %[w0]\n\t"
        "3:\n\t"
        // Pair 0: its products, while the next pair is shifted into place.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], lsr #4\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], lsr #4\n\t"
        // Pair 1.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], lsr #8\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], lsr #8\n\t"
        // Pair 2.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "and %[b], %[mask], %[w1], lsr #12\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "and %[a], %[mask], %[w0], lsr #12\n\t"
        // The products of a word's last pair, while the next words are loaded if there are any.
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[w0], [sp, #4]\n\t"
        "smlad %[s10], %[x], %[b], %[s10]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "cmp %[row], %[w0]\n\t"                         "ldr %[w1], [sp]\n\t"
        "smlad %[s11], %[y], %[b], %[s11]\n\t"          "beq.w 2f\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "ldr %[w1], [%[row], %[w1]]\n\t"
        "ldr %[w0], [%[row]], #4\n\t"                   "ldr %[x], [%[columns]], #4\n\t"
        "and %[b], %[mask], %[w1]\n\t"
        "and %[a], %[mask], %[w0]\n\t"                  "b.w 1b\n\t"
        "2:\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"
        // Store the sums, and go on with the next pair of rows.
        "ldr %[y], [sp, #8]\n\t"                        "ldr %[a], [sp]\n\t"
        "ldrd %[w0], %[w1], [%[y], #24]\n\t"
        "ldr %[b], [%[y], #32]\n\t"                     "add %[row], %[row], %[a]\n\t"
        "strd %[s00], %[s10], [%[w0]], #8\n\t"
        "subs %[b], %[b], #1\n\t"
        "strd %[s01], %[s11], [%[w1]], #8\n\t"
        "strd %[w0], %[w1], [%[y], #24]\n\t"
        "add %[w0], %[row], %[a]\n\t"                   "str %[b], [%[y], #32]\n\t"
        "bne.w 7b\n\t"
        "strd %[row], %[w0], [%[y], #8]\n\t"
        "add sp, sp, #16\n\t"
        : [y] "+r"(y), [x] "=&r"(x), [a] "=&r"(a), [b] "=&r"(b), [w0] "=&r"(w0), [w1] "=&r"(w1), [s00] "=&r"(s00),
          [s01] "=&r"(s01), [s10] "=&r"(s10), [s11] "=&r"(s11), [columns] "=&r"(columns), [row] "=&r"(row),
          [mask] "=&r"(mask)
        :
        : "memory", "cc");
    // clang-format on
}

/*
 * 8-bit weights: four words a turn. A row enters where a multiple of four is left, which depends on two bits of its
 * words.
 */
STQ_INLINE void stq_multiply_rows_s8(stq_rows *rows)
{
    uint32_t x, a, b, w0, w1, s00, s01, s10, s11, columns, row, mask;
    stq_rows *y = rows;

    // One line for each cycle: the instructions in it start together.
    // clang-format off
    __asm__ volatile(
        // The first row pair's place, from the structure at `y`; at 7, each pair's initial sums.
        "ldrd %[a], %[row], [%[y], #4]\n\t"
        "ldr %[w0], [%[y], #12]\n\t"
        "str %[y], [sp, #-8]!\n\t"
        "strd %[a], %[w0], [sp, #-8]!\n\t"
        "7:\n\t"
        "str %[w0], [sp, #4]\n\t"                       "ldr %[w1], [%[row], %[a]]\n\t"
        "ldrd %[s00], %[s01], [%[y], #16]\n\t"
        "ldr %[columns], [%[y]]\n\t"                    "mov %[s10], %[s00]\n\t"
        "mov %[s11], %[s01]\n\t"
        // The first words and levels; two bits of the number of words say where to enter. `mask` holds the pitch.
        "sub %[b], %[w0], %[row]\n\t"                   "mov %[mask], %[a]\n\t"
        "ldr %[w0], [%[row]], #4\n\t"                   "lsls %[b], %[b], #29\n\t"
        "ldrd %[x], %[y], [%[columns]], #8\n\t"
        "sxtb16 %[b], %[w1]\n\t"
        "bcs.w 5f\n\t"
        "bmi.w 4f\n\t"
        "1:\n\t"
        // The products of a word of each row, up to the last but three.
        "sxtb16 %[a], %[w0]\n\t"                        "smlad %[s10], %[x], %[b], %[s10]\n\t"
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "sxtb16 %[w1], %[w1], ror #8\n\t"               "smlad %[s11], %[y], %[b], %[s11]\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "sxtb16 %[w0], %[w0], ror #8\n\t"               "smlad %[s10], %[x], %[w1], %[s10]\n\t"
        // The rest of the word, while the next is loaded.
        "smlad %[s00], %[x], %[w0], %[s00]\n\t"         "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[w1], %[s11]\n\t"         "ldr %[w1], [%[row], %[mask]]\n\t"
        "smlad %[s01], %[y], %[w0], %[s01]\n\t"         "ldr %[w0], [%[row]], #4\n\t"
        "sxtb16 %[b], %[w1]\n\t"                        "ldr %[y], [%[columns]], #4\n\t"
        "2:\n\t"
        // The products of a word of each row, up to the last but three.
        "sxtb16 %[a], %[w0]\n\t"                        "smlad %[s10], %[x], %[b], %[s10]\n\t"
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "sxtb16 %[w1], %[w1], ror #8\n\t"               "smlad %[s11], %[y], %[b], %[s11]\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "sxtb16 %[w0], %[w0], ror #8\n\t"               "smlad %[s10], %[x], %[w1], %[s10]\n\t"
        // The rest of the word, while the next is loaded.
        "smlad %[s00], %[x], %[w0], %[s00]\n\t"         "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[w1], %[s11]\n\t"         "ldr %[w1], [%[row], %[mask]]\n\t"
        "smlad %[s01], %[y], %[w0], %[s01]\n\t"         "ldr %[w0], [%[row]], #4\n\t"
        "sxtb16 %[b], %[w1]\n\t"                        "ldr %[y], [%[columns]], #4\n\t"
        "3:\n\t"
        // The products of a word of each row, up to the last but three.
        "sxtb16 %[a], %[w0]\n\t"                        "smlad %[s10], %[x], %[b], %[s10]\n\t"
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "sxtb16 %[w1], %[w1], ror #8\n\t"               "smlad %[s11], %[y], %[b], %[s11]\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "sxtb16 %[w0], %[w0], ror #8\n\t"               "smlad %[s10], %[x], %[w1], %[s10]\n\t"
        // The rest of the word, while the next is loaded.
        "smlad %[s00], %[x], %[w0], %[s00]\n\t"         "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[w1], %[s11]\n\t"         "ldr %[w1], [%[row], %[mask]]\n\t"
        "smlad %[s01], %[y], %[w0], %[s01]\n\t"         "ldr %[w0], [%[row]], #4\n\t"
        "sxtb16 %[b], %[w1]\n\t"                        "ldr %[y], [%[columns]], #4\n\t"
        "4:\n\t"
        // The products of a word of each row, up to the last but three.
        "sxtb16 %[a], %[w0]\n\t"                        "smlad %[s10], %[x], %[b], %[s10]\n\t"
        "smlad %[s00], %[x], %[a], %[s00]\n\t"          "ldr %[x], [%[columns]], #4\n\t"
        "sxtb16 %[w1], %[w1], ror #8\n\t"               "smlad %[s11], %[y], %[b], %[s11]\n\t"
        "smlad %[s01], %[y], %[a], %[s01]\n\t"          "ldr %[y], [%[columns]], #4\n\t"
        "sxtb16 %[w0], %[w0], ror #8\n\t"               "smlad %[s10], %[x], %[w1], %[s10]\n\t"
        // The rest of the fourth word, while the next is loaded if there is one.
        "smlad %[s00], %[x], %[w0], %[s00]\n\t"         "ldr %[b], [sp, #4]\n\t"
        "smlad %[s11], %[y], %[w1], %[s11]\n\t"         "cmp %[row], %[b]\n\t"
        "smlad %[s01], %[y], %[w0], %[s01]\n\t"         "beq.w 6f\n\t"
        "ldr %[w1], [%[row], %[mask]]\n\t"
        "ldr %[x], [%[columns]], #4\n\t"                "ldr %[y], [%[columns]], #4\n\t"
        "ldr %[w0], [%[row]], #4\n\t"                   "sxtb16 %[b], %[w1]\n\t"
        "b.w 1b\n\t"
        "5:\n\t"
        "bmi.w 2b\n\t"
        "b.w 3b\n\t"
        "6:\n\t"
        // Store the sums, and go on with the next pair of rows.
        "ldr %[y], [sp, #8]\n\t"                        "ldr %[a], [sp]\n\t"
        "ldrd %[w0], %[w1], [%[y], #24]\n\t"
        "ldr %[b], [%[y], #32]\n\t"                     "add %[row], %[row], %[a]\n\t"
        "strd %[s00], %[s10], [%[w0]], #8\n\t"
        "subs %[b], %[b], #1\n\t"
        "strd %[s01], %[s11], [%[w1]], #8\n\t"
        "strd %[w0], %[w1], [%[y], #24]\n\t"
        "add %[w0], %[row], %[a]\n\t"                   "str %[b], [%[y], #32]\n\t"
        "bne.w 7b\n\t"
        "strd %[row], %[w0], [%[y], #8]\n\t"
        "add sp, sp, #16\n\t"
        : [y] "+r"(y), [x] "=&r"(x), [a] "=&r"(a), [b] "=&r"(b), [w0] "=&r"(w0), [w1] "=&r"(w1), [s00] "=&r"(s00),
          [s01] "=&r"(s01), [s10] "=&r"(s10), [s11] "=&r"(s11), [columns] "=&r"(columns), [row] "=&r"(row),
          [mask] "=&r"(mask)
        :
        : "memory", "cc");
    // clang-format on
}

/* 16-bit weights are pairs as they are. The levels behind the last ones are read, and not used. */
STQ_INLINE void stq_multiply_rows_s16(stq_rows *rows)
{
    uint32_t x, a, b, w0, w1, s00, s01, s10, s11, columns, row, mask;
    stq_rows *y = rows;

    // One line for each cycle: the instructions in it start together.
    // clang-format off
    __asm__ volatile(
        // The first row pair's place, from the structure at `y`; at 7, each pair's initial sums.
        "ldrd %[a], %[row], [%[y], #4]\n\t"
        "ldr %[w0], [%[y], #12]\n\t"
        "str %[y], [sp, #-8]!\n\t"
        "strd %[a], %[w0], [sp, #-8]!\n\t"
        "7:\n\t"
        "str %[w0], [sp, #4]\n\t"                       "ldr %[w1], [%[row], %[a]]\n\t"
        "ldrd %[s00], %[s01], [%[y], #16]\n\t"
        "ldr %[columns], [%[y]]\n\t"                    "mov %[s10], %[s00]\n\t"
        "mov %[s11], %[s01]\n\t"
        // The first words and levels; an odd number of words enters at 3. `mask` holds the pitch, `b` the row's end.
        "sub %[b], %[w0], %[row]\n\t"                   "mov %[mask], %[a]\n\t"
        "lsls %[b], %[b], #29\n\t"                      "mov %[b], %[w0]\n\t"
        "ldr %[w0], [%[row]], #4\n\t"
        "ldr %[x], [%[columns]], #4\n\t"                "ldr %[y], [%[columns]], #4\n\t"
        "bmi.w 3f\n\t"
        "1:\n\t"
        // The products of a word, while the next is loaded.
        "smlad %[s10], %[x], %[w1], %[s10]\n\t"
        "smlad %[s00], %[x], %[w0], %[s00]\n\t"         "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[w1], %[s11]\n\t"         "ldr %[w1], [%[row], %[mask]]\n\t"
        "smlad %[s01], %[y], %[w0], %[s01]\n\t"         "ldr %[w0], [%[row]], #4\n\t"
        "ldr %[y], [%[columns]], #4\n\t"
        "3:\n\t"
        // The same, unless the row ends here.
        "smlad %[s10], %[x], %[w1], %[s10]\n\t"         "cmp %[row], %[b]\n\t"
        "smlad %[s00], %[x], %[w0], %[s00]\n\t"         "ldr %[x], [%[columns]], #4\n\t"
        "smlad %[s11], %[y], %[w1], %[s11]\n\t"         "beq.w 2f\n\t"
        "smlad %[s01], %[y], %[w0], %[s01]\n\t"         "ldr %[w1], [%[row], %[mask]]\n\t"
        "ldr %[w0], [%[row]], #4\n\t"                   "ldr %[y], [%[columns]], #4\n\t"
        "b.w 1b\n\t"
        "2:\n\t"
        "smlad %[s01], %[y], %[w0], %[s01]\n\t"
        // Store the sums, and go on with the next pair of rows.
        "ldr %[y], [sp, #8]\n\t"                        "ldr %[a], [sp]\n\t"
        "ldrd %[w0], %[w1], [%[y], #24]\n\t"
        "ldr %[b], [%[y], #32]\n\t"                     "add %[row], %[row], %[a]\n\t"
        "strd %[s00], %[s10], [%[w0]], #8\n\t"
        "subs %[b], %[b], #1\n\t"
        "strd %[s01], %[s11], [%[w1]], #8\n\t"
        "strd %[w0], %[w1], [%[y], #24]\n\t"
        "add %[w0], %[row], %[a]\n\t"                   "str %[b], [%[y], #32]\n\t"
        "bne.w 7b\n\t"
        "strd %[row], %[w0], [%[y], #8]\n\t"
        "add sp, sp, #16\n\t"
        : [y] "+r"(y), [x] "=&r"(x), [a] "=&r"(a), [b] "=&r"(b), [w0] "=&r"(w0), [w1] "=&r"(w1), [s00] "=&r"(s00),
          [s01] "=&r"(s01), [s10] "=&r"(s10), [s11] "=&r"(s11), [columns] "=&r"(columns), [row] "=&r"(row),
          [mask] "=&r"(mask)
        :
        : "memory", "cc");
    // clang-format on
}

/* The sums of `pairs` pairs of rows and two columns; the structure then has the next rows, and 0 pairs. */
STQ_INLINE void stq_multiply_rows(stq_rows *rows, int32_t bits)
{
    if (bits == 1) {
        stq_multiply_rows_b1(rows);
    } else if (bits == 2) {
        stq_multiply_rows_t2(rows);
    } else if (bits == 4) {
        stq_multiply_rows_s4(rows);
    } else if (bits == 8) {
        stq_multiply_rows_s8(rows);
    } else {
        stq_multiply_rows_s16(rows);
    }
}

#else

/* Accumulators of two output channels (rows of weights) x two pixels. */
typedef struct {
    int32_t row0_pixel0;
    int32_t row0_pixel1;
    int32_t row1_pixel0;
    int32_t row1_pixel1;
} stq_block;

/* The sums of the next pair of rows and two columns. */
STQ_INLINE void stq_multiply_row_pair(stq_rows *rows, int32_t bits)
{
    const uint32_t *row0 = rows->row;
    const uint32_t *row1 = rows->row + rows->pitch / 4;
    const stq_word *columns = rows->columns;
    stq_block sums = {rows->initial[0], rows->initial[1], rows->initial[0], rows->initial[1]};

    for (; row0 < rows->end; row0++, row1++) {
        for (int32_t j = 0; j < STQ_PAIRS_PER_WORD(bits); j++) {
            const uint32_t weights0 = stq_weight_pair(*row0, bits, rows->mask, j);
            const uint32_t weights1 = stq_weight_pair(*row1, bits, rows->mask, j);
            sums.row0_pixel0 = stq_smlad(columns[0], weights0, sums.row0_pixel0);
            sums.row0_pixel1 = stq_smlad(columns[1], weights0, sums.row0_pixel1);
            sums.row1_pixel0 = stq_smlad(columns[0], weights1, sums.row1_pixel0);
            sums.row1_pixel1 = stq_smlad(columns[1], weights1, sums.row1_pixel1);
            columns += 2;
        }
    }
    *rows->sums[0]++ = sums.row0_pixel0;
    *rows->sums[0]++ = sums.row1_pixel0;
    *rows->sums[1]++ = sums.row0_pixel1;
    *rows->sums[1]++ = sums.row1_pixel1;
    rows->row = row1;
    rows->end = row1 + rows->pitch / 4;
}

/* The sums of `pairs` pairs of rows and two columns; the structure then has the next rows, and 0 pairs. */
STQ_INLINE void stq_multiply_rows(stq_rows *rows, int32_t bits)
{
    for (; rows->pairs > 0; rows->pairs--) {
        stq_multiply_row_pair(rows, bits);
    }
}

#endif

#endif /* STQ_CONVOLVE_ROWS_H */
