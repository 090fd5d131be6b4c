/* SPDX-License-Identifier: Apache-2.0 */
/* Max pooling of int8 levels. */
#include "stq_max_pool_core.h"

STQ_DEFINE_MAX_POOL(stq_max_pool_s8, int8_t, STQ_S8)
