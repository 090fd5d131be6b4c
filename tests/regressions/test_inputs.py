"""How an input's values are defined: models of raw features that were taken for pixels, without a word.

Every row is one model; what is right is Keras's own `predict` on the raw, unclipped samples.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.sample_metadata import SampleMetadata
from stq_deploy.datasets.samples import SampleSet, save_samples
from stq_deploy.lowering import UnknownInputError
from stq_deploy.network import load_network, save_network
from stq_deploy.network.reference import run
from stq_deploy.pipeline import Conversion, convert_model
from tests.helpers.command_line import invoke, json_of
from tests.helpers.regressions.feature_models import activation, bits, build_model, classifier, dense, layer

pytestmark = pytest.mark.keras
COUNT = 200
FEATURES = (16,)
IMAGE = (6, 6, 2)
BINARY = "binary(alpha=1)"


def _conv(x: Any) -> Any:
    from qkeras import QConv2D, quantized_bits

    return QConv2D(3, 3, kernel_quantizer=quantized_bits(6, 0, alpha=1), use_bias=False)(x)


def _picture(x: Any) -> Any:
    return classifier(layer("Flatten", activation(_conv(x))))


def _add(*branches: Any) -> Any:
    return layer("Add", list(branches))


CASES: dict[str, tuple[tuple[int, ...], Callable[[Any], Any]]] = {
    "8-bit quantizer": (FEATURES, lambda x: classifier(bits(x, 8, 3))),
    "12-bit quantizer": (FEATURES, lambda x: classifier(bits(x, 12, 3))),
    "16-bit quantizer": (FEATURES, lambda x: classifier(bits(x, 16, 5))),
    "15-bit relu": (FEATURES, lambda x: classifier(activation(x, "quantized_relu(15,4)"))),
    "activation of alpha": (FEATURES, lambda x: classifier(activation(x, "quantized_bits(6,2,alpha=0.5)"))),
    "true tanh": (FEATURES, lambda x: classifier(activation(x, "quantized_tanh(6,use_real_tanh=True)"))),
    "hard sigmoid": (FEATURES, lambda x: classifier(activation(x, "quantized_sigmoid(6)"))),
    "ternary": (FEATURES, lambda x: classifier(activation(x, "ternary(alpha=1)"))),
    "binary": (FEATURES, lambda x: classifier(activation(x, "binary(alpha=1)"))),
    "leaky relu": (FEATURES, lambda x: classifier(activation(x, "quantized_relu(6,2,negative_slope=0.25)"))),
    "Reshape first": (FEATURES, lambda x: classifier(layer("Flatten", bits(layer("Reshape", x, (4, 4)), 8, 3)))),
    "Dropout first": (FEATURES, lambda x: classifier(bits(layer("Dropout", x, 0.2), 8, 3))),
    "BatchNormalization first": (FEATURES, lambda x: classifier(bits(layer("BatchNormalization", x), 8, 3))),
    "BatchNormalization, 14 bits": (FEATURES, lambda x: classifier(bits(layer("BatchNormalization", x), 14, 3))),
    "BatchNormalization, relu": (FEATURES, lambda x: classifier(activation(layer("BatchNormalization", x)))),
    "relu, BatchNormalization": (
        FEATURES,
        lambda x: classifier(bits(layer("BatchNormalization", layer("ReLU", x)), 6, 2)),
    ),
    "two alike": (FEATURES, lambda x: _add(dense(bits(x, 8, 3)), dense(bits(x, 8, 3)))),
    "two unlike, few levels": (FEATURES, lambda x: classifier(_quantized_sum(bits(x, 6, 3), bits(x, 4, 2)))),
    "two unlike, many levels": (
        FEATURES,
        lambda x: classifier(_quantized_sum(bits(x, 8, 3), activation(x, "quantized_relu(8,2)"))),
    ),
    "padding first": (IMAGE, lambda x: _picture(bits(layer("ZeroPadding2D", x, 1), 8, 3))),
    "padding of a binary input": (IMAGE, lambda x: _picture(activation(layer("ZeroPadding2D", x, 1), BINARY))),
    "crop, upsampling, concatenation": (IMAGE, lambda x: _picture(bits(_moved(x), 8, 3))),
    "pooling by maximum": (IMAGE, lambda x: _picture(bits(layer("MaxPooling2D", x, 2), 8, 3))),
    "normalized, then pooled": (
        IMAGE,
        lambda x: _picture(bits(layer("MaxPooling2D", layer("BatchNormalization", x), 2, padding="same"), 8, 3)),
    ),
    "flattened, then normalized": (
        IMAGE,
        lambda x: classifier(bits(layer("BatchNormalization", layer("Flatten", x)), 8, 3)),
    ),
}  # fmt: skip


def _quantized_sum(a: Any, b: Any) -> Any:
    return activation(_add(dense(a), dense(b)))


def _moved(x: Any) -> Any:
    part = layer("UpSampling2D", layer("Cropping2D", x, 1), 2)
    return layer("Concatenate", [part, part])


def raw(shape: tuple[int, ...], scale: float = 2.0) -> np.ndarray:
    """Normally distributed values, far beyond [0, 1]."""
    return np.random.default_rng(7).normal(0, scale, (COUNT, *shape)).astype(np.float32)


@pytest.mark.parametrize(("shape", "build"), CASES.values(), ids=CASES)
def test_the_network_gives_what_keras_predicts_on_raw_values(
    shape: tuple[int, ...], build: Callable[[Any], Any], tmp_path: Path
) -> None:
    model, x = build_model(shape, build), raw(shape)
    model.save(tmp_path / "m.h5")
    save_network(convert_model(tmp_path / "m.h5"), tmp_path / "n.stq")
    network = load_network(tmp_path / "n.stq")
    format = network.input_format
    levels = format.levels(format.model_values(x, features=True))
    assert len(np.unique(levels)) > 1
    assert np.array_equal(format.levels(format.values(levels)), levels)
    logits = run(network, levels) * network.output_type.scale
    np.testing.assert_allclose(logits, model.predict(x, verbose=0), atol=1e-4)


RAW: dict[str, tuple[tuple[int, ...], Callable[[Any], Any]]] = {
    "a weighted layer reads the features": (FEATURES, classifier),
    "one of two branches does": (FEATURES, lambda x: _add(dense(x), dense(bits(x, 8, 3)))),
    "zeros are padded before a normalization": (
        IMAGE,
        lambda x: _picture(bits(layer("BatchNormalization", layer("ZeroPadding2D", x, 1)), 8, 3)),
    ),
}


@pytest.mark.parametrize(("shape", "build"), RAW.values(), ids=RAW)
def test_an_input_of_unknown_range_is_refused_unless_someone_says_it(
    shape: tuple[int, ...], build: Callable[[Any], Any], tmp_path: Path
) -> None:
    model, x = build_model(shape, build), np.clip(raw(shape), -8, 8)
    model.save(tmp_path / "m.h5")
    with pytest.raises(UnknownInputError, match="the range of the input's values is not known") as refused:
        convert_model(tmp_path / "m.h5")
    for way in ("--calibrate", "--input-range", "QActivation"):
        assert way in refused.value.next
    network = convert_model(tmp_path / "m.h5", Conversion((-8.0, 8.0), input_bits=16))
    logits = run(network, network.input_format.levels(x)) * network.output_type.scale
    keras = model.predict(x, verbose=0)
    assert (logits.argmax(axis=1) == keras.argmax(axis=1)).mean() > 0.99


@pytest.fixture(name="jets", scope="module")
def _jets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A jet tagger of 16 raw features and 5 classes, samples in -8..8 labelled by Keras, and some beyond."""
    work = tmp_path_factory.mktemp("jets")
    model, x = build_model(FEATURES, classifier), np.clip(raw(FEATURES), -8, 8)
    model.save(work / "jets.h5")
    labels = model.predict(x, verbose=0).argmax(axis=1)
    save_samples(SampleSet(x, labels, SampleMetadata(range=(-8, 8))), work / "features.npz")
    x[3, 5] = 11
    x[7, :2] = -9
    save_samples(SampleSet(x, labels, SampleMetadata(range=(-12, 12))), work / "beyond.npz")
    return work


