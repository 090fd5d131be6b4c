"""Numbers and pixels to levels, and levels to numbers, in C: what NumPy makes of them, whatever compiles the C."""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from stq_deploy.codegen.conversion import float_keys, key_values
from stq_deploy.network import Network, TensorType
from stq_deploy.network.input_format import (
    Domain,
    InputRounding,
    LinearRounding,
    ThresholdRounding,
    quantize_input,
)
from stq_deploy.network.ops import MaxPool, Window
from stq_deploy.toolchain.host_compiler import find_host_compiler
from stq_deploy.toolchain.host_library import kernel_objects
from tests.helpers.embedding import own_library
from tests.helpers.embedding.own_library import OK, Own, build_library, include_folder, write_networks
from tests.helpers.networks import random_levels, random_network

SHAPE = (2, 2, 3)
ELEMENTS, CHANNELS = 12, 3
FLAGS = ["gcc -O0", "gcc -O3 -march=native", "gcc -Ofast -march=native", "clang -O3", "clang -Ofast -march=native"]


def linear(*factors: float, offset: float = 0.0) -> LinearRounding:
    rows = np.array(factors, np.float64)
    return LinearRounding(rows, np.linspace(offset, offset + 1, len(rows)))


def steps(levels: int, *signs: int) -> ThresholdRounding:
    """Thresholds at irregular distances, one of them always reached, one never."""
    rows = np.sort(np.tan(np.linspace(-1.4, 1.3, levels * len(signs))).reshape(len(signs), levels), axis=1)
    rows[0, 0], rows[-1, -1] = -np.inf, np.inf
    return ThresholdRounding(rows.astype(np.float32), np.array(signs, np.int8))


INPUTS: dict[str, tuple[dict[str, Any], InputRounding | None, tuple[float, float]]] = {
    "pixels": ({"scale": 2**-8, "zero_point": -128}, None, (0, 1)),
    "pixels_of_range": ({"scale": 2**-7}, None, (-1, 1)),
    "odd_scale": ({"scale": 0.0123, "zero_point": 5, "minimum": -100, "maximum": 90}, None, (0, 1)),
    "constant": ({"scale": 1.0, "minimum": 3, "maximum": 3}, None, (0, 1)),
    "wide": ({"scale": 0.000731, "dtype": "int16", "minimum": -32768, "maximum": 32767}, None, (-8, 8)),
    "linear": ({"scale": 1.0}, linear(0.3), (0, 255)),
    "by_channel": ({"scale": 1.0, "zero_point": -3}, linear(4.1, -0.07, 900.5, offset=-7.25), (0, 255)),
    "no_slope": ({"scale": 1.0}, linear(0.0, 1e30, -1e-30), (0, 1)),
    "by_element": (
        {"scale": 1.0, "dtype": "int16", "minimum": -2000, "maximum": 3000},
        linear(*np.linspace(-3, 9, ELEMENTS)), (0, 255),
    ),
    "steps": ({"scale": 1.0, "minimum": -4, "maximum": 11}, steps(15, 1), (0, 1)),
    "steps_by_channel": ({"scale": 1.0, "minimum": 0, "maximum": 3}, steps(3, 1, -1, 1), (-2, 2)),
    "of_features": ({"scale": 0.25}, None, (0, 1)),
}  # fmt: skip


def network(name: str) -> Network:
    """A network that only passes its input on."""
    form, rounding, input_range = INPUTS[name]
    image = TensorType(SHAPE, **({"dtype": "int8", "minimum": -128, "maximum": 127} | form))
    op = MaxPool("copy", ("image",), "copy", (), Window((1, 1)))
    tensors = {"image": image, "copy": image}
    domain = Domain(-5.0, 5.0, features=True) if name == "of_features" else None
    return Network(
        tensors, (op,), "image", ("copy",), input_range=input_range, input_rounding=rounding, input_domain=domain
    )


