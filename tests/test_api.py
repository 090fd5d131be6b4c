"""`import stq_deploy as stq`: docs/API.md as it stands, against Keras, with wrong arguments, and with types."""

from __future__ import annotations

import ast
import doctest
import functools
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stq_deploy as stq
from stq_deploy.datasets.samples import samples_of
from stq_deploy.evaluation.layer_comparison import ComparedLayer, Difference, LayerComparison
from stq_deploy.network import reference
from stq_deploy.network.noise import InputNoise
from stq_deploy.rewrites import add_input_noise
from stq_deploy.targets.emulator.process import EmulatedBoard
from tests.helpers.model_files import ModelDraft, random
from tests.helpers.networks import random_levels, random_network

TOP = Path(__file__).resolve().parent.parent
PIXELS = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 1), np.uint8)


def draft(shape: tuple[int, ...] = (4,)) -> ModelDraft:
    """Two dense layers without quantizers."""
    sizes = (shape[-1], 6, 3)
    model = ModelDraft().add("InputLayer", "x", batch_input_shape=[None, *shape])
    for name, before, after, activation in (("a", sizes[0], 6, "relu"), ("b", 6, 3, "linear")):
        arrays = {"kernel": random(before, after, seed=after), "bias": random(after, seed=9)}
        model.add(
            "Dense", name, "x" if name == "a" else "a", arrays=arrays, units=after, activation=activation, use_bias=True
        )
    return model


@pytest.fixture(scope="module")
def net() -> stq.IntegerNetwork:
    return stq.load("zoo:s-binary-cifar10")


