/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_nn.h - kernels for few-bit neural networks.
 *
 * Every kernel exists twice under the contract written here: `reference/` is portable C99, `cortex_m7/` uses the
 * DSP extension. Both give the same bytes for every valid input; which one is linked is the build's choice.
 *
 * Conventions
 *  - Images are (height, width, channels), channels fastest. There is no batch: a call is one sample.
 *  - A level x means (x + input_offset) * scale; input_offset is minus the zero point. Padding is real 0.
 *  - In kernels with weights, level + input_offset fits int16 for every level that occurs.
 *  - Kernels own no memory. The caller passes scratch in stq_context; each kernel's `_get_buffer_size` gives its
 *    bytes, by the formula beside its prototype, which is the same for both implementations.
 *  - Scratch, packed weights and arrays of int32 are aligned to 4 bytes, int64 to 8, int16 to 2; int8 has any
 *    alignment. The Cortex-M7 kernels load int8 and int16 levels as words at any address, with LDR and STR only. The
 *    core allows that in normal memory while CCR.UNALIGN_TRP is 0.
 *  - Input and output never overlap, unless stated. Where the output may replace an input, both begin at the same byte.
 *  - The host checks arguments once, when the network is converted. Kernels only make cheap checks, and return
 *    STQ_ARGUMENT_ERROR without having written anything.
 */
#ifndef STQ_NN_H
#define STQ_NN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    STQ_OK = 0,
    STQ_ARGUMENT_ERROR = -1,
} stq_status;

/* Scratch memory for one call; its content between calls has no meaning. */
typedef struct {
    void *buffer;
    int32_t size; /* bytes */
} stq_context;

typedef struct {
    int32_t h;
    int32_t w;
    int32_t c;
} stq_dims;

/* The type of an element of a tensor. */
typedef enum {
    STQ_S8 = 0,
    STQ_S16 = 1,
    STQ_S32 = 2,
} stq_type;

/*
 * Packed weights
 *
 * A weight w has b bits (b1: b = 1, t2: 2, s4: 4, s8: 8, s16: 16). t2 and s4 store it as the field w + weight_offset.
 * For t2, weight_offset is 1 if weights are ternary and 2 if they are -2..1; for s4 it is 8. s8 and s16 store two's
 * complement, with weight_offset 0.
 *
 * A row of fields is padded to whole 32-bit words with fields of weight 0. Element 2j of a word's 32/b elements is in
 * bits [b*j, b*j + b), element 2j + 1 in bits [16 + b*j, 16 + b*j + b). One shift and one mask give two neighbouring
 * weights in the two halves of a register, as SMLAD needs them.
 *
 * A b1 weight is -1 or 1 (weight_offset 1), or 0 or 1 (weight_offset 0). Then w + weight_offset is 0 or
 * 1 << weight_offset, and only that bit is stored. Element 2j is bit j + weight_offset. Element 2j + 1 is bit
 * (16 + j + weight_offset) mod 32. A rotation and a mask give w + weight_offset in two halves. -1 and 1 have no field
 * for weight 0: b1 rows are padded with zeros, and kernels ignore the padding.
 *
 * Rows and the order of their elements:
 *  - convolve: one row per output channel, elements in (kernel row, kernel column, input channel of the group) order.
 *  - depthwise_convolve: one row per kernel tap, in (kernel row, kernel column) order; elements are output channels.
 *  - dense: one row per output.
 *
 * Coded weights
 *
 * Ternary weights also have two packings that take less flash. They are read from the first word on, row after row,
 * with no break between rows. `elements` are the weights of all rows.
 *
 * Trits (1.6 bits a weight): a word w has 20 weights. Weight j is floor(w * 3^(j + 1) / 2^32) mod 3, less 1. Words are
 * filled up with weights of 0.
 *
 * Gaps (the fewest bits for most shares of zeros): a stream of bits, from the lowest bit of a word to the highest. Each
 * weight that is not 0 is a code. With g zeros since the one before, or since the start:
 *  - g >> gap_bits bits 0, then a bit 1,
 *  - the lowest gap_bits bits of g, the lowest first,
 *  - a bit that is 1 for a weight of -1.
 * Bits 0 fill the word after the last code, and one word more. Weights beyond them are 0.
 *
 * Whatever the words hold, kernels read nothing beyond `count` of them, and take every weight for -1, 0 or 1.
 */

