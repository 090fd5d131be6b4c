/* SPDX-License-Identifier: Apache-2.0 */
/* stq_coded_weights.h - coded weights as rows, bit by bit: see "Coded weights" in stq_nn.h. */
#ifndef STQ_CODED_WEIGHTS_H
#define STQ_CODED_WEIGHTS_H

#include "internal/stq_nn_coded.h"
#include "internal/stq_nn_elements.h"

/* In place of a number of zeros: all weights that follow are 0. A gap is less. */
#define STQ_NO_MORE_WEIGHTS UINT32_MAX

typedef struct {
    const stq_coded_weights *code;
    stq_packing packing;
    uint32_t read;  /* trits: weights that have been read; gaps: bits */
    uint32_t zeros; /* gaps: weights of 0 that come next, plus 1; or 0 where the next code has not been read */
    int32_t weight; /* gaps: the weight after them */
} stq_code_reader;

static inline int32_t stq_trit(const stq_coded_weights *code, uint32_t index)
{
    uint64_t product = code->words[index / STQ_TRITS_PER_WORD];

    for (uint32_t j = 0; j <= index % STQ_TRITS_PER_WORD; j++) {
        product = (product & UINT32_MAX) * 3U;
    }
    return (int32_t)(product >> 32) - 1;
}

static inline uint32_t stq_code_bit(const stq_coded_weights *code, uint32_t bit)
{
    return (code->words[bit / 32] >> (bit % 32)) & 1U;
}

/* Reads the next code of gaps. */
static inline void stq_read_gap(stq_code_reader *reader)
{
    const stq_coded_weights *code = reader->code;
    const uint32_t end = 32U * (uint32_t)(code->count - 1);
    uint32_t gap = 0;

    while (reader->read < end && stq_code_bit(code, reader->read) == 0) {
        gap++;
        reader->read++;
    }
    if (reader->read >= end) {
        reader->zeros = STQ_NO_MORE_WEIGHTS;
        return;
    }
    reader->read++;
    gap <<= code->gap_bits;
    for (int32_t i = 0; i < code->gap_bits; i++) {
        gap += stq_code_bit(code, reader->read++) << i;
    }
    reader->zeros = gap + 1U;
    reader->weight = stq_code_bit(code, reader->read++) != 0 ? -1 : 1;
}

static inline int32_t stq_next_weight(stq_code_reader *reader)
{
    if (reader->packing == STQ_TRITS) {
        return stq_trit(reader->code, reader->read++);
    }
    if (reader->zeros == 0) {
        stq_read_gap(reader);
    }
    if (reader->zeros == STQ_NO_MORE_WEIGHTS) {
        return 0;
    }
    reader->zeros--;
    return reader->zeros == 0 ? reader->weight : 0;
}

static inline void stq_unpack_row(stq_code_reader *reader, int32_t count, stq_level_s16 *weights)
{
    for (int32_t i = 0; i < count; i++) {
        weights[i] = (int16_t)stq_next_weight(reader);
    }
}

#endif /* STQ_CODED_WEIGHTS_H */
