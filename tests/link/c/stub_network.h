/*
 * stub_network.h - what the tests see and set of the stub network.
 */
#ifndef STUB_NETWORK_SEEN_H
#define STUB_NETWORK_SEEN_H

#include <stdint.h>

typedef struct {
    uint32_t layer[3];
} stub_runs;

extern stub_runs stub_counts;
extern int stub_refuses_layer;

/* The board's part: lets the cycle counter advance. */
void stub_spend_cycles(uint32_t cycles);

#endif
