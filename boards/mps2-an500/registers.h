/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registers.h - the registers of AN500 that this firmware uses; those of its core are in
 * core_registers.h. Addresses: DAI0500; bits: DDI0479, "CMSDK".
 */
#ifndef REGISTERS_H
#define REGISTERS_H

#include "core_registers.h"

/* UART 0: DDI0479 "APB UART" */
#define UART0_DATA REGISTER(0x40004000u)
#define UART0_STATE REGISTER(0x40004004u)
#define UART_STATE_TX_FULL (1u << 0)
#define UART_STATE_RX_FULL (1u << 1)
#define UART0_CTRL REGISTER(0x40004008u)
#define UART_CTRL_TX_ENABLE (1u << 0)
#define UART_CTRL_RX_ENABLE (1u << 1)
#define UART_CTRL_RX_INTERRUPT_ENABLE (1u << 3)
#define UART0_INTCLEAR REGISTER(0x4000400Cu)
#define UART_INTCLEAR_RX (1u << 1)
#define UART0_BAUDDIV REGISTER(0x40004010u)
#define UART0_RX_INTERRUPT 0u

/* Timer 0: DDI0479 "APB timer" */
#define TIMER0_CTRL REGISTER(0x40000000u)
#define TIMER_CTRL_ENABLE (1u << 0)
#define TIMER0_VALUE REGISTER(0x40000004u)
#define TIMER0_RELOAD REGISTER(0x40000008u)

#endif /* REGISTERS_H */