/* How rows of weights are stored, for the kernels that read several packings. */
typedef enum {
    STQ_FIELDS_1 = 1, /* fields of 1 bit: b1 */
    STQ_FIELDS_2 = 2, /* fields of 2 bits: t2 */
    STQ_FIELDS_4 = 4, /* fields of 4 bits: s4 */
    STQ_TRITS = 32,   /* the codes are beyond the bits of any field */
    STQ_GAPS = 33,
} stq_packing;

#define STQ_TRITS_PER_WORD 20
#define STQ_MAXIMUM_GAP_BITS 3
#define STQ_MAXIMUM_GAP_WORDS 16777216

/* Words of trits or gaps. */
typedef struct {
    const uint32_t *words;
    int32_t count;    /* trits: at least elements / 20, rounded up; gaps: 1 .. STQ_MAXIMUM_GAP_WORDS */
    int32_t gap_bits; /* gaps: 0 .. STQ_MAXIMUM_GAP_BITS; trits: 0 */
} stq_coded_weights;

/* How an int32 accumulator becomes an output level. Arrays are per output channel. */
typedef enum {
    /* clamp(((((int64)(acc << left_shift) * multiplier[c]) >> 32) + offset[c]) >> right_shift, minimum, maximum) */
    STQ_REQUANTIZE_MULTIPLIER = 0,
    /* minimum + number of t in thresholds[c][0 .. levels-2] with sign[c] * acc >= t; thresholds ascend */
    STQ_REQUANTIZE_THRESHOLD = 1,
    /* table[c * table_stride + acc - table_base]; table_stride is 0 when all channels share a row */
    STQ_REQUANTIZE_TABLE = 2,
    /* the accumulator itself; it is known to fit the output type */
    STQ_REQUANTIZE_KEEP = 3,
    /* clamp(round_half_to_even((acc + offset[c]) / 2^shift[c]) + zero_point, minimum, maximum); shift is 0..30 */
    STQ_REQUANTIZE_SHIFT = 4,
    /* clamp(((int64)acc * multiplier[c] + wide_offset[c]) >> shift[c], minimum, maximum); shift is 0..62 */
    STQ_REQUANTIZE_WIDE = 5,
    /* clamp(((int64)acc * multiplier[c] + (((int64)acc * fraction[c]) >> 32) + wide_offset[c]) >> shift[c], lowest[c],
     * highest[c]); shift is 0..62 */
    STQ_REQUANTIZE_LONG = 6,
    /* clamp((((int64)acc * multiplier[c] >> 16) + offset[c]) >> right_shift, minimum, maximum); acc fits int16 */
    STQ_REQUANTIZE_PACKED = 7,
    /* clamp(quotient + zero_point, minimum, maximum). With left = left_shift + max(shift[c], 0), right =
     * max(-shift[c], 0): product = round_half_up(((acc + offset[c]) << left) * multiplier[c] / 2^31), and quotient =
     * round_half_away_from_zero(product / 2^right). No intermediate leaves int32, except the 64-bit product. */
    STQ_REQUANTIZE_ROUNDED = 8,
} stq_requantize_kind;

typedef struct {
    stq_requantize_kind kind;
    stq_type output_type; /* THRESHOLD and TABLE: int8 or int16 */
    int32_t left_shift;
    int32_t right_shift;
    int32_t minimum;
    int32_t maximum;
    const int32_t *multiplier;
    const int32_t *offset;
    const int32_t *thresholds;
    const int8_t *sign;
    int32_t levels;
    const int8_t *table;
    int32_t table_base;
    int32_t table_stride;
    const int8_t *shift;
    int32_t zero_point;
    const int64_t *wide_offset;
    const int32_t *fraction;
    const int32_t *lowest;
    const int32_t *highest;
} stq_requantize;

