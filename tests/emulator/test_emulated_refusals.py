"""One tiny program for everything the emulated board refuses."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from stq_deploy.targets.emulator.machine import Mode
from tests.helpers.emulator.bench import Bench

Build = Callable[..., Path]
HARD_FAULT, MEM_MANAGE, BUS_FAULT, USAGE_FAULT = 3, 4, 5, 6
FORCED = 1 << 30
ALL_HANDLERS = "SCB_SHCSR |= 7u << 16;"


@dataclass(frozen=True)
class Fault:
    """A program, and the fault that the chip's manuals promise (ARMv7-M ARM B1.5.14, B3.2.15)."""

    body: str
    exception: int
    status: int
    function: str = "probe"
    address: int | None = None  # in BFAR or MMFAR
    before: str = ""  # outside of probe()


FAULTS = {
    "load outside of memory": Fault("(void)REGISTER(0x60001234u);", BUS_FAULT, 1 << 9 | 1 << 15, address=0x6000_1234),
    "store outside of memory": Fault("REGISTER(0x10000000u) = 1;", BUS_FAULT, 1 << 10),
    "load behind DTCM": Fault("(void)REGISTER(0x20020000u);", BUS_FAULT, 1 << 9 | 1 << 15, address=0x2002_0000),
    "jump outside of memory": Fault("((void (*)(void))0x10000001u)();", BUS_FAULT, 1 << 8, function=""),
    "jump to a peripheral": Fault("((void (*)(void))0x40004801u)();", MEM_MANAGE, 1 << 0, function=""),
    "jump to an even address": Fault("((void (*)(void))0x08000100u)();", USAGE_FAULT, 1 << 17, function=""),
    "undefined instruction": Fault('ASM("udf #7");', USAGE_FAULT, 1 << 16),
    "FPU before CPACR": Fault('ASM("vmov.f32 s0, #1.0");', USAGE_FAULT, 1 << 19),
    "FPU access taken away": Fault(
        'enable_fpu(); ASM("vmov.f32 s0, #1.0"); SCB_CPACR = 0; ASM("dsb\\nisb\\nvmov.f32 s0, #1.0");',
        USAGE_FAULT,
        1 << 19,
    ),
    "LDRD unaligned": Fault('ASM("ldr r0, =0x20000802\\nldrd r2, r3, [r0]");', USAGE_FAULT, 1 << 24),
    "STRD unaligned by offset": Fault('ASM("ldr r0, =0x20000801\\nstrd r2, r3, [r0, #8]");', USAGE_FAULT, 1 << 24),
    "LDM unaligned": Fault('ASM("ldr r0, =0x20000802\\nldm r0!, {r2, r3}");', USAGE_FAULT, 1 << 24),
    "STMDB unaligned": Fault('ASM("ldr r0, =0x20000803\\nstmdb r0, {r2-r5}");', USAGE_FAULT, 1 << 24),
    "VLDR unaligned": Fault('enable_fpu(); ASM("ldr r0, =0x20000802\\nvldr s0, [r0]");', USAGE_FAULT, 1 << 24),
    "VSTM unaligned": Fault('enable_fpu(); ASM("ldr r0, =0x20000802\\nvstmia r0!, {d0-d1}");', USAGE_FAULT, 1 << 24),
    "LDREX unaligned": Fault('ASM("ldr r0, =0x20000802\\nldrex r1, [r0]");', USAGE_FAULT, 1 << 24),
    "conditional LDRD unaligned": Fault(
        'ASM("ldr r0, =0x20000802\\ncmp r0, #0\\nit ne\\nldrdne r2, r3, [r0]");', USAGE_FAULT, 1 << 24
    ),
    "division by zero": Fault(
        'SCB_CCR |= 1u << 4; ASM("mov r0, #5\\nmov r1, #0\\nsdiv r2, r0, r1");', USAGE_FAULT, 1 << 25
    ),
    "break point": Fault('ASM("bkpt #0");', HARD_FAULT, 0),
    "MPU region without access": Fault(
        "REGISTER(0xE000ED9Cu) = 0x00000010u; REGISTER(0xE000EDA0u) = (15u << 1) | 1u | (1u << 28);"
        'REGISTER(0xE000ED94u) = 5u; ASM("dsb\\nisb"); REGISTER(0x100u) = 1;',
        MEM_MANAGE,
        1 << 1 | 1 << 7,
        address=0x100,
    ),
    "MPU takes writing away from memory already written": Fault(
        "REGISTER(0x24000104u) = 1; REGISTER(0xE000ED9Cu) = 0x24000010u;"
        "REGISTER(0xE000EDA0u) = (15u << 1) | 1u | (6u << 24);"
        'REGISTER(0xE000ED94u) = 5u; ASM("dsb\\nisb"); (void)REGISTER(0x24000104u); REGISTER(0x24000100u) = 1;',
        MEM_MANAGE,
        1 << 1 | 1 << 7,
        address=0x2400_0100,
    ),
    "MPU takes reading away from memory already read": Fault(
        "(void)REGISTER(0x24000104u); REGISTER(0xE000ED9Cu) = 0x24000010u; REGISTER(0xE000EDA0u) = (15u << 1) | 1u;"
        'REGISTER(0xE000ED94u) = 5u; ASM("dsb\\nisb"); (void)REGISTER(0x24000100u);',
        MEM_MANAGE,
        1 << 1 | 1 << 7,
        address=0x2400_0100,
    ),
    "MPU region without execution": Fault(
        "REGISTER(0xE000ED9Cu) = 0x20000010u; REGISTER(0xE000EDA0u) = (16u << 1) | 1u | (3u << 24) | (1u << 28);"
        'REGISTER(0xE000ED94u) = 5u; ASM("dsb\\nisb"); ((void (*)(void))0x20000801u)();',
        MEM_MANAGE,
        1 << 0,
        function="",
    ),
    "stack overflow below its memory": Fault(
        "deeper(5000);",
        BUS_FAULT,
        1 << 10 | 1 << 12,
        function="deeper",
        before="__attribute__((noinline)) uint32_t deeper(uint32_t n)"
        "{ volatile uint32_t a[64]; a[n & 63] = n; return n ? deeper(n - 1) + a[n & 63] : 0; }",
    ),
}


