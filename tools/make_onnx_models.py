"""Makes the ONNX files of tests/frontend/onnx/models, and what other programs compute with them.

It runs in an environment of its own, because PyTorch takes gigabytes:

    python -m venv ENV
    ENV/bin/pip install torch brevitas==0.13.4 qonnx==1.0.0 onnx onnxruntime onnxscript onnxoptimizer
    ENV/bin/python tools/make_onnx_models.py

Models of Brevitas are executed by qonnx's executor, the others by onnxruntime: on raw float32 inputs, in ONNX's layout.
Each NAME.onnx gets a NAME.npz with `x` (N, input shape), `y` (N, output shape) and `made_by`.
"""

from __future__ import annotations

import argparse
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import numpy as np
import onnx
import onnxruntime
import torch
from brevitas.export import export_onnx_qcdq, export_qonnx
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerTensorFixedPoint,
    SignedBinaryActPerTensorConst,
    SignedBinaryWeightPerTensorConst,
    SignedTernaryWeightPerTensorConst,
    Uint8ActPerTensorFixedPoint,
)
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model
from torch import nn

_SAMPLES = 48
_FOLDER = Path(__file__).resolve().parent.parent / "tests" / "frontend" / "onnx" / "models"
_FIXED_ACT = {"act_quant": Uint8ActPerTensorFixedPoint}


