"""The estimated time of a built firmware, layer by layer, beside the counts of a board."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import no_such
from stq_deploy.common.progress import Progress, silent
from stq_deploy.cycles.cores import core_model
from stq_deploy.cycles.listing import HotBlock, hot_blocks
from stq_deploy.cycles.memory import MemorySystem, MemoryWaits
from stq_deploy.cycles.predict import CoreCycles, predict
from stq_deploy.program import Layer
from stq_deploy.program.kernels.candidate import Candidate
from stq_deploy.program.kernels.choice import candidates, choose
from stq_deploy.targets.boards import Board
from stq_deploy.targets.emulator.layer_trace import NetworkOnCore
from stq_deploy.toolchain.built import BuiltFirmware

MEMORY = "memory"
"""The bound of a layer that waits longest for memory; the other bounds are a `Cause`."""


class CounterUnit(StrEnum):
    """The unit of a board's counter."""

    CYCLES = "cycles"
    INSTRUCTIONS = "instructions"  # on an emulated board


@dataclass(frozen=True)
class Counted:
    """A board's counts for each layer.

    Attributes:
        unit: unit of the counts.
        layers: median count of each layer over the inferences, in the order they run.
        inferences: number of inferences.
    """

    unit: CounterUnit
    layers: tuple[int, ...]
    inferences: int


@dataclass(frozen=True)
class Alternative:
    """Another family of kernels that can run a layer.

    Attributes:
        kernel: its function.
        weight_bytes: bytes of its packed weights.
        scratch_bytes: bytes of its scratch memory.
        instructions: estimated, by the rule that chooses kernels; None for a family without an estimate.
    """

    kernel: str
    weight_bytes: int
    scratch_bytes: int
    instructions: int | None


@dataclass(frozen=True)
class LayerProfile:
    """The time of one layer for one sample.

    Attributes:
        layer: the layer.
        core: estimated cycles of the core.
        waits: estimated waits for memory.
        alternatives: the other kernels that can run it.
        hot_blocks: its hottest code, if asked for.
    """

    layer: Layer
    core: CoreCycles
    waits: MemoryWaits
    alternatives: tuple[Alternative, ...] = ()
    hot_blocks: tuple[HotBlock, ...] = ()

    @property
    def instructions(self) -> int:
        """Executed instructions; exact."""
        return self.core.instructions

    @property
    def cycles(self) -> int:
        """Estimated cycles."""
        return round(self.core.cycles + self.waits.cycles)

    @property
    def cycles_per_mac(self) -> float | None:
        """Estimated cycles for each multiply-accumulate; None for a layer without."""
        return self.cycles / self.layer.macs if self.layer.macs else None

    @property
    def parts(self) -> dict[str, int]:
        """Estimated cycles by cause, with `MEMORY` as one more cause."""
        return {str(cause): round(cycles) for cause, cycles in self.core.spent.items()} | {MEMORY: self.waits.cycles}

    @property
    def bound(self) -> str:
        """The largest of `parts`."""
        return max(self.parts.items(), key=lambda part: part[1])[0]

    @property
    def reason(self) -> str:
        """Why this kernel runs the layer."""
        work = self.layer.work
        if not self.alternatives:
            return "the only one that can"
        fastest, smallest = (choose(work, optimize=aim).kernel.function for aim in ("speed", "size"))
        if self.layer.kernel == fastest:
            return "the fastest by estimate" if fastest != smallest else "the fastest and smallest by estimate"
        if self.layer.kernel == smallest:
            return f"less flash than {fastest} by estimate"
        return f"asked for instead of {fastest}, or its code is shared"


