"""A Keras or QKeras model becomes a network."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.api.network import IntegerNetwork, made_network, open_network, optimization
from stq_deploy.api.samples import PICTURE_AXES
from stq_deploy.api.types import PathLike
from stq_deploy.common.errors import StqError, no_such
from stq_deploy.datasets.samples import load_samples, samples_of
from stq_deploy.evaluation.task import Stated
from stq_deploy.lowering.input_domain import MOST_BITS, PIXEL_BITS, checked_range, is_assumed
from stq_deploy.lowering.ranges import METHODS
from stq_deploy.network.output import Task
from stq_deploy.pipeline import Conversion, Pipeline, PostTraining, Rewrites, Watch
from stq_deploy.pipeline.model_in_memory import convert_keras_model, saved_model
from stq_deploy.program import Optimization
from stq_deploy.zoo.shipped import resolve_model


def convert(
    model: Any,
    *,
    calibrate: npt.ArrayLike | PathLike | None = None,
    features: bool | None = None,
    input_range: tuple[float, float] | None = None,
    input_bits: int = PIXEL_BITS,
    post_training: bool = False,
    ranges: str = "mse",
    drop_unread_units: bool = False,
    pack_activations: bool = False,
    task: str | None = None,
    threshold: float | None = None,
    print_after: str | Sequence[str] = (),
    kernels: Mapping[str, str] | None = None,
    optimize: Optimization = "balanced",
) -> IntegerNetwork:
    """Convert a trained model, as `stq-deploy convert`; a file needs no TensorFlow.

    Parameters
    ----------
    model : path or Keras model
        A `.h5`, `.keras`, `.onnx` or `.tflite` file, `zoo:NAME`, or a model of tf_keras (Keras 2) in memory.
    calibrate : array_like, shape (N, *input shape), or path of a sample file, optional
        Samples like those trained on. Where the model does not quantize its input, their range is the input's.
    features : bool, optional
        Whether an array `calibrate` holds features instead of pixels; by default unless it is of pictures (N, H, W, C).
    input_range : (float, float), optional
        Smallest and largest value of an input that the model does not quantize; pixels 0 and 255 mean these two.
    input_bits : int
        Bits of such an input's levels, 8 to 16.
    post_training : bool
        Quantize what the model has in floating point to int8; needs `calibrate`.
    ranges : {"mse", "minmax"}
        How `post_training` chooses the ranges of activations.
    drop_unread_units : bool
        Leave out units that no later weight reads. The logits stay the same.
    pack_activations : bool
        Keep activations of few bits packed while they wait, where that makes the arena smaller.
    task : str, optional
        What the model's output is, as `stq-deploy convert --task`; the network keeps it.
    threshold : float, optional
        The model's output above which a class or label holds; the network keeps it.
    print_after : str or sequence of str
        Steps of the pipeline, of `step_names()`, after which a table shows what the model has become.
    kernels : mapping of str to str, optional
        Layer -> C function of the kernel that shall run it, as for `load`. A saved network does not keep it.
    optimize : {"balanced", "speed", "size"}
        What kernels are chosen for, as for `load`. A saved network does not keep it.

    Warns
    -----
    UserWarning
        Nothing states the values of the input, which is then taken for pixels in [0, 1].

    Raises
    ------
    StqError
        The file is damaged, a layer cannot be converted, nothing states the values of the input, or there is no such
        step.
    """
    pipeline = Pipeline(
        _conversion(calibrate, features, input_range, input_bits, ranges if post_training else None),
        Rewrites(drop_unread_units, pack_activations),
        watch=_printing(print_after),
        kernels=kernels or {},
        optimize=optimization(optimize),
    )
    stated = Stated(task_named(task), threshold)
    if isinstance(model, str | os.PathLike):
        made = open_network(model, pipeline, keras=True, stated=stated)
    elif callable(getattr(model, "save", None)):
        made = convert_network(model, [pipeline.conversion], pipeline, stated=stated)
    else:
        raise _not_a_model(model)
    if is_assumed(made.network):
        text = (
            "no quantizer reads the model's input, which is taken for pixels in [0, 1]; state input_range or calibrate"
        )
        warnings.warn(text, UserWarning, stacklevel=2)
    return made


def convert_network(
    model: Any, conversions: Iterable[Conversion], pipeline: Pipeline, *, stated: Stated | None = None
) -> IntegerNetwork:
    """The network of a Keras model in memory.

    Parameters
    ----------
    model : Keras model, or str
        A model of tf_keras, or the path of a model file.
    conversions : iterable of Conversion
        Options to try in order; the next one where sums would leave 32 bits.
    pipeline : Pipeline
        Gives all options except the conversion.
    stated : Stated, optional
        As for `open_network`.

    Raises
    ------
    StqError
        The model cannot be saved or converted.
    """
    return made_network(convert_keras_model(model, conversions, pipeline), None, pipeline, stated)


def model_file(model: Any) -> AbstractContextManager[Path]:
    """The file of a model, given as a path or in memory."""
    if isinstance(model, str | os.PathLike):
        return nullcontext(Path(resolve_model(model, keras=True)))
    if callable(getattr(model, "save", None)):
        return saved_model(model)
    raise _not_a_model(model)


def _not_a_model(model: object) -> StqError:
    return StqError(
        f"a {type(model).__name__} is neither the path of a model file nor a Keras model",
        next="give a path, zoo:NAME, or a model of tf_keras",
    )


def _conversion(
    calibrate: npt.ArrayLike | PathLike | None,
    features: bool | None,
    input_range: tuple[float, float] | None,
    input_bits: int,
    method: str | None,
) -> Conversion:
    """The options of a conversion; `method` quantizes after training."""
    stated = checked_range(input_range)
    if not PIXEL_BITS <= input_bits <= MOST_BITS:
        raise StqError(f"input_bits={input_bits} is not possible", next=f"choose {PIXEL_BITS} to {MOST_BITS}")
    if method is not None and method not in METHODS:
        raise no_such(f"ranges={method!r} is not possible", method, METHODS)
    if calibrate is None:
        if method is not None:
            raise StqError("post_training needs calibrate", next="give a few hundred samples like those trained on")
        return Conversion(stated, input_bits=input_bits)
    if isinstance(calibrate, str | os.PathLike):
        samples = load_samples(Path(calibrate))
    else:
        array = np.asarray(calibrate)
        samples = samples_of(array, features=array.ndim - 1 != PICTURE_AXES if features is None else features)
    if method is None:
        return Conversion(stated, samples=samples, input_bits=input_bits)
    return Conversion(stated, PostTraining(samples, method), input_bits=input_bits)


def _printing(steps: str | Sequence[str]) -> Watch:
    """A watch that prints the results of these steps."""
    names = (steps,) if isinstance(steps, str) else tuple(steps)
    return Watch(names, lambda step, text: print(f"after {step}:\n{text}\n"))  # the caller asked for this output


def task_named(name: str | None) -> Task | None:
    """What an output is, by its name in `stq-deploy evaluate --task`."""
    if name is None:
        return None
    if name not in list(Task):
        raise no_such(f"there is no task {name!r}", name, list(Task))
    return Task(name)
