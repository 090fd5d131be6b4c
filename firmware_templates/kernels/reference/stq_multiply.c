/* SPDX-License-Identifier: Apache-2.0 */
/* Product of two tensors, each shifted by an integer, then requantized. */
#include "stq_elementwise_core.h"

STQ_DEFINE_ELEMENTWISE(stq_multiply, STQ_ELEMENTWISE_MULTIPLY)
