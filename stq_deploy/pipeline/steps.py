"""The steps from a model file to a program, in their order; each is one function with typed ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from stq_deploy.common.errors import StqError
from stq_deploy.common.progress import Progress, stage
from stq_deploy.frontend.importer import ModelSource, path_of, read_source
from stq_deploy.frontend.model_file import ModelFile, open_model_file
from stq_deploy.frontend.source import SourceGraph
from stq_deploy.lowering.decide import Decisions, decide
from stq_deploy.lowering.emit import emit
from stq_deploy.lowering.fixed_results import round_results
from stq_deploy.lowering.input_domain import ChosenInput, calibration_values, choose_input
from stq_deploy.lowering.post_training import insert_quantizers, quantizes_input
from stq_deploy.network import Network, load_network
from stq_deploy.network.input_format import PIXELS
from stq_deploy.network.metadata import InputLevels, PostTrainingFacts
from stq_deploy.pipeline.after_training import quantize_after_training
from stq_deploy.pipeline.options import Conversion, Rewrites
from stq_deploy.program import Optimization, Program, plan_network
from stq_deploy.rewrites import add_input_noise, drop_unread_units, pack_activations

MAXIMUM_CALIBRATION = 1024
"""Samples that post-training quantization uses; more would not change a tensor's range."""


@dataclass(frozen=True)
class Asked:
    """The options of a run of the pipeline, as every step sees them."""

    conversion: Conversion
    rewrites: Rewrites
    progress: Progress
    kernels: Mapping[str, str]
    optimize: Optimization


@dataclass(frozen=True, eq=False)
class QuantizedGraph:
    """A graph with a quantizer wherever integers are needed, and with an input of levels.

    Attributes:
        graph: the model; its first node is the input.
        chosen: levels of an input that no quantizer of the model reads; None where the model states them.
        input: how the levels were chosen, for the network's metadata.
        post_training: how quantizers were chosen; None where the model has them.
        class_names: as the samples for calibration state them.
    """

    graph: SourceGraph
    chosen: ChosenInput | None
    input: InputLevels
    post_training: PostTrainingFacts | None = None
    class_names: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class DecidedModel:
    """A form for each value of the model.

    Attributes:
        decisions: one for each op of the network.
        quantized: what they were made for.
    """

    decisions: Decisions
    quantized: QuantizedGraph


Before = TypeVar("Before")
After = TypeVar("After")


@dataclass(frozen=True)
class Step(Generic[Before, After]):
    """One step of the pipeline.

    Attributes:
        name: as `--print-after` takes it.
        does: what it does, in a few words for people.
        apply: the step itself. It raises StqError where it cannot go on.
    """

    name: str
    does: str
    apply: Callable[[Before, Asked], After]


def _load(model: ModelSource, asked: Asked) -> Network:
    if asked.conversion != Conversion():
        raise StqError(
            "the network is converted already",
            where=str(path_of(model)),
            next="give the Keras model it was made from, or leave out the options of conversion: --post-training, "
            "--calibrate, --input-range, --input-bits",
        )
    return load_network(path_of(model))


def _read(model: ModelSource, asked: Asked) -> SourceGraph:
    with stage(asked.progress, "reading the model"):
        conversion = asked.conversion
        return read_source(model, post_training=conversion.post_training is not None, fixed=conversion.fixed)


