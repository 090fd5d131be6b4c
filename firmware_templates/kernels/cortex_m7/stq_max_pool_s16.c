/* SPDX-License-Identifier: Apache-2.0 */
/* Max pooling of int16 levels. */
#include "stq_max_pool_core.h"

STQ_DEFINE_MAX_POOL(stq_max_pool_s16, int16_t, STQ_S16)
