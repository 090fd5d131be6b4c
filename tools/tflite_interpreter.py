"""TensorFlow Lite's own interpreter, to compare with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]


def run(model: bytes, x: Values, *, reference: bool = False, before_softmax: bool = False) -> Values:
    """The outputs (N, K) of a .tflite model for inputs (N, ...) of its own type.

    Args:
        reference: by the reference kernels, whose rounding `convert` repeats; else by those that the interpreter
            chooses, which may round otherwise.
        before_softmax: the numbers that a last softmax reads, instead of its own.
    """
    import tensorflow as tf

    resolvers = tf.lite.experimental.OpResolverType
    interpreter = tf.lite.Interpreter(
        model_content=model,
        experimental_op_resolver_type=resolvers.BUILTIN_REF if reference else resolvers.AUTO,
        experimental_preserve_all_tensors=before_softmax,
    )
    interpreter.allocate_tensors()
    (input_,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    wanted = output["index"]
    if before_softmax:
        last = interpreter._get_ops_details()[-1]
        wanted = last["inputs"][0] if last["op_name"] == "SOFTMAX" else wanted
    found = []
    for sample in x:
        interpreter.set_tensor(input_["index"], sample[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(wanted)[0].copy())
    return np.stack(found)


def input_grid(model: bytes) -> tuple[float, int]:
    """(scale, zero point) of a quantized .tflite model's input."""
    import tensorflow as tf

    (input_,) = tf.lite.Interpreter(model_content=model).get_input_details()
    scale, zero_point = input_["quantization"]
    return float(scale), int(zero_point)


def input_type(model: bytes) -> Any:
    """The NumPy type of a .tflite model's input."""
    import tensorflow as tf

    (input_,) = tf.lite.Interpreter(model_content=model).get_input_details()
    return input_["dtype"]
