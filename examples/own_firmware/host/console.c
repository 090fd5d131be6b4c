/* SPDX-License-Identifier: Apache-2.0 */
#include "console.h"

#include <stdio.h>

void console_start(void)
{
}

void console_write(const char *text)
{
    (void)fputs(text, stdout);
}
