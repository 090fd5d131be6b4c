"""Random networks of many branches and shared memory: what an order of execution and a memory plan can get wrong.

Their ops are cheap and few (tables, sums, pools, concatenations, reshapes), their graph is anything.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stq_deploy.network import Network, TensorType
from stq_deploy.network.ops import Add, Concatenate, MaxPool, Op, PairTable, Reshape, Table, Window
from stq_deploy.network.requantize import KeepAccumulator
from stq_deploy.program.views import find_views

LEVELS = 4
"""Every int8 tensor holds 0 .. LEVELS - 1, so that any two of one shape can be added by a pair table."""


def branched_network(seed: int, ops: int = 9, *, unit: int = 8, copies: bool = True) -> Network:
    """A network of `ops` random ops; every tensor that no op reads is an output.

    Args:
        unit: sizes of tensors are multiples of it; 1 gives concatenations whose pieces lie at odd addresses.
        copies: whether some concatenations are not views.
    """
    return _Builder(np.random.default_rng(seed), unit, copies).build(ops)


class _Builder:
    def __init__(self, rng: np.random.Generator, unit: int, copies: bool) -> None:
        self.rng = rng
        self.unit = unit
        self.copies = copies
        self.ops: list[Op] = []
        self.tensors = {"x": self.levels((int(rng.integers(1, 5)), unit, int(rng.integers(1, 4))))}

    def build(self, ops: int) -> Network:
        steps = (self.table, self.table, self.pool, self.pool, self.join, self.join, self.add, self.pair, self.reshape)
        while len(self.ops) < ops:
            steps[self.rng.integers(len(steps))]()
            if not self.copies and self.ops and isinstance(self.ops[-1], Concatenate) and not self.last_is_view():
                del self.tensors[self.ops.pop().output]
        read = {name for op in self.ops for name in op.inputs}
        outputs = tuple(name for name in self.tensors if name not in read)
        return Network(self.tensors, tuple(self.ops), "x", outputs)

    def last_is_view(self) -> bool:
        last = self.ops[-1]
        return find_views(Network(self.tensors, tuple(self.ops), "x", (last.output,))).is_view(last)

    def table(self) -> None:
        x = self.any()
        if self.tensors[x].dtype == "int8":
            self.append(Table, (x,), self.levels(self.tensors[x].shape), table=self.values(256))

    def pair(self) -> None:
        a, b = self.alike()
        if self.tensors[a].dtype == self.tensors[b].dtype == "int8":
            table = self.values(LEVELS * LEVELS).reshape(LEVELS, LEVELS)
            self.append(PairTable, (a, b), self.levels(self.tensors[a].shape), table=table)

    def add(self) -> None:
        """To int16, from a tensor that is not wider: an output that must not take a narrow input's place."""
        a, b = self.alike()
        top = max(self.tensors[name].maximum for name in (a, b)) * 2
        shape = self.tensors[a].shape
        if top < 2**15:
            output = TensorType(shape, "int16", 0, top, 1.0)
            self.append(Add, (a, b), output, factors=(1, 1), requantize=KeepAccumulator(shape[-1], 0, top))

    def pool(self) -> None:
        x = self.any()
        shape, dtype = self.tensors[x].shape, self.tensors[x].dtype
        window = (Window((1, 1)), Window((2, 1), (2, 1)), Window((3, 1), pad_before=(1, 0), pad_after=(1, 0)))[
            self.rng.integers(3)
        ]
        if len(shape) == 3 and dtype == "int8" and shape[0] >= window.size[0] - window.pad_before[0]:
            self.append(MaxPool, (x,), self.levels((*window.output_size(*shape[:2]), shape[2])), window=window)

    def join(self) -> None:
        """Along the first axis: a view, unless its inputs are joined otherwise already."""
        first = self.any()
        t = self.tensors[first]
        fitting = [n for n, o in self.tensors.items() if (o.shape[1:], o.dtype) == (t.shape[1:], t.dtype)]
        names = (first, *self.rng.choice(fitting, int(self.rng.integers(1, 3))).tolist())
        parts = [self.tensors[name] for name in names]
        shape = (sum(part.shape[0] for part in parts), *t.shape[1:])
        if np.prod(shape) <= 600:
            output = TensorType(shape, t.dtype, 0, max(part.maximum for part in parts), 1.0)
            self.append(Concatenate, names, output, axis=0, factors=(1,) * len(names))

    def reshape(self) -> None:
        x = self.any()
        t = self.tensors[x]
        shape = (t.elements,) if len(t.shape) == 3 else (t.elements // self.unit, self.unit, 1)
        self.append(Reshape, (x,), TensorType(shape, t.dtype, t.minimum, t.maximum, t.scale))

    def append(self, cls: type[Any], inputs: tuple[str, ...], output: TensorType, **attributes: Any) -> None:
        name = f"{cls.kind}_{len(self.ops)}"
        self.tensors[name] = output
        self.ops.append(cls(name, inputs, name, (), **attributes))

    def any(self) -> str:
        return str(self.rng.choice(list(self.tensors)))

    def alike(self) -> tuple[str, str]:
        """Two tensors of one shape; not rarely the same one."""
        a = self.any()
        return a, str(self.rng.choice([n for n, t in self.tensors.items() if t.shape == self.tensors[a].shape]))

    def levels(self, shape: tuple[int, ...]) -> TensorType:
        return TensorType(shape, "int8", 0, LEVELS - 1, 1.0)

    def values(self, count: int) -> Any:
        return self.rng.integers(0, LEVELS, count).astype(np.int8)
