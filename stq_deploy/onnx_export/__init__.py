"""An integer network as an ONNX file, for eyes and for other programs' executors: `export_network`."""

from stq_deploy.onnx_export.export import Dialect, check_onnx_path, export_network, network_model

__all__ = ["Dialect", "check_onnx_path", "export_network", "network_model"]
