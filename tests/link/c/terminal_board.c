/*
 * A board as a process: its serial port is the file descriptor named on the command line.
 *
 *   terminal_board FD [fault]      with "fault", the second layer run crashes
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stq_server.h"
#include "stub_network.h"

const uint8_t stq_build_id[16] = {0xB3};

static int fd;
static int crashes;
static char **arguments;
static uint32_t cycles;
static const stq_port_facts facts = {"terminal", 1000000, 0, STQ_RESET_POWER};

uint32_t stq_port_read(uint8_t *destination, uint32_t capacity)
{
    struct pollfd ready = {fd, POLLIN, 0};
    if (poll(&ready, 1, 0) <= 0) {
        return 0;
    }
    const ssize_t count = read(fd, destination, capacity);
    if (count <= 0) {
        exit(0); /* the host has gone */
    }
    return (uint32_t)count;
}

void stq_port_write(const uint8_t *source, uint32_t length)
{
    while (length > 0) {
        const ssize_t count = write(fd, source, length);
        if (count < 0 && errno != EINTR) {
            exit(0);
        }
        if (count > 0) {
            source += count;
            length -= (uint32_t)count;
        }
    }
}

void stq_port_wait(void)
{
    struct pollfd ready = {fd, POLLIN, 0};
    poll(&ready, 1, -1);
}

uint32_t stq_port_cycles(void)
{
    return cycles;
}

void stub_spend_cycles(uint32_t spent)
{
    cycles += spent;
    if (crashes) {
        stq_fault_record record;
        memset(&record, 0, sizeof(record));
        record.pc = 0x08000ABC;
        record.cfsr = 0x8200; /* precise data bus error, BFAR valid */
        record.bfar = 0x60000000;
        record.exception = 5;
        stq_server_fault(&record);
        stq_port_reset();
    }
}

void stq_port_reset(void)
{
    arguments[2] = 0;
    execv("/proc/self/exe", arguments);
    abort();
}

void stq_port_progress(int32_t layer)
{
    (void)layer;
}

uint32_t stq_port_overruns(void)
{
    return 0;
}

const stq_port_facts *stq_port_get_facts(void)
{
    return &facts;
}

const stq_fault_record *stq_port_last_fault(void)
{
    return 0;
}

int main(int count, char **values)
{
    if (count < 2) {
        return 2;
    }
    arguments = values;
    fd = atoi(values[1]);
    crashes = count > 2 && strcmp(values[2], "fault") == 0;
    stq_server_run();
}
