"""A Keras or QKeras model becomes a network."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.api.network import IntegerNetwork, made_network, open_network, optimization
from stq_deploy.api.samples import PICTURE_AXES
from stq_deploy.api.types import PathLike
from stq_deploy.common.errors import StqError, no_such
from stq_deploy.datasets.samples import SampleSet, load_samples, samples_of
from stq_deploy.evaluation.task import Stated
from stq_deploy.lowering.after_training.method import ROUNDINGS, SCHEMES, weight_method
from stq_deploy.lowering.input_domain import MOST_BITS, PIXEL_BITS, checked_range, is_assumed
from stq_deploy.lowering.ranges import METHODS
from stq_deploy.network.noise import InputNoise
from stq_deploy.network.output import Task
from stq_deploy.pipeline import Conversion, Pipeline, PostTraining, Rewrites, Watch
from stq_deploy.pipeline.model_in_memory import convert_keras_model, saved_model
from stq_deploy.pipeline.options import budget_of
from stq_deploy.program import Optimization
from stq_deploy.zoo.shipped import resolve_model


def convert(
    model: Any,
    *,
    calibrate: npt.ArrayLike | PathLike | None = None,
    features: bool | None = None,
    input_range: tuple[float, float] | None = None,
    input_bits: int = PIXEL_BITS,
    post_training: bool | str = False,
    ranges: str = "mse",
    flash_budget: int | None = None,
    cycle_budget: int | None = None,
    equalize: bool | None = None,
    correct_bias: bool | None = None,
    rounding: str | None = None,
    drop_unread_units: bool = False,
    pack_activations: bool = False,
    input_noise: float = 0.0,
    input_noise_seed: int = 0,
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
    post_training : {"int8", "int4", "mixed"} or bool
        Quantize what the model has in floating point; needs `calibrate`. Activations get 8 bits. Weights get 8, 4, or
        2, 4 or 8 by layer within a budget. True is "int8".
    ranges : {"mse", "minmax"}
        How `post_training` chooses the ranges of activations.
    flash_budget, cycle_budget : int, optional
        Of "mixed", one of them: most bytes of weights and tables, or most estimated cycles on a Cortex-M7.
    equalize : bool, optional
        Scale channels between layers to similar ranges first; by default not.
    correct_bias : bool, optional
        Correct each channel's bias by the mean error of its sums; by default not with "int8".
    rounding : {"nearest", "adaptive"}, optional
        Round weights to the nearest, or up or down for the least error of a layer's sums on the calibration samples;
        by default "nearest" with "int8", else "adaptive".
    drop_unread_units : bool
        Leave out units that no later weight reads. The logits stay the same.
    pack_activations : bool
        Keep activations of few bits packed while they wait, where that makes the arena smaller.
    input_noise : float
        The network adds fresh Gaussian noise to its input for every sample, the same bytes on every executor. This is
        its standard deviation, 0 to 256 levels of the input. It is the random noise defense of Qin et al. 2021.
    input_noise_seed : int
        Seed of that noise, 0 to 2^64 - 1.
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
    after = _after_training(post_training, ranges, flash_budget, cycle_budget, equalize, correct_bias, rounding)
    pipeline = Pipeline(
        _conversion(calibrate, features, input_range, input_bits, after),
        Rewrites(drop_unread_units, pack_activations, _noise(input_noise, input_noise_seed)),
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
    after: Callable[[SampleSet], PostTraining] | None,
) -> Conversion:
    """The options of a conversion; `after` makes those of post-training quantization from the samples."""
    stated = checked_range(input_range)
    if not PIXEL_BITS <= input_bits <= MOST_BITS:
        raise StqError(f"input_bits={input_bits} is not possible", next=f"choose {PIXEL_BITS} to {MOST_BITS}")
    if calibrate is None:
        if after is not None:
            raise StqError("post_training needs calibrate", next="give a few hundred samples like those trained on")
        return Conversion(stated, input_bits=input_bits)
    if isinstance(calibrate, str | os.PathLike):
        samples = load_samples(Path(calibrate))
    else:
        array = np.asarray(calibrate)
        samples = samples_of(array, features=array.ndim - 1 != PICTURE_AXES if features is None else features)
    if after is None:
        return Conversion(stated, samples=samples, input_bits=input_bits)
    return Conversion(stated, after(samples), input_bits=input_bits)


def _noise(sigma: float, seed: int) -> InputNoise | None:
    """The noise that a network is to add to its input; None without any."""
    if not 0 <= seed < 1 << 64:
        raise StqError(f"input_noise_seed={seed} is not possible", next="choose 0 to 2^64 - 1")
    if seed and not sigma:
        raise StqError("input_noise_seed applies to noise, and there is none", next="give input_noise too")
    return InputNoise(sigma, seed) if sigma else None


def _after_training(
    scheme: bool | str,
    ranges: str,
    flash: int | None,
    cycles: int | None,
    equalize: bool | None,
    correct: bool | None,
    rounding: str | None,
) -> Callable[[SampleSet], PostTraining] | None:
    """What makes the options of post-training quantization from calibration samples; None without it."""
    if not scheme:
        if (flash, cycles, equalize, correct, rounding) != (None,) * 5:
            raise StqError(
                "flash_budget, cycle_budget, equalize, correct_bias and rounding are options of post_training",
                next='give post_training="int8", "int4" or "mixed" too, or leave them out',
            )
        return None
    name = "int8" if scheme is True else str(scheme)
    if name not in SCHEMES:
        raise no_such(f"post_training={scheme!r} is not possible", name, SCHEMES)
    if ranges not in METHODS:
        raise no_such(f"ranges={ranges!r} is not possible", ranges, METHODS)
    if rounding is not None and rounding not in ROUNDINGS:
        raise no_such(f"rounding={rounding!r} is not possible", rounding, ROUNDINGS)
    method, budget = weight_method(name, equalize, correct, rounding), budget_of(flash, cycles)
    return lambda samples: PostTraining(samples, ranges, name, method, budget)


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
