/* SPDX-License-Identifier: Apache-2.0 */
/* Sum of two tensors, each shifted and scaled by integers, then requantized. */
#include "stq_elementwise_core.h"

STQ_DEFINE_ELEMENTWISE(stq_add, STQ_ELEMENTWISE_ADD)
