"""Models to put into other models."""

from __future__ import annotations

from tests.helpers.model_files import TERNARY, WINDOW, ModelDraft, random


def block(*, seed: int, prefix: str = "") -> ModelDraft:
    """input 6x5x2, ternary 1x1 convolution, quantizer."""
    draft = ModelDraft().add("InputLayer", f"{prefix}in", batch_input_shape=[None, 6, 5, 2])
    draft.add(
        "QConv2D", f"{prefix}conv", f"{prefix}in", filters=2, kernel_size=[1, 1], **WINDOW, activation="linear",
        use_bias=False, kernel_quantizer=TERNARY, bias_quantizer=None, arrays={"kernel": random(1, 1, 2, 2, seed=seed)},
    )  # fmt: skip
    return draft.add("QActivation", f"{prefix}act", f"{prefix}conv", activation="quantized_relu(4,2)")


def outer() -> ModelDraft:
    """An input of 6x5x2, for the models within."""
    return ModelDraft().add("InputLayer", "image", batch_input_shape=[None, 6, 5, 2])
