/* SPDX-License-Identifier: LicenseRef-stq-deploy-output */
/*
 * stq_model_memory.c - static memory for stq_model.c. Leave this file out to give memory of your own.
 *
 * Written by stq-deploy 0.0.0; do not edit.
 * Model:   c8c0be740f4517722b356b3a9f85d603772ccb0bf8b4a989dc337645ed4ad7f7
 * Command: stq-deploy build --board x
 */
#include "stq_model.h"

/* Linker scripts may place these sections. Mach-O, on some hosts, has no such names. */
#if defined(__ELF__)
#define PLACED(section_name) __attribute__((section(section_name), aligned(32)))
#else
#define PLACED(section_name) __attribute__((aligned(32)))
#endif

uint8_t stq_model_static_arena[STQ_MODEL_ARENA_BYTES] PLACED(".bss.stq_arena");

const stq_model_context stq_model_static = {.arena = stq_model_static_arena};
