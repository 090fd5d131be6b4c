"""The allow-list of quantizers."""

from __future__ import annotations

from typing import Any

import pytest

from stq_deploy.errors import StqError
from stq_deploy.frontend.quantizers import ACTIVATION_QUANTIZERS, KERNEL_QUANTIZERS, read_quantizer

ALL = tuple({*ACTIVATION_QUANTIZERS, *KERNEL_QUANTIZERS})


@pytest.mark.parametrize(
    ("described", "shown"),
    [
        ("quantized_relu(4,2)", "quantized_relu(4,2)"),
        ("quantized_bits(4,0,1,alpha='auto_po2')", "quantized_bits(4,0,symmetric=1,alpha='auto_po2')"),
        ("quantized_sigmoid(4,use_real_sigmoid=True)", "quantized_sigmoid(4,use_real_sigmoid=True)"),
        ({"class_name": "binary", "config": {"use_01": False, "alpha": "auto"}}, "binary(alpha='auto')"),
        (
            {"class_name": "quantized_relu", "config": {"bits": 3, "negative_slope": 0.25}},
            "quantized_relu(3,0,negative_slope=0.25)",
        ),
        ("stochastic_ternary(alpha='auto_po2')", "stochastic_ternary(alpha='auto_po2')"),
    ],
)
def test_reads_both_forms(described: Any, shown: str) -> None:
    quantizer = read_quantizer(described, ALL)
    assert str(quantizer) == shown
    assert str(read_quantizer(shown, ALL)) == shown


@pytest.mark.parametrize(
    ("described", "what"),
    [
        ("quantized_po2(4)", "'quantized_po2' is not supported"),
        ("eval('1')", "'eval' is not supported"),
        ("quantized_relu(9,2)", "bits=9 is not supported"),
        ("quantized_relu(2.5,2)", "bits=2.5"),
        ("quantized_relu(4,99)", "integer=99"),
        ("quantized_relu(4,2,1)", "use_sigmoid=1"),
        ("quantized_relu(4,2,negative_slope=0.3)", "negative_slope=0.3"),
        ("quantized_relu(4,2,relu_upper_bound=6)", "relu_upper_bound=6"),
        ("quantized_relu(4,2,is_quantized_clip=False)", "is_quantized_clip=False"),
        ("quantized_bits(4,0,qnoise_factor=0.5)", "qnoise_factor=0.5"),
        ("quantized_bits(4,0,alpha='max')", "alpha='max'"),
        ("quantized_bits(4,0,alpha=-1)", "alpha=-1"),
        ("quantized_bits(4,0,bits=4)", "repeated"),
        ("quantized_bits(1,2,3,4,5,6,7,8,9,10,11,12)", "too many"),
        ("ternary(alpha='auto',use_stochastic_rounding=True)", "use_stochastic_rounding=True"),
        ({"class_name": "ternary", "config": {"surprise": 1}}, "unknown parameter 'surprise'"),
        ({"class_name": "ternary", "config": {"alpha": {"class_name": "x"}}}, "alpha="),
        ({"class_name": "quantized_relu", "config": {"bits": float("inf")}}, "bits=inf"),
        ({"class_name": "quantized_relu", "config": {"bits": None}}, "bits=None"),
        ({"class_name": "ternary"}, "has no settings"),
        ({"class_name": ["ternary"], "config": {}}, "is not a quantizer"),
        (7, "is not a quantizer"),
    ],
)
def test_refuses_saying_what_to_do(described: Any, what: str) -> None:
    with pytest.raises(StqError) as caught:
        read_quantizer(described, ALL)
    assert what in caught.value.what
    assert caught.value.next
