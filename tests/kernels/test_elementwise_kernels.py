"""Elementwise kernels against Python's integers, over tables of types and sizes, and up to the ends of int32."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels.elementwise_cases import (
    ELEMENTWISE,
    ELEMENTWISE_IN_PLACE,
    OPS,
    RESCALES,
    ElementwiseCase,
    Onto,
    RescaleCase,
    run_elementwise,
    run_rescale,
)
from tests.helpers.kernels.kernel_library import KernelLibrary
from tests.helpers.kernels.weighted_cases import OK


@pytest.mark.parametrize("op", OPS)
def test_elementwise(library: KernelLibrary, op: str) -> None:
    for case in ELEMENTWISE:
        if case.op == op:
            run_elementwise(library, case)


@pytest.mark.parametrize(("case", "onto"), ELEMENTWISE_IN_PLACE, ids=str)
def test_elementwise_may_replace_an_input(library: KernelLibrary, case: ElementwiseCase, onto: Onto) -> None:
    run_elementwise(library, case, onto)


@pytest.mark.parametrize("op", OPS)
def test_one_tensor_as_both_inputs_and_output(library: KernelLibrary, op: str) -> None:
    x = np.arange(-11, 12, dtype=np.int8)
    expected = {"add": 2 * x, "maximum": x, "minimum": x, "multiply": x.astype(np.int16) ** 2}[op]
    status = library.call(
        f"stq_{op}", arguments.context(np.zeros(23, np.int32)), arguments.elementwise_params(("int8", "int8")),
        arguments.requantize("keep"), 1, 23, x, x, x,
    )  # fmt: skip
    assert status == OK
    np.testing.assert_array_equal(x, expected)


def test_products_at_the_ends_of_int32(library: KernelLibrary) -> None:
    a = np.array([-(2**31), 2**31 - 1, 65536, -65536, 46341, 0, 1 - 2**31], np.int32)
    b = np.array([1, -1, 32767, 32768, 46340, 7, -1], np.int32)
    output = np.zeros(7, np.int32)
    status = library.call(
        "stq_multiply", arguments.context(np.zeros(7, np.int32)), arguments.elementwise_params(("int32", "int32")),
        arguments.requantize("keep", "int32"), 7, 1, a, b, output,
    )  # fmt: skip
    assert status == OK
    np.testing.assert_array_equal(output, a.astype(np.int64) * b)


@pytest.mark.parametrize("case", RESCALES, ids=str)
def test_rescale(library: KernelLibrary, case: RescaleCase) -> None:
    run_rescale(library, case)


@pytest.mark.parametrize(
    "case",
    [RescaleCase("int8", 9, 7, 3), RescaleCase("int16", 4, 70), RescaleCase("int32", 3, 5, form="multiplier_s16")],
    ids=str,
)
def test_rescale_may_replace_its_input(library: KernelLibrary, case: RescaleCase) -> None:
    run_rescale(library, case, in_place=True)
