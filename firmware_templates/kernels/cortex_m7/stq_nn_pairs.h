/* stq_nn_pairs.h - packed weights as pairs of int16, which SMLAD multiplies. Widths are constants in every caller. */
#ifndef STQ_NN_PAIRS_H
#define STQ_NN_PAIRS_H

#include "stq_intrinsics.h"

/* Pairs in a word of packed weights. */
#define STQ_PAIRS_PER_WORD(bits) (16 / (bits))

/* Two fields of 2 or 4 bits, one in each half. */
static inline uint32_t stq_field_mask(int32_t bits)
{
    // AND takes a shifted second operand only if the first is a register, not a constant.
    return stq_opaque(bits == 2 ? 0x00030003U : 0x000F000FU);
}

/* Pair j of a word: 2- and 4-bit fields as stored (weight_offset not subtracted), 8-bit weights sign-extended. */
static inline uint32_t stq_weight_pair(uint32_t word, int32_t bits, uint32_t mask, int32_t j)
{
    if (bits == 8) {
        return j == 0 ? stq_sxtb16(word) : stq_sxtb16_ror8(word);
    }
    return (word >> (bits * j)) & mask;
}

#endif /* STQ_NN_PAIRS_H */
