/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_inference.h - the function in which an inference spends its time.
 *
 * Start-up copies this function and everything it calls into the fastest memory for code, if the board has one.
 */
#ifndef STQ_INFERENCE_H
#define STQ_INFERENCE_H

#include <stdint.h>

#include "stq_nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Run one layer and count its cycles. */
stq_status stq_run_timed(int32_t layer, uint32_t *cycles);

#ifdef __cplusplus
}
#endif

#endif /* STQ_INFERENCE_H */
