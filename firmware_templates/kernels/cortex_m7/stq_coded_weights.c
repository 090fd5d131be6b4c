/* SPDX-License-Identifier: Apache-2.0 */
/* Coded weights as rows of fields. A table says what the next bits of a code begin with: up to eight weights at once. */
#include "stq_coded_weights.h"

/* Weights of 0 as fields of a halfword. */
#define STQ_ZERO_FIELDS 0x5555U

/* Four trits as a number, the first the most significant -> their fields. */
static void stq_trit_pieces(uint8_t *pieces)
{
    for (uint32_t number = 0; number < STQ_TRIT_PIECES; number++) {
        const uint32_t first = number / 27U;
        const uint32_t second = number / 9U % 3U;
        const uint32_t third = number / 3U % 3U;
        pieces[number] = (uint8_t)(first | second << 2 | third << 4 | number % 3U << 6);
    }
}

/* The weights that eight bits begin with, at most eight: their fields, the bits of these << 16, and the bits read << 24. */
static uint32_t stq_gap_piece(uint32_t bits, uint32_t gap_bits)
{
    uint32_t fields = 0;
    uint32_t weights = 0;
    uint32_t used = 0;

    for (;;) {
        const uint32_t begins = bits >> used;
        const uint32_t ends = begins & 1U; // with a weight that is not 0
        const uint32_t zeros = ends != 0 ? (begins >> 1) & ((1U << gap_bits) - 1U) : 1U << gap_bits;
        const uint32_t length = ends != 0 ? gap_bits + 2U : 1U;

        if (used + length > 8U || weights + zeros + ends > 8U) {
            return fields | weights << 17 | used << 24;
        }
        fields |= (STQ_ZERO_FIELDS & ((1U << (2U * zeros)) - 1U)) << (2U * weights);
        weights += zeros;
        if (ends != 0) {
            const uint32_t negative = (begins >> (gap_bits + 1U)) & 1U;
            fields |= (negative != 0 ? 0U : 2U) << (2U * weights);
            weights++;
        }
        used += length;
    }
}

stq_code_reader stq_start_code(stq_packing packing, const stq_coded_weights *code, stq_word *pieces)
{
    const stq_code_reader start = {
        .words = code->words,
        .pieces = pieces,
        .end = packing == STQ_GAPS ? 32U * (uint32_t)(code->count - 1) : 0U,
    };

    if (packing == STQ_TRITS) {
        stq_trit_pieces((uint8_t *)pieces);
    } else {
        for (uint32_t bits = 0; bits < STQ_GAP_PIECES; bits++) {
            pieces[bits] = stq_gap_piece(bits, (uint32_t)code->gap_bits);
        }
    }
    return start;
}

STQ_INLINE void stq_read_trits(stq_code_reader *reader)
{
    if (reader->left == 0) {
        reader->window = *reader->words++;
        reader->left = STQ_TRITS_PER_WORD / 4U;
    }
    reader->left--;
    const uint64_t product = (uint64_t)reader->window * STQ_TRIT_PIECES;
    const uint32_t piece = ((const uint8_t *)reader->pieces)[product >> 32];
    reader->window = (uint32_t)product;
    reader->fields |= piece << reader->waiting;
    reader->waiting += 8U;
}

STQ_INLINE void stq_read_gaps(stq_code_reader *reader)
{
    if (reader->left < 8U) {
        // The load ends within the last word. What lies beyond that is not read, and stands for zeros.
        reader->window = 0;
        if (reader->bit < reader->end) {
            const uint8_t *byte = (const uint8_t *)reader->words + (reader->bit >> 3);
            reader->window = stq_load_unaligned(byte) >> (reader->bit & 7U);
        }
        reader->left = 25;
    }
    const uint32_t piece = reader->pieces[reader->window & 0xFFU];
    const uint32_t used = piece >> 24;
    reader->window >>= used;
    reader->left -= used;
    reader->bit += used;
    reader->fields |= (piece & 0xFFFFU) << reader->waiting;
    reader->waiting += (piece >> 16) & 0xFFU;
}

/* The next `count` weights, at most eight, as fields of a halfword, with zeros behind them. At most seven wait after. */
STQ_INLINE uint32_t stq_take(stq_code_reader *reader, stq_packing packing, uint32_t count)
{
    while (reader->waiting < 2U * count) {
        if (packing == STQ_TRITS) {
            stq_read_trits(reader);
        } else {
            stq_read_gaps(reader);
        }
    }
    const uint32_t mask = (1U << (2U * count)) - 1U;
    const uint32_t taken = (reader->fields & mask) | (STQ_ZERO_FIELDS & ~mask);
    reader->fields >>= 2U * count;
    reader->waiting -= 2U * count;
    return taken;
}

/* Sixteen fields in their order as a packed word: even ones to the low half, odd ones to the high half. */
static inline uint32_t stq_packed_order(uint32_t fields)
{
    uint32_t swap = (fields ^ (fields >> 2)) & 0x0C0C0C0CU;
    fields ^= swap ^ (swap << 2);
    swap = (fields ^ (fields >> 4)) & 0x00F000F0U;
    fields ^= swap ^ (swap << 4);
    swap = (fields ^ (fields >> 8)) & 0x0000FF00U;
    return fields ^ swap ^ (swap << 8);
}

STQ_INLINE void stq_unpack(stq_code_reader *reader, stq_packing packing, int32_t weights, stq_word *row)
{
    stq_code_reader local = *reader; // in registers

    for (; weights >= 16; weights -= 16) {
        const uint32_t low = stq_take(&local, packing, 8);
        *row++ = stq_packed_order(low | stq_take(&local, packing, 8) << 16);
    }
    if (weights > 0) {
        const uint32_t first = weights < 8 ? (uint32_t)weights : 8U;
        const uint32_t low = stq_take(&local, packing, first);
        *row = stq_packed_order(low | stq_take(&local, packing, (uint32_t)weights - first) << 16);
    }
    *reader = local;
}

void stq_unpack_trits(stq_code_reader *reader, int32_t weights, stq_word *row)
{
    stq_unpack(reader, STQ_TRITS, weights, row);
}

void stq_unpack_gaps(stq_code_reader *reader, int32_t weights, stq_word *row)
{
    stq_unpack(reader, STQ_GAPS, weights, row);
}
