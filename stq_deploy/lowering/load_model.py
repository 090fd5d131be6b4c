"""A model file of any form -> the integer network; every command with `--model` uses this module."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.common.progress import Progress, silent, stage
from stq_deploy.datasets.samples import SampleSet
from stq_deploy.frontend.errors import located
from stq_deploy.frontend.importer import Source, path_of, read_source
from stq_deploy.frontend.model_file import ModelFile, open_model_file
from stq_deploy.frontend.source import SourceGraph
from stq_deploy.lowering.input_domain import PIXEL_BITS, calibration_values, choose_input
from stq_deploy.lowering.lower import lower
from stq_deploy.lowering.post_training import insert_quantizers, quantize_graph, quantizes_input
from stq_deploy.network import Network, load_network
from stq_deploy.network.input_format import PIXELS

MAXIMUM_CALIBRATION = 1024
"""Samples that post-training quantization uses; more would not change a tensor's range."""


@dataclass(frozen=True)
class PostTraining:
    """How to quantize a floating-point model: weights to int8, activations to ranges seen on samples.

    Attributes:
        samples: `MAXIMUM_CALIBRATION` of them are used, spread evenly, because they may be sorted by class.
        method: a key of `lowering.ranges.METHODS`.
    """

    samples: SampleSet
    method: str = "mse"


@dataclass(frozen=True)
class Conversion:
    """The options of a conversion.

    Attributes:
        input_range: the smallest and the largest value of the model's input; a pixel's 0 and 1 (as uint8: 0 and 255)
            mean these. None: a pixel is the model's value.
        post_training: None if everything that must be quantized has a quantizer.
        samples: their range is the input's where no quantizer of the model states it. Post-training quantization uses
            its calibration samples instead.
        input_bits: bits of the input's levels there, 8 to 16.
        input_step: real value of one such level; None: as fine as the bits allow.
    """

    input_range: tuple[float, float] | None = None
    post_training: PostTraining | None = None
    samples: SampleSet | None = None
    input_bits: int = PIXEL_BITS
    input_step: Fraction | None = None

    @property
    def calibration(self) -> SampleSet | None:
        """The samples that show the input's range."""
        return self.post_training.samples if self.post_training is not None else self.samples


def convert_model(model: Source, conversion: Conversion | None = None, progress: Progress = silent) -> Network:
    """Import a Keras or QKeras .h5 or .keras file and lower it; imports TensorFlow if its weights have quantizers.

    Args:
        model: a path, or a model file that was read already.

    Raises:
        UnknownInputError: neither the model nor `conversion` states the input's values.
        StqError: the file is damaged, or contains something that cannot be converted.
    """
    asked = conversion or Conversion()
    with stage(progress, "reading the model"):
        source = read_source(model, post_training=asked.post_training is not None)
    try:
        return convert_source(source, asked, progress)
    except StqError as error:
        raise located(error, str(path_of(model))) from error


def convert_source(source: SourceGraph, asked: Conversion, progress: Progress = silent) -> Network:
    """The integer network of a model that has been read.

    Raises:
        StqError: as `convert_model`, which names the file.
    """
    chosen = None
    if not quantizes_input(source):
        chosen = choose_input(
            source.nodes[0].shape, asked.input_range, asked.calibration, asked.input_bits, asked.input_step
        )
    grid = None if chosen is None else chosen.quantizer
    facts: dict[str, Any] = {"input": {"from": "model"} if chosen is None else chosen.facts()}
    if asked.post_training is not None:
        used = asked.post_training.samples.spread(MAXIMUM_CALIBRATION)
        method = asked.post_training.method
        with stage(progress, "calibrating"):
            source = quantize_graph(source, calibration_values(used, asked.input_range), method, grid)
        seen = {"method": method, "samples": len(used), "samples_sha256": used.sha256()}
        facts["post_training"] = {"scheme": "int8", **seen}
    else:
        if asked.samples is not None:
            calibration_values(asked.samples, asked.input_range)  # for its checks
        if grid is not None:
            source = insert_quantizers(source, {0: grid})
    if asked.calibration is not None and asked.calibration.class_names:
        facts["class_names"] = asked.calibration.class_names
    network = lower(source, progress)
    return replace(
        network,
        input_range=asked.input_range or PIXELS,
        input_domain=None if chosen is None else chosen.domain,
        metadata=network.metadata | facts,
    )


def open_source(path: str | os.PathLike[str]) -> Source:
    """A model file for all that a command asks of it: of a Keras or QKeras model its content, read once.

    A .stq network stays a path, as nothing but the network is ever read of it.

    Raises:
        StqError: absent, unreadable, damaged, or of another kind than its name says.
    """
    path = Path(path)
    return path if path.suffix.lower() == ".stq" else open_model_file(path)


def load_any(model: Source, conversion: Conversion | None = None, progress: Progress = silent) -> Network:
    """Read a .stq network, or convert a Keras or QKeras model.

    Args:
        model: a path; or a model file that is read already.

    Raises:
        StqError: absent, damaged, or not convertible; or a .stq network with a `conversion` to make.
    """
    path = path_of(model)
    if isinstance(model, ModelFile) or path.suffix.lower() != ".stq":
        return convert_model(model, conversion, progress)
    if conversion not in (None, Conversion()):
        raise StqError(
            "the network is converted already",
            where=str(path),
            next="give the Keras model it was made from, or leave out the options of conversion: --post-training, "
            "--calibrate, --input-range, --input-bits",
        )
    return load_network(path)
