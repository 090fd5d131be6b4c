/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution: 1-bit weights, int8 activations. */
#include "stq_convolve_core.h"

STQ_DEFINE_CONVOLVE(stq_convolve_b1_s8, 1, int8_t, STQ_S8)
