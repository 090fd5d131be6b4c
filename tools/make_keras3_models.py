#!/usr/bin/env python3
"""Makes tests/frontend/keras3: small files of Keras 3 and QKeras v3, with what Keras itself predicts for random inputs.

Keras 3 and QKeras v3 cannot share an environment with QKeras 0.9. So this tool runs in one of its own:

    python3 -m venv K3 && K3/bin/pip install keras tensorflow qkeras-v3
    K3/bin/python tools/make_keras3_models.py

Every model is saved as .keras and as .h5. `NAME.npz` holds x, and y0, y1 ... for the outputs, as `model.predict` gives
them. The weights are random and equal in every run.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import qkeras

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "frontend" / "keras3"
SAMPLES = 16
L = keras.layers
PO2 = "quantized_bits(4,0,1,alpha='auto_po2')"
QUANTIZERS = (
    "quantized_bits(4,0,1,alpha=1)",
    "quantized_bits(4,0,0,alpha=1)",
    "quantized_bits(4,1,1)",
    "quantized_bits(4,0,1,alpha='auto')",
    "quantized_bits(8,2,0,alpha='auto_po2')",
    "quantized_bits(1,0,1,alpha=1)",
    "quantized_bits(6,1,keep_negative=False,alpha=1)",
    "quantized_linear(4,0,1,alpha=1)",
    "quantized_linear(4,0,1,alpha='auto')",
    "quantized_linear(8,2,0,alpha='auto_po2')",
    *(
        f"{name}({alpha})"
        for name in ("ternary", "binary")
        for alpha in ("", "alpha=1", "alpha='auto'", "alpha='auto_po2'")
    ),
    "ternary(alpha=0.5,threshold=0.2)",
    "binary(use_01=True,alpha=1)",
    "stochastic_ternary(alpha='auto')",
    "stochastic_ternary(alpha='auto_po2')",
    "stochastic_binary(alpha='auto')",
    "quantized_po2(4)",
    "quantized_po2(6,max_value=2)",
    "quantized_po2(4,quadratic_approximation=True)",
    "quantized_relu_po2(4,max_value=4)",
)
FIXED = "quantized_bits(8,1,1,alpha=1)"


def main() -> None:
    """Make every file anew."""
    FOLDER.mkdir(exist_ok=True)
    for make in (quantized_layers, quantized_sequential, nested_models, operations, plain_layers, plain_sequential):
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        model = make()
        randomize(model, as_int8=make in (plain_layers, plain_sequential))
        record(model, make.__name__)
    for make in (integer_weights, integer_layers):
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        record(make(), make.__name__)
    np.savez_compressed(FOLDER / "quantizers.npz", **quantizers())


def quantizers() -> dict[str, Any]:
    """What QKeras v3's quantizers of weights make of a kernel, one channel of which is 0: text -> float32."""
    weights = np.random.default_rng(5).normal(0, 0.5, (3, 3, 2, 5)).astype(np.float32)
    weights[..., 3] = 0
    weights[0, 0, 0, :3] = (0.5, -0.5, 0.25)
    found = {"weights": weights}
    for text in QUANTIZERS:
        quantizer = qkeras.QDense(1, kernel_quantizer=text).kernel_quantizer_internal  # as a layer sets it up
        found[text] = np.asarray(quantizer(weights), np.float32)
    return found


def record(model: Any, name: str) -> None:
    """Save a model in both forms, and its predictions."""
    x = np.random.default_rng(1).uniform(-1.5, 1.5, (SAMPLES, *model.input_shape[1:])).astype(np.float32)
    y = model.predict(x, verbose=0)
    model.save(FOLDER / f"{name}.keras")
    compress(FOLDER / f"{name}.keras")
    model.save(FOLDER / f"{name}.h5")
    outputs = {f"y{i}": one for i, one in enumerate(y if isinstance(y, list) else [y])}
    np.savez_compressed(FOLDER / f"{name}.npz", x=x, **outputs)