def test_the_float_column_is_keras_own_accuracy(jets: Path) -> None:
    for more in ([], ["--calibrate", jets / "features.npz"]):
        arguments = ["evaluate", "--model", jets / "jets.h5", "--samples", jets / "features.npz", *more]
        found = json_of(invoke(*arguments, "--executor", "float", "--json"))
        assert found["correct"] == found["total"] == COUNT
    assert found["after_input_quantization"]["correct"] < COUNT  # 8 bits are coarse, and only the second figure says so
    assert found["samples_outside_domain"] == 0


def test_calibration_gives_the_domain_and_16_bits_give_keras_classes(jets: Path) -> None:
    arguments = ["convert", jets / "jets.h5", "--calibrate", jets / "features.npz", "--input-bits", "16"]
    made = json_of(invoke(*arguments, "-o", jets / "wide.stq", "--json"))
    assert made["input"]["largest_error"] == pytest.approx(4 / 32767)
    shown = invoke(*arguments[:4], "-o", jets / "narrow.stq")
    assert "rounding errs by at most 0.0315, 0.2 % of the range (with --input-bits 16, 0.00012)" in shown.stdout
    scored = json_of(
        invoke("evaluate", "--model", jets / "wide.stq", "--samples", jets / "features.npz", "--executor", "host",
               "--json")
    )  # fmt: skip
    assert scored["top1"] > 0.99


