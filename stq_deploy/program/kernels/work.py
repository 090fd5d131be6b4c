"""What a kernel must compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from stq_deploy.network import TensorType
from stq_deploy.network.ops import Op, WeightedOp

AnyOp = TypeVar("AnyOp", bound=Op)


@dataclass(frozen=True, eq=False)
class Work(Generic[AnyOp]):
    """An op and the types of its tensors: what a kernel must compute.

    Attributes:
        op: the op.
        inputs, output: types of the tensors it reads and writes.
    """

    op: AnyOp
    inputs: tuple[TensorType, ...]
    output: TensorType

    @property
    def weight_bits(self) -> int:
        """Bits of a packed weight; 0 without weights."""
        return self.op.weight_bits if isinstance(self.op, WeightedOp) else 0
