/* SPDX-License-Identifier: Apache-2.0 */
/* The table of a gather convolution: the input, eight pixels to a unit, with its border. */
#include "stq_gather_parts.h"

#define STQ_LANES_OF_A_WORD 4

typedef struct {
    int32_t y; /* of lane 0; negative or beyond the image in the border */
    int32_t x;
} stq_place;

/* The levels of a lane's pixel. */
static inline const void *stq_lane_levels(const stq_gather_source *from, stq_type type, stq_place at, int32_t lane)
{
    const stq_gather_shape *s = from->shape;
    const int32_t y = at.y + lane * s->lane_rows;
    const int32_t pixel = y * s->input.w + at.x;
    const int inside = y >= 0 && y < s->input.h && at.x >= 0 && at.x < s->input.w && pixel < s->input_pixels;

    return inside ? stq_level_address(from->input, type, pixel * s->input.c) : from->border;
}

/* Four lanes of bytes of all channels: `out` is the first channel's word, `stride` words from the next. */
static void stq_fill_bytes(const int8_t *const lanes[STQ_LANES_OF_A_WORD], int32_t channels, uint32_t minimum,
                           int32_t stride, stq_word *out)
{
    const int8_t *a = lanes[0];
    const int8_t *b = lanes[1];
    const int8_t *c = lanes[2];
    const int8_t *d = lanes[3];
    int32_t left = channels;

    for (; left >= 4; left -= 4) {
        const uint32_t four_a = stq_load_unaligned(a);
        const uint32_t four_b = stq_load_unaligned(b);
        const uint32_t four_c = stq_load_unaligned(c);
        const uint32_t four_d = stq_load_unaligned(d);
        const uint32_t ab_low = stq_sub_bytes(stq_pack_low(four_a, four_b), minimum);
        const uint32_t cd_low = stq_sub_bytes(stq_pack_low(four_c, four_d), minimum);
        const uint32_t ab_high = stq_sub_bytes(stq_pack_high(four_a, four_b), minimum);
        const uint32_t cd_high = stq_sub_bytes(stq_pack_high(four_c, four_d), minimum);

        out[0] = stq_uxtb16(ab_low) | (stq_uxtb16(cd_low) << 8);
        out[stride] = stq_uxtb16_ror8(ab_low) | (cd_low & 0xFF00FF00U);
        out += 2 * stride;
        out[0] = stq_uxtb16(ab_high) | (stq_uxtb16(cd_high) << 8);
        out[stride] = stq_uxtb16_ror8(ab_high) | (cd_high & 0xFF00FF00U);
        out += 2 * stride;
        a += 4;
        b += 4;
        c += 4;
        d += 4;
    }
    for (; left > 0; left--) {
        out[0] = stq_sub_bytes(stq_pack_bytes(*a++, *c++, *b++, *d++), minimum);
        out += stride;
    }
}

void stq_gather_fill8(const stq_gather_source *from, int32_t minimum, stq_word *table)
{
    const stq_gather_shape *s = from->shape;
    const uint32_t minima = ((uint32_t)minimum & 0xFFU) * 0x01010101U;

    for (int32_t row = 0; row < s->table_rows; row++) {
        stq_word *units = table + row * s->input.c * s->row_units * 2;
        stq_place at = {row * s->step_h - from->window->pad_top, 0};

        for (int32_t phase = 0; phase < s->stride_w; phase++) {
            at.x = phase * s->step_w - from->window->pad_left;
            for (int32_t column = 0; column < s->phase_columns; column++) {
                for (int32_t word = 0; word < STQ_GATHER_LANES / STQ_LANES_OF_A_WORD; word++) {
                    const int8_t *lanes[STQ_LANES_OF_A_WORD];
                    for (int32_t i = 0; i < STQ_LANES_OF_A_WORD; i++) {
                        lanes[i] = stq_lane_levels(from, STQ_S8, at, word * STQ_LANES_OF_A_WORD + i);
                    }
                    stq_fill_bytes(lanes, s->input.c, minima, 2 * s->row_units, units + word);
                }
                units += 2;
                at.x += s->stride_w * s->step_w;
            }
        }
    }
}

