"""Which memory each part of the image goes to, and whether everything fits.

The hottest bytes come first: parts are taken by accesses per byte, and each goes to the first memory of its list with
room. What has to lie in RAM is placed before what also could stay in flash. A copy in RAM has its image in flash all
the same, beside the code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from stq_deploy.common.errors import StqError
from stq_deploy.targets.boards import Board, Memory
from stq_deploy.toolchain.elf import Image, Section
from stq_deploy.toolchain.parts import ARENA_SECTION, SCRATCH_SECTION, Part, PartGroup, candidates

Pays = Callable[[Sequence[Part], int], bool]
"""Whether a copy of parts together is worth its RAM, given the bytes of RAM without copies."""
MEASURING_BYTES = 64 << 20
"""Size that every memory is given for the link that only measures; no firmware overflows it."""
ALIGNMENT = 32
"""Alignment of arena and scratch: a line of the data cache."""
COPY_ALIGNMENT = 8
"""Alignment of a function or array that start-up copies."""
VENEER_BYTES = 512
"""Kept free in a memory for code: the linker adds jumps to functions too far away."""
SHOWN_LAYERS = 3
_SECTION_PREFIXES: dict[PartGroup, str] = {"kernels": ".stq_kernels_", "weights": ".stq_weights_"}
_NAMES: dict[PartGroup, str] = {
    "arena": "the activations (arena)",
    "scratch": "the kernels' scratch memory",
    "weights": "the constants of layer {}",
    "kernels": "the function {}",
}


@dataclass(frozen=True)
class Placed:
    """A part in its memory, and why it is there."""

    part: Part
    memory: str
    reason: str


@dataclass(frozen=True)
class PlacedSection:
    """A section of its own: what of one group lies in one memory, other than where the code is.

    Attributes:
        inputs: the input sections that the linker puts there.
        is_code: whether it is executed.
        is_copied: whether start-up copies it from flash.
    """

    section: str
    memory: str
    inputs: tuple[str, ...]
    is_code: bool
    is_copied: bool


@dataclass(frozen=True)
class LayerNeeds:
    """What a layer needs, for an error that names the largest.

    Attributes:
        flash_bytes: its weights and tables.
        ram_bytes: tensors in use while it runs, and its scratch memory.
    """

    name: str
    flash_bytes: int
    ram_bytes: int


@dataclass(frozen=True)
class Placement:
    """The memory of every part that had a choice.

    Attributes:
        placed: every part, in the order they were placed.
    """

    placed: tuple[Placed, ...]

    def memory_of(self, group: PartGroup) -> str:
        """Memory of the only part of a group: "arena" or "scratch"."""
        (memory,) = (p.memory for p in self.placed if p.part.group == group)
        return memory

    def rows(self) -> list[tuple[list[Placed], str]]:
        """Parts of one group that are together in one memory, and their memory; in the order they were placed."""
        found: dict[tuple[PartGroup, str], list[Placed]] = {}
        for one in self.placed:
            found.setdefault((one.part.group, one.memory), []).append(one)
        return [(parts, memory) for (_, memory), parts in found.items()]

    def contents(self, board: Board) -> dict[str, int]:
        """Guarded memory -> where its contents begin; its end if it has none."""
        found = {}
        for memory in board.memory:
            if memory.guard:
                used = sum(_taken(one.part) for one in self.placed if one.memory == memory.name)
                in_use = -(-(used + VENEER_BYTES) // memory.guard) * memory.guard if used else 0
                found[memory.name] = memory.end - in_use
        return found

    def sections(self, board: Board) -> list[PlacedSection]:
        """Code and constants that do not lie with the rest in the code's flash, by group and memory."""
        found = []
        for group, prefix in _SECTION_PREFIXES.items():
            for memory in board.memory:
                chosen = [p.part for p in self.placed if (p.part.group, p.memory) == (group, memory.name)]
                if chosen and memory.name != board.placement.code:
                    inputs = tuple(sorted(line for part in chosen for line in part.inputs))
                    section = f"{prefix}{memory.name}"
                    found.append(PlacedSection(section, memory.name, inputs, group == "kernels", memory.kind == "ram"))
        return found


def is_placed_section(section: str) -> bool:
    """Whether a section is one of `Placement.sections`."""
    return section.startswith(tuple(_SECTION_PREFIXES.values()))


def measuring_bytes(board: Board) -> dict[str, int]:
    """Memory -> size for the measuring link: generous, but up to the next memory at most.

    The code's flash takes the banks behind it along: they are 0 bytes.
    """
    run = board.flash_run()
    origins = sorted(memory.origin for memory in board.memory)
    sizes = {}
    for memory in board.memory:
        end = run.end if memory.name == run.name else memory.end
        above = [origin - memory.origin for origin in origins if origin >= end]
        is_behind = run.origin < memory.origin < run.end
        sizes[memory.name] = 0 if is_behind else min([MEASURING_BYTES, *above])
    return sizes


