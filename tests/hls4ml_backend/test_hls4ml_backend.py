"""`backend="STM32"`, called as hls4ml's users call it."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.network.input_format import quantize_input
from stq_deploy.network.output import FUNCTIONS
from stq_deploy.network.reference import run
from stq_deploy.pipeline.model_in_memory import convert_keras_model
from stq_deploy.toolchain import host_compiler

pytestmark = pytest.mark.keras
SHAPE = (6, 5, 2)


def build_model(*middle: Any, end: str = "softmax", seed: int = 0) -> Any:
    import qkeras
    import tf_keras
    from tf_keras import layers

    tf_keras.utils.set_random_seed(seed)
    kernel = "stochastic_ternary(alpha='auto_po2')"
    return tf_keras.Sequential(
        [
            layers.InputLayer(SHAPE),
            qkeras.QActivation("quantized_relu(8,0)"),
            qkeras.QConv2D(4, 3, use_bias=False, kernel_quantizer=kernel),
            qkeras.QActivation("quantized_relu(4,2)"),
            *middle,
            layers.Flatten(),
            qkeras.QDense(3, use_bias=False, kernel_quantizer=kernel),
            layers.Activation(end),
        ],
        name="small",
    )


def convert(model: Any, **options: Any) -> Any:
    import hls4ml

    return hls4ml.converters.convert_from_keras_model(model, backend="STM32", **options)


@pytest.fixture(scope="module")
def model() -> Any:
    return build_model()


@pytest.fixture(scope="module")
def compiled(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    graph = convert(model, board="stm32h743", output_dir=str(tmp_path_factory.mktemp("hls4ml") / "out"))
    graph.compile()
    return graph


@pytest.fixture(scope="module")
def samples() -> Any:
    """float32 (40, *SHAPE): two constant ones, some beyond the input's range, rounding ties among the rest."""
    rng = np.random.default_rng(0)
    x = rng.integers(-20, 540, (40, *SHAPE)).astype(np.float32) / 512
    x[0], x[1] = 0, 1
    return x


def test_the_entry_point_is_installed() -> None:
    (found,) = importlib.metadata.entry_points(group="hls4ml.backends", name="stm32")
    assert found.value == "stq_deploy.hls4ml_backend.register:register"


def test_logits_are_the_integer_references(compiled: Any, model: Any, samples: Any) -> None:
    network = convert_keras_model(model)
    levels = run(network, quantize_input(samples, network.input_format))
    expected = levels.astype(np.float64) * network.output_type.scale
    found = compiled.predict(samples, logits=True)
    assert found.dtype == np.float64
    assert len(np.unique(found)) > 30
    np.testing.assert_array_equal(found, expected)


def test_probabilities_are_those_of_the_keras_model(compiled: Any, model: Any, samples: Any) -> None:
    np.testing.assert_allclose(compiled.predict(samples), model.predict(samples, verbose=0), rtol=1e-5)


def test_samples_may_have_any_shape_of_as_many_numbers(compiled: Any, samples: Any) -> None:
    whole = compiled.predict(samples)
    assert whole.shape == (40, 3)
    np.testing.assert_array_equal(compiled.predict(samples.astype(np.float64).reshape(40, -1)), whole)
    np.testing.assert_array_equal(compiled.predict(samples[:, ::-1, ::-1][:, ::-1, ::-1]), whole)
    for one in (samples[5], samples[5:6]):  # hls4ml gives one sample's output without the first axis
        np.testing.assert_array_equal(compiled.predict(one), whole[5])


def test_two_models_do_not_mix(compiled: Any, samples: Any, tmp_path: Path) -> None:
    before = compiled.predict(samples)
    other = convert(build_model(seed=1), output_dir=str(tmp_path / "other"))
    other.compile()
    assert (other.predict(samples) != before).any()
    np.testing.assert_array_equal(compiled.predict(samples), before)


