/*
 * host_main.c - the network as a filter: samples on stdin, results on stdout. The sanitized build is such a program,
 * because AddressSanitizer must be in a process from its start.
 *
 *   network          for each sample: its logits, then the digest of every layer (uint32)
 *   network LAYER    for each sample: the output of that layer
 *
 * Exit code 0: all samples done. 1: a kernel refused its arguments. 2: input or output is cut off, or a bad LAYER.
 */
#include <stdio.h>
#include <stdlib.h>

#include "host_library.h"

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

static int write_results(const void *levels, void *logits)
{
    uint32_t digests[STQ_NETWORK_LAYER_COUNT];

    if (refused(stq_host_run(1, levels, logits, digests))) {
        return 1;
    }
    return write_all(logits, (size_t)stq_host_output_bytes()) && write_all(digests, sizeof digests) ? 0 : 2;
}

static int write_layer(const void *levels, int32_t layer)
{
    const size_t bytes = stq_network_layers[layer].output_bytes;
    void *output = malloc(bytes);
    int code = 2;

    if (output != NULL) {
        code = refused(stq_host_layer_output(levels, layer, output)) ? 1 : write_all(output, bytes) ? 0 : 2;
    }
    free(output);
    return code;
}

int main(int argc, char **argv)
{
    static uint8_t levels[STQ_NETWORK_INPUT_BYTES];  /* copied from here to memory aligned for their type */
    static int32_t logits[STQ_NETWORK_OUTPUT_COUNT]; /* room for the widest type */
    const long layer = argc > 1 ? strtol(argv[1], NULL, 10) : -1;

    if (argc > 1 && (layer < 0 || layer >= STQ_NETWORK_LAYER_COUNT)) {
        return 2;
    }
    for (;;) {
        const size_t count = fread(levels, 1, sizeof levels, stdin);
        if (count == 0) {
            return fflush(stdout) == 0 ? 0 : 2;
        }
        if (count != sizeof levels) {
            return 2;
        }
        const int code = argc > 1 ? write_layer(levels, (int32_t)layer) : write_results(levels, logits);
        if (code != 0) {
            return code;
        }
    }
}
