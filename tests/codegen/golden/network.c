/* SPDX-License-Identifier: LicenseRef-stq-deploy-output */
/*
 * network.c - the layers of the network, each one call of a kernel.
 *
 * Written by stq-deploy 0.0.0; do not edit.
 * Model:   c8c0be740f4517722b356b3a9f85d603772ccb0bf8b4a989dc337645ed4ad7f7
 * Command: stq-deploy build --board x
 */
#include "network.h"

#include "weights.h"

/* The linker script places these sections; Mach-O, on some hosts, has no such names. */
#if defined(__ELF__)
#define STQ_PLACED(section_name) __attribute__((section(section_name), aligned(32)))
#else
#define STQ_PLACED(section_name) __attribute__((aligned(32)))
#endif

const uint8_t stq_network_model_hash[32] = {
    0xc8, 0xc0, 0xbe, 0x74, 0x0f, 0x45, 0x17, 0x72, 0x2b, 0x35, 0x6b, 0x3a, 0x9f, 0x85, 0xd6, 0x03, 0x77,
    0x2c, 0xcb, 0x0b, 0xf8, 0xb4, 0xa9, 0x89, 0xdc, 0x33, 0x76, 0x45, 0xed, 0x4a, 0xd7, 0xf7,
};

/*
 * The arena holds every tensor; tensors that no layer needs at the same time share memory.
 * 136 bytes, of which at most 136 are in use at once.
 */
static int8_t arena[136] STQ_PLACED(".bss.stq_arena");

/* 6x5x3, memory in use from the start to layer 0 */
#define TENSOR_00_INPUT_1 ((int8_t *)(void *)(arena + 0))
/* 3x3x4, memory in use from layer 0 to layer 1 */
#define TENSOR_01_CONV2D ((int8_t *)(void *)(arena + 96))
/* 3x3x4, memory in use from layer 1 to layer 2 */
#define TENSOR_02_GATE ((int8_t *)(void *)(arena + 96))
/* 3x3x4, memory in use from layer 2 to layer 3 */
#define TENSOR_03_GATED ((int8_t *)(void *)(arena + 96))
/* 2x2x4, memory in use from layer 3 to layer 4 */
#define TENSOR_04_MAX_POOLING2D ((int8_t *)(void *)(arena + 96))
/* 16, memory in use from layer 3 to layer 4 */
#define TENSOR_05_FLATTEN ((int8_t *)(void *)(arena + 96))
/* 5, memory in use from layer 4 to layer 5 */
#define TENSOR_06_HIDDEN ((int16_t *)(void *)(arena + 0))
/* 3, memory in use from layer 5 to the end */
#define TENSOR_07_LOGITS ((int32_t *)(void *)(arena + 16))

/* Working memory of whichever kernel runs. */
static int32_t scratch[40] STQ_PLACED(".bss.stq_scratch");
static const stq_context context = {.buffer = scratch, .size = sizeof scratch};

/*
 * Layer 0: conv2d (convolve, from conv2d, batch_normalization, activation)
 * 6x5x3 int8 -> 3x3x4 int8, 3x3 window, stride 2x2, 2-bit weights, 972 MACs
 */
static stq_status layer_00_conv2d(void)
{
    static const stq_conv_params params = {
        .input_offset = 128, .weight_offset = 1,
        .stride_h = 2, .stride_w = 2,
        .pad_top = 0, .pad_left = 1,
        .dilation_h = 1, .dilation_w = 1,
    };
    static const stq_requantize requantize = {
        .kind = STQ_REQUANTIZE_THRESHOLD, .output_type = STQ_S8,
        .minimum = 0, .maximum = 3, .levels = 4,
        .thresholds = stq_thresholds_layer_00_conv2d, .sign = stq_sign_layer_00_conv2d,
    };
    static const stq_dims input_dims = {.h = 6, .w = 5, .c = 3};
    static const stq_dims filter_dims = {.h = 3, .w = 3, .c = 3};
    static const stq_dims output_dims = {.h = 3, .w = 3, .c = 4};

    return stq_convolve_t2_s8(
        &context, &params, &requantize, &input_dims, TENSOR_00_INPUT_1, &filter_dims,
        stq_weights_layer_00_conv2d, &output_dims, TENSOR_01_CONV2D);
}

/*
 * Layer 1: sigmoid (table)
 * 3x3x4 int8 -> 3x3x4 int8
 */
static stq_status layer_01_sigmoid(void)
{
    return stq_table_s8(stq_table_layer_01_sigmoid, 36, TENSOR_01_CONV2D, TENSOR_02_GATE);
}

