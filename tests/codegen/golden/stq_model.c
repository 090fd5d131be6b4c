/* SPDX-License-Identifier: LicenseRef-stq-deploy-output */
/*
 * stq_model.c - the layers of the network, each one call of a kernel.
 *
 * Written by stq-deploy 0.0.0; do not edit.
 * Model:   c8c0be740f4517722b356b3a9f85d603772ccb0bf8b4a989dc337645ed4ad7f7
 * Command: stq-deploy build --board x
 */
#include "stq_model.h"

#include <stddef.h>

#include "stq_model_weights.h"

/*
 * The arena holds every tensor; tensors that no layer needs at the same time share memory.
 * 320 bytes, of which at most 320 are in use at once.
 */
/* 6x5x3, memory in use from the start to layer 0 */
#define TENSOR_00_INPUT_1(network) ((int8_t *)(void *)((network)->arena + 184))
/* 3x3x4, memory in use from layer 0 to layer 1 */
#define TENSOR_01_CONV2D(network) ((int8_t *)(void *)((network)->arena + 280))
/* 3x3x4, memory in use from layer 1 to layer 2 */
#define TENSOR_02_GATE(network) ((int8_t *)(void *)((network)->arena + 280))
/* 3x3x4, memory in use from layer 2 to layer 3 */
#define TENSOR_03_GATED(network) ((int8_t *)(void *)((network)->arena + 280))
/* 2x2x4, memory in use from layer 3 to layer 4 */
#define TENSOR_04_MAX_POOLING2D(network) ((int8_t *)(void *)((network)->arena + 280))
/* 16, memory in use from layer 3 to layer 4 */
#define TENSOR_05_FLATTEN(network) ((int8_t *)(void *)((network)->arena + 280))
/* 5, memory in use from layer 4 to layer 5 */
#define TENSOR_06_HIDDEN(network) ((int16_t *)(void *)((network)->arena + 56))
/* 3, memory in use from layer 5 to the end */
#define TENSOR_07_LOGITS(network) ((int32_t *)(void *)((network)->arena + 72))

/*
 * Layer 0: conv2d (convolve, from conv2d, batch_normalization, activation)
 * 6x5x3 int8 -> 3x3x4 int8, 3x3 window, stride 2x2, 2-bit weights, 972 MACs
 */
static stq_status layer_00_conv2d(const stq_model_context *network)
{
    const stq_context scratch = {.buffer = network->arena + 0, .size = 184};
    static const stq_conv_params params = {
        .input_offset = 128, .weight_offset = 1,
        .stride_h = 2, .stride_w = 2,
        .pad_top = 0, .pad_left = 1,
        .dilation_h = 1, .dilation_w = 1,
    };
    static const stq_requantize requantize = {
        .kind = STQ_REQUANTIZE_THRESHOLD, .output_type = STQ_S8,
        .minimum = 0, .maximum = 3, .levels = 4,
        .thresholds = stq_model_thresholds_layer_00_conv2d, .sign = stq_model_sign_layer_00_conv2d,
    };
    static const stq_dims input_dims = {.h = 6, .w = 5, .c = 3};
    static const stq_dims filter_dims = {.h = 3, .w = 3, .c = 3};
    static const stq_dims output_dims = {.h = 3, .w = 3, .c = 4};

    return stq_convolve_t2_s8(
        &scratch, &params, &requantize, &input_dims, TENSOR_00_INPUT_1(network), &filter_dims,
        stq_model_weights_layer_00_conv2d, &output_dims, TENSOR_01_CONV2D(network));
}

/*
 * Layer 1: sigmoid (table)
 * 3x3x4 int8 -> 3x3x4 int8
 */
static stq_status layer_01_sigmoid(const stq_model_context *network)
{
    return stq_table_s8(
        stq_model_table_layer_01_sigmoid, 36, TENSOR_01_CONV2D(network), TENSOR_02_GATE(network));
}

/*
 * Layer 2: multiply (pair_table)
 * 3x3x4 int8 and 3x3x4 int8 -> 3x3x4 int8
 */
static stq_status layer_02_multiply(const stq_model_context *network)
{
    static const stq_pair_table_params params = {.a_minimum = 0, .b_minimum = 0, .b_levels = 4};

    return stq_pair_table_s8(
        &params, stq_model_table_layer_02_multiply, 36, TENSOR_02_GATE(network), TENSOR_02_GATE(network),
        TENSOR_03_GATED(network));
}

