/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_main.c - the network as a filter: samples on stdin, results on stdout. The sanitized build is such a program,
 * because AddressSanitizer must be in a process from its start.
 *
 * A sample is its levels and, if the network has noise, the 8 bytes of its counter.
 *
 *   network                    for each sample: its logits, then the CRC-32 of every layer (uint32)
 *   network LAYER BYTES ...    the same with these outputs (stq_host_output) in place of the logits
 *   network LAYER              for each sample: the output of that layer
 *
 * Exit code 0: all samples done. 1: a kernel refused its arguments. 2: input or output is cut off, bad arguments, or no
 * memory.
 */
#include <stdio.h>
#include <stdlib.h>

#include "host_library.h"

#if defined(STQ_NETWORK_NOISE)
#define COUNTER_BYTES sizeof(uint64_t)
#else
#define COUNTER_BYTES 0
#endif

static int refused(int32_t result)
{
    if (result != STQ_HOST_DONE) {
        fprintf(stderr, "layer %d refused its arguments\n", (int)result);
    }
    return result != STQ_HOST_DONE;
}

static int write_all(const void *bytes, size_t count)
{
    return fwrite(bytes, 1, count, stdout) == count;
}

static int write_results(const void *levels, int32_t count, const stq_host_output *outputs)
{
    static uint32_t crcs[STQ_NETWORK_LAYER_COUNT];
    size_t bytes = 0;

    for (int32_t i = 0; i < count; i++) {
        bytes += outputs[i].bytes;
    }
    void *results = malloc(bytes);
    int code = 2;
    if (results != NULL) {
        const void *counter = (const uint8_t *)levels + STQ_NETWORK_INPUT_BYTES;
        code = refused(stq_host_run(1, levels, counter, count, outputs, results, crcs)) ? 1
               : write_all(results, bytes) && write_all(crcs, sizeof crcs)              ? 0
                                                                                        : 2;
    }
    free(results);
    return code;
}

static int write_layer(const void *levels, int32_t layer)
{
    const size_t bytes = stq_network_layers[layer].output_bytes;
    void *output = malloc(bytes);
    int code = 2;

    if (output != NULL) {
        const void *counter = (const uint8_t *)levels + STQ_NETWORK_INPUT_BYTES;
        code = refused(stq_host_layer_output(levels, counter, layer, output)) ? 1 : write_all(output, bytes) ? 0 : 2;
    }
    free(output);
    return code;
}

/* The outputs that the arguments name, or the first one without any; how many, or -1 if an argument is bad. */
static int32_t read_outputs(int argc, char **argv, stq_host_output *outputs)
{
    if (argc <= 2) {
        outputs[0] = stq_host_first_output();
        return 1;
    }
    for (int i = 1; i + 1 < argc; i += 2) {
        const long layer = strtol(argv[i], NULL, 10);
        if (layer < -1 || layer >= STQ_NETWORK_LAYER_COUNT) {
            return -1;
        }
        outputs[i / 2].layer = (int32_t)layer;
        outputs[i / 2].bytes = (uint32_t)strtoul(argv[i + 1], NULL, 10);
    }
    return argc % 2 == 1 ? argc / 2 : -1;
}

static int run_all(int32_t count, const stq_host_output *outputs, int32_t only_layer)
{
    /* Levels are copied from here to where their type is aligned. */
    static uint8_t levels[STQ_NETWORK_INPUT_BYTES + COUNTER_BYTES];

    for (;;) {
        const size_t read = fread(levels, 1, sizeof levels, stdin);
        if (read == 0) {
            return fflush(stdout) == 0 ? 0 : 2;
        }
        if (read != sizeof levels) {
            return 2;
        }
        const int code = only_layer >= 0 ? write_layer(levels, only_layer) : write_results(levels, count, outputs);
        if (code != 0) {
            return code;
        }
    }
}

int main(int argc, char **argv)
{
    const long layer = argc == 2 ? strtol(argv[1], NULL, 10) : -1;
    stq_host_output *outputs = malloc((size_t)(argc + 1) * sizeof *outputs);
    int code = 2;

    if (outputs != NULL && (argc != 2 || (layer >= 0 && layer < STQ_NETWORK_LAYER_COUNT))) {
        const int32_t count = read_outputs(argc, argv, outputs);
        code = count < 0 ? 2 : run_all(count, outputs, (int32_t)layer);
    }
    free(outputs);
    return code;
}
