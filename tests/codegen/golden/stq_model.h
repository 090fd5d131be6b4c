/* SPDX-License-Identifier: LicenseRef-stq-deploy-output */
/*
 * stq_model.h - a neural network: its input, its outputs, its memory, and how it is run.
 *
 * Written by stq-deploy 0.0.0; do not edit.
 * Model:   c8c0be740f4517722b356b3a9f85d603772ccb0bf8b4a989dc337645ed4ad7f7
 * Command: stq-deploy build --board x
 *
 * One inference, with the memory of stq_model_memory.c:
 *
 *     stq_model_input_level *levels = stq_model_input(&stq_model_static);
 *     ... write STQ_MODEL_INPUT_ELEMENTS levels ...
 *     if (stq_model_run(&stq_model_static) == STQ_OK) {
 *         ... read stq_model_output(&stq_model_static, 0) ...
 *     }
 *
 * A function changes the memory of the context that it is given, and nothing else. So calls with different memory may run
 * at the same time, in threads or interrupts. Calls with the same memory may not.
 */
#ifndef STQ_MODEL_H
#define STQ_MODEL_H

#include <stdint.h>

#include "stq_nn.h"

#ifdef __cplusplus
extern "C" {
#endif

#define STQ_MODEL_TOOL_VERSION "0.0.0"
/* SHA-256 over what the network computes. */
#define STQ_MODEL_MODEL_HASH "c8c0be740f4517722b356b3a9f85d603772ccb0bf8b4a989dc337645ed4ad7f7"

/*
 * Input input_1: 6x5x3 int8. Elements are in C order, channels fastest.
 * Level q stands for (q - STQ_MODEL_INPUT_ZERO_POINT) * STQ_MODEL_INPUT_SCALE.
 */
typedef int8_t stq_model_input_level;
#define STQ_MODEL_INPUT_TYPE STQ_S8
#define STQ_MODEL_INPUT_RANK 3
#define STQ_MODEL_INPUT_SHAPE {6, 5, 3}
#define STQ_MODEL_INPUT_HEIGHT 6
#define STQ_MODEL_INPUT_WIDTH 5
#define STQ_MODEL_INPUT_CHANNELS 3
#define STQ_MODEL_INPUT_ELEMENTS 90
#define STQ_MODEL_INPUT_BYTES 90
/* The levels the network was certified for. Any other makes it read outside its tables. */
#define STQ_MODEL_INPUT_MINIMUM (-128)
#define STQ_MODEL_INPUT_MAXIMUM (127)
#define STQ_MODEL_INPUT_SCALE 0.00390625f
#define STQ_MODEL_INPUT_ZERO_POINT (-128)

/* Outputs. Level q of output i stands for (q - STQ_MODEL_OUTPUT_i_ZERO_POINT) * STQ_MODEL_OUTPUT_i_SCALE. */
#define STQ_MODEL_OUTPUTS 1

/* Output 0, logits: 3 int32. */
#define STQ_MODEL_OUTPUT_0_TYPE STQ_S32
#define STQ_MODEL_OUTPUT_0_RANK 1
#define STQ_MODEL_OUTPUT_0_SHAPE {3}
#define STQ_MODEL_OUTPUT_0_ELEMENTS 3
#define STQ_MODEL_OUTPUT_0_SCALE 0.0009765625f
#define STQ_MODEL_OUTPUT_0_ZERO_POINT (0)

#define STQ_MODEL_LAYERS 6

/*
 * The memory of one inference, in bytes. Both parts must be aligned to STQ_MODEL_ALIGNMENT bytes. Aligned to 32, a line of
 * the data cache, they are fastest. The arena holds the kernels' scratch memory, too.
 */
#define STQ_MODEL_ARENA_BYTES 320
#define STQ_MODEL_SCRATCH_BYTES 0
#define STQ_MODEL_ALIGNMENT 4

typedef struct {
    uint8_t *arena;      /* STQ_MODEL_ARENA_BYTES: the tensors, input and outputs among them */
    stq_context scratch; /* STQ_MODEL_SCRATCH_BYTES: working memory of the layer that runs, if apart */
} stq_model_context;

/*
 * A context of static memory, in the sections `.bss.stq_arena` and `.bss.stq_scratch` of stq_model_memory.c. A program with
 * memory of its own need not compile that file.
 */
extern const stq_model_context stq_model_static;
extern uint8_t stq_model_static_arena[STQ_MODEL_ARENA_BYTES];

/*
 * Make a context of the caller's memory, which need not be cleared. `scratch` may be NULL if STQ_MODEL_SCRATCH_BYTES is 0.
 * Returns STQ_ARGUMENT_ERROR, and leaves the context as it is, if a part is NULL, too small or not aligned.
 */
stq_status stq_model_init(stq_model_context *network, void *arena, uint32_t arena_bytes, void *scratch,
                        uint32_t scratch_bytes);

/* Where the input levels go. They must be written anew for every inference: layers use their memory again. */
stq_model_input_level *stq_model_input(const stq_model_context *network);

/* Run all layers. */
stq_status stq_model_run(const stq_model_context *network);

/* Run one layer. Layers run in order, 0 to STQ_MODEL_LAYERS - 1. */
stq_status stq_model_run_layer(const stq_model_context *network, int32_t layer);

/*
 * STQ_MODEL_INPUT_ELEMENTS pixels, 0 to 255, as input levels. Pixel 0 stands for 0, pixel 255 for
 * 1 at the model's input. In stq_model_io.c, as the next three.
 */
void stq_model_quantize_u8(const uint8_t *pixels, stq_model_input_level *levels);

/*
 * STQ_MODEL_INPUT_ELEMENTS numbers as input levels. They are what the Keras model takes. Numbers beyond the levels are clamped,
 * and NaN counts as 0: no number makes a level that the network was not certified for.
 */
void stq_model_quantize_f32(const float *values, stq_model_input_level *levels);

/* The levels of an output, valid until the input is written again; NULL if no output has that index. */
const void *stq_model_output(const stq_model_context *network, int32_t output);

/* An output as numbers, as many as it has elements. STQ_ARGUMENT_ERROR if no output has that index. */
stq_status stq_model_dequantize(const stq_model_context *network, int32_t output, float *values);

/* Index of the largest element of an output, the first if several are; -1 if no output has that index. */
int32_t stq_model_argmax(const stq_model_context *network, int32_t output);

#ifdef __cplusplus
}
#endif

#endif /* STQ_MODEL_H */
