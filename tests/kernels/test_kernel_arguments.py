"""Wrong arguments: the kernel says so, and has written nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_library import KernelLibrary

from stq_deploy.emulator import kernel_arguments as arguments
from stq_deploy.emulator.bare_metal import Argument, Struct

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
    "no requantisation": {"requantize": None},
    "empty input": {"input_dims": arguments.dims(0, 3, 2)},
    "no input": {"input": None},
    "empty kernel": {"filter_dims": arguments.dims(2, 0, 2)},
    "other channels": {"filter_dims": arguments.dims(2, 2, 3)},
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


@pytest.mark.parametrize("position", range(5))
def test_max_pool(library: KernelLibrary, position: int) -> None:
    called: list[Argument] = [
        arguments.pool_params((2, 2), (2, 2)), arguments.dims(2, 2, 3), np.zeros(12, np.int8),
        arguments.dims(1, 1, 3), np.full(3, UNTOUCHED, np.int8),
    ]  # fmt: skip
    assert library.call("stq_max_pool_s8", *called) == 0
    called[position] = None
    assert library.call("stq_max_pool_s8", *called) == ARGUMENT_ERROR


@pytest.mark.parametrize("op", ["add", "multiply"])
def test_elementwise(library: KernelLibrary, op: str) -> None:
    a = np.zeros(4, np.int8)
    output = np.full(4, UNTOUCHED, np.int32)

    def call(params: Argument, context: Argument, channels: int = 4) -> int:
        return library.call(f"stq_{op}", context, params, keep(), 1, channels, a, a, output)

    params = Struct((0, 0, 0, 0, 1, 1))
    scratch = arguments.context(np.zeros(4, np.int32))
    assert call(Struct((2, 0, 0, 0, 1, 1)), scratch) == ARGUMENT_ERROR  # int32 operands are not supported
    assert call(None, scratch) == ARGUMENT_ERROR
    assert call(params, arguments.context(np.zeros(3, np.int32))) == ARGUMENT_ERROR
    assert call(params, scratch, 0) == ARGUMENT_ERROR
    assert (output == UNTOUCHED).all()
    assert call(params, scratch) == 0


def test_tables(library: KernelLibrary) -> None:
    table, x = np.zeros(256, np.int8), np.zeros(4, np.int8)
    params = Struct((0, 0, 1))
    assert library.call("stq_table_s8", table, -1, x, x) == ARGUMENT_ERROR
    assert library.call("stq_table_s8", None, 4, x, x) == ARGUMENT_ERROR
    assert library.call("stq_pair_table_s8", params, table, -1, x, x, x) == ARGUMENT_ERROR
    assert library.call("stq_pair_table_s8", None, table, 4, x, x, x) == ARGUMENT_ERROR
