/* SPDX-License-Identifier: LicenseRef-stq-deploy-output */
/*
 * network.h - stq_model.h as the firmware's server and the host library see it: one network, in static memory, with names of
 * its layers. A project without them does not need this file.
 *
 * Written by stq-deploy 0.0.0; do not edit.
 * Model:   c8c0be740f4517722b356b3a9f85d603772ccb0bf8b4a989dc337645ed4ad7f7
 * Command: stq-deploy build --board x
 */
#ifndef STQ_NETWORK_H
#define STQ_NETWORK_H

#include <stdint.h>

#include "stq_model.h"

#ifdef __cplusplus
extern "C" {
#endif

#define STQ_NETWORK_INPUT_TYPE STQ_MODEL_INPUT_TYPE /* of a level: STQ_S8 or STQ_S16 */
#define STQ_NETWORK_INPUT_BYTES STQ_MODEL_INPUT_BYTES /* all levels of a sample */
#define STQ_NETWORK_INPUT_MINIMUM STQ_MODEL_INPUT_MINIMUM
#define STQ_NETWORK_INPUT_MAXIMUM STQ_MODEL_INPUT_MAXIMUM
#define STQ_NETWORK_OUTPUT_COUNT STQ_MODEL_OUTPUT_0_ELEMENTS /* logits */
#define STQ_NETWORK_OUTPUT_TYPE STQ_MODEL_OUTPUT_0_TYPE
#define STQ_NETWORK_OUTPUTS STQ_MODEL_OUTPUTS /* all outputs, the logits first */
#define STQ_NETWORK_LAYER_COUNT STQ_MODEL_LAYERS
/*
 * No layer takes more core cycles with the Cortex-M7's kernels: a bound from multiply-accumulates, bytes moved and output
 * elements, with room for wait states. A watchdog must allow this much without progress.
 */
#define STQ_NETWORK_LAYER_CYCLES 172928ULL

/* SHA-256 over what the network computes. */
extern const uint8_t stq_network_model_hash[32];

typedef struct {
    const char *name;
    const char *op;
    const void *output; /* intact from when the layer has run until the next layer runs */
    uint32_t output_bytes;
    uint32_t macs; /* multiply-accumulates of one inference */
} stq_layer_info;

extern const stq_layer_info stq_network_layers[STQ_NETWORK_LAYER_COUNT];

typedef struct {
    const void *levels; /* valid after the last layer has run until the input is written again */
    uint32_t bytes;
} stq_output_info;

extern const stq_output_info stq_network_outputs[STQ_NETWORK_OUTPUTS];

/* Where the input levels go, as STQ_NETWORK_INPUT_TYPE; they must be written anew for every inference. */
void *stq_network_input(void);

/* The logits, valid after the last layer has run until the input is written again. */
const void *stq_network_output(void);

/* Run layer `index`. Layers run in order, 0 to STQ_NETWORK_LAYER_COUNT - 1. */
stq_status stq_network_run_layer(int32_t index);

#ifdef __cplusplus
}
#endif

#endif /* STQ_NETWORK_H */
