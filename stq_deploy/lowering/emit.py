"""Emits the network of the decisions: one op for each, in order, with unique names."""

from __future__ import annotations

from dataclasses import replace

from stq_deploy.lowering.decide.decision import Decision, Decisions
from stq_deploy.lowering.expression import TensorValue
from stq_deploy.network import Network
from stq_deploy.network.ops import Op


def emit(decisions: Decisions) -> Network:
    """The network. Its metadata hold each op's certificate, and the Keras layers whose outputs it computes."""
    names, first = decisions.names, decisions.input
    layers = [(first.output, first.keras_layer), *((step.output, step.keras_layer) for step in decisions.steps)]
    return Network(
        tensors={names[x]: x.type for x in names},
        ops=tuple(_op(step, names) for step in decisions.steps),
        input=names[first.output],
        outputs=tuple(names[x] for x in decisions.outputs),
        metadata=replace(
            decisions.facts,
            certificates={names[step.output]: step.certificate for step in decisions.steps if step.certificate},
            keras_outputs={names[x]: layer for x, layer in layers if layer},
        ),
        input_rounding=first.rounding,
    )


def _op(step: Decision, names: dict[TensorValue, str]) -> Op:
    name, inputs = names[step.output], tuple(names[x] for x in step.inputs)
    return replace(step.op, name=name, inputs=inputs, output=name, sources=step.sources)