def compress(path: Path) -> None:
    """Pack the members of an archive, which Keras stores as they are: HDF5's empty space is most of them."""
    with zipfile.ZipFile(path) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def randomize(model: Any, *, as_int8: bool) -> None:
    """Give every variable random values; kernels of plain layers are multiples of 2**-7 that int8 holds exactly."""
    random = np.random.default_rng(0)
    for variable in model.weights:
        name, shape = variable.path.rpartition("/")[2], variable.shape
        if name in ("moving_variance", "gamma"):
            variable.assign(random.uniform(0.5, 2, shape))
        elif as_int8 and name.endswith("kernel"):
            variable.assign(_whole(random, tuple(shape)) / 128)
        elif variable.dtype == "float32":
            variable.assign(random.normal(0, 0.4, shape))


def _whole(random: Any, shape: tuple[int, ...]) -> Any:
    """Whole numbers from -127 to 127; each output channel has 127."""
    values = random.integers(-100, 101, shape)
    values.reshape(-1, *shape[-2:])[0] = 127
    return values


# QKeras v3


def quantized_layers() -> Any:
    """Every kind of weighted layer of QKeras, with branches."""
    image = keras.Input((8, 8, 2), name="image")
    x = qkeras.QActivation("quantized_bits(8,1,1,alpha=1)", name="levels")(image)
    x = qkeras.QConv2D(4, 3, padding="same", kernel_quantizer=PO2, bias_quantizer=FIXED, name="first",
                       activation=qkeras.quantized_relu(4, 2))(x)  # fmt: skip
    y = qkeras.QDepthwiseConv2D(3, padding="same", depthwise_quantizer="ternary(alpha='auto_po2')",
                                bias_quantizer=FIXED, name="depth")(x)  # fmt: skip
    y = L.BatchNormalization(name="normalized")(y)
    y = qkeras.QActivation("quantized_relu(4,2)", name="relu")(y)
    x = L.Add(name="sum")([x, y])
    x = L.MaxPooling2D(2)(x)
    x = qkeras.QConv2DBatchnorm(6, 2, kernel_quantizer="binary(alpha=1)", name="folded",
                                bias_quantizer="quantized_bits(8,4,1,alpha=1)")(x)  # fmt: skip
    x = qkeras.QActivation(qkeras.quantized_bits(8, 4, 1, alpha=1), name="wide")(x)
    x = L.LeakyReLU(negative_slope=0.25)(x)
    x = qkeras.QActivation("quantized_tanh(6)")(x)
    x = L.Concatenate()([x, L.ReLU(max_value=0.5)(x)])
    x = L.Flatten()(x)
    x = qkeras.QDense(5, kernel_quantizer="stochastic_ternary(alpha='auto_po2')", bias_quantizer="quantized_po2(4)",
                      name="logits")(x)  # fmt: skip
    return keras.Model(image, x, name="quantized")


def quantized_sequential() -> Any:
    """A Sequential model of 1-D layers."""
    return keras.Sequential(
        [
            L.Input((12, 3)),
            qkeras.QActivation("quantized_bits(6,1,1,alpha=1)"),
            qkeras.QConv1D(4, 3, padding="same", kernel_quantizer=PO2, bias_quantizer=FIXED),
            L.Dropout(0.2),
            qkeras.QActivation("quantized_relu(5,2)"),
            L.AveragePooling1D(2),
            L.Flatten(),
            qkeras.QDense(3, kernel_quantizer="quantized_bits(3,0,1,alpha=0.5)", bias_quantizer=FIXED),
        ],
        name="sequence",
    )


def nested_models() -> Any:
    """A Sequential and a Functional model as layers, each applied twice, and two outputs."""
    dense = {"kernel_quantizer": PO2, "bias_quantizer": FIXED}
    inner = keras.Sequential(
        [L.Input((6,)), qkeras.QDense(6, **dense, name="inside"), qkeras.QActivation("quantized_relu(6,3)")],
        name="inner",
    )
    at = keras.Input((6,))
    again = keras.Sequential([L.Input((6,)), qkeras.QDense(6, **dense, name="inside")], name="again")
    sums = L.Add()([at, again(at)])
    functional = keras.Model(at, qkeras.QActivation("quantized_bits(8,4,1,alpha=1)")(sums), name="outer")
    vector = keras.Input((6,), name="vector")
    x = qkeras.QActivation("quantized_bits(8,1,1,alpha=1)")(vector)
    x = functional(functional(x))
    y = inner(inner(x))
    return keras.Model(vector, [qkeras.QDense(3, **dense, name="scores")(y), qkeras.QDense(2, **dense, name="more")(x)])


