"""Schemes by layer: read, checked, in the network that is built, and in the integer network that results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.zoo.run_record import RunSettings
from stq_deploy.zoo.scheme_file import SchemeFile, load_scheme
from stq_deploy.zoo.schemes import SCHEMES
from tests.helpers.command_line import invoke

pytestmark = pytest.mark.keras

SHAPE = (16, 16, 1)
MIXED: dict[str, Any] = {
    "base": "stq",
    "weights": {"conv1": 8, "conv2": 2, "dw2": 1, "sep1": 4, "fc1": "ternary"},
    "activations": {"quantize_input": 3, "relu1": 8, "gate1": 2, "relu_fc1": 4, "pre_sigmoid": 6, "act2": 1},
}


def _build(layers: dict[str, Any]) -> Any:
    import tensorflow as tf

    from stq_deploy.zoo.networks import build_network

    tf.keras.utils.set_random_seed(1)
    return build_network(scheme=SchemeFile(**layers).scheme("mixed.toml"), input_shape=SHAPE, variant="strided")


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'title = "Mine"\nbase = "2bit"\n[weights]\nconv1 = 8\nconv3 = "ternary"\n[activations]\nrelu1 = 3\n'
    )
    name, layers = load_scheme(str(path))
    assert layers is not None and name == "mine.toml"
    scheme = layers.scheme(name)
    assert (scheme.title, scheme.identifier, scheme.conv) == ("Mine", "mine_toml", SCHEMES["2bit"].conv)
    assert scheme.weights == (("conv1", 8), ("conv3", "ternary")) and scheme.activations == (("relu1", 3),)
    assert scheme.quantizers["kernel of conv1"] == "quantized_bits(8,0,1,alpha='auto_po2')"
    recorded = {"network": "stq", "variant": "pooled", "dataset": "cifar10", "data": None, "seed": 0, "recipe": {}}
    by_layer = recorded | {"scheme": name, "scheme_layers": layers.model_dump()}
    assert RunSettings.from_json(by_layer).quantization == scheme
    assert RunSettings.from_json(recorded | {"scheme": "stq"}).quantization is SCHEMES["stq"]
    assert load_scheme("stq") == ("stq", None)


def test_every_layer_has_the_bits_it_was_given() -> None:
    model = _build(MIXED)
    kernels = {
        "conv1": ("kernel_quantizer", 8), "conv2": ("kernel_quantizer", 2), "dw2": ("depthwise_quantizer", 1),
        "sep1": ("pointwise_quantizer", 4), "fc1": ("kernel_quantizer", 2), "fc2": ("kernel_quantizer", 4),
        "dw1": ("depthwise_quantizer", 2),
    }  # fmt: skip
    for name, (kind, bits) in kernels.items():
        assert getattr(model.get_layer(name), kind).bits == bits, name
    assert type(model.get_layer("fc1").kernel_quantizer).__name__ == "ternary"
    assert model.get_layer("sep1").depthwise_quantizer.bits == 4
    for name, bits in MIXED["activations"].items():
        assert model.get_layer(name).quantizer.bits == bits, name
    # The range stays the role's: fc1 has no batch norm, and its outputs reach 30.
    assert model.get_layer("relu_fc1").quantizer.integer == 5
    assert model.get_layer("relu2").quantizer.bits == 4


def test_a_network_of_mixed_bits_converts_exactly(tmp_path: Path) -> None:
    """Keras's own predict on raw pictures against the integer network."""
    import tf_keras

    from stq_deploy.network.input_format import quantize_input
    from stq_deploy.network.reference import run
    from stq_deploy.pipeline import convert_model

    model = _build(MIXED)
    model.save(tmp_path / "m.h5")
    network = convert_model(tmp_path / "m.h5")
    assert network.weight_bits == [1, 2, 4, 8]
    assert network.input_type.maximum - network.input_type.minimum + 1 == 8
    x = np.random.default_rng(3).integers(0, 256, (24, *SHAPE), dtype=np.uint8)
    logits = tf_keras.Model(model.input, model.layers[-1].input).predict(x / np.float32(255), verbose=0)
    found = run(network, quantize_input(x, network.input_format))
    assert (np.argmax(found, axis=1) == np.argmax(logits, axis=1)).all()


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_pixels_of_few_bits(bits: int, tmp_path: Path) -> None:
    from stq_deploy.network.input_format import quantize_input
    from stq_deploy.pipeline import convert_model

    _build({"base": "4bit", "activations": {"quantize_input": bits}}).save(tmp_path / "m.h5")
    network = convert_model(tmp_path / "m.h5")
    pixels = np.arange(256, dtype=np.uint8).reshape(1, *SHAPE)
    levels = quantize_input(pixels, network.input_format)
    assert len(np.unique(levels)) == 2**bits
    # QKeras's rule: a multiple of 2^-bits, rounded half to even, at most 1 - 2^-bits.
    expected = np.minimum(np.rint(pixels / np.float32(255) * 2**bits), 2**bits - 1)
    assert ((levels - levels.min()) == expected).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('base = "stq"\n[weights]\nconv1 = 3', "conv1 = 3 is not possible"),
        ('base = "stq"\n[weights]\nconv1 = true', "weights"),
        ('base = "stq"\n[weights]\nconv1 = "binery"', "conv1 = 'binery' is not possible"),
        ('base = "stq"\n[weights]\nconv1 = 8.0', "weights.conv1"),
        ('base = "stq"\n[activations]\nrelu1 = 9', "relu1 = 9 bits is not possible"),
        ('base = "stq"\n[activations]\nrelu1 = true', "activations"),
        ('base = "fp"', "not a quantized scheme"),
        ('base = "5bit"', "not a quantized scheme"),
        ("[weights]\nconv1 = 4", "'base' is missing"),
        ('base = "stq"\n[weight]\nconv1 = 4', "no entry 'weight'"),
        ("base = ", "not a TOML file"),
        ("", "'base' is missing"),
        ("\x00", "not a TOML file"),
    ],
)
def test_wrong_files_are_explained(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(StqError, match=message) as raised:
        load_scheme(str(path))
    assert raised.value.where == str(path)


def test_missing_files_and_unknown_names_are_explained(tmp_path: Path) -> None:
    with pytest.raises(StqError, match="cannot read the scheme"):
        load_scheme(str(tmp_path / "none.toml"))
    with pytest.raises(StqError, match="unknown quantization scheme 'ternery'"):
        load_scheme("ternery")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"weights": {"conv9": 2}}, "names 'conv9'"),
        ({"weights": {"relu1": 2}}, "names 'relu1'"),
        ({"activations": {"conv1": 2}}, "names 'conv1'"),
        ({"activations": {"softmax": 2}}, "names 'softmax'"),
    ],
)
def test_layers_that_the_network_has_not(layers: dict[str, Any], message: str) -> None:
    with pytest.raises(StqError, match=message):
        _build({"base": "stq", **layers})


