/* SPDX-License-Identifier: Apache-2.0 */
#include "clocks.h"

#include <stdbool.h>

#include "board_config.h"
#include "registers.h"

#define HSI_HZ 64000000u
#define PLL_INPUT_HZ 8000000u

_Static_assert(BOARD_HSE_HZ % PLL_INPUT_HZ == 0 && BOARD_HSE_HZ / PLL_INPUT_HZ <= 63,
               "the external clock must be a multiple of the PLL's 8 MHz input");

/*
 * A turn of a polling loop takes over 10 cycles of at most 64 MHz, because the PLL is not in use yet. So the turns
 * take over 30 ms. The slowest step, a crystal's start, takes 2 ms.
 */
#define MAXIMUM_TURNS 200000u

/* One speed the chip can run at: RM0433 "Embedded flash memory", table of wait states, and the datasheet's
 * "General operating conditions". AHB is half of the core clock and each APB half of that. */
typedef struct {
    uint32_t core_hz;
    uint32_t flash_wait_states;
    uint32_t flash_write_delay;
} speed;

static const speed scale0 = {480000000u, 4, 2};
static const speed scale1 = {400000000u, 2, 2};

static uint32_t core_hz = HSI_HZ;
static uint32_t pclk1_hz = HSI_HZ;

static bool becomes(volatile uint32_t *address, uint32_t mask, uint32_t value)
{
    for (uint32_t turn = 0; turn < MAXIMUM_TURNS; turn++) {
        if ((*address & mask) == value) {
            return true;
        }
    }
    return false;
}

/* RM0433 "System supply startup": the supply must be stated before the voltage may be changed. */
static bool raise_to_scale1(void)
{
    PWR_CR3 = PWR_CR3_LDOEN;
    if (!becomes(&PWR_CSR1, PWR_CSR1_ACTVOSRDY, PWR_CSR1_ACTVOSRDY)) {
        return false;
    }
    PWR_D3CR = PWR_D3CR_VOS_SCALE1;
    return becomes(&PWR_D3CR, PWR_D3CR_VOSRDY, PWR_D3CR_VOSRDY);
}

/* RM0433 "VOS0 activation": from scale 1, the overdrive bit; only silicon of revision X or later has it. */
static bool raise_to_scale0(void)
{
    if (DBGMCU_IDC >> DBGMCU_IDC_REVISION_SHIFT < DBGMCU_IDC_REVISION_X) {
        return false;
    }
    RCC_APB4ENR |= RCC_APB4ENR_SYSCFGEN;
    (void)RCC_APB4ENR; /* RM0433 "Peripheral clock enabling delay": a read back before the first access */
    SYSCFG_PWRCR |= SYSCFG_PWRCR_ODEN;
    (void)SYSCFG_PWRCR; /* the write must have arrived before VOSRDY means the new voltage */
    return becomes(&PWR_D3CR, PWR_D3CR_VOSRDY, PWR_D3CR_VOSRDY);
}

/* The ST-LINK's 8 MHz, or the internal oscillator if it is missing (ST-LINK unpowered, solder bridge open). */
static uint32_t choose_pll_source(void)
{
    RCC_CR |= RCC_CR_HSEBYP; /* an external clock, not a crystal; must be set before HSEON */
    RCC_CR |= RCC_CR_HSEON;
    if (becomes(&RCC_CR, RCC_CR_HSERDY, RCC_CR_HSERDY)) {
        return RCC_PLLCKSELR_SRC_HSE | RCC_PLLCKSELR_DIVM1(BOARD_HSE_HZ / PLL_INPUT_HZ);
    }
    RCC_CR &= ~RCC_CR_HSEON;
    return RCC_PLLCKSELR_SRC_HSI | RCC_PLLCKSELR_DIVM1(HSI_HZ / PLL_INPUT_HZ);
}

static bool start_pll(uint32_t hz)
{
    RCC_PLLCKSELR = choose_pll_source();
    RCC_PLLCFGR = RCC_PLLCFGR_PLL1RGE_8_TO_16_MHZ | RCC_PLLCFGR_DIVP1EN;
    RCC_PLL1DIVR = RCC_PLL1DIVR_VALUE(2u * hz / PLL_INPUT_HZ, 2u); /* the oscillator runs at twice the core clock */
    RCC_CR |= RCC_CR_PLL1ON;
    return becomes(&RCC_CR, RCC_CR_PLL1RDY, RCC_CR_PLL1RDY);
}

void clocks_start(void)
{
    if (!raise_to_scale1()) {
        return;
    }
    const speed *chosen = raise_to_scale0() ? &scale0 : &scale1;

    /* Wait states and bus dividers first: neither flash nor buses may see the fast clock undivided. */
    uint32_t acr = FLASH_ACR_VALUE(chosen->flash_wait_states, chosen->flash_write_delay);
    FLASH_ACR = acr;
    if (!becomes(&FLASH_ACR, FLASH_ACR_MASK, acr) || !start_pll(chosen->core_hz)) {
        return;
    }
    RCC_D1CFGR = RCC_D1CFGR_HPRE_DIV2 | RCC_D1CFGR_D1PPRE_DIV2;
    RCC_D2CFGR = RCC_D2CFGR_D2PPRE1_DIV2 | RCC_D2CFGR_D2PPRE2_DIV2;
    RCC_D3CFGR = RCC_D3CFGR_D3PPRE_DIV2;
    RCC_CFGR = (RCC_CFGR & ~RCC_CFGR_SW_MASK) | RCC_CFGR_SW_PLL1;
    if (becomes(&RCC_CFGR, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_PLL1)) {
        core_hz = chosen->core_hz;
        pclk1_hz = core_hz / 4;
    } else {
        pclk1_hz = HSI_HZ / 4;
    }
}

uint32_t clocks_core_hz(void)
{
    return core_hz;
}

uint32_t clocks_pclk1_hz(void)
{
    return pclk1_hz;
}
