"""The networks by name, in every scheme.

Layer names are the same in every scheme, so weights pass from the floating-point twin to a quantized one by name.
"""

from __future__ import annotations

from typing import Any

import tf_keras

from stq_deploy.common.errors import StqError, no_such
from stq_deploy.research.quantizers.exact import keep_order_of_additions
from stq_deploy.zoo.ds_cnn import build_ds_cnn
from stq_deploy.zoo.layer_bits import check_layer_bits
from stq_deploy.zoo.resnet_v1 import build_resnet_v1
from stq_deploy.zoo.schemes import Scheme, get_scheme
from stq_deploy.zoo.stq import VARIANTS, build_stq
from stq_deploy.zoo.user_network import build_user_network, is_user_network

NETWORKS = ("stq", "resnet_v1", "ds_cnn")
SMALLEST_POOLED = 8
"""Rows and columns that the variant "pooled" needs, as it halves both three times; the other networks take any."""


def build_network(
    network: str = "stq",
    *,
    scheme: str | Scheme = "stq",
    classes: int = 10,
    input_shape: tuple[int, int, int] = (32, 32, 1),
    variant: str = "pooled",
    features: bool = False,
) -> Any:
    """A new, untrained tf_keras Model: float32 input (N, H, W, C) -> softmax (N, classes).

    Args:
        network: one of `NETWORKS`, or `file.py:function` to run a file of the user's own (`zoo.user_network`).
        input_shape: shape of pixels in [0, 1], or of features such as MFCC.
        variant: variant of the network stq, see `zoo.stq`; the others have only one.
        features: whether samples are features, in -128..127 (`Scheme.for_features`). To ds_cnn they always are.

    Raises:
        StqError: an unknown network, scheme or variant, a scheme with bits of a layer that the network lacks, or too
            small pictures.
    """
    keep_order_of_additions()
    chosen = get_scheme(scheme)
    if features:
        chosen = chosen.for_features
    if is_user_network(network):
        model = build_user_network(network, chosen, classes, input_shape)
    else:
        model = _build_own(network, chosen, classes, input_shape, variant)
    check_layer_bits(model, chosen)
    return model


def _build_own(network: str, chosen: Scheme, classes: int, input_shape: tuple[int, int, int], variant: str) -> Any:
    if network not in NETWORKS:
        raise no_such(f"unknown network {network!r}", network, NETWORKS, also="or FILE.py:FUNCTION of your own")
    if variant not in (VARIANTS if network == "stq" else VARIANTS[:1]):
        raise StqError(f"{network} has no variant {variant!r}", next=f"of stq, choose one of: {', '.join(VARIANTS)}")
    if network == "stq" and variant == "pooled":
        _check_pooled(input_shape)
    if network == "resnet_v1":
        return build_resnet_v1(chosen, classes, input_shape)
    if network == "ds_cnn":
        return build_ds_cnn(chosen, classes, input_shape)
    return build_stq(chosen, classes, input_shape, variant)


def _check_pooled(input_shape: tuple[int, int, int]) -> None:
    height, width, _ = input_shape
    if min(height, width) < SMALLEST_POOLED:
        raise StqError(
            f"the samples have {height} x {width} pixels, and the network stq halves both axes three times",
            cause=f"its variant pooled needs {SMALLEST_POOLED} x {SMALLEST_POOLED} pixels or more",
            next="choose --variant strided or --network resnet_v1, which take any size, or enlarge the samples",
        )


def logits_view(model: Any) -> Any:
    """A model that shares every layer of `model` but ends before its softmax: outputs logits (N, classes)."""
    return tf_keras.Model(model.input, model.layers[-1].input, name=f"{model.name}_logits")