/* Lanes a and b of halfwords, of two channels that are pairs (first, second). */
static inline void stq_put_halfwords(uint32_t a, uint32_t b, stq_word *first, stq_word *second)
{
    *first = (uint32_t)stq_pair_low(a) + (b << 16);
    *second = (uint32_t)stq_pair_high(a) + (b & 0xFFFF0000U);
}

/* Two lanes of halfwords of all channels. `type` is a constant. */
static inline void stq_fill_halfwords(const void *a, const void *b, stq_type type, int32_t channels, int32_t offset,
                                      int32_t stride, stq_word *out)
{
    const uint32_t offsets = stq_pair(offset, offset);
    int32_t left = channels;

    for (; left >= 4; left -= 4) {
        if (type == STQ_S8) {
            const uint32_t four_a = stq_load_unaligned(a);
            const uint32_t four_b = stq_load_unaligned(b);
            const uint32_t even_a = stq_sxtab16(offsets, four_a);
            const uint32_t even_b = stq_sxtab16(offsets, four_b);
            const uint32_t odd_a = stq_sxtab16_ror8(offsets, four_a);
            const uint32_t odd_b = stq_sxtab16_ror8(offsets, four_b);
            stq_put_halfwords(even_a, even_b, out, out + 2 * stride);
            stq_put_halfwords(odd_a, odd_b, out + stride, out + 3 * stride);
        } else {
            const uint32_t first_a = stq_sadd16(stq_load_unaligned(a), offsets);
            const uint32_t first_b = stq_sadd16(stq_load_unaligned(b), offsets);
            const uint32_t last_a = stq_sadd16(stq_load_unaligned(stq_level_address(a, type, 2)), offsets);
            const uint32_t last_b = stq_sadd16(stq_load_unaligned(stq_level_address(b, type, 2)), offsets);
            stq_put_halfwords(first_a, first_b, out, out + stride);
            stq_put_halfwords(last_a, last_b, out + 2 * stride, out + 3 * stride);
        }
        a = stq_level_address(a, type, 4);
        b = stq_level_address(b, type, 4);
        out += 4 * stride;
    }
    for (int32_t i = 0; i < left; i++) {
        const uint32_t low = (uint32_t)(stq_level(a, type, i) + offset);
        const uint32_t high = (uint32_t)(stq_level(b, type, i) + offset);
        *out = low + (high << 16);
        out += stride;
    }
}

static inline void stq_gather_fill16(const stq_gather_source *from, stq_type type, stq_word *table)
{
    const stq_gather_shape *s = from->shape;

    for (int32_t row = 0; row < s->table_rows; row++) {
        stq_word *units = table + row * s->input.c * s->row_units * 4;
        stq_place at = {row * s->step_h - from->window->pad_top, 0};

        for (int32_t phase = 0; phase < s->stride_w; phase++) {
            at.x = phase * s->step_w - from->window->pad_left;
            for (int32_t column = 0; column < s->phase_columns; column++) {
                for (int32_t lane = 0; lane < STQ_GATHER_LANES; lane += 2) {
                    stq_fill_halfwords(stq_lane_levels(from, type, at, lane), stq_lane_levels(from, type, at, lane + 1),
                                       type, s->input.c, from->window->input_offset, 4 * s->row_units,
                                       units + lane / 2);
                }
                units += 4;
                at.x += s->stride_w * s->step_w;
            }
        }
    }
}

void stq_gather_fill16_s8(const stq_gather_source *from, stq_word *table)
{
    stq_gather_fill16(from, STQ_S8, table);
}

void stq_gather_fill16_s16(const stq_gather_source *from, stq_word *table)
{
    stq_gather_fill16(from, STQ_S16, table);
}
