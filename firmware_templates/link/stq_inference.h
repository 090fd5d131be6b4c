/*
 * stq_inference.h - what the time of an inference is spent in.
 *
 * Start-up copies this function and all that it calls into the memory that runs code fastest, if the board has one.
 */
#ifndef STQ_INFERENCE_H
#define STQ_INFERENCE_H

#include <stdint.h>

#include "stq_nn.h"

/* Run one layer and count its cycles. */
stq_status stq_run_timed(int32_t layer, uint32_t *cycles);

#endif /* STQ_INFERENCE_H */
