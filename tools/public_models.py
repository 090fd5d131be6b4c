"""Judges a model file of any format: read or refused; and what it computes beside the program that it is made for.

Files with integer weights become a network, which gets random levels of its input. Files of floating-point numbers are
computed as `evaluate --executor float` computes them. The other program gets the same values.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import stq_deploy as stq
from stq_deploy.common.errors import StqError
from stq_deploy.evaluation.float_model import FloatModel
from stq_deploy.frontend import list_layers, parse_model
from stq_deploy.frontend.float_graph_reader import read_float_graph
from stq_deploy.frontend.formats.interface import FileFacts
from stq_deploy.lowering.float_graph import run_graph
from stq_deploy.lowering.structure import find_ending
from stq_deploy.network.input_format import InputFormat, ThresholdRounding
from stq_deploy.network.output import real_values
from stq_deploy.network.reference import run as run_in_numpy
from tools import tflite_interpreter as tflite

Values = npt.NDArray[Any]
SAMPLES = 32
TOOLS = Path(__file__).resolve().parent
RIGHT, DIFFERS, READ, REFUSED = "right", "differs", "read", "refused"
_FOLDERS = re.compile(r"/(?:[\w.+-]+/)+")
_CLOSE = 1e-4
"""Largest difference, as a share of the largest output, that the order of sums in float32 explains."""
_OF_QONNX = (b"qonnx.custom_op", b"onnx.brevitas", b"finn.custom_op")
_DOMAIN, _BITS = (-4.0, 4.0), 16
"""The range and the bits of an input that no quantizer of the model defines."""


@dataclass(frozen=True)
class Programs:
    """The Pythons of other environments; None for one that is not there.

    Attributes:
        keras3: with keras and qkeras-v3. hgq2: with keras and hgq2. torch: with torch, brevitas, qonnx, onnxruntime.
    """

    keras3: Path | None = None
    hgq2: Path | None = None
    torch: Path | None = None

    def run(self, python: Path, script: str, *arguments: str | Path) -> None:
        """Run a script of this folder in another environment.

        Raises:
            StqError: it fails.
        """
        command = [str(python), str(TOOLS / script), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"})
        if done.returncode:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["no message"]
            raise StqError(f"its own program fails: {_FOLDERS.sub('', lines[-1])[:200]}", where=str(python))


@dataclass(frozen=True)
class Verdict:
    """The result of reading one file.

    Attributes:
        file: its path in the source. sha256: of its bytes. format: with its writer.
        weights: "integers", "floating point", or "" if it is refused.
        verdict: RIGHT, DIFFERS, READ (nothing to compare with) or REFUSED.
        because: why it is refused, or not compared.
        program: what it is compared with.
        outputs: numbers compared. different: those that differ at all (integers), or by more than rounding.
        largest: the largest difference as a share of the largest output.
    """

    file: str
    sha256: str
    format: str = ""
    weights: str = ""
    verdict: str = REFUSED
    because: str = ""
    program: str = ""
    outputs: int = 0
    different: int = 0
    largest: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As in the figures."""
        return asdict(self)


def judge(path: Path, file: str, programs: Programs) -> Verdict:
    """The result of reading a model file.

    Args:
        file: what it is called in the verdict.
    """
    verdict = Verdict(file, hashlib.sha256(path.read_bytes()).hexdigest())
    try:
        _, facts, rows = list_layers(path)
        verdict = replace(verdict, format=str(facts))
        refused = [f"{row.name} ({row.type}): {row.problem.partition(';')[0]}" for row in rows if row.problem]
        if refused:
            more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
            return replace(verdict, because=refused[0] + more)
        integers = _has_integers(path)
        verdict = replace(verdict, weights="integers" if integers else "floating point", verdict=READ)
    except StqError as error:
        return replace(verdict, because=error.what)
    try:
        moved = any("channels first" in text for text in rows[0].quantizers.values())
        asked = _Asked(path, facts, moved, programs)
        found = _as_network(asked) if integers else _as_floats(asked)
    except StqError as error:
        return replace(verdict, because=error.what)
    return replace(verdict, **found)


def _has_integers(path: Path) -> bool:
    try:
        parse_model(path)
    except StqError:
        parse_model(path, post_training=True)
        return False
    return True


@dataclass(frozen=True, eq=False)
class _Asked:
    """A file that the program it is made for computes.

    Attributes:
        moved: whether images have their channels first in the file.
    """

    path: Path
    facts: FileFacts
    moved: bool
    programs: Programs

    @property
    def is_tflite(self) -> bool:
        return self.facts.form == "tflite"

    def outputs(self, x: Values) -> tuple[str, Values]:
        """(name of the program, its first output) for the model's values, channels last.

        Raises:
            StqError: the program is not there, or fails.
        """
        if self.is_tflite:
            return "TensorFlow Lite, reference kernels", tflite.run(self.path.read_bytes(), x, reference=True)
        if self.facts.form == "onnx":
            content = self.path.read_bytes()
            by = "qonnx" if any(domain in content for domain in _OF_QONNX) else ""
            given = np.moveaxis(x, -1, 1) if self.moved else x
            arguments = ["--with", by or "onnxruntime"]
            return by or "onnxruntime", self._elsewhere(
                self.programs.torch, "formats_torch.py", "run", given, arguments
            )
        if self.facts.format == "Keras 2":
            return "tf_keras", FloatModel(self.path).outputs(x)
        hgq2 = any(row.type.startswith("hgq>") for row in list_layers(self.path)[2])
        python = self.programs.hgq2 if hgq2 else self.programs.keras3
        found = self._elsewhere(python, "formats_keras3.py", "predict", x, ["--hgq2"] if hgq2 else [])
        return "HGQ2" if hgq2 else "Keras 3", found

    def _elsewhere(self, python: Path | None, script: str, command: str, x: Values, more: list[str]) -> Values:
        if python is None:
            raise StqError(f"there is no environment for {script}")
        with tempfile.TemporaryDirectory() as folder:
            given, found = Path(folder) / "x.npy", Path(folder) / "y.npy"
            np.save(given, np.ascontiguousarray(x))
            copy = Path(folder) / f"model.{self.facts.form}"
            shutil.copy(self.path, copy)
            self.programs.run(python, script, command, copy, given, found, *more)
            result: Values = np.load(found, allow_pickle=False)
            return result


