"""The schema of `board.toml`, as frozen models that check it. docs/BOARDS.md explains the entries."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

MAXIMUM_BAUD_ERROR = 0.01
"""Largest relative error of the serial clock that both ends tolerate."""

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
BoardName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.]{0,63}$")]
Address = Annotated[int, Field(ge=0, lt=2**32)]
Positive = Annotated[int, Field(gt=0, lt=2**32)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Memory(_Entry):
    """A memory of the chip.

    Attributes:
        origin, bytes: its address range.
        kind: "flash" holds code and weights and is written by the flash tool; "ram" everything else.
        guard: if not 0, the memory holds only code, at its end. The code begins at a multiple of this many bytes. At
            least that many below it stay empty, and the firmware forbids all access to them.
        miss_cycles: for a memory behind the board's caches, core cycles at the normal clock from a miss to the first
            word. 0 for a memory without wait states and caches; None if that is not known.
        note: a remark for readers.
    """

    name: Identifier
    origin: Address
    bytes: Positive
    kind: Literal["flash", "ram"]
    guard: Annotated[int, Field(ge=0, lt=2**32)] = 0
    miss_cycles: Annotated[int, Field(ge=0, lt=2**16)] | None = None
    note: str = ""

    @property
    def end(self) -> int:
        """First address after it."""
        return self.origin + self.bytes


class Cpu(_Entry):
    """The core, and the shared C that it uses.

    Attributes:
        core: for people.
        kernels: kernel variant, a folder of `firmware_templates/kernels/`.
        architecture: folder of `firmware_templates/` with what all boards of that architecture share.
        cycle_counter: what counts cycles: "dwt", the core's DWT_CYCCNT, or "board", a C file of the board's own.
        flags: by compiler family.
    """

    core: str
    kernels: Identifier
    architecture: Identifier
    cycle_counter: Literal["dwt", "board"]
    flags: dict[Literal["gcc", "zig"], list[str]]


Candidates = Annotated[list[Identifier], Field(min_length=1)]
"""Memories in order of preference."""


class PlacementPreferences(_Entry):
    """Memory for each part of the image, or candidates for it.

    Attributes:
        code: code that does not run during an inference, and the image of everything copied at start.
        kernels: code that runs during an inference.
        weights: constants of the layers.
        stack, data: the stack, and variables.
        arena, scratch: activations, and the kernels' working memory.
    """

    code: Identifier
    kernels: Candidates
    weights: Candidates
    stack: Identifier
    data: Identifier
    arena: Candidates
    scratch: Candidates


class Stack(_Entry):
    """Reserved stack, and facts for its analysis.

    Attributes:
        bytes: reserved for the program and for interrupts on top of it.
        fault_bytes: reserved for the fault handler alone.
        entry: function the core starts at.
        fault_entry: handler of every fault.
        assembly_calls: calls made in assembly, caller -> callees, which the compiler's call graph lacks.
        interrupt_frame_bytes: bytes that the core pushes when an interrupt starts.
    """

    bytes: Positive
    fault_bytes: Positive
    entry: str
    fault_entry: str
    assembly_calls: dict[str, list[str]] = {}
    interrupt_frame_bytes: Positive


class Interrupts(_Entry):
    """The interrupts of the chip. Those without a handler are faults; no handler interrupts another.

    Attributes:
        count: vectors after the core's own 16. The linker script aligns a table of at most 256 words.
        handlers: C function -> number of its interrupt.
    """

    count: Annotated[int, Field(gt=0, le=240)]
    handlers: dict[Identifier, Annotated[int, Field(ge=0)]] = {}

    def table(self, unused: str) -> list[str]:
        """The handler of every interrupt, `unused` for those without."""
        names = {number: name for name, number in self.handlers.items()}
        return [names.get(number, unused) for number in range(self.count)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, number in self.handlers.items():
            if number >= self.count:
                raise ValueError(f"{name} handles interrupt {number}, the chip has {self.count}")
        if len(set(self.handlers.values())) < len(self.handlers):
            raise ValueError("two handlers have the same interrupt")
        return self


class Clock(_Entry):
    """Core clocks in Hz: normal, of slower silicon, right after reset; and the divider to the serial port."""

    core_hz: Positive
    slower_core_hz: list[Positive] = []
    reset_core_hz: Positive
    core_per_serial: Positive


class Cache(_Entry):
    """A cache of the core: bytes in all, ways, and bytes of a line."""

    bytes: Positive
    ways: Positive
    line_bytes: Positive

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.bytes % (self.ways * self.line_bytes) or self.line_bytes % 4:
            raise ValueError("a cache has whole sets, and lines of whole words")
        return self


class Timing(_Entry):
    """Facts for an estimate of time and energy; `Memory.miss_cycles` belongs to them.

    Attributes:
        instruction_cache, data_cache: None if the core has none, or runs without.
        milliwatts_per_mhz: power of the chip while it computes, divided by the core clock; None if not known.
    """

    instruction_cache: Cache | None = None
    data_cache: Cache | None = None
    milliwatts_per_mhz: Annotated[float, Field(gt=0)] | None = None


class Serial(_Entry):
    """The serial port that carries the link; on the host it is a USB device of vendor `usb_vendor_id`."""

    peripheral: str
    pins: dict[str, str] = {}
    baud: Positive
    usb_vendor_id: Annotated[int, Field(ge=0, lt=2**16)] | None = None


class Flash(_Entry):
    """The tool that writes the flash, and its name for the chip."""

    tool: Literal["pyocd"]
    target: str


class Identity(_Entry):
    """The register that identifies the chip: `register & mask == value`; its upper half is the revision."""

    register_address: Address = Field(alias="register")
    mask: Address
    value: Address
    revisions: dict[str, str]


class UnicornEmulator(_Entry):
    """`stq_deploy.targets.emulator`'s own model of the chip, on Unicorn."""

    kind: Literal["unicorn"]


