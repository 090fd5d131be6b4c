/* SPDX-License-Identifier: Apache-2.0 */
/* The sums of a gather convolution as output levels. */
#include <stddef.h>

#include "stq_gather_parts.h"

/* How a sum of the packed form becomes a level: two instructions for the usual outputs. */
typedef enum {
    STQ_LEVELS_0_TO_15,
    STQ_LEVELS_S8,
    STQ_LEVELS_ANY,
} stq_levels;

typedef struct {
    const stq_requantize *rq;
    int32_t multiplier;
    int32_t offset;
} stq_packed;

/* `levels` is a constant. */
static inline int32_t stq_packed_level(const stq_packed *q, stq_levels levels, int32_t value)
{
    if (levels == STQ_LEVELS_0_TO_15) {
        return stq_usat4_high(value);
    }
    if (levels == STQ_LEVELS_S8) {
        return stq_ssat8_high(value);
    }
    const int32_t level = value >> q->rq->right_shift;
    return level < q->rq->minimum ? q->rq->minimum : level > q->rq->maximum ? q->rq->maximum : level;
}

/* A part of the output: units from pixel `pixel` of lane 0 on, the first `columns` of which are within the image. */
typedef struct {
    const stq_gather_shape *shape;
    const stq_word *sums;
    int32_t together;
    int32_t columns;
    int32_t pixel;
    int32_t channel;
} stq_stored_units;

/* Pixels from one lane to the next. */
static inline int32_t stq_lane_pixels(const stq_gather_shape *s)
{
    return s->rows * s->columns;
}

/* Whether every lane of every unit is a pixel. */
static inline int stq_all_pixels(const stq_stored_units *u)
{
    const int32_t last = u->pixel + (STQ_GATHER_LANES - 1) * stq_lane_pixels(u->shape) + u->together - 1;
    return u->columns == u->together && last < u->shape->output_pixels;
}

/* The levels of two lanes. `levels` is a constant. */
static inline void stq_store_pair(const stq_packed *q, stq_levels levels, uint32_t pair, int8_t *low, int8_t *high)
{
    *low = (int8_t)stq_packed_level(q, levels, stq_smlawb(q->multiplier, pair, q->offset));
    *high = (int8_t)stq_packed_level(q, levels, stq_smlawt(q->multiplier, pair, q->offset));
}

/*
 * The levels of all lanes of a round as bytes: two units at a time, because there are two or four. `levels` is a
 * constant, and `low` the first level.
 */
static inline void stq_store_all(const stq_gather_target *to, const stq_packed *q, stq_levels levels,
                                 const stq_word *pairs, int8_t *low)
{
    const int32_t channels = to->shape->output.c;
    const int32_t lane = stq_lane_pixels(to->shape) * channels;

    for (int32_t units = to->together; units > 0; units -= 2) {
        int8_t *level = low;

        STQ_UNROLL(1)
        for (int32_t word = 0; word < STQ_GATHER_LANES / 2; word++) {
            stq_store_pair(q, levels, pairs[0], level, level + lane);
            stq_store_pair(q, levels, pairs[STQ_GATHER_LANES / 2], level + channels, level + channels + lane);
            pairs++;
            level += 2 * lane;
        }
        pairs += STQ_GATHER_LANES / 2;
        low += 2 * channels;
    }
}

/* The sum of a lane of a unit. */
static inline int32_t stq_lane_sum(const stq_stored_units *u, int32_t unit, int32_t lane)
{
    const uint32_t pair = u->sums[(unit * STQ_GATHER_LANES + lane) / 2];
    return lane % 2 == 0 ? stq_pair_low(pair) : stq_pair_high(pair);
}

/* The lanes that are pixels: the packed form if there is one, else any. */
static void stq_store_some(const stq_stored_units *u, const stq_requantize *rq, const stq_packed *packed, void *output)
{
    const int32_t channels = u->shape->output.c;
    int32_t pixel = u->pixel;

    for (int32_t lane = 0; lane < STQ_GATHER_LANES; lane++) {
        for (int32_t unit = 0; unit < u->columns && pixel + unit < u->shape->output_pixels; unit++) {
            const int32_t sum = stq_lane_sum(u, unit, lane);
            void *levels = stq_output_pixel(output, rq->output_type, channels, pixel + unit);
            if (packed != NULL) {
                const int32_t value = stq_smlawb(packed->multiplier, (uint32_t)sum, packed->offset);
                stq_set_level(levels, rq->output_type, u->channel, stq_packed_level(packed, STQ_LEVELS_ANY, value));
            } else {
                stq_requantize_pixel(rq, &sum, u->channel, 1, levels);
            }
        }
        pixel += stq_lane_pixels(u->shape);
    }
}

/* The levels of a round, whatever the layer. */
static STQ_NOINLINE void stq_store_any(const stq_gather_target *to, const stq_word *sums, int32_t y, int32_t x,
                                       int32_t channel)
{
    const stq_gather_shape *s = to->shape;
    const stq_requantize *rq = to->rq;
    const int32_t columns = s->columns - x < to->together ? s->columns - x : to->together;
    const stq_stored_units units = {s, sums, to->together, columns, y * s->columns + x, channel};

    if (rq->kind != STQ_REQUANTIZE_PACKED) {
        stq_store_some(&units, rq, NULL, to->output);
        return;
    }
    const stq_packed q = {rq, rq->multiplier[channel], rq->offset[channel]};
    int8_t *low = (int8_t *)to->output + units.pixel * s->output.c + channel;
    if (rq->output_type != STQ_S8 || !stq_all_pixels(&units)) {
        stq_store_some(&units, rq, &q, to->output);
    } else if (rq->right_shift == 16 && rq->minimum == 0 && rq->maximum == 15) {
        stq_store_all(to, &q, STQ_LEVELS_0_TO_15, sums, low);
    } else if (rq->right_shift == 16 && rq->minimum == -128 && rq->maximum == 127) {
        stq_store_all(to, &q, STQ_LEVELS_S8, sums, low);
    } else {
        stq_store_all(to, &q, STQ_LEVELS_ANY, sums, low);
    }
}

stq_gather_target stq_gather_target_of(const stq_gather_shape *s, const stq_requantize *rq, int32_t together,
                                       void *output)
{
    const int32_t fills_lanes = s->columns % together == 0 && STQ_GATHER_LANES * stq_lane_pixels(s) == s->output_pixels;
    const int32_t usual = rq->kind == STQ_REQUANTIZE_PACKED && rq->output_type == STQ_S8 && rq->right_shift == 16 &&
                          rq->minimum == 0 && rq->maximum == 15;
    const stq_gather_target to = {s, rq, output, together, fills_lanes && usual};
    return to;
}

void stq_gather_store(const stq_gather_target *to, const stq_word *sums, int32_t y, int32_t x, int32_t channel)
{
    if (!to->usual) {
        stq_store_any(to, sums, y, x, channel);
        return;
    }
    const stq_packed q = {to->rq, to->rq->multiplier[channel], to->rq->offset[channel]};
    const int32_t pixel = y * to->shape->columns + x;
    stq_store_all(to, &q, STQ_LEVELS_0_TO_15, sums, (int8_t *)to->output + pixel * to->shape->output.c + channel);
}
