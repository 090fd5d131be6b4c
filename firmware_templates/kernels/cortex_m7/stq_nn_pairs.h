/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_nn_pairs.h - packed weights as pairs of int16, which SMLAD multiplies. Widths are constants in every caller.
 *
 * 1-bit weights are unpacked likewise, by a rotation and a mask in one AND. Levels can also be picked by the bits:
 * UADD8 moves four bits into the flags, SEL picks bytes, USADA8 sums them. That takes fewer instructions, but as many
 * cycles by LLVM's model of the core, and works only for int8.
 */
#ifndef STQ_NN_PAIRS_H
#define STQ_NN_PAIRS_H

#include "stq_intrinsics.h"
#include "internal/stq_nn_scratch.h"

/* Pairs in a word of packed weights. */
#define STQ_PAIRS_PER_WORD(bits) (16 / (bits))

/*
 * Steps in which a row of `count` weights is multiplied. A step is a word, or a half-word for 1-bit weights. A row that
 * does not fill its last word seldom needs all of it.
 */
STQ_INLINE int32_t stq_row_steps(int32_t count, int32_t bits)
{
    return bits == 1 ? (count + 15) / 16 : stq_row_words(count, bits);
}

/* Two fields of up to 4 bits, one in each half. */
STQ_INLINE uint32_t stq_field_mask(int32_t bits, int32_t weight_offset)
{
    // AND takes a shifted second operand only if the first is a register, not a constant.
    return stq_opaque(bits == 1 ? 0x00010001U << weight_offset : bits == 2 ? 0x00030003U : 0x000F000FU);
}

/* Pair j of a word: fields of up to 4 bits as w + weight_offset, 8-bit weights sign-extended, 16-bit as they are. */
STQ_INLINE uint32_t stq_weight_pair(uint32_t word, int32_t bits, uint32_t mask, int32_t j)
{
    if (bits == 16) {
        return word;
    }
    if (bits == 1) {
        return stq_rotate_right(word, j) & mask;
    }
    if (bits == 8) {
        return j == 0 ? stq_sxtb16(word) : stq_sxtb16_ror8(word);
    }
    return (word >> (bits * j)) & mask;
}

/* The next word of a row. */
STQ_INLINE uint32_t stq_next_word(const uint32_t **row)
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

// Without optimization the compiler keeps too few registers free for the assembly.
#if STQ_DSP && defined(__OPTIMIZE__)
#define STQ_HAND_WRITTEN 1
#else
#define STQ_HAND_WRITTEN 0
#endif

#endif /* STQ_NN_PAIRS_H */