class QemuEmulator(_Entry):
    """QEMU's model of the board, `machine` to `qemu-system-arm -M`."""

    kind: Literal["qemu"]
    machine: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]


class IndependentWatchdog(_Entry):
    """A watchdog with its own oscillator, which resets the chip unless the firmware makes progress.

    Attributes:
        lowest_hz, highest_hz: frequency of its oscillator, over temperature and supply.
        shortest_ms: least time without progress that it allows; more where a layer may take longer.
    """

    kind: Literal["iwdg"]
    lowest_hz: Positive
    highest_hz: Positive
    shortest_ms: Positive

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.lowest_hz > self.highest_hz:
            raise ValueError("lowest_hz is more than highest_hz")
        return self


class NoWatchdog(_Entry):
    """The firmware starts none: `why`."""

    kind: Literal["none"]
    why: str


Watchdog = Annotated[IndependentWatchdog | NoWatchdog, Field(discriminator="kind")]

Emulator = Annotated[UnicornEmulator | QemuEmulator, Field(discriminator="kind")]


class Firmware(_Entry):
    """C sources in the board's folder, and numbers for `board_config.h`."""

    sources: Annotated[list[FileName], Field(min_length=1)]
    constants: dict[Identifier, int] = {}


class Board(_Entry):
    """One board, for the build, the emulator and the flash tool.

    Attributes:
        watchdog: the watchdog that resets a hanging board.
        flash, identity: None for a board that exists only as an emulation.
        emulator: None if nothing emulates the board.
    """

    name: BoardName
    title: str
    cpu: Cpu
    memory: Annotated[list[Memory], Field(min_length=1)]
    placement: PlacementPreferences
    stack: Stack
    interrupts: Interrupts
    clock: Clock
    timing: Timing = Timing()
    serial: Serial
    watchdog: Watchdog
    flash: Flash | None = None
    identity: Identity | None = None
    emulator: Emulator | None = None
    firmware: Firmware
    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        """The board's folder."""
        return self._folder

    def memory_named(self, name: str) -> Memory:
        """KeyError if there is none."""
        for memory in self.memory:
            if memory.name == name:
                return memory
        raise KeyError(name)

    def flash_run(self) -> Memory:
        """The flash with the code, and the banks directly after it, as one memory."""
        run = self.memory_named(self.placement.code)
        for bank in sorted(self.memory, key=lambda m: m.origin):
            if bank.kind == "flash" and bank.origin == run.end:
                run = run.model_copy(update={"bytes": run.bytes + bank.bytes})
        return run

    def allowed_memories(self, part: str) -> list[str]:
        """Memories that a part of the image, an entry of `[placement]`, may be placed in; as the file orders them."""
        flash = {memory.name for memory in self.memory if memory.kind == "flash"}
        guarded = {memory.name for memory in self.memory if memory.guard}
        data = {memory.name for memory in self.memory} - flash - guarded
        allowed = {
            "code": flash,
            "kernels": guarded | {self.placement.code},
            "weights": data | flash,
        }.get(part, data)
        return [memory.name for memory in self.memory if memory.name in allowed]

    def baud_error(self) -> float:
        """Largest relative error of the baud rate over the clocks the board may run at.

        The serial port divides its clock by the nearest integer, as the firmware does.
        """
        fast = [hz // self.clock.core_per_serial for hz in (self.clock.core_hz, *self.clock.slower_core_hz)]
        errors = []
        for hz in (*fast, self.clock.reset_core_hz):
            divider = (hz + self.serial.baud // 2) // self.serial.baud
            errors.append(abs(hz / divider / self.serial.baud - 1) if divider else 1.0)
        return max(errors)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ranges = sorted(self.memory, key=lambda m: m.origin)
        for below, above in pairwise(ranges):
            if below.end > above.origin:
                raise ValueError(f"memories {below.name} and {above.name} overlap")
        if len({m.name for m in self.memory}) < len(self.memory):
            raise ValueError("two memories have the same name")
        self._check_placement()
        if self.baud_error() >= MAXIMUM_BAUD_ERROR:
            raise ValueError(f"the baud rate would be off by {self.baud_error():.2%}; choose another")
        return self

    def _check_placement(self) -> None:
        for part, value in self.placement.model_dump().items():
            allowed = self.allowed_memories(part)
            for name in [value] if isinstance(value, str) else value:
                if name not in allowed:
                    raise ValueError(f"{part} cannot go to {name!r}; it can to: {', '.join(allowed)}")
        for memory in self.memory:
            if memory.guard and memory.bytes % memory.guard:
                raise ValueError(f"the guard of {memory.name} does not divide its size")
