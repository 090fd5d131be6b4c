"""Files of Keras 3, QKeras v3 and HGQ2 give what Keras 3 itself predicts.

`tools/make_keras3_models.py` and `tools/make_hgq2_models.py` have made them.
"""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import stq_deploy as stq
from stq_deploy.common.errors import StqError
from stq_deploy.executors.host_executor import HostExecutor
from stq_deploy.frontend import check_model, list_layers, parse_model, read_source
from stq_deploy.frontend.formats.keras.keras_3 import as_keras_2
from stq_deploy.frontend.quantizer_arithmetic import quantize
from stq_deploy.frontend.quantizers import KERNEL, read_quantizer, trainable
from stq_deploy.lowering.float_graph import run_graph
from stq_deploy.network.reference import run

FOLDER = Path(__file__).parent / "keras3"
QUANTIZED = ("quantized_layers", "quantized_sequential", "nested_models", "operations")
HGQ2 = ("hgq2_images", "hgq2_rows", "hgq2_defaults", "hgq2_channels", "hgq2_pixels")
PLAIN = ("plain_layers", "plain_sequential")

Config = dict[str, Any]


def expected(name: str) -> tuple[Any, list[Any]]:
    """(inputs, Keras's outputs)."""
    with np.load(FOLDER / f"{name}.npz") as stored:
        return stored["x"], [stored[key] for key in sorted(stored) if key != "x"]


EXACT = [*(f"{name}.{ending}" for name in QUANTIZED for ending in ("keras", "h5")), *(f"{name}.keras" for name in HGQ2)]


@pytest.mark.parametrize("file", EXACT)
def test_the_network_gives_the_very_numbers_of_keras_3(file: str) -> None:
    x, theirs = expected(file.partition(".")[0])
    ours = stq.convert(FOLDER / file).predict(x, features=True)
    listed = list(ours) if isinstance(ours, tuple) else [ours]
    assert len(listed) == len(theirs)
    for a, b in zip(listed, theirs, strict=True):
        assert np.array_equal(np.asarray(a, np.float32).reshape(b.shape), b)


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("name", PLAIN)
def test_layers_without_quantizers_compute_what_keras_3_computes(name: str, ending: str) -> None:
    """Their kernels are multiples of 2**-7 that int8 holds as they are, so post-training changes none."""
    x, (theirs,) = expected(name)
    source = read_source(FOLDER / f"{name}.{ending}", post_training=True)
    values = dict(run_graph(source, x.astype(np.float64)))
    assert np.abs(values[source.outputs[0]] - theirs).max() < 1e-5


@pytest.mark.parametrize("name", [*QUANTIZED, *PLAIN])
def test_both_forms_hold_the_same_model(name: str) -> None:
    a, b = (check_model(FOLDER / f"{name}.{ending}") for ending in ("keras", "h5"))
    assert [(layer.kind, layer.settings.keys()) for layer in a.layers] == [
        (layer.kind, layer.settings.keys()) for layer in b.layers
    ]
    for one, other in zip(a.layers, b.layers, strict=True):
        assert all(np.array_equal(array, other.arrays[what]) for what, array in one.arrays.items())


