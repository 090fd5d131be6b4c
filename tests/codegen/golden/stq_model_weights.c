/* SPDX-License-Identifier: LicenseRef-stq-deploy-output */
/*
 * stq_model_weights.c - packed weights (bit order: stq_nn.h), requantization arrays and look-up tables.
 *
 * Written by stq-deploy 0.0.0; do not edit.
 * Model:   c8c0be740f4517722b356b3a9f85d603772ccb0bf8b4a989dc337645ed4ad7f7
 * Command: stq-deploy build --board x
 */
#include "stq_model_weights.h"

/* Layer 0, conv2d (convolve, from conv2d, batch_normalization, activation): 4 rows of 27 weights, 2 bits each. */
const uint32_t stq_model_weights_layer_00_conv2d[8] = {
    0x2a699582u, 0x5646529au,
    0x55424221u, 0x551a5144u,
    0x61564a82u, 0x55265524u,
    0x2248525au, 0x556056a0u,
};

/* Layer 0, conv2d (convolve, from conv2d, batch_normalization, activation): 3 ascending thresholds of each output channel. */
const int32_t stq_model_thresholds_layer_00_conv2d[12] = {
    -300, 10, 200,
    -5, 0, 5,
    1, 2, 2147483647,
    -90, -80, 70,
};

/* Layer 0, conv2d (convolve, from conv2d, batch_normalization, activation): 1 for a rising, -1 for a falling channel. */
const int8_t stq_model_sign_layer_00_conv2d[4] = {
    1, 1, -1, 1,
};

/* Layer 1, sigmoid (table): output level of input level -128 and up. */
const int8_t stq_model_table_layer_01_sigmoid[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
};

/* Layer 2, multiply (pair_table): output level for 4 levels of the first input, 4 of the second. */
const int8_t stq_model_table_layer_02_multiply[16] = {
    0, 0, 0, 0,
    1, 1, 1, 1,
    2, 2, 2, 2,
    3, 3, 3, 3,
};

/* Layer 4, dense (dense): 5 rows of 16 weights, 4 bits each. */
const uint32_t stq_model_weights_layer_04_dense[10] = {
    0x46adf869u, 0xe9ef3648u,
    0x7d863795u, 0x90393e22u,
    0xd1a60573u, 0x768ebf9du,
    0x16f9a392u, 0xcf0f0a3du,
    0xaf2f0076u, 0x8629f9c7u,
};

/* Layer 4, dense (dense): multiplier of each output channel. */
const int32_t stq_model_multiplier_layer_04_dense[5] = {
    536870912, INT32_MIN, 1073741824, 268435456, 7,
};

/* Layer 4, dense (dense): offset of each output channel. */
const int32_t stq_model_offset_layer_04_dense[5] = {
    -2, -1, 0, 1, 2,
};

/* Layer 5, dense_1 (dense): 3 rows of 5 weights, 2 bits each. */
const uint32_t stq_model_weights_layer_05_dense_1[3] = {
    0xaaa3aa99u,
    0xaaacaab5u,
    0xaaa0aa8du,
};