@dataclass(frozen=True)
class Profile:
    """The estimated time of a network on a board.

    Attributes:
        board: the board.
        layers: in the order they run.
        counted: a board's counts for the same sample; None without one.
    """

    board: Board
    layers: tuple[LayerProfile, ...]
    counted: Counted | None = None

    def beside(self, counted: Counted) -> Profile:
        """The same profile with the counts of a board."""
        return replace(self, counted=counted)

    @property
    def macs(self) -> int:
        return sum(one.layer.macs for one in self.layers)

    @property
    def instructions(self) -> int:
        """Executed instructions; exact."""
        return sum(one.instructions for one in self.layers)

    @property
    def cycles(self) -> int:
        """Estimated cycles."""
        return sum(one.cycles for one in self.layers)

    def milliseconds(self, cycles: float) -> float:
        """Milliseconds that the cycles take at the board's usual clock."""
        return 1e3 * cycles / self.board.clock.core_hz

    @property
    def millijoules(self) -> float | None:
        """Estimated energy of an inference; None unless the board's file states the chip's power."""
        power = self.board.timing.milliwatts_per_mhz
        return None if power is None else power * self.cycles / 1e6  # mW/MHz are nJ a cycle

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what the estimate leaves out or assumes for this network."""
        notes = []
        unknown = sorted(set().union(*(one.waits.unknown for one in self.layers)))
        if unknown:
            notes.append(
                f"Waits for {', '.join(unknown)} are missing: {self.board.name}/board.toml states no miss_cycles."
            )
        without_rule = sum(one.core.without_rule for one in self.layers)
        if without_rule:
            notes.append(f"{without_rule:,} instructions have no rule in the model; each counts as one cycle alone.")
        blind = sum(one.core.without_addresses for one in self.layers)
        if blind:
            notes.append(f"{blind:,} loads and stores ran after the sampling; each counts as a bank conflict.")
        return tuple(notes)

    def to_json(self) -> dict[str, Any]:
        """The profile for --json; the name of an estimated time or energy begins with `estimated`."""
        counted = self.counted
        return {
            "board": self.board.name,
            "core": self.board.cpu.core,
            "core_hz": self.board.clock.core_hz,
            "macs": self.macs,
            "instructions": self.instructions,
            "estimated_cycles": self.cycles,
            "estimated_ms": round(self.milliseconds(self.cycles), 4),
            "estimated_mj": self.millijoules,
            "counted": counted and {"unit": str(counted.unit), "sum": sum(counted.layers), "of": counted.inferences},
            "notes": list(self.notes),
            "layers": [self._layer_to_json(index, one) for index, one in enumerate(self.layers)],
        }

    def _layer_to_json(self, index: int, one: LayerProfile) -> dict[str, Any]:
        per_mac = one.cycles_per_mac
        return {
            "layer": one.layer.name,
            "op": one.layer.op.kind,
            "kernel": one.layer.kernel,
            "kernel_reason": one.reason,
            "macs": one.layer.macs,
            "instructions": one.instructions,
            "estimated_cycles": one.cycles,
            "estimated_ms": round(self.milliseconds(one.cycles), 4),
            "estimated_cycles_per_mac": None if per_mac is None else round(per_mac, 4),
            "estimated_cycles_by_cause": one.parts,
            "bound_by": one.bound,
            "cache_lines_missed": one.waits.misses,
            "counted": self.counted and self.counted.layers[index],
            "alternatives": [
                {
                    "kernel": other.kernel,
                    "weight_bytes": other.weight_bytes,
                    "scratch_bytes": other.scratch_bytes,
                    "estimated_instructions": other.instructions,
                }
                for other in one.alternatives
            ],
            "hot_blocks": [
                {
                    "runs": block.runs,
                    "estimated_cycles": round(block.cycles),
                    "instructions": [
                        {"address": line.address, "text": line.text, "estimated_cycles": line.cycles}
                        for line in block.lines
                    ],
                }
                for block in one.hot_blocks
            ],
        }


def profile_firmware(
    firmware: BuiltFirmware,
    board: Board,
    levels: npt.NDArray[Any],
    progress: Progress = silent,
    *,
    listed: str | None = None,
) -> Profile:
    """Run every layer of a firmware once on an emulated core, and estimate its time on the board.

    Args:
        board: the one that the firmware is for.
        levels: one sample's input levels (*input shape).
        listed: a layer whose hottest code is wanted.

    Raises:
        StqError: there is no model of the board's core or no such layer, no emulator is installed, or a layer fails.
    """
    names = [layer.name for layer in firmware.program.layers]
    if listed is not None and listed not in names:
        raise no_such(f"there is no layer {listed!r}", listed, names)
    core = core_model(board.cpu.core)
    network = NetworkOnCore(firmware.elf, board)
    spec = firmware.program.network.input_type
    network.put_input(np.ascontiguousarray(levels, np.dtype(spec.dtype).newbyteorder("<")).tobytes())
    memory = MemorySystem(board)
    layers = firmware.program.layers
    found = []
    for layer in layers:
        progress("estimating cycles", layer.index, len(layers))
        trace = network.trace(layer.index, memory.watches)
        waits = memory.take_waits(trace)
        hot = hot_blocks(trace, core) if layer.name == listed else ()
        found.append(LayerProfile(layer, predict(trace, core), waits, _alternatives(layer), hot))
    progress("estimating cycles", len(layers), len(layers))
    return Profile(board, tuple(found))


def _alternatives(layer: Layer) -> tuple[Alternative, ...]:
    return tuple(_alternative(one) for one in candidates(layer.work) if one.kernel.function != layer.kernel)


def _alternative(one: Candidate) -> Alternative:
    spec, work = one.spec, one.work
    return Alternative(one.kernel.function, spec.weight_bytes(work), spec.scratch_bytes(work), spec.instructions(work))
