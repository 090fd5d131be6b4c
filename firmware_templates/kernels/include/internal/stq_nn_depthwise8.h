/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_nn_depthwise8.h - how the depthwise convolutions on lanes of bytes lay out their scratch memory (internal to the
 * kernels).
 *
 * Four channels are processed at a time, as the four bytes of a word. Their part of the input is copied to a plane: a
 * word for each pixel, with its border. A large image is processed in bands of output rows, so that the plane of a band
 * stays small. Four neighbouring outputs are summed at a time, so a row of the plane reaches as far as they do.
 *
 * The same formulas in Python are in stq_deploy/program/kernels/depthwise_lanes.py; a test compares the sizes.
 */
#ifndef STQ_NN_DEPTHWISE8_H
#define STQ_NN_DEPTHWISE8_H

#include "stq_nn.h"

/* Channels of a word, and neighbouring pixels that are summed at once. */
#define STQ_QUAD 4
/* Words of a plane, unless one row of outputs needs more. */
#define STQ_PLANE_WORDS 1024
/* Words of a tap: its place in the plane, and two masks. */
#define STQ_TAP_WORDS 3
/* Words of the levels of every sum of bytes, for a quad. */
#define STQ_LEVEL_WORDS 256

typedef struct {
    int32_t columns; /* words of a row of the plane */
    int32_t band;    /* output rows of a band */
    int32_t rows;    /* of the plane */
    int32_t padded;  /* outputs of a row, rounded up to whole quads */
} stq_depthwise8_shape;

static inline stq_depthwise8_shape stq_depthwise8_shape_of(const stq_conv_params *window, const stq_dims *filter_dims,
                                                           const stq_dims *output_dims)
{
    const int32_t reach = (filter_dims->h - 1) * window->dilation_h + 1;
    stq_depthwise8_shape s;

    s.padded = (output_dims->w + STQ_QUAD - 1) / STQ_QUAD * STQ_QUAD;
    s.columns = (s.padded - 1) * window->stride_w + (filter_dims->w - 1) * window->dilation_w + 1;
    s.band = STQ_PLANE_WORDS / s.columns < reach ? 1 : (STQ_PLANE_WORDS / s.columns - reach) / window->stride_h + 1;
    s.band = s.band < output_dims->h ? s.band : output_dims->h;
    s.rows = (s.band - 1) * window->stride_h + reach;
    return s;
}

/* Parts of the scratch memory, in words from its start, in this order. */
typedef struct {
    int32_t plane;
    int32_t sums; /* of a row of outputs */
    int32_t taps;
    int32_t levels;
    int32_t words; /* of all */
} stq_depthwise8_parts;

static inline stq_depthwise8_parts stq_depthwise8_parts_of(const stq_depthwise8_shape *s, const stq_dims *filter_dims)
{
    stq_depthwise8_parts p;

    p.plane = 0;
    p.sums = s->rows * s->columns;
    p.taps = p.sums + s->padded;
    p.levels = p.taps + STQ_TAP_WORDS * (filter_dims->h * filter_dims->w + 1);
    p.words = p.levels + STQ_LEVEL_WORDS;
    return p;
}

static inline int32_t stq_depthwise8_buffer_size(const stq_gather_params *params, const stq_dims *filter_dims,
                                                 const stq_dims *output_dims)
{
    const stq_depthwise8_shape shape = stq_depthwise8_shape_of(&params->window, filter_dims, output_dims);
    return 4 * stq_depthwise8_parts_of(&shape, filter_dims).words;
}

#endif /* STQ_NN_DEPTHWISE8_H */
