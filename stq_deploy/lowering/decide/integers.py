"""Decides how levels that a file defines by integer arithmetic are made: by a requantization, a sum or a table."""

from __future__ import annotations

import numpy as np

from stq_deploy.frontend import source as s
from stq_deploy.frontend.integer_functions import StatedLevels
from stq_deploy.lowering.decide.decision import Decision, ValueForm
from stq_deploy.lowering.decide.operation import OPEN, UnrequantizedOp
from stq_deploy.lowering.decide.tensors import Tensors
from stq_deploy.lowering.errors import lowering_error
from stq_deploy.lowering.expression import Accumulator, Combination, Expression, TensorValue, joined
from stq_deploy.lowering.integer_levels import certify_integers, certify_sum, term_form
from stq_deploy.network import TensorType
from stq_deploy.network.certificate import Certificate
from stq_deploy.network.ops import UNNAMED, Add, Rescale, Table
from stq_deploy.network.requantize import RoundedRequantize


def integer_levels(tensors: Tensors, value: Expression, node: s.IntegerNode, layer: str) -> TensorValue:
    """A stated function of the accumulators of a weighted op, a mean or a product.

    Args:
        layer: the layer whose output this is, or "".

    Raises:
        StqError: the value before it is not such an accumulator, or its steps have no form.
    """
    if value.stages or not isinstance(value.core, Accumulator | Combination):
        raise lowering_error(node.layer, "the integers that its levels are made of are not known", "convert it again")
    operation = tensors.operation(value.core, (node.layer,), node.layer)
    try:
        found = certify_integers(node.function, node.levels, operation.low, operation.high)
    except ValueError as error:
        raise lowering_error(node.layer, str(error), "use fewer levels") from error
    form = found.requantize
    type_ = _type(node.shape, node.levels, form.minimum, form.maximum)
    return tensors.add(operation.decided(ValueForm.QUANTIZED, found, type_, (node.levels.scale,), layer))


def integer_sum(tensors: Tensors, a: TensorValue, b: TensorValue, node: s.IntegerSumNode, layer: str) -> TensorValue:
    """A stated sum or difference of two tensors of levels: in one op where that is exact, else in three."""
    channels, sources = node.shape[-1], (node.layer,)
    found = certify_sum(node.function, node.levels, a.type, b.type, channels)
    if found is not None:
        factors, by = found
        low, high = (np.full(channels, end, np.int64) for end in (by.requantize.minimum, by.requantize.maximum))
        one = UnrequantizedOp(
            Add(*UNNAMED, requantize=OPEN, factors=factors),
            (a, b),
            node.layer,
            sources,
            node.shape,
            low,
            high,
            (node.levels.scale,),
        )
        type_ = _type(node.shape, node.levels, by.requantize.minimum, by.requantize.maximum)
        return tensors.add(one.decided(ValueForm.QUANTIZED, by, type_, (node.levels.scale,), layer))
    terms = [_term(tensors, node, i, x) for i, x in enumerate((a, b))]
    signs = tuple(term.sign for term in node.function.terms)
    ends = [(sign * x.type.minimum, sign * x.type.maximum) for sign, x in zip(signs, terms, strict=True)]
    low, high = (np.full(channels, sum(pick(end) for end in ends), np.int64) for pick in (min, max))
    whole = UnrequantizedOp(
        Add(*UNNAMED, requantize=OPEN, factors=(signs[0], signs[1])),
        (terms[0], terms[1]),
        node.layer,
        sources,
        node.shape,
        low,
        high,
        (node.levels.scale,),
    )
    function = node.function.of_sum(channels)
    by_steps = certify_integers(function, node.levels, low, high)
    type_ = _type(node.shape, node.levels, by_steps.requantize.minimum, by_steps.requantize.maximum)
    return tensors.add(whole.decided(ValueForm.QUANTIZED, by_steps, type_, (node.levels.scale,), layer))


def _term(tensors: Tensors, node: s.IntegerSumNode, i: int, x: TensorValue) -> TensorValue:
    """One term of a sum, rounded as the file states, in 32 bits."""
    term = node.function.terms[i]
    by = term_form(term, x.type, node.shape[-1])
    form: RoundedRequantize = by.requantize
    type_ = TensorType(node.shape, "int32", form.minimum, form.maximum, float(x.step / abs(term.factor)))
    output = TensorValue(type_, (x.step / abs(term.factor),))
    return tensors.add(
        Decision(
            output,
            ValueForm.EXACT,
            Rescale(*UNNAMED, requantize=form),
            (x,),
            f"{node.layer}_term_{i + 1}",
            (node.layer,),
            certificate=by.certificate,
        )
    )


def integer_table(tensors: Tensors, x: TensorValue, node: s.IntegerTableNode, layer: str) -> TensorValue:
    """Levels looked up by the levels of one tensor."""
    reached = node.table[x.type.minimum + 128 : x.type.maximum + 129]
    type_ = _type(node.shape, node.levels, int(reached.min()), int(reached.max()))
    certificate = Certificate(Table.kind, True, entries=len(reached))
    return tensors.add(
        Decision(
            TensorValue(type_, (node.levels.scale,)),
            ValueForm.TABLE,
            Table(*UNNAMED, table=node.table),
            (x,),
            node.layer,
            joined((node.layer,)),
            layer,
            certificate,
        )
    )


def _type(shape: tuple[int, ...], levels: StatedLevels, low: int, high: int) -> TensorType:
    return TensorType(shape, "int8", low, high, float(levels.scale), levels.zero_point)
