/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEMORY_CONTENTS_H
#define MEMORY_CONTENTS_H

/*
 * Copy contents from flash to their places, and clear the rest. This is start-up's first work: before it, no variable
 * has its value, and code that runs from RAM is absent.
 */
void memory_fill(void);

#endif /* MEMORY_CONTENTS_H */
