"""A Keras model without quantizers, as a draft: convolutions, batch norm, a residual sum, a gate, a pool, dense."""

from __future__ import annotations

import numpy as np

from tests.helpers.model_files import WINDOW, Array, ModelDraft, random

SHAPE = (8, 6, 2)


def float_draft(seed: int = 0) -> ModelDraft:
    """conv, BN, ReLU; then conv + BN added to it; then times sigmoid(depthwise); pool; flatten; dense; softmax."""
    draft = ModelDraft()
    draft.add("InputLayer", "image", batch_input_shape=[None, *SHAPE], sparse=False, ragged=False)
    _conv(draft, "conv1", "image", (3, 3, 2, 4), seed)
    _norm(draft, "bn1", "conv1", seed)
    draft.add("Activation", "relu1", "bn1", activation="relu")
    _conv(draft, "conv2", "relu1", (3, 3, 4, 4), seed + 1)
    _norm(draft, "bn2", "conv2", seed + 1)
    draft.add("Add", "add", "relu1", "bn2")
    draft.add("ReLU", "relu2", "add", max_value=None, negative_slope=0.0, threshold=0.0)
    draft.add(
        "DepthwiseConv2D", "dw", "relu2", arrays={"depthwise_kernel": random(3, 3, 4, 1, seed=seed + 2) / 3},
        kernel_size=[3, 3], **WINDOW, depth_multiplier=1, activation="sigmoid", use_bias=False,
    )  # fmt: skip
    draft.add("Multiply", "gated", "relu2", "dw")
    draft.add(
        "MaxPooling2D", "pool", "gated",
        pool_size=[2, 2], strides=[2, 2], padding="valid", data_format="channels_last",
    )  # fmt: skip
    draft.add("Dropout", "dropout", "pool", rate=0.5, noise_shape=None, seed=None)
    draft.add("Flatten", "flatten", "dropout", data_format="channels_last")
    draft.add(
        "Dense", "fc", "flatten", arrays={"kernel": random(48, 3, seed=seed + 3), "bias": random(3, seed=seed + 4)},
        units=3, activation="softmax", use_bias=True,
    )  # fmt: skip
    return draft


def float_pixels(count: int = 12, seed: int = 0) -> Array:
    """uint8 (N, *SHAPE)."""
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE)).astype(np.uint8)


def _conv(draft: ModelDraft, name: str, source: str, shape: tuple[int, ...], seed: int) -> None:
    arrays = {"kernel": random(*shape, seed=seed) / 3, "bias": random(shape[-1], seed=seed)}
    draft.add(
        "Conv2D", name, source, arrays=arrays, filters=shape[-1], kernel_size=list(shape[:2]), **WINDOW,
        activation="linear", use_bias=True,
    )  # fmt: skip


def _norm(draft: ModelDraft, name: str, source: str, seed: int) -> None:
    arrays = {"gamma": random(4, seed=seed), "beta": random(4, seed=seed + 1), "moving_mean": random(4, seed=seed + 2)}
    arrays["moving_variance"] = np.array([0.5, 1, 2, 3], np.float32)
    draft.add(
        "BatchNormalization", name, source, arrays=arrays,
        axis=[3], momentum=0.9, epsilon=1e-3, center=True, scale=True,
    )  # fmt: skip
