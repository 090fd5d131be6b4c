"""The quantizer that leaves fixed-point weights as they are: the narrowest one, or none."""

from __future__ import annotations

import numpy as np
import pytest

from stq_deploy.frontend.fixed_point_weights import fixed_point_quantizer

TABLE = [
    ([], 2, 1),
    ([0.0, -0.0], 2, 1),
    ([1.0, 1.0], 2, 1),
    ([0.5, -1.0], 2, 0),
    ([-1.0], 2, 1),
    ([0.0625], 5, 0),
    ([-128.0, 127.0], 8, 7),
    ([2.0**-15], 16, 0),
    ([32767.0], 16, 15),
    ([-32768.0], 16, 15),
]


@pytest.mark.parametrize(("values", "bits", "integer"), TABLE)
def test_the_narrowest(values: list[float], bits: int, integer: int) -> None:
    found = fixed_point_quantizer(np.array(values, np.float32), 16)
    assert found is not None
    assert str(found) == f"quantized_bits({bits},{integer},alpha=1)"
    step = 2.0 ** (integer - bits + 1)
    for value in values:
        assert value / step == int(value / step)
        assert -(2 ** (bits - 1)) <= value / step < 2 ** (bits - 1)


@pytest.mark.parametrize("values", [[0.3], [2.0**-16], [32768.0], [1.0, 2.0**-15], [np.nan], [np.inf], [1e38], [1e-45]])
def test_none(values: list[float]) -> None:
    assert fixed_point_quantizer(np.array(values, np.float32), 16) is None
