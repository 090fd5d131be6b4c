/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_coded_weights.h - coded weights, unpacked a row at a time to fields of 2 bits: see "Coded weights" in stq_nn.h.
 */
#ifndef STQ_CODED_WEIGHTS_H
#define STQ_CODED_WEIGHTS_H

#include "internal/stq_nn_coded.h"
#include "stq_intrinsics.h"

/*
 * Where reading stands. Pieces of a code are weights in their order, the first in the lowest two bits. The lowest
 * `waiting` bits of `fields` are weights that have been read and not yet written.
 */
typedef struct {
    const uint32_t *words;  /* trits: the next one; gaps: all */
    const stq_word *pieces; /* trits: a byte each; gaps: a word each */
    uint32_t fields;
    uint32_t waiting;
    uint32_t window; /* what is read next: trits as a fraction, or bits */
    uint32_t left;   /* trits: pieces in it; gaps: bits */
    uint32_t bit;    /* gaps: where it begins */
    uint32_t end;    /* gaps: the bit at which the last word begins */
} stq_code_reader;

/* Before the first row. `pieces` has stq_code_piece_words(packing) words, and is written. */
stq_code_reader stq_start_code(stq_packing packing, const stq_coded_weights *code, stq_word *pieces);

/* The next row of `weights` weights, as packed fields. */
void stq_unpack_trits(stq_code_reader *reader, int32_t weights, stq_word *row);
void stq_unpack_gaps(stq_code_reader *reader, int32_t weights, stq_word *row);

#endif /* STQ_CODED_WEIGHTS_H */
