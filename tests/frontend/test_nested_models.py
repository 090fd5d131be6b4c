"""Models within models: flattened, each layer with the arrays that are its own, in both forms of file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.frontend import ParsedModel, list_layers, parse_model
from stq_deploy.frontend import source as s
from stq_deploy.frontend.layer_graph import read_layer_graph
from tests.helpers.frontend.nested_models import block, outer
from tests.helpers.model_files import ModelDraft, random


def parse(draft: ModelDraft, folder: Path, form: str = "h5") -> ParsedModel:
    return parse_model(getattr(draft, f"save_{form}")(folder / f"m.{form}"))


def convolutions(parsed: ParsedModel) -> dict[str, np.ndarray]:
    """Layer name -> its kernel."""
    return {parsed.nodes[at].layer: kernel.values for at, kernel in parsed.kernels.items()}


def error_of(config: dict[str, Any]) -> StqError:
    with pytest.raises(StqError) as caught:
        read_layer_graph(config)
    assert caught.value.next
    return caught.value


@pytest.mark.parametrize("form", ["h5", "keras"])
def test_three_levels(form: str, tmp_path: Path) -> None:
    middle = block(seed=1, prefix="m_").add_model("inner", block(seed=2, prefix="i_"), "m_act")
    draft = outer().add_model("first", block(seed=3), "image").add_model("middle", middle, "first")
    parsed = parse(draft.add("Flatten", "flat", "middle", data_format="channels_last"), tmp_path, form)
    kernels = convolutions(parsed)
    assert list(kernels) == ["first/conv", "middle/m_conv", "middle/inner/i_conv"]
    for kernel, seed in zip(kernels.values(), (3, 1, 2), strict=True):
        assert np.array_equal(kernel, random(1, 1, 2, 2, seed=seed))
    assert [row.name for row in parsed.table if row.type == "InputLayer"] == [
        "image", "first/in", "middle/m_in", "middle/inner/i_in",
    ]  # fmt: skip
    # Inner inputs leave no node behind: the convolution reads the image itself.
    assert [type(node) for node in parsed.nodes[:2]] == [s.InputNode, s.ConvolveNode]
    assert parsed.nodes[1].inputs == (0,)


@pytest.mark.parametrize("form", ["h5", "keras"])
def test_a_layer_and_a_model_applied_again_have_the_same_arrays(form: str, tmp_path: Path) -> None:
    draft = outer().add_model("inner", block(seed=1), "image").apply("inner", "inner")
    draft.add("QActivation", "act", ("inner", 2, 0), activation="quantized_relu(2,0)").apply("act", ("inner", 1, 0))
    draft.add("Add", "add", "act", ("act", 1, 0))
    parsed = parse(draft, tmp_path, form)
    kernels = convolutions(parsed)
    assert list(kernels) == ["inner/conv", "inner/conv#2"]
    assert np.array_equal(*kernels.values())
    at = {node.layer: i for i, node in enumerate(parsed.nodes)}
    assert parsed.nodes[at["inner/conv#2"]].inputs == (at["inner/act"],)
    assert parsed.nodes[at["act"]].inputs == (at["inner/act#2"],)
    assert parsed.nodes[at["act#2"]].inputs == (at["inner/act"],)
    assert parsed.nodes[at["add"]].inputs == (at["act"], at["act#2"])


@pytest.mark.parametrize("form", ["h5", "keras"])
def test_an_inner_model_with_two_inputs_and_two_outputs(form: str, tmp_path: Path) -> None:
    inner = block(seed=1).add("InputLayer", "other", batch_input_shape=[None, None, None, 2])
    inner.add("Add", "sum", "act", "other")
    inner.outputs = ["sum", "other", "conv"]
    draft = outer().add("QActivation", "q", "image", activation="quantized_relu(8,0)")
    draft.add_model("inner", inner, "image", "q")
    draft.add("Add", "add", ("inner", 1, 2), ("inner", 1, 1))
    draft.outputs = [("inner", 1, 0), "add"]
    parsed = parse(draft, tmp_path, form)
    at = {node.layer: i for i, node in enumerate(parsed.nodes)}
    assert parsed.nodes[at["inner/conv"]].inputs == (0,)
    assert parsed.nodes[at["inner/sum"]].inputs == (at["inner/act"], at["q"])
    assert parsed.nodes[at["add"]].inputs == (at["inner/conv"], at["q"])
    assert parsed.outputs == (at["inner/sum"], at["add"])


def test_an_output_that_an_inner_model_passes_through(tmp_path: Path) -> None:
    inner = block(seed=1)
    inner.outputs = ["in", "act"]
    draft = outer().add_model("inner", inner, "image")
    draft.outputs = [("inner", 1, 1), ("inner", 1, 0)]
    assert "returns its own input" in error_of(draft.config()).what


@pytest.mark.parametrize("shape_in", ["InputLayer", "first layer", "nowhere"])
def test_an_inner_sequential_model(shape_in: str, tmp_path: Path) -> None:
    inner = block(seed=1)
    layers = [{"class_name": layer["class_name"], "config": layer["config"]} for layer in inner.layers]
    if shape_in != "InputLayer":
        del layers[0]
    if shape_in == "first layer":
        layers[0]["config"]["batch_input_shape"] = [None, 6, 5, 2]
    draft = outer().add_model("inner", inner, "image").add("Flatten", "flat", "inner", data_format="channels_last")
    entry = draft.entry("inner")
    entry |= {"class_name": "Sequential", "config": {"name": "inner", "layers": layers}}
    draft.entry("flat")["inbound_nodes"][0][0][1] = int(shape_in != "nowhere")
    parsed = parse(draft, tmp_path)
    assert list(convolutions(parsed)) == ["inner/conv"]
    assert parsed.nodes[-1].layer == "flat"


def test_flat_names_are_unique(tmp_path: Path) -> None:
    draft = outer().add("QActivation", "inner/act", "image", activation="quantized_relu(8,0)")
    draft.add("QActivation", "inner/conv#2", "inner/act", activation="quantized_relu(8,0)")
    draft.add_model("inner", block(seed=1), "inner/conv#2").apply("inner", "inner").apply("inner", ("inner", 2, 0))
    names = [layer.name for layer in read_layer_graph(draft.config()).layers]
    assert len(set(names)) == len(names) == 12
    assert [name for name in names if "conv" in name] == [
        "inner/conv#2", "inner/conv", "inner/conv#3", "inner/conv#4",
    ]  # fmt: skip


def test_h5_arrays_are_found_under_more_of_the_path(tmp_path: Path) -> None:
    """Two inner layers of one name: their variables have the inner models' names before them."""
    two = ModelDraft().add("InputLayer", "in", batch_input_shape=[None, 6, 5, 2])
    two.add_model("a", block(seed=1), "in").add_model("b", block(seed=2), "a")
    draft = outer().add_model("two", two, "image")
    for name, inner in two.models.items():
        inner.arrays = {f"{name}/{layer}": arrays for layer, arrays in inner.arrays.items()}
    kernels = convolutions(parse(draft, tmp_path))
    assert np.array_equal(kernels["two/a/conv"], random(1, 1, 2, 2, seed=1))
    assert np.array_equal(kernels["two/b/conv"], random(1, 1, 2, 2, seed=2))
    two.models["b"].arrays = {"c/conv": {"kernel": random(1, 1, 2, 2)}}
    with pytest.raises(StqError, match="layer 'two/b/conv' stores the arrays"):
        parse(draft, tmp_path)


