/* SPDX-License-Identifier: Apache-2.0 */
/* Dense layer: 4-bit weights, int8 activations. */
#include "stq_dense_core.h"

STQ_DEFINE_DENSE(stq_dense_s4_s8, 4, int8_t, STQ_S8)
