"""PyTorch's half of `tools/compare_formats.py`, in an environment of its own.

It takes the packages torch, brevitas, qonnx, onnx, onnxruntime, onnxscript and onnxoptimizer.

    TORCH/bin/python tools/formats_torch.py build WEIGHTS.npz FOLDER
    TORCH/bin/python tools/formats_torch.py run FILE X.npy Y.npy [--with onnxruntime]

`build` writes the networks of `tools/same_network.py` as Brevitas exports them: NAME.qonnx.onnx and NAME.qcdq.onnx.
`run` gives what qonnx's executor, or onnxruntime, computes for inputs in the file's order of axes.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import numpy as np
import onnx
import onnxruntime
import torch
from brevitas.core.scaling import ScalingImplType
from brevitas.export import export_onnx_qcdq, export_qonnx
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerTensorFixedPoint,
    SignedTernaryWeightPerTensorConst,
    Uint8ActPerTensorFixedPoint,
)
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model
from torch import nn

Weights = Mapping[str, Any]


def _relu(bits: int, end: float) -> nn.Module:
    """Unsigned levels from 0 up to, and without, `end`, a power of two."""

    class Quantizer(Uint8ActPerTensorFixedPoint):
        scaling_impl_type = ScalingImplType.CONST
        scaling_init = end

    return qnn.QuantReLU(bit_width=bits, act_quant=Quantizer)


def _input(bits: int, end: float) -> nn.Module:
    class Quantizer(Int8ActPerTensorFixedPoint):
        scaling_impl_type = ScalingImplType.CONST
        scaling_init = end

    return qnn.QuantIdentity(bit_width=bits, act_quant=Quantizer)


def _set(layer: nn.Module, values: Any) -> nn.Module:
    layer.weight.data = torch.tensor(np.ascontiguousarray(values), dtype=torch.float32)
    return layer


def pictures(stored: Weights) -> nn.Module:
    """See `tools.same_network.pictures`; kernels have the channels first."""
    fixed = {"bias": False, "weight_quant": Int8WeightPerTensorFixedPoint}
    first = qnn.QuantConv2d(2, 6, 3, weight_bit_width=4, **fixed)
    depthwise = qnn.QuantConv2d(6, 6, 3, groups=6, padding=1, weight_bit_width=3, **fixed)
    last = qnn.QuantLinear(6 * 9, 5, weight_bit_width=4, **fixed)
    columns = stored["pictures/last"].reshape(3, 3, 6, 5).transpose(3, 2, 0, 1).reshape(5, -1)
    return nn.Sequential(
        _input(8, 2.0),
        _set(first, stored["pictures/first"].transpose(3, 2, 0, 1)),
        _relu(4, 4.0),
        nn.MaxPool2d(2),
        _set(depthwise, stored["pictures/depthwise"].transpose(2, 3, 0, 1)),
        _relu(3, 2.0),
        nn.Flatten(),
        _set(last, columns),
    )


def features(stored: Weights) -> nn.Module:
    """See `tools.same_network.features`."""

    class Ternary(SignedTernaryWeightPerTensorConst):
        scaling_init = 1.0

    first = qnn.QuantLinear(12, 16, bias=False, weight_quant=Ternary)
    last = qnn.QuantLinear(16, 4, bias=False, weight_quant=Ternary)
    norm = nn.BatchNorm1d(16, eps=2.0**-10)
    for what, held in (("gamma", norm.weight.data), ("beta", norm.bias.data), ("mean", norm.running_mean),
                       ("variance", norm.running_var)):  # fmt: skip
        held.copy_(torch.tensor(stored[f"features/{what}"]))
    return nn.Sequential(
        _input(8, 2.0), _set(first, stored["features/first"].T), norm, _relu(4, 4.0),
        _set(last, stored["features/last"].T),
    )  # fmt: skip


def build(weights: Path, folder: Path) -> None:
    """Every network, in both forms."""
    stored = np.load(weights)
    for name, make, shape in (("pictures", pictures, (2, 8, 8)), ("features", features, (12,))):
        model, x = make(stored).eval(), torch.zeros(1, *shape)
        path = folder / f"{name}.qonnx.onnx"
        export_qonnx(model, x, str(path))
        cleanup_model(ModelWrapper(str(path))).save(str(path))
        path = folder / f"{name}.qcdq.onnx"
        export_onnx_qcdq(model, x, str(path))
        onnx.save(onnx.load(str(path)), str(path), save_as_external_data=False)


def _with_open_batch(file: Path) -> bytes:
    """A model that takes one sample at a time, also where its file states another number."""
    model = onnx.load(str(file))
    for value in (*model.graph.input, *model.graph.output):
        sizes = value.type.tensor_type.shape.dim
        if len(sizes) > 1 and sizes[0].dim_value > 1:
            sizes[0].dim_param = "N"
    content: bytes = model.SerializeToString()
    return content


def run(file: Path, x: Path, y: Path, program: str) -> None:
    """The first output of a file, computed one sample after the other."""
    samples = np.load(x)
    if program == "qonnx":
        model = cleanup_model(ModelWrapper(str(file)), override_inpsize=1)  # it needs every shape, and a fixed batch
        name, result = model.graph.input[0].name, model.graph.output[0].name
        outputs = [execute_onnx(model, {name: sample[None]})[result] for sample in samples]
    else:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(_with_open_batch(file), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        outputs = [session.run(None, {name: sample[None]})[0] for sample in samples]
    np.save(y, np.concatenate([output.reshape(1, *output.shape[-(output.ndim - 1) or 1 :]) for output in outputs]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build")
    for name in ("weights", "folder"):
        building.add_argument(name, type=Path)
    running = commands.add_parser("run")
    for name in ("file", "x", "y"):
        running.add_argument(name, type=Path)
    running.add_argument("--with", dest="program", choices=("qonnx", "onnxruntime"), default="qonnx")
    options = parser.parse_args()
    if options.command == "build":
        build(options.weights, options.folder)
    else:
        run(options.file, options.x, options.y, options.program)


if __name__ == "__main__":
    main()
