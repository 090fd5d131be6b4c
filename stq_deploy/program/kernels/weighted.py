"""What convolutions and dense layers share: packed weights, and inputs that SMLAD multiplies in pairs."""

from __future__ import annotations

from abc import abstractmethod
from itertools import product
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from stq_deploy.network.ops import WeightedOp
from stq_deploy.network.tensor import fits
from stq_deploy.program.kernels.call import STQ_TYPES, CallContext, Constant, Struct, fields
from stq_deploy.program.kernels.requantized import requantize_limits
from stq_deploy.program.kernels.spec import C_TYPES, ELEMENT_NAMES, WEIGHT_NAMES, Instance, Kernel, KernelSpec, Refusal
from stq_deploy.program.kernels.work import Work
from stq_deploy.program.weights import WeightLayout, layout_of, pack_weights

AnyWeighted = TypeVar("AnyWeighted", bound=WeightedOp)

_STORED = {"fields": "{} bits each", "trits": "in base 3", "gaps": "as gaps between those that are not 0"}
"""Packing -> what a comment says of it."""
COLUMN_BYTES = 2
"""Bytes of a level in the columns that kernels keep in scratch memory."""
CODED = "&filter"
"""The argument that points to coded weights."""


def coded_weights(weights: Constant, layout: WeightLayout) -> tuple[Struct, ...]:
    """The structure `filter` that states where coded weights are; none for fields."""
    if layout.packing == "fields":
        return ()
    facts = fields(words=weights.name, count=layout.words, gap_bits=layout.gap_bits)
    return (Struct("stq_coded_weights", "filter", (facts,)),)


def weight_note(layout: WeightLayout) -> str:
    """The weights' width, and how they are stored if not as fields, for a comment."""
    return f"{layout.bits}-bit weights" + (f" as {layout.packing}" if layout.packing != "fields" else "")


class Weighted(KernelSpec[AnyWeighted]):
    """A family with rows of packed weights, in every width and for int8 and int16 inputs."""

    def kernels(self) -> tuple[Kernel, ...]:
        kind = self.op.kind
        core, macro = f"stq_{kind}_core.h", f"STQ_DEFINE_{kind.upper()}"
        return tuple(
            Kernel(
                f"stq_{kind}_{WEIGHT_NAMES[bits]}_{ELEMENT_NAMES[dtype]}",
                (dtype,),
                bits,
                Instance(core, macro, (str(bits), C_TYPES[dtype], STQ_TYPES[dtype])),
            )
            for dtype, bits in product(("int8", "int16"), WEIGHT_NAMES)
        )

    @abstractmethod
    def rows(self, op: AnyWeighted) -> npt.NDArray[np.int64]:
        """int64 (rows, columns) of weights as the kernels' contract orders them."""

    def limits(self, work: Work[AnyWeighted]) -> Refusal | None:
        for t in work.inputs:
            low, high = t.minimum - t.zero_point, t.maximum - t.zero_point
            if not fits("int16", low, high):
                # The kernels multiply pairs of 16-bit values (SMLAD).
                return Refusal(
                    f"an input minus its zero point spans {low}..{high}, beyond 16 bits",
                    "a 16-bit activation has a zero point far from 0",
                )
        return requantize_limits(work.op.requantize)

    def weights(self, work: Work[AnyWeighted]) -> WeightLayout:
        return layout_of(self.rows(work.op), work.op.weight_bits)

    def table_bytes(self, work: Work[AnyWeighted]) -> int:
        return work.op.requantize.nbytes

    def may_replace(self, work: Work[AnyWeighted], index: int) -> bool:
        return False

    def packed(self, context: CallContext[AnyWeighted]) -> tuple[Constant, WeightLayout]:
        """The array of packed weights, and its layout."""
        layout = self.weights(context.work)
        return self.packed_rows(context, self.rows(context.op), layout), layout

    def packed_rows(
        self, context: CallContext[AnyWeighted], rows: npt.NDArray[np.int64], layout: WeightLayout
    ) -> Constant:
        """The array of some rows' packed weights."""
        note = f"{layout.rows} rows of {layout.columns} weights, {_STORED[layout.packing].format(layout.bits)}"
        return context.constant("weights", pack_weights(rows, layout), note)