/*
 * Requantize the accumulators of channels first .. first + count - 1 of one pixel.
 *   acc     int32[count]
 *   output  the pixel's first output element (channel 0), of rq->output_type; elements first .. are written
 */
void stq_requantize_pixel(const stq_requantize *rq, const int32_t *acc, int32_t first, int32_t count, void *output);

typedef struct {
    int32_t input_offset;  /* added to every input level */
    int32_t weight_offset; /* see "Packed weights" */
    int32_t stride_h, stride_w;
    int32_t pad_top, pad_left; /* bottom and right padding follow from the output size */
    int32_t dilation_h, dilation_w;
} stq_conv_params;

/*
 * 2-D convolution. `filter_dims` is (kernel height, kernel width, input channels of a group); output channels are
 * output_dims->c. There are input_dims->c / filter_dims->c groups, usually one. The output channels form as many equal
 * parts, and part i reads the i-th part of the input channels. The suffix names weights, then input: t2_s8 is 2-bit
 * weights on int8 activations. `output` is of rq->output_type.
 *
 * Scratch: 4 * K + 8 * (rows + output channels, rounded up to even) bytes. K is rows * kernel width * filter_dims->c,
 * rounded up to a multiple of 32 / b, with b bits a weight. `rows` is the kernel's height, or more where windows share
 * rows: stq_strip_rows in `internal/stq_nn_scratch.h`.
 */
#define STQ_DECLARE_CONVOLVE(name, weight_word, input_type)                                                            \
    stq_status name(const stq_context *ctx, const stq_conv_params *params, const stq_requantize *rq,                   \
                    const stq_dims *input_dims, const input_type *input, const stq_dims *filter_dims,                  \
                    const weight_word *filter, const stq_dims *output_dims, void *output);                             \
    int32_t name##_get_buffer_size(const stq_dims *filter_dims, const stq_dims *output_dims)

STQ_DECLARE_CONVOLVE(stq_convolve_b1_s8, uint32_t, int8_t);
STQ_DECLARE_CONVOLVE(stq_convolve_t2_s8, uint32_t, int8_t);
STQ_DECLARE_CONVOLVE(stq_convolve_s4_s8, uint32_t, int8_t);
STQ_DECLARE_CONVOLVE(stq_convolve_s8_s8, uint32_t, int8_t);
STQ_DECLARE_CONVOLVE(stq_convolve_s16_s8, uint32_t, int8_t);
STQ_DECLARE_CONVOLVE(stq_convolve_b1_s16, uint32_t, int16_t);
STQ_DECLARE_CONVOLVE(stq_convolve_t2_s16, uint32_t, int16_t);
STQ_DECLARE_CONVOLVE(stq_convolve_s4_s16, uint32_t, int16_t);
STQ_DECLARE_CONVOLVE(stq_convolve_s8_s16, uint32_t, int16_t);
STQ_DECLARE_CONVOLVE(stq_convolve_s16_s16, uint32_t, int16_t);

/*
 * 2-D convolution of 1-, 2- and 4-bit weights whose zeros cost nothing. The offsets of the weights that count are listed.
 * Each offset names the levels of eight pixels, which are added at once, or multiplied by a 4-bit weight. Weights, padding and groups are as in stq_convolve.
 * The suffixes name the lanes, the weights and the input: gather8_t2_s8 is lanes of bytes, 2-bit weights, int8 levels.
 *
 * The caller guarantees that
 *  - every level is in params->minimum .. params->maximum; lanes of bytes need maximum - minimum <= 255;
 *  - with any padding, real 0 is a level in that range;
 *  - the accumulator of every output fits int16;
 *  - the offsets fit, or the kernel refuses: ((kernel height - 1) * dilation + 1) * input channels * row units <= 65536
 *    bytes of a lane (`internal/stq_nn_gather.h`). For 4-bit weights they fit half of it.
 *
 * The output may replace the input if the table, stq_gather_table_words in that file, is not smaller than the input.
 *
 * Scratch: stq_gather_buffer_size in `internal/stq_nn_gather.h`.
 */
