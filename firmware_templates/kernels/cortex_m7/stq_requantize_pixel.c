/* SPDX-License-Identifier: Apache-2.0 */
/* Accumulators to output levels: the nine forms of stq_requantize_kind, one loop over channels for each. */
#include "stq_intrinsics.h"
#include "internal/stq_nn_elements.h"

/* The level before clamping: LSL, SMMLA, ASR. */
static inline int32_t scaled(const stq_requantize *rq, int32_t channel, int32_t acc)
{
    const int32_t shifted = (int32_t)((uint32_t)acc << rq->left_shift);
    return stq_smmla(shifted, rq->multiplier[channel], rq->offset[channel]) >> rq->right_shift;
}

static void by_multiplier(const stq_requantize *rq, const int32_t *acc, int32_t first, int32_t count, void *output)
{
    const int32_t minimum = rq->minimum;
    const int32_t maximum = rq->maximum;

    for (int32_t i = 0; i < count; i++) {
        const int32_t level = scaled(rq, first + i, acc[i]);

        stq_set_level(output, rq->output_type, first + i,
                      level < minimum   ? minimum
                      : level > maximum ? maximum
                                        : level);
    }
}

/* What four neighbouring channels need; the pointers move on. */
typedef struct {
    const int32_t *acc;
    const int32_t *multiplier;
    const int32_t *offset;
    int32_t left_shift;
    int32_t right_shift;
} four_channels;

/* Four levels, each saturated to a byte. */
static inline uint32_t four_bytes(four_channels *from)
{
#if STQ_DSP && defined(__OPTIMIZE__)
    uint32_t p, q, m, n, o, r, t;
    // One line for each cycle: the instructions in it start together.
    // clang-format off
    __asm__(
        "ldrd %[p], %[q], [%[acc]], #8\n\t"
        "ldrd %[m], %[n], [%[multiplier]], #8\n\t"
        "ldrd %[o], %[r], [%[offset]], #8\n\t"
        "lsl %[p], %[p], %[left]\n\t"                   "lsl %[q], %[q], %[left]\n\t"
        "smmla %[p], %[p], %[m], %[o]\n\t"
        "smmla %[q], %[q], %[n], %[r]\n\t"
        "ldrd %[m], %[n], [%[acc]], #8\n\t"
        "asr %[p], %[p], %[right]\n\t"                  "asr %[q], %[q], %[right]\n\t"
        "ssat %[p], #8, %[p]\n\t"                       "lsl %[m], %[m], %[left]\n\t"
        "ssat %[q], #8, %[q]\n\t"                       "lsl %[n], %[n], %[left]\n\t"
        "ldrd %[o], %[r], [%[multiplier]], #8\n\t"
        "bfi %[p], %[q], #8, #8\n\t"
        "ldrd %[q], %[t], [%[offset]], #8\n\t"
        "smmla %[m], %[m], %[o], %[q]\n\t"
        "smmla %[n], %[n], %[r], %[t]\n\t"
        "asr %[m], %[m], %[right]\n\t"                  "asr %[n], %[n], %[right]\n\t"
        "ssat %[m], #8, %[m]\n\t"
        "ssat %[n], #8, %[n]\n\t"
        "bfi %[p], %[m], #16, #8\n\t"
        "bfi %[p], %[n], #24, #8\n\t"
        : [acc] "+r"(from->acc), [multiplier] "+r"(from->multiplier), [offset] "+r"(from->offset), [p] "=&r"(p),
          [q] "=&r"(q), [m] "=&r"(m), [n] "=&r"(n), [o] "=&r"(o), [r] "=&r"(r), [t] "=&r"(t)
        : [left] "r"(from->left_shift), [right] "r"(from->right_shift)
        : "memory");
    // clang-format on
    return p;
#else
    int32_t bytes[4];
    STQ_UNROLL(4)
    for (int32_t j = 0; j < 4; j++) {
        const int32_t shifted = (int32_t)((uint32_t)*from->acc++ << from->left_shift);
        bytes[j] = stq_ssat8(stq_smmla(shifted, *from->multiplier++, *from->offset++) >> from->right_shift);
    }
    return stq_pack_bytes(bytes[0], bytes[1], bytes[2], bytes[3]);
#endif
}

