"""The bad line of the other tests: how densely it strikes."""

from __future__ import annotations

import pytest

from tests.helpers.link.damage import Damage


@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_strikes_keep_to_their_bound(seed: int, most: int) -> None:
    within, size = 800, 200_000
    line = Damage(seed, 1 / 200, ("flip",), most=most, within=within)
    arrived = b"".join(line.apply(bytes(1000), 0.0)[0] for _ in range(size // 1000))
    struck = [at for at, byte in enumerate(arrived) if byte]
    assert len(arrived) == size
    assert line.injected["flip"] == len(struck) > size / within * most / 2
    apart = [later - first for first, later in zip(struck, struck[most:], strict=False)]
    assert within <= min(apart) <= within + most  # a flipped byte itself is not counted


def test_an_unbounded_line_strikes_in_bursts() -> None:
    line = Damage(1, 1 / 200, ("flip",))
    arrived = line.apply(bytes(200_000), 0.0)[0]
    struck = [at for at, byte in enumerate(arrived) if byte]
    assert min(later - first for first, later in zip(struck, struck[3:], strict=False)) < 200
