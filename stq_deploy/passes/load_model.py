"""A model file of any form -> the integer network; every command that takes `--model` comes through here."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stq_deploy.datasets.samples import SampleSet
from stq_deploy.errors import StqError
from stq_deploy.frontend.errors import located
from stq_deploy.frontend.importer import read_source
from stq_deploy.frontend.source import SourceGraph
from stq_deploy.network import Network, load_network
from stq_deploy.network.input_format import model_values
from stq_deploy.passes.lower import lower
from stq_deploy.passes.post_training import quantize_graph, quantize_pixels
from stq_deploy.passes.ranges import Range

UNMAPPED = (0.0, 1.0)
MAXIMUM_CALIBRATION = 1024
"""Samples that post-training quantization looks at; more say nothing new of a tensor's range."""


@dataclass(frozen=True)
class PostTraining:
    """How to quantize what a model has in floating point: weights to int8, activations to ranges seen on samples.

    Attributes:
        samples: `MAXIMUM_CALIBRATION` of them are looked at, spread evenly: they may be sorted by class.
        method: a key of `passes.ranges.METHODS`.
    """

    samples: SampleSet
    method: str = "mse"


@dataclass(frozen=True)
class Conversion:
    """What a conversion is told beside the model.

    Attributes:
        input_range: the values of the model's input that a sample's 0 and 1 (as uint8: 0 and 255) stand for.
        post_training: None: all that has to be quantized has quantizers.
    """

    input_range: tuple[float, float] = UNMAPPED
    post_training: PostTraining | None = None


def convert_model(path: str | os.PathLike[str], conversion: Conversion | None = None) -> Network:
    """Import a Keras or QKeras .h5 or .keras file and lower it; imports TensorFlow if its weights have quantizers.

    Raises:
        StqError: the file is damaged, or holds something that cannot be converted.
    """
    asked = conversion or Conversion()
    source = read_source(path, post_training=asked.post_training is not None)
    try:
        if asked.post_training is not None:
            source, facts = _calibrated(source, asked.post_training, asked.input_range)
        elif asked.input_range != UNMAPPED:
            source, facts = quantize_pixels(source, Range(*asked.input_range)), {}
        else:
            facts = {}
        network = lower(source)
    except StqError as error:
        raise located(error, str(path)) from error
    return replace(network, input_range=asked.input_range, metadata=network.metadata | facts)


def load_any(path: str | os.PathLike[str], conversion: Conversion | None = None) -> Network:
    """Read a .stq network, or convert a Keras or QKeras model.

    Raises:
        StqError: absent, damaged, or not convertible; or a .stq network with a `conversion` to make.
    """
    if Path(path).suffix.lower() != ".stq":
        return convert_model(path, conversion)
    if conversion not in (None, Conversion()):
        raise StqError(
            "the network is converted already",
            where=str(path),
            next="give the Keras model it was made from, or leave out --post-training, --calibrate and --input-range",
        )
    return load_network(path)


def _calibrated(
    source: SourceGraph, asked: PostTraining, input_range: tuple[float, float]
) -> tuple[SourceGraph, dict[str, Any]]:
    """The graph with calibrated quantizers, and what the network's metadata says of it."""
    used = asked.samples.spread(MAXIMUM_CALIBRATION)
    if used.holds_features and input_range != UNMAPPED:
        raise StqError(
            "the calibration samples are features, and --input-range says what pixels mean",
            next="leave out --input-range: features are the model's values already",
        )
    quantized = quantize_graph(
        source,
        model_values(used.x, *input_range),
        asked.method,
        None if used.holds_features else Range(*input_range),
    )
    facts = {"method": asked.method, "samples": len(used), "samples_sha256": used.sha256()}
    return quantized, {"post_training": {"scheme": "int8", **facts}}
