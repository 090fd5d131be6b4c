"""Arena placement: nothing that lives together overlaps, and little is wasted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stq_deploy.planner.arena import ALIGNMENT, aligned, arena_size, lower_bound, place
from stq_deploy.planner.lifetimes import Buffer


def buffer(size: int, first: int, last: int) -> Buffer:
    return Buffer((f"{size}@{first}-{last}",), size, first, last)


one = st.tuples(st.integers(1, 500), st.integers(-1, 12), st.integers(0, 6)).map(
    lambda drawn: buffer(drawn[0], drawn[1], drawn[1] + drawn[2])
)
buffers = st.lists(one, min_size=1, max_size=14)


@given(buffers)
def test_live_buffers_never_overlap(buffers: list[Buffer]) -> None:
    offsets = place(buffers)
    for i, (a, start_a) in enumerate(zip(buffers, offsets, strict=True)):
        assert start_a % ALIGNMENT == 0 and start_a >= 0
        for b, start_b in list(zip(buffers, offsets, strict=True))[:i]:
            together = set(range(a.first, a.last + 1)) & set(range(b.first, b.last + 1))
            assert not together or start_a + a.bytes <= start_b or start_b + b.bytes <= start_a
    size = arena_size(buffers, offsets)
    assert all(start + b.bytes <= size for b, start in zip(buffers, offsets, strict=True))
    assert lower_bound(buffers) <= size <= sum(aligned(b.bytes) for b in buffers)


@given(buffers)
def test_lower_bound_is_the_most_that_lives_in_one_layer(buffers: list[Buffer]) -> None:
    per_layer = [
        sum(aligned(b.bytes) for b in buffers if layer in range(b.first, b.last + 1)) for layer in range(-1, 20)
    ]
    assert lower_bound(buffers) == max(per_layer)


def test_a_chain_takes_no_more_than_its_largest_pair() -> None:
    sizes = [1024, 8192, 4096, 4096, 512, 40]
    chain = [buffer(size, i - 1, i) for i, size in enumerate(sizes)]
    assert arena_size(chain, place(chain)) == lower_bound(chain) == 8192 + 4096


def test_a_gap_between_buffers_is_used() -> None:
    # The small one fits between the two that live on, in the room of the one that is gone.
    four = [buffer(64, 0, 3), buffer(64, 0, 1), buffer(32, 1, 3), buffer(48, 2, 3)]
    assert arena_size(four, place(four)) == lower_bound(four) == 160


def test_another_order_may_beat_large_first() -> None:
    # Large first puts the long-lived small ones on top of both large ones.
    mixed = [buffer(40, 0, 5), buffer(100, 0, 1), buffer(96, 1, 2), buffer(8, 2, 5)]
    assert arena_size(mixed, place(mixed)) <= aligned(40) + aligned(100) + aligned(96)
