"""`tools/run_hls4ml_tests` on a checkout of our own making, with tests as hls4ml writes them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent.parent

TESTS = """
import numpy as np
import pytest
from keras.models import Sequential
from keras.layers import LSTM, Input
from qkeras import QActivation, QDense, binary, quantized_bits
import hls4ml


def converted(model, **more):
    config = hls4ml.utils.config_from_keras_model(model, granularity='name', backend='Vivado', **more)
    made = hls4ml.converters.convert_from_keras_model(
        model, hls_config=config, output_dir='never', backend='Vitis', io_type='io_stream', part='x', bit_exact=True
    )
    made.compile()
    return made


@pytest.mark.parametrize('backend', ['Vivado', 'Vitis'])
@pytest.mark.parametrize('io_type', ['io_parallel', 'io_stream'])
@pytest.mark.parametrize('more', [{}, {'default_precision': 'fixed<24,8>'}], ids=['narrow', 'wide'])
def test_raw_input(backend, io_type, more):
    bits = quantized_bits(4, 0, alpha=1)
    model = Sequential([QDense(3, input_shape=(6,), kernel_quantizer=bits), QActivation('quantized_relu(8,2)')])
    x = np.random.default_rng(0).integers(-2000, 2000, (50, 6)) / 1024
    np.testing.assert_array_equal(converted(model, **more).predict(x), model.predict(x))


def test_binary_names_and_zeros():
    model = Sequential([QDense(3, input_shape=(6,), kernel_quantizer=binary(), name='d', activation=binary(alpha=1))])
    made = converted(model)
    assert 'bnbt_d_alpha' in [layer.name for layer in made.get_layers()]
    x = np.random.default_rng(0).integers(-2000, 2000, (50, 6)) / 1024
    np.testing.assert_array_equal(np.where(made.predict(x) == 0, -1, 1), model.predict(x))


def test_refused():
    converted(Sequential([Input((4, 2)), LSTM(3)]))


def test_failed():
    bits = quantized_bits(4, 0, alpha=1)
    converted(Sequential([QActivation(bits, input_shape=(6,)), QDense(3, kernel_quantizer=bits)]))
    assert False


def test_no_data():
    open('/nowhere/data.csv')
"""


@pytest.mark.keras
def test_outcomes_are_told_apart(tmp_path: Path) -> None:
    tests = tmp_path / "checkout" / "test" / "pytest"
    tests.mkdir(parents=True)
    (tests / "test_ours.py").write_text(TESTS)
    out = tmp_path / "figures.json"
    command = [sys.executable, str(TOP / "tools" / "run_hls4ml_tests.py"), str(tmp_path / "checkout"), "test_ours.py"]
    environment = os.environ | {"PYTHONPATH": str(TOP)}
    done = subprocess.run(
        [*command, "--out", str(out)], capture_output=True, text=True, env=environment, timeout=300, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr  # one failed
    figures = json.loads(out.read_text())
    assert sorted(row["outcome"] for row in figures["tests"] if "raw_input" in row["test"]) == ["passed", "passed"]
    by_name = {row["test"]: (row["outcome"], row["why"]) for row in figures["tests"] if "raw" not in row["test"]}
    assert by_name["test_binary_names_and_zeros"] == ("passed", "")
    assert by_name["test_refused"][0] == "refused" and "state" in by_name["test_refused"][1]
    assert by_name["test_failed"][0] == "failed"
    assert by_name["test_no_data"][0] == "not run" and "/nowhere" not in by_name["test_no_data"][1]
    assert figures["counts"] == {"passed": 3, "refused": 1, "failed": 1, "not run": 1}
    assert [path.name for path in tests.iterdir()] == ["test_ours.py"]
