"""Names the kind of a misplaced file or folder, by its first bytes, or by its name where these are not enough.

Models are Keras's .h5 and .keras files, ONNX and .tflite files, and .stq networks. For anything else the error names
the kind, the command that takes it, and the nearest way to a model. None of the content is interpreted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stq_deploy.common.errors import StqError
from stq_deploy.common.regular_file import open_regular

H5, KERAS, ONNX, TFLITE, STQ, OTHER = "h5", "keras", "onnx", "tflite", "stq", ""
MODEL_ENDINGS = (".h5", ".keras", ".onnx", ".tflite")
"""The usual endings of model files that are read; a test compares them with the formats."""
HEAD_BYTES = 4096
_MAXIMUM_LISTED = 3
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"

_WHOLE = "save the whole model: model.save('model.h5') or model.save('model.keras') under tf_keras"
_FROM_KERAS = (
    "convert the Keras model that it was made from; "
    "a floating-point one with --post-training int8 --calibrate SAMPLES.npz"
)
_REBUILD = "rebuild the network in Keras or QKeras, copy the weights, and save that with model.save('model.h5')"
_UNPACK = "unpack it, and give the model file inside"
_WITH_WEIGHTS = "build the model in Python, call model.load_weights(...), and " + _WHOLE


@dataclass(frozen=True)
class FileKind:
    """The kind of a file or folder.

    Attributes:
        form: "h5", "keras", "onnx", "tflite" or "stq" for files that this package reads, else "".
        what: its name with an article: "a TensorFlow Lite model".
        next: how to get a model that this package reads.
        use: the command that takes it as it is, else "".
    """

    form: str
    what: str
    next: str
    use: str = ""

    def error(self, where: str = "", read: Sequence[str] = MODEL_ENDINGS) -> StqError:
        """Why it is not accepted as a model.

        Args:
            read: endings of the names of model files that are read.
        """
        said = f"it is {self.what}"
        if not self.form:
            said += f"; models are read from {', '.join(read)} and .stq files"
        return StqError(said, where=where, next="; ".join(filter(None, (self.next, self.use))))


_H5 = FileKind(
    H5,
    "an HDF5 file, as a Keras model's .h5",
    "let its name end in .h5, and convert it where a .stq network is needed",
    "`convert` takes a Keras model, and so do commands with --model",
)
_KERAS = FileKind(
    KERAS,
    "a .keras archive",
    "let its name end in .keras, and convert it where a .stq network is needed",
    "`convert` takes a Keras model, and so do commands with --model",
)
_STQ = FileKind(
    STQ,
    "a converted network (.stq)",
    "where a command needs Keras's own model, give the .h5 or .keras file it was made from",
    "`build`, `run`, `verify` and `evaluate` take a network by --model, if its name ends in .stq",
)


def _other(what: str, next: str, use: str = "") -> FileKind:
    return FileKind(OTHER, what, next, use)


_TFLITE = FileKind(
    TFLITE,
    "a TensorFlow Lite model",
    "let its name end in .tflite, and convert it where a .stq network is needed",
    "`convert` takes it; a floating-point one with --post-training int8 --calibrate SAMPLES.npz",
)
_ONNX = FileKind(
    ONNX,
    "an ONNX model",
    "let its name end in .onnx, and convert it where a .stq network is needed",
    "`convert` takes an ONNX model, and so do commands with --model",
)
_TORCH = _other("a PyTorch file", _REBUILD)
_PICKLE = _other("a Python pickle, which can hold code and is never opened", _REBUILD)
_FROZEN = _other("a TensorFlow graph", _FROM_KERAS)
_SAVED = "--samples takes arrays x and y in an .npz file, as numpy.savez writes it"
ARRAYS = _other("a file of NumPy arrays", f"of weights, {_WITH_WEIGHTS}", _SAVED)
"""An .npz archive."""
_ARRAY = _other("a single NumPy array (.npy)", f"of weights, {_WITH_WEIGHTS}", _SAVED)
_CHECKPOINT = _other("a TensorFlow checkpoint: weights without the model", _WITH_WEIGHTS)
_ARCHITECTURE = _other("the architecture of a Keras model (model.to_json) without weights", _WITH_WEIGHTS)
_SAVED_MODEL_FILE = _other(
    "the graph of a TensorFlow SavedModel", "load the folder it is in with tf_keras, and " + _WHOLE
)
_PACKED = _other("a compressed archive", _UNPACK)

_BEGINNINGS: tuple[tuple[bytes, FileKind], ...] = (
    (_HDF5_MAGIC, _H5),
    (b"\x93NUMPY", _ARRAY),
    (b"GGUF", _other("a GGUF file of a language model", _REBUILD)),
    (
        b"\x7fELF",
        _other(
            "a program (ELF), such as built firmware",
            "give the model that it was built from",
            "`emulate` runs built firmware",
        ),
    ),
    (b"version https://git-lfs", _other("a pointer of Git LFS, not the file itself", "fetch it: git lfs pull")),
    *((magic, _PACKED) for magic in (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!", b"\x28\xb5\x2f\xfd")),
    *(
        (start, _other("a web page, saved in place of the file", "download the file itself"))
        for start in (b"<!DOCTYPE html", b"<!doctype html", b"<html")
    ),
    (b"<?xml", _other("an XML file, as of OpenVINO", _FROM_KERAS)),
    *((b"\x80" + bytes([protocol]), _PICKLE) for protocol in range(2, 6)),
)


def _image(what: str) -> FileKind:
    return _other(what, "give the model that it was built from", "`flash` writes it from the build's folder")


_IDENTIFIERS = {b"TFL3": _TFLITE, b"ET12": _other("an ExecuTorch program", _REBUILD)}
_ENDINGS: dict[str, FileKind] = {
    ".tflite": _TFLITE,
    ".onnx": _ONNX,
    **dict.fromkeys((".pt", ".pth", ".pt2", ".ckpt"), _TORCH),
    ".safetensors": _other("a safetensors file: weights without the model", _WITH_WEIGHTS),
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), _PICKLE),
    **dict.fromkeys((".pb", ".pbtxt"), _FROZEN),
    ".index": _CHECKPOINT,
    ".mlmodel": _other("a Core ML model", _FROM_KERAS),
    **dict.fromkeys((".py", ".ipynb"), _other("Python source", "run it, and " + _WHOLE)),
    **dict.fromkeys((".csv", ".txt", ".md", ".yaml", ".yml"), _other("a text file", "give the model file")),
    ".toml": _other(
        "a text file (TOML)",
        "give the model file",
        "`train --recipe` takes recipes, and `robustness --preset` presets",
    ),
    ".hex": _image("an image without names of functions (.hex)"),
    ".bin": _image("an image without addresses (.bin)"),
}
_ZIP_MEMBERS: tuple[tuple[Callable[[str], bool], FileKind], ...] = (
    (lambda name: name == "network.json", _STQ),
    (lambda name: name in ("config.json", "metadata.json", "model.weights.h5"), _KERAS),
    (lambda name: name.endswith((".npy",)), ARRAYS),
    (lambda name: name.endswith(("/data.pkl", "/version", "/constants.pkl", "/.format_version")), _TORCH),
    (lambda name: name.endswith("saved_model.pb"), _other("a packed TensorFlow SavedModel", _UNPACK)),
)


def file_kind(content: bytes, name: str) -> FileKind | None:
    """The kind of a file; None if it is unknown.

    Args:
        content: the file, or as much of its beginning as `HEAD_BYTES`.
        name: the file's name.
    """
    if not content:
        return _other("an empty file", "save or copy it again")
    if content.startswith(b"PK\x03\x04"):
        return _zip_kind(content, name)
    if content[4:8] in _IDENTIFIERS:
        return _IDENTIFIERS[content[4:8]]
    for beginning, kind in _BEGINNINGS:
        if content.startswith(beginning):
            return kind
    return _protobuf_kind(content) or _json_kind(content) or _named_kind(name)


def weights_alone() -> StqError:
    """The error for an HDF5 file without a model."""
    return StqError(
        "it is an HDF5 file without a model's configuration",
        cause="it holds weights alone, as model.save_weights() writes them, or is not a Keras file at all",
        next=_WITH_WEIGHTS,
    )


def kind_of_file(path: Path) -> FileKind | None:
    """`file_kind` of a file's first bytes; None if it cannot be read."""
    try:
        with open_regular(path) as file:
            return file_kind(file.read(HEAD_BYTES), path.name)
    except (OSError, StqError):
        return None


