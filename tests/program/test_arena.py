"""Arena placement: nothing that is needed together overlaps, and little is wasted."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from stq_deploy.program import Arena, ArenaTensor
from stq_deploy.program.arena import arena_size, lower_bound, place
from stq_deploy.program.buffers import ALIGNMENT, Block, Buffer, aligned


def block(*buffers: tuple[int, int, int, int]) -> Block:
    """A block of buffers (offset, size, first, last)."""
    return Block(tuple(Buffer(f"{size}@{first}", at, size, first, last) for at, size, first, last in buffers))


def buffer(size: int, first: int, last: int) -> Block:
    return block((0, size, first, last))


one = st.tuples(st.integers(1, 500), st.integers(-1, 12), st.integers(0, 6)).map(
    lambda drawn: (drawn[0], drawn[1], drawn[1] + drawn[2])
)
single = one.map(lambda drawn: buffer(*drawn))
several = st.lists(st.tuples(st.integers(0, 600), one), min_size=2, max_size=4).map(
    lambda drawn: block(*((at, *rest) for at, rest in drawn))
)
blocks = st.lists(st.one_of(single, single, several), min_size=1, max_size=14)


@settings(deadline=None)
@given(blocks)
def test_buffers_needed_together_never_overlap(blocks: list[Block]) -> None:
    offsets = place(blocks)
    placed = [
        (b, at + b.offset, i) for i, (block, at) in enumerate(zip(blocks, offsets, strict=True)) for b in block.buffers
    ]
    for at, (a, start_a, block_a) in enumerate(placed):
        for b, start_b, block_b in placed[:at]:
            together = set(range(a.first, a.last + 1)) & set(range(b.first, b.last + 1))
            assert block_a == block_b or not together or start_a + a.bytes <= start_b or start_b + b.bytes <= start_a
    assert all(at % ALIGNMENT == 0 and at >= 0 for at in offsets)
    size = arena_size(blocks, offsets)
    assert all(start + b.bytes <= size for b, start, _ in placed)
    assert lower_bound(blocks) <= size <= sum(block.bytes for block in blocks)


@settings(deadline=None)
@given(st.lists(single, min_size=1, max_size=14))
def test_lower_bound_is_the_most_that_lives_in_one_layer(blocks: list[Block]) -> None:
    buffers = [b for block in blocks for b in block.buffers]
    per_layer = [
        sum(aligned(b.bytes) for b in buffers if layer in range(b.first, b.last + 1)) for layer in range(-1, 20)
    ]
    assert lower_bound(blocks) == max(per_layer)


def test_bytes_that_buffers_of_a_block_share_count_once() -> None:
    shared = block((0, 16, 0, 1), (0, 8, 1, 3), (8, 24, 3, 4))
    assert [shared.bytes_in_use(layer) for layer in range(6)] == [16, 16, 8, 32, 24, 0]
    assert lower_bound([shared, buffer(8, 1, 1)]) == 32


def test_a_buffer_at_an_odd_place_keeps_whole_units_from_others() -> None:
    pieces = block((0, 3, 0, 2), (3, 6, 1, 2))
    assert pieces.bytes_in_use(0) == 8
    assert pieces.bytes_in_use(1) == 16
    offsets = place([pieces, buffer(8, 0, 0), buffer(1, 1, 1)])
    assert arena_size([pieces, buffer(8, 0, 0), buffer(1, 1, 1)], offsets) == 24


def test_a_chain_takes_no_more_than_its_largest_pair() -> None:
    sizes = [1024, 8192, 4096, 4096, 512, 40]
    chain = [buffer(size, i - 1, i) for i, size in enumerate(sizes)]
    assert arena_size(chain, place(chain)) == lower_bound(chain) == 8192 + 4096


def test_a_gap_between_buffers_is_used() -> None:
    # The small one fits between the two that live on, in the room of the one that is gone.
    four = [buffer(64, 0, 3), buffer(64, 0, 1), buffer(32, 1, 3), buffer(48, 2, 3)]
    assert arena_size(four, place(four)) == lower_bound(four) == 160


def test_a_block_fits_around_what_meets_only_part_of_it() -> None:
    # The long-lived buffer meets only the small end of the other block, and may share the room of its large one.
    stairs = [block((0, 800, 0, 1), (0, 80, 1, 4)), buffer(720, 2, 4)]
    assert arena_size(stairs, place(stairs)) == lower_bound(stairs) == 800


def test_the_search_finds_what_no_simple_rule_does() -> None:
    """Each simple rule leaves a hole here; an exchange of two turns does not."""
    hard = [
        *(buffer(24, 0, 2), buffer(40, 1, 3), buffer(32, 2, 6), buffer(48, 3, 4), buffer(16, 4, 7)),
        *(buffer(56, 5, 8), buffer(24, 6, 9), buffer(40, 7, 9), buffer(8, 0, 9)),
    ]
    assert arena_size(hard, place(hard)) == lower_bound(hard)


@settings(deadline=None)
@given(blocks)
def test_equal_blocks_are_placed_alike(blocks: list[Block]) -> None:
    assert place(blocks) == place(list(blocks))


def test_a_layer_needs_its_live_tensors_and_shared_bytes_count_once() -> None:
    tensors = (
        ArenaTensor("before", 0, 1, -1, 1),
        ArenaTensor("input", 0, 10, 0, 2),
        ArenaTensor("its half, rewritten in place", 5, 5, 2, 3, replaces="input"),
        ArenaTensor("output", 40, 100, 2, 3),
        ArenaTensor("after", 0, 1000, 3, 4),
    )
    assert Arena(1000, 0, 0, tensors).bytes_in_use(2) == 110
