"""Elementwise functions: their values, ranges and inverses, and what networks of them answer, beside Keras."""

from __future__ import annotations

import decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.lowering.curves import CurveArgument, make_curve
from stq_deploy.lowering.functions import FUNCTIONS, as_decimal, function_ends, function_value, inverse
from stq_deploy.network.ops import Curve
from stq_deploy.network.reference import run_layers
from stq_deploy.network.tensor import TensorType
from stq_deploy.pipeline import Conversion, convert_model

PARAMETERS = {"elu": (Fraction(5, 4),)}
ARGUMENTS = [Fraction(n, 16) for n in range(-160, 161, 7)]


def parameters_of(name: str) -> tuple[Fraction, ...]:
    return PARAMETERS.get(name, ())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_agree_with_float64(name: str) -> None:
    x = np.array([float(v) for v in ARGUMENTS])
    exact = np.array([float(function_value(name, parameters_of(name), v)) for v in ARGUMENTS])
    np.testing.assert_allclose(exact, FUNCTIONS[name].floats(x, parameters_of(name)), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", [name for name, function in FUNCTIONS.items() if function.inverse is not None])
def test_a_rising_function_is_inverted(name: str) -> None:
    for v in ARGUMENTS:
        found = inverse(name, parameters_of(name), function_value(name, parameters_of(name), v))
        assert not isinstance(found, bool)
        assert abs(found[0] - v) < Fraction(1, 10**30)
    assert inverse(name, parameters_of(name), Fraction(-10)) is True


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_range_holds_every_value(name: str) -> None:
    values = [function_value(name, parameters_of(name), v) for v in ARGUMENTS]
    for start in range(0, len(ARGUMENTS), 9):
        low, high = function_ends(name, parameters_of(name), (ARGUMENTS[start], ARGUMENTS[-1]))
        assert low <= min(values[start:]) and max(values[start:]) <= high


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("low", "high", "factor"), [(-700, 800, 100), (-200_000, 130_000, 30_000), (3, 3, 1)])
def test_every_entry_and_parabola_errs_by_what_is_proved(name: str, low: int, high: int, factor: int) -> None:
    argument = CurveArgument(Fraction(1, factor), Fraction(1, 7), low, high)
    step = Fraction(1, 2 ** (16 if name == "exponential" else 20))
    made = make_curve(name, parameters_of(name), argument, step)
    rng = np.random.default_rng(0)
    levels = np.unique(np.concatenate([rng.integers(low, high + 1, 300), [low, high, 0 if low <= 0 else low]]))
    found = curve_of(made, levels)
    with decimal.localcontext() as context:
        context.prec = 40
        for level, entry in zip(levels.tolist(), found.tolist(), strict=True):
            x = level * argument.factor + argument.offset
            true = Fraction(FUNCTIONS[name].value(as_decimal(x), parameters_of(name)))
            assert abs(entry * step - true) <= made.error, (level, float(x))


def curve_of(made: Any, levels: Any) -> Any:
    op = Curve("curve", ("x",), "y", (), table=made.table, base=made.base, shift=made.shift)
    type_ = TensorType((1,), "int32", -(2**31), 2**31 - 1, 1.0)
    return op.run([levels], [type_], type_)


def test_an_exponential_of_a_wide_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"too large|varies too much"):
        make_curve("exponential", (), CurveArgument(Fraction(1, 100), Fraction(0), -(10**6), 10**6), Fraction(1, 4))
    with pytest.raises(ValueError, match="varies too much"):
        make_curve("exponential", (), CurveArgument(Fraction(1, 400), Fraction(0), -(10**6), 7000), Fraction(1, 4))


NAMES = ("elu", "selu", "softplus", "softsign", "exponential", "swish", "gelu", "mish")
GRID = 2.0**-5


def layers_of_functions() -> dict[str, Any]:
    import tf_keras
    from tf_keras import layers

    slopes = tf_keras.initializers.RandomUniform(-1, 1, seed=3)
    return {name: layers.Activation(name) for name in NAMES} | {
        "ELU": layers.ELU(1.25),
        "PReLU": layers.PReLU(alpha_initializer=slopes),
        "ThresholdedReLU": layers.ThresholdedReLU(0.75),
        "ReLU": layers.ReLU(threshold=0.5, max_value=3.0, negative_slope=0.25),
    }


@pytest.mark.keras
@pytest.mark.parametrize("kind", ["levels", "sum", "unquantized"])
def test_networks_answer_as_keras(kind: str, tmp_path: Path) -> None:
    """Functions of levels, of a sum before a quantizer, and unquantized within the certified error."""
    import qkeras
    import tf_keras

    inputs = tf_keras.Input((12,))
    grid = qkeras.QActivation("quantized_bits(8,2,1,alpha=1)")(inputs)
    weights = tf_keras.initializers.RandomUniform(-1, 1, seed=5)
    outputs = []
    for layer in layers_of_functions().values():
        x = grid
        if kind != "levels":
            x = qkeras.QDense(9, kernel_quantizer="quantized_bits(3,0,1,alpha=0.125)", kernel_initializer=weights)(x)
        x = layer(x)
        outputs.append(x if kind == "unquantized" else qkeras.QActivation("quantized_bits(8,3,1,alpha=1)")(x))
    model = tf_keras.Model(inputs, outputs)
    model.save(tmp_path / "m.h5")
    network = convert_model(tmp_path / "m.h5")
    levels = np.random.default_rng(1).integers(-127, 128, (200, 12))
    answers = _all_outputs(network, levels)
    expected = model.predict((levels * GRID).astype(np.float32), verbose=0)
    certificates = network.metadata.certificates
    error = sum(c.largest_error or 0.0 for c in certificates.values())
    for name, ours, theirs in zip(layers_of_functions(), answers, expected, strict=True):
        if kind == "unquantized":
            assert np.abs(ours - theirs).max() <= min(error, 5e-3) + 1e-5 * np.abs(theirs).max(), name
            continue
        differs = ours != theirs
        # A float32 value may fall on the tie between two levels that its true value only approaches.
        assert (np.abs(ours - theirs)[differs] == GRID * 2).all(), name
        assert differs.mean() < 1e-3, name


def _all_outputs(network: Any, levels: Any) -> list[Any]:
    found = {op.output: value for op, value in run_layers(network, levels)}
    return [
        (found[name].astype(np.float64) - network.tensors[name].zero_point) * network.tensors[name].scale
        for name in network.outputs
    ]


@pytest.mark.keras
def test_slopes_that_differ_by_position_are_refused(tmp_path: Path) -> None:
    import tf_keras
    from tf_keras import layers

    inputs = tf_keras.Input((3, 3, 2))
    slopes = tf_keras.initializers.RandomUniform(0, 1, seed=3)
    model = tf_keras.Model(inputs, layers.PReLU(alpha_initializer=slopes)(inputs))
    model.save(tmp_path / "m.h5")
    with pytest.raises(StqError, match="its slopes differ within a channel"):
        convert_model(tmp_path / "m.h5", Conversion(input_range=(-1.0, 1.0)))
