/* SPDX-License-Identifier: Apache-2.0 */
#include "host_library.h"

#include <stddef.h>
#include <string.h>

#define CRC32_POLYNOMIAL 0xedb88320u /* reflected, as in zlib */

/* The CRC-32 of zlib. The device has its own code for it, so that a wrong CRC in one shows. */
static uint32_t crc32(const uint8_t *bytes, size_t count)
{
    static uint32_t table[256];
    if (table[255] == 0) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t entry = i;
            for (int bit = 0; bit < 8; bit++) {
                entry = (entry >> 1) ^ ((entry & 1u) != 0 ? CRC32_POLYNOMIAL : 0u);
            }
            table[i] = entry;
        }
    }
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < count; i++) {
        crc = (crc >> 8) ^ table[(crc ^ bytes[i]) & 0xffu];
    }
    return ~crc;
}

static int32_t type_bytes(stq_type type)
{
    return type == STQ_S8 ? 1 : type == STQ_S16 ? 2 : 4;
}

stq_host_output stq_host_first_output(void)
{
    stq_host_output output = {-1, (uint32_t)(STQ_NETWORK_OUTPUT_COUNT * type_bytes(STQ_NETWORK_OUTPUT_TYPE))};
    for (int32_t layer = 0; layer < STQ_NETWORK_LAYER_COUNT; layer++) {
        if (stq_network_layers[layer].output == stq_network_output()) {
            output.layer = layer; /* the last one there, where layers write over their inputs */
        }
    }
    return output;
}

/* Run the layers up to and including `last`; STQ_HOST_DONE or the index of the one that refused. */
static int32_t run_layers(int32_t last, uint32_t *crcs)
{
    for (int32_t layer = 0; layer <= last; layer++) {
        const stq_layer_info *info = &stq_network_layers[layer];
        if (stq_network_run_layer(layer) != STQ_OK) {
            return layer;
        }
        if (crcs != NULL) {
            crcs[layer] = crc32(info->output, info->output_bytes);
        }
    }
    return STQ_HOST_DONE;
}

/* Give a sample to the network: its levels, and the counter of its noise. */
static void set_sample(const void *levels, const void *counter)
{
    memcpy(stq_network_input(), levels, STQ_NETWORK_INPUT_BYTES);
#if defined(STQ_NETWORK_NOISE)
    uint64_t number;
    memcpy(&number, counter, sizeof number);
    stq_network_set_noise_counter((uint32_t)number, (uint32_t)(number >> 32));
#else
    (void)counter;
#endif
}

int32_t stq_host_run(int32_t samples, const void *levels, const void *counters, int32_t count,
                     const stq_host_output *outputs, void *results, uint32_t *crcs)
{
    uint8_t *next = (uint8_t *)results;

    for (int32_t sample = 0; sample < samples; sample++) {
        const uint8_t *first = (const uint8_t *)levels + (size_t)sample * STQ_NETWORK_INPUT_BYTES;
        set_sample(first, counters == NULL ? NULL : (const uint8_t *)counters + (size_t)sample * sizeof(uint64_t));
        uint32_t *of_sample = crcs == NULL ? NULL : crcs + (size_t)sample * STQ_NETWORK_LAYER_COUNT;
        const int32_t refused = run_layers(STQ_NETWORK_LAYER_COUNT - 1, of_sample);
        if (refused != STQ_HOST_DONE) {
            return refused;
        }
        for (int32_t i = 0; i < count; i++) {
            const int32_t layer = outputs[i].layer;
            memcpy(next, layer < 0 ? stq_network_input() : stq_network_layers[layer].output, outputs[i].bytes);
            next += outputs[i].bytes;
        }
    }
    return STQ_HOST_DONE;
}

int32_t stq_host_layer_output(const void *levels, const void *counter, int32_t layer, void *output)
{
    set_sample(levels, counter);
    const int32_t refused = run_layers(layer, NULL);
    if (refused == STQ_HOST_DONE) {
        memcpy(output, stq_network_layers[layer].output, stq_network_layers[layer].output_bytes);
    }
    return refused;
}