def test_the_page_s_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One build and one emulated board among them."""
    draft().save_h5(tmp_path / "model.h5")
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS
    found = doctest.testfile(str(TOP / "docs" / "API.md"), module_relative=False, optionflags=flags, report=True)
    assert found.failed == 0
    assert found.attempted > 20


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys\nold = set(sys.modules)\nimport stq_deploy\nprint(*set(sys.modules) - old)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded - set(sys.stdlib_module_names) == {"stq_deploy"}
    assert "stq_deploy.api" not in done.stdout.split()


def test_a_converted_network_needs_no_tensorflow() -> None:
    code = (
        "import sys, numpy as np, stq_deploy as stq\nnet = stq.load('zoo:s-binary-cifar10')\n"
        "net.predict(np.zeros((1, 32, 32, 1)))\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not set(done.stdout.split()) & {"tensorflow", "tf_keras", "qkeras", "unicorn", "matplotlib", "h5py", "rich"}


def test_every_name_is_there_and_no_other() -> None:
    for name in stq.__all__:
        assert getattr(stq, name).__module__.startswith("stq_deploy.")
    assert set(stq.__all__) <= set(dir(stq))
    assert sorted(stq.__all__) == sorted(name for names in stq._MODULES.values() for name in names)
    tree = ast.parse(Path(stq.__file__).read_text(encoding="utf-8"))
    typed = {
        (node.module, alias.name) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    at_run_time = {(f"stq_deploy.{module}", name) for module, names in stq._MODULES.items() for name in names}
    assert typed - at_run_time == {("importlib", "import_module"), ("typing", "TYPE_CHECKING"), ("typing", "Any")}
    assert at_run_time <= typed
    with pytest.raises(AttributeError, match="evalute"):
        stq.evalute  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.keras
def test_a_model_in_memory_predicts_what_keras_predicts() -> None:
    """On raw values, with logits that are integers times a power of two on both sides."""
    import qkeras
    import tf_keras
    from tf_keras import layers

    inputs = layers.Input((5,))
    x = qkeras.QActivation("quantized_bits(8,3,1)")(inputs)
    x = qkeras.QDense(7, kernel_quantizer="quantized_bits(4,0,1,alpha=1)", use_bias=False)(x)
    x = qkeras.QActivation("quantized_relu(4,2)")(x)
    logits = qkeras.QDense(3, kernel_quantizer="ternary(alpha=1)", use_bias=False)(x)
    model = tf_keras.Model(inputs, logits, name="in_memory")
    rng = np.random.default_rng(3)
    model.set_weights([rng.uniform(-1, 1, weight.shape) for weight in model.get_weights()])
    raw = rng.uniform(-12, 12, (50, 5)).astype(np.float32)  # beyond the quantizer's levels, too
    net = stq.convert(model)
    np.testing.assert_array_equal(net.predict(raw), model.predict(raw, verbose=0))
    assert "in_memory" in repr(net)


@pytest.mark.keras
def test_an_attack_stays_within_its_budget_and_counts_what_the_models_say() -> None:
    """The integer network's count from its own predictions, the Keras model's from Keras."""
    import tf_keras

    rng = np.random.default_rng(5)
    inputs = tf_keras.layers.Input((4, 4, 1))
    logits = tf_keras.layers.Dense(3)(tf_keras.layers.Flatten()(inputs))
    model = tf_keras.Model(inputs, logits, name="linear")
    model.set_weights([rng.uniform(-1, 1, weight.shape) for weight in model.get_weights()])
    x = rng.integers(0, 256, (40, 4, 4, 1), np.uint8)
    net = stq.convert(model, calibrate=x, post_training=True, input_range=(0, 1))
    labels = model.predict(x / 255, verbose=0).argmax(1)
    attacked = stq.attack(net, model, x, labels, "pgd", eps=16 / 255, max_iter=5)
    assert attacked.x.dtype == np.uint8
    moved = np.abs(attacked.x.astype(int) - x).max()
    assert 0 < moved <= 16
    assert attacked.largest_change == pytest.approx(moved / 255, rel=1e-5)
    assert attacked.clean_correct == 40
    assert attacked.attacked_correct == (model.predict(attacked.x / 255, verbose=0).argmax(1) == labels).sum() < 40
    assert attacked.integer_correct == (net.predict(attacked.x).argmax(1) == labels).sum()
    assert stq.attack(net, model, x / 255, labels, "fgsm", eps=0.1).x.dtype == np.float32
    np.testing.assert_array_equal(attacked.labels, labels)


@pytest.mark.keras
@pytest.mark.parametrize(
    ("name", "settings", "what"),
    [
        ("pdg", {}, "unknown attack 'pdg'"),
        ("pgd", {"iterations": 3}, "no setting 'iterations'"),
        ("pgd", {"eps": -1}, "eps = -1"),
        ("pgd", {"norm": "3"}, "norm = '3'"),
        ("transfer", {}, "another model's gradients"),
    ],
)
def test_an_attack_that_is_not_possible(
    net: stq.IntegerNetwork, name: str, settings: dict[str, Any], what: str
) -> None:
    with pytest.raises(stq.StqError, match=what):
        stq.attack(net, "zoo:s-binary-cifar10", PIXELS, [0, 1, 2, 3], name, **settings)


def test_attacked_samples_are_saved_beside_no_other_file(tmp_path: Path) -> None:
    samples = samples_of(PIXELS, [0, 1, 2, 3])
    attacked = stq.AttackedSamples(samples, 4, 2, 2, 0.1)
    (tmp_path / "other.npz").write_bytes(b"mine")
    with pytest.raises(stq.StqError):
        attacked.save(tmp_path / "other.npz")
    assert (tmp_path / "other.npz").read_bytes() == b"mine"
    with pytest.raises(stq.StqError):
        stq.attack(stq.load("zoo:s-binary-cifar10"), 7, PIXELS, [0, 1, 2, 3])


@pytest.mark.keras
def test_a_model_that_keras_cannot_save_is_an_error() -> None:
    import tf_keras

    class Own(tf_keras.Model):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(stq.StqError, match="cannot be saved"):
        stq.convert(Own())


def test_a_connected_board_and_several_outputs(tmp_path: Path) -> None:
    """An emulated board stands at the port, as a real one would."""
    net = stq.IntegerNetwork(next(one for one in map(random_network, range(200)) if len(one.outputs) > 1))
    x = net.network.input_format.values(random_levels(net.network, 3))
    firmware = stq.build(net, out=tmp_path / "fw", name="kws")
    assert (firmware.folder / "network" / "kws.h").is_file()
    assert len(repr(firmware)) < 300
    with (
        EmulatedBoard(firmware.elf, firmware.board, "fast") as emulated,
        stq.connect(firmware, port=emulated.port) as board,
    ):
        found = board.predict(x, features=True)
    for one, other in zip(found, net.predict(x, features=True), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(stq.StqError, match="port"), stq.connect(firmware, port=str(tmp_path / "absent")):
        pass
    assert stq.verify(net, x, on="stm32h743", features=True).differing_layers == 0


def test_levels_and_real_numbers_of_several_outputs() -> None:
    """A tuple, one array for each output, as the reference gives them."""
    whole = next(one for one in map(random_network, range(200)) if len(one.outputs) > 1)
    net = stq.IntegerNetwork(whole)
    levels = random_levels(whole, 3)
    x = whole.input_format.values(levels)
    found, real = net.predict(x, levels=True, features=True), net.predict(x, features=True)
    assert isinstance(found, tuple) and isinstance(real, tuple)
    for name, integers, numbers, expected in zip(
        whole.outputs, found, real, reference.run_outputs(whole, levels), strict=True
    ):
        spec = whole.tensors[name]
        np.testing.assert_array_equal(integers, expected)
        np.testing.assert_array_equal(numbers, (expected.astype(np.float64) - spec.zero_point) * spec.scale)
        assert numbers.dtype == np.float64 and integers.dtype == spec.dtype


def test_pixels_and_their_floats_are_the_same(net: stq.IntegerNetwork) -> None:
    levels = net.network.input_format.levels(PIXELS.astype(np.float32) / np.float32(255))
    expected = reference.run_outputs(net.network, levels)[0]
    for x in (PIXELS, PIXELS / 255, (PIXELS / 255).astype(np.float32), (PIXELS / np.float64(255)).tolist()):
        np.testing.assert_array_equal(net.predict(x, levels=True), expected)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (PIXELS.astype(np.float32), "outside [0, 1]"),
        (PIXELS.astype(np.int64), "int64"),
        (PIXELS > 3, "bool"),
        (PIXELS[0], "shape"),
        (PIXELS[:0], "shape"),
        (PIXELS[:, :31], "shape"),
        (PIXELS / 255 * np.nan, "NaN"),
        (np.full((1, 32, 32, 1), 1e300), "infinite"),
        ([[0.5], [0.5, 0.25]], "not an array"),
        ("pixels", "type"),
        (None, "type"),
    ],
)
def test_unusable_samples_are_errors(net: stq.IntegerNetwork, x: Any, message: str) -> None:
    for run in (net.predict, lambda x: stq.verify(net, x), lambda x: stq.evaluate(net, x, [1])):
        if x is None and run is not net.predict:
            continue
        with pytest.raises(stq.StqError) as caught:
            run(x)
        assert message in str(caught.value)
        assert caught.value.next


def test_features_outside_the_domain_are_errors(tmp_path: Path) -> None:
    path = draft().save_h5(tmp_path / "model.h5")
    features = np.random.default_rng(0).uniform(-2, 2, (64, 4)).astype(np.float32)
    net = stq.convert(path, calibrate=features, input_range=(-2, 2), post_training=True)
    assert net.predict(features).shape == (64, 3)
    for beyond in (features * 2, -features * 2):
        with pytest.raises(stq.StqError, match="outside the network's domain"):
            net.predict(beyond)
    seen = stq.convert(path, calibrate=features, post_training=True)
    with pytest.raises(stq.StqError, match="outside the network's domain"):
        seen.predict(features * np.float32(1.5))


@pytest.mark.keras
def test_an_assumed_input_is_a_warning_and_an_unknown_one_an_error() -> None:
    import qkeras
    import tf_keras
    from tf_keras import layers

    def model(shape: tuple[int, ...]) -> Any:
        inputs = layers.Input(shape)
        kernel = "quantized_bits(4,0,1,alpha=1)"
        return tf_keras.Model(
            inputs, qkeras.QDense(2, kernel_quantizer=kernel, use_bias=False)(layers.Flatten()(inputs))
        )

    picture = model((4, 4, 1))
    with pytest.warns(UserWarning, match=r"pixels in \[0, 1\]"):
        stq.convert(picture)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        net = stq.convert(picture, input_range=(0, 1), drop_unread_units=True, pack_activations=True)
    assert net.input_shape == (4, 4, 1)
    with pytest.raises(stq.StqError):
        stq.convert(model((5,)))


def test_input_noise_as_the_command_adds_it(tmp_path: Path) -> None:
    path = draft((4, 4, 3)).save_h5(tmp_path / "model.h5")
    pixels = np.random.default_rng(0).integers(0, 256, (64, 4, 4, 3), np.uint8)
    calibrated = functools.partial(stq.convert, path, calibrate=pixels, post_training=True)
    plain, noisy = calibrated(), calibrated(input_noise=12.5, input_noise_seed=7)
    assert noisy.network == add_input_noise(plain.network, InputNoise(12.5, 7))
    assert not np.array_equal(noisy.predict(pixels), plain.predict(pixels))
    for options in ({"input_noise_seed": 7}, {"input_noise": -1}, {"input_noise": 1, "input_noise_seed": -1}):
        with pytest.raises(stq.StqError, match=r"nois|deviation"):
            calibrated(**options)


def test_calibration_pixels(tmp_path: Path) -> None:
    path = draft((4, 4, 3)).save_h5(tmp_path / "model.h5")
    pixels = np.random.default_rng(0).integers(0, 256, (64, 4, 4, 3), np.uint8)
    net = stq.convert(path, calibrate=pixels, post_training=True)
    np.testing.assert_array_equal(net.predict(pixels), net.predict(pixels / 255))
    with pytest.raises(stq.StqError, match=r"outside \[0, 1\]"):
        stq.convert(path, calibrate=pixels.astype(np.float32), post_training=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_range": (1, 1)}, "input_range"),
        ({"input_range": "wide"}, "input_range"),
        ({"input_range": (0, float("inf"))}, "input_range"),
        ({"input_bits": 17}, "input_bits"),
        ({"input_bits": 7}, "input_bits"),
        ({"post_training": True}, "calibrate"),
        ({"post_training": True, "ranges": "mean", "calibrate": np.zeros((3, 4))}, "mean"),
        ({"calibrate": np.zeros((3, 4), np.int64)}, "int64"),
        ({"calibrate": "absent.npz"}, "absent.npz"),
    ],
)
def test_wrong_options_of_a_conversion(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    path = draft().save_h5(tmp_path / "model.h5")
    with pytest.raises(stq.StqError) as caught:
        stq.convert(path, **arguments)
    assert message in str(caught.value)


def test_what_is_no_model(tmp_path: Path) -> None:
    for wrong in (3, None, b"model.h5"):
        with pytest.raises(stq.StqError, match="neither the path"):
            stq.convert(wrong)
    for absent in (tmp_path / "absent.h5", "zoo:absent"):
        with pytest.raises(stq.StqError):
            stq.convert(absent)
        with pytest.raises(stq.StqError):
            stq.load(absent)
    with pytest.raises(stq.StqError):
        stq.load(draft().save_h5(tmp_path / "model.h5"))


def test_saving_replaces_networks_and_nothing_else(net: stq.IntegerNetwork, tmp_path: Path) -> None:
    path = tmp_path / "net.stq"
    for _ in range(2):
        net.save(path)
    assert stq.load(path).model_hash == net.model_hash
    path.write_text("a letter")
    with pytest.raises(stq.StqError, match="not a network"):
        net.save(path)
    assert path.read_text() == "a letter"


def test_names_of_executors(net: stq.IntegerNetwork) -> None:
    for wrong in (["hots"], ["numpy"], ["host", "host"], []):
        with pytest.raises(stq.StqError):
            stq.verify(net, PIXELS[:1], on=wrong)
    with pytest.raises(stq.StqError, match="hots"):
        stq.evaluate(net, PIXELS, [0, 1, 2, 3], on="hots")
    with pytest.raises(stq.StqError, match="board"):
        stq.build(net, board="stm32")


def test_scores_are_those_of_the_logits(net: stq.IntegerNetwork) -> None:
    answers = net.predict(PIXELS).argmax(axis=1)
    labels = answers.copy()
    labels[0] = (labels[0] + 1) % 10
    for on in ("numpy", "host"):
        found = stq.evaluate(net, PIXELS, labels, on=on)
        assert (found.figure, found.samples, found.on) == (0.75, 4, on)
        assert found.interval is not None and found.interval[0] < 0.75 < found.interval[1]
        expected = np.zeros((10, 10), np.int64)
        np.add.at(expected, (labels, answers), 1)
        np.testing.assert_array_equal(found.confusion, expected)
        assert found.mismatches.tolist() == []
        assert "0 differ from the reference" in str(found)
        assert found.outside == int((PIXELS / 255 > 1 - 1 / 512).any(axis=(1, 2, 3)).sum())
    for wrong in (None, [0, 1], [0, 1, 2, 10]):
        with pytest.raises(stq.StqError, match="label"):
            stq.evaluate(net, PIXELS, wrong, on="numpy")
    with pytest.raises(stq.StqError, match="task"):
        stq.evaluate(net, PIXELS, labels, on="numpy", task="guess")


def test_an_executor_that_differs_is_named(net: stq.IntegerNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's result of one sample is changed behind the interface."""
    from stq_deploy.executors.host_executor import HostExecutor

    true_run = HostExecutor.run

    def wrong_run(self: HostExecutor, *arguments: Any) -> Any:
        first, *others = true_run(self, *arguments)
        first[2, 0] += 1
        return (first, *others)

    monkeypatch.setattr(HostExecutor, "run", wrong_run)
    assert stq.evaluate(net, PIXELS, [0, 1, 2, 3]).mismatches.tolist() == [2]


