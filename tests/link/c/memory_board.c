/*
 * A board whose serial port is memory: the test puts bytes in, lets the server take a step, takes bytes out.
 */
#include <stdint.h>

#include "stq_protocol.h"
#include "stq_server.h"
#include "stub_network.h"

const uint8_t stq_build_id[16] = {0xB1, 0xB2};

static uint8_t ring[STQ_LINK_RX_RING_BYTES];
static uint32_t ring_first, ring_count, overruns;
static uint8_t sent[1 << 20];
static uint32_t sent_count;
static uint32_t cycles, resets;
static stq_port_facts facts = {"memory", 480000000, 0x20036450, STQ_RESET_POWER};
static stq_fault_record fault;
static int fault_present;
static int frame_taken; /* a 0x00 was read in this step */

/* --- what the test calls --- */

void board_receive(const uint8_t *bytes, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++) {
        if (ring_count == sizeof(ring)) {
            overruns++;
        } else {
            ring[(ring_first + ring_count++) % sizeof(ring)] = bytes[i];
        }
    }
}

uint32_t board_take_sent(uint8_t *to)
{
    const uint32_t count = sent_count;
    for (uint32_t i = 0; i < count; i++) {
        to[i] = sent[i];
    }
    sent_count = 0;
    return count;
}

void board_boot(stq_reset_cause cause, uint32_t start_cycles)
{
    ring_first = ring_count = 0;
    cycles = start_cycles;
    facts.reset_cause = cause;
    stq_server_init();
}

void board_fault(void)
{
    fault = (stq_fault_record){.pc = 0x08001234, .lr = 0x08000F01, .cfsr = 0x02000000, .hfsr = 0x40000000,
                               .sp = 0x2001FF00, .exception = 3, .exc_return = 0xFFFFFFF9};
    fault_present = 1;
    stq_server_fault(&fault);
}

/* Let the server handle at most one frame; returns the bytes that still wait. */
uint32_t board_step(void)
{
    frame_taken = 0;
    stq_server_poll();
    return ring_count;
}

uint32_t board_resets(void)
{
    return resets;
}

/* --- stq_port.h --- */

uint32_t stq_port_read(uint8_t *destination, uint32_t capacity)
{
    uint32_t count = 0;
    while (count < capacity && ring_count > 0 && !frame_taken) {
        frame_taken = ring[ring_first] == 0;
        destination[count++] = ring[ring_first];
        ring_first = (ring_first + 1) % sizeof(ring);
        ring_count--;
    }
    return count;
}

void stq_port_write(const uint8_t *source, uint32_t length)
{
    for (uint32_t i = 0; i < length && sent_count < sizeof(sent); i++) {
        sent[sent_count++] = source[i];
    }
}

void stq_port_wait(void)
{
}

uint32_t stq_port_cycles(void)
{
    return cycles;
}

void stub_spend_cycles(uint32_t spent)
{
    cycles += spent;
}

void stq_port_reset(void)
{
    resets++;
    board_boot(STQ_RESET_SOFTWARE, 0);
}

void stq_port_progress(int32_t layer)
{
    (void)layer;
}

uint32_t stq_port_overruns(void)
{
    return overruns;
}

const stq_port_facts *stq_port_get_facts(void)
{
    return &facts;
}

const stq_fault_record *stq_port_last_fault(void)
{
    return fault_present ? &fault : 0;
}