def test_names_listed_in_several_attributes(tmp_path: Path) -> None:
    import h5py

    path = outer().add_model("inner", block(seed=1), "image").save_h5(tmp_path / "m.h5")
    with h5py.File(path, "a") as file:
        attributes = file["model_weights/inner"].attrs
        names = attributes["weight_names"]
        del attributes["weight_names"]
        attributes["weight_names0"] = ["elsewhere/kernel:0"]
        attributes["weight_names1"] = names
    assert list(convolutions(parse_model(path))) == ["inner/conv"]


def test_shape_of_an_inner_input(tmp_path: Path) -> None:
    for shape in ([None, 6, 5, 3], [None, 6, 5], [None, 6, 5, 2, 1], None, 7, [], [None, "6", 5, 2]):
        inner = block(seed=1)
        inner.settings("in")["batch_input_shape"] = shape
        with pytest.raises(StqError, match="the inner model takes the shape"):
            parse(outer().add_model("inner", inner, "image"), tmp_path)


def test_depth_and_number_of_layers_are_bounded() -> None:
    deep = block(seed=1)
    for level in range(16):
        deep = outer().add_model(f"m{level}", deep, "image")
    read_layer_graph(deep.config())
    assert "nested more than 16 deep" in error_of(outer().add_model("last", deep, "image").config()).what
    wide = block(seed=1)
    for level in range(12):  # 2 ** 12 models in a file of a few kilobytes
        wide = outer().add_model(f"m{level}", wide, "image").apply(f"m{level}", f"m{level}")
    assert "more than 1000 layers" in error_of(wide.config()).what
    long = outer().add_model("x" * 200, outer().add("Flatten", "y" * 100, "image"), "image")
    assert "too long" in error_of(long.config()).what