def _named_kind(name: str) -> FileKind | None:
    lower = name.lower()
    if lower == "checkpoint" or ".data-0000" in lower:
        return _CHECKPOINT
    return _ENDINGS.get(Path(lower).suffix)


def _zip_kind(content: bytes, name: str) -> FileKind:
    """By the name of the archive's first member, which is in the file's first bytes."""
    length = int.from_bytes(content[26:28], "little")
    first = content[30 : 30 + length].decode("utf-8", "replace")
    for matches, kind in _ZIP_MEMBERS:
        if matches(first):
            return kind
    named = _named_kind(name)
    return named or (_KERAS if name.lower().endswith(".keras") else _other("a ZIP archive", _UNPACK))


def _protobuf_kind(content: bytes) -> FileKind | None:
    """ONNX and TensorFlow's graphs have no magic number; their first fields identify them."""
    if content[:3] == b"\x08\x01\x12":
        return _SAVED_MODEL_FILE
    if (
        len(content) > 1
        and content[0] == 0x08
        and 3 <= content[1] <= 30
        and content[2:3] in (b"\x12", b"\x1a", b"\x22", b"\x2a", b"\x3a", b"B")
    ):
        return _ONNX
    if content[0] == 0x0A and any(word in content[:HEAD_BYTES] for word in (b"Placeholder", b"Const", b"NoOp")):
        return _FROZEN
    return None


