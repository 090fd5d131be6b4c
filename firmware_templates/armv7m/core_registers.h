/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core_registers.h - the registers of an ARMv7-M core that our firmware uses.
 *
 * Addresses and bits: ARMv7-M Architecture Reference Manual; PM0253 for those only the Cortex-M7 has.
 */
#ifndef CORE_REGISTERS_H
#define CORE_REGISTERS_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

/* System control space: PM0253 "Core peripherals" */
#define NVIC_ISER(n) REGISTER(0xE000E100u + 4u * (n))
#define NVIC_ICER(n) REGISTER(0xE000E180u + 4u * (n))
#define NVIC_ICPR(n) REGISTER(0xE000E280u + 4u * (n))
#define SYST_CSR REGISTER(0xE000E010u)
#define SYST_CSR_ENABLE (1u << 0)
#define SYST_CSR_INTERRUPT (1u << 1)
#define SYST_CSR_CORE_CLOCK (1u << 2)
#define SYST_RVR REGISTER(0xE000E014u)
#define SYST_LONGEST 0xFFFFFFu
#define SYST_CVR REGISTER(0xE000E018u)
#define SCB_ICSR REGISTER(0xE000ED04u)
#define SCB_ICSR_SYSTICK_CLEAR (1u << 25) /* PENDSTCLR */
#define SCB_VTOR REGISTER(0xE000ED08u)
#define SCB_AIRCR REGISTER(0xE000ED0Cu)
#define SCB_AIRCR_RESET_REQUEST 0x05FA0004u /* VECTKEY | SYSRESETREQ */
#define SCB_CCR REGISTER(0xE000ED14u)
#define SCB_CCR_DIV_0_TRP (1u << 4)
#define SCB_CCR_DC (1u << 16)
#define SCB_CCR_IC (1u << 17)
#define SCB_SHCSR REGISTER(0xE000ED24u)
#define SCB_SHCSR_MEM_BUS_USAGE_FAULT_ENABLE (7u << 16)
#define SCB_CFSR REGISTER(0xE000ED28u)
#define SCB_HFSR REGISTER(0xE000ED2Cu)
#define SCB_MMFAR REGISTER(0xE000ED34u)
#define SCB_BFAR REGISTER(0xE000ED38u)
#define SCB_CCSIDR REGISTER(0xE000ED80u)
#define SCB_CSSELR REGISTER(0xE000ED84u)
#define SCB_CPACR REGISTER(0xE000ED88u)
#define SCB_ICIALLU REGISTER(0xE000EF50u)
#define SCB_DCISW REGISTER(0xE000EF60u)
#define MPU_CTRL REGISTER(0xE000ED94u)
#define MPU_CTRL_ENABLE (1u << 0)
#define MPU_CTRL_PRIVDEFENA (1u << 2)
#define MPU_RBAR REGISTER(0xE000ED9Cu)
#define MPU_RBAR_REGION(number, address) ((uint32_t)(address) | (1u << 4) | (number))
#define MPU_RASR REGISTER(0xE000EDA0u)
#define MPU_RASR_ENABLE (1u << 0)
#define MPU_RASR_SIZE(log2_bytes) (((uint32_t)(log2_bytes)-1u) << 1)
#define MPU_RASR_SUBREGIONS_OFF(mask) ((uint32_t)(mask) << 8)
#define MPU_RASR_NORMAL_MEMORY (1u << 19) /* TEX 1: not cached, not shared */
#define MPU_RASR_NO_ACCESS (0u << 24)
#define MPU_RASR_READ_ONLY (6u << 24)
#define MPU_RASR_EXECUTE_NEVER (1u << 28)

/* Debug: ARMv7-M ARM "Debug Exception and Monitor Control Register", "Data Watchpoint and Trace" */
#define DEMCR REGISTER(0xE000EDFCu)
#define DEMCR_TRCENA (1u << 24)
#define DWT_CTRL REGISTER(0xE0001000u)
#define DWT_CTRL_CYCCNTENA (1u << 0)
#define DWT_CYCCNT REGISTER(0xE0001004u)
#define DWT_LAR REGISTER(0xE0001FB0u)
#define DWT_LAR_KEY 0xC5ACCE55u

static inline void data_synchronization_barrier(void)
{
    __asm volatile("dsb" ::: "memory");
}

static inline void instruction_synchronization_barrier(void)
{
    __asm volatile("isb" ::: "memory");
}

#endif /* CORE_REGISTERS_H */
