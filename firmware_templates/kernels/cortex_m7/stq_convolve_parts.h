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

/* The pixel behind `at` in an image of `width` columns. */
static inline stq_position stq_next_position(stq_position at, int32_t width)
{
    const stq_position next = {at.x + 1 < width ? at.y : at.y + 1, at.x + 1 < width ? at.x + 1 : 0};
    return next;
}

/*
 * The windows of `pixels` output pixels, 1 or 2, from `at` on, as interleaved columns; taps outside the image are zero.
 * `width` is that of the output.
 */
void stq_gather_windows_s8(const stq_convolve_input *in, stq_position at, int32_t pixels, int32_t width,
                           stq_word *columns);
void stq_gather_windows_s16(const stq_convolve_input *in, stq_position at, int32_t pixels, int32_t width,
                            stq_word *columns);

/* Initial accumulators of two interleaved columns, as int32. */
stq_two_words stq_initial_sums(const stq_word *columns, int32_t pairs, int32_t weight_offset);

#endif /* STQ_CONVOLVE_PARTS_H */