NAMES = {HARD_FAULT: "HardFault", MEM_MANAGE: "MemManage", BUS_FAULT: "BusFault", USAGE_FAULT: "UsageFault"}


@pytest.mark.parametrize("enabled", [True, False], ids=["own handler", "escalated to HardFault"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_fault_reaches_the_programs_handler(fault: Fault, enabled: bool, build: Build) -> None:
    enable = ALL_HANDLERS if enabled else ""
    elf = build(f"{fault.before}\nvoid probe(void) {{ {enable} {fault.body} }}")
    with Bench(elf) as bench:
        report = bench.fault_report()
    entered = fault.exception if enabled else HARD_FAULT
    assert report.exception == entered
    assert report.cfsr == fault.status
    assert bool(report.hfsr & FORCED) == (entered != fault.exception)
    if fault.address is not None:
        assert (report.bfar if fault.exception == BUS_FAULT else report.mmfar) == fault.address
    (refusal,) = bench.refusals
    assert refusal.function.split("+")[0] == fault.function
    assert refusal.fault.split()[0] == NAMES[entered]


def test_break_point_is_a_debug_event(build: Build) -> None:
    with Bench(build('void probe(void) { ASM("bkpt #0"); }')) as bench:
        assert bench.fault_report().hfsr == 1 << 31


CLOCK_THE_PORT = "RCC_AHB4ENR |= 8u; RCC_APB1LENR |= 1u << 18;"
SILENT = {  # what the chip would not complain about: the emulated board stops instead
    "GPIO without clock": (
        "GPIOD_MODER = 0;",
        "GPIOD_MODER .* clock of GPIOD is off",
        "bit 3 of RCC_AHB4ENR",
    ),
    "USART without clock": (
        "USART3_CR1 = 1;",
        "USART3_CR1 .* clock of USART3 is off",
        "bit 18 of RCC_APB1LENR",
    ),
    "USART read without clock": ("(void)USART3_ISR;", "USART3_ISR .* clock of USART3 is off", "reads give 0"),
    "SYSCFG without clock": (
        "REGISTER(0x5800042Cu) = 1;",
        "SYSCFG_PWRCR .* clock of SYSCFG is off",
        "APB4ENR",
    ),
    "SRAM1 without clock": ("REGISTER(0x30000000u) = 1;", "write at 0x30000000", "clock of sram1_2_3 is off"),
    "write to flash": ("REGISTER(0x08000000u) = 1;", "write at 0x08000000", "PGSERR"),
    "sending without transmitter": (
        CLOCK_THE_PORT + "USART3_TDR = 1;",
        "USART3_TDR .* transmitter is off",
        "CR1",
    ),
    "sending without pins": (
        CLOCK_THE_PORT + "USART3_BRR = 69; USART3_CR1 = 13; USART3_TDR = 1;",
        r"USART3 is used without pin GPIOD\.8",
        "alternate function 7",
    ),
    "baud divider too small": (CLOCK_THE_PORT + "USART3_BRR = 9; USART3_CR1 = 13;", "USART3_BRR is 9", "16"),
    "baud divider changed while on": (
        "serial_start(0); USART3_BRR = 70;",
        "USART3_BRR is written while UE is 1",
        "UE is 0",
    ),
    "watchdog set up while locked": ("REGISTER(0x58004808u) = 1;", "IWDG1_RLR is written while it is locked", "0x5555"),
    "watchdog's wrong key": ("REGISTER(0x58004800u) = 0xAAAB;", "IWDG1_KR is written with 0xAAAB", "0xAAAA"),
    "watchdog's window": ("REGISTER(0x58004810u) = 0x100;", "IWDG1_WINR is written", "not emulated"),
    "SysTick's external clock": ("REGISTER(0xE000E010u) = 3;", "SysTick counts its external clock", "core's clock"),
    "SysTick's exception": (
        'ASM("cpsid i"); REGISTER(0xE000E014u) = 99; REGISTER(0xE000E010u) = 7; ASM("wfi\\ncpsie i");',
        "interrupts are unmasked while SysTick runs",
        "end of a masked sleep",
    ),
    "voltage before supply": ("REGISTER(0x58024818u) = 0;", "voltage before PWR_CR3", "supply"),
    "HSE chosen while off": ("REGISTER(0x58024410u) = 2;", "chooses a clock that is off", "RCC_CR"),
    "PLL input out of its range": (
        "REGISTER(0x58024428u) = 4u << 4; REGISTER(0x5802442Cu) = (3u << 2) | (1u << 16) | 0x01FE0000u;"
        "REGISTER(0x58024430u) = 79u | (1u << 9) | 0x01010000u; REGISTER(0x5802442Cu) = (1u << 2) | 0x01FF0000u;"
        "REGISTER(0x58024400u) |= 1u << 24;",
        "PLL1 gets 16 MHz",
        "promises 2 to 4 MHz",
    ),
    "too fast for the voltage": (
        "REGISTER(0x58024428u) = 8u << 4; REGISTER(0x5802442Cu) = (3u << 2) | 0x01FF0000u;"
        "REGISTER(0x58024430u) = 119u | (1u << 9) | 0x01010000u; REGISTER(0x58024400u) |= 1u << 24;"
        "REGISTER(0x58024418u) = 8u; REGISTER(0x58024410u) = 3u;",
        "the core would run at 480 MHz",
        "VOS3 allows 200 MHz",
    ),
    "too few wait states": (
        "REGISTER(0x5802480Cu) = 2; REGISTER(0x58024818u) = 3u << 14; REGISTER(0x52002000u) = 0x20u;"
        "REGISTER(0x58024428u) = 8u << 4; REGISTER(0x5802442Cu) = (3u << 2) | 0x01FF0000u;"
        "REGISTER(0x58024430u) = 99u | (1u << 9) | 0x01010000u; REGISTER(0x58024400u) |= 1u << 24;"
        "REGISTER(0x58024418u) = 8u | (4u << 4); REGISTER(0x5802441Cu) = 0x440u; REGISTER(0x58024420u) = 0x40u;"
        "REGISTER(0x58024410u) = 3u;",
        "flash is read at 200 MHz with 0 wait states",
        "needs 2 wait states",
    ),
    "cycle counter without trace": ("DWT_LAR = 0xC5ACCE55u;", "tracing is off", "TRCENA"),
    "cycle counter locked": ("DEMCR = 1u << 24; DWT_CTRL = 1;", "DWT is locked", "0xC5ACCE55"),
    "reset without key": ("SCB_AIRCR = 4;", "SCB_AIRCR is written with 0x00000004", "0x05FA"),
    "cache on without invalidation": ("SCB_CCR |= 1u << 16;", "data cache is enabled without", "random"),
    "peripheral that is not modelled": (
        "(void)REGISTER(0x40000000u);",
        "0x40000000",
        "no register is emulated",
    ),
    "register bits that are not modelled": (
        CLOCK_THE_PORT + "USART3_CR1 = 1u << 10;",
        "USART3_CR1",
        "not emulated",
    ),
    "interrupt without source": ("REGISTER(0xE000E100u) = 1u << 5;", "interrupt 5", "no source"),
    "small MPU region": (
        "REGISTER(0xE000ED9Cu) = 0x20000010u; REGISTER(0xE000EDA0u) = (4u << 1) | 1u;",
        "parts of 32 bytes",
        "pages of 1024 bytes",
    ),
}


@pytest.mark.parametrize(("body", "what", "why"), SILENT.values(), ids=SILENT.keys())
def test_silent_misuse_stops_the_board(body: str, what: str, why: str, build: Build) -> None:
    with Bench(build(f"void probe(void) {{ {body} }}")) as bench:
        end = bench.wait_for_end()
    assert re.search(what, end.what), end
    assert why in end.why, end
    assert end.function.split("+")[0] in ("probe", "serial_start"), end


def test_baud_rates_apart_are_refused_with_figures(build: Build) -> None:
    elf = build("void probe(void) { serial_start(0); for (;;) { (void)USART3_ISR; } }")
    with Bench(elf, baud=115_200) as bench:
        bench.send(b"x")
        end = bench.wait_for_end()
    assert "927536 baud" in end.what and "115200" in end.what
    assert "64 MHz" in end.why and "BRR = 69" in end.why


def test_fault_in_the_fault_handler_locks_up(build: Build) -> None:
    elf = build(
        "void probe(void) { static uint32_t table[80] __attribute__((aligned(512)));"
        "for (int i = 0; i < 80; i++) { table[i] = ((uint32_t *)0x08000000u)[i]; }"
        "extern void worse(void); table[3] = (uint32_t)worse; REGISTER(0xE000ED08u) = (uint32_t)table;"
        "(void)REGISTER(0x60000000u); } void worse(void) { (void)REGISTER(0x60000004u); }"
    )
    with Bench(elf) as bench:
        end = bench.wait_for_end()
    assert "locks up" in end.what
    assert end.function.startswith("worse")


@pytest.mark.parametrize("mode", ["fast", "counting"])
def test_allowed_accesses_are_not_refused(mode: Mode, build: Build) -> None:
    """Unaligned words and halfwords in RAM, clocked SRAM1, conditional accesses that do not happen."""
    elf = build(
        "void probe(void) { serial_start(0); enable_fpu(); RCC_AHB2ENR |= 1u << 29;"
        "REGISTER(0x30000001u) = 0x11223344u; uint32_t sum = REGISTER(0x30000001u);"
        "sum += *(volatile uint16_t *)0x30000003u;"
        r'ASM("ldr r0, =0x20000801\ncmp r0, r0\nitt ne\nldrdne r2, r3, [r0]\nldrdne r2, r3, [r0]");'
        r'ASM("push {r0-r3}\npop {r0-r3}\nsub sp, #8\nvstr d0, [sp]\nadd sp, #8");'
        r'ASM("mov r0, #5\nmov r1, #0\nsdiv r2, r0, r1"); ASM("wfe\nyield\nnop");'
        "put_word(sum); }"
    )
    with Bench(elf, mode) as bench:
        assert bench.words(1) == (0x1122_3344 + 0x1122,)
    assert bench.refusals == []


@pytest.mark.parametrize("mode", ["fast", "counting"])
def test_code_in_data_memory_is_executed_as_it_was_last_written(mode: Mode, build: Build) -> None:
    """Two functions (MOVS R0, #n; BX LR) share a page with data, written before, between and after the calls."""
    elf = build(
        "static uint32_t call(uint32_t at) { return ((uint32_t (*)(void))(at | 1u))(); }"
        'static void write(uint32_t at, uint32_t n) { REGISTER(at) = 0x47702000u | n; ASM("dsb\\nisb"); }'
        "void probe(void) { serial_start(0); uint32_t sum = 0; REGISTER(0x20000900u) = 7;"
        "for (uint32_t n = 1; n < 100; n++) {"
        "write(0x20000800u, n); REGISTER(0x20000904u) = n; sum = sum * 31u + call(0x20000800u);"
        "REGISTER(0x20000900u) += n; write(0x20000880u, 2u * n); sum = sum * 31u + call(0x20000880u);"
        "REGISTER(0x20000904u) = sum; sum = sum * 31u + call(0x20000800u); }"
        "put_word(sum); put_word(REGISTER(0x20000900u)); }"
    )
    expected = 0
    for n in range(1, 100):
        for value in (n, 2 * n, n):
            expected = (expected * 31 + value) & 0xFFFF_FFFF
    with Bench(elf, mode) as bench:
        assert bench.words(2) == (expected, 7 + sum(range(100)))
    assert bench.refusals == []


def test_unaligned_access_to_a_peripheral_is_a_fault_in_counting_mode(build: Build) -> None:
    elf = build("void probe(void) { (void)REGISTER(0x58024401u); }")
    with Bench(elf, "counting") as bench:
        report = bench.fault_report()
    assert report.cfsr == 1 << 24
