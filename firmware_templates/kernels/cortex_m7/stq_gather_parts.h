/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_gather_parts.h - shared by the gather convolutions; each part is in the firmware once.
 *
 * Lanes of bytes hold level - minimum, so that a word is four pixels and one ADD is four additions. A sum of at most
 * 255 / (maximum - minimum) entries stays within a byte; then it is added to or subtracted from sums of 16 bits. Lanes
 * of halfwords hold level + input_offset, as the 32-bit number high * 65536 + low. Sums of such numbers are right
 * modulo 2^32 for any signs, and are separated at the end.
 *
 * Order of lanes: a word of sums holds two neighbouring lanes, the lower one in the low half. A word of bytes holds
 * lanes 0, 2, 1, 3 of its four, because UXTAB16 takes bytes 0 and 2 or bytes 1 and 3.
 */
#ifndef STQ_GATHER_PARTS_H
#define STQ_GATHER_PARTS_H

#include "internal/stq_nn_elements.h"
#include "internal/stq_nn_gather.h"
#include "stq_coded_weights.h"
#include "stq_intrinsics.h"

/* Distance of a unit from the one of the first tap, in steps of 8 bytes. */
typedef uint16_t __attribute__((may_alias)) stq_offset;

/* `count` offsets. STQ_GATHER_READ_AHEAD more may be read. */
typedef struct {
    const stq_offset *first;
    int32_t count;
    int32_t head; /* entries of its first block, set by stq_gather_set_sums; all other blocks are full */
} stq_offset_list;

/* A row of weights: sum = (start + sum of plus - sum of minus) * (doubled ? 2 : 1) + total_factor * total. */
typedef struct {
    stq_offset_list plus;
    stq_offset_list minus;
    int32_t doubled;
    int32_t total_factor; /* -1, 0 or 1; total is the sum of every level under the window */
    int32_t start;        /* set by stq_gather_set_sums */
} stq_gather_row;

/* A list of `count` offsets. */
static inline stq_offset_list stq_offsets(const stq_offset *first, int32_t count)
{
    const stq_offset_list list = {first, count, count};
    return list;
}

/*
 * What the sums of lanes of bytes need of a row; lanes of halfwords need no more than the lists. Each entry counts
 * `rise`: level + input_offset, less what its lane holds. At most `block` entries fit a byte.
 */
static inline void stq_gather_set_sums(stq_gather_row *row, int32_t rise, int32_t block)
{
    row->start = rise * (row->plus.count - row->minus.count);
    row->plus.head = row->plus.count > 0 ? (row->plus.count - 1) % block + 1 : 0;
    row->minus.head = row->minus.count > 0 ? (row->minus.count - 1) % block + 1 : 0;
}

/* Where the levels come from: `border` is a pixel of real 0. */
typedef struct {
    const stq_gather_shape *shape;
    const stq_conv_params *window;
    const void *input;
    const void *border;
} stq_gather_source;

/* A layer's shape, and where its parts are in the scratch memory. */
typedef struct {
    stq_gather_shape shape;
    stq_gather_parts parts;
} stq_gather_layout;

/* Whether the arguments are valid; then `layout` is set. */
int stq_gather_lay_out(const stq_context *ctx, const stq_gather_params *params, const stq_dims *input_dims,
                       const stq_dims *filter_dims, const stq_dims *output_dims, stq_packing packing,
                       int32_t lane_bytes, stq_type input_type, stq_gather_layout *layout);

/* The table with lanes of bytes: level - minimum. */
void stq_gather_fill8(const stq_gather_source *from, int32_t minimum, stq_word *table);

/* The table with lanes of halfwords: level + window->input_offset. */
void stq_gather_fill16_s8(const stq_gather_source *from, stq_word *table);
void stq_gather_fill16_s16(const stq_gather_source *from, stq_word *table);

/* Offsets of all weights of a row, in their order. */
void stq_gather_offsets(const stq_gather_shape *s, const stq_dims *filter_dims, int32_t lane_bytes,
                        stq_offset *offsets);

/*
 * For stq_gather_decode_codes: two words for each eight weights, and two more. They are the offsets of the first weight
 * and of the second, each in both halves.
 */
void stq_gather_bases(const stq_gather_shape *s, const stq_dims *filter_dims, int32_t lane_bytes, stq_word *bases);

/* Marks a code of more than two weights of a sign; see stq_gather_codes. */
#define STQ_GATHER_MANY 0x80000000U

/*
 * What four ternary weights stand for, whose offsets are `step` apart: STQ_GATHER_CODE_WORDS words for each code. The
 * first two are four halfwords: offsets of the plus weights from the left, of the minus weights from the right. The
 * others are the bytes that the plus weights take, with STQ_GATHER_MANY or 0, and those of the minus weights.
 */
void stq_gather_codes(uint32_t step, stq_word *codes);

/*
 * Rows of weights as lists in `list`, which has STQ_GATHER_LIST_SLACK elements more than weights can be listed.
 */
stq_gather_row stq_gather_decode_t2(const uint32_t *row, int32_t weights, int32_t weight_offset,
                                    const stq_offset *offsets, stq_offset *list);
stq_gather_row stq_gather_decode_codes(const uint32_t *row, int32_t weights, const stq_word *bases,
                                       const stq_word *codes, stq_offset *list);
stq_gather_row stq_gather_decode_b1(const uint32_t *row, int32_t weights, int32_t weight_offset,
                                    const stq_offset *offsets, stq_offset *list);

/*
 * A row of 4-bit weights as a list of words. The upper half is the distance from the entry before it, or from offset 0.
 * The lowest byte is the weight. Two words of 0 end the list.
 */
stq_gather_row stq_gather_decode_s4(const uint32_t *row, int32_t weights, int32_t weight_offset,
                                    const stq_offset *offsets, stq_offset *list);

/* The same as stq_gather_sum16 for such a list. */
void stq_gather_multiply16(const stq_offset *list, const stq_word *base, stq_word *sums);

/*
 * Sums of 32 lanes of bytes (STQ_GATHER_SUM_WORDS words, a pair in each) or of 16 lanes of halfwords (half as many
 * words, not yet separated). `base` is the unit of the first tap. `totals` are such sums over all weights, for rows that
 * need them. At most `block` entries fit a byte.
 */
void stq_gather_sum8(const stq_gather_row *row, const stq_word *base, int32_t block, const stq_word *totals,
                     stq_word *sums);
void stq_gather_sum16(const stq_gather_row *row, const stq_word *base, const stq_word *totals, stq_word *sums);

/* high * 65536 + low, both int16, as a pair. */
static inline uint32_t stq_separate(uint32_t number)
{
    const uint32_t high = number + 0x8000U; // a negative low half has borrowed one from the high half
    return (number & 0xFFFFU) | (high & 0xFFFF0000U);
}

/* Where the levels of a layer go. */
typedef struct {
    const stq_gather_shape *shape;
    const stq_requantize *rq;
    void *output;
    int32_t together; /* units of a round */
    int32_t usual;    /* whether levels are 0..15 of the packed form, and every lane of every round is a pixel */
} stq_gather_target;

stq_gather_target stq_gather_target_of(const stq_gather_shape *s, const stq_requantize *rq, int32_t together,
                                       void *output);

/* Requantize the sums of a round, whose units begin at column x of row y, and store one channel of their pixels. */
void stq_gather_store(const stq_gather_target *to, const stq_word *sums, int32_t y, int32_t x, int32_t channel);

#endif /* STQ_GATHER_PARTS_H */
