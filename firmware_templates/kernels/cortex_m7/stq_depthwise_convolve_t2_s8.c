/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution: 2-bit weights, int8 activations. */
#include "stq_depthwise_convolve_core.h"

STQ_DEFINE_DEPTHWISE_CONVOLVE(stq_depthwise_convolve_t2_s8, 2, int8_t, STQ_S8)