typedef struct {
    stq_conv_params window;
    int32_t minimum, maximum; /* of the input's levels */
} stq_gather_params;

#define STQ_DECLARE_GATHER(name, input_type)                                                                           \
    stq_status name(const stq_context *ctx, const stq_gather_params *params, const stq_requantize *rq,                 \
                    const stq_dims *input_dims, const input_type *input, const stq_dims *filter_dims,                  \
                    const uint32_t *filter, const stq_dims *output_dims, void *output);                                \
    int32_t name##_get_buffer_size(const stq_gather_params *params, const stq_dims *input_dims,                        \
                                   const stq_dims *filter_dims, const stq_dims *output_dims)

STQ_DECLARE_GATHER(stq_gather8_b1_s8, int8_t);
STQ_DECLARE_GATHER(stq_gather8_t2_s8, int8_t);
STQ_DECLARE_GATHER(stq_gather16_b1_s8, int8_t);
STQ_DECLARE_GATHER(stq_gather16_t2_s8, int8_t);
STQ_DECLARE_GATHER(stq_gather16_s4_s8, int8_t);
STQ_DECLARE_GATHER(stq_gather16_b1_s16, int16_t);
STQ_DECLARE_GATHER(stq_gather16_t2_s16, int16_t);

/* The same for coded weights; params->window.weight_offset is 1. */
#define STQ_DECLARE_CODED_GATHER(name, input_type)                                                                     \
    stq_status name(const stq_context *ctx, const stq_gather_params *params, const stq_requantize *rq,                 \
                    const stq_dims *input_dims, const input_type *input, const stq_dims *filter_dims,                  \
                    const stq_coded_weights *filter, const stq_dims *output_dims, void *output);                       \
    int32_t name##_get_buffer_size(const stq_gather_params *params, const stq_dims *input_dims,                        \
                                   const stq_dims *filter_dims, const stq_dims *output_dims)

STQ_DECLARE_CODED_GATHER(stq_gather8_trits_s8, int8_t);
STQ_DECLARE_CODED_GATHER(stq_gather8_gaps_s8, int8_t);
STQ_DECLARE_CODED_GATHER(stq_gather16_trits_s8, int8_t);
STQ_DECLARE_CODED_GATHER(stq_gather16_gaps_s8, int8_t);
STQ_DECLARE_CODED_GATHER(stq_gather16_trits_s16, int16_t);
STQ_DECLARE_CODED_GATHER(stq_gather16_gaps_s16, int16_t);

/*
 * 2-D depthwise convolution: output channel c * depth_multiplier + m reads input channel c, where depth_multiplier is
 * output_dims->c / input_dims->c. filter_dims->c is output_dims->c.
 *
 * Scratch: 64 * kernel height * kernel width + 128 bytes.
 */
STQ_DECLARE_CONVOLVE(stq_depthwise_convolve_b1_s8, uint32_t, int8_t);
STQ_DECLARE_CONVOLVE(stq_depthwise_convolve_t2_s8, uint32_t, int8_t);
STQ_DECLARE_CONVOLVE(stq_depthwise_convolve_s4_s8, uint32_t, int8_t);
STQ_DECLARE_CONVOLVE(stq_depthwise_convolve_s8_s8, uint32_t, int8_t);
STQ_DECLARE_CONVOLVE(stq_depthwise_convolve_s16_s8, uint32_t, int8_t);
STQ_DECLARE_CONVOLVE(stq_depthwise_convolve_b1_s16, uint32_t, int16_t);
STQ_DECLARE_CONVOLVE(stq_depthwise_convolve_t2_s16, uint32_t, int16_t);
STQ_DECLARE_CONVOLVE(stq_depthwise_convolve_s4_s16, uint32_t, int16_t);
STQ_DECLARE_CONVOLVE(stq_depthwise_convolve_s8_s16, uint32_t, int16_t);
STQ_DECLARE_CONVOLVE(stq_depthwise_convolve_s16_s16, uint32_t, int16_t);

