/* SPDX-License-Identifier: LicenseRef-stq-deploy-output */
/*
 * stq_model_weights.h - constants of the network's layers (internal to stq_model.c and stq_model_weights.c).
 *
 * Written by stq-deploy 0.0.0; do not edit.
 * Model:   c8c0be740f4517722b356b3a9f85d603772ccb0bf8b4a989dc337645ed4ad7f7
 * Command: stq-deploy build --board x
 */
#ifndef STQ_MODEL_WEIGHTS_H
#define STQ_MODEL_WEIGHTS_H

#include <stdint.h>

extern const uint32_t stq_model_weights_layer_00_conv2d[8];
extern const int32_t stq_model_thresholds_layer_00_conv2d[12];
extern const int8_t stq_model_sign_layer_00_conv2d[4];
extern const int8_t stq_model_table_layer_01_sigmoid[256];
extern const int8_t stq_model_table_layer_02_multiply[16];
extern const uint32_t stq_model_weights_layer_04_dense[10];
extern const int32_t stq_model_multiplier_layer_04_dense[5];
extern const int32_t stq_model_offset_layer_04_dense[5];
extern const uint32_t stq_model_weights_layer_05_dense_1[3];

#endif /* STQ_MODEL_WEIGHTS_H */
