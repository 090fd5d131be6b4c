/* SPDX-License-Identifier: Apache-2.0 */
/* Gather convolution on lanes of 16 bits: 1-bit weights, int16 activations. */
#include "stq_gather_core.h"

STQ_DEFINE_GATHER(stq_gather16_b1_s16, 1, 2, int16_t, STQ_S16)
