"""Families of kernels: each op has one, none leaves a fact out, and what no family may run is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.network import TensorType
from stq_deploy.network.ops import OP_KINDS, AveragePool, Concatenate, Convolve, Op, Reshape, Table, Window
from stq_deploy.network.requantize import KeepAccumulator, TableRequantize
from stq_deploy.program.kernels import choice
from stq_deploy.program.kernels.choice import FAMILIES, all_kernels, candidates, choose
from stq_deploy.program.kernels.movement import Movement
from stq_deploy.program.kernels.spec import Kernel, KernelSpec, Refusal
from stq_deploy.program.kernels.table import TableKernels
from stq_deploy.program.kernels.work import Work

BYTES = TensorType((4,), "int8", -128, 127, 1.0)
TABLE = Table("t", ("x",), "y", (), np.zeros(256, np.int8))


def test_every_op_that_does_work_has_a_family() -> None:
    assert {spec.op for spec in FAMILIES} == set(OP_KINDS.values()) - {Reshape}


def test_no_two_kernels_have_one_name() -> None:
    names = [kernel.function for kernel in all_kernels()]
    assert len(names) == len(set(names))


METHODS = sorted(KernelSpec.__abstractmethods__)


def test_facts_of_a_family() -> None:
    assert METHODS == [
        "emit", "kernels", "limits", "may_replace", "scratch_bytes", "table_bytes", "traffic", "weights",
    ]  # fmt: skip


@pytest.mark.parametrize("missing", METHODS)
def test_a_family_that_leaves_a_fact_out_cannot_be_made(missing: str) -> None:
    gap = type("Gap", (TableKernels,), {missing: getattr(KernelSpec, missing)})
    with pytest.raises(TypeError, match=missing):
        gap(Table)


@dataclass(frozen=True, eq=False)
class Reverse(Op):
    kind: ClassVar[str] = "reverse"


def test_an_op_without_a_family_is_an_error() -> None:
    with pytest.raises(StqError, match="no family of kernels runs a reverse") as error:
        choose(Work(Reverse("r", ("x",), "y", ()), (BYTES,), BYTES))
    assert error.value.where == "layer 'r'"


def test_a_subclass_of_an_op_has_no_family_by_accident() -> None:
    class Sorted(Table):
        kind: ClassVar[str] = "sorted"

    with pytest.raises(StqError, match="no family"):
        choose(Work(Sorted("s", ("x",), "y", (), np.zeros(256, np.int8)), (BYTES,), BYTES))


class SmallTableKernels(TableKernels):
    """A second family, for tables of few levels."""

    def kernels(self) -> tuple[Kernel, ...]:
        return (Kernel("stq_table_small_s8", ("int8",)),)

    def limits(self, work: Work[Table]) -> Refusal | None:
        return Refusal("too many levels", "a fine quantizer") if work.inputs[0].maximum > 15 else None


FEW = TensorType((4,), "int8", 0, 15, 1.0)


def names(x: TensorType) -> list[str]:
    return [one.kernel.function for one in candidates(Work(TABLE, (x,), BYTES))]


def test_of_several_families_the_first_that_may_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAMILIES", (SmallTableKernels(Table), *FAMILIES))
    assert names(FEW) == ["stq_table_small_s8", "stq_table_s8"]
    assert names(BYTES) == ["stq_table_s8"]


def test_if_no_family_may_the_first_ones_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAMILIES", (SmallTableKernels(Table),))
    with pytest.raises(StqError, match="cannot run this network: too many levels") as error:
        choose(Work(TABLE, (BYTES,), BYTES))
    assert error.value.cause == "a fine quantizer"


def pooled(requantize: Any, size: tuple[int, int], window: Window) -> Work[Op]:
    x = TensorType((*size, 1), "int8", 0, 1, 1.0)
    rows, columns = window.output_size(*size)
    y = TensorType((rows, columns, 1), "int32", 0, 1, 1.0)
    return Work(AveragePool("p", ("x",), "y", (), window, requantize), (x,), y)


ONE = Window((1, 1))
REFUSED = {
    "types": (
        Work(TABLE, (TensorType((4,), "int16", 0, 3, 1.0),), BYTES),
        "no kernel runs a table on int16",
    ),
    "width of weights": (
        Work(
            Convolve("c", ("x",), "y", (), np.zeros((1, 1, 1, 1), np.int8), 3, KeepAccumulator(1, 0, 0), ONE),
            (TensorType((1, 1, 1), "int8", 0, 3, 1.0),),
            TensorType((1, 1, 1), "int32", 0, 0, 1.0),
        ),
        "no kernel runs a convolve with 3-bit weights on int8",
    ),
    "zero point": (
        Work(TABLE, (TensorType((4,), "int8", 0, 3, 1.0, zero_point=-(2**31)),), BYTES),
        "zero point -2147483648 does not fit 32 bits",
    ),
    "zero point of a concatenation": (
        Work(
            Concatenate("j", ("x", "x"), "y", (), 0, (1, 1)),
            (BYTES, BYTES),
            TensorType((8,), "int8", 0, 3, 1.0, zero_point=-(2**31)),
        ),
        "zero point -2147483648 does not fit 32 bits",
    ),
    "factor of a concatenation": (
        Work(Concatenate("j", ("x", "x"), "y", (), 0, (1, 2**30)), (BYTES, BYTES), TensorType((8,), "int8", 0, 3, 1.0)),
        "factor 1073741824 overflows",
    ),
    "common multiple": (
        pooled(KeepAccumulator(1, 0, 1), (40, 40), Window((40, 40), pad_before=(39, 39), pad_after=(39, 39))),
        "no common multiple of 32 bits",
    ),
    "table's base": (
        pooled(TableRequantize(np.zeros((1, 4), np.int8), 2**31, 1), (1, 1), ONE),
        "table base 2147483648 does not fit 32 bits",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("work", "message"), REFUSED.values(), ids=REFUSED)
def test_what_no_kernel_may_run_is_refused(work: Work[Op], message: str) -> None:
    with pytest.raises(StqError, match=message):
        choose(work)


def test_movement_without_a_call_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="emit"):
        Movement(Reshape)
