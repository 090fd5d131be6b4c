/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_nn_define.h - the public names of the kernels that come in variants: weight widths, types, ops (internal).
 *
 * One macro call defines one public function and its buffer size. Both implementations use these. The function calls
 * the inline function of the implementation's own `stq_..._core.h`, with what varies as constants. The calls are in
 * `kernels/instances.c`, which stq-deploy writes for the network. Two networks in one image may both define a kernel,
 * to the same code: the definitions are weak, so the linker takes one of them.
 */
#ifndef STQ_NN_DEFINE_H
#define STQ_NN_DEFINE_H

#include "stq_nn.h"
#include "internal/stq_nn_depthwise8.h"
#include "internal/stq_nn_gather.h"
#include "internal/stq_nn_scratch.h"

#define STQ_INSTANCE __attribute__((weak))

/* A public convolution: name, bits of a weight, C type and stq_type of an input element. */
#define STQ_DEFINE_CONVOLVE(name, bits, input_c_type, input_type)                                                      \
    STQ_INSTANCE stq_status name(const stq_context *ctx, const stq_conv_params *params, const stq_requantize *rq,      \
                                 const stq_dims *input_dims, const input_c_type *input, const stq_dims *filter_dims,   \
                                 const uint32_t *filter, const stq_dims *output_dims, void *output)                    \
    {                                                                                                                  \
        return stq_convolve(ctx, params, rq, input_dims, input, input_type, filter_dims, filter, bits, output_dims,    \
                            output);                                                                                   \
    }                                                                                                                  \
    STQ_INSTANCE int32_t name##_get_buffer_size(const stq_dims *filter_dims, const stq_dims *output_dims)              \
    {                                                                                                                  \
        return stq_convolve_buffer_size(filter_dims, bits, output_dims);                                               \
    }

/* A public gather convolution: name, bits of a weight, bytes of a lane, C type and stq_type of an input element. */
#define STQ_DEFINE_GATHER(name, bits, lane_bytes, input_c_type, input_type)                                            \
    STQ_INSTANCE stq_status name(const stq_context *ctx, const stq_gather_params *params, const stq_requantize *rq,    \
                                 const stq_dims *input_dims, const input_c_type *input, const stq_dims *filter_dims,   \
                                 const uint32_t *filter, const stq_dims *output_dims, void *output)                    \
    {                                                                                                                  \
        const stq_coded_weights fields = {filter, 0, 0};                                                               \
        return stq_gather(ctx, params, rq, input_dims, input, input_type, filter_dims, &fields, STQ_FIELDS_##bits,     \
                          lane_bytes, output_dims, output);                                                            \
    }                                                                                                                  \
    STQ_INSTANCE int32_t name##_get_buffer_size(const stq_gather_params *params, const stq_dims *input_dims,           \
                                                const stq_dims *filter_dims, const stq_dims *output_dims)              \
    {                                                                                                                  \
        return stq_gather_buffer_size(params, input_dims, filter_dims, output_dims, STQ_FIELDS_##bits, lane_bytes,     \
                                      sizeof(input_c_type));                                                           \
    }

/* The same for coded weights: name, STQ_TRITS or STQ_GAPS, and the others as above. */
#define STQ_DEFINE_CODED_GATHER(name, packing, lane_bytes, input_c_type, input_type)                                   \
    STQ_INSTANCE stq_status name(const stq_context *ctx, const stq_gather_params *params, const stq_requantize *rq,    \
                                 const stq_dims *input_dims, const input_c_type *input, const stq_dims *filter_dims,   \
                                 const stq_coded_weights *filter, const stq_dims *output_dims, void *output)           \
    {                                                                                                                  \
        return stq_gather(ctx, params, rq, input_dims, input, input_type, filter_dims, filter, packing, lane_bytes,    \
                          output_dims, output);                                                                        \
    }                                                                                                                  \
    STQ_INSTANCE int32_t name##_get_buffer_size(const stq_gather_params *params, const stq_dims *input_dims,           \
                                                const stq_dims *filter_dims, const stq_dims *output_dims)              \
    {                                                                                                                  \
        return stq_gather_buffer_size(params, input_dims, filter_dims, output_dims, packing, lane_bytes,               \
                                      sizeof(input_c_type));                                                           \
    }

