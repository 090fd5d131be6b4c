/*
 * stq_nn.h - kernels for few-bit neural networks.
 *
 * Every kernel exists twice under the contract written here: `reference/` is portable C99, `cortex_m7/` uses the
 * DSP extension. Both give the same bytes for every valid input; which one is linked is the build's choice.
 *
 * Conventions
 *  - Images are (height, width, channels), channels fastest. There is no batch: a call is one sample.
 *  - A level x stands for (x + input_offset) * scale; input_offset is minus the zero point. Padding is real 0.
 *  - In kernels with weights, level + input_offset fits int16 for every level that occurs.
 *  - Kernels own no memory. Scratch comes in through stq_context; each kernel's `_get_buffer_size` says how many bytes,
 *    by the formula beside its prototype; it is the same for both implementations.
 *  - Scratch, packed weights and arrays of int32 are aligned to 4 bytes, of int16 to 2; int8 to none. The Cortex-M7
 *    kernels load int8 and int16 levels as words at any address, with LDR and STR only, which the core allows in normal
 *    memory while CCR.UNALIGN_TRP is 0.
 *  - Input and output never overlap, unless stated. Where the output may replace an input, it begins where that begins.
 *  - Arguments are checked once, on the host, when the network is converted; kernels check only what is cheap and
 *    answer STQ_ARGUMENT_ERROR without having written anything.
 */
#ifndef STQ_NN_H
#define STQ_NN_H

#include <stdint.h>

typedef enum {
    STQ_OK = 0,
    STQ_ARGUMENT_ERROR = -1,
} stq_status;

/* Scratch memory for one call; what it holds between calls is of no meaning. */
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
 * A weight w of b bits (t2: b = 2, s4: b = 4, s8: b = 8) is stored as the field w + weight_offset for t2 and s4
 * (t2: weight_offset 1 for ternary, 2 for -2..1; s4: 8), and as two's complement (weight_offset 0) for s8.
 * A row of fields is padded to whole 32-bit words, with fields that stand for weight 0. Element 2j of a word's 32/b
 * elements lies in bits [b*j, b*j + b), element 2j + 1 in bits [16 + b*j, 16 + b*j + b): one shift and one mask give
 * two neighbouring weights in the two halves of a register, as SMLAD wants them.
 *  - convolve: one row per output channel, elements in (kernel row, kernel column, input channel) order.
 *  - depthwise_convolve: one row per kernel tap, in (kernel row, kernel column) order; elements are output channels.
 *  - dense: one row per output.
 */

/* How an int32 accumulator becomes an output level. Arrays are per output channel. */
typedef enum {
    /* clamp(((((int64)(acc << left_shift) * multiplier[c]) >> 32) + offset[c]) >> right_shift, minimum, maximum) */
    STQ_REQUANTIZE_MULTIPLIER = 0,
    /* minimum + number of t in thresholds[c][0 .. levels-2] with sign[c] * acc >= t; thresholds ascend */
    STQ_REQUANTIZE_THRESHOLD = 1,
    /* table[c * table_stride + acc - table_base]; table_stride is 0 when all channels share a row */
    STQ_REQUANTIZE_TABLE = 2,
    /* the accumulator as it is; it is known to fit the output type */
    STQ_REQUANTIZE_KEEP = 3,
    /* clamp(round_half_to_even((acc + offset[c]) / 2^shift[c]) + zero_point, minimum, maximum); shift is 0..30 */
    STQ_REQUANTIZE_SHIFT = 4,
} stq_requantize_kind;

typedef struct {
    stq_requantize_kind kind;
    stq_type output_type; /* THRESHOLD and TABLE: STQ_S8 only */
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
} stq_requantize;

/*
 * Requantise the accumulators of channels first .. first + count - 1 of one pixel.
 *   acc     int32[count]
 *   output  the pixel's first output element (channel 0), of rq->output_type; elements first .. are written
 */
void stq_requantize_pixel(const stq_requantize *rq, const int32_t *acc, int32_t first, int32_t count, void *output);

typedef struct {
    int32_t input_offset;  /* added to every input level */
    int32_t weight_offset; /* subtracted from every stored weight field */
    int32_t stride_h, stride_w;
    int32_t pad_top, pad_left; /* bottom and right padding follow from the output size */
    int32_t dilation_h, dilation_w;
} stq_conv_params;

/*
 * 2-D convolution. `filter_dims` is (kernel height, kernel width, input channels); output channels are
 * output_dims->c. input_dims->c equals filter_dims->c. The suffix names weights, then input: t2_s8 is 2-bit weights on
 * int8 activations. `output` is of rq->output_type.
 *
 * Scratch, with b bits a weight and K = kernel height * kernel width * input channels rounded up to a multiple of
 * 32 / b: 4 * K + 8 * (output channels, rounded up to even) bytes.
 */