/* int8 levels, four at a time: saturated to a byte each, then clamped together unless that changes nothing. */
static void by_multiplier_s8(const stq_requantize *rq, const int32_t *acc, int32_t first, int32_t count, void *output)
{
    const uint32_t minimum = ((uint32_t)rq->minimum & 0xFFU) * 0x01010101U;
    const uint32_t maximum = ((uint32_t)rq->maximum & 0xFFU) * 0x01010101U;
    const int clamps = rq->minimum > INT8_MIN || rq->maximum < INT8_MAX;
    four_channels next = {acc, rq->multiplier + first, rq->offset + first, rq->left_shift, rq->right_shift};
    int8_t *level = (int8_t *)output + first;
    int8_t *const end = level + (count & ~3);

    while (level < end) {
        uint32_t levels = four_bytes(&next);
        if (clamps) {
            levels = stq_max_bytes(stq_min_bytes(levels, maximum), minimum);
        }
        stq_store_unaligned(level, levels);
        level += 4;
    }
    if ((count & 3) != 0) {
        by_multiplier(rq, next.acc, first + (count & ~3), count & 3, output);
    }
}

static void by_shift(const stq_requantize *rq, const int32_t *acc, int32_t first, int32_t count, void *output)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t shift = rq->shift[first + i];
        const int32_t value = acc[i] + rq->offset[first + i];
        // Half a step up, but less than half where the step below is even: a tie goes to the even one.
        const int32_t up = shift > 0 ? ((1 << (shift - 1)) - 1) + ((value >> shift) & 1) : 0;
        const int32_t level = ((value + up) >> shift) + rq->zero_point;

        stq_set_level(output, rq->output_type, first + i,
                      level < rq->minimum   ? rq->minimum
                      : level > rq->maximum ? rq->maximum
                                            : level);
    }
}

/* SMLAL, then a shift of two words: of the upper one alone where nothing else is left. `type` is a constant for int8. */
static inline void by_wide(const stq_requantize *rq, stq_type type, const int32_t *acc, int32_t first, int32_t count,
                           void *output)
{
    const int32_t minimum = rq->minimum;
    const int32_t maximum = rq->maximum;

    for (int32_t i = 0; i < count; i++) {
        const int64_t total = (int64_t)acc[i] * rq->multiplier[first + i] + rq->wide_offset[first + i];
        const int32_t shift = rq->shift[first + i];
        int32_t level;

        if (shift >= 32) {
            level = (int32_t)(total >> 32) >> (shift - 32);
        } else {
            const int64_t shifted = total >> shift;
            level = shifted < minimum ? minimum : shifted > maximum ? maximum : (int32_t)shifted;
        }
        stq_set_level(output, type, first + i, level < minimum ? minimum : level > maximum ? maximum : level);
    }
}

/* SMLAL and SMMUL for a multiplier of two words, then a shift of two words. */
static void by_long(const stq_requantize *rq, const int32_t *acc, int32_t first, int32_t count, void *output)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t lowest = rq->lowest[first + i];
        const int32_t highest = rq->highest[first + i];
        const int32_t fine = (int32_t)(((int64_t)acc[i] * rq->fraction[first + i]) >> 32);
        const int64_t product = (int64_t)acc[i] * rq->multiplier[first + i] + fine;
        const int64_t level = (product + rq->wide_offset[first + i]) >> rq->shift[first + i];

        stq_set_level(output, rq->output_type, first + i,
                      level < lowest    ? lowest
                      : level > highest ? highest
                                        : (int32_t)level);
    }
}

/* SMLAWB, a shift and a clamp. */
static void by_packed(const stq_requantize *rq, const int32_t *acc, int32_t first, int32_t count, void *output)
{
    const int32_t right_shift = rq->right_shift;
    const int32_t minimum = rq->minimum;
    const int32_t maximum = rq->maximum;

    for (int32_t i = 0; i < count; i++) {
        const int32_t sum = stq_smlawb(rq->multiplier[first + i], (uint32_t)acc[i], rq->offset[first + i]);
        const int32_t level = sum >> right_shift;

        stq_set_level(output, rq->output_type, first + i,
                      level < minimum   ? minimum
                      : level > maximum ? maximum
                                        : level);
    }
}

