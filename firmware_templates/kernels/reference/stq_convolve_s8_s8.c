/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution: 8-bit weights, int8 activations. */
#include "stq_convolve_core.h"

STQ_DEFINE_CONVOLVE(stq_convolve_s8_s8, 8, int8_t, STQ_S8)
