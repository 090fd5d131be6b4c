"""hls4ml's `Backend` for our boards.

hls4ml parses the Keras model into its own graph and drives the backend through it. At conversion it applies the
backend's default flow, and `write` applies the writer flow. `compile` writes, asks for a library and loads it.
`predict` and `build` are passed on. No arithmetic comes from that graph: the default flow imports the Keras model,
which hls4ml keeps in its configuration, by our own frontend.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from typing import Any
from weakref import WeakKeyDictionary

from hls4ml.backends.backend import Backend
from hls4ml.backends.fpga.fpga_backend import FPGABackend
from hls4ml.model.flow import get_flow, register_flow
from hls4ml.model.optimizer import ModelOptimizerPass, optimize_model, register_pass

from stq_deploy.api.conversion import convert_network
from stq_deploy.common.errors import StqError
from stq_deploy.hls4ml_backend.deployment import Deployment
from stq_deploy.hls4ml_backend.environment import let_hls4ml_read_qkeras
from stq_deploy.hls4ml_backend.input_type import conversions
from stq_deploy.lowering.input_domain import checked_range
from stq_deploy.network import Network
from stq_deploy.network.output import Floats
from stq_deploy.pipeline import Pipeline
from stq_deploy.targets.boards import load_board

NAME = "STM32"
DEFAULT_BOARD = "stm32h743"
_OPTIONS = "board, compiler, input_range, input_precision and calibrate"
COARSE = 2.0**-10
"""Step of ap_fixed<16,6>, hls4ml's default type."""


class Stm32Backend(Backend):  # type: ignore[misc]  # hls4ml has no type annotations
    """One instance for all models, as hls4ml requires; each model has its own `Deployment`."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self._deployments: WeakKeyDictionary[Any, Deployment] = WeakKeyDictionary()
        self._default_flow = self._register("convert", self._convert)
        self._writer_flow = self._register("write", self._write, requires=[self._default_flow])

    def _register(self, name: str, transform: Callable[[Any], None], requires: list[str] | None = None) -> str:
        """A flow of one pass over the whole model; returns the flow's name."""
        step = register_pass(name, ModelOptimizerPass(name, transform), backend=self.name)
        flow: str = register_flow(name, [step], requires=requires, backend=self.name)
        return flow

    # Conversion

    def create_initial_config(
        self,
        board: str = DEFAULT_BOARD,
        compiler: str | None = None,
        input_range: Any = None,
        input_precision: str | None = None,
        calibrate: Any = None,
        **others: Any,
    ) -> dict[str, object]:
        """Our options of `convert_from_keras_model`.

        Args:
            board: `stq-deploy boards` lists them.
            compiler: path or name of the board's C compiler; by default the choice of `stq-deploy build`.
            input_range: (low, high), the smallest and largest value of an input that the model does not quantize; by
                default the numbers of the input's type in `hls_config`.
            input_precision: that type, if `hls_config` has another for other purposes: "fixed<16,6>".
            calibrate: floats like those trained on, (N, *input shape): layers without quantizers then become int8, with
                ranges seen on these, instead of the types of `hls_config`.

        Raises:
            StqError: an unknown board or option, no range, or tf_keras is not installed.
        """
        _refuse(others, "convert_from_keras_model", _OPTIONS)
        load_board(board)
        let_hls4ml_read_qkeras()
        checked = checked_range(input_range, "hls4ml")
        return {
            "Board": board,
            "Compiler": compiler,
            "InputRange": checked,
            "InputPrecision": input_precision,
            "Calibrate": calibrate,
            "HLSConfig": {},
        }

    def create_layer_class(self, layer_class: type) -> type:
        """hls4ml's layers unchanged: they need no attributes of ours."""
        return layer_class

    def convert_precision_string(self, precision: Any) -> Any:
        """As the FPGA backends read it; hls4ml uses it to type its graph, and we ignore the types."""
        return FPGABackend.convert_precision_string(precision)

    def get_default_flow(self) -> str:
        """Name of the flow that converts."""
        return self._default_flow

    def get_writer_flow(self) -> str:
        """Name of the flow that writes."""
        return self._writer_flow

    def _convert(self, graph: Any) -> None:
        config = graph.config.config
        if "KerasModel" not in config:
            raise StqError(
                f"backend {NAME} takes Keras models only",
                where="hls4ml",
                next="call convert_from_keras_model with a QKeras model",
            )
        net = convert_network(config["KerasModel"], conversions(graph), Pipeline())
        _warn_of_rounding(net.network)
        skipped = _skipped_softmax(graph)
        self._deployments[graph] = Deployment(net, config["Board"], graph.config.get_output_dir(), logits=skipped)
        _rename_layers(graph)

    # Calls that a ModelGraph passes on

    def write(self, model: Any) -> None:
        """Write the C project, built, into the model's output folder.

        Raises:
            StqError: see `Deployment.build`.
        """
        model.apply_flow(self._writer_flow)

    def _write(self, graph: Any) -> None:
        self._deployment(graph).build(graph.config.get_config_value("Compiler"))

    def compile(self, model: Any) -> str:
        """Path of the library that hls4ml then loads; `predict` uses it through our executor.

        Raises:
            StqError: no C compiler for this computer.
        """
        return str(self._deployment(model).load())

    def predict(self, model: Any, x: Any, logits: bool = False) -> Floats | list[Floats]:
        """See `Deployment.predict`."""
        return self._deployment(model).predict(x, logits=logits)

    def build(self, model: Any, **others: Any) -> dict[str, object]:
        """Build the firmware.

        Returns:
            The content of build.json (flash_bytes, ram_bytes, stack_bytes, memories, layers, ...), and the paths
            `folder`, `elf`, `bin`, `hex`, `map`.

        Raises:
            StqError: any option was given; otherwise see `Deployment.build`.
        """
        _refuse(
            others,
            "build",
            f"those of convert_from_keras_model: {_OPTIONS}",
        )
        result = self._deployment(model).build(model.config.get_config_value("Compiler"))
        paths = {"folder": result.folder, "elf": result.elf, "bin": result.bin, "hex": result.hex, "map": result.map}
        return result.to_json() | {name: str(path) for name, path in paths.items()}

    def _deployment(self, graph: Any) -> Deployment:
        try:
            return self._deployments[graph]
        except KeyError:
            raise StqError(
                "this hls4ml model has not been converted in this process",
                cause="it was loaded from a file, which does not hold the Keras model",
                next="call convert_from_keras_model with the Keras model",
            ) from None