def test_the_output_folder_holds_a_whole_project(compiled: Any) -> None:
    folder = Path(compiled.config.get_output_dir())
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert names >= {
        "Makefile",
        "network/stq_model.c",
        "network/stq_model_weights.c",
        "kernels/include/stq_nn.h",
        "kernels/instances.c",
        "board/linker.ld",
        "firmware.elf",
    }


def test_build_reports_sizes_and_paths(compiled: Any) -> None:
    report = compiled.build()
    assert report["board"] == "stm32h743"
    assert report["flash_bytes"] > 1000
    assert report["ram_bytes"] > 1000
    assert report["stack_bytes"] > 100
    written = json.loads((Path(report["folder"]) / "build.json").read_text())
    assert json.loads(json.dumps({key: report[key] for key in written})) == written
    for kind in ("elf", "bin", "hex", "map"):
        assert Path(report[kind]).stat().st_size > 1000


def test_hls4mls_own_configuration_is_accepted(model: Any) -> None:
    import hls4ml

    from stq_deploy.hls4ml_backend.environment import let_hls4ml_read_qkeras

    let_hls4ml_read_qkeras()
    config = hls4ml.utils.config_from_keras_model(model, granularity="name", backend="STM32")
    assert convert(model, hls_config=config).config.config["Backend"] == "STM32"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"board": "nucleo"}, r"there is no board 'nucleo'[^$]*choose one of: .*stm32h743"),
        ({"part": "xcu50", "io_type": "io_stream"}, r"has no option 'part', 'io_type'[^$]*FPGA[^$]*board, compiler"),
    ],
)
def test_options_that_cannot_be(model: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(StqError) as caught:
        convert(model, **options)
    assert_says(caught.value, message)


def test_a_layer_that_we_do_not_support_is_named(tmp_path: Path) -> None:
    from tf_keras import layers

    with pytest.raises(StqError) as caught:
        convert(build_model(layers.ELU(100.0, name="curve")), output_dir=str(tmp_path / "out"))
    assert_says(caught.value, r"^Keras model 'small': layer 'curve' \(ELU\): .*not supported")
    assert not list(tmp_path.iterdir())


def test_other_sources_than_keras_are_refused(model: Any) -> None:
    from hls4ml.backends import get_backend

    graph = type("Graph", (), {"config": type("Config", (), {"config": {"OnnxModel": "model.onnx"}})})
    with pytest.raises(StqError, match="takes Keras models only"):
        get_backend("STM32")._convert(graph)


def test_predict_before_compile(model: Any, samples: Any) -> None:
    with pytest.raises(StqError) as caught:
        convert(model).predict(samples)
    assert_says(caught.value, r"not compiled[^$]*call compile\(\)")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda x: (x * 255).astype(np.uint8), r"type uint8[^$]*/ 255"),
        (lambda x: x[:, :-1], r"shape \(40, 5, 5, 2\) are not whole inputs of shape \(6, 5, 2\)"),
        (lambda x: x[:0], r"not whole inputs"),
        (lambda x: x + np.float32(np.nan), r"NaN or infinite"),
        (lambda x: [["a"]], r"type <U1"),
    ],
)
def test_wrong_samples(compiled: Any, samples: Any, wrong: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(StqError) as caught:
        compiled.predict(wrong(samples))
    assert_says(caught.value, message)


def test_build_has_no_options(compiled: Any) -> None:
    with pytest.raises(StqError) as caught:
        compiled.build(csim=True)
    assert_says(caught.value, r"^build: backend STM32 has no option 'csim'")


def test_a_compiler_that_is_missing(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = convert(model, compiler="no-such-cc", output_dir=str(tmp_path / "out"))
    with pytest.raises(StqError, match="no compiler 'no-such-cc'"):
        graph.compile()
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(host_compiler, "_candidates", lambda: [])
    with pytest.raises(StqError, match="no C compiler for this computer was found"):
        convert(model, output_dir=str(tmp_path / "out")).compile()


def test_a_folder_of_something_else_is_left_alone(model: Any, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StqError, match="holds something that is not a build"):
        convert(model, output_dir=str(tmp_path)).compile()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_graph_loaded_from_a_file_says_what_it_lacks(compiled: Any, samples: Any, tmp_path: Path) -> None:
    import hls4ml

    compiled.save(str(tmp_path / "graph.fml"))
    with pytest.raises(StqError) as caught:
        hls4ml.converters.load_saved_model(str(tmp_path / "graph.fml")).predict(samples)
    assert_says(caught.value, r"not been converted in this process[^$]*does not hold the Keras model")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_final_functions_do_not_overflow(name: str) -> None:
    import tensorflow as tf

    logits = np.array([[-1e4, 0.0, 1e4], [700.0, -700.0, 0.25], [-3.0, -2.0, -1.0]])
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        found = FUNCTIONS[name](logits)
    np.testing.assert_allclose(found, getattr(tf.nn, name)(logits).numpy(), atol=1e-15)


@pytest.mark.parametrize("end", ["sigmoid", "linear"])
def test_the_models_last_function_is_applied(end: str, samples: Any, tmp_path: Path) -> None:
    model = build_model(end=end)
    graph = convert(model, output_dir=str(tmp_path / "out"))
    graph.compile()
    np.testing.assert_allclose(graph.predict(samples), model.predict(samples, verbose=0), rtol=1e-5, atol=1e-6)


def test_several_outputs_come_as_a_list(samples: Any, tmp_path: Path) -> None:
    import qkeras
    import tf_keras
    from tf_keras import layers

    trunk = build_model(seed=2)
    inner = trunk.layers[2].output  # the activations
    kernel = "stochastic_ternary(alpha='auto_po2')"
    second = qkeras.QDense(5, use_bias=False, kernel_quantizer=kernel)(layers.Flatten()(inner))
    model = tf_keras.Model(trunk.input, [trunk.output, layers.Activation("sigmoid")(second), layers.Flatten()(inner)])
    graph = convert(model, output_dir=str(tmp_path / "out"))
    graph.compile()
    found, expected = graph.predict(samples), model.predict(samples, verbose=0)
    assert [output.shape for output in found] == [(40, 3), (40, 5), (40, 4 * 3 * 4)]
    for ours, keras in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, keras, rtol=1e-5, atol=1e-6)
    for whole, one in zip(found, graph.predict(samples[3]), strict=True):
        np.testing.assert_array_equal(one, whole[3])


def assert_says(error: StqError, pattern: str) -> None:
    """The message, as printed, matches; `[^$]*` spans its lines."""
    assert re.search(pattern, str(error)), str(error)


def test_raw_features_take_hls4mls_type_or_the_range_that_the_call_gives(tmp_path: Path) -> None:
    import qkeras
    from tf_keras import Model, layers, utils

    utils.set_random_seed(1)
    inputs = layers.Input((16,))
    bits = qkeras.quantized_bits(6, 0, alpha=1)
    hidden = qkeras.QDense(32, kernel_quantizer=bits, bias_quantizer=bits)(inputs)
    hidden = qkeras.QActivation("quantized_relu(6,2)")(hidden)
    model = Model(inputs, qkeras.QDense(5, kernel_quantizer=bits, bias_quantizer=bits)(hidden))
    x = np.random.default_rng(0).normal(0, 2, (64, 16)).clip(-8, 8).astype(np.float32)
    x = np.round(x * 1024) / np.float32(1024)  # exact in ap_fixed<16,6>
    graph = convert(model, output_dir=str(tmp_path / "default"))
    graph.compile()
    np.testing.assert_allclose(graph.predict(x), model.predict(x, verbose=0), atol=1e-5)
    with pytest.raises(StqError, match=r"1 of 64 samples hold values outside the network's domain \[-32, 31\.999\]"):
        graph.predict(np.where(x == x.max(), np.float32(40), x))
    ranged = convert(model, input_range=(-8, 8), output_dir=str(tmp_path / "ranged"))
    ranged.compile()
    assert (ranged.predict(x).argmax(axis=1) == model.predict(x, verbose=0).argmax(axis=1)).all()
    with pytest.raises(StqError, match="is not a range"):
        convert(model, input_range=(3, -3), output_dir=str(tmp_path / "none"))


def test_layers_without_quantizers_take_the_types_of_hls_config(tmp_path: Path) -> None:
    import tf_keras
    from tf_keras import layers

    inputs = tf_keras.Input((6,))
    hidden = layers.Dense(5, activation="relu", name="first")(inputs)
    plain = tf_keras.Model(inputs, layers.Dense(3, name="last")(hidden))
    types = {"weight": "fixed<8,2,RND,SAT>", "bias": "fixed<8,2,RND,SAT>", "result": "fixed<12,4,RND,SAT>"}
    config = {"Model": {"Precision": "fixed<16,6>", "ReuseFactor": 1}, "LayerName": {"first": {"Precision": types}}}
    deployed = convert(plain, hls_config=config, output_dir=str(tmp_path / "out"))
    deployed.compile()
    x = (np.random.default_rng(0).integers(-1024, 1024, (50, 6)) / 1024).astype(np.float32)
    first, last = (plain.get_layer(name) for name in ("first", "last"))
    weights, bias = (np.clip(np.floor(w * 64 + 0.5), -128, 127) / 64 for w in first.get_weights())
    y = np.clip(np.floor(np.maximum(x @ weights.astype(np.float64) + bias, 0) * 256 + 0.5), -2048, 2047) / 256
    weights, bias = (np.floor(w.astype(np.float64) * 1024) / 1024 for w in last.get_weights())
    assert np.array_equal(deployed.predict(x), (y @ weights + bias).reshape(50, 3))
    calibrated = convert(plain, calibrate=x, output_dir=str(tmp_path / "int8"))
    calibrated.compile()
    assert np.abs(calibrated.predict(x) - plain.predict(x, verbose=0)).max() < 0.1


def _reads_features(end: list[Any]) -> Any:
    import tf_keras
    from tf_keras import layers

    tf_keras.utils.set_random_seed(2)
    return tf_keras.Sequential([layers.InputLayer((6,)), layers.Dense(4, name="dense"), *end])


def _softmax(**settings: Any) -> dict[str, Any]:
    return {"LayerName": {"softmax": settings}, "Model": {"Precision": "fixed<16,6>", "ReuseFactor": 1}}


def test_a_softmax_that_hls_config_skips_is_left_out(tmp_path: Path) -> None:
    """`predict` gives the numbers before it, and hls4ml's graph has the layer no longer."""
    from tf_keras import layers

    model = _reads_features([layers.Activation("softmax", name="softmax")])
    x = np.random.default_rng(0).integers(-64, 65, (20, 6)) / 32
    deployed = convert(model, hls_config=_softmax(skip=True), output_dir=str(tmp_path / "out"))
    deployed.compile()
    assert [layer.class_name for layer in deployed.get_layers()] == ["Input", "Dense"]
    found, dense = deployed.predict(x), model.get_layer("dense")
    assert np.array_equal(found, deployed.predict(x, logits=True))
    assert np.abs(found - dense(x.astype(np.float32)).numpy()).max() < 0.01


def test_a_skipped_softmax_that_another_layer_reads_is_refused(tmp_path: Path) -> None:
    from tf_keras import layers

    model = _reads_features([layers.Activation("softmax", name="softmax"), layers.Dense(2, name="last")])
    with pytest.raises(StqError) as caught:
        convert(model, hls_config=_softmax(skip=True), output_dir=str(tmp_path / "out"))
    assert_says(caught.value, "skips the softmax 'softmax', which other layers read")
