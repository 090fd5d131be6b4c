"""Rebuild MLPerf Tiny's DS-CNN in Keras, with the weights of its kws_ref_model_float32.tflite.

    python tools/ds_cnn_from_tflite.py kws_ref_model_float32.tflite ds_cnn.h5

In spite of its name that file holds the convolutions' weights in 8 bits, which TensorFlow Lite multiplies by
activations it quantizes on the fly. The Keras model takes these integers' real values. Its results must equal
TensorFlow Lite's own, for the same graph with these floats, to 1e-5. Otherwise nothing is written. Batch norm, which
the file has folded into the weights, changes nothing in the Keras model.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.common.errors import StqError
from tools.figures_file import check_model

CLASSES, SHAPE = 12, (49, 10, 1)
FEATURES = (-124.0, 34.0)  # what one second's MFCC span, about
ALLOWED = 1e-5

Floats = npt.NDArray[np.float32]


@click.command()
@click.argument("source", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.argument("destination", type=click.Path(path_type=Path))
def main(source: Path, destination: Path) -> None:
    """Write DESTINATION (.h5) from SOURCE, MLPerf Tiny's kws_ref_model_float32.tflite."""
    from stq_deploy.research.training.result import save_model

    try:
        check_model(destination, [source])
        model, difference = rebuild(source)
    except StqError as error:
        raise click.ClickException(str(error)) from error
    save_model(model, destination)
    click.echo(f"{destination}: {model.count_params():,} parameters; differs from TensorFlow Lite by {difference:.1g}")


def rebuild(path: Path) -> tuple[Any, float]:
    """(the Keras model, its largest difference from TensorFlow Lite on random features).

    Raises:
        StqError: the file is not a DS-CNN, or the two differ by more than 1e-5.
    """
    from stq_deploy.zoo.networks import build_network

    graph = _with_floats(path)
    model = build_network("ds_cnn", scheme="fp", classes=CLASSES, input_shape=SHAPE)
    kernels = list(_kernels(graph, path))
    layers = [layer for layer in model.layers if layer.name.startswith(("conv", "dw", "pw", "fc"))]
    shapes = [[tuple(w.shape) for w in layer.get_weights()] for layer in layers]
    if [[kernel.shape, bias.shape] for kernel, bias in kernels] != shapes:
        raise _no_ds_cnn(path)
    for layer, weights in zip(layers, kernels, strict=True):
        layer.set_weights(weights)
    for layer in model.layers:
        if layer.name.startswith("bn"):  # variance + epsilon is 1
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights([gamma, beta, mean, variance - np.float32(layer.epsilon)])
    x = np.random.default_rng(0).uniform(*FEATURES, (64, *SHAPE)).astype(np.float32)
    difference = float(np.abs(model(x).numpy() - run(_bytes(graph), x)).max())
    if difference > ALLOWED:
        raise StqError(f"the Keras model differs from TensorFlow Lite by {difference:.1g}", where=str(path))
    return model, difference


def run(model: bytes, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The outputs (N, K) of a .tflite model for inputs (N, ...) of its own type."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_content=model)
    interpreter.allocate_tensors()
    (input_,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for sample in x:
        interpreter.set_tensor(input_["index"], sample[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(output["index"])[0])
    return np.stack(found)


def input_grid(model: bytes) -> tuple[float, int]:
    """(scale, zero point) of a quantized .tflite model's input."""
    import tensorflow as tf

    (input_,) = tf.lite.Interpreter(model_content=model).get_input_details()
    scale, zero_point = input_["quantization"]
    return float(scale), int(zero_point)


def _with_floats(path: Path) -> Any:
    """The file as an object, every 8-bit constant of it replaced by the floats that it stands for."""
    from tensorflow.lite.python.schema_py_generated import TensorType
    from tensorflow.lite.tools import flatbuffer_utils

    graph = flatbuffer_utils.read_model(str(path))
    for tensor in graph.subgraphs[0].tensors:
        if tensor.type == TensorType.INT8:
            scale, axis = np.array(tensor.quantization.scale, np.float32), tensor.quantization.quantizedDimension
            shape = [len(scale) if i == axis else 1 for i in range(len(tensor.shape))]
            integers = np.frombuffer(bytes(graph.buffers[tensor.buffer].data), np.int8).reshape(tensor.shape)
            floats = integers * scale.reshape(shape)
            graph.buffers[tensor.buffer].data = np.frombuffer(floats.astype("<f4").tobytes(), np.uint8)
            tensor.type, tensor.quantization = TensorType.FLOAT32, None
    return graph


def _kernels(graph: Any, path: Path) -> Iterator[tuple[Floats, Floats]]:
    """(kernel, bias) of each weighted layer in order, the kernel as Keras has it."""
    from tensorflow.lite.python.schema_py_generated import BuiltinOperator

    subgraph = graph.subgraphs[0]
    weighted = (BuiltinOperator.CONV_2D, BuiltinOperator.DEPTHWISE_CONV_2D, BuiltinOperator.FULLY_CONNECTED)
    for operator in subgraph.operators:
        # The deprecated field is the one that files of every age have for these operators.
        if graph.operatorCodes[operator.opcodeIndex].deprecatedBuiltinCode in weighted:
            tensors = [subgraph.tensors[i] for i in operator.inputs[1:] if i >= 0]
            data = [graph.buffers[tensor.buffer].data for tensor in tensors]
            if len(tensors) != 2 or any(found is None for found in data):
                raise _no_ds_cnn(path)
            weights, bias = (
                np.frombuffer(bytes(found), np.float32).reshape(tensor.shape)
                for tensor, found in zip(tensors, data, strict=True)
            )
            # TensorFlow Lite's (out, h, w, in), depthwise (1, h, w, channels), dense (out, in).
            yield (weights.transpose(1, 2, 3, 0) if weights.ndim == 4 else weights.T), bias


def _no_ds_cnn(path: Path) -> StqError:
    return StqError("its weights are not those of a DS-CNN", where=str(path), next="give kws_ref_model_float32.tflite")


def _bytes(graph: Any) -> bytes:
    from tensorflow.lite.tools import flatbuffer_utils

    return bytes(flatbuffer_utils.convert_object_to_bytearray(graph))


if __name__ == "__main__":
    main()