def test_the_facts_name_the_generation_and_the_version() -> None:
    _, facts, _ = list_layers(FOLDER / "nested_models.keras")
    assert str(facts) == "Keras 3 (.keras), written by Keras 3.15.1"
    assert parse_model(FOLDER / "nested_models.h5").file["version"] == "3.15.1"


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_weights_that_keras_3_has_quantized_give_its_numbers(ending: str) -> None:
    """The quantized output is equal; the logits are sums in exact numbers here, and in float32 there."""
    x, (levels, logits) = expected("integer_weights")
    ours = stq.convert(FOLDER / f"integer_weights.{ending}").predict(x, features=True)
    assert isinstance(ours, tuple)
    assert np.array_equal(np.asarray(ours[0], np.float32), levels)
    assert len(np.unique(levels)) > 30
    assert np.abs(ours[1] - logits).max() < 2**-22 * np.abs(logits).max()
    source = read_source(FOLDER / f"integer_weights.{ending}")
    assert [kernel.bits for kernel in source.kernels.values()] == [8, 4, 8]


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_inputs_that_keras_3_scales_by_sample_need_ranges(ending: str) -> None:
    """Without samples it is refused; with them the weights stay, and only the inputs differ."""
    file = FOLDER / f"integer_layers.{ending}"
    with pytest.raises(StqError, match="by the largest value of each sample") as caught:
        stq.convert(file)
    assert "layer 'dense' (quantized>Dense)" in caught.value.where
    assert "--post-training int8" in caught.value.next
    x, (theirs,) = expected("integer_layers")
    ours = stq.convert(file, post_training="int8", calibrate=x).predict(x, features=True)
    step = np.abs(x).max() / 127  # of the input, which Keras scales more finely for a smaller sample
    assert np.abs(ours - theirs).max() < step
    assert np.array_equal(ours.argmax(axis=1), theirs.argmax(axis=1))
    with zipfile.ZipFile(FOLDER / "integer_layers.keras") as archive:
        stored = h5py.File(io.BytesIO(archive.read("model.weights.h5")))["layers/dense/vars/0"][()]
    assert np.array_equal(next(iter(read_source(file, post_training=True).kernels.values())).integers, stored)


def _block(layers: list[Config]) -> None:
    _stated_policy(layers)["mode"] = "int4/4"


def _older(layers: list[Config]) -> None:
    _stated_policy(layers)["mode"] = "int4"


def _of_half_precision(layers: list[Config]) -> None:
    _stated_policy(layers)["source_name"] = "mixed_float16"


def _of_another_kind(layers: list[Config]) -> None:
    named(layers, "int4_in_a_block")["config"]["dtype"]["class_name"] = "GPTQDTypePolicy"


def _adapted(layers: list[Config]) -> None:
    named(layers, "int4_in_a_block")["config"]["lora_rank"] = 2


def _stated_policy(layers: list[Config]) -> Config:
    found: Config = named(layers, "int4_in_a_block")["config"]["dtype"]["config"]
    return found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_block, "5 inputs are quantized in 2 blocks of 4"),
        (_older, "dtype=int4_from_float32"),
        (_of_half_precision, "dtype=int4_128_from_mixed_float16"),
        (_of_another_kind, "dtype=int4_128_from_float32"),
        (_adapted, "'lora_rank'=2 is unknown"),
    ],
)
def test_other_quantized_layers_are_refused(
    change: Callable[[list[Config]], None], message: str, tmp_path: Path
) -> None:
    with pytest.raises(StqError, match=message) as caught:
        parse_model(changed(tmp_path, "integer_weights", change), post_training=True)
    assert "layer 'int4_in_a_block'" in caught.value.where
    assert caught.value.next