def linked_bytes(board: Board, placement: Placement) -> dict[str, int]:
    """Memory -> size for the link: its own, but the code's flash takes along the banks behind it that have no part."""
    sizes = {memory.name: memory.bytes for memory in board.memory}
    run = board.flash_run()
    banks = [memory.name for memory in board.memory if run.origin < memory.origin < run.end]
    if not any(one.memory in banks for one in placement.placed):
        sizes |= {run.name: run.bytes, **dict.fromkeys(banks, 0)}
    return sizes


def unplaced(board: Board) -> Placement:
    """The placement of the measuring link: all that may stay in flash does."""
    placed = (
        Placed(Part("arena", "", 0, 0), board.placement.arena[-1], ""),
        Placed(Part("scratch", "", 0, 0), board.placement.scratch[-1], ""),
    )
    return Placement(placed)


def extents(section: Section, origin: int, end: int) -> list[tuple[int, int]]:
    """The addresses of origin..end that a section takes, where it runs and where it is programmed."""
    found = ((max(a, origin), min(a + section.size, end)) for a in {section.address, section.load_address})
    return [(first, last) for first, last in found if first < last]


def used_bytes(sections: Iterable[Section], memory: Memory, size: int) -> int:
    """Bytes up to the end of the last section in a memory, at run time or when programmed.

    From the memory's origin, but in a guarded one, whose contents lie at its end.

    Args:
        size: of the memory in this link.
    """
    inside = [extent for section in sections for extent in extents(section, memory.origin, memory.origin + size)]
    if not inside:
        return 0
    start = min(inside)[0] if memory.guard else memory.origin
    return max(end for _, end in inside) - start


def place(
    parts: Sequence[Part],
    image: Image,
    board: Board,
    needs: Sequence[LayerNeeds],
    asked: Iterable[str],
    pays: Pays = lambda _parts, _ram_bytes: True,
) -> Placement:
    """Choose a memory for every part, by the sizes in a measuring link.

    Args:
        image: of the measuring link.
        needs: of every layer.
        asked: groups whose memories the user chose.
        pays: whether a copy of parts in faster memory is worth its RAM, given the bytes of RAM without copies. Its
            answer does not count for groups whose memories the user chose.

    Raises:
        StqError: something does not fit; by how much, where, and the largest layers.
    """
    sizes = measuring_bytes(board)
    run = board.flash_run()
    free, ram_bytes = {}, 0
    for memory in board.memory:
        used = _fixed_bytes(image, memory, sizes[memory.name])
        room = run.bytes if memory.name == run.name else memory.bytes
        if used > room:
            what = "code and weights" if memory.kind == "flash" else "stack and variables"
            raise _does_not_fit(what, used, room, [memory.name], _largest(needs, memory.kind))
        ram_bytes += used if memory.kind == "ram" else 0
        free[memory.name] = memory.bytes - _aligned(used) - (memory.guard + VENEER_BYTES if memory.guard else 0)
    constants = [part for part in parts if part.group == "weights"]
    free[run.name] += sum(_taken(part) for part in constants)
    in_ram = [part for part in parts if part.group in ("arena", "scratch")]
    ram_bytes += sum(_taken(part) for part in in_ram)
    code = [part for part in parts if part.group == "kernels"]
    # Functions call each other, and a call from one memory to another takes a veneer: all of them move, or none.
    copied = [code, *([part] for part in constants)]
    idle = frozenset((part.group, part.name) for one in copied if not pays(one, ram_bytes) for part in one)
    room_left = _Room(board, needs, free, frozenset(asked), idle)
    try:
        placed, room_left = room_left.take(_hottest_first(in_ram))
    except StqError:
        # The hottest may have taken the only room of a large one. What fails now does not fit at all.
        placed, room_left = room_left.take(sorted(in_ram, key=lambda part: -part.bytes))
    for group in (code, constants):
        more, room_left = room_left.take_constants(_hottest_first(group))
        placed += more
    return Placement(tuple(placed))


def _fixed_bytes(image: Image, memory: Memory, size: int) -> int:
    """Bytes of a memory that hold what has no choice of place; arena and scratch may lie between it."""
    movable = [s for s in image.sections if s.name in (ARENA_SECTION, SCRATCH_SECTION)]
    end = used_bytes([s for s in image.sections if s not in movable], memory, size)
    between = [s for s in movable if memory.origin <= s.address < memory.origin + end]
    return end - sum(_aligned(s.size) for s in between)


def _hottest_first(parts: Iterable[Part]) -> list[Part]:
    return sorted(parts, key=lambda part: -part.density)