def test_a_network_that_chooses_its_quantizers_itself_is_seen(tmp_path: Path) -> None:
    from stq_deploy.zoo.networks import build_network

    path = tmp_path / "own.py"
    path.write_text(
        "import qkeras\nfrom tf_keras import Model, layers\n"
        "def build(scheme, classes, input_shape):\n"
        "    x = inputs = layers.Input(input_shape)\n"
        "    x = qkeras.QDense(classes, kernel_quantizer='binary(alpha=1)', name='fc')(layers.Flatten()(x))\n"
        "    return Model(inputs, layers.Activation('softmax')(x))\n"
    )
    scheme = SchemeFile(base="stq", weights={"fc": 8}).scheme("s.toml")
    with pytest.raises(StqError, match="the network gives it another quantizer"):
        build_network(f"{path}:build", scheme=scheme, input_shape=SHAPE)


def test_train_takes_the_file_records_it_and_resumes_only_with_it(tmp_path: Path) -> None:
    import json

    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 4)
    pictures = rng.integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", x_train=pictures, y_train=labels, x_test=pictures[:10], y_test=labels[:10])
    path = tmp_path / "coarse.toml"
    path.write_text('base = "2bit"\n[activations]\nquantize_input = 2\n[weights]\nconv2 = 8\n')
    arguments = [
        "train", "--recipe", "smoke", "--scheme", path, "--dataset", "cifar10", "--data", tmp_path / "d.npz",
        "--variant", "strided", "--epochs", "1", "--batch-size", "8", "--set", "train_limit=32", "--set",
        "validation_samples=8", "--out", tmp_path / "run",
    ]  # fmt: skip
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    config = json.loads((tmp_path / "run" / "result.json").read_text())["config"]
    assert (config["scheme"], config["scheme_layers"]["weights"]) == ("coarse.toml", {"conv2": 8})
    assert config["scheme_layers"]["activations"] == {"quantize_input": 2}
    path.write_text('base = "2bit"\n[activations]\nquantize_input = 3\n[weights]\nconv2 = 8\n')
    again = invoke(*arguments, "--resume")
    assert again.exit_code == 1 and "scheme_layers" in again.output
