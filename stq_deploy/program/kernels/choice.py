"""Chooses the kernel of each op among those that can run it: for time, for flash, or for both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.network import Network
from stq_deploy.network.ops import (
    Add,
    AveragePool,
    Concatenate,
    Convolve,
    Crop,
    Curve,
    Dense,
    DepthwiseConvolve,
    FreshNoise,
    Maximum,
    MaxPool,
    Minimum,
    Multiply,
    Op,
    Pad,
    PairTable,
    Rescale,
    Softmax,
    Table,
    Upsample,
)
from stq_deploy.program.kernels.candidate import Candidate
from stq_deploy.program.kernels.convolve import ConvolveKernels, DepthwiseConvolveKernels
from stq_deploy.program.kernels.dense import DenseKernels
from stq_deploy.program.kernels.depthwise_lanes import DepthwiseLanesKernels
from stq_deploy.program.kernels.elementwise import MultiplyKernels, RescaleKernels, ScaledKernels
from stq_deploy.program.kernels.gather import GatherKernels
from stq_deploy.program.kernels.movement import ConcatenateKernels, CropKernels, PadKernels, UpsampleKernels
from stq_deploy.program.kernels.noise import NoiseKernels
from stq_deploy.program.kernels.pool import AveragePoolKernels, MaxPoolKernels
from stq_deploy.program.kernels.softmax import SoftmaxKernels
from stq_deploy.program.kernels.spec import Kernel, KernelSpec
from stq_deploy.program.kernels.table import CurveKernels, PairTableKernels, TableKernels
from stq_deploy.program.kernels.trade import DEFAULT, Choice, Optimization, best_choices, suited
from stq_deploy.program.kernels.work import Work
from stq_deploy.program.order import memory_of_candidates
from stq_deploy.program.views import Views

FAMILIES: tuple[KernelSpec[Any], ...] = (
    ConvolveKernels(Convolve), GatherKernels(Convolve, 1), GatherKernels(Convolve, 2),
    GatherKernels(Convolve, 1, "trits"), GatherKernels(Convolve, 2, "trits"),
    GatherKernels(Convolve, 1, "gaps"), GatherKernels(Convolve, 2, "gaps"),
    DepthwiseConvolveKernels(DepthwiseConvolve), DepthwiseLanesKernels(DepthwiseConvolve), DenseKernels(Dense),
    MaxPoolKernels(MaxPool), AveragePoolKernels(AveragePool),
    TableKernels(Table), PairTableKernels(PairTable), CurveKernels(Curve), SoftmaxKernels(Softmax),
    RescaleKernels(Rescale), ScaledKernels(Add), ScaledKernels(Maximum), ScaledKernels(Minimum),
    MultiplyKernels(Multiply),
    PadKernels(Pad), CropKernels(Crop), UpsampleKernels(Upsample), ConcatenateKernels(Concatenate),
    NoiseKernels(FreshNoise),
)  # fmt: skip
"""Every family of kernels; of those that can run an op equally fast, an earlier one is preferred."""


def work_of(network: Network, op: Op) -> Work[Op]:
    """What a kernel of `op` must compute."""
    return Work(op, tuple(network.input_types(op)), network.tensors[op.output])


def all_kernels() -> tuple[Kernel, ...]:
    """Every function of every family."""
    return tuple(kernel for spec in FAMILIES for kernel in spec.kernels())


def families_of(op: Op) -> tuple[KernelSpec[Any], ...]:
    """The families for ops of this kind.

    Raises:
        StqError: there is none.
    """
    found = tuple(spec for spec in FAMILIES if type(op) is spec.op)
    if not found:
        raise StqError(
            f"no family of kernels runs a {op.kind}",
            where=f"layer {op.name!r}",
            cause="the op was added to the integer network without a KernelSpec",
            next="add one in stq_deploy/program/kernels (docs/DESIGN.md, `Adding things`)",
        )
    return found


def candidates(work: Work[Op]) -> tuple[Candidate, ...]:
    """Every way to run an op, in the order of `FAMILIES`; at least one.

    Raises:
        StqError: no kernel reads these types, or none may run the op; the error has the first family's reason.
    """
    found, refusals = [], []
    for spec in families_of(work.op):
        kernel = spec.kernel(work)
        if kernel is None:
            continue
        refusal = spec.refusal(work)
        if refusal is None:
            found.append(Candidate(spec, kernel, work))
        else:
            refusals.append(refusal)
    if found:
        return tuple(found)
    if refusals:
        raise refuse(refusals[0].what, f"layer {work.op.name!r}", refusals[0].cause)
    weights = f" with {work.weight_bits}-bit weights" if work.weight_bits else ""
    raise StqError(
        f"no kernel runs a {work.op.kind}{weights} on {' and '.join(t.dtype for t in work.inputs)}",
        where=f"layer {work.op.name!r}",
        cause="the kernel library lacks this combination of weights and activations",
        next="quantize the layer's input to 8 or 16 bits, or add a kernel (docs/DESIGN.md, `Adding things`)",
    )


def choose(work: Work[Op], function: str | None = None, optimize: Optimization = DEFAULT) -> Candidate:
    """The way to run an op that suits `optimize` where it is the only layer, or the one with this C function.

    Raises:
        StqError: there is none.
    """
    found = _options(work, function)
    tensors = sum(tensor.bytes for tensor in (*work.inputs, work.output))
    return suited(best_choices([found], {one: tensors + one.scratch_bytes for one in found}), optimize).chosen[0]


def _options(work: Work[Op], function: str | None) -> tuple[Candidate, ...]:
    """The candidates, or only the one with this C function.

    Raises:
        StqError: there is none.
    """
    found = candidates(work)
    return found if function is None else (_of_function(found, function),)


def _of_function(found: tuple[Candidate, ...], function: str) -> Candidate:
    for one in found:
        if one.kernel.function == function:
            return one
    known = any(function == kernel.function for kernel in all_kernels())
    raise StqError(
        f"{function} cannot run the layer",
        where=f"layer {found[0].work.op.name!r}",
        cause="the kernel reads other types, or the layer breaks its contract" if known else "no kernel has this name",
        next=f"choose one of {', '.join(one.kernel.function for one in found)}",
    )


def choose_kernels(
    network: Network, views: Views, wanted: Mapping[str, str] | None = None, optimize: Optimization = DEFAULT
) -> tuple[Candidate, ...]:
    """The way to run each op that does work on the device, in the network's order.

    Args:
        wanted, optimize: as for `plan_network`.

    Raises:
        StqError: as `kernel_choices`.
    """
    return suited(kernel_choices(network, views, wanted), optimize).chosen


def kernel_choices(network: Network, views: Views, wanted: Mapping[str, str] | None = None) -> tuple[Choice, ...]:
    """The choices of kernels for the ops that do work that no other choice beats in time, flash and RAM.

    Args:
        wanted: layer -> C function of the kernel that shall run it.

    Raises:
        StqError: there is none for some op, or `wanted` names a layer that the network does not have.
    """
    wanted = wanted or {}
    ops = [op for op in network.ops if not views.is_view(op)]
    unknown = sorted(wanted.keys() - {op.name for op in ops})
    if unknown:
        is_view = any(op.name == unknown[0] for op in network.ops)
        raise StqError(
            f"no kernel runs {unknown[0]!r}" if is_view else f"no layer is named {unknown[0]!r}",
            where="choice of kernels",
            cause="the layer's output lies in memory as its input does, so nothing is computed"
            if is_view
            else "a name was misspelled, or conversion has fused the layer with another",
            next=f"choose one of {', '.join(op.name for op in ops)}",
        )
    options = [_options(work_of(network, op), wanted.get(op.name)) for op in ops]
    return best_choices(options, memory_of_candidates(network, views, options))


def refuse(what: str, where: str, cause: str) -> StqError:
    """The error for a network that the NumPy reference computes but no kernel runs."""
    return StqError(
        f"the C kernels cannot run this network: {what}",
        where=where,
        cause=cause,
        next="quantize the layer's activation to at most 8 bits in the QKeras model and convert it again",
    )
