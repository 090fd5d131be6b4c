/* SPDX-License-Identifier: Apache-2.0 */
/*
 * startup.h - from reset to main().
 */
#ifndef STARTUP_H
#define STARTUP_H

/* The vector table's first entry. */
void startup_reset(void);

int main(void);

#endif /* STARTUP_H */