@pytest.mark.parametrize("command", ["evaluate", "verify", "run", "attack"])
def test_samples_outside_the_domain_are_an_error_that_counts(jets: Path, command: str, tmp_path: Path) -> None:
    conversion = ["--input-range", "-8", "8"]
    more: dict[str, list[object]] = {
        "evaluate": ["--executor", "numpy"],
        "verify": ["--executors", "numpy,host", "--limit", "100"],
        "run": ["--emulated", "--out", tmp_path / "out"],
        "attack": ["--attack", "none", "-o", tmp_path / "x.npz"],
    }
    arguments = [command, "--model", jets / "jets.h5", "--samples", jets / "beyond.npz", *conversion, *more[command]]
    refused = invoke(*arguments)
    assert refused.exit_code == 1
    count = 100 if command == "verify" else COUNT
    outside = f"2 of {count} samples hold values outside the network's domain [-8, 8]: 3 of {16 * count:,}"
    assert outside in refused.stderr
    assert "Traceback" not in refused.output


def test_what_the_models_own_quantizer_clips_is_counted_and_is_no_error(tmp_path: Path) -> None:
    model, x = build_model(FEATURES, lambda i: classifier(bits(i, 8, 1))), raw(FEATURES)
    model.save(tmp_path / "m.h5")
    labels = model.predict(x, verbose=0).argmax(axis=1)
    save_samples(SampleSet(x, labels, SampleMetadata(range=(-20, 20))), tmp_path / "x.npz")
    beyond = int(((np.rint(x * 64) > 127) | (np.rint(x * 64) < -128)).any(axis=1).sum())
    arguments = ["evaluate", "--model", tmp_path / "m.h5", "--samples", tmp_path / "x.npz", "--executor", "numpy"]
    found = json_of(invoke(*arguments, "--json"))
    assert (found["top1"], found["samples_outside_domain"]) == (1.0, beyond)
    assert f"{beyond} of {COUNT} samples outside the input's domain" in invoke(*arguments).stdout


@pytest.mark.parametrize("ends", [(-1e300, 1e300), (-1e39, 1.0), (0.0, 1e-300), (0.0, 1e-37)])
def test_a_range_that_float32_cannot_hold_is_the_users_mistake(ends: tuple[float, float], tmp_path: Path) -> None:
    build_model(FEATURES, classifier).save(tmp_path / "m.h5")
    with pytest.raises(StqError, match="float32, in which Keras computes, cannot hold levels") as refused:
        convert_model(tmp_path / "m.h5", Conversion(ends))
    assert "mistyped" in refused.value.cause


def test_pictures_are_taken_for_pixels_and_every_command_says_so(tmp_path: Path) -> None:
    shape = (6, 6, 1)
    build_model(shape, _picture).save(tmp_path / "m.h5")
    x = np.random.default_rng(0).integers(0, 256, (8, *shape)).astype(np.uint8)
    save_samples(SampleSet(x, np.zeros(8, np.int64)), tmp_path / "x.npz")
    line = "it is taken for pixels in [0, 1]"
    assert line in invoke("convert", tmp_path / "m.h5", "-o", tmp_path / "n.stq").stderr
    for model in ("m.h5", "n.stq"):
        for command in (["evaluate", "--executor", "numpy"], ["verify", "--executors", "numpy,host"]):
            shown = invoke(*command, "--model", tmp_path / model, "--samples", tmp_path / "x.npz")
            assert shown.exit_code == 0, shown.output
            assert line in shown.stderr
    stated = invoke("convert", tmp_path / "m.h5", "--input-range", "0", "1", "-o", tmp_path / "s.stq")
    assert line not in stated.stderr


def test_pixels_are_no_features(jets: Path, tmp_path: Path) -> None:
    shape = (4, 4, 2)
    build_model(shape, _picture).save(tmp_path / "m.h5")
    save_samples(SampleSet(raw(shape), np.zeros(COUNT, np.int64), SampleMetadata(range=(-20, 20))), tmp_path / "f.npz")
    invoke("convert", tmp_path / "m.h5", "--calibrate", tmp_path / "f.npz", "-o", tmp_path / "n.stq")
    np.savez(tmp_path / "p.npz", x=np.zeros((2, *shape), np.uint8), y=np.zeros(2, np.int64), metadata=json.dumps({}))
    refused = invoke("evaluate", "--model", tmp_path / "n.stq", "--samples", tmp_path / "p.npz")
    assert refused.exit_code == 1
    assert "the samples are pixels, and the network was made for features" in refused.stderr
