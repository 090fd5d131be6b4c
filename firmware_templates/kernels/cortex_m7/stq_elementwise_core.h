/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_elementwise_core.h - ops on every element of two tensors, then requantization; STQ_DEFINE_ELEMENTWISE makes
 * the public names.
 *
 * A block of a pixel's channels is accumulated, in a loop made for the two types, and then requantized together.
 */
#ifndef STQ_ELEMENTWISE_CORE_H
#define STQ_ELEMENTWISE_CORE_H

#include "stq_intrinsics.h"
#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_define.h"
#include "internal/stq_nn_elements.h"
#include "internal/stq_nn_scratch.h"

typedef enum {
    STQ_ELEMENTWISE_ADD,
    STQ_ELEMENTWISE_MAXIMUM,
    STQ_ELEMENTWISE_MINIMUM,
    STQ_ELEMENTWISE_MULTIPLY,
} stq_elementwise_op;

/* Two levels as words: factors and offsets are applied modulo 2^32, and the result is known to fit. */
STQ_INLINE int32_t stq_combine(stq_elementwise_op op, const stq_elementwise_params *params, uint32_t a, uint32_t b)
{
    const uint32_t a_offset = (uint32_t)params->a_offset;
    const uint32_t b_offset = (uint32_t)params->b_offset;
    if (op == STQ_ELEMENTWISE_MULTIPLY) {
        return (int32_t)((a + a_offset) * (b + b_offset));
    }
    const uint32_t a_factor = (uint32_t)params->a_factor;
    const uint32_t b_factor = (uint32_t)params->b_factor;
    if (op == STQ_ELEMENTWISE_ADD) { // one MLA each: the offsets add the same constant to every element
        return (int32_t)(a * a_factor + (b * b_factor + (a_offset * a_factor + b_offset * b_factor)));
    }
    const int32_t x = (int32_t)(a * a_factor + a_offset * a_factor);
    const int32_t y = (int32_t)(b * b_factor + b_offset * b_factor);
    return (op == STQ_ELEMENTWISE_MAXIMUM) == (x > y) ? x : y;
}

/*
 * Sums of int8 levels, a word of each input at a time, where the factors fit 16 bits. Returns the number of elements
 * that it has done.
 */
STQ_INLINE int32_t stq_add_words(const stq_elementwise_params *params, const void *a, const void *b, int32_t count,
                                 int32_t *acc)
{
    const int32_t a_factor = params->a_factor;
    const int32_t b_factor = params->b_factor;
    if (a_factor != (int16_t)a_factor || b_factor != (int16_t)b_factor) {
        return 0;
    }
    const uint32_t a_factors = stq_pair(a_factor, a_factor);
    const uint32_t b_factors = stq_pair(b_factor, b_factor);
    const int32_t constant =
        (int32_t)((uint32_t)params->a_offset * (uint32_t)a_factor + (uint32_t)params->b_offset * (uint32_t)b_factor);
    int32_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const uint32_t a_word = stq_load_unaligned(stq_level_address(a, STQ_S8, i));
        const uint32_t b_word = stq_load_unaligned(stq_level_address(b, STQ_S8, i));
        const uint32_t a_even = stq_sxtb16(a_word);
        const uint32_t b_even = stq_sxtb16(b_word);
        const uint32_t a_odd = stq_sxtb16_ror8(a_word);
        const uint32_t b_odd = stq_sxtb16_ror8(b_word);
        acc[i] = stq_smlabb(b_even, b_factors, stq_smlabb(a_even, a_factors, constant));
        acc[i + 1] = stq_smlabb(b_odd, b_factors, stq_smlabb(a_odd, a_factors, constant));
        acc[i + 2] = stq_smlatt(b_even, b_factors, stq_smlatt(a_even, a_factors, constant));
        acc[i + 3] = stq_smlatt(b_odd, b_factors, stq_smlatt(a_odd, a_factors, constant));
    }
    return i;
}

/* `op` and the types are constants in every call, so that the loop has no branches. */
STQ_INLINE void stq_accumulate(stq_elementwise_op op, const stq_elementwise_params *params, stq_type a_type,
                               const void *a, stq_type b_type, const void *b, int32_t count, int32_t *acc)
{
    const stq_elementwise_params constants = *params; // `acc` cannot alias a copy

    const int has_words = op == STQ_ELEMENTWISE_ADD && a_type == STQ_S8 && b_type == STQ_S8;
    int32_t i = has_words ? stq_add_words(&constants, a, b, count, acc) : 0;
    STQ_UNROLL(4)
    for (; i < count; i++) {
        acc[i] = stq_combine(op, &constants, (uint32_t)stq_level(a, a_type, i), (uint32_t)stq_level(b, b_type, i));
    }
}

STQ_INLINE void stq_accumulate_with(stq_elementwise_op op, const stq_elementwise_params *params, stq_type a_type,
                                    const void *a, const void *b, int32_t count, int32_t *acc)
{
    if (params->b_type == STQ_S8) {
        stq_accumulate(op, params, a_type, a, STQ_S8, b, count, acc);
    } else if (params->b_type == STQ_S16) {
        stq_accumulate(op, params, a_type, a, STQ_S16, b, count, acc);
    } else {
        stq_accumulate(op, params, a_type, a, STQ_S32, b, count, acc);
    }
}

STQ_INLINE void stq_accumulate_block(stq_elementwise_op op, const stq_elementwise_params *params, const void *a,
                                     const void *b, int32_t count, int32_t *acc)
{
    if (params->a_type == STQ_S8) {
        stq_accumulate_with(op, params, STQ_S8, a, b, count, acc);
    } else if (params->a_type == STQ_S16) {
        stq_accumulate_with(op, params, STQ_S16, a, b, count, acc);
    } else {
        stq_accumulate_with(op, params, STQ_S32, a, b, count, acc);
    }
}

STQ_INLINE stq_status stq_elementwise(stq_elementwise_op op, const stq_context *ctx,
                                      const stq_elementwise_params *params, const stq_requantize *rq, int32_t pixels,
                                      int32_t channels, const void *a, const void *b, void *output)
{
    if (!stq_elementwise_valid(params, pixels, channels) || rq == NULL || a == NULL || b == NULL || output == NULL ||
        !stq_scratch_valid(ctx, stq_channel_block_buffer_size(channels))) {
        return STQ_ARGUMENT_ERROR;
    }

    int32_t *acc = ctx->buffer;
    for (int32_t pixel = 0; pixel < pixels; pixel++) {
        void *output_pixel = stq_output_pixel(output, rq->output_type, channels, pixel);
        for (int32_t first = 0; first < channels; first += STQ_CHANNEL_BLOCK) {
            const int32_t left = channels - first;
            const int32_t count = left < STQ_CHANNEL_BLOCK ? left : STQ_CHANNEL_BLOCK;
            stq_accumulate_block(op, params, stq_level_address(a, params->a_type, pixel * channels + first),
                                 stq_level_address(b, params->b_type, pixel * channels + first), count, acc);
            stq_requantize_pixel(rq, acc, first, count, output_pixel);
        }
    }
    return STQ_OK;
}

#endif /* STQ_ELEMENTWISE_CORE_H */
