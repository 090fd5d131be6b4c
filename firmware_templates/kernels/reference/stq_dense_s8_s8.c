/* SPDX-License-Identifier: Apache-2.0 */
/* Dense layer: 8-bit weights, int8 activations. */
#include "stq_dense_core.h"

STQ_DEFINE_DENSE(stq_dense_s8_s8, 8, int8_t, STQ_S8)
