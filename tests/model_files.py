"""Writes model files as tf_keras would, without TensorFlow, so that tests can also write what it never would."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass
class ModelDraft:
    """A functional model under construction: layer entries in order, and each layer's arrays by name."""

    layers: list[dict[str, Any]] = field(default_factory=list)
    arrays: dict[str, dict[str, Array]] = field(default_factory=dict)
    output: str = ""

    def add(
        self, kind: str, name: str, *inputs: str, arrays: dict[str, Array] | None = None, **config: Any
    ) -> ModelDraft:
        nodes = [[[source, 0, 0, {}] for source in inputs]] if inputs else []
        settings = {"name": name, "trainable": True, "dtype": "float32", **config}
        self.layers.append({"class_name": kind, "config": settings, "name": name, "inbound_nodes": nodes})
        self.arrays[name] = arrays or {}
        self.output = name
        return self

    def settings(self, name: str) -> dict[str, Any]:
        """The settings of a layer, to be changed in place."""
        return next(layer["config"] for layer in self.layers if layer["name"] == name)

    def entry(self, name: str) -> dict[str, Any]:
        """The whole entry of a layer, to be changed in place."""
        return next(layer for layer in self.layers if layer["name"] == name)

    def config(self) -> dict[str, Any]:
        inner = {
            "name": "draft",
            "trainable": True,
            "layers": copy.deepcopy(self.layers),
            "input_layers": [[self.layers[0]["name"], 0, 0]],
            "output_layers": [[self.output, 0, 0]],
        }
        return {"class_name": "Functional", "config": inner}

    def save_h5(self, path: Path, config: Any = None) -> Path:
        with h5py.File(path, "w") as file:
            text = config if isinstance(config, str) else json.dumps(config or self.config())
            file.attrs["model_config"] = text
            weights = file.create_group("model_weights")
            for layer, arrays in self.arrays.items():
                group = weights.create_group(layer)
                group.attrs["weight_names"] = [f"{layer}/{name}:0" for name in arrays]
                for name, array in arrays.items():
                    group[f"{layer}/{name}:0"] = array
        return path

    def save_keras(self, path: Path) -> Path:
        weights = io.BytesIO()
        with h5py.File(weights, "w") as file:
            counts: Counter[str] = Counter()
            for layer in self.layers:
                base = SNAKE_CASE[layer["class_name"]]
                container = f"{base}_{counts[base]}" if counts[base] else base
                counts[base] += 1
                group = file.create_group(f"layers/{container}/vars")
                for i, array in enumerate(self.arrays[layer["name"]].values()):
                    group[str(i)] = array
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", json.dumps(self.config()))
            archive.writestr("model.weights.h5", weights.getvalue())
        return path


SNAKE_CASE = {
    "InputLayer": "input_layer",
    "QActivation": "q_activation",
    "Activation": "activation",
    "QConv2D": "q_conv2d",
    "QDepthwiseConv2D": "q_depthwise_conv2d",
    "QSeparableConv2D": "q_separable_conv2d",
    "QDense": "q_dense",
    "Conv2D": "conv2d",
    "DepthwiseConv2D": "depthwise_conv2d",
    "SeparableConv2D": "separable_conv2d",
    "Dense": "dense",
    "ReLU": "re_lu",
    "BatchNormalization": "batch_normalization",
    "MaxPooling2D": "max_pooling2d",
    "Flatten": "flatten",
    "Add": "add",
}

WINDOW = {
    "strides": [1, 1],
    "padding": "same",
    "data_format": "channels_last",
    "dilation_rate": [1, 1],
    "groups": 1,
}
TERNARY = {"class_name": "ternary", "config": {"alpha": "auto_po2", "threshold": None}}
BITS4 = "quantized_bits(4,0,1,alpha='auto_po2')"


def random(*shape: int, seed: int = 0) -> Array:
    """float32 weights in [-1, 1]."""
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def tiny_model() -> ModelDraft:
    """input 6x5x2, quantizer, convolution 3x3 to 4, BN, relu, pool, flatten, dense to 3, softmax."""
    draft = ModelDraft()
    draft.add("InputLayer", "image", batch_input_shape=[None, 6, 5, 2], sparse=False, ragged=False)
    draft.add("QActivation", "quantize", "image", activation="quantized_relu(8,0)")
    draft.add(
        "QConv2D",
        "conv",
        "quantize",
        arrays={"kernel": random(3, 3, 2, 4)},
        filters=4,
        kernel_size=[3, 3],
        **WINDOW,
        activation="linear",
        use_bias=False,
        kernel_quantizer=TERNARY,
        bias_quantizer=None,
    )
    statistics = {"gamma": random(4), "beta": random(4, seed=1), "moving_mean": random(4, seed=2)}
    statistics["moving_variance"] = np.array([0.5, 1, 2, 3], np.float32)
    draft.add(
        "BatchNormalization",
        "bn",
        "conv",
        arrays=statistics,
        axis=[3],
        momentum=0.9,
        epsilon=1e-3,
        center=True,
        scale=True,
    )
    draft.add("QActivation", "relu", "bn", activation="quantized_relu(4,2)")
    draft.add(
        "MaxPooling2D",
        "pool",
        "relu",
        pool_size=[2, 2],
        strides=[2, 2],
        padding="valid",
        data_format="channels_last",
    )
    draft.add("Flatten", "flatten", "pool", data_format="channels_last")
    draft.add(
        "QDense",
        "fc",
        "flatten",
        arrays={"kernel": random(24, 3, seed=3), "bias": random(3, seed=4)},
        units=3,
        activation="linear",
        use_bias=True,
        kernel_quantizer=BITS4,
        bias_quantizer=None,
    )
    return draft.add("Activation", "softmax", "fc", activation="softmax")
