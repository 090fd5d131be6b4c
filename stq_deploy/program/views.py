"""Which tensors have memory of their own, and which are views of memory that others write."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from stq_deploy.network import Network
from stq_deploy.network.ops import Concatenate, Op, Reshape
from stq_deploy.program.groups import Groups, Tie


@dataclass(frozen=True)
class Views:
    """How the tensors of a network share memory, whatever the order of execution.

    Attributes:
        pieces: tensor -> the stored tensors it consists of, adjacent in this order; itself if it is stored.
        wholes: stored tensors that must be adjacent, because a view joins them.
    """

    pieces: dict[str, tuple[str, ...]]
    wholes: tuple[tuple[str, ...], ...]

    def is_view(self, op: Op) -> bool:
        """Whether `op` does no work on the device: its output is memory that others have written."""
        return self.pieces[op.output] != (op.output,)


def find_views(network: Network) -> Views:
    """The views of a network.

    A reshape always is one. A concatenation is one if its inputs are adjacent in its output: then the layers that
    compute the inputs write directly into it.
    """
    pieces: dict[str, tuple[str, ...]] = {network.input: (network.input,)}
    groups = Groups(network.tensors, may_share=lambda _a, _b: False)
    wholes = []
    for op in network.ops:
        parts = tuple(piece for name in op.inputs for piece in pieces[name])
        if isinstance(op, Reshape):
            pieces[op.output] = parts
        elif joins_in_memory(op, network) and groups.tie(ties_of(parts, network)):
            pieces[op.output] = parts
            wholes.append(parts)
        else:
            pieces[op.output] = (op.output,)
    return Views(pieces, tuple(wholes))


def ties_of(parts: tuple[str, ...], network: Network) -> list[Tie]:
    """The constraints that make `parts` adjacent."""
    starts = accumulate((network.tensors[part].bytes for part in parts), initial=0)
    return [Tie(parts[0], part, start) for part, start in zip(parts, starts, strict=False)]


def joins_in_memory(op: Op, network: Network) -> bool:
    """Whether the bytes of the output are those of the inputs in sequence."""
    if not isinstance(op, Concatenate):
        return False
    output = network.tensors[op.output]
    return all(n == 1 for n in output.shape[: op.axis]) and op.copies(network.input_types(op), output)
