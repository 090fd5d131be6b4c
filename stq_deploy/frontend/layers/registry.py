"""Keras class name -> the handler that imports it, and what to say about those that have none."""

from __future__ import annotations

from collections.abc import Callable

from stq_deploy.errors import StqError
from stq_deploy.frontend.errors import unsupported
from stq_deploy.frontend.layers.reader import LayerReader

Handler = Callable[[LayerReader], None]
_HANDLERS: dict[str, Handler] = {}

_ALTERNATIVES = {
    "LeakyReLU": "use QActivation('quantized_relu(8,3,negative_slope=0.125)')",
    "Softmax": "use Activation('softmax') as the last layer",
    "Lambda": "a Lambda holds Python code, which is never run: use ordinary layers",
    "TFOpLambda": "a TensorFlow function was called on a tensor: use a Keras layer such as Add or Multiply",
    "QBatchNormalization": "use BatchNormalization: it is folded exactly, whatever its precision",
    "QConv2DBatchnorm": "use QConv2D followed by BatchNormalization: the two are folded exactly",
    "QDepthwiseConv2DBatchnorm": "use QDepthwiseConv2D followed by BatchNormalization",
    "AveragePooling2D": "use MaxPooling2D, or a QDepthwiseConv2D with a stride",
    "QAveragePooling2D": "use MaxPooling2D, or a QDepthwiseConv2D with a stride",
    "GlobalAveragePooling2D": "use MaxPooling2D and Flatten",
    "GlobalMaxPooling2D": "use MaxPooling2D with a pool as large as the image",
    "QAdaptiveActivation": "use QActivation with fixed bits",
    "Concatenate": "use Add to join branches",
    "ZeroPadding2D": "use padding='same' in the next convolution",
}


def register(*kinds: str) -> Callable[[Handler], Handler]:
    """Decorator: the function imports Keras layers of these classes."""

    def keep(handler: Handler) -> Handler:
        for kind in kinds:
            _HANDLERS[kind] = handler
        return handler

    return keep


def supported_kinds() -> tuple[str, ...]:
    """Every Keras class that has a handler."""
    return tuple(sorted(_HANDLERS))


def handler_for(name: str, kind: str) -> Handler:
    """The handler of a Keras class.

    Raises:
        StqError: there is none; it says what to use instead.
    """
    if kind in _HANDLERS:
        return _HANDLERS[kind]
    raise _no_handler(name, kind)


def _no_handler(name: str, kind: str) -> StqError:
    return unsupported(
        name, kind, "this layer type is not supported",
        next=_ALTERNATIVES.get(kind, f"build the model from: {', '.join(supported_kinds())}"),
    )  # fmt: skip
