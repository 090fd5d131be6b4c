/* SPDX-License-Identifier: Apache-2.0 */
/* The smaller of two tensors, each shifted and scaled by integers, then requantized. */
#include "stq_elementwise_core.h"

STQ_DEFINE_ELEMENTWISE(stq_minimum, STQ_ELEMENTWISE_MINIMUM)
