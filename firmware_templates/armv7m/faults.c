/* SPDX-License-Identifier: Apache-2.0 */
#include "faults.h"

#include <stdbool.h>
#include <stddef.h>

#include "core_registers.h"
#include "linker_symbols.h"
#include "stq_server.h"

#define VALID 0x5751F417u

/* Neither initialized nor cleared at start-up, so a reset leaves it; after power-up it is random. */
typedef struct {
    uint32_t valid;
    uint32_t valid_inverted;
    stq_fault_record record;
} remembered_fault;

__attribute__((section(".noinit"))) static remembered_fault remembered;

/* Likewise: the layer that runs, and its complement. */
typedef struct {
    uint32_t layer;
    uint32_t layer_inverted;
} remembered_layer;

__attribute__((section(".noinit"))) static volatile remembered_layer running;
static bool has_last;

/* What the exception entry pushed, ARMv7-M ARM "Exception entry behavior". */
typedef struct {
    uint32_t r0, r1, r2, r3, r12, lr, pc, xpsr;
} basic_frame;

#define EXTENDED_FRAME_BYTES 104u  /* with the FPU registers */
#define EXC_RETURN_BASIC (1u << 4) /* clear: the frame is an extended one */
#define XPSR_ALIGNED (1u << 9)     /* the entry inserted a word to align the stack */

static bool lies_in_stack(uint32_t address, uint32_t bytes)
{
    uint32_t bottom = (uint32_t)(uintptr_t)stq_stack_bottom;
    uint32_t top = (uint32_t)(uintptr_t)stq_stack_top;
    return address % 4u == 0 && address >= bottom && address <= top && bytes <= top - address;
}

/* `sp` is the stack pointer after the entry. Runs on the fault stack, because the other one may be broken. */
__attribute__((noreturn, used)) static void handle_fault(uint32_t sp, uint32_t exc_return)
{
    stq_fault_record *record = &remembered.record;
    *record = (stq_fault_record){0};
    uint32_t frame_bytes = (exc_return & EXC_RETURN_BASIC) != 0 ? sizeof(basic_frame) : EXTENDED_FRAME_BYTES;
    record->sp = sp;
    if (lies_in_stack(sp, frame_bytes)) {
        const basic_frame *frame = (const basic_frame *)(uintptr_t)sp; /* aligned: lies_in_stack checked it */
        record->r0 = frame->r0;
        record->r1 = frame->r1;
        record->r2 = frame->r2;
        record->r3 = frame->r3;
        record->r12 = frame->r12;
        record->lr = frame->lr;
        record->pc = frame->pc;
        record->xpsr = frame->xpsr;
        record->sp = sp + frame_bytes + ((frame->xpsr & XPSR_ALIGNED) != 0 ? 4u : 0u);
    }
    record->exc_return = exc_return;
    __asm volatile("mrs %0, ipsr" : "=r"(record->exception));
    record->cfsr = SCB_CFSR;
    record->hfsr = SCB_HFSR;
    record->mmfar = SCB_MMFAR;
    record->bfar = SCB_BFAR;
    stq_server_fault(record);
    remembered.valid = VALID;
    remembered.valid_inverted = ~VALID;
    stq_port_reset();
    for (;;) {
    }
}

/* Interrupts are masked and the stack is changed before any C code runs: a stack overflow is a fault as well. */
__attribute__((naked, noreturn)) void fault_entry(void)
{
    __asm volatile("cpsid i\n"
                   "mrs r0, msp\n"
                   "mov r1, lr\n"
                   "ldr r2, =stq_fault_stack_top\n"
                   "msr msp, r2\n"
                   "b handle_fault\n"
                   ".ltorg\n");
}

void fault_recall(bool kept, bool by_watchdog)
{
    has_last = kept && remembered.valid == VALID && remembered.valid_inverted == ~VALID;
    if (!has_last) {
        remembered.record = (stq_fault_record){.layer = -1};
        if (by_watchdog && running.layer == ~running.layer_inverted) {
            remembered.record.layer = (int32_t)running.layer;
            has_last = true;
        }
    }
    remembered.valid = 0; /* the next reset is not caused by this fault */
    remembered.valid_inverted = 0;
    fault_note_layer(-1);
}

void fault_note_layer(int32_t layer)
{
    running.layer = (uint32_t)layer;
    running.layer_inverted = ~(uint32_t)layer;
}

const stq_fault_record *fault_last(void)
{
    return has_last ? &remembered.record : NULL;
}
