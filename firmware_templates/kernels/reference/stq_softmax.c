/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax over the channels, by a table of exponentials. */
#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_elements.h"

/* The exponential of a level; `largest` is the pixel's largest. */
static inline uint32_t stq_exponential(const int32_t *table, int32_t entries, int32_t largest, int32_t level)
{
    const uint32_t below = (uint32_t)largest - (uint32_t)level;

    return (uint32_t)table[below < (uint32_t)entries ? (int32_t)below : entries - 1];
}

static inline void stq_softmax_pixel(const stq_softmax_params *params, const int32_t *table, int32_t channels,
                                     const void *input, int16_t *output)
{
    const stq_type type = params->input_type;
    int32_t largest = INT32_MIN;
    uint32_t sum = 0;

    for (int32_t c = 0; c < channels; c++) {
        const int32_t level = stq_level(input, type, c);
        largest = level > largest ? level : largest;
    }
    for (int32_t c = 0; c < channels; c++) {
        sum += stq_exponential(table, params->entries, largest, stq_level(input, type, c));
    }
    for (int32_t c = 0; c < channels; c++) {
        const uint32_t e = stq_exponential(table, params->entries, largest, stq_level(input, type, c));
        const uint32_t quotient = ((e << 15) + sum / 2U) / sum;
        stq_set_level(output, STQ_S16, c, (int32_t)(quotient < INT16_MAX ? quotient : INT16_MAX));
    }
}

stq_status stq_softmax(const stq_softmax_params *params, const int32_t *table, int32_t pixels, int32_t channels,
                       const void *input, int16_t *output)
{
    if (params == NULL || !stq_type_valid(params->input_type) || params->entries <= 0 || table == NULL || pixels <= 0 ||
        channels <= 0 || channels > INT16_MAX || input == NULL || output == NULL) {
        return STQ_ARGUMENT_ERROR;
    }

    for (int32_t pixel = 0; pixel < pixels; pixel++) {
        const int32_t first = pixel * channels;
        stq_softmax_pixel(params, table, channels, stq_level_address(input, params->input_type, first), output + first);
    }
    return STQ_OK;
}
