/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two networks in a program of one's own. `first` uses its static memory; `second` is given memory by its caller.
 *
 * Both see the same picture: pixel i is i * 37 + 11, modulo 256. For each, the program prints the class and every logit.
 */
#include "console.h"
#include "first.h"
#include "second.h"

/* On a cached core, a line of the data cache. */
#define ALIGNED __attribute__((aligned(32)))

static ALIGNED uint8_t second_arena[SECOND_ARENA_BYTES];

#define MOST_PIXELS (FIRST_INPUT_ELEMENTS > SECOND_INPUT_ELEMENTS ? FIRST_INPUT_ELEMENTS : SECOND_INPUT_ELEMENTS)
static uint8_t pixels[MOST_PIXELS];

static void put_number(int32_t number)
{
    char digits[12];
    int32_t at = 12;
    uint32_t left = number < 0 ? 0u - (uint32_t)number : (uint32_t)number;

    digits[--at] = '\0';
    do {
        digits[--at] = (char)('0' + (int32_t)(left % 10u));
        left /= 10u;
    } while (left != 0u);
    if (number < 0) {
        digits[--at] = '-';
    }
    console_write(&digits[at]);
}

/* Element `index` of an output, of whichever type. */
static int32_t level_at(const void *levels, stq_type type, int32_t index)
{
    switch (type) {
    case STQ_S8:
        return ((const int8_t *)levels)[index];
    case STQ_S16:
        return ((const int16_t *)levels)[index];
    default:
        return ((const int32_t *)levels)[index];
    }
}

static void put_result(const char *name, int32_t class, const void *logits, stq_type type, int32_t count)
{
    console_write(name);
    console_write(": class ");
    put_number(class);
    console_write(", logits");
    for (int32_t i = 0; i < count; i++) {
        console_write(" ");
        put_number(level_at(logits, type, i));
    }
    console_write("\n");
}

static int run_first(void)
{
    first_quantize_u8(pixels, first_input(&first_static));
    if (first_run(&first_static) != STQ_OK) {
        return 1;
    }
    put_result("first", first_argmax(&first_static, 0), first_output(&first_static, 0), FIRST_OUTPUT_0_TYPE,
               FIRST_OUTPUT_0_ELEMENTS);
    return 0;
}

static int run_second(void)
{
    second_context network;

    /* The arena holds the kernels' scratch memory, too: SECOND_SCRATCH_BYTES is 0. */
    if (second_init(&network, second_arena, sizeof second_arena, 0, SECOND_SCRATCH_BYTES) != STQ_OK) {
        return 1;
    }
    second_quantize_u8(pixels, second_input(&network));
    if (second_run(&network) != STQ_OK) {
        return 1;
    }
    put_result("second", second_argmax(&network, 0), second_output(&network, 0), SECOND_OUTPUT_0_TYPE,
               SECOND_OUTPUT_0_ELEMENTS);
    return 0;
}

int main(void)
{
    int failed;

    console_start();
    for (int32_t i = 0; i < MOST_PIXELS; i++) {
        pixels[i] = (uint8_t)(i * 37 + 11);
    }
    failed = run_first() | run_second();
    console_write(failed != 0 ? "failed\n" : "done\n");
    return failed;
}
