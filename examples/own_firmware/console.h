/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console.h - where the example prints. Each target implements it.
 */
#ifndef CONSOLE_H
#define CONSOLE_H

void console_start(void);

/* Write a text that a null ends. */
void console_write(const char *text);

#endif /* CONSOLE_H */
