"""The program: a network as it runs on a device, with every choice made. All later steps hold it and pass it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stq_deploy.network import Network, TensorType
from stq_deploy.network.ops import Op
from stq_deploy.program.buffers import covered_bytes
from stq_deploy.program.kernels.spec import Kernel, KernelSpec, Traffic
from stq_deploy.program.kernels.trade import DEFAULT, Optimization
from stq_deploy.program.kernels.work import Work
from stq_deploy.program.weights import WeightLayout


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of a program: an op that does work on the device, and how it runs.

    Attributes:
        index: its place among the layers, in the order they run.
        op: the op that it computes.
        inputs, output: types of the tensors it reads and writes.
        spec: the family of kernels that runs it.
        function: the function of the family that does.
        macs: multiply-accumulates of one inference.
        weights: how its weights are packed; None without weights.
        table_bytes: constants other than weights: requantization arrays and look-up tables.
        scratch_bytes: working memory of the kernel while the layer runs.
        traffic: bytes it reads and writes in one inference.
    """

    index: int
    op: Op
    inputs: tuple[TensorType, ...]
    output: TensorType
    spec: KernelSpec[Any]
    function: Kernel
    macs: int
    weights: WeightLayout | None
    table_bytes: int
    scratch_bytes: int
    traffic: Traffic

    @property
    def name(self) -> str:
        """Name of the op."""
        return self.op.name

    @property
    def kernel(self) -> str:
        """C name of the function that runs it."""
        return self.function.function

    @property
    def work(self) -> Work[Op]:
        """What the kernel has to compute."""
        return Work(self.op, self.inputs, self.output)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the packed weights."""
        return self.weights.bytes if self.weights else 0

    @property
    def constant_bytes(self) -> int:
        """Bytes of weights and tables."""
        return self.weight_bytes + self.table_bytes


@dataclass(frozen=True)
class ArenaTensor:
    """A stored tensor's memory.

    Attributes:
        name: of the tensor.
        offset, bytes: its place in the arena.
        first, last: the layers during which it must stay intact, both included. -1 is before the first layer,
            when the input is put in place; the number of layers is after the last one, when outputs are read.
        replaces: the input of layer `first` whose memory it takes; "" for none.
    """

    name: str
    offset: int
    bytes: int
    first: int
    last: int
    replaces: str = ""

    @property
    def end(self) -> int:
        """Offset of the first byte after it."""
        return self.offset + self.bytes


@dataclass(frozen=True)
class ArenaScratch:
    """The scratch memory of a layer, where it lies in the arena: it is needed while the layer runs.

    Attributes:
        layer: index of the layer.
        offset, bytes: its place in the arena.
    """

    layer: int
    offset: int
    bytes: int


@dataclass(frozen=True)
class Arena:
    """The memory of the activations over an inference, and usually of the kernels' scratch.

    Attributes:
        bytes: its size.
        lower_bound: bytes that no placement can go below with the layers in this order.
        order_lower_bound: bytes that no placement can go below, whatever the order of the layers.
        tensors: the stored ones, by `first` and `offset`.
        scratch: of every layer that needs some, by layer; empty where all layers share scratch memory beside the arena.
    """

    bytes: int
    lower_bound: int
    order_lower_bound: int
    tensors: tuple[ArenaTensor, ...]
    scratch: tuple[ArenaScratch, ...] = ()

    def bytes_in_use(self, layer: int) -> int:
        """Bytes of tensors in use while a layer runs."""
        return covered_bytes((t.offset, t.end) for t in self.tensors if t.first <= layer <= t.last)


@dataclass(frozen=True)
class OutputPlace:
    """Place of an output of the network after the last layer.

    Attributes:
        tensor: its name.
        type: its type.
        layer: index of the layer that wrote its first byte; -1 if that is the network's input.
    """

    tensor: str
    type: TensorType
    layer: int


@dataclass(frozen=True, eq=False)
class Program:
    """A network as it runs on a device.

    Attributes:
        network: the network.
        layers: in the order they run. Layer `i` of executors, generated code and link is element `i`; its op may
            have another place in `network.ops`, which also has the reshapes.
        arena: the memory of the activations.
        pieces: tensor -> the stored tensors it consists of, adjacent in this order; itself if it is stored.
        optimize: what its kernels were chosen for.
    """

    network: Network
    layers: tuple[Layer, ...]
    arena: Arena
    pieces: Mapping[str, tuple[str, ...]]
    optimize: Optimization = DEFAULT

    def __repr__(self) -> str:
        return f"<Program of {self.network!r}: {len(self.layers)} layers, an arena of {self.arena.bytes:,} bytes>"

    @cached_property
    def _stored(self) -> dict[str, ArenaTensor]:
        return {tensor.name: tensor for tensor in self.arena.tensors}

    @cached_property
    def _scratch(self) -> dict[int, ArenaScratch]:
        return {scratch.layer: scratch for scratch in self.arena.scratch}

    def is_view(self, tensor: str) -> bool:
        """Whether a tensor is memory that others have written, with no layer of its own."""
        return self.pieces[tensor] != (tensor,)

    def offset(self, tensor: str) -> int:
        """Byte offset of a tensor in the arena."""
        return self._stored[self.pieces[tensor][0]].offset

    def lifetime(self, tensor: str) -> tuple[int, int]:
        """The layers during which the memory of a tensor is needed, as `ArenaTensor.first` and `.last`."""
        stored = [self._stored[piece] for piece in self.pieces[tensor]]
        return min(t.first for t in stored), max(t.last for t in stored)

    def replaces(self, layer: Layer) -> str | None:
        """The input whose memory a layer's output takes; None if it has memory of its own."""
        return self._stored[layer.op.output].replaces or None

    def ram_bytes(self, layer: Layer) -> int:
        """Bytes of tensors in use while a layer runs, and of its scratch memory."""
        return self.arena.bytes_in_use(layer.index) + layer.scratch_bytes

    @property
    def outputs(self) -> tuple[OutputPlace, ...]:
        """The network's outputs, in its order; the first holds the logits."""
        writer = {layer.op.output: layer.index for layer in self.layers}
        tensors = self.network.tensors
        return tuple(
            OutputPlace(name, tensors[name], writer.get(self.pieces[name][0], -1)) for name in self.network.outputs
        )

    @property
    def scratch_bytes(self) -> int:
        """The most scratch memory of a layer, in bytes."""
        return max(layer.scratch_bytes for layer in self.layers)

    @property
    def separate_scratch_bytes(self) -> int:
        """Bytes of scratch memory beside the arena; 0 where the arena holds it."""
        return 0 if self.arena.scratch else self.scratch_bytes

    def scratch_of(self, layer: Layer) -> ArenaScratch | None:
        """The place of a layer's scratch memory in the arena; None if it has none there."""
        return self._scratch.get(layer.index)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all packed weights."""
        return sum(layer.weight_bytes for layer in self.layers)

    @property
    def table_bytes(self) -> int:
        """Bytes of all requantization arrays and look-up tables."""
        return sum(layer.table_bytes for layer in self.layers)

    @property
    def estimated_cycles(self) -> int:
        """Estimated cycles of one inference on a Cortex-M7, by the rule that chooses kernels."""
        return sum(layer.spec.cycles(layer.work) for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(layer.macs for layer in self.layers)