def operations() -> Any:
    """Functions of keras.ops and operators in the graph, and a function as another one's argument."""
    vector = keras.Input((6,), name="vector")
    x = qkeras.QActivation("quantized_bits(8,1,1,alpha=1)")(vector)
    dense = {"kernel_quantizer": PO2, "bias_quantizer": FIXED}
    y = qkeras.QDense(6, **dense, name="one")(x)
    x = keras.ops.relu(x + y) - keras.ops.maximum(x, y)
    x = qkeras.QActivation("quantized_bits(8,3,1,alpha=1)")(x)
    return keras.Model(vector, qkeras.QDense(4, **dense, name="two")(x))


# Keras 3


def plain_layers() -> Any:
    """Keras's own layers, without a quantizer."""
    image = keras.Input((9, 8, 3), name="image")
    x = L.ZeroPadding2D(((1, 0), (0, 1)))(image)
    x = L.Conv2D(4, (3, 2), strides=2, activation="relu", name="first")(x)
    x = L.BatchNormalization(name="normalized")(x)
    x = L.SeparableConv2D(5, 2, padding="same", name="separable")(x)
    x = L.Activation("tanh")(x)
    inner = keras.Sequential([L.Input((4, 4, 5)), L.DepthwiseConv2D(2, name="inside"), L.ReLU(max_value=6.0)])
    x = inner(x)
    x = L.Cropping2D(((0, 1), (1, 0)))(x)
    x = L.UpSampling2D(2)(x)
    x = L.SpatialDropout2D(0.1)(x)
    x = L.Multiply()([x, L.Activation("sigmoid")(x)])
    y = L.GlobalAveragePooling2D()(x)
    x = L.Concatenate()([L.GlobalMaxPooling2D()(x), y])
    x = L.Reshape((5, 2))(x)
    x = L.Conv1D(3, 2, name="rows")(x)
    x = L.Flatten()(x)
    return keras.Model(image, L.Dense(4, activation="softmax", name="classes")(x), name="plain")


def plain_sequential() -> Any:
    """Two dense layers."""
    return keras.Sequential([L.Input((8,)), L.Dense(6, activation="relu6"), L.Dense(3, activation="leaky_relu")])


def integer_weights() -> Any:
    """Layers whose weights Keras 3 has quantized, in each way that leaves their inputs as they are."""
    rows = keras.Input((3, 10), name="rows")
    x = qkeras.QActivation("quantized_bits(8,1,1,alpha=1)")(rows)
    x = L.Dense(6, activation="relu", bias_initializer="normal", name="int8")(x)
    x = L.Flatten()(qkeras.QActivation("quantized_relu(6,2)")(x))
    x = L.Dense(5, use_bias=False, name="int4_by_channel")(x)
    levels = qkeras.QActivation("quantized_bits(8,2,1,alpha=1)")(x)
    model = keras.Model(rows, [levels, L.Dense(7, bias_initializer="normal", name="int4_in_a_block")(levels)])
    own = keras.quantizers
    model.get_layer("int8").quantize("int8", config=own.Int8QuantizationConfig(activation_quantizer=None))
    model.get_layer("int4_by_channel").quantize("int4", config=own.Int4QuantizationConfig(block_size=-1))
    model.get_layer("int4_in_a_block").quantize("int4", config=own.Int4QuantizationConfig())
    return model


def integer_layers() -> Any:
    """Layers that Keras 3 itself has quantized, and whose inputs it scales by the largest value of each sample."""
    model = keras.Sequential([L.Input((8,)), L.Dense(6, activation="relu"), L.Dense(3)])
    model.quantize("int8")
    return model


if __name__ == "__main__":
    main()