/* SMULL and its rounding, then a division by a power of two whose ties go away from 0. */
static void by_rounding(const stq_requantize *rq, const int32_t *acc, int32_t first, int32_t count, void *output)
{
    const int32_t minimum = rq->minimum;
    const int32_t maximum = rq->maximum;

    for (int32_t i = 0; i < count; i++) {
        const int32_t shift = rq->shift[first + i];
        const int32_t left = rq->left_shift + (shift > 0 ? shift : 0);
        const int32_t right = shift < 0 ? -shift : 0;
        const int32_t value = (int32_t)((uint32_t)(acc[i] + rq->offset[first + i]) << left);
        const int32_t product = (int32_t)(((int64_t)value * rq->multiplier[first + i] + (1 << 30)) >> 31);
        const int32_t half = right > 0 ? (int32_t)(1U << (right - 1)) + (product >> 31) : 0;
        const int32_t level = ((product + half) >> right) + rq->zero_point;

        stq_set_level(output, rq->output_type, first + i,
                      level < minimum   ? minimum
                      : level > maximum ? maximum
                                        : level);
    }
}

/* Binary search for the number of thresholds at or below the signed accumulator. `type` is a constant. */
static inline void by_thresholds(const stq_requantize *rq, stq_type type, const int32_t *acc, int32_t first,
                                 int32_t count, void *output)
{
    const int32_t per_channel = rq->levels - 1;

    for (int32_t i = 0; i < count; i++) {
        // INT32_MIN has no negative; INT32_MAX replaces it, because no threshold is above.
        const int32_t value = rq->sign[first + i] > 0 ? acc[i] : acc[i] == INT32_MIN ? INT32_MAX : -acc[i];
        const int32_t *thresholds = rq->thresholds + (first + i) * per_channel;
        int32_t reached = 0;

        for (int32_t left = per_channel; left > 0;) {
            const int32_t half = (left + 1) >> 1;
            reached += thresholds[reached + half - 1] <= value ? half : 0;
            left -= half;
        }
        stq_set_level(output, type, first + i, rq->minimum + reached);
    }
}

static inline void by_table(const stq_requantize *rq, stq_type type, const int32_t *acc, int32_t first, int32_t count,
                            void *output)
{
    const int8_t *row = rq->table + first * rq->table_stride;

    for (int32_t i = 0; i < count; i++) {
        stq_set_level(output, type, first + i, row[acc[i] - rq->table_base]);
        row += rq->table_stride;
    }
}

static void keep(stq_type type, const int32_t *acc, int32_t first, int32_t count, void *output)
{
    for (int32_t i = 0; i < count; i++) {
        stq_set_level(output, type, first + i, acc[i]);
    }
}

void stq_requantize_pixel(const stq_requantize *rq, const int32_t *acc, int32_t first, int32_t count, void *output)
{
    switch (rq->kind) {
    case STQ_REQUANTIZE_MULTIPLIER:
        if (rq->output_type == STQ_S8) {
            by_multiplier_s8(rq, acc, first, count, output);
        } else {
            by_multiplier(rq, acc, first, count, output);
        }
        break;
    case STQ_REQUANTIZE_SHIFT:
        by_shift(rq, acc, first, count, output);
        break;
    case STQ_REQUANTIZE_WIDE:
        if (rq->output_type == STQ_S8) {
            by_wide(rq, STQ_S8, acc, first, count, output);
        } else {
            by_wide(rq, rq->output_type, acc, first, count, output);
        }
        break;
    case STQ_REQUANTIZE_LONG:
        by_long(rq, acc, first, count, output);
        break;
    case STQ_REQUANTIZE_PACKED:
        by_packed(rq, acc, first, count, output);
        break;
    case STQ_REQUANTIZE_ROUNDED:
        by_rounding(rq, acc, first, count, output);
        break;
    case STQ_REQUANTIZE_THRESHOLD:
        if (rq->output_type == STQ_S8) {
            by_thresholds(rq, STQ_S8, acc, first, count, output);
        } else {
            by_thresholds(rq, STQ_S16, acc, first, count, output);
        }
        break;
    case STQ_REQUANTIZE_TABLE:
        if (rq->output_type == STQ_S8) {
            by_table(rq, STQ_S8, acc, first, count, output);
        } else {
            by_table(rq, STQ_S16, acc, first, count, output);
        }
        break;
    case STQ_REQUANTIZE_KEEP:
    default:
        keep(rq->output_type, acc, first, count, output);
        break;
    }
}
