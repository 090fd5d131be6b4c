"""Wrong arguments: the kernel says so, and has written nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels.bare_metal import Argument, Struct
from tests.helpers.kernels.kernel_library import KernelLibrary

ARGUMENT_ERROR = -1
UNTOUCHED = 99


def keep() -> Struct:
    return arguments.requantize("keep", "int32")


def window_arguments(op: str, **changed: Argument) -> list[Argument]:
    """Good arguments of a 2x2 kernel on 3x3x2 -> 2x2x2, some of them replaced."""
    good: dict[str, Argument] = {
        "context": arguments.context(np.zeros(4096, np.int32)),
        "params": arguments.conv_params(),
        "requantize": keep(),
        "input_dims": arguments.dims(3, 3, 2),
        "input": np.zeros(18, np.int8),
        "filter_dims": arguments.dims(2, 2, 2),
        "filter": np.zeros(64, np.uint32),
        "output_dims": arguments.dims(2, 2, 2),
        "output": np.full(8, UNTOUCHED, np.int32),
    }
    assert changed.keys() <= good.keys(), op
    return list((good | changed).values())


WRONG: dict[str, dict[str, Any]] = {
    "no context": {"context": None},
    "no scratch": {"context": Struct((None, 4096))},
    "too little scratch": {"context": arguments.context(np.zeros(1, np.int32))},
    "no parameters": {"params": None},
    "stride 0": {"params": arguments.conv_params(stride=(0, 1))},
    "dilation 0": {"params": arguments.conv_params(dilation=(1, 0))},
    "negative padding": {"params": arguments.conv_params(pad=(-1, 0))},
    "no requantization": {"requantize": None},
    "empty input": {"input_dims": arguments.dims(0, 3, 2)},
    "no input": {"input": None},
    "empty kernel": {"filter_dims": arguments.dims(2, 0, 2)},
    "other channels": {"filter_dims": arguments.dims(2, 2, 3)},
    "unequal groups": {"filter_dims": arguments.dims(2, 2, 1), "output_dims": arguments.dims(2, 2, 3)},
    "no weights": {"filter": None},
    "empty output": {"output_dims": arguments.dims(2, 2, 0)},
    "no output": {"output": None},
}


@pytest.mark.parametrize("op", ["convolve", "depthwise_convolve"])
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_window_kernels(library: KernelLibrary, op: str, wrong: dict[str, Any]) -> None:
    name = arguments.kernel_name(op, 2, "int8")
    assert library.call(name, *window_arguments(op)) == 0
    called = window_arguments(op, **wrong)
    assert library.call(name, *called) == ARGUMENT_ERROR
    output = called[-1]
    assert output is None or (isinstance(output, np.ndarray) and (output == UNTOUCHED).all())


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_gather_kernels(library: KernelLibrary, wrong: dict[str, Any]) -> None:
    def widened(window: Argument) -> Argument:
        return arguments.gather_params(window, (0, 15)) if isinstance(window, Struct) else None

    good = window_arguments("convolve")
    good[1] = widened(good[1])
    assert library.call("stq_gather8_t2_s8", *good) == 0
    called = window_arguments("convolve", **wrong)
    called[1] = widened(called[1])
    assert library.call("stq_gather8_t2_s8", *called) == ARGUMENT_ERROR
    output = called[-1]
    assert output is None or (isinstance(output, np.ndarray) and (output == UNTOUCHED).all())


def test_depth_multiplier_that_is_no_integer(library: KernelLibrary) -> None:
    called = window_arguments(
        "depthwise_convolve", filter_dims=arguments.dims(2, 2, 3), output_dims=arguments.dims(2, 2, 3)
    )
    assert library.call("stq_depthwise_convolve_t2_s8", *called) == ARGUMENT_ERROR


@pytest.mark.parametrize("position", range(8))
def test_dense(library: KernelLibrary, position: int) -> None:
    def good() -> list[Argument]:
        return [
            arguments.context(np.zeros(64, np.int32)), arguments.dense_params(), keep(), 4, np.zeros(4, np.int8),
            np.zeros(8, np.uint32), 2, np.full(2, UNTOUCHED, np.int32),
        ]  # fmt: skip

    assert library.call("stq_dense_s8_s8", *good()) == 0
    called = good()
    called[position] = 0 if isinstance(called[position], int) else None
    output = called[-1]
    assert library.call("stq_dense_s8_s8", *called) == ARGUMENT_ERROR
    assert output is None or (isinstance(output, np.ndarray) and (output == UNTOUCHED).all())


def scratch(words: int) -> Struct:
    return arguments.context(np.zeros(words, np.int32))


IMAGE = np.zeros((2, 2, 3), np.int8)
DIMS, ONE = arguments.dims(2, 2, 3), arguments.dims(1, 1, 3)
POOL = arguments.pool_params((2, 2), (2, 2), multiple=4)
PAIR = arguments.elementwise_params(("int8", "int8"))
CURVE = arguments.curve_params(("int8", "int16"), 3, -5, 2, -10, 10)
PART = (np.zeros(12, np.int8), 6, 0, 1)

GOOD: dict[str, list[Argument]] = {
    **{f"stq_max_pool_s{bits}": [POOL, DIMS, IMAGE.astype(f"int{bits}"), ONE] for bits in (8, 16, 32)},
    **{
        f"stq_average_pool_s{bits}": [scratch(3), POOL, keep(), DIMS, IMAGE.astype(f"int{bits}"), ONE]
        for bits in (8, 16, 32)
    },
    **{f"stq_{op}": [scratch(3), PAIR, keep(), 4, 3, IMAGE, IMAGE] for op in ("add", "maximum", "minimum", "multiply")},
    "stq_curve": [CURVE, np.array([1, 4, 9], np.int32), 12, IMAGE],
    "stq_softmax": [arguments.softmax_params("int8", 2), np.array([65536, 0], np.int32), 4, 3, IMAGE],
    "stq_rescale": [scratch(3), arguments.rescale_params("int8"), keep(), 4, 3, IMAGE],
    "stq_pad": [arguments.pad_params("int8", (1, 0), 7), DIMS, IMAGE, arguments.dims(3, 2, 3)],
    "stq_crop": [arguments.crop_params("int8", (1, 0)), DIMS, IMAGE, arguments.dims(1, 2, 3)],
    "stq_scatter": [arguments.scatter_params("int8", 2, 4), np.array([0, 3], np.int32), IMAGE],
    "stq_upsample": [arguments.upsample_params("int8", (2, 1)), DIMS, IMAGE],
    "stq_concatenate": [arguments.concatenate_params(2, 2, "int8"), arguments.concatenate_parts([PART, PART])],
}  # fmt: skip
"""Good arguments, except the output, of every kernel without weights or table."""

NARROW = Struct((None, 4096))


def part(**changed: Argument) -> Struct:
    fields = {"levels": PART[0], "type": 0, "elements": 6, "offset": 0, "factor": 1} | changed
    return Struct((*fields.values(), *fields.values()))


WRONG_STRUCTS: list[tuple[str, int, Argument]] = [
    ("stq_max_pool_s8", 0, arguments.pool_params((0, 2), (2, 2))),
    ("stq_max_pool_s16", 0, arguments.pool_params((2, 2), (2, 0))),
    ("stq_max_pool_s32", 0, arguments.pool_params((2, 2), (2, 2), (-1, 0))),
    ("stq_max_pool_s8", 3, arguments.dims(1, 1, 2)),
    ("stq_average_pool_s8", 0, scratch(2)),
    ("stq_average_pool_s8", 0, NARROW),
    ("stq_average_pool_s16", 1, arguments.pool_params((2, 2), (2, 2), multiple=0)),
    ("stq_average_pool_s32", 1, arguments.pool_params((2, 0), (2, 2), multiple=4)),
    ("stq_average_pool_s8", 5, arguments.dims(0, 1, 3)),
    ("stq_add", 0, scratch(2)),
    ("stq_maximum", 1, Struct((3, 0, 0, 0, 1, 1))),  # there is no such type
    ("stq_multiply", 1, Struct((0, -1, 0, 0, 1, 1))),
    *(
        ("stq_curve", 0, Struct((0, 1, *wrong)))
        for wrong in (
            (0, -5, 2, -10, 10),
            (3, -5, -1, -10, 10),
            (3, -5, 21, -10, 10),
            (3, -5, 2, 10, -10),
        )
    ),
    ("stq_curve", 0, Struct((3, 1, 3, -5, 2, -10, 10))),
    ("stq_curve", 0, Struct((0, -1, 3, -5, 2, -10, 10))),
    ("stq_curve", 2, 0),
    ("stq_softmax", 0, arguments.softmax_params("int8", 0)),
    ("stq_softmax", 0, Struct((3, 2))),
    ("stq_softmax", 3, 32768),
    ("stq_rescale", 0, scratch(2)),
    ("stq_rescale", 1, Struct((3, 0))),
    ("stq_pad", 0, Struct((3, 1, 0, 7))),
    ("stq_pad", 0, arguments.pad_params("int8", (2, 0), 7)),  # leaves the output below
    ("stq_pad", 0, arguments.pad_params("int8", (0, 1), 7)),
    ("stq_pad", 0, arguments.pad_params("int8", (-1, 0), 7)),
    ("stq_pad", 3, arguments.dims(3, 2, 4)),
    ("stq_crop", 0, Struct((3, 1, 0))),
    ("stq_crop", 0, arguments.crop_params("int8", (2, 0))),
    ("stq_crop", 0, arguments.crop_params("int8", (0, 1))),
    ("stq_crop", 0, arguments.crop_params("int8", (0, -1))),
    ("stq_scatter", 0, Struct((3, 2, 4))),
    ("stq_scatter", 0, arguments.scatter_params("int8", 0, 4)),
    ("stq_scatter", 0, arguments.scatter_params("int8", 5, 4)),
    ("stq_upsample", 0, Struct((3, 2, 1))),
    ("stq_upsample", 0, arguments.upsample_params("int8", (0, 1))),
    ("stq_upsample", 1, arguments.dims(2, 2, 0)),
    ("stq_concatenate", 0, arguments.concatenate_params(0, 2, "int8")),
    ("stq_concatenate", 0, arguments.concatenate_params(2, 0, "int8")),
    ("stq_concatenate", 0, Struct((2, 2, 3, 0))),
    ("stq_concatenate", 1, part(levels=None)),
    ("stq_concatenate", 1, part(type=3)),
    ("stq_concatenate", 1, part(elements=0)),
]


def refuses(library: KernelLibrary, kernel: str, called: list[Argument]) -> bool:
    output = np.full(36, UNTOUCHED, np.int32)
    return library.call(kernel, *called, output) == ARGUMENT_ERROR and bool((output == UNTOUCHED).all())


@pytest.mark.parametrize("kernel", GOOD)
def test_every_argument_is_needed(library: KernelLibrary, kernel: str) -> None:
    good = GOOD[kernel]
    assert library.call(kernel, *good, np.zeros(36, np.int32)) == 0
    assert library.call(kernel, *good, None) == ARGUMENT_ERROR
    for i, argument in enumerate(good):
        missing = 0 if isinstance(argument, int) else None
        assert refuses(library, kernel, [*good[:i], missing, *good[i + 1 :]])


@pytest.mark.parametrize(("kernel", "position", "argument"), WRONG_STRUCTS)
def test_wrong_parameters(library: KernelLibrary, kernel: str, position: int, argument: Argument) -> None:
    good = GOOD[kernel]
    assert refuses(library, kernel, [*good[:position], argument, *good[position + 1 :]])


def test_tables(library: KernelLibrary) -> None:
    table, x = np.zeros(256, np.int8), np.zeros(4, np.int8)
    params = Struct((0, 0, 1))
    assert library.call("stq_table_s8", table, -1, x, x) == ARGUMENT_ERROR
    assert library.call("stq_table_s8", None, 4, x, x) == ARGUMENT_ERROR
    assert library.call("stq_pair_table_s8", params, table, -1, x, x, x) == ARGUMENT_ERROR
    assert library.call("stq_pair_table_s8", None, table, 4, x, x, x) == ARGUMENT_ERROR