#define STQ_DECLARE_CONVOLVE(name, weight_word, input_type)                                                            \
    stq_status name(const stq_context *ctx, const stq_conv_params *params, const stq_requantize *rq,                   \
                    const stq_dims *input_dims, const input_type *input, const stq_dims *filter_dims,                  \
                    const weight_word *filter, const stq_dims *output_dims, void *output);                             \
    int32_t name##_get_buffer_size(const stq_dims *filter_dims, const stq_dims *output_dims)

STQ_DECLARE_CONVOLVE(stq_convolve_t2_s8, uint32_t, int8_t);
STQ_DECLARE_CONVOLVE(stq_convolve_s4_s8, uint32_t, int8_t);
STQ_DECLARE_CONVOLVE(stq_convolve_s8_s8, uint32_t, int8_t);
STQ_DECLARE_CONVOLVE(stq_convolve_t2_s16, uint32_t, int16_t);
STQ_DECLARE_CONVOLVE(stq_convolve_s4_s16, uint32_t, int16_t);
STQ_DECLARE_CONVOLVE(stq_convolve_s8_s16, uint32_t, int16_t);

/*
 * 2-D depthwise convolution: output channel c * depth_multiplier + m reads input channel c, where depth_multiplier is
 * output_dims->c / input_dims->c. filter_dims->c is output_dims->c.
 *
 * Scratch: 64 * kernel height * kernel width + 128 bytes.
 */
STQ_DECLARE_CONVOLVE(stq_depthwise_convolve_t2_s8, uint32_t, int8_t);
STQ_DECLARE_CONVOLVE(stq_depthwise_convolve_s4_s8, uint32_t, int8_t);
STQ_DECLARE_CONVOLVE(stq_depthwise_convolve_s8_s8, uint32_t, int8_t);
STQ_DECLARE_CONVOLVE(stq_depthwise_convolve_t2_s16, uint32_t, int16_t);
STQ_DECLARE_CONVOLVE(stq_depthwise_convolve_s4_s16, uint32_t, int16_t);
STQ_DECLARE_CONVOLVE(stq_depthwise_convolve_s8_s16, uint32_t, int16_t);

typedef struct {
    int32_t input_offset;
    int32_t weight_offset;
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

STQ_DECLARE_DENSE(stq_dense_t2_s8, uint32_t, int8_t);
STQ_DECLARE_DENSE(stq_dense_s4_s8, uint32_t, int8_t);
STQ_DECLARE_DENSE(stq_dense_s8_s8, uint32_t, int8_t);
STQ_DECLARE_DENSE(stq_dense_t2_s16, uint32_t, int16_t);
STQ_DECLARE_DENSE(stq_dense_s4_s16, uint32_t, int16_t);
STQ_DECLARE_DENSE(stq_dense_s8_s16, uint32_t, int16_t);

typedef struct {
    int32_t window_h, window_w;
    int32_t stride_h, stride_w;
    int32_t pad_top, pad_left; /* padding never wins a maximum */
} stq_pool_params;

/*
 * Output may replace the input if no window begins before the place of its own output: for every (y, x) of the output,
 * max(0, y * stride_h - pad_top) * input width + max(0, x * stride_w - pad_left) >= y * output width + x.
 */
stq_status stq_max_pool_s8(const stq_pool_params *params, const stq_dims *input_dims, const int8_t *input,
                           const stq_dims *output_dims, int8_t *output);

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
 * Elementwise ops on `pixels` x `channels` elements; a and b are STQ_S8 or STQ_S16. acc is then requantised. Output may
 * replace a or b if its elements are no wider; the other of the two may be the same array, or lie elsewhere.
 *
 * Scratch: 4 * channels bytes.
 */
typedef struct {
    stq_type a_type, b_type;
    int32_t a_offset, b_offset; /* added to every level */
    int32_t a_factor, b_factor; /* add: acc = (a + a_offset) * a_factor + (b + b_offset) * b_factor */
} stq_elementwise_params;

stq_status stq_add(const stq_context *ctx, const stq_elementwise_params *params, const stq_requantize *rq,
                   int32_t pixels, int32_t channels, const void *a, const void *b, void *output);
int32_t stq_add_get_buffer_size(int32_t channels);

/* acc = (a + a_offset) * (b + b_offset); the factors are not used. */
stq_status stq_multiply(const stq_context *ctx, const stq_elementwise_params *params, const stq_requantize *rq,
                        int32_t pixels, int32_t channels, const void *a, const void *b, void *output);
int32_t stq_multiply_get_buffer_size(int32_t channels);

#endif /* STQ_NN_H */
