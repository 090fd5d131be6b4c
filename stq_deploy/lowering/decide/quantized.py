"""Decides how a value that a quantizer rounds becomes levels: by a table, or by a certified requantization."""

from __future__ import annotations

from dataclasses import replace

from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.lowering.certify import certify
from stq_deploy.lowering.decide.decision import Decision, ValueForm
from stq_deploy.lowering.decide.rearrangement import commutes
from stq_deploy.lowering.decide.tables import TabledFunction, tabled
from stq_deploy.lowering.decide.tensors import Tensors
from stq_deploy.lowering.epilogue import Epilogue
from stq_deploy.lowering.errors import lowering_error
from stq_deploy.lowering.expression import (
    Expression,
    ExpressionCore,
    Rearrangement,
    TensorValue,
    joined,
    layers_of,
    leaves,
    shape_of,
)
from stq_deploy.lowering.fixed_point import BITS
from stq_deploy.lowering.stages import Curved, chain, part, scaled
from stq_deploy.lowering.step_function import StepFunction
from stq_deploy.network import TensorType
from stq_deploy.network.certificate import Certificate
from stq_deploy.network.ops import UNNAMED

_MAXIMUM_TABLED_LEVELS = 256


def quantized(tensors: Tensors, value: Expression, quantizer: Quantizer, reader: str, layer: str) -> TensorValue:
    """The value quantized.

    Args:
        reader: the quantizing layer.
        layer: the Keras layer whose output this is, or "".

    Raises:
        StqError: there is no exact integer form.
    """
    core = value.core
    if isinstance(core, Rearrangement):
        if commutes(core, value.stages):
            return _rearranged_after(tensors, core, value, quantizer, reader, layer)
        core = tensors.stored(core, reader)
    epilogue = Epilogue(value.stages, quantizer)
    function = _tabled(core, epilogue)
    if function is not None:
        name = reader if isinstance(core, TensorValue) else core.layer
        sources = joined(layers_of(core), value.sources)
        return tensors.add(_table(function, epilogue.steps, shape_of(value), name, sources, layer))
    curved = next((i for i, stage in enumerate(value.stages) if isinstance(stage, Curved)), None)
    if curved is not None:
        # A requantization rises or falls: the function that does both is rounded to fixed point first.
        begun = Expression(core, value.stages[: curved + 1], value.sources)
        fine = tensors.tensor_of(begun, BITS, reader)
        return quantized(tensors, Expression(fine, value.stages[curved + 1 :], value.sources), quantizer, reader, layer)
    operation = tensors.operation(core, value.sources, reader)
    try:
        found = certify(
            replace(epilogue, stages=chain(scaled(operation.scale), *value.stages)), operation.low, operation.high
        )
    except ValueError as error:
        raise lowering_error(reader, f"{quantizer}: {error}", "quantize to at most 8 bits here") from error
    steps, reached = epilogue.steps, (found.requantize.minimum, found.requantize.maximum)
    type_ = _quantized_type(operation.shape, steps, reached)
    return tensors.add(operation.decided(ValueForm.QUANTIZED, found, type_, (steps.step,), layer))


def _rearranged_after(
    tensors: Tensors, core: Rearrangement, value: Expression, quantizer: Quantizer, reader: str, layer: str
) -> TensorValue:
    """Quantize each term, then rearrange: the same levels as in the other order, in a quarter of the memory."""
    terms, first = [], 0
    for term in core.terms:
        channels = slice(first, first + shape_of(term)[-1])
        stages = tuple(part(stage, channels) for stage in value.stages) if len(core.terms) > 1 else value.stages
        first = channels.stop
        whole = Expression(term.core, chain(*term.stages, *stages), joined(term.sources, value.sources))
        terms.append(quantized(tensors, whole, quantizer, reader, ""))
    return tensors.rearranged(core.node, terms, layer)


def _tabled(core: ExpressionCore, epilogue: Epilogue) -> TabledFunction | None:
    inputs, steps = leaves(Expression(core)), epilogue.steps
    if inputs is None or steps.maximum - steps.minimum >= _MAXIMUM_TABLED_LEVELS:
        return None
    return tabled(core, inputs, epilogue)


def _table(
    function: TabledFunction,
    steps: StepFunction,
    shape: tuple[int, ...],
    name: str,
    sources: tuple[str, ...],
    layer: str,
) -> Decision:
    certificate = Certificate(function.op.kind, True, entries=int(function.table.size))
    output = TensorValue(_quantized_type(shape, steps, function.reached), (steps.step,))
    op = function.op(*UNNAMED, table=function.table)
    return Decision(output, ValueForm.TABLE, op, function.inputs, name, sources, layer, certificate)


def _quantized_type(shape: tuple[int, ...], steps: StepFunction, levels: tuple[int, int]) -> TensorType:
    return TensorType(shape, steps.dtype, levels[0], levels[1], float(steps.step), steps.zero_point)
