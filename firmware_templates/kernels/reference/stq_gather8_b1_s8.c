/* SPDX-License-Identifier: Apache-2.0 */
/* Gather convolution on lanes of 8 bits: 1-bit weights, int8 activations. */
#include "stq_gather_core.h"

STQ_DEFINE_GATHER(stq_gather8_b1_s8, 1, 1, int8_t, STQ_S8)