def _warn_of_rounding(network: Network) -> None:
    """Warn where the input, stored in 16 bits, is rounded more coarsely than by its type in hls4ml."""
    spec, domain = network.input_type, network.input_domain
    if domain is not None and spec.scale > COARSE:
        warnings.warn(
            f"the model does not quantize its input: values in [{domain.low:g}, {domain.high:g}] are rounded to "
            f"multiples of {spec.scale:g}, by at most {spec.scale / 2:g}; input_range=(low, high) of "
            "convert_from_keras_model makes it finer",
            stacklevel=2,
        )


def _skipped_softmax(graph: Any) -> bool:
    """Whether `hls_config` leaves out the softmax at the model's end; hls4ml's own pass then removes it from the graph.

    Raises:
        StqError: it leaves out a softmax that is not at an end.
    """
    named = graph.config.config.get("HLSConfig", {}).get("LayerName", {})
    layers = list(graph.get_layers())
    skipped = [layer for layer in layers if layer.class_name == "Softmax" and _skips(named.get(layer.name))]
    read = {name for layer in layers for name in layer.inputs}
    for layer in skipped:
        if read & set(layer.outputs):
            raise StqError(
                f"hls_config skips the softmax {layer.name!r}, which other layers read",
                where="hls4ml",
                next="skip a softmax at the model's end only",
            )
        layer.set_attr("skip", True)
    return bool(skipped)


def _skips(layer: Any) -> bool:
    return isinstance(layer, dict) and layer.get("skip") is True


_NAMING = ("vivado:merge_batch_norm_quantized_tanh", "vivado:optimize_pointwise_conv", "vivado:skip_softmax")
"""Passes of hls4ml's own backends after those that all share."""


def _rename_layers(graph: Any) -> None:
    """Give hls4ml's graph the layers that its own backends show, by their first passes.

    Nothing here reads that graph again. A pass that cannot handle a model leaves it as hls4ml parsed it.
    """
    try:
        optimize_model(graph, [*get_flow("convert").optimizers, *_NAMING])
    except Exception as error:  # any kind: the passes are written for other backends
        warnings.warn(
            f"hls4ml's layer names are those of the parsed model, as its own pass failed ({error})",
            stacklevel=2,
        )


def _refuse(others: Collection[str], function: str, options: str) -> None:
    if others:
        raise StqError(
            f"backend {NAME} has no option {', '.join(map(repr, others))}",
            where=function,
            cause="the call was written for one of hls4ml's FPGA backends",
            next=f"leave it out; the options are {options}",
        )