def test_what_is_wrong_inside_names_the_inner_model() -> None:
    for breakage, what in (
        ({"layers": []}, "0 layers"),
        ({"layers": "x"}, "lists no layers"),
        ({"output_layers": [["ghost", 0, 0]]}, "'ghost', which does not exist"),
        ({"input_layers": []}, "what its inputs are"),
    ):
        draft = outer().add_model("inner", block(seed=1), "image")
        draft.settings("inner").update(breakage)
        error = error_of(draft.config())
        assert what in error.what
        assert error.where == "model 'inner'"
    draft = outer().add_model("inner", block(seed=1), "image", "image")
    assert "applied to 2 tensors and has 1 inputs" in error_of(draft.config()).what


def test_inner_models_of_another_module_are_refused() -> None:
    for key, value in (("module", "os"), ("registered_name", "evil>Functional"), ("hook", "x")):
        draft = outer().add_model("inner", block(seed=1), "image")
        draft.entry("inner")[key] = value
        assert "it holds an object of class 'Functional'" in error_of(draft.config()).what


def test_what_only_keras_would_read_of_a_model(tmp_path: Path) -> None:
    """Keras would build it and deserialize its compile settings; only the outermost model can leave them out."""
    compiled = {"optimizer": {"module": "os", "class_name": "system", "config": {}, "registered_name": "system"}}
    for key, value, what in (
        ("compile_config", compiled, "it holds an object of class 'Functional'"),
        ("build_config", {"input_shape": [None, 6, 5, 2], "hook": 1}, "a model was built for"),
        ("build_config", 7, "a model was built for"),
    ):
        draft = outer().add_model("inner", block(seed=1), "image")
        draft.entry("inner")[key] = value
        assert what in error_of(draft.config()).what
    draft = outer().add_model("inner", block(seed=1), "image")
    draft.settings("inner")["hook"] = 1
    assert "a model has the settings ['hook']" in error_of(draft.config()).what
    built = {"compile_config": compiled, "build_config": {"input_shape": [None, 6, 5, 2]}}
    draft = outer().add_model("inner", block(seed=1), "image")
    assert convolutions(parse_model(draft.save_h5(tmp_path / "m.h5", draft.config() | built)))


@pytest.mark.parametrize("where", ["build_config", "build_input_shape"])
def test_an_inner_sequential_model_built_for_another_shape(where: str) -> None:
    """Without an input of its own, Keras would make it weights for any shape, before it is applied to the image."""
    inner = block(seed=1)
    layers = [{"class_name": layer["class_name"], "config": layer["config"]} for layer in inner.layers[1:]]
    draft = outer().add_model("inner", inner, "image")
    entry = draft.entry("inner")
    entry |= {"class_name": "Sequential", "config": {"name": "inner", "layers": layers}}
    draft.outputs = [("inner", 0, 0)]
    read_layer_graph(draft.config())
    shape = [None, 6, 5, 10**6]
    if where == "build_config":
        entry["build_config"] = {"input_shape": shape}
    else:
        entry["config"]["build_input_shape"] = shape
    assert "built without an input shape" in error_of(draft.config()).what


@pytest.mark.parametrize("form", ["h5", "keras"])
def test_nothing_inside_is_left_unchecked(form: str, tmp_path: Path) -> None:
    """Keras would deserialize inner input layers too, so their settings are held against the list."""
    draft = outer()
    inner = block(seed=1)
    inner.entry("in")["module"] = "os"
    with pytest.raises(StqError, match="from module 'os'"):
        parse(draft.add_model("inner", inner, "image"), tmp_path, form)
    draft, inner = outer(), block(seed=1)
    inner.settings("in")["hook"] = {"class_name": "__lambda__", "config": {"value": "4wEA"}}
    with pytest.raises(StqError, match="'__lambda__'"):
        parse(draft.add_model("inner", inner, "image"), tmp_path, form)