/*
 * 2-D depthwise convolution of weights -1, 0 and 1 on levels of few bits. Four channels lie in the bytes of a word, and
 * are added at once. output_dims->c, input_dims->c and filter_dims->c are equal. 2-bit weights have weight_offset 1.
 *
 * The caller guarantees that
 *  - every level is in params->minimum .. params->maximum;
 *  - with any padding, real 0 is a level in that range;
 *  - of no channel, the weights that are not 0, times the smallest 2^n - 1 that is at least maximum - minimum, exceed
 *    255.
 *
 * Scratch: stq_depthwise8_buffer_size in `internal/stq_nn_depthwise8.h`.
 */
STQ_DECLARE_GATHER(stq_depthwise8_b1_s8, int8_t);
STQ_DECLARE_GATHER(stq_depthwise8_t2_s8, int8_t);

typedef struct {
    int32_t input_offset;
    int32_t weight_offset; /* see "Packed weights" */
} stq_dense_params;

/*
 * Fully connected layer: `inputs` values give `outputs` values of rq->output_type.
 *
 * Scratch, with b bits a weight: 2 * (inputs, rounded up to a multiple of 32 / b) + 4 * (outputs, rounded up to even)
 * bytes.
 */
#define STQ_DECLARE_DENSE(name, weight_word, input_type)                                                               \
    stq_status name(const stq_context *ctx, const stq_dense_params *params, const stq_requantize *rq, int32_t inputs,  \
                    const input_type *input, const weight_word *filter, int32_t outputs, void *output);                \
    int32_t name##_get_buffer_size(int32_t inputs, int32_t outputs)

STQ_DECLARE_DENSE(stq_dense_b1_s8, uint32_t, int8_t);
STQ_DECLARE_DENSE(stq_dense_t2_s8, uint32_t, int8_t);
STQ_DECLARE_DENSE(stq_dense_s4_s8, uint32_t, int8_t);
STQ_DECLARE_DENSE(stq_dense_s8_s8, uint32_t, int8_t);
STQ_DECLARE_DENSE(stq_dense_s16_s8, uint32_t, int8_t);
STQ_DECLARE_DENSE(stq_dense_b1_s16, uint32_t, int16_t);
STQ_DECLARE_DENSE(stq_dense_t2_s16, uint32_t, int16_t);
STQ_DECLARE_DENSE(stq_dense_s4_s16, uint32_t, int16_t);
STQ_DECLARE_DENSE(stq_dense_s8_s16, uint32_t, int16_t);
STQ_DECLARE_DENSE(stq_dense_s16_s16, uint32_t, int16_t);

/*
 * Completes an output of which only some elements were computed: the first `count` elements, in their order, go to the
 * elements places[0 .. count - 1], which ascend. Every other element i becomes constants[i], of the same type. It works
 * in place.
 */
typedef struct {
    stq_type type;
    int32_t count;    /* elements that were computed */
    int32_t elements; /* of the whole output */
} stq_scatter_params;

stq_status stq_scatter(const stq_scatter_params *params, const int32_t *places, const void *constants, void *output);

typedef struct {
    int32_t window_h, window_w;
    int32_t stride_h, stride_w;
    int32_t pad_top, pad_left; /* padding never wins a maximum, and does not count in a mean */
    int32_t input_offset;      /* average_pool only: added to every level */
    int32_t multiple;          /* average_pool only: a multiple of every window's number of levels */
} stq_pool_params;

/*
 * Max pooling. Output may replace the input if no window begins before the place of its own output. That is, for every
 * (y, x) of the output:
 *
 *     max(0, y * stride_h - pad_top) * input width + max(0, x * stride_w - pad_left) >= y * output width + x
 */
stq_status stq_max_pool_s8(const stq_pool_params *params, const stq_dims *input_dims, const int8_t *input,
                           const stq_dims *output_dims, int8_t *output);
stq_status stq_max_pool_s16(const stq_pool_params *params, const stq_dims *input_dims, const int16_t *input,
                            const stq_dims *output_dims, int16_t *output);
