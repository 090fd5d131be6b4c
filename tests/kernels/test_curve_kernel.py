"""Curves against Python's integers."""

from __future__ import annotations

import pytest
from curve_cases import CURVES, CurveCase, run_curve
from kernel_library import KernelLibrary


@pytest.mark.parametrize("case", CURVES, ids=str)
def test_curve(library: KernelLibrary, case: CurveCase) -> None:
    run_curve(library, case)