def _json_kind(content: bytes) -> FileKind | None:
    start = content.lstrip()[:1]
    if start not in (b"{", b"["):
        return None
    beginning = content[:HEAD_BYTES]
    if b'"class_name"' in beginning and b'"config"' in beginning:
        return _ARCHITECTURE
    for format, what in _RECORDS.items():
        if f'"{format}"'.encode() in beginning:
            return _other(what, "give the model that it tells of")
    return _other("a JSON file", "give the model file")


_RECORDS = {
    "stq-build": "the record of a build (build.json)",
    "stq-certificate": "a certificate that `certify` wrote",
    "stq-robustness": "the record of a robustness run",
}
"""The `format` of records of ours -> what they are."""


def not_wanted(path: str | os.PathLike[str], wanted: str, next: str) -> StqError | None:
    """The error for a file or folder that is known to be something else than what is wanted; None if it is unknown.

    Args:
        wanted: with its article: "a sample file".
        next: what to give instead.
    """
    path = Path(path)
    kind = folder_kind(path) if path.is_dir() else kind_of_file(path)
    if kind is None:
        return None
    return StqError(f"it is {kind.what}, not {wanted}", where=str(path), next="; ".join(filter(None, (next, kind.use))))


def folder_kind(path: Path) -> FileKind:
    """The kind of a misplaced folder."""
    try:
        names = sorted(entry.name for entry in os.scandir(path))
    except OSError:
        names = []
    held, shown = set(names), Path(ascii(str(path))[1:-1])
    if "saved_model.pb" in held or "saved_model.pbtxt" in held:
        return _other(
            "a folder, a TensorFlow SavedModel",
            "load it with tf_keras, and save one file: "
            "tf_keras.models.load_model('FOLDER').save('model.h5'); or give the .h5 it was made from",
        )
    if {"config.json", "model.weights.h5"} <= held:
        return _other("a folder, an unpacked .keras archive", "give the .keras file itself")
    if "build.json" in held:
        return _other(
            "a folder, a build of a network",
            "give the network (.stq) or the Keras model it was built from",
            f"`flash` and `run` take it by --out, and `emulate` takes {shown / 'firmware.elf'}",
        )
    if "run.json" in held:
        return _other(
            "a folder, the results of a run",
            "give the network (.stq) or the Keras model that ran",
            f"`run --out` goes on with it, and {shown / 'report.html'} shows it",
        )
    if "model.json" in held and any(name.endswith(".bin") for name in names):
        return _other("a folder, a TensorFlow.js model", _FROM_KERAS)
    if "checkpoint" in held or any(name.endswith(".index") for name in names):
        return _other("a folder, a TensorFlow checkpoint: weights without the model", _WITH_WEIGHTS)
    models = [name for name in names if Path(name).suffix.lower() in (*MODEL_ENDINGS, ".hdf5", ".stq")]
    if models:
        listed = ", ".join(ascii(str(path / name))[1:-1] for name in models[:_MAXIMUM_LISTED])
        return _other("a folder", f"give a file in it: {listed}")
    return _other("a folder", "give the path of a model file")
