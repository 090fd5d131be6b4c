/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registers.h - the registers of the STM32H743 that this firmware uses; those of its core are in
 * core_registers.h. Addresses and bits: RM0433 rev 8.
 */
#ifndef REGISTERS_H
#define REGISTERS_H

#include "core_registers.h"

/* PWR: RM0433 "Power control" */
#define PWR_CSR1 REGISTER(0x58024804u)
#define PWR_CSR1_ACTVOSRDY (1u << 13)
#define PWR_CR3 REGISTER(0x5802480Cu)
#define PWR_CR3_LDOEN (1u << 1)
#define PWR_D3CR REGISTER(0x58024818u)
#define PWR_D3CR_VOSRDY (1u << 13)
#define PWR_D3CR_VOS_SCALE1 (3u << 14)

/* SYSCFG: RM0433 "System configuration controller" */
#define SYSCFG_PWRCR REGISTER(0x5800042Cu)
#define SYSCFG_PWRCR_ODEN (1u << 0)

/* RCC: RM0433 "Reset and clock control" */
#define RCC_CR REGISTER(0x58024400u)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_PLL1ON (1u << 24)
#define RCC_CR_PLL1RDY (1u << 25)
#define RCC_CFGR REGISTER(0x58024410u)
#define RCC_CFGR_SW_MASK (7u << 0)
#define RCC_CFGR_SW_PLL1 (3u << 0)
#define RCC_CFGR_SWS_MASK (7u << 3)
#define RCC_CFGR_SWS_PLL1 (3u << 3)
#define RCC_D1CFGR REGISTER(0x58024418u)
#define RCC_D1CFGR_HPRE_DIV2 (8u << 0)
#define RCC_D1CFGR_D1PPRE_DIV2 (4u << 4)
#define RCC_D2CFGR REGISTER(0x5802441Cu)
#define RCC_D2CFGR_D2PPRE1_DIV2 (4u << 4)
#define RCC_D2CFGR_D2PPRE2_DIV2 (4u << 8)
#define RCC_D3CFGR REGISTER(0x58024420u)
#define RCC_D3CFGR_D3PPRE_DIV2 (4u << 4)
#define RCC_PLLCKSELR REGISTER(0x58024428u)
#define RCC_PLLCKSELR_SRC_HSI (0u << 0)
#define RCC_PLLCKSELR_SRC_HSE (2u << 0)
#define RCC_PLLCKSELR_DIVM1(m) ((uint32_t)(m) << 4)
#define RCC_PLLCFGR REGISTER(0x5802442Cu)
#define RCC_PLLCFGR_PLL1RGE_8_TO_16_MHZ (3u << 2)
#define RCC_PLLCFGR_DIVP1EN (1u << 16)
#define RCC_PLL1DIVR REGISTER(0x58024430u)
#define RCC_PLL1DIVR_VALUE(n, p) (((uint32_t)(n)-1u) | (((uint32_t)(p)-1u) << 9))
#define RCC_RSR REGISTER(0x580244D0u)
#define RCC_RSR_RMVF (1u << 16)
#define RCC_AHB2ENR REGISTER(0x580244DCu)
#define RCC_AHB2ENR_SRAM1EN_SRAM2EN_SRAM3EN (7u << 29)
#define RCC_AHB4ENR REGISTER(0x580244E0u)
#define RCC_AHB4ENR_GPIODEN (1u << 3)
#define RCC_APB1LENR REGISTER(0x580244E8u)
#define RCC_APB1LENR_USART3EN (1u << 18)
#define RCC_APB4ENR REGISTER(0x580244F4u)
#define RCC_APB4ENR_SYSCFGEN (1u << 1)

/* FLASH: RM0433 "Embedded flash memory" */
#define FLASH_ACR REGISTER(0x52002000u)
#define FLASH_ACR_MASK 0x3Fu
#define FLASH_ACR_VALUE(wait_states, write_delay) ((uint32_t)(wait_states) | ((uint32_t)(write_delay) << 4))

/* AXI interconnect: RM0433 "AXI interconnect registers", target 7 is the AXI SRAM */
#define AXI_TARG7_FN_MOD REGISTER(0x51008108u)
#define AXI_TARG7_FN_MOD_READ_ISS_ONE (1u << 0)

/* GPIO port D: RM0433 "General-purpose I/Os" */
#define GPIOD_MODER REGISTER(0x58020C00u)
#define GPIOD_PUPDR REGISTER(0x58020C0Cu)
#define GPIOD_AFRH REGISTER(0x58020C24u)

/* USART3: RM0433 "Universal synchronous/asynchronous receiver transmitter" */
#define USART3_CR1 REGISTER(0x40004800u)
#define USART_CR1_UE (1u << 0)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_RXFNEIE (1u << 5)
#define USART_CR1_FIFOEN (1u << 29)
#define USART3_BRR REGISTER(0x4000480Cu)
#define USART3_ISR REGISTER(0x4000481Cu)
#define USART_ISR_FE (1u << 1)
#define USART_ISR_NE (1u << 2)
#define USART_ISR_ORE (1u << 3)
#define USART_ISR_RXFNE (1u << 5)
#define USART_ISR_TC (1u << 6)
#define USART_ISR_TXFNF (1u << 7)
#define USART3_ICR REGISTER(0x40004820u)
#define USART3_RDR REGISTER(0x40004824u)
#define USART3_TDR REGISTER(0x40004828u)

/* IWDG1: RM0433 "Independent watchdog" */
#define IWDG1_KR REGISTER(0x58004800u)
#define IWDG_KR_START 0xCCCCu
#define IWDG_KR_UNLOCK 0x5555u
#define IWDG_KR_RELOAD 0xAAAAu
#define IWDG1_PR REGISTER(0x58004804u)
#define IWDG_PR_DIV256 6u
#define IWDG1_RLR REGISTER(0x58004808u)
#define IWDG1_SR REGISTER(0x5800480Cu)

/* DBGMCU: RM0433 "Debug infrastructure" */
#define DBGMCU_IDC REGISTER(0x5C001000u)
#define DBGMCU_IDC_REVISION_SHIFT 16
#define DBGMCU_IDC_REVISION_X 0x2001u
#define DBGMCU_APB4FZ1 REGISTER(0x5C001054u)
#define DBGMCU_APB4FZ1_WDGLSD1 (1u << 18) /* IWDG1 stops while the core is halted */

#endif /* REGISTERS_H */