/* A public depthwise convolution: name, bits of a weight, C type and stq_type of an input element. */
#define STQ_DEFINE_DEPTHWISE_CONVOLVE(name, bits, input_c_type, input_type)                                            \
    STQ_INSTANCE stq_status name(const stq_context *ctx, const stq_conv_params *params, const stq_requantize *rq,      \
                                 const stq_dims *input_dims, const input_c_type *input, const stq_dims *filter_dims,   \
                                 const uint32_t *filter, const stq_dims *output_dims, void *output)                    \
    {                                                                                                                  \
        return stq_depthwise_convolve(ctx, params, rq, input_dims, input, input_type, filter_dims, filter, bits,       \
                                      output_dims, output);                                                            \
    }                                                                                                                  \
    STQ_INSTANCE int32_t name##_get_buffer_size(const stq_dims *filter_dims, const stq_dims *output_dims)              \
    {                                                                                                                  \
        (void)output_dims;                                                                                             \
        return stq_depthwise_convolve_buffer_size(filter_dims);                                                        \
    }

/* A public depthwise convolution on lanes of bytes: name, bits of a weight. */
#define STQ_DEFINE_DEPTHWISE8(name, bits)                                                                              \
    STQ_INSTANCE stq_status name(const stq_context *ctx, const stq_gather_params *params, const stq_requantize *rq,    \
                                 const stq_dims *input_dims, const int8_t *input, const stq_dims *filter_dims,         \
                                 const uint32_t *filter, const stq_dims *output_dims, void *output)                    \
    {                                                                                                                  \
        return stq_depthwise8(ctx, params, rq, input_dims, input, filter_dims, filter, bits, output_dims, output);     \
    }                                                                                                                  \
    STQ_INSTANCE int32_t name##_get_buffer_size(const stq_gather_params *params, const stq_dims *input_dims,           \
                                                const stq_dims *filter_dims, const stq_dims *output_dims)              \
    {                                                                                                                  \
        (void)input_dims;                                                                                              \
        return stq_depthwise8_buffer_size(params, filter_dims, output_dims);                                           \
    }

/* A public dense layer: name, bits of a weight, C type and stq_type of an input element. */
#define STQ_DEFINE_DENSE(name, bits, input_c_type, input_type)                                                         \
    STQ_INSTANCE stq_status name(const stq_context *ctx, const stq_dense_params *params, const stq_requantize *rq,     \
                                 int32_t inputs, const input_c_type *input, const uint32_t *filter, int32_t outputs,   \
                                 void *output)                                                                         \
    {                                                                                                                  \
        return stq_dense(ctx, params, rq, inputs, input, input_type, filter, bits, outputs, output);                   \
    }                                                                                                                  \
    STQ_INSTANCE int32_t name##_get_buffer_size(int32_t inputs, int32_t outputs)                                       \
    {                                                                                                                  \
        return stq_dense_buffer_size(inputs, bits, outputs);                                                           \
    }

/* A public max pool: name, C type and stq_type of an element. */
#define STQ_DEFINE_MAX_POOL(name, c_type, type)                                                                        \
    STQ_INSTANCE stq_status name(const stq_pool_params *params, const stq_dims *input_dims, const c_type *input,       \
                                 const stq_dims *output_dims, c_type *output)                                          \
    {                                                                                                                  \
        return stq_max_pool(params, input_dims, input, type, output_dims, output);                                     \
    }

/* A public average pool: name, C type and stq_type of an input element. */
#define STQ_DEFINE_AVERAGE_POOL(name, input_c_type, input_type)                                                        \
    STQ_INSTANCE stq_status name(const stq_context *ctx, const stq_pool_params *params, const stq_requantize *rq,      \
                                 const stq_dims *input_dims, const input_c_type *input, const stq_dims *output_dims,   \
                                 void *output)                                                                         \
    {                                                                                                                  \
        return stq_average_pool(ctx, params, rq, input_dims, input, input_type, output_dims, output);                  \
    }                                                                                                                  \
    STQ_INSTANCE int32_t name##_get_buffer_size(int32_t channels)                                                      \
    {                                                                                                                  \
        return stq_channel_block_buffer_size(channels);                                                                \
    }

/* A public elementwise kernel of two inputs: name and stq_elementwise_op. */
#define STQ_DEFINE_ELEMENTWISE(name, op)                                                                               \
    STQ_INSTANCE stq_status name(const stq_context *ctx, const stq_elementwise_params *params,                         \
                                 const stq_requantize *rq, int32_t pixels, int32_t channels, const void *a,            \
                                 const void *b, void *output)                                                          \
    {                                                                                                                  \
        return stq_elementwise(op, ctx, params, rq, pixels, channels, a, b, output);                                   \
    }                                                                                                                  \
    STQ_INSTANCE int32_t name##_get_buffer_size(int32_t channels)                                                      \
    {                                                                                                                  \
        return stq_channel_block_buffer_size(channels);                                                                \
    }

#endif /* STQ_NN_DEFINE_H */
