/*
 * host_library.h - run the network on a computer, for comparison with the reference and the board.
 */
#ifndef STQ_HOST_LIBRARY_H
#define STQ_HOST_LIBRARY_H

#include <stdint.h>

#include "network.h"

/* Success of the functions below; any other value is the index of the layer that refused its arguments. */
#define STQ_HOST_DONE (-1)

/* Bytes of one sample's logits. */
int32_t stq_host_output_bytes(void);

/*
 * Run `samples` inferences.
 *   levels   samples times STQ_NETWORK_INPUT_BYTES, levels of STQ_NETWORK_INPUT_TYPE
 *   logits   samples times stq_host_output_bytes()
 *   digests  uint32[samples * STQ_NETWORK_LAYER_COUNT], the CRC-32 of each layer's output bytes; or NULL
 */
int32_t stq_host_run(int32_t samples, const void *levels, void *logits, uint32_t *digests);

/* Run one sample up to and including `layer` (it must exist), and copy that layer's output_bytes to `output`. */
int32_t stq_host_layer_output(const void *levels, int32_t layer, void *output);

#endif /* STQ_HOST_LIBRARY_H */