stq_status stq_max_pool_s32(const stq_pool_params *params, const stq_dims *input_dims, const int32_t *input,
                            const stq_dims *output_dims, int32_t *output);

/*
 * Average pooling: acc = (sum of level + input_offset under the window) * (multiple / number of levels summed), that is
 * `multiple` times the mean; then requantized. No window is wholly in the padding. Output may replace the input under
 * the condition of max pooling, if its elements are not wider.
 *
 * Scratch: 4 * min(channels, 64) bytes.
 */
#define STQ_DECLARE_AVERAGE_POOL(name, input_type)                                                                     \
    stq_status name(const stq_context *ctx, const stq_pool_params *params, const stq_requantize *rq,                   \
                    const stq_dims *input_dims, const input_type *input, const stq_dims *output_dims, void *output);   \
    int32_t name##_get_buffer_size(int32_t channels)

STQ_DECLARE_AVERAGE_POOL(stq_average_pool_s8, int8_t);
STQ_DECLARE_AVERAGE_POOL(stq_average_pool_s16, int16_t);
STQ_DECLARE_AVERAGE_POOL(stq_average_pool_s32, int32_t);

/* output[i] = table[input[i] + 128]; output may replace input. */
stq_status stq_table_s8(const int8_t *table, int32_t count, const int8_t *input, int8_t *output);

/* output[i] = table[(a[i] - a_minimum) * b_levels + b[i] - b_minimum]; output may replace a or b. */
typedef struct {
    int32_t a_minimum;
    int32_t b_minimum;
    int32_t b_levels;
} stq_pair_table_params;

stq_status stq_pair_table_s8(const stq_pair_table_params *params, const int8_t *table, int32_t count, const int8_t *a,
                             const int8_t *b, int8_t *output);

/*
 * Elementwise ops on `pixels` x `channels` elements of any types; acc is then requantized. Every level + offset, that
 * times its factor, and acc fit int32. Output may replace an input if its elements are not wider; the other of two
 * inputs may be the same array, or another one.
 *
 * Scratch: 4 * min(channels, 64) bytes.
 */
typedef struct {
    stq_type input_type;
    int32_t input_offset; /* acc = input + input_offset */
} stq_rescale_params;

stq_status stq_rescale(const stq_context *ctx, const stq_rescale_params *params, const stq_requantize *rq,
                       int32_t pixels, int32_t channels, const void *input, void *output);
int32_t stq_rescale_get_buffer_size(int32_t channels);

typedef struct {
    stq_type a_type, b_type;
    int32_t a_offset, b_offset; /* added to every level */
    int32_t a_factor, b_factor; /* multiply has none */
} stq_elementwise_params;

#define STQ_DECLARE_ELEMENTWISE(name)                                                                                  \
    stq_status name(const stq_context *ctx, const stq_elementwise_params *params, const stq_requantize *rq,            \
                    int32_t pixels, int32_t channels, const void *a, const void *b, void *output);                     \
    int32_t name##_get_buffer_size(int32_t channels)

STQ_DECLARE_ELEMENTWISE(stq_add);      /* acc = (a + a_offset) * a_factor + (b + b_offset) * b_factor */
STQ_DECLARE_ELEMENTWISE(stq_maximum);  /* the larger of (a + a_offset) * a_factor and (b + b_offset) * b_factor */
STQ_DECLARE_ELEMENTWISE(stq_minimum);  /* the smaller of the two */
STQ_DECLARE_ELEMENTWISE(stq_multiply); /* acc = (a + a_offset) * (b + b_offset) */

/* Rows and columns of `level` around an image: `top` and `left` before it, and the rest of the output after it. */
typedef struct {
    stq_type type;
    int32_t top, left;
    int32_t level;
} stq_pad_params;

stq_status stq_pad(const stq_pad_params *params, const stq_dims *input_dims, const void *input,
                   const stq_dims *output_dims, void *output);

/* The part of an image that begins at (top, left). Output may replace the input. */
typedef struct {
    stq_type type;
    int32_t top, left;
} stq_crop_params;

