"""How many elements each position of a window covers: counted one by one."""

from __future__ import annotations

import numpy as np
import pytest

from stq_deploy.network.ops import Window


@pytest.mark.parametrize("seed", range(40))
def test_count(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width, kh, kw, *others = (int(n) for n in rng.integers(1, 7, 8))
    (sh, sw), (dh, dw) = others[:2], others[2:]
    before, after = (
        (int(rng.integers(0, kh)), int(rng.integers(0, kw))),
        (int(rng.integers(0, kh)), int(rng.integers(0, kw))),
    )
    window = Window((kh, kw), (sh, sw), (dh, dw), before, after)
    rows, columns = window.output_size(height, width)
    if rows < 1 or columns < 1:
        return
    expected = [
        [
            sum(
                0 <= i * sh - before[0] + a * dh < height and 0 <= j * sw - before[1] + b * dw < width
                for a in range(kh)
                for b in range(kw)
            )
            for j in range(columns)
        ]
        for i in range(rows)
    ]
    assert window.count(height, width).tolist() == expected


@pytest.mark.parametrize(
    "window",
    [Window((1, 1), (2**40, 1)), Window((2**31, 1)), Window((1, 1), pad_before=(2**20, 2**20)), Window((0, 1))],
)
def test_sizes_that_no_window_has(window: Window) -> None:
    with pytest.raises(ValueError, match=r"window|image"):
        window.check((8, 8, 3))
