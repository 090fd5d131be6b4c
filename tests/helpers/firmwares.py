"""Built firmwares for tests that build nothing: of a given program, with given memories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stq_deploy.network import Network, TensorType
from stq_deploy.network.ops import Dense
from stq_deploy.network.requantize import KeepAccumulator
from stq_deploy.program import Program, plan_network
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.network_alone import NetworkAlone
from stq_deploy.toolchain.placement import Placed, Placement
from stq_deploy.toolchain.sizes import MemoryUse
from stq_deploy.toolchain.stack import StackUse


def small_program(name: str = "fc") -> Program:
    """One dense layer of four inputs and two outputs; `name` is that of the layer and of its output."""
    tensors = {"x": TensorType((4,), "int8", 0, 1, 1.0), name: TensorType((2,), "int32", -4, 4, 1.0)}
    op = Dense(name, ("x",), name, (), np.ones((4, 2), np.int8), 2, KeepAccumulator(2, -4, 4))
    return plan_network(Network(tensors, (op,), "x", (name,)))


def memory(name: str, used: int, size: int, sections: dict[str, int] | None = None, kind: str = "ram") -> MemoryUse:
    return MemoryUse(name, kind, 0, size, used, sections or {})


def firmware(
    program: Program | None = None,
    *,
    board: str = "b",
    placed: Sequence[Placed] = (),
    memories: Sequence[MemoryUse] = (),
    stack: StackUse | None = None,
) -> BuiltFirmware:
    """A firmware whose kernels have 100 bytes of code each."""
    program = program or small_program()
    return BuiltFirmware(
        folder=Path("nowhere"),
        program=program,
        board=board,
        compiler_family="gcc",
        compiler_version="gcc 12",
        build_id="cd" * 16,
        placement=Placement(tuple(placed)),
        memories=tuple(memories),
        alone=NetworkAlone(1000, program.arena.bytes, program.arena.bytes, program.scratch_bytes, None),
        kernel_bytes={layer.kernel: 100 for layer in program.layers},
        stack=stack,
        stack_reason="" if stack else "recursion",
        files={},
    )
