/*
 * A network whose answer is known by arithmetic, and which counts its runs: what the server needs of a network.h.
 * Layer k adds up what came before in its own way, so that a wrong, stale or mixed sample shows in every output.
 */
#ifndef STUB_NETWORK_H
#define STUB_NETWORK_H

#include <stdint.h>

#include "stq_nn.h"

#ifndef STQ_NETWORK_INPUT_BYTES
#define STQ_NETWORK_INPUT_BYTES 1024
#endif
#ifdef STUB_WIDE_LEVELS
typedef int16_t stub_level;
typedef int32_t stub_sum;
#define STQ_NETWORK_INPUT_TYPE STQ_S16
#define STQ_NETWORK_INPUT_MINIMUM (-30000)
#define STQ_NETWORK_INPUT_MAXIMUM 30000
#else
typedef int8_t stub_level;
typedef int16_t stub_sum;
#define STQ_NETWORK_INPUT_TYPE STQ_S8
#define STQ_NETWORK_INPUT_MINIMUM (-128)
#define STQ_NETWORK_INPUT_MAXIMUM 126 /* 127 is not certified, to see it refused */
#endif
#define STUB_LEVELS (STQ_NETWORK_INPUT_BYTES / (int)sizeof(stub_level))
#define STQ_NETWORK_OUTPUT_COUNT 10
#define STQ_NETWORK_OUTPUT_TYPE STQ_S32
#define STQ_NETWORK_OUTPUTS 2
#define STQ_NETWORK_LAYER_COUNT 3
#define STQ_NETWORK_LAYER_CYCLES 1000000ULL

extern const uint8_t stq_network_model_hash[32];

typedef struct {
    const char *name;
    const char *op;
    const void *output;
    uint32_t output_bytes;
    uint32_t macs;
} stq_layer_info;

extern const stq_layer_info stq_network_layers[STQ_NETWORK_LAYER_COUNT];

typedef struct {
    const void *levels;
    uint32_t bytes;
} stq_output_info;

extern const stq_output_info stq_network_outputs[STQ_NETWORK_OUTPUTS];

void *stq_network_input(void);
const void *stq_network_output(void);
stq_status stq_network_run_layer(int32_t index);

#endif
