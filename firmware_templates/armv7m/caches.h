/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caches.h - the Cortex-M7's level 1 caches, for boards that have them.
 */
#ifndef CACHES_H
#define CACHES_H

/* Enable both, empty. */
void caches_enable(void);

#endif /* CACHES_H */
