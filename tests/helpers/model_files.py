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


Source = str | tuple[str, int, int]
"""A layer, or (layer, number of its call, number of the output), as model files count them."""


@dataclass
class ModelDraft:
    """A functional model under construction: layer entries in order, and each layer's arrays by name."""

    layers: list[dict[str, Any]] = field(default_factory=list)
    arrays: dict[str, dict[str, Array]] = field(default_factory=dict)
    models: dict[str, ModelDraft] = field(default_factory=dict)
    outputs: list[Source] = field(default_factory=list)
    name: str = "draft"

    def add(
        self, kind: str, name: str, *inputs: Source, arrays: dict[str, Array] | None = None, **config: Any
    ) -> ModelDraft:
        """Add a layer; the last one added is the model's output, unless `outputs` is set afterwards."""
        settings = {"name": name, "trainable": True, "dtype": "float32", **config}
        if kind == "InputLayer":  # Keras writes none there, and refuses one
            del settings["trainable"]
        self.layers.append({"class_name": kind, "config": settings, "name": name, "inbound_nodes": []})
        self.arrays[name] = arrays or {}
        return self.apply(name, *inputs) if inputs else self

    def add_model(self, name: str, inner: ModelDraft, *inputs: Source) -> ModelDraft:
        """Add a model as a layer."""
        self.models[name] = inner
        entry = inner.config()
        self.layers.append({**entry, "config": {**entry["config"], "name": name}, "name": name, "inbound_nodes": []})
        return self.apply(name, *inputs)

    def apply(self, name: str, *inputs: Source) -> ModelDraft:
        """Apply a layer once more."""
        nodes = self.entry(name)["inbound_nodes"]
        nodes.append([[*self._tensor(source), {}] for source in inputs])
        self.outputs = [(name, len(nodes) - (name not in self.models), 0)]
        return self

    def _tensor(self, source: Source) -> list[Any]:
        # Keras counts the call that made a model, and leaves it out of the file.
        return list(source) if isinstance(source, tuple) else [source, int(source in self.models), 0]

    def settings(self, name: str) -> dict[str, Any]:
        """The settings of a layer, to be changed in place."""
        config: dict[str, Any] = self.entry(name)["config"]
        return config

    def entry(self, name: str) -> dict[str, Any]:
        """The whole entry of a layer, to be changed in place."""
        return next(layer for layer in self.layers if layer["name"] == name)

    def config(self) -> dict[str, Any]:
        inner = {
            "name": self.name,
            "trainable": True,
            "layers": copy.deepcopy(self.layers),
            "input_layers": [[layer["name"], 0, 0] for layer in self.layers if layer["class_name"] == "InputLayer"],
            "output_layers": [self._tensor(source) for source in self.outputs],
        }
        return {"class_name": "Functional", "config": inner}

    def save_h5(self, path: Path, config: Any = None) -> Path:
        with h5py.File(path, "w") as file:
            text = config if isinstance(config, str) else json.dumps(config or self.config())
            file.attrs["model_config"] = text
            weights = file.create_group("model_weights")
            weights.attrs["layer_names"] = [*self.arrays, *self.models]
            for layer in [*self.arrays, *self.models]:
                group = weights.create_group(layer)
                arrays = self._h5_arrays(layer)
                group.attrs["weight_names"] = list(arrays)
                for name, array in arrays.items():
                    group[name] = array
        return path

    def _h5_arrays(self, layer: str) -> dict[str, Array]:
        """The arrays of a layer, or of all layers of an inner model, by the names that `weight_names` lists."""
        if layer in self.models:
            inner = self.models[layer]
            return {k: v for each in [*inner.arrays, *inner.models] for k, v in inner._h5_arrays(each).items()}
        return {f"{layer}/{name}:0": array for name, array in self.arrays[layer].items()}

    def save_keras(self, path: Path) -> Path:
        weights = io.BytesIO()
        with h5py.File(weights, "w") as file:
            self._save_vars(file)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", json.dumps(self.config()))
            archive.writestr("model.weights.h5", weights.getvalue())
        return path

    def _save_vars(self, root: h5py.Group) -> None:
        counts: Counter[str] = Counter()
        for layer in self.layers:
            base = SNAKE_CASE[layer["class_name"]]
            container = f"{base}_{counts[base]}" if counts[base] else base
            counts[base] += 1
            group = root.create_group(f"layers/{container}")
            if layer["name"] in self.models:
                self.models[layer["name"]]._save_vars(group)
            arrays = group.create_group("vars")
            for i, array in enumerate(self.arrays.get(layer["name"], {}).values()):
                arrays[str(i)] = array


SNAKE_CASE = {
    "Functional": "functional",
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
