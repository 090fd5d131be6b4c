#ifndef MEMORY_CONTENTS_H
#define MEMORY_CONTENTS_H

/*
 * Bring everything that is copied from flash to its place, and clear the rest. Start-up's first work: until it is done,
 * no variable has its value, and code that runs from RAM is not there.
 */
void memory_fill(void);

#endif /* MEMORY_CONTENTS_H */
