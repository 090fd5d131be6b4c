/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_convolve_parts.h - shared by the convolutions of all weight widths; each part is in the firmware once.
 */
#ifndef STQ_CONVOLVE_PARTS_H
#define STQ_CONVOLVE_PARTS_H

#include "stq_intrinsics.h"
#include "stq_nn.h"

typedef struct {
    const stq_conv_params *params;
    const stq_dims *input_dims;
    const void *input;
    const stq_dims *filter_dims;
    int32_t stretch; /* adjacent taps of a kernel row in memory */
} stq_convolve_input;

/* An output pixel. */
typedef struct {
    int32_t y;
    int32_t x;
} stq_position;

/*
 * Rows of the windows of two output pixels, at `at` and `step` farther, as interleaved columns; taps outside the image
 * are zero. The first `filter_dims->h` rows are those of the two windows, and more rows follow below these.
 */
void stq_gather_strip_s8(const stq_convolve_input *in, stq_position at, stq_position step, int32_t rows,
                         stq_word *columns);
void stq_gather_strip_s16(const stq_convolve_input *in, stq_position at, stq_position step, int32_t rows,
                          stq_word *columns);

/* Initial accumulators of two interleaved columns, as int32. */
stq_two_words stq_initial_sums(const stq_word *columns, int32_t pairs, int32_t weight_offset);

#endif /* STQ_CONVOLVE_PARTS_H */
