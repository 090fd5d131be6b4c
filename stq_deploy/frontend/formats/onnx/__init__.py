"""ONNX and QONNX files. The modules of operators register their handlers when they are imported."""

from stq_deploy.frontend.formats.onnx import activations, elementwise, quantizing, shapes, weights, windows

__all__ = ["activations", "elementwise", "quantizing", "shapes", "weights", "windows"]
