/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_nn_coded.h - what both implementations check of coded weights, and the memory to unpack them (internal to the
 * kernels).
 *
 * A code is unpacked a row at a time, to fields of 2 bits with weight_offset 1. So the kernels' loops know only fields.
 */
#ifndef STQ_NN_CODED_H
#define STQ_NN_CODED_H

#include <stddef.h>

#include "stq_nn.h"

/* Four trits are a number below 81; a piece of gaps is what eight bits begin with. */
#define STQ_TRIT_PIECES 81
#define STQ_GAP_PIECES 256

/* Words of an unpacked row; none for fields. */
static inline int32_t stq_code_row_words(stq_packing packing, int32_t weights)
{
    return packing == STQ_TRITS || packing == STQ_GAPS ? (weights + 15) / 16 : 0;
}

/* Words of what the pieces of a code stand for. */
static inline int32_t stq_code_piece_words(stq_packing packing)
{
    return packing == STQ_TRITS ? (STQ_TRIT_PIECES + 3) / 4 : packing == STQ_GAPS ? STQ_GAP_PIECES : 0;
}

/* Whether the words are enough for `rows` rows, and no gap overflows; always for fields, whose number is not known. */
static inline int stq_code_valid(stq_packing packing, const stq_coded_weights *code, int32_t row_weights, int32_t rows)
{
    if (code == NULL || code->words == NULL) {
        return 0;
    }
    if (packing == STQ_TRITS) {
        const int64_t elements = (int64_t)row_weights * rows;
        return code->count >= 0 && (int64_t)code->count * STQ_TRITS_PER_WORD >= elements;
    }
    return packing != STQ_GAPS || (code->count >= 1 && code->count <= STQ_MAXIMUM_GAP_WORDS && code->gap_bits >= 0 &&
                                   code->gap_bits <= STQ_MAXIMUM_GAP_BITS);
}

/* The same for a convolution. */
static inline int stq_coded_valid(stq_packing packing, const stq_coded_weights *code, const stq_dims *filter_dims,
                                  const stq_dims *output_dims)
{
    return stq_code_valid(packing, code, filter_dims->h * filter_dims->w * filter_dims->c, output_dims->c);
}

#endif /* STQ_NN_CODED_H */
