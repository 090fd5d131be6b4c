"""A layer's settings as tf_keras 2.21 and QKeras 0.9 write them, whichever version has written the file.

Everything after `model_config` reads settings in this form, so that only this module knows each variant:

- dtype policies are names: `{"class_name": "Policy", "config": {"name": "mixed_float16"}}` becomes "mixed_float16".
- flags are True or False: Keras takes `scale=1` and `use_bias=None` by their truth, and writes them as given.
- settings and quantizer parameters that later versions have added are left out where they mean "as before".
  With any other value they stay, and the import refuses them by name.

Nothing is executed, and nothing is checked: what remains is as untrusted as the file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_DEPTH = 8  # of objects in a layer's settings; the import refuses fewer
_FLAGS = frozenset(
    ("use_bias", "scale", "center", "keepdims", "renorm", "synchronized", "sparse", "ragged", "trainable")
)
_LATER_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "QConv2D": {"mask": None},
    "QConv2DBatchnorm": {"mask": None},
    "QBatchNormalization": {"inverse_quantizer": None},
}
"""Class -> setting of QKeras's repository since 0.9.0 -> the value that means "as before"."""

LATER_PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "quantized_bits": dict.fromkeys(
        ("elements_per_scale", "min_po2_exponent", "max_po2_exponent", "post_training_scale")
    ),
    "binary": dict.fromkeys(("scale_axis", "elements_per_scale", "min_po2_exponent", "max_po2_exponent")),
    "quantized_relu": {"enable_fast_inference": False},
}
"""The same for quantizers: QKeras's repository writes `post_training_scale` since 2025."""


def normal_settings(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of one layer, as parsed from JSON, in the form above; `config` itself stays as it is."""
    later = _LATER_SETTINGS.get(kind, {})
    return {key: _setting(key, value) for key, value in config.items() if not _as_before(later, key, value)}


def normal_parameters(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a quantizer without those of `LATER_PARAMETERS` that mean "as before"."""
    later = LATER_PARAMETERS.get(name, {})
    return {key: value for key, value in parameters.items() if not _as_before(later, key, value)}


def policy_name(value: Any) -> Any:
    """The name of a dtype policy that Keras 2 wrote as an object; anything else as it is."""
    if isinstance(value, dict) and value.get("class_name") in ("Policy", "PolicyV1"):
        config = value.get("config")
        if isinstance(config, dict) and config.keys() == {"name"} and isinstance(config["name"], str):
            return config["name"]
    return value


def _setting(key: str, value: Any) -> Any:
    if key == "dtype":
        return policy_name(value)
    if key in _FLAGS:
        return _truth(value)
    return _object(value, _DEPTH)


def _truth(value: Any) -> Any:
    """The truth of a flag, as Keras's `if` sees it; a value that is not a plain number stays."""
    if value is None:
        return False
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return bool(value)
    return value


def _object(value: Any, depth: int) -> Any:
    """A value with the objects in it, quantizers and layers among them, in normal form."""
    if not isinstance(value, dict) or depth == 0:
        return value
    kind, config = value.get("class_name"), value.get("config")
    if not isinstance(kind, str) or not isinstance(config, dict):
        return value
    if kind in LATER_PARAMETERS:
        return value | {"config": normal_parameters(kind, config)}
    if "dtype" in config or "name" in config:  # a layer, given as an activation
        config = {k: policy_name(v) if k == "dtype" else _truth(v) if k in _FLAGS else v for k, v in config.items()}
    return value | {"config": {k: _object(v, depth - 1) for k, v in config.items()}}


def _as_before(later: Mapping[str, Any], key: str, value: Any) -> bool:
    return key in later and value == later[key] and (value is None) == (later[key] is None)