@pytest.mark.parametrize(
    ("array", "value", "message"),
    [
        ("kernel", 0.5, "other numbers than bytes"),
        ("kernel", 300.0, "other numbers than bytes"),
        ("kernel_zero", 0.25, "other numbers than bytes"),
        ("kernel_scale", 0.0, "not above 0"),
        ("kernel_scale", -1.0, "not above 0"),
        ("kernel_scale", np.nan, "NaN"),
        ("g_idx", 1.0, "blocks that it does not have"),
    ],
)
def test_arrays_of_quantized_layers_that_keras_3_does_not_write(
    array: str, value: float, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes((FOLDER / "integer_weights.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        group = file["model_weights/int4_in_a_block/int4_in_a_block"]
        values = group[array][()].astype(np.float32)
        values.flat[0] = value
        del group[array]
        group[array] = values
    with pytest.raises(StqError, match=message) as caught:
        parse_model(path, post_training=True)
    assert "int4_in_a_block" in caught.value.where + caught.value.what


def _of_qkeras_3() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "quantizers.npz") as stored:
        return {text: stored[text] for text in stored}


@pytest.mark.parametrize("text", sorted(_of_qkeras_3().keys() - {"weights"}))
def test_quantizers_of_qkeras_3_are_those_of_qkeras(text: str) -> None:
    stored = _of_qkeras_3()
    ours = quantize(stored["weights"], trainable(read_quantizer(text, KERNEL))).values
    assert np.array_equal(ours.astype(np.float32), stored[text])


# What the configuration may hold


def changed(folder: Path, name: str, change: Callable[[list[Config]], None]) -> Path:
    """A copy of a .keras file whose layers' entries `change` has changed."""
    with zipfile.ZipFile(FOLDER / f"{name}.keras") as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    config = json.loads(members["config.json"])
    change(config["config"]["layers"])
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(folder / "changed.keras", "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return folder / "changed.keras"


def named(layers: list[Config], name: str) -> Config:
    return next(layer for layer in layers if layer["config"]["name"] == name)


def _module(layers: list[Config]) -> None:
    named(layers, "first")["module"] = "mine.layers"


def _registered(layers: list[Config]) -> None:
    named(layers, "first")["registered_name"] = "mine>QConv2D"


def _policy(layers: list[Config]) -> None:
    named(layers, "first")["config"]["dtype"]["module"] = "mine.policies"


def _float16(layers: list[Config]) -> None:
    named(layers, "first")["config"]["dtype"]["config"]["name"] = "float16"


def _training(layers: list[Config]) -> None:
    named(layers, "normalized")["inbound_nodes"][0]["kwargs"]["training"] = True


def _constant(layers: list[Config]) -> None:
    named(layers, "sum")["inbound_nodes"][0]["args"][0][1] = 1.0


def _operation(layers: list[Config]) -> None:
    named(layers, "sum").update(module="keras.src.ops.numpy", class_name="GetItem")


def _hard_sigmoid(layers: list[Config]) -> None:
    entry = named(layers, "relu")
    entry.update(module="keras.layers", class_name="Activation", registered_name=None)
    entry["config"]["activation"] = "hard_sigmoid"


def _lora(layers: list[Config]) -> None:
    named(layers, "logits")["config"]["quantization_config"] = {"class_name": "Int4QuantizationConfig", "config": {}}


def _history(layers: list[Config]) -> None:
    named(layers, "relu")["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = ["absent", 0, 0]


def _no_history(layers: list[Config]) -> None:
    named(layers, "relu")["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = [["normalized"], 0, 0]


REFUSED: list[tuple[Callable[[list[Config]], None], str]] = [
    (_module, "mine.layers"),
    (_registered, "mine>QConv2D"),
    (_policy, "class 'DTypePolicy'"),
    (_float16, "dtype='float16'"),
    (_training, "it is called with the arguments {'training': True}"),
    (_constant, "one of its inputs is a constant"),
    (_operation, "a function of keras.ops"),
    (_hard_sigmoid, "hard_sigmoid of Keras 3"),
    (_lora, "quantization_config"),
    (_history, "which does not exist"),
    (_no_history, "a tensor comes from"),
]


@pytest.mark.parametrize(("change", "what"), REFUSED, ids=[what for _, what in REFUSED])
def test_what_is_refused(change: Callable[[list[Config]], None], what: str, tmp_path: Path) -> None:
    with pytest.raises(StqError) as caught:
        parse_model(changed(tmp_path, "quantized_layers", change))
    assert what in caught.value.what
    assert caught.value.next


# HGQ2


def _quantizer(**settings: Any) -> Callable[[list[Config]], None]:
    def change(layers: list[Config]) -> None:
        named(layers, "first")["config"]["iq_conf"]["config"].update(settings)

    return change


def _own_module(layers: list[Config]) -> None:
    named(layers, "first")["module"] = "mine.layers"


@pytest.mark.parametrize(
    ("change", "what", "next"),
    [
        (_quantizer(round_mode="RND_ZERO"), "input_quantizer='kif RND_ZERO SAT True False'", "RND, RND_CONV or TRN"),
        (_quantizer(overflow_mode="WRAP_SM"), "input_quantizer='kif RND WRAP_SM True False'", "fixed-point"),
        (_quantizer(q_type="flt"), "input_quantizer='flt RND SAT True False'", "kif or kbi"),
        (_quantizer(scaler=2.0), "input_quantizer='another quantizer'", "fixed-point"),
        (_own_module, "registered as 'hgq>QConv2D'", "Keras's and QKeras's own layers"),
    ],
)
def test_quantizers_of_hgq2_that_are_refused(
    change: Callable[[list[Config]], None], what: str, next: str, tmp_path: Path
) -> None:
    with pytest.raises(StqError) as caught:
        parse_model(changed(tmp_path, "hgq2_images", change))
    assert what in caught.value.what
    assert next in caught.value.next


def test_widths_that_differ_between_pixels_are_refused() -> None:
    with pytest.raises(StqError, match=r"its widths differ from pixel to pixel, from \d+ to \d+ bits") as caught:
        parse_model(FOLDER / "hgq2_refused.keras")
    assert "heterogeneous_axis=(-1,), or ()" in caught.value.next


def test_too_many_bits_for_all_channels_together_are_refused(tmp_path: Path) -> None:
    """One channel's width makes the common step finer than 16 bits hold."""
    path = tmp_path / "wide.keras"
    with zipfile.ZipFile(FOLDER / "hgq2_defaults.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = io.BytesIO(members["model.weights.h5"])
    with h5py.File(weights, "r+") as stored:
        stored["layers/q_dense_1/iq/quantizer/vars/0"][0, 0] = 23.0
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | {"model.weights.h5": weights.getvalue()}).items():
            archive.writestr(name, content)
    with pytest.raises(StqError, match=r"input_quantizer: it has \d+ bits for all channels together"):
        parse_model(path)


def test_the_c_of_wrapping_activations_equals_numpy() -> None:
    made = stq.convert(FOLDER / "hgq2_defaults.keras")
    x, _ = expected("hgq2_defaults")
    levels = made.network.input_format.levels(x)
    with HostExecutor(made.program) as host:
        assert np.array_equal(host.run(levels)[0], run(made.network, levels))


def test_weights_of_hgq2_have_widths_of_their_own() -> None:
    """Stored numbers are normal ones. A weight of no bits is 0, and others have as few bits as their width."""
    kernels = read_source(FOLDER / "hgq2_images.keras").kernels
    first = kernels[min(kernels)]
    lowest_bits = [int(n) & -int(n) for n in first.integers.ravel()]
    assert lowest_bits.count(0) > 0
    assert len(set(lowest_bits)) > 4
    assert first.bits == 16 and first.scale[0] == 2.0**-7


def test_keras_does_not_run_hgq2() -> None:
    with pytest.raises(StqError, match="tf_keras has no such layers"):
        check_model(FOLDER / "hgq2_images.keras")


def test_it_changes_nothing_that_it_is_given() -> None:
    with zipfile.ZipFile(FOLDER / "nested_models.keras") as archive:
        config = json.loads(archive.read("config.json"))
    before = copy.deepcopy(config)
    assert as_keras_2(config) != before
    assert config == before


@pytest.mark.parametrize("form", [{}, {"config": None}, {"config": {"layers": [7, {}, {"config": {}}]}}])
def test_any_other_form_is_left_to_the_checks_behind_it(form: Config) -> None:
    as_keras_2(form)


def test_hgq2_in_an_h5_file_is_refused_by_name(tmp_path: Path) -> None:
    """Its arrays would be found by name, and several have one name."""
    path = tmp_path / "model.h5"
    path.write_bytes((FOLDER / "operations.h5").read_bytes())
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = str(file.attrs["model_config"]).replace('"qkeras>QDense"', '"hgq>QDense"')
    with pytest.raises(StqError, match=r"of HGQ2, which is read from \.keras files only"):
        parse_model(path)
