/* SPDX-License-Identifier: LicenseRef-stq-deploy-output */
/*
 * network.c - stq_model.c as the firmware's server and the host library see it.
 *
 * Written by stq-deploy 0.0.0; do not edit.
 * Model:   c8c0be740f4517722b356b3a9f85d603772ccb0bf8b4a989dc337645ed4ad7f7
 * Command: stq-deploy build --board x
 */
#include "network.h"

const uint8_t stq_network_model_hash[32] = {
    0xc8, 0xc0, 0xbe, 0x74, 0x0f, 0x45, 0x17, 0x72, 0x2b, 0x35, 0x6b, 0x3a, 0x9f, 0x85, 0xd6, 0x03, 0x77,
    0x2c, 0xcb, 0x0b, 0xf8, 0xb4, 0xa9, 0x89, 0xdc, 0x33, 0x76, 0x45, 0xed, 0x4a, 0xd7, 0xf7,
};

const stq_layer_info stq_network_layers[STQ_NETWORK_LAYER_COUNT] = {
    {.name = "conv2d", .op = "convolve", .output = stq_model_static_arena + 280,
     .output_bytes = 36u, .macs = 972u},
    {.name = "sigmoid", .op = "table", .output = stq_model_static_arena + 280,
     .output_bytes = 36u, .macs = 0u},
    {.name = "multiply", .op = "pair_table", .output = stq_model_static_arena + 280,
     .output_bytes = 36u, .macs = 0u},
    {.name = "max_pooling2d", .op = "max_pool", .output = stq_model_static_arena + 280,
     .output_bytes = 16u, .macs = 0u},
    {.name = "dense", .op = "dense", .output = stq_model_static_arena + 56,
     .output_bytes = 10u, .macs = 80u},
    {.name = "dense_1", .op = "dense", .output = stq_model_static_arena + 72,
     .output_bytes = 12u, .macs = 15u},
};

const stq_output_info stq_network_outputs[STQ_NETWORK_OUTPUTS] = {
    {.levels = stq_model_static_arena + 72, .bytes = 12u},
};

void *stq_network_input(void)
{
    return stq_model_static_arena + 184;
}

const void *stq_network_output(void)
{
    return stq_model_static_arena + 72;
}

stq_status stq_network_run_layer(int32_t index)
{
    return stq_model_run_layer(&stq_model_static, index);
}