def _quantize(graph: SourceGraph, asked: Asked) -> QuantizedGraph:
    conversion = asked.conversion
    chosen = None
    if not quantizes_input(graph):
        chosen = choose_input(
            graph.nodes[0].shape,
            conversion.input_range,
            conversion.calibration,
            conversion.input_bits,
            conversion.input_step,
        )
    grid = None if chosen is None else chosen.quantizer
    levels = InputLevels("model") if chosen is None else chosen.facts()
    trained, names = None, None
    if conversion.post_training is not None:
        used = conversion.post_training.samples.spread(MAXIMUM_CALIBRATION)
        method = conversion.post_training.method
        values = calibration_values(used, conversion.input_range)
        graph, weights = quantize_after_training(
            graph,
            values,
            conversion.post_training,
            grid,
            asked.optimize,
            lambda made: plan_network(emit(decide(made)), {}, asked.optimize),
            asked.progress,
        )
        trained = PostTrainingFacts(conversion.post_training.scheme, method, len(used), used.sha256(), weights)
    else:
        if conversion.samples is not None:
            calibration_values(conversion.samples, conversion.input_range)  # for its checks
        if conversion.fixed is not None:
            graph = round_results(graph, conversion.fixed)
        if grid is not None:
            graph = insert_quantizers(graph, {0: grid})
    if conversion.calibration is not None and conversion.calibration.class_names:
        names = tuple(conversion.calibration.class_names)
    return QuantizedGraph(graph, chosen, levels, trained, names)


def _decide(quantized: QuantizedGraph, asked: Asked) -> DecidedModel:
    return DecidedModel(decide(quantized.graph, asked.progress), quantized)


def _emit(decided: DecidedModel, asked: Asked) -> Network:
    network, quantized = emit(decided.decisions), decided.quantized
    chosen = quantized.chosen
    return replace(
        network,
        input_range=asked.conversion.input_range or PIXELS,
        input_domain=None if chosen is None else chosen.domain,
        metadata=replace(
            network.metadata,
            input=quantized.input,
            post_training=quantized.post_training,
            class_names=quantized.class_names,
        ),
    )


def _add_input_noise(network: Network, asked: Asked) -> Network:
    noise = asked.rewrites.input_noise
    return network if noise is None else add_input_noise(network, noise)


def _drop_unread_units(network: Network, asked: Asked) -> Network:
    return drop_unread_units(network) if asked.rewrites.drop_unread_units else network


def _pack_activations(network: Network, asked: Asked) -> Network:
    if not asked.rewrites.pack_activations:
        return network
    with stage(asked.progress, "packing activations"):
        return pack_activations(network)


def _plan(network: Network, asked: Asked) -> Program:
    return plan_network(network, asked.kernels, asked.optimize)


READ = Step("read", "read and check the model file: layers, quantizers and exact weights", _read)
LOAD = Step(READ.name, "read and check a .stq network, in place of the steps up to `emit`", _load)
QUANTIZE = Step(
    "quantize-after-training",
    "choose levels for the input, and quantizers for floating-point layers where asked",
    _quantize,
)
DECIDE = Step("decide", "fold, fuse and certify: choose each value's form", _decide)
EMIT = Step("emit", "make an op of each decision: the integer network", _emit)
ADD_INPUT_NOISE = Step("add-input-noise", "add fresh noise to the input, where asked", _add_input_noise)
DROP_UNREAD_UNITS = Step(
    "drop-unread-units", "leave out units that no later weight reads, where asked", _drop_unread_units
)
PACK_ACTIVATIONS = Step(
    "pack-activations", "pack activations of few bits while they wait, where asked", _pack_activations
)
PLAN = Step("plan", "choose kernels, order the layers, place tensors in the arena", _plan)

STEPS = (READ, QUANTIZE, DECIDE, EMIT, ADD_INPUT_NOISE, DROP_UNREAD_UNITS, PACK_ACTIVATIONS, PLAN)
"""The pipeline: what one step returns the next one takes. A `.stq` network skips `ONLY_MODELS`."""
ONLY_MODELS = (QUANTIZE, DECIDE, EMIT)


def is_converted(model: ModelSource) -> bool:
    """Whether the model is the path of a .stq network."""
    return not isinstance(model, ModelFile) and path_of(model).suffix.lower() == ".stq"


def open_source(path: str | os.PathLike[str]) -> ModelSource:
    """A model file for all uses within one command: the content of a Keras or QKeras model, read once.

    A .stq network stays a path, because commands read nothing from it except the network.

    Raises:
        StqError: absent, unreadable, damaged, or of another kind than its name says.
    """
    return Path(path) if is_converted(path) else open_model_file(Path(path))
