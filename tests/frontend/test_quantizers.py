"""The allow-list of quantizers."""

from __future__ import annotations

from typing import Any

import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.quantizers import (
    ACTIVATION,
    ANYTHING,
    CONSTANT,
    KERNEL,
    PARAMETERS,
    Role,
    make_quantizer,
    read_quantizer,
)


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
        ("quantized_linear(6,-2,0,alpha=0.5)", "quantized_linear(6,-2,symmetric=0,alpha=0.5)"),
        ("quantized_po2(4,2,log2_rounding='floor')", "quantized_po2(4,max_value=2,log2_rounding='floor')"),
        ("quantized_relu_po2(6, 2048)", "quantized_relu_po2(6,max_value=2048)"),
        ("quantized_relu(4,1,1,0.25)", "quantized_relu(4,1,use_sigmoid=1,negative_slope=0.25)"),
        ("quantized_bits(31,5)", "quantized_bits(31,5)"),
    ],
)
def test_reads_both_forms(described: Any, shown: str) -> None:
    quantizer = read_quantizer(described, ANYTHING)
    assert str(quantizer) == shown
    assert str(read_quantizer(shown, ANYTHING)) == shown


@pytest.mark.parametrize(
    ("described", "what"),
    [
        ("quantized_ulaw(4)", "'quantized_ulaw' is not supported for anything: its levels are not evenly spaced"),
        ("bernoulli()", "draws at random"),
        ("eval('1')", "'eval' is not supported"),
        ("quantized_relu(33,2)", "bits=33 is not supported"),
        ("quantized_relu(2.5,2)", "bits=2.5"),
        ("quantized_relu(4,99)", "integer=99"),
        ("quantized_relu(4,-1)", "integer=-1"),
        ("quantized_relu(4,2,2)", "use_sigmoid=2"),
        ("quantized_relu(4,2,negative_slope=0.3)", "negative_slope=0.3"),
        ("quantized_relu(4,2,negative_slope=2)", "negative_slope=2"),
        ("quantized_relu(4,2,relu_upper_bound=-6)", "relu_upper_bound=-6"),
        ("quantized_relu(4,1,relu_upper_bound=0.7,is_quantized_clip=False)", "which are 0.125 apart"),
        ("quantized_bits(4,0,qnoise_factor=0.5)", "qnoise_factor=0.5"),
        ("quantized_bits(4,0,alpha='max')", "alpha='max'"),
        ("quantized_bits(4,0,alpha=-1)", "alpha=-1"),
        ("quantized_bits(4,0,alpha=True)", "alpha=True"),
        ("quantized_bits(4,0,bits=4)", "repeated"),
        ("quantized_bits(1,2,3,4,5,6,7,8,9,10,11,12)", "too many"),
        ("quantized_bits(4,0,scale_axis=4)", "scale_axis=4"),
        ("ternary(alpha=1,use_stochastic_rounding=True)", "use_stochastic_rounding=True and a fixed alpha"),
        ("ternary(alpha='auto',threshold=0.2)", "a threshold and a fitted alpha"),
        ("binary(alpha='auto',use_stochastic_rounding=True)", "use_stochastic_rounding=True"),
        ("quantized_po2(1)", "bits=1"),
        ("quantized_po2(4,max_value=0)", "max_value=0"),
        ("quantized_po2(4,log2_rounding='ceil')", "log2_rounding='ceil'"),
        ({"class_name": "ternary", "config": {"surprise": 1}}, "unknown parameter 'surprise'"),
        ({"class_name": "ternary", "config": {"alpha": {"class_name": "x"}}}, "alpha="),
        ({"class_name": "ternary", "config": {"alpha": [1.0, 2.0]}}, "alpha=[1.0, 2.0]"),
        ({"class_name": "quantized_relu", "config": {"bits": float("inf")}}, "bits=inf"),
        ({"class_name": "quantized_relu", "config": {"bits": 10**400}}, "bits=1000"),
        ({"class_name": "quantized_relu", "config": {"bits": None}}, "bits=None"),
        ({"class_name": "ternary"}, "has no settings"),
        ({"class_name": ["ternary"], "config": {}}, "is not a quantizer"),
        (7, "is not a quantizer"),
    ],
)
def test_refuses_saying_what_to_do(described: Any, what: str) -> None:
    with pytest.raises(StqError) as caught:
        read_quantizer(described, ANYTHING)
    assert what in caught.value.what
    assert caught.value.next