def reference(made: Network, values: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Levels of values (N, 12). A value outside the range is clamped instead of refused."""
    form = replace(made.input_format, domain=None)
    with np.errstate(over="ignore"):
        return form.levels(values.reshape(-1, *SHAPE)).reshape(-1, ELEMENTS)


def telling_values(made: Network) -> npt.NDArray[np.float32]:
    """Both sides of every change of level of each element, as far as a search from afar finds them; and odd numbers."""
    rng = np.random.default_rng(0)
    spread = rng.normal(size=(3000, ELEMENTS)) * 10.0 ** rng.integers(-6, 6, (3000, 1))
    levels = np.arange(made.input_type.minimum, made.input_type.maximum + 1)
    of_elements = np.repeat(levels[:, None], ELEMENTS, 1).reshape(-1, *SHAPE)
    middles = made.input_format.values(of_elements).reshape(-1, ELEMENTS)
    ties = ((middles[1:].astype(np.float64) + middles[:-1]) / 2).astype(np.float32)
    odd = [0.0, -0.0, 1e-45, -1e-45, 1.2e-38, np.finfo(np.float32).max, -np.finfo(np.float32).max]
    base = np.concatenate([spread.astype(np.float32), middles, ties, np.repeat(np.float32(odd)[:, None], ELEMENTS, 1)])
    with np.errstate(over="ignore"):
        beside = [np.nextafter(base, np.float32(side)) for side in (-np.inf, np.inf)]
    every = np.concatenate([*beside, base]).astype(np.float32)
    return every[np.isfinite(every).all(axis=1)]


def quantized(own: Own, values: npt.NDArray[Any], suffix: str) -> npt.NDArray[np.int64]:
    """Levels that the C makes of (N, 12) values."""
    values = np.ascontiguousarray(values)
    levels = np.full(values.shape, 99, own.network.input_type.dtype)
    function = own.library[f"{own.name}_quantize_{suffix}"]
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    source, target = values.ctypes.data, levels.ctypes.data  # a view for each of 400,000 rows would take seconds
    for row in range(len(values)):
        function(source + row * values.strides[0], target + row * levels.strides[0])
    return levels.astype(np.int64)


@pytest.fixture(scope="module", params=FLAGS)
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, host_cache: Path) -> ctypes.CDLL:
    """The networks of `INPUTS`, as these flags compile them."""
    compiler, *flags = request.param.split()
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    folder = tmp_path_factory.mktemp("conversion")
    made = {name: network(name) for name in INPUTS}
    sources = write_networks(folder, made)
    includes = [f"-I{path}" for path in (*(folder / name for name in made), include_folder())]
    objects = kernel_objects(find_host_compiler(), "reference", own_library.FLAGS, host_cache)
    compiled = folder / "compiled"
    compiled.mkdir()
    command = [compiler, "-std=c99", *flags, *includes, "-fPIC", "-c", *sources]
    subprocess.run([*map(str, command)], check=True, timeout=300, cwd=compiled)
    # Linked without -Ofast, which would let this whole process flush small numbers to zero.
    command = [compiler, "-shared", *sorted(compiled.glob("*.o")), *objects, "-o", folder / "own.so"]
    subprocess.run([*map(str, command)], check=True, timeout=300)
    return ctypes.CDLL(str(folder / "own.so"))


@functools.cache
def telling_values_and_levels(name: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Telling values for an input, and NumPy's levels of them: the same for all compilers."""
    made = network(name)
    values = telling_values(made)
    return values, reference(made, values)


@pytest.mark.parametrize("name", INPUTS)
def test_numbers_become_the_levels_of_numpy(library: ctypes.CDLL, name: str) -> None:
    own = Own(library, name, network(name))
    values, expected = telling_values_and_levels(name)
    assert np.array_equal(quantized(own, values, "f32"), expected)
    assert name == "constant" or len(np.unique(expected)) > 3


@pytest.mark.parametrize("name", INPUTS)
def test_no_number_makes_a_level_that_was_not_certified(library: ctypes.CDLL, name: str) -> None:
    own = Own(library, name, network(name))
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2**32, (2000, ELEMENTS), dtype=np.uint32)
    patterns = [0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000]
    bits[: len(patterns)] = np.array(patterns, np.uint32)[:, None]
    levels = quantized(own, bits.view(np.float32), "f32")
    assert own.network.input_type.holds(levels)
    zero = reference(own.network, np.zeros((1, ELEMENTS), np.float32))
    assert (levels[2:7] == zero).all()  # NaN
    ends = reference(own.network, np.float32([[3e38] * ELEMENTS, [-3e38] * ELEMENTS]))
    assert np.array_equal(levels[:2], ends) or name in ("no_slope", "steps", "steps_by_channel")


@pytest.mark.parametrize("name", [name for name in INPUTS if name != "of_features"])
def test_pixels_become_the_levels_of_numpy(library: ctypes.CDLL, name: str) -> None:
    own = Own(library, name, network(name))
    pixels = np.arange(256, dtype=np.uint8)[:, None] + np.arange(ELEMENTS, dtype=np.uint8)
    expected = quantize_input(pixels.reshape(-1, *SHAPE), replace(own.network.input_format, domain=None))
    assert np.array_equal(quantized(own, pixels, "u8"), expected.reshape(-1, ELEMENTS))


def test_a_network_of_features_takes_no_pixels(library: ctypes.CDLL) -> None:
    assert hasattr(library, "pixels_quantize_u8") and not hasattr(library, "of_features_quantize_u8")


def test_keys_keep_the_order_of_floats() -> None:
    values = np.float32([-np.inf, -2, -1e-45, -0.0, 0.0, 1e-45, 1, 3.4e38, np.inf])
    keys = float_keys(values)
    assert (np.diff(keys) > 0).all() and np.array_equal(key_values(keys).view(np.uint32), values.view(np.uint32))


NETWORKS = {"several": random_network(979, 40), "softmax": random_network(5)}


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_come_as_numbers_and_classes(name: str, tmp_path: Path, host_cache: Path) -> None:
    made = NETWORKS[name]
    own = Own(build_library(tmp_path, host_cache, {name: made}), name, made)
    for levels in random_levels(made, 3):
        own.write(levels)
        assert own.call("run") == OK
        for index, output in enumerate(made.outputs):
            spec, found = made.tensors[output], own.output(index).astype(np.float64)
            numbers = np.empty(spec.elements, np.float32)
            assert own.call("dequantize", index, ctypes.c_void_p(numbers.ctypes.data)) == OK
            assert np.array_equal(numbers, ((found - spec.zero_point) * spec.scale).astype(np.float32).ravel())
            assert own.call("argmax", index) == int(np.argmax(found))
    assert own.call("argmax", len(made.outputs)) == own.call("argmax", -1) == -1
    assert own.call("dequantize", -1, None) == -1
