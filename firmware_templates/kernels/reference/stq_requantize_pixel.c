/* SPDX-License-Identifier: Apache-2.0 */
/* Accumulators to output levels: the nine forms of stq_requantize_kind. */
#include "internal/stq_nn_elements.h"

/* Right shifts of negative numbers are arithmetic in every compiler we build with; left shifts go through unsigned. */
static int32_t by_multiplier(const stq_requantize *rq, int32_t channel, int32_t acc)
{
    const int32_t shifted = (int32_t)((uint32_t)acc << rq->left_shift);
    const int32_t high = (int32_t)(((int64_t)shifted * rq->multiplier[channel]) >> 32);
    const int32_t level = (high + rq->offset[channel]) >> rq->right_shift;

    return level < rq->minimum ? rq->minimum : level > rq->maximum ? rq->maximum : level;
}

static int32_t by_shift(const stq_requantize *rq, int32_t channel, int32_t acc)
{
    const int32_t shift = rq->shift[channel];
    const int32_t value = acc + rq->offset[channel];
    int32_t level = value;

    if (shift > 0) {
        // Half a step up, but less than half where the step below is even: a tie goes to the even one.
        level = (value + ((1 << (shift - 1)) - 1) + ((value >> shift) & 1)) >> shift;
    }
    level += rq->zero_point;
    return level < rq->minimum ? rq->minimum : level > rq->maximum ? rq->maximum : level;
}

static int32_t by_wide(const stq_requantize *rq, int32_t channel, int32_t acc)
{
    const int64_t total = (int64_t)acc * rq->multiplier[channel] + rq->wide_offset[channel];
    const int64_t level = total >> rq->shift[channel];

    return level < rq->minimum ? rq->minimum : level > rq->maximum ? rq->maximum : (int32_t)level;
}

static int32_t by_long(const stq_requantize *rq, int32_t channel, int32_t acc)
{
    const int64_t product = (int64_t)acc * rq->multiplier[channel] + (((int64_t)acc * rq->fraction[channel]) >> 32);
    const int64_t level = (product + rq->wide_offset[channel]) >> rq->shift[channel];
    const int32_t lowest = rq->lowest[channel];
    const int32_t highest = rq->highest[channel];

    return level < lowest ? lowest : level > highest ? highest : (int32_t)level;
}

static int32_t by_packed(const stq_requantize *rq, int32_t channel, int32_t acc)
{
    const int32_t high = (int32_t)(((int64_t)acc * rq->multiplier[channel]) >> 16);
    const int32_t level = (high + rq->offset[channel]) >> rq->right_shift;

    return level < rq->minimum ? rq->minimum : level > rq->maximum ? rq->maximum : level;
}

static int32_t by_rounding(const stq_requantize *rq, int32_t channel, int32_t acc)
{
    const int32_t shift = rq->shift[channel];
    const int32_t left = rq->left_shift + (shift > 0 ? shift : 0);
    const int32_t right = shift < 0 ? -shift : 0;
    const int32_t value = (int32_t)((uint32_t)(acc + rq->offset[channel]) << left);
    const int32_t product = (int32_t)(((int64_t)value * rq->multiplier[channel] + (1 << 30)) >> 31);
    // Half a step up, but less than half below 0: a tie goes away from 0.
    const int32_t half = right > 0 ? (int32_t)(1U << (right - 1)) - (product < 0) : 0;
    const int32_t level = ((product + half) >> right) + rq->zero_point;

    return level < rq->minimum ? rq->minimum : level > rq->maximum ? rq->maximum : level;
}

static int32_t by_thresholds(const stq_requantize *rq, int32_t channel, int32_t acc)
{
    const int32_t *thresholds = rq->thresholds + channel * (rq->levels - 1);
    const int64_t signed_acc = (int64_t)rq->sign[channel] * acc;
    int32_t level = rq->minimum;

    for (int32_t i = 0; i < rq->levels - 1; i++) {
        level += signed_acc >= thresholds[i];
    }
    return level;
}

static int32_t level_of(const stq_requantize *rq, int32_t channel, int32_t acc)
{
    switch (rq->kind) {
    case STQ_REQUANTIZE_MULTIPLIER:
        return by_multiplier(rq, channel, acc);
    case STQ_REQUANTIZE_SHIFT:
        return by_shift(rq, channel, acc);
    case STQ_REQUANTIZE_WIDE:
        return by_wide(rq, channel, acc);
    case STQ_REQUANTIZE_LONG:
        return by_long(rq, channel, acc);
    case STQ_REQUANTIZE_PACKED:
        return by_packed(rq, channel, acc);
    case STQ_REQUANTIZE_ROUNDED:
        return by_rounding(rq, channel, acc);
    case STQ_REQUANTIZE_THRESHOLD:
        return by_thresholds(rq, channel, acc);
    case STQ_REQUANTIZE_TABLE:
        return rq->table[channel * rq->table_stride + (acc - rq->table_base)];
    case STQ_REQUANTIZE_KEEP:
    default:
        return acc;
    }
}

void stq_requantize_pixel(const stq_requantize *rq, const int32_t *acc, int32_t first, int32_t count, void *output)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t channel = first + i;
        stq_set_level(output, rq->output_type, channel, level_of(rq, channel, acc[i]));
    }
}
