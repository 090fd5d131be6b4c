/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_gaussian_noise.h - seeded Gaussian noise on a network's input levels, the same as `stq_deploy/network/noise.py`.
 *
 * The noise of element i depends only on (seed, counter, i). It comes from word i mod 4 of block i div 4 of
 * Philox4x32-10. The key is (seed_low, seed_high), and the counter (i div 4, counter_low, counter_high, 0). The word's
 * lowest bit is the sign; the number of thresholds that the other 31 bits reach is the size, in levels.
 */
#ifndef STQ_GAUSSIAN_NOISE_H
#define STQ_GAUSSIAN_NOISE_H

#include "stq_nn.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint32_t seed_low;
    uint32_t seed_high;
    uint32_t counter_low; /* number of the draw: another one gives independent noise */
    uint32_t counter_high;
    int32_t minimum; /* range to which the sum is clamped: the reachable levels of the input */
    int32_t maximum;
    stq_type type; /* of the levels */
    int32_t threshold_count;
    const uint32_t *thresholds; /* ascending, below 2^31; from `noise_table` */
} stq_noise_params;

/*
 * output[i] = clamp(input[i] + noise[i], minimum, maximum), i < count. The output may be the input. Needs no scratch.
 * The sum must fit int32: input levels within +-2^30, at most 65,536 thresholds.
 */
stq_status stq_gaussian_noise(const stq_noise_params *params, int32_t count, const void *input, void *output);

#ifdef __cplusplus
}
#endif

#endif /* STQ_GAUSSIAN_NOISE_H */
