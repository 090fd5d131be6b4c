/* SPDX-License-Identifier: LicenseRef-stq-deploy-output */
/*
 * network.h - the network as the firmware's server and the host library see it.
 *
 * Written by stq-deploy 0.0.0; do not edit.
 * Model:   c8c0be740f4517722b356b3a9f85d603772ccb0bf8b4a989dc337645ed4ad7f7
 * Command: stq-deploy build --board x
 */
#ifndef STQ_NETWORK_H
#define STQ_NETWORK_H

#include <stdint.h>

#include "stq_nn.h"

#define STQ_NETWORK_INPUT_TYPE STQ_S8 /* of a level: STQ_S8 or STQ_S16 */
#define STQ_NETWORK_INPUT_BYTES 90 /* all levels of a sample */
/* The levels the network was certified for; others would index its tables out of bounds. */
#define STQ_NETWORK_INPUT_MINIMUM (-128)
#define STQ_NETWORK_INPUT_MAXIMUM (127)
#define STQ_NETWORK_OUTPUT_COUNT 3 /* logits */
#define STQ_NETWORK_OUTPUT_TYPE STQ_S32
#define STQ_NETWORK_LAYER_COUNT 6
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

/* Where the input levels go, as STQ_NETWORK_INPUT_TYPE; they must be written anew for every inference. */
void *stq_network_input(void);

/* The logits, valid after the last layer has run until the input is written again. */
const void *stq_network_output(void);

/* Run layer `index`. Layers run in order, 0 to STQ_NETWORK_LAYER_COUNT - 1. */
stq_status stq_network_run_layer(int32_t index);

/* Run all layers. */
stq_status stq_network_run(void);

#endif /* STQ_NETWORK_H */
