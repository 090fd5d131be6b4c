"""One random model from Keras file to every executor: what must hold for it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.sample_metadata import SampleMetadata
from stq_deploy.datasets.samples import SampleSet
from stq_deploy.evaluation.float_comparison import compare_with_float
from stq_deploy.evaluation.float_model import FloatModel
from stq_deploy.evaluation.inputs import Inputs
from stq_deploy.evaluation.layer_comparison import compare_layers
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.executors.open_executor import open_executor
from stq_deploy.network import Network
from stq_deploy.network.reference import run_outputs
from stq_deploy.pipeline import Conversion, PostTraining, load_any
from stq_deploy.program import OPTIMIZATIONS, plan_network
from tests.helpers.sweep.keras_3_writer import NoCounterpartError, write_keras_3
from tests.helpers.sweep.random_models import Recipe

SAMPLES = 4
LOCAL = ("host", "host-cortex-m7-sanitized")
LIMITS = ("exceed 32 bits", "fit 16 bits", "so many levels", "range of the input's values is not known")
"""What a model may be refused for, as no recipe can foresee it.

Sums or levels are too large for the integer types, or an input leaves the network unquantized.
"""


@dataclass
class Outcome:
    """The result of one model.

    Attributes:
        refused: why it has no integer form, or "".
        kinds: op kinds of the integer network.
        executors: who ran it, beside NumPy.
        mismatches: (executor, layer) whose bytes differ.
        formats: other formats in which the model was written and read, with the same network as a result.
        float_differences: activations that differ from QKeras's, where float32 is exact; None where it is not.
    """

    refused: str = ""
    kinds: list[str] = field(default_factory=list)
    executors: tuple[str, ...] = ()
    mismatches: list[tuple[str, str]] = field(default_factory=list)
    formats: tuple[str, ...] = ()
    float_differences: int | None = None


def check_model(recipe: Recipe, folder: Path, executors: Sequence[str] = LOCAL) -> Outcome:
    """Save with Keras, import, convert, run everywhere and compare; also as a file of another format.

    Raises:
        StqError: refused for another reason than `LIMITS`, or an executor failed (a sanitizer's finding, say).
    """
    path = recipe.save(folder / "model.h5")
    conversion = Conversion(post_training=PostTraining(calibration(recipe))) if recipe.plain else None
    try:
        network = load_any(path, conversion)
    except StqError as error:
        if not any(limit in error.what for limit in LIMITS):
            raise
        return Outcome(refused=error.what)
    levels = random_levels(network, recipe.seed)
    outcome = Outcome(kinds=[op.kind for op in network.ops], executors=tuple(executors))
    program = plan_network(network, optimize=OPTIMIZATIONS[recipe.seed % len(OPTIMIZATIONS)])
    for name in executors:
        with NumpyExecutor(program) as reference, open_executor(name, program) as executor:
            found = compare_layers(reference, [executor], levels)
            outcome.mismatches += [(d.executor, d.name) for d in found.differences]
    for name, file in other_formats(recipe, folder).items():
        found_logits = run_outputs(load_any(file, conversion), levels)
        outcome.formats += (name,)
        pairs = zip(found_logits, run_outputs(network, levels), strict=True)
        outcome.mismatches += [(name, "logits")] * (not all(np.array_equal(a, b) for a, b in pairs))
    certificates = [c for name, c in network.metadata.certificates.items() if name not in network.outputs]
    if recipe.exact and all(certificate.exact for certificate in certificates):
        inputs = Inputs(network.input_format.values(levels), levels, 0)
        compared = compare_with_float(FloatModel(path), network, inputs)
        outcome.float_differences = sum(layer.differing for layer in compared.layers)
    return outcome


def other_formats(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """The model in the formats that can hold it: name -> file."""
    archive = recipe.save(folder / "model.keras")
    files = {"Keras 2 (.keras)": archive}
    with suppress(NoCounterpartError):
        files["Keras 3 (.keras)"] = write_keras_3(archive, folder / "keras_3.keras")
    return files


def calibration(recipe: Recipe) -> SampleSet:
    """Features to calibrate a floating-point model on."""
    x = np.random.default_rng(recipe.seed).normal(0, 1, (16, *recipe.input_shape)).astype(np.float32)
    return SampleSet(x, np.zeros(len(x), np.int64), SampleMetadata(range=(-6, 6)))


def random_levels(network: Network, seed: int) -> npt.NDArray[np.int64]:
    """Samples over the input's whole range; the first two are its ends."""
    spec = network.input_type
    levels = np.random.default_rng(seed).integers(spec.minimum, spec.maximum + 1, (SAMPLES, *spec.shape))
    levels[0], levels[1] = spec.minimum, spec.maximum
    return levels