def test_differences_raise() -> None:
    row = ComparedLayer(0, "fc", "dense", 1, {"host": 1})
    difference = Difference("host", 0, "fc", 3, 1, (2,), 5, 6)
    found = LayerComparison("numpy", ("host",), 4, (row,), (difference,))
    with pytest.raises(
        stq.StqError, match=r"host differs first in layer 0 \(fc\), sample 3, element \(2,\): 6 instead"
    ):
        found.raise_if_different()
    LayerComparison("numpy", ("host",), 4, (ComparedLayer(0, "fc", "dense", 1, {"host": 0}),), ()).raise_if_different()


def test_what_is_printed_has_no_control_characters_and_no_weights(net: stq.IntegerNetwork) -> None:
    assert len(repr(net).splitlines()) == 1 and len(repr(net)) < 200
    assert len(repr(net.network)) < 200 and len(repr(net.program)) < 300
    lines = str(net).splitlines()
    assert len(lines) == len(net.network.ops) + 2
    assert max(map(len, lines)) <= 120
    op = net.network.ops[-1]
    assert lines[-2].split()[:2] == [op.name, op.kind]


TYPED = """
from typing import assert_type

import numpy as np
import stq_deploy as stq

x = np.zeros((2, 32, 32, 1), np.uint8)
{readme}
assert_type(net, stq.IntegerNetwork)
assert_type(fw, stq.BuiltFirmware)
assert_type(fw.flash_bytes, int)
assert_type(fw.stack_bytes, int | None)
assert_type(board, stq.ConnectedBoard)
assert_type(net.input_shape, tuple[int, ...])
assert_type(stq.verify(net, x, on=["host"]), stq.LayerComparison)
assert_type(stq.evaluate(net, x, [0, 1]).interval, tuple[float, float] | None)
first, second = net.predict(x, levels=True)
stq.convert(3, input_bits="8")  # expected: arg-type
stq.build("net.stq")  # expected: arg-type
stq.connect(fw)  # expected: call-arg
net.predcit(x)  # expected: attr-defined
"""


def test_the_types_are_those_of_the_page(tmp_path: Path) -> None:
    """README's block and more under mypy --strict: no error but those that are expected."""
    (block,) = re.findall(r"```python\n(.*?)```", (TOP / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    snippet = TYPED.replace("{readme}", block)
    path = tmp_path / "snippet.py"
    path.write_text(snippet)
    expected = {
        (number, line.rpartition("expected: ")[2])
        for number, line in enumerate(snippet.splitlines(), 1)
        if "# expected: " in line
    }
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(TOP / "pyproject.toml"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=TOP, timeout=600)
    found = {
        (int(number), code) for number, code in re.findall(r"snippet\.py:(\d+): error: .*\[([\w-]+)\]", done.stdout)
    }
    assert found == expected, done.stdout + done.stderr
