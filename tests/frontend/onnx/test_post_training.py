"""A user's floating-point ONNX file through post-training quantization to 4 bits, against onnxruntime's outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import stq_deploy as stq

pytest.importorskip("onnx")

FILE = Path(__file__).parent / "models" / "float.onnx"


def test_four_bits_are_near_the_floats_and_eight_are_nearer() -> None:
    with np.load(FILE.with_suffix(".npz")) as stored:
        x, expected = stored["x"].transpose(0, 2, 3, 1), stored["y"]  # channels last, as a board gets them
    errors = {}
    for scheme in ("int4", "int8"):
        model = stq.convert(FILE, post_training=scheme, calibrate=x)
        found = np.asarray(model.predict(x, features=True)).reshape(expected.shape)
        errors[scheme] = float(np.sqrt(np.mean((found - expected) ** 2)) / np.std(expected))
    assert errors["int8"] < errors["int4"] < 0.5
    assert errors["int8"] < 0.05
