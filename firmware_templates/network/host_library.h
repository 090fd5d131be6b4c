/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_library.h - run the network on a computer, for comparison with the reference and the board.
 */
#ifndef STQ_HOST_LIBRARY_H
#define STQ_HOST_LIBRARY_H

#include <stdint.h>

#include "network.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Success of the functions below; any other value is the index of the layer that refused its arguments. */
#define STQ_HOST_DONE (-1)

/*
 * Where an output lies after the last layer: `bytes` bytes from where `layer` wrote its output, or from the input for
 * a `layer` of -1. They may be more than that layer wrote: the layers whose outputs lie behind it wrote the rest.
 */
typedef struct {
    int32_t layer;
    uint32_t bytes;
} stq_host_output;

/* The first output, which stq_network_output() is. Its `layer` is the one that wrote it, or -1. */
stq_host_output stq_host_first_output(void);

/*
 * Run `samples` inferences.
 *   levels   samples times STQ_NETWORK_INPUT_BYTES, levels of STQ_NETWORK_INPUT_TYPE
 *   counters samples times 8 bytes: the counter of each sample's noise, in this computer's byte order. Read only if the
 *            network has noise
 *   count    of outputs
 *   outputs  the network's, in the order of the results
 *   results  samples times the bytes of all outputs: each sample's outputs, one behind the other
 *   crcs     uint32[samples * STQ_NETWORK_LAYER_COUNT], the CRC-32 of each layer's output bytes; or NULL
 */
int32_t stq_host_run(int32_t samples, const void *levels, const void *counters, int32_t count,
                     const stq_host_output *outputs, void *results, uint32_t *crcs);

/*
 * Run one sample up to and including `layer` (it must exist), and copy that layer's output_bytes to `output`. `counter`
 * is the sample's, as above.
 */
int32_t stq_host_layer_output(const void *levels, const void *counter, int32_t layer, void *output);

#ifdef __cplusplus
}
#endif

#endif /* STQ_HOST_LIBRARY_H */