/*
 * Layer 3: max_pooling2d (max_pool)
 * 3x3x4 int8 -> 2x2x4 int8, 2x2 window, stride 1x1
 */
static stq_status layer_03_max_pooling2d(const stq_model_context *network)
{
    static const stq_pool_params params = {
        .window_h = 2, .window_w = 2,
        .stride_h = 1, .stride_w = 1,
        .pad_top = 0, .pad_left = 0,
    };
    static const stq_dims input_dims = {.h = 3, .w = 3, .c = 4};
    static const stq_dims output_dims = {.h = 2, .w = 2, .c = 4};

    return stq_max_pool_s8(
        &params, &input_dims, TENSOR_03_GATED(network), &output_dims, TENSOR_04_MAX_POOLING2D(network));
}

/*
 * Layer 4: dense (dense)
 * 16 int8 -> 5 int16, 4-bit weights, 80 MACs
 */
static stq_status layer_04_dense(const stq_model_context *network)
{
    const stq_context scratch = {.buffer = network->arena + 0, .size = 56};
    static const stq_dense_params params = {.input_offset = 0, .weight_offset = 8};
    static const stq_requantize requantize = {
        .kind = STQ_REQUANTIZE_MULTIPLIER, .output_type = STQ_S16,
        .left_shift = 4, .right_shift = 1, .minimum = -500, .maximum = 500,
        .multiplier = stq_model_multiplier_layer_04_dense, .offset = stq_model_offset_layer_04_dense,
    };

    return stq_dense_s4_s8(
        &scratch, &params, &requantize, 16, TENSOR_05_FLATTEN(network), stq_model_weights_layer_04_dense, 5,
        TENSOR_06_HIDDEN(network));
}

/*
 * Layer 5: dense_1 (dense)
 * 5 int16 -> 3 int32, 2-bit weights, 15 MACs
 */
static stq_status layer_05_dense_1(const stq_model_context *network)
{
    const stq_context scratch = {.buffer = network->arena + 0, .size = 48};
    static const stq_dense_params params = {.input_offset = 0, .weight_offset = 2};
    static const stq_requantize requantize = {.kind = STQ_REQUANTIZE_KEEP, .output_type = STQ_S32};

    return stq_dense_t2_s16(
        &scratch, &params, &requantize, 5, TENSOR_06_HIDDEN(network), stq_model_weights_layer_05_dense_1, 3,
        TENSOR_07_LOGITS(network));
}

static int is_aligned(const void *memory)
{
    return memory != NULL && (uintptr_t)memory % STQ_MODEL_ALIGNMENT == 0U;
}

stq_status stq_model_init(stq_model_context *network, void *arena, uint32_t arena_bytes, void *scratch,
                        uint32_t scratch_bytes)
{
    if (network == NULL || !is_aligned(arena) || arena_bytes < STQ_MODEL_ARENA_BYTES) {
        return STQ_ARGUMENT_ERROR;
    }
    (void)scratch_bytes;
    network->arena = arena;
    network->scratch.buffer = scratch;
    network->scratch.size = STQ_MODEL_SCRATCH_BYTES;
    return STQ_OK;
}

stq_model_input_level *stq_model_input(const stq_model_context *network)
{
    return TENSOR_00_INPUT_1(network);
}

const void *stq_model_output(const stq_model_context *network, int32_t output)
{
    switch (output) {
    case 0:
        return TENSOR_07_LOGITS(network);
    default:
        return NULL;
    }
}

stq_status stq_model_run_layer(const stq_model_context *network, int32_t layer)
{
    /* Direct calls, not a table of pointers: the call graph that bounds the stack stays visible. */
    switch (layer) {
    case 0:
        return layer_00_conv2d(network);
    case 1:
        return layer_01_sigmoid(network);
    case 2:
        return layer_02_multiply(network);
    case 3:
        return layer_03_max_pooling2d(network);
    case 4:
        return layer_04_dense(network);
    case 5:
        return layer_05_dense_1(network);
    default:
        return STQ_ARGUMENT_ERROR;
    }
}

stq_status stq_model_run(const stq_model_context *network)
{
    for (int32_t layer = 0; layer < STQ_MODEL_LAYERS; layer++) {
        const stq_status status = stq_model_run_layer(network, layer);
        if (status != STQ_OK) {
            return status;
        }
    }
    return STQ_OK;
}
