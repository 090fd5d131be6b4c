/* SPDX-License-Identifier: Apache-2.0 */
/* Gaussian noise on levels: a counter-based generator, and a table of thresholds. */
#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_elements.h"

#define STQ_PHILOX_ROUNDS 10
#define STQ_PHILOX_WORDS 4
#define STQ_MOST_THRESHOLDS 65536

static inline uint32_t stq_high_word(uint64_t value)
{
    return (uint32_t)(value >> 32);
}

/* Philox4x32-10 (Salmon et al. 2011) of the counter in `words`; the result replaces it. */
static void stq_philox(uint32_t words[STQ_PHILOX_WORDS], uint32_t key_low, uint32_t key_high)
{
    for (int32_t number = 0; number < STQ_PHILOX_ROUNDS; number++) {
        const uint64_t first = (uint64_t)words[0] * 0xD2511F53U;
        const uint64_t second = (uint64_t)words[2] * 0xCD9E8D57U;

        words[0] = stq_high_word(second) ^ words[1] ^ key_low;
        words[1] = (uint32_t)second;
        words[2] = stq_high_word(first) ^ words[3] ^ key_high;
        words[3] = (uint32_t)first;
        key_low += 0x9E3779B9U;
        key_high += 0xBB67AE85U;
    }
}

/* The number of thresholds that `size` reaches; they ascend. */
static int32_t stq_reached(const uint32_t *thresholds, int32_t count, uint32_t size)
{
    int32_t low = 0;
    int32_t high = count;

    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        if (thresholds[middle] <= size) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

stq_status stq_noise(const stq_noise_params *params, const uint32_t *counter, int32_t count, const void *input,
                     void *output)
{
    if (params == NULL || counter == NULL || count <= 0 || input == NULL || output == NULL ||
        params->minimum > params->maximum || !stq_type_valid(params->type) || params->threshold_count < 0 ||
        params->threshold_count > STQ_MOST_THRESHOLDS || (params->threshold_count > 0 && params->thresholds == NULL)) {
        return STQ_ARGUMENT_ERROR;
    }

    uint32_t words[STQ_PHILOX_WORDS] = {0};
    for (int32_t i = 0; i < count; i++) {
        if (i % STQ_PHILOX_WORDS == 0) {
            words[0] = (uint32_t)(i / STQ_PHILOX_WORDS);
            words[1] = counter[0];
            words[2] = counter[1];
            words[3] = 0;
            stq_philox(words, params->seed_low, params->seed_high);
        }
        const uint32_t word = words[i % STQ_PHILOX_WORDS];
        const int32_t size = stq_reached(params->thresholds, params->threshold_count, word >> 1);
        const int32_t level = stq_level(input, params->type, i) + ((word & 1U) != 0 ? -size : size);
        const int32_t clamped = level < params->minimum   ? params->minimum
                                : level > params->maximum ? params->maximum
                                                          : level;
        stq_set_level(output, params->type, i, clamped);
    }
    return STQ_OK;
}
