"""Curves against Python's integers."""

from __future__ import annotations

import pytest

from tests.helpers.kernels.curve_cases import CURVES, CurveCase, run_curve
from tests.helpers.kernels.kernel_library import KernelLibrary


@pytest.mark.parametrize("case", CURVES, ids=str)
def test_curve(library: KernelLibrary, case: CurveCase) -> None:
    run_curve(library, case)
