"""Refuses classes that are not Keras's or QKeras's own.

The import never instantiates a class that a file names, and Keras never gets the file (`keras_model`). But a class from
elsewhere may compute something else than its name suggests. And if the user opens the file with Keras, Keras imports
whatever module the file names.
"""

from __future__ import annotations

from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.errors import shown

MODEL_MODULES = frozenset(
    {
        *("keras", "tf_keras"),
        *(
            f"{package}.engine.{kind}"
            for package in ("keras", "keras.src", "tf_keras.src")  # Keras 2.12, 2.13 to 2.15, tf_keras
            for kind in ("functional", "sequential")
        ),
        *("keras.src.models.functional", "keras.src.models.sequential"),  # Keras 3
    }
)
LAYER_MODULES = frozenset(
    {
        *("keras.layers", "tf_keras.layers"),
        *("qkeras.qlayers", "qkeras.qconvolutional", "qkeras.qpooling", "qkeras.qnormalization"),
        *("qkeras.qconv2d_batchnorm", "qkeras.qdepthwiseconv2d_batchnorm"),
    }
)
OBJECT_MODULES = frozenset(
    {
        *(
            f"{keras}.{what}"
            for keras in ("keras", "tf_keras")
            for what in ("initializers", "constraints", "regularizers")
        ),
        "qkeras.qlayers",
        "qkeras.quantizers",
    }
)
_KEYS = frozenset(
    {
        *(
            "module",
            "class_name",
            "config",
            "registered_name",
            "shared_object_id",
            "__passive_serialization__",
        ),
        *("build_config", "name", "inbound_nodes", "keras_version", "backend"),
    }
)


def check_origin(entry: dict[str, Any], modules: frozenset[str], *also: str) -> None:
    """Check a serialized object's module and registered name.

    Args:
        also: entries that this object may have in addition to the common ones.

    Raises:
        StqError: it comes from elsewhere than `modules`, or has entries that Keras does not write.
    """
    kind, module, registered = (entry.get(key) for key in ("class_name", "module", "registered_name"))
    unknown = entry.keys() - {*_KEYS, *also}
    if module not in (None, *modules) or registered not in (None, kind) or unknown:
        raise StqError(
            f"it holds an object of class {shown(kind)} from module {shown(module)}, registered as {shown(registered)}",
            cause="the model has a custom layer, or the file was tampered with",
            next="build the model from Keras's and QKeras's own layers",
        )