class FixedPoint(nn.Module):
    """Scales that are powers of two: 2-bit and 4-bit weights, 3-bit and 4-bit activations, quantized to the end."""

    def __init__(self) -> None:
        super().__init__()
        weight = Int8WeightPerTensorFixedPoint
        self.layers = nn.Sequential(
            qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, bit_width=8),
            qnn.QuantConv2d(1, 8, 3, padding=1, bias=False, weight_quant=weight, weight_bit_width=4),
            qnn.QuantReLU(bit_width=4, **_FIXED_ACT),
            nn.MaxPool2d(2),
            qnn.QuantConv2d(8, 8, 3, groups=8, bias=False, weight_quant=weight, weight_bit_width=2),
            qnn.QuantReLU(bit_width=3, **_FIXED_ACT),
            nn.Flatten(),
            qnn.QuantLinear(8 * 4, 5, bias=False, weight_quant=weight, weight_bit_width=2),
            qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, bit_width=8),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Ternary(nn.Module):
    """Ternary weights, batch normalization, scales that are not powers of two; strides and a 1-pixel convolution."""

    def __init__(self) -> None:
        super().__init__()
        weight = SignedTernaryWeightPerTensorConst
        self.layers = nn.Sequential(
            qnn.QuantIdentity(bit_width=8),
            qnn.QuantConv2d(2, 8, 3, stride=2, padding=1, weight_quant=weight),
            nn.BatchNorm2d(8),
            qnn.QuantReLU(bit_width=4),
            qnn.QuantConv2d(8, 6, 1, bias=False, weight_quant=weight),
            nn.BatchNorm2d(6),
            qnn.QuantHardTanh(bit_width=5, min_val=-1.0, max_val=1.0),
            nn.Flatten(),
            qnn.QuantLinear(6 * 4 * 5, 4, bias=True, weight_quant=weight),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Binary(nn.Module):
    """Weights and activations -1 and 1 of a network of features."""

    def __init__(self) -> None:
        super().__init__()
        weight, act = SignedBinaryWeightPerTensorConst, SignedBinaryActPerTensorConst
        self.layers = nn.Sequential(
            qnn.QuantIdentity(bit_width=8),
            qnn.QuantLinear(20, 16, bias=False, weight_quant=weight),
            nn.BatchNorm1d(16),
            qnn.QuantIdentity(act_quant=act),
            qnn.QuantLinear(16, 16, bias=False, weight_quant=weight),
            nn.BatchNorm1d(16),
            qnn.QuantIdentity(act_quant=act),
            qnn.QuantLinear(16, 3, bias=False, weight_quant=weight),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Branches(nn.Module):
    """Channel-wise scales, 2 to 8 bits, a sum, a concatenation, an average that is truncated, a 1-D convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.input = qnn.QuantIdentity(bit_width=8, return_quant_tensor=True)
        self.first = self._convolution(3, 8, 8)
        self.left = self._convolution(8, 8, 3)
        self.right = self._convolution(8, 8, 5)
        self.joined = qnn.QuantIdentity(bit_width=6, return_quant_tensor=True)
        self.side = self._convolution(8, 4, 2)
        self.relus = nn.ModuleList(qnn.QuantReLU(bit_width=n, return_quant_tensor=True) for n in (6, 4, 7))
        self.pool = qnn.TruncAvgPool2d(2, bit_width=4)
        self.last = qnn.QuantLinear(12 * 9, 6, bias=True, weight_bit_width=6)

    @staticmethod
    def _convolution(inputs: int, outputs: int, bits: int) -> nn.Module:
        return qnn.QuantConv2d(
            inputs, outputs, 3, padding=1, bias=True, weight_bit_width=bits, weight_scaling_per_output_channel=True
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relus[0](self.first(self.input(x)))
        both = self.joined(self.left(x)) + self.joined(self.right(x))
        x = torch.cat([self.relus[1](both), self.relus[1](self.side(x))], dim=1)
        x = self.pool(x)
        return self.last(torch.flatten(x if isinstance(x, torch.Tensor) else x.value, 1))


class Rows(nn.Module):
    """1-D convolutions over time, of 6 bits, and a global average."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            qnn.QuantIdentity(bit_width=8),
            qnn.QuantConv1d(4, 8, 5, padding=2, bias=True, weight_bit_width=6),
            qnn.QuantReLU(bit_width=6),
            nn.MaxPool1d(2),
            qnn.QuantConv1d(8, 8, 3, dilation=2, bias=False, weight_bit_width=2),
            qnn.QuantReLU(bit_width=5),
            nn.Flatten(),
            qnn.QuantLinear(8 * 6, 3, bias=True, weight_bit_width=4),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Float(nn.Module):
    """A floating-point network with the operators that quantizers after training see."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.point = nn.Conv2d(8, 8, 1)
        self.last = nn.Linear(8 * 4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.norm(self.first(x))), 2)
        x = nn.functional.relu6(self.point(self.depthwise(x)) + x)
        x = nn.functional.avg_pool2d(nn.functional.interpolate(x, scale_factor=2, mode="nearest"), 4)
        return self.last(torch.flatten(x, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=_FOLDER)
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    for name, model, shape in (
        ("fixed_point", FixedPoint(), (1, 8, 8)),
        ("ternary", Ternary(), (2, 8, 10)),
        ("binary", Binary(), (20,)),
        ("branches", Branches(), (3, 6, 6)),
        ("rows", Rows(), (4, 20)),
    ):
        trained, x = _prepared(model, shape)
        path = folder / f"{name}.onnx"
        export_qonnx(trained, x[:1], str(path))
        cleaned = cleanup_model(ModelWrapper(str(path)))
        cleaned.save(str(path))
        _keep(path, x, _by_qonnx(path), "qonnx " + importlib.metadata.version("qonnx"))
    trained, x = _prepared(FixedPoint(), (1, 8, 8))
    path = folder / "qcdq.onnx"
    export_onnx_qcdq(trained, x[:1], str(path))
    _keep(path, x, _by_onnxruntime(path), "onnxruntime " + onnxruntime.__version__)
    trained, x = _prepared(Float(), (1, 8, 8))
    path = folder / "float.onnx"
    torch.onnx.export(trained, (x[:1],), str(path), input_names=["image"], dynamo=False, opset_version=17,
                      dynamic_axes={"image": {0: "N"}})  # fmt: skip
    _keep(path, x, _by_onnxruntime(path), "onnxruntime " + onnxruntime.__version__)
    _quantize(path, folder / "qdq.onnx", x)
    _keep(folder / "qdq.onnx", x, _by_onnxruntime(folder / "qdq.onnx"), "onnxruntime " + onnxruntime.__version__)


def _prepared(model: nn.Module, shape: tuple[int, ...]) -> tuple[nn.Module, torch.Tensor]:
    """The model with statistics of random samples, in evaluation mode; and samples."""
    torch.manual_seed(7)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.5 / max(parameter[0].numel(), 1) ** 0.5)
    x = torch.rand(_SAMPLES, *shape) * 2 - 1 if len(shape) < 3 else torch.rand(_SAMPLES, *shape)
    model.train()
    with torch.no_grad():
        for _ in range(20):
            model(x)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.weight.copy_(torch.rand_like(module.weight) + 0.5)
                module.bias.copy_(torch.rand_like(module.bias) - 0.5)
    return model.eval(), x


def _by_qonnx(path: Path) -> Callable[[Any], Any]:
    model = ModelWrapper(str(path))
    name, result = model.graph.input[0].name, model.graph.output[0].name
    return lambda x: execute_onnx(model, {name: x})[result]


def _by_onnxruntime(path: Path) -> Callable[[Any], Any]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def _keep(path: Path, x: torch.Tensor, run: Callable[[Any], Any], made_by: str) -> None:
    """One file with everything inside; and its inputs and outputs, computed one sample after the other."""
    model = onnx.load(str(path))
    for part in (
        model,
        model.graph,
        *model.graph.node,
        *model.graph.input,
        *model.graph.output,
        *model.graph.value_info,
    ):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")  # names of the exporter's own objects, larger than the weights
    onnx.save(model, str(path), save_as_external_data=False)
    for data in path.parent.glob(path.name + ".data"):
        data.unlink()
    samples = x.numpy()
    outputs = np.concatenate([run(samples[i : i + 1]) for i in range(len(samples))])
    np.savez_compressed(path.with_suffix(".npz"), x=samples, y=outputs, made_by=np.array(made_by))


class _Samples(CalibrationDataReader):
    def __init__(self, x: torch.Tensor, name: str) -> None:
        self._batches = iter([{name: x[i : i + 1].numpy()} for i in range(len(x))])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)


def _quantize(source: Path, target: Path, x: torch.Tensor) -> None:
    """ONNX QDQ by onnxruntime: int8 weights per channel, uint8 activations."""
    ready = target.with_suffix(".ready.onnx")
    quant_pre_process(str(source), str(ready))
    quantize_static(
        str(ready), str(target), _Samples(x, "image"), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    ready.unlink()


if __name__ == "__main__":
    main()
