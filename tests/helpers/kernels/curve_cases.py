"""Cases for curves, and a function that runs one and compares every output with Python's integers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels.kernel_library import KernelLibrary
from tests.helpers.kernels.weighted_cases import OK


@dataclass(frozen=True)
class CurveCase:
    """Types of input and output; entries `2**shift` apart from `base` on; bounds of the output."""

    types: tuple[str, str]
    table: tuple[int, ...]
    base: int
    shift: int
    bounds: tuple[int, int]


def _sigmoid(entries: int, unit: int) -> tuple[int, ...]:
    return tuple(round(unit / (1 + math.exp(6 - 12 * k / max(entries - 1, 1)))) for k in range(entries))


CURVES = [
    CurveCase(("int8", "int16"), _sigmoid(256, 32767), -128, 0, (0, 32767)),
    CurveCase(("int8", "int16"), _sigmoid(9, 30000), -100, 4, (100, 29000)),
    CurveCase(("int16", "int32"), _sigmoid(300, 1 << 27), -20000, 7, (0, 1 << 27)),
    CurveCase(("int32", "int32"), _sigmoid(2000, 1 << 28), -(1 << 29), 19, (0, 1 << 28)),
    CurveCase(("int32", "int32"), (-(2**20), 2**20, 5), -(2**31), 20, (-(2**20), 2**20)),
    CurveCase(("int32", "int16"), (7,), 2**31 - 1, 20, (7, 7)),
    CurveCase(("int16", "int16"), (5, -5), 0, 1, (-5, 5)),
    CurveCase(("int8", "int32"), (0, 1, 4, 9, 16, 25), -3, 0, (1, 20)),
]


def _expected(case: CurveCase, level: int) -> int:
    table = list(case.table)
    step = table[-1] - table[-2] if len(table) > 1 else 0
    table += [table[-1] + step, table[-1] + 2 * step]
    u = min(max(level - case.base, 0), (len(case.table) - 1) << case.shift)
    k, f = divmod(u, 1 << case.shift)
    d, e = table[k + 1] - table[k], table[k + 2] - 2 * table[k + 1] + table[k]
    s = case.shift
    value = table[k] + (f * d * 2 ** (s + 1) + f * (f - 2**s) * e + 2 ** (2 * s)) // 2 ** (2 * s + 1)
    return min(max(value, case.bounds[0]), case.bounds[1])


def run_curve(library: KernelLibrary, case: CurveCase) -> None:
    info = np.iinfo(case.types[0])
    span = (len(case.table) - 1) << case.shift
    around = [case.base + k for k in (-1, 0, 1, span - 1, span, span + 1)]
    inside = np.random.default_rng(case.shift).integers(case.base - 9, case.base + span + 9, 60)
    levels = np.clip([*around, *inside, info.min, info.max, 0], info.min, info.max).astype(case.types[0])
    output = np.full(len(levels), -99, case.types[1])
    params = arguments.curve_params(case.types, len(case.table), case.base, case.shift, *case.bounds)
    table = np.array(case.table, np.int32)
    assert library.call("stq_curve", params, table, len(levels), levels, output) == OK
    assert output.tolist() == [_expected(case, int(level)) for level in levels]
