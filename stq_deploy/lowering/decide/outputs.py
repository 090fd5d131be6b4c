"""Decides how an output of the model becomes a tensor."""

from __future__ import annotations

from dataclasses import replace

from stq_deploy.lowering.certificate import Certified
from stq_deploy.lowering.decide.decision import ValueForm
from stq_deploy.lowering.decide.exact import keep_accumulators
from stq_deploy.lowering.decide.rounding import rounding_step
from stq_deploy.lowering.decide.tensors import Tensors
from stq_deploy.lowering.errors import lowering_error
from stq_deploy.lowering.expression import Expression, Rearrangement, TensorValue
from stq_deploy.lowering.fixed_point import BITS
from stq_deploy.lowering.logits import certify_logits
from stq_deploy.lowering.stages import Affine, chain, scaled
from stq_deploy.network import TensorType
from stq_deploy.network.requantize import Requantize


def output_tensor(tensors: Tensors, value: Expression, layer: str, reader: str, *, signs: bool = False) -> TensorValue:
    """The model's output: levels where it ends in a quantizer, else 32 bits.

    These hold the accumulators themselves if they share a scale, otherwise fixed-point numbers.

    Args:
        layer: the Keras layer whose output this is, or "".
        reader: the output's layer, for errors.
        signs: make the fixed-point numbers positive exactly where the logits are.
    """
    core = tensors.stored(value.core, reader) if isinstance(value.core, Rearrangement) else value.core
    if isinstance(core, TensorValue) and core.uniform and not value.stages:
        return core
    operation = tensors.operation(core, value.sources, reader)
    affine, *rest = chain(scaled(operation.scale), *value.stages)
    if rest:
        return tensors.fixed(replace(value, core=core), rounding_step(value, BITS), reader)
    assert isinstance(affine, Affine)
    found: Certified[Requantize]
    if affine.uniform and affine.offset[0] == 0 and affine.factor[0] > 0 and not isinstance(core, TensorValue):
        found, step = keep_accumulators(operation), affine.factor[0]
    else:
        try:
            found, step = certify_logits(affine, operation.low, operation.high, signs=signs)
        except ValueError as error:
            raise lowering_error(reader, str(error), "check the batch normalization's statistics") from error
    type_ = TensorType(operation.shape, "int32", found.requantize.minimum, found.requantize.maximum, float(step))
    return tensors.add(operation.decided(ValueForm.LOGITS, found, type_, (step,), layer))