def test_calling_an_inner_model_as_in_training_concerns_all_its_layers(tmp_path: Path) -> None:
    draft = outer().add_model("inner", block(seed=1), "image")
    draft.entry("inner")["inbound_nodes"][0][0][3] = {"training": True}
    _, _, rows = list_layers(draft.save_h5(tmp_path / "m.h5"))
    assert ["called with the arguments" in row.problem for row in rows] == [False, True, True, True]


# What tf_keras itself writes


def _keras_models() -> dict[str, Any]:
    import qkeras
    import tf_keras

    layers = tf_keras.layers

    def convolution(name: str, **settings: Any) -> Any:
        return qkeras.QConv2D(
            2, 3, padding="same", kernel_quantizer="ternary(alpha='auto_po2')", name=name, use_bias=False, **settings
        )

    def act(name: str) -> Any:
        return qkeras.QActivation("quantized_relu(4,2)", name=name)

    def inner(name: str, *after: Any) -> Any:
        image = tf_keras.Input((6, 5, 2), name=f"{name}_in")
        x = act(f"{name}_act")(layers.BatchNormalization(name=f"{name}_bn")(convolution(f"{name}_conv")(image)))
        for layer in after:
            x = layer(x)
        return tf_keras.Model(image, x, name=name)

    image = tf_keras.Input((6, 5, 2), name="image")
    quantized = qkeras.QActivation("quantized_relu(8,0)", name="quantize")(image)
    sequential = tf_keras.Sequential([convolution("s_conv"), act("s_act")], name="s")
    a = inner("a", inner("b", sequential))(quantized, training=False)
    twice = inner("twice")
    shared = convolution("shared")
    y = layers.Add(name="add")([act("act1")(shared(twice(twice(a)))), act("act2")(shared(a))])
    y = qkeras.QDense(3, kernel_quantizer="quantized_bits(4,0,1,alpha=1)", name="fc")(layers.Flatten(name="flat")(y))
    branching = tf_keras.Model(image, y, name="branching")

    first = convolution("c", input_shape=(6, 5, 2))
    within = tf_keras.Sequential([first, layers.BatchNormalization(name="bn")], name="within")
    dense = qkeras.QDense(3, kernel_quantizer="quantized_bits(4,0,1,alpha=1)", name="d")
    chain = tf_keras.Sequential([within, act("a1"), layers.Flatten(name="f"), dense], name="chain")
    chain.build((None, 6, 5, 2))
    return {"branching": branching, "chain": chain}


@pytest.mark.keras
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["branching", "chain"])
def test_models_that_keras_nests_give_its_logits(name: str, tmp_path: Path) -> None:
    pytest.importorskip("qkeras")
    from stq_deploy.network.input_format import dequantize_input
    from stq_deploy.network.reference import run
    from stq_deploy.pipeline import Conversion, convert_model
    from stq_deploy.research.quantizers.exact import keep_order_of_additions

    keep_order_of_additions()
    model, rng = _keras_models()[name], np.random.default_rng(1)
    model.set_weights(
        [
            rng.normal(0, 1, w.shape) if "kernel" in v.name else rng.uniform(0.5, 2, w.shape)
            for v, w in zip(model.weights, model.get_weights(), strict=True)
        ]
    )
    networks = []
    conversion = Conversion((0.0, 1.0)) if name == "chain" else Conversion()  # the chain's input has no quantizer
    for form in ("h5", "keras"):
        model.save(tmp_path / f"m.{form}")
        networks.append(convert_model(tmp_path / f"m.{form}", conversion))
    assert networks[0].sha256() == networks[1].sha256()
    network = networks[0]
    levels = rng.integers(0, 256, (64, 6, 5, 2)) + network.input_type.zero_point
    expected = model.predict(dequantize_input(levels, network.input_type), verbose=0)
    assert expected.std(axis=0).min() > 0.1
    logits = run(network, levels).reshape(64, 3) * network.tensors[network.outputs[0]].scale
    # A rounding tie in batch norm may fall on the other side in TensorFlow's float32.
    assert np.mean(np.abs(logits - expected).max(axis=1) < 1e-4) > 0.9
