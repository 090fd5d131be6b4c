"""Compilers that are present, and what tests of builds look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stq_deploy.network.ops import Dense
from stq_deploy.network.requantize import KeepAccumulator
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.compilers import Compiler, candidates, probe

COMPILERS = {candidate.name: found for candidate in candidates() if (found := probe(candidate))}
"""Those present, by name."""

Build = Callable[[str], BuiltFirmware]


def dense(name: str, source: str, target: str, weights: npt.NDArray[np.int8]) -> Dense:
    """A dense layer of 8-bit weights (inputs, outputs) whose accumulator is its output."""
    inputs, outputs = weights.shape
    keep = KeepAccumulator(outputs, -128 * inputs, 127 * inputs)
    return Dense(name, (source,), target, (), weights=weights, weight_bits=8, requantize=keep)


def compiler_of(built: BuiltFirmware) -> Compiler:
    """What made a build."""
    return next(found for found in COMPILERS.values() if found.version == built.compiler_version)


def folder_content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