/*
 * Layer 2: multiply (pair_table)
 * 3x3x4 int8 and 3x3x4 int8 -> 3x3x4 int8
 */
static stq_status layer_02_multiply(void)
{
    static const stq_pair_table_params params = {.a_minimum = 0, .b_minimum = 0, .b_levels = 4};

    return stq_pair_table_s8(
        &params, stq_table_layer_02_multiply, 36, TENSOR_02_GATE, TENSOR_02_GATE, TENSOR_03_GATED);
}

/*
 * Layer 3: max_pooling2d (max_pool)
 * 3x3x4 int8 -> 2x2x4 int8, 2x2 window, stride 1x1
 */
static stq_status layer_03_max_pooling2d(void)
{
    static const stq_pool_params params = {
        .window_h = 2, .window_w = 2,
        .stride_h = 1, .stride_w = 1,
        .pad_top = 0, .pad_left = 0,
    };
    static const stq_dims input_dims = {.h = 3, .w = 3, .c = 4};
    static const stq_dims output_dims = {.h = 2, .w = 2, .c = 4};

    return stq_max_pool_s8(&params, &input_dims, TENSOR_03_GATED, &output_dims, TENSOR_04_MAX_POOLING2D);
}

/*
 * Layer 4: dense (dense)
 * 16 int8 -> 5 int16, 4-bit weights, 80 MACs
 */
static stq_status layer_04_dense(void)
{
    static const stq_dense_params params = {.input_offset = 0, .weight_offset = 8};
    static const stq_requantize requantize = {
        .kind = STQ_REQUANTIZE_MULTIPLIER, .output_type = STQ_S16,
        .left_shift = 4, .right_shift = 1,
        .minimum = -500, .maximum = 500,
        .multiplier = stq_multiplier_layer_04_dense, .offset = stq_offset_layer_04_dense,
    };

    return stq_dense_s4_s8(
        &context, &params, &requantize, 16, TENSOR_05_FLATTEN, stq_weights_layer_04_dense, 5,
        TENSOR_06_HIDDEN);
}

/*
 * Layer 5: dense_1 (dense)
 * 5 int16 -> 3 int32, 2-bit weights, 15 MACs
 */
static stq_status layer_05_dense_1(void)
{
    static const stq_dense_params params = {.input_offset = 0, .weight_offset = 2};
    static const stq_requantize requantize = {.kind = STQ_REQUANTIZE_KEEP, .output_type = STQ_S32};

    return stq_dense_t2_s16(
        &context, &params, &requantize, 5, TENSOR_06_HIDDEN, stq_weights_layer_05_dense_1, 3,
        TENSOR_07_LOGITS);
}

const stq_layer_info stq_network_layers[STQ_NETWORK_LAYER_COUNT] = {
    {.name = "conv2d", .op = "convolve", .output = TENSOR_01_CONV2D,
     .output_bytes = 36u, .macs = 972u},
    {.name = "sigmoid", .op = "table", .output = TENSOR_02_GATE,
     .output_bytes = 36u, .macs = 0u},
    {.name = "multiply", .op = "pair_table", .output = TENSOR_03_GATED,
     .output_bytes = 36u, .macs = 0u},
    {.name = "max_pooling2d", .op = "max_pool", .output = TENSOR_04_MAX_POOLING2D,
     .output_bytes = 16u, .macs = 0u},
    {.name = "dense", .op = "dense", .output = TENSOR_06_HIDDEN,
     .output_bytes = 10u, .macs = 80u},
    {.name = "dense_1", .op = "dense", .output = TENSOR_07_LOGITS,
     .output_bytes = 12u, .macs = 15u},
};

void *stq_network_input(void)
{
    return TENSOR_00_INPUT_1;
}

const void *stq_network_output(void)
{
    return TENSOR_07_LOGITS;
}

stq_status stq_network_run_layer(int32_t index)
{
    /* Direct calls, not a table of pointers: the call graph that bounds the stack stays visible. */
    switch (index) {
    case 0:
        return layer_00_conv2d();
    case 1:
        return layer_01_sigmoid();
    case 2:
        return layer_02_multiply();
    case 3:
        return layer_03_max_pooling2d();
    case 4:
        return layer_04_dense();
    case 5:
        return layer_05_dense_1();
    default:
        return STQ_ARGUMENT_ERROR;
    }
}

stq_status stq_network_run(void)
{
    for (int32_t index = 0; index < STQ_NETWORK_LAYER_COUNT; index++) {
        const stq_status status = stq_network_run_layer(index);
        if (status != STQ_OK) {
            return status;
        }
    }
    return STQ_OK;
}