@dataclass(frozen=True)
class _Room:
    """Bytes left in each memory.

    Attributes:
        asked: groups whose memories the user chose.
        idle: groups and names of code and constants of which a copy is not worth its RAM.
        spans_banks: whether what is left of the code's flash includes the banks behind it.
    """

    board: Board
    needs: Sequence[LayerNeeds]
    left: dict[str, int]
    asked: frozenset[str]
    idle: frozenset[tuple[PartGroup, str]]
    spans_banks: bool = False

    def take(self, parts: Iterable[Part]) -> tuple[list[Placed], _Room]:
        """Each part to the first memory of its list with room; and what is left then.

        Raises:
            StqError: there is no room.
        """
        left = dict(self.left)
        placed = []
        for part in parts:
            names = candidates(part, self.board)
            why = [f"{'asked for' if part.group in self.asked else 'may go to'} {', '.join(names)}"]
            if self._gains_nothing(part):
                names = [name for name in names if self._is_flash(name)]
                why.append("not read twice, so a copy gains nothing")
            elif self._is_not_worth_it(part):
                names = [name for name in names if self._is_flash(name)]
                why.append("a copy would save too little time for its RAM")
            fitting = [name for name in names if all(left[n] >= size for n, size in self._costs(part, name).items())]
            if not fitting:
                raise self._no_room(part, names, left)
            memory = fitting[0]
            why += [f"{name} has {max(left[name], 0):,} bytes left" for name in names[: names.index(memory)]]
            if self.spans_banks and memory == self.board.placement.code:
                why.append("runs on into the banks behind: no bank alone has room for all layers")
            placed.append(Placed(part, memory, "; ".join(why)))
            for name, size in self._costs(part, memory).items():
                left[name] -= size
        return placed, replace(self, left=left)

    def take_constants(self, parts: list[Part]) -> tuple[list[Placed], _Room]:
        """`take`; where a layer is too large for any bank of the flash, one bank runs on into the next.

        Raises:
            StqError: there is no room.
        """
        try:
            return self.take(parts)
        except StqError:
            with suppress(StqError):
                return self._with_banks_joined().take(parts)
            raise

    def _with_banks_joined(self) -> _Room:
        run = self.board.flash_run()
        banks = [memory for memory in self.board.memory if run.origin < memory.origin < run.end]
        joined = {run.name: self.left[run.name] + sum(bank.bytes for bank in banks)}
        return replace(self, left=self.left | dict.fromkeys([b.name for b in banks], 0) | joined, spans_banks=True)

    def _is_flash(self, name: str) -> bool:
        return self.board.memory_named(name).kind == "flash"

    def _gains_nothing(self, part: Part) -> bool:
        """Whether constants are better left in flash, unless the user has them elsewhere."""
        may_stay = any(self._is_flash(name) for name in candidates(part, self.board))
        return part.group == "weights" and may_stay and part.accesses <= part.bytes and part.group not in self.asked

    def _is_not_worth_it(self, part: Part) -> bool:
        may_stay = any(self._is_flash(name) for name in candidates(part, self.board))
        return (part.group, part.name) in self.idle and part.group not in self.asked and may_stay

    def _costs(self, part: Part, name: str) -> dict[str, int]:
        """Bytes that a part takes of each memory if it goes to one. The code's place is reserved."""
        code = self.board.placement.code
        if part.group == "kernels" and name == code:
            return {}
        size = _taken(part)
        has_image = part.group == "weights" and not self._is_flash(name)
        return {name: size, code: size} if has_image else {name: size}

    def _no_room(self, part: Part, names: list[str], left: dict[str, int]) -> StqError:
        room = {name: min(left[n] for n in self._costs(part, name)) for name in names}
        others = [name for name in self.board.allowed_memories(part.group) if name not in names]
        roomy = [f"{n} ({left[n]:,} bytes left)" for n in others if left[n] >= _taken(part)]
        error = _does_not_fit(
            _NAMES[part.group].format(part.name), part.bytes, max(room.values()), names, _largest(self.needs, "ram")
        )
        if part.group in self.asked and roomy:
            error.next = f"drop --place {part.group}=..., or name a memory with room: {', '.join(roomy)}"
        return error


def _largest(needs: Sequence[LayerNeeds], kind: str) -> str:
    sized = [(layer.flash_bytes if kind == "flash" else layer.ram_bytes, layer.name) for layer in needs]
    shown = sorted(sized, key=lambda pair: -pair[0])[:SHOWN_LAYERS]
    return ", ".join(f"{name} ({size:,} bytes)" for size, name in shown)


def _does_not_fit(what: str, needed: int, room: int, names: list[str], largest: str) -> StqError:
    return StqError(
        f"the network does not fit: {what} need {needed:,} bytes, {needed - max(room, 0):,} more than"
        f" {' or '.join(names)} has room for ({max(room, 0):,})",
        cause=f"the largest layers are {largest}",
        next="make those layers smaller, quantize them to fewer bits, pack activations (`convert --pack-activations`),"
        " or choose a board with more memory",
    )


def _taken(part: Part) -> int:
    alignment = ALIGNMENT if part.group in ("arena", "scratch") else COPY_ALIGNMENT
    return -(-part.bytes // alignment) * alignment


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
