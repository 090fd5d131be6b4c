/*
 * stq_convolve_core.h - convolution for every weight width and input type; each public name is one small file.
 *
 * Two pixels' windows are gathered as columns of int16; then two pixels x two output channels are summed at a time, so
 * that each unpacked pair of weights and each pair of levels is used twice.
 */
#ifndef STQ_CONVOLVE_CORE_H
#define STQ_CONVOLVE_CORE_H

#include "stq_nn_arguments.h"
#include "stq_nn_columns.h"
#include "stq_nn_define.h"
#include "stq_nn_elements.h"
#include "stq_nn_pairs.h"
#include "stq_nn_scratch.h"

typedef struct {
    const stq_conv_params *params;
    const stq_dims *input_dims;
    const void *input;
    stq_type input_type;
    const stq_dims *filter_dims;
} stq_convolve_input;

/* An output pixel. */
typedef struct {
    int32_t y;
    int32_t x;
} stq_position;

static inline stq_position stq_next_position(stq_position at, int32_t width)
{
    const stq_position next = {at.x + 1 < width ? at.y : at.y + 1, at.x + 1 < width ? at.x + 1 : 0};
    return next;
}

static inline int32_t stq_clamp(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* The window of output pixel `at` as a column of stride 2; taps outside the image are zero. */
static STQ_NOINLINE void stq_gather_window(const stq_convolve_input *in, stq_position at, stq_word *column)
{
    const stq_conv_params *params = in->params;
    const int32_t channels = in->input_dims->c;
    const int32_t width = in->input_dims->w;
    const int32_t kernel_width = in->filter_dims->w;
    const uint32_t offsets = stq_pair(params->input_offset, params->input_offset);
    // Without dilation a kernel row is one stretch of memory; with it, each tap is.
    const int32_t taps = params->dilation_w == 1 ? kernel_width : 1;

    for (int32_t kx = 0; kx < kernel_width; kx += taps) {
        const int32_t x = at.x * params->stride_w - params->pad_left + kx * params->dilation_w;
        const int32_t first = stq_clamp(-x, 0, taps);
        const int32_t last = stq_clamp(width - x, first, taps);
        const int32_t before = first * channels;
        const int32_t visible = (last - first) * channels;
        const int32_t after = (taps - last) * channels;
        int32_t y = at.y * params->stride_h - params->pad_top;
        int32_t element = kx * channels;

        for (int32_t ky = in->filter_dims->h; ky > 0; ky--) {
            if (y < 0 || y >= in->input_dims->h) {
                stq_column_zero(column, 2, element, taps * channels);
            } else {
                if (before > 0) {
                    stq_column_zero(column, 2, element, before);
                }
                const void *levels = stq_level_address(in->input, in->input_type, (y * width + x + first) * channels);
                stq_column_widen(column, 2, element + before, levels, in->input_type, visible, offsets);
                if (after > 0) {
                    stq_column_zero(column, 2, element + before + visible, after);
                }
            }
            y += params->dilation_h;
            element += kernel_width * channels;
        }
    }
}

/* Accumulators of two output channels (rows of weights) x two pixels. */
typedef struct {
    int32_t row0_pixel0;
    int32_t row0_pixel1;
    int32_t row1_pixel0;
    int32_t row1_pixel1;
} stq_block;

// Without optimisation the compiler keeps too few registers free for the assembly.
#if STQ_DSP && defined(__OPTIMIZE__)
#define STQ_HAND_WRITTEN 1
#else
#define STQ_HAND_WRITTEN 0
#endif

#if STQ_HAND_WRITTEN
// A pair of weights of each row times a pair of levels of each pixel. Written out, since gcc moves the loads, and
// unpacks more pairs ahead than it has registers for. The order is the fastest by LLVM's model of the core.
#define STQ_MULTIPLY_PAIR(unpack, from)                                                                                \
    unpack(a, word0, from)                                                                                             \
    "ldrd %[x0], %[x1], [%[columns]], #8\n\t"                                                                          \
    unpack(b, word1, from)                                                                                             \
    "smlad %[acc00], %[x0], %[a], %[acc00]\n\t"                                                                        \
    "smlad %[acc01], %[x1], %[a], %[acc01]\n\t"                                                                        \
    "smlad %[acc10], %[x0], %[b], %[acc10]\n\t"                                                                        \
    "smlad %[acc11], %[x1], %[b], %[acc11]\n\t"
#define STQ_FIELDS(pair, word, shift) "and %[" #pair "], %[mask], %[" #word "]" shift "\n\t"
#define STQ_BYTES(pair, word, rotation) "sxtb16 %[" #pair "], %[" #word "]" rotation "\n\t"
#define STQ_MULTIPLY_WORD(code, mask_operand)                                                                          \
    __asm__(code                                                                                                       \
            : [acc00] "+r"(acc.row0_pixel0), [acc01] "+r"(acc.row0_pixel1), [acc10] "+r"(acc.row1_pixel0),             \
              [acc11] "+r"(acc.row1_pixel1), [columns] "+r"(columns), [x0] "=&r"(x0), [x1] "=&r"(x1), [a] "=&r"(a),    \
              [b] "=&r"(b)                                                                                             \
            : [word0] "r"(word0), [word1] "r"(word1), mask_operand                                                     \
            : "memory")
#endif

/* One word of each row; moves `*columns_at` on by as many pairs. */
static inline stq_block stq_multiply_word(stq_block acc, const stq_word **columns_at, uint32_t word0, uint32_t word1,
                                          int32_t bits, uint32_t mask)
{
    const stq_word *columns = *columns_at;
#if STQ_HAND_WRITTEN
    uint32_t x0, x1, a, b;
    if (bits == 2) {
        STQ_MULTIPLY_WORD(
            STQ_MULTIPLY_PAIR(STQ_FIELDS, "") STQ_MULTIPLY_PAIR(STQ_FIELDS, ", lsr #2")
            STQ_MULTIPLY_PAIR(STQ_FIELDS, ", lsr #4") STQ_MULTIPLY_PAIR(STQ_FIELDS, ", lsr #6")
            STQ_MULTIPLY_PAIR(STQ_FIELDS, ", lsr #8") STQ_MULTIPLY_PAIR(STQ_FIELDS, ", lsr #10")
            STQ_MULTIPLY_PAIR(STQ_FIELDS, ", lsr #12") STQ_MULTIPLY_PAIR(STQ_FIELDS, ", lsr #14"),
            [mask] "r"(mask));
    } else if (bits == 4) {
        STQ_MULTIPLY_WORD(
            STQ_MULTIPLY_PAIR(STQ_FIELDS, "") STQ_MULTIPLY_PAIR(STQ_FIELDS, ", lsr #4")
            STQ_MULTIPLY_PAIR(STQ_FIELDS, ", lsr #8") STQ_MULTIPLY_PAIR(STQ_FIELDS, ", lsr #12"),
            [mask] "r"(mask));
    } else {
        STQ_MULTIPLY_WORD(STQ_MULTIPLY_PAIR(STQ_BYTES, "") STQ_MULTIPLY_PAIR(STQ_BYTES, ", ror #8"), [mask] "i"(0));
    }
#else
    for (int32_t j = 0; j < STQ_PAIRS_PER_WORD(bits); j++) {
        const uint32_t weights0 = stq_weight_pair(word0, bits, mask, j);
        const uint32_t weights1 = stq_weight_pair(word1, bits, mask, j);
        acc.row0_pixel0 = stq_smlad(columns[0], weights0, acc.row0_pixel0);
        acc.row0_pixel1 = stq_smlad(columns[1], weights0, acc.row0_pixel1);
        acc.row1_pixel0 = stq_smlad(columns[0], weights1, acc.row1_pixel0);
        acc.row1_pixel1 = stq_smlad(columns[1], weights1, acc.row1_pixel1);
        columns += 2;
    }
#endif
    *columns_at = columns;
    return acc;
}

/* The next word of a row. */
static inline uint32_t stq_next_word(const uint32_t **row)
{
#if STQ_DSP
    // Left to itself, gcc gives each word of an unrolled loop an address of its own, and runs out of registers.
    uint32_t word;
    __asm__("ldr %0, [%1], #4" : "=r"(word), "+r"(*row) : : "memory");
    return word;
#else
    return *(*row)++;
#endif
}

static inline stq_block stq_multiply_next_words(stq_block acc, const stq_word **columns, const uint32_t **row0,
                                                const uint32_t **row1, int32_t bits, uint32_t mask)
{
    const uint32_t word0 = stq_next_word(row0);
    const uint32_t word1 = stq_next_word(row1);
    return stq_multiply_word(acc, columns, word0, word1, bits, mask);
}

/* Two interleaved columns times two rows of weights. */
static inline stq_block stq_multiply_rows(stq_block acc, const stq_word *columns, const uint32_t *row0,
                                          const uint32_t *row1, int32_t words, int32_t bits, uint32_t mask)
{
    const int32_t round = bits / 2; // words of 16 weights
    const uint32_t *end = row0 + words;
    const uint32_t *end_of_rounds = row0 + words / round * round;

    while (row0 < end_of_rounds) {
        acc = stq_multiply_next_words(acc, &columns, &row0, &row1, bits, mask);
        if (round >= 2) {
            acc = stq_multiply_next_words(acc, &columns, &row0, &row1, bits, mask);
        }
        if (round >= 4) {
            acc = stq_multiply_next_words(acc, &columns, &row0, &row1, bits, mask);
            acc = stq_multiply_next_words(acc, &columns, &row0, &row1, bits, mask);
        }
    }
    while (round > 1 && row0 < end) {
        acc = stq_multiply_next_words(acc, &columns, &row0, &row1, bits, mask);
    }
    return acc;
}

/* What the accumulators of two interleaved columns start from. */
static STQ_NOINLINE stq_block stq_initial_block(const stq_word *columns, int32_t pairs, int32_t weight_offset)
{
    int32_t sum0 = 0;
    int32_t sum1 = 0;

    if (weight_offset != 0) {
        // Rows are whole words, so there is an even number of pairs.
        for (int32_t j = 0; j < pairs; j += 2) {
            const stq_two_words first = stq_load_two(columns + 2 * j);
            const stq_two_words second = stq_load_two(columns + 2 * j + 2);
            sum0 = stq_smlad(first.first, 0x00010001U, sum0);
            sum1 = stq_smlad(first.second, 0x00010001U, sum1);
            sum0 = stq_smlad(second.first, 0x00010001U, sum0);
            sum1 = stq_smlad(second.second, 0x00010001U, sum1);
        }
    }
    const int32_t initial0 = stq_initial_accumulator(weight_offset, sum0);
    const int32_t initial1 = stq_initial_accumulator(weight_offset, sum1);
    const stq_block block = {initial0, initial1, initial0, initial1};
    return block;
}

/*
 * All output channels of two pixels: `channels` accumulators of the first, then, after an even number of words, of the
 * second.
 */
static STQ_NOINLINE void stq_multiply_columns(const stq_word *columns, const uint32_t *filter, int32_t words,
                                              int32_t bits, int32_t weight_offset, int32_t channels,
                                              int32_t *accumulators)
{
    const uint32_t mask = stq_field_mask(bits);
    const stq_block initial = stq_initial_block(columns, words * STQ_PAIRS_PER_WORD(bits), weight_offset);
    int32_t *second_pixel = accumulators + channels + channels % 2;

    for (int32_t left = channels; left > 0; left -= 2) {
        const uint32_t *next = left > 1 ? filter + words : filter; // an odd last channel is done twice
        const stq_block acc = stq_multiply_rows(initial, columns, filter, next, words, bits, mask);

        *accumulators++ = acc.row0_pixel0;
        *accumulators++ = acc.row1_pixel0;
        *second_pixel++ = acc.row0_pixel1;
        *second_pixel++ = acc.row1_pixel1;
        filter += 2 * words;
    }
}

static inline stq_status stq_convolve(const stq_context *ctx, const stq_conv_params *params, const stq_requantize *rq,
                                      const stq_dims *input_dims, const void *input, stq_type input_type,
                                      const stq_dims *filter_dims, const uint32_t *filter, int32_t bits,
                                      const stq_dims *output_dims, void *output)
{
    if (!stq_window_valid(params, input_dims, filter_dims, output_dims) || input_dims->c != filter_dims->c ||
        rq == NULL || input == NULL || filter == NULL || output == NULL ||
        !stq_scratch_valid(ctx, stq_convolve_buffer_size(filter_dims, bits, output_dims))) {
        return STQ_ARGUMENT_ERROR;
    }

    const stq_convolve_input in = {params, input_dims, input, input_type, filter_dims};
    const int32_t row_weights = filter_dims->h * filter_dims->w * filter_dims->c;
    const int32_t words = stq_row_words(row_weights, bits);
    const int32_t pairs = words * STQ_PAIRS_PER_WORD(bits);
    const int32_t channels = output_dims->c;
    stq_word *columns = ctx->buffer;
    int32_t *accumulators = (int32_t *)ctx->buffer + 2 * pairs;

    // Gathering never touches the padding at the columns' ends: it stays zero. So does a missing second pixel.
    stq_column_zero(columns, 1, 0, 4 * pairs);
    stq_position position = {0, 0};
    for (int32_t pixel = 0; pixel < output_dims->h * output_dims->w; pixel += 2) {
        const int32_t count = pixel + 1 < output_dims->h * output_dims->w ? 2 : 1;

        for (int32_t i = 0; i < count; i++) {
            stq_gather_window(&in, position, columns + i);
            position = stq_next_position(position, output_dims->w);
        }
        stq_multiply_columns(columns, filter, words, bits, params->weight_offset, channels, accumulators);
        for (int32_t i = 0; i < count; i++) {
            stq_requantize_pixel(rq, accumulators + i * (channels + channels % 2), 0, channels,
                                 stq_output_pixel(output, rq->output_type, channels, pixel + i));
        }
    }
    return STQ_OK;
}

#endif /* STQ_CONVOLVE_CORE_H */
