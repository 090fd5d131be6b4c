"""One random model against Keras's own predictions on raw samples: every difference is explained, or fails."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.evaluation.float_comparison import compare_with_float
from stq_deploy.evaluation.float_model import FloatModel
from stq_deploy.evaluation.inputs import Inputs
from stq_deploy.network import Network
from stq_deploy.network.reference import run
from stq_deploy.pipeline import Conversion, convert_model
from tests.helpers.sweep.check_model import LIMITS
from tests.helpers.sweep.input_domains import Case

LEFT_OUT = (*LIMITS, "its sum can exceed")
Reals = npt.NDArray[np.float64]


@dataclass
class Compared:
    """Counts of samples by result.

    Attributes:
        refused: why the model has no integer form, or "".
        samples: how many were compared.
        rounding: predictions that differ as float32 rounds an activation, or the output itself, to the other side.
        fixed_point: those of a network that rounds what nobody quantized to fixed point, which it says.
        input_rounding: of an input that the model does not quantize: Keras agrees on the rounded samples.
        unexplained: predictions that differ for none of these reasons.
        float_column: predictions of our float model that differ from Keras's own.
    """

    refused: str = ""
    samples: int = 0
    rounding: int = 0
    fixed_point: int = 0
    input_rounding: int = 0
    unexplained: int = 0
    float_column: int = 0


def check_against_keras(case: Case, folder: Path) -> Compared:
    """Save the model with Keras, convert it, and compare what both say of raw, unclipped samples.

    Raises:
        StqError: refused for another reason than sums or levels too large for the integer types.
    """
    from stq_deploy.research.quantizers.exact import keep_order_of_additions

    keep_order_of_additions()  # else TensorFlow moves activations off their grid, from call to call otherwise
    model, x = case.recipe.build(), case.samples()
    path = folder / "model.h5"
    model.save(path)
    conversion = _conversion(x)
    try:
        network = convert_model(path, conversion)
    except StqError as error:
        if not any(limit in error.what for limit in LEFT_OUT):
            raise
        return Compared(refused=error.what)
    format = network.input_format
    inputs = Inputs(x, format.levels(format.model_values(x, features=True)), 0)
    keras = np.asarray(model.predict(x, verbose=0), np.float64)
    ours = _outputs(network, inputs.levels).reshape(keras.shape)
    found = Compared(samples=len(x))
    floats = FloatModel(path, conversion)
    again = np.asarray(floats.keras.predict(x, verbose=0), np.float64)
    unstable = [not _agrees(case, again[i : i + 1], keras[i : i + 1]) for i in range(len(x))]
    for i in np.flatnonzero(unstable):  # Keras may contradict itself at a rounding tie
        eager = np.asarray(model(x[i : i + 1], training=False), np.float64)
        found.float_column += not _agrees(case, again[i : i + 1], eager)
    differing = np.flatnonzero((_predictions(case, ours) != _predictions(case, keras)).any(axis=1))
    for i in differing:
        why = "rounding" if unstable[i] else _reason(case, model, floats, network, inputs, int(i), ours)
        setattr(found, why, getattr(found, why) + 1)
    return found


def _conversion(x: npt.NDArray[np.float32]) -> Conversion:
    """The samples' range, which counts where the model does not quantize its input itself."""
    bound = float(np.ceil(np.abs(x).max()))
    return Conversion(input_range=(-bound, bound), input_bits=12)


def _outputs(network: Network, levels: npt.NDArray[Any]) -> Reals:
    """The network's output as real numbers, with what Keras computes of it at the end."""
    spec = network.output_type
    real = (run(network, levels).astype(np.float64) - spec.zero_point) * spec.scale
    functions = network.metadata.output_functions[0]
    return 1 / (1 + np.exp(-real)) if "sigmoid" in functions else real


def _predictions(case: Case, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(N, predictions) that a user reads of outputs: the class, whether one unit says yes, or a picture's numbers."""
    flat = outputs.reshape(len(outputs), -1).astype(np.float64)
    if case.ending == "classes":
        return flat.argmax(axis=1)[:, None]
    return flat > 0.5 if case.ending == "one output" else np.round(flat, 3)


def _reason(case: Case, model: Any, floats: FloatModel, network: Network, inputs: Inputs, i: int, ours: Reals) -> str:
    """The field of `Compared` that sample i counts in."""
    one = Inputs(inputs.values[i : i + 1], inputs.levels[i : i + 1], 0)
    if _is_near(case, np.asarray(model.predict(one.values, verbose=0), np.float64), ours[i : i + 1]):
        return "rounding"
    seen = one.values
    if network.input_domain is not None:
        seen = network.input_format.values(one.levels)
        rounded = np.asarray(model.predict(seen, verbose=0), np.float64)
        if _agrees(case, ours[i : i + 1], rounded):
            return "input_rounding"
    compared = compare_with_float(floats, network, one)
    inexact = [
        c for name, c in network.metadata.certificates.items()
        if not c.exact and name not in network.outputs
    ]  # fmt: skip
    if compared.total("unexplained") == 0 and compared.total("rounding") > 0:
        return "rounding"
    return "fixed_point" if inexact else "unexplained"


def _agrees(case: Case, outputs: Reals, keras: Reals) -> bool:
    """Whether both say the same, or differ by float32's rounding alone."""
    return bool((_predictions(case, outputs) == _predictions(case, keras)).all()) or _is_near(case, keras, outputs)


def _is_near(case: Case, keras: Reals, ours: Reals) -> bool:
    """Whether the outputs agree up to float32: then only which of two equal numbers is larger differs."""
    return (
        bool(np.abs(keras - ours).max() <= 2e-3 + 1e-5 * np.abs(keras).max())
        if case.ending != "classes"
        else (_ties(keras))
    )


def _ties(keras: Reals) -> bool:
    """Whether Keras's two largest outputs are equal up to float32."""
    first, second = np.sort(keras.reshape(-1))[-1:-3:-1]
    return bool(first - second <= 1e-5 * max(1.0, abs(first)))