@pytest.mark.parametrize(
    ("role", "taken", "refused", "hint"),
    [
        (KERNEL, "quantized_bits(16,2)", "quantized_bits(17,2)", "up to 16 bits"),
        (KERNEL, "quantized_bits(15,2,keep_negative=False)", "quantized_bits(16,2,keep_negative=False)", "up to 15"),
        (KERNEL, "ternary(alpha=1,threshold=0.2)", "ternary(threshold=0.2)", "set alpha to a number"),
        (KERNEL, "binary()", "quantized_relu(4)", "use quantized_bits instead"),
        (CONSTANT, "ternary(threshold=0.2)", "ternary(alpha='auto',threshold=0.2)", "leave out the threshold"),
        (CONSTANT, "quantized_bits(32,8)", "quantized_bits(32,8,keep_negative=False)", "up to 31 bits"),
        (ACTIVATION, "quantized_relu(15,4)", "quantized_relu(16,4)", "up to 15 bits"),
        (ACTIVATION, "quantized_bits(16,4)", "quantized_linear(17,4)", "up to 16 bits"),
        (ACTIVATION, "quantized_sigmoid(15)", "quantized_sigmoid(16)", "up to 15 bits"),
        (ACTIVATION, "quantized_tanh(16)", "quantized_tanh(17)", "up to 16 bits"),
        (ACTIVATION, "quantized_sigmoid(8,0,1)", "quantized_sigmoid(9,0,1)", "up to 8 bits"),
        (ACTIVATION, "quantized_tanh(8,0,0,1)", "quantized_tanh(9,0,0,1)", "up to 8 bits"),
        (ACTIVATION, "quantized_relu(16,2,0,0.5)", "quantized_relu(17,2,0,0.5)", "up to 16 bits"),
        (ACTIVATION, "quantized_relu(8,2,1,0.5)", "quantized_relu(9,2,1,0.5)", "up to 8 bits"),
        (ACTIVATION, "quantized_relu(8,2,1)", "quantized_relu(9,2,1)", "up to 8 bits"),
        (ACTIVATION, "quantized_relu(2,0,0,0.0078125)", "quantized_relu(2,0,0,0.00390625)", "0.0078125 or more"),
        (ACTIVATION, "quantized_relu(3,1,1,0.25)", "quantized_relu(3,1,1,0.125)", "a negative_slope of 0.25 or more"),
        (ACTIVATION, "quantized_bits(4,0)", "quantized_po2(4)", "use quantized_bits instead"),
        (ACTIVATION, "quantized_relu(4,0)", "quantized_relu_po2(4)", "use quantized_relu instead"),
        (ACTIVATION, "quantized_relu(4,0)", "quantized_hswish(4)", "use quantized_relu instead"),
    ],
)
def test_what_each_role_takes(role: Role, taken: str, refused: str, hint: str) -> None:
    assert str(read_quantizer(taken, role)).startswith(taken.split("(", maxsplit=1)[0])
    with pytest.raises(StqError) as caught:
        read_quantizer(refused, role)
    assert hint in caught.value.next


def test_the_examples_and_defaults_are_accepted() -> None:
    for name, parameters in PARAMETERS.items():
        for key, (default, values) in parameters.items():
            assert values.accepts(default), (name, key)
            assert values.accepts(values.example), (name, key)
            assert values.shown


def test_made_quantizers_are_those_that_a_file_could_name() -> None:
    assert make_quantizer("quantized_bits", bits=3, symmetric=True) == read_quantizer("quantized_bits(3,0,1)", ANYTHING)


@pytest.mark.keras
def test_parameters_are_those_of_qkeras() -> None:
    import inspect

    import qkeras.quantizers

    for name, parameters in PARAMETERS.items():
        if name != "quantized_linear":  # which qkeras 0.9.0 does not have
            signature = inspect.signature(getattr(qkeras.quantizers, name)).parameters
            assert [(p.name, p.default) for p in signature.values()] == [(k, d) for k, (d, _) in parameters.items()]