stq_status stq_crop(const stq_crop_params *params, const stq_dims *input_dims, const void *input,
                    const stq_dims *output_dims, void *output);

/* Repeats every pixel size_h times vertically and size_w times horizontally: nearest-neighbour interpolation. */
typedef struct {
    stq_type type;
    int32_t size_h, size_w;
} stq_upsample_params;

stq_status stq_upsample(const stq_upsample_params *params, const stq_dims *input_dims, const void *input, void *output);

/*
 * Concatenation: each of the `rows` rows of the output consists of `elements` levels of every part in turn.
 * An output level is (level + input_offset) * factor + output_offset; every intermediate number fits int32.
 */
typedef struct {
    const void *levels;
    stq_type type;
    int32_t elements; /* of one row */
    int32_t input_offset;
    int32_t factor;
} stq_concatenate_part;

typedef struct {
    int32_t parts;
    int32_t rows;
    stq_type output_type;
    int32_t output_offset;
} stq_concatenate_params;

stq_status stq_concatenate(const stq_concatenate_params *params, const stq_concatenate_part *parts, void *output);

/*
 * A smooth function of one level. The table has its values at `entries` levels, 2^shift apart from `base` on.
 *
 * Let u = level - base, clamped to 0 .. (entries - 1) * 2^shift, and u = k * 2^shift + f. Let d and e be the first and
 * second difference of the entries from k on. After the last entry they continue in a straight line.
 * The output is a parabola through three entries, rounded, clamped to minimum .. maximum:
 *
 *     table[k] + ((f * d * 2^(shift + 1) + f * (f - 2^shift) * e + 2^(2 * shift)) >> (2 * shift + 1))
 *
 * `shift` is 0 to 20. The differences are so small that every step fits int64:
 * |d| * 2^(2 * shift + 1) + |e| * 2^(2 * shift) < 2^62.
 */
typedef struct {
    stq_type input_type;
    stq_type output_type;
    int32_t entries;
    int32_t base;
    int32_t shift;
    int32_t minimum, maximum;
} stq_curve_params;

stq_status stq_curve(const stq_curve_params *params, const int32_t *table, int32_t count, const void *input,
                     void *output);

/*
 * Softmax over the channels of every pixel. Let m be the pixel's largest level, and e(x) = table[m - x], or the table's
 * last entry where m - x is not among its `entries`. A level x becomes (2^15 * e(x) + sum / 2) / sum, at most 2^15 - 1.
 * Here `sum` is the sum of e over the pixel, and quotients are rounded down. The table falls from 2^16 to 0 or above,
 * and channels are at most 2^15 - 1: all fits uint32.
 */
typedef struct {
    stq_type input_type;
    int32_t entries;
} stq_softmax_params;

stq_status stq_softmax(const stq_softmax_params *params, const int32_t *table, int32_t pixels, int32_t channels,
                       const void *input, int16_t *output);

/*
 * Fresh Gaussian noise on levels, the same as `stq_deploy/network/noise.py` draws: output[i] is
 * clamp(input[i] + noise[i], minimum, maximum), i < count. The output may be the input.
 *
 * The noise of element i depends only on seed, counter and i. It comes from word i mod 4 of block i div 4 of
 * Philox4x32-10. The key is (seed_low, seed_high), and the generator's counter (i div 4, counter[0], counter[1], 0). The
 * word's lowest bit is the sign; the number of thresholds that the other 31 bits reach is the size, in levels.
 *
 * `counter` is the number of the inference, its low word first: another one gives independent noise. Levels are within
 * +-2^30, and there are at most 65,536 thresholds, so that every sum fits int32.
 */
typedef struct {
    uint32_t seed_low;
    uint32_t seed_high;
    int32_t minimum, maximum;
    stq_type type;
    int32_t threshold_count;
    const uint32_t *thresholds; /* ascending, below 2^31; may be NULL if there is none */
} stq_noise_params;

stq_status stq_noise(const stq_noise_params *params, const uint32_t *counter, int32_t count, const void *input,
                     void *output);

#ifdef __cplusplus
}
#endif

#endif /* STQ_NN_H */