def _as_network(asked: _Asked) -> dict[str, Any]:
    try:
        made = stq.convert(asked.path, input_range=_DOMAIN, input_bits=_BITS, features=True)
    except StqError:
        made = stq.convert(asked.path)
    network, spec = made.network, made.network.input_type
    drawn = np.random.default_rng(0).integers(spec.minimum, spec.maximum + 1, (SAMPLES, *spec.shape))
    x = _within(network.input_format.values(drawn), network.input_format)
    levels = network.input_format.levels(x)  # no value becomes some of the levels
    ours = run_in_numpy(network, levels)
    if asked.is_tflite:
        return _beside_tflite(asked, x, levels, ours, made)
    program, theirs = asked.outputs(x)
    parsed = parse_model(asked.path)
    numbers = _finished(real_values(ours, network.output_type), find_ending(parsed, parsed.outputs[0]).functions)
    return _compared(program, numbers, theirs)


def _within(x: Values, format: InputFormat) -> Values:
    """The values, kept off the ends of a quantizer's range, where a network saturates and HGQ2 wraps."""
    if not isinstance(format.rounding, ThresholdRounding):
        return x
    spec = format.type
    low, high = (0.8 * (level - spec.zero_point) * spec.scale for level in (spec.minimum, spec.maximum))
    return np.clip(x, low, high).astype(x.dtype)


def _beside_tflite(asked: _Asked, x: Values, levels: Values, ours: Values, made: Any) -> dict[str, Any]:
    """Level by level, where the file has levels at its ends; the numbers before a last softmax."""
    content, name = asked.path.read_bytes(), "TensorFlow Lite, reference kernels"
    taken = tflite.input_type(content)
    given = x if taken == np.float32 else (levels - (128 if taken == np.int8 and levels.max() > 127 else 0))
    theirs = tflite.run(content, given.astype(taken), reference=True, before_softmax=True)
    if theirs.dtype.kind == "f":
        return _compared(name, real_values(ours, made.network.output_type), theirs)
    return _compared(name, ours, theirs, exactly=True)


def _as_floats(asked: _Asked) -> dict[str, Any]:
    graph = read_float_graph(asked.path)
    shape = graph.nodes[0].shape
    x = np.random.default_rng(0).uniform(-1, 1, (SAMPLES, *shape)).astype(np.float32)
    ours = dict(run_graph(graph, x, None))[graph.outputs[0]]
    program, theirs = asked.outputs(x)
    return _compared(program, ours, theirs)


def _finished(x: Values, functions: tuple[str, ...]) -> Values:
    """Logits with the functions that the model applies to them, and the network leaves out."""

    def softmax(v: Values) -> Values:
        powers = np.exp(v - v.max(-1, keepdims=True))
        return np.asarray(powers / powers.sum(-1, keepdims=True))

    steps: dict[str, Callable[[Values], Values]] = {
        "softmax": softmax,
        "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
        "tanh": np.tanh,
    }  # fmt: skip
    for name in functions:
        x = steps[name](x)
    return x


def _compared(program: str, ours: Values, theirs: Values, exactly: bool = False) -> dict[str, Any]:
    flat, other = (np.asarray(values, np.float64).reshape(len(values), -1) for values in (ours, theirs))
    if flat.shape != other.shape:
        other = np.moveaxis(np.asarray(theirs, np.float64), 1, -1).reshape(len(theirs), -1)
    away = np.abs(flat - other)
    largest = float(away.max() / max(float(np.abs(other).max()), 1e-30))
    different = int((away > (0 if exactly else _CLOSE * np.abs(other).max())).sum())
    return {
        "program": program, "outputs": flat.size, "different": different, "largest": float(f"{largest:.2g}"),
        "verdict": DIFFERS if different else RIGHT,
    }  # fmt: skip


# Files in two pieces


def joined(config: Path, weights: Path, folder: Path) -> Path:
    """A model that Keras has stored as JSON and weights, as the .h5 file of the whole model; nothing is executed."""
    import h5py

    path = folder / f"{config.stem}.h5"
    with h5py.File(weights, "r") as stored, h5py.File(path, "w") as whole:
        group = whole.create_group("model_weights")
        for name in stored:
            stored.copy(name, group)
        for key, value in stored.attrs.items():
            group.attrs[key] = value
        whole.attrs["model_config"] = config.read_text()
        if "keras_version" in stored.attrs:
            whole.attrs["keras_version"] = stored.attrs["keras_version"]
    return path


def files_of(folder: Path, patterns: list[str]) -> Iterator[tuple[str, Path, Path | None]]:
    """(name, file, weights of a file in two pieces) of a checkout: what matches, in order."""
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        name = path.relative_to(folder).as_posix()
        weights = path.with_name(f"{path.stem}_weights.h5")
        if path.suffix == ".json":
            if weights.exists():
                yield name, path, weights
        elif not path.stem.endswith("_weights"):
            yield name, path, None
