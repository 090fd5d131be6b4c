/* SPDX-License-Identifier: Apache-2.0 */
/* Dense layer: 1-bit weights, int8 activations. */
#include "stq_dense_core.h"

STQ_DEFINE_DENSE(stq_dense_b1_s8, 1, int8_t, STQ_S8)
