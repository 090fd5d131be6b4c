/* SPDX-License-Identifier: Apache-2.0 */
/* Gather convolution on lanes of 8 bits: 2-bit weights, int8 activations. */
#include "stq_gather_core.h"

STQ_DEFINE_GATHER(stq_gather8_t2_s8, 2, 1, int8_t, STQ_S8)
