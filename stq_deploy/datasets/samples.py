"""Sample files: the samples on which a model runs, clean or attacked, and their origin. One .npz, no pickles.

Members:
 - `x`: pixels (N, H, W, C), uint8 (0..255) or float in [0, 1]; or features (N, one to three axes), floats in the stated
   range;
 - `y`, where it is needed: labels are integers, targets of a regression are floats. Labels are (N,), the true
   classes; or (N, ...), a label for each output (0 or 1) or each place of a picture. Targets have the output's shape;
 - `metadata`: a 0-d text or bytes array of JSON, which `sample_metadata.py` reads and writes. Its members are optional.
   `range` ([smallest, largest]) states that x holds features, the model's own input, instead of pixels. `attack` has
   name, settings and threat model. `float_model` has the QKeras model's predictions. Others are `dataset`,
   `source_indices`, `seed` and `versions`.

A sample file is untrusted: read member by member, each bounded before it is unpacked, nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.common.file_kinds import ARRAYS, kind_of_file, not_wanted
from stq_deploy.common.files import write_whole
from stq_deploy.common.npy_member import ArrayHeader, array_header, read_array
from stq_deploy.common.regular_file import open_regular
from stq_deploy.common.untrusted_json import parse_json
from stq_deploy.datasets.dataset import Dataset
from stq_deploy.datasets.registry import load_dataset
from stq_deploy.datasets.sample_metadata import FORMAT, AttackRecord, SampleMetadata
from stq_deploy.network.input_format import check_finite

CLEAN = "clean"
"""The attack's name in files of unattacked samples."""

MAXIMUM_FILE_BYTES = 512 << 20
MAXIMUM_MEMBER_BYTES = 1 << 30
MAXIMUM_METADATA_BYTES = 16 << 20
MAXIMUM_SAMPLES = 1 << 24
MAXIMUM_LABELS = 1 << 27  # 8 bytes each in memory
MAXIMUM_CLASSES = 1 << 16
_MEMBERS = ("x.npy", "y.npy", "metadata.npy")
_REQUIRED = ("x.npy",)
_MOST_LABEL_AXES = 4
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # zip members carry a date; a fixed one keeps equal samples equal files

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64] | npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SampleSet:
    """Checked samples.

    Attributes:
        x: pixels (N, H, W, C), uint8 or float32 in [0, 1]; or features (N, one to three axes), float32 in the
            metadata's `range`; N > 0.
        y: int64 labels, (N,) or up to three axes more; or float32 targets; None where the file has none. Labels are
            class numbers from 0, or -1 and 1 throughout.
        metadata: what the file states about the samples, untrusted.

    Raises:
        StqError: on construction, when the arrays do not fit each other or hold NaN or values out of range.
    """

    x: Pixels
    y: Labels | None = None
    metadata: SampleMetadata = field(default_factory=SampleMetadata)

    def __post_init__(self) -> None:
        _check_values(self.x, self.metadata)
        if self.y is not None:
            _check_labels(self.y, len(self.x))
        stated, unread = self.metadata, self.metadata.other
        self._check_per_sample(stated.source_indices, unread.get("source_indices"), "source_indices")
        if unread.get("float_model") is not None:
            raise StqError("metadata 'float_model' is not an object with a model hash")
        model = stated.float_model
        if model is not None:
            self._check_per_sample(model.predictions, model.other.get("predictions"), "float_model.predictions")

    def __len__(self) -> int:
        return len(self.x)

    def classes(self) -> npt.NDArray[np.int64]:
        """The labels, one class number from 0 per sample, (N,).

        Raises:
            StqError: the samples have no labels, or labels of another form.
        """
        y = self.y
        if y is None:
            raise StqError("the samples have no labels (no `y`)", next=_CLASS_LABELS)
        if y.dtype.kind != "i" or y.ndim != 1:
            kind = "labels" if y.dtype.kind == "i" else "targets"
            raise StqError(f"the samples have {kind} of shape {y.shape}, not one class each", next=_CLASS_LABELS)
        if y.min() < 0:
            raise StqError(f"a label is {y.min()}", next="number the classes from 0")
        return y.astype(np.int64)

    @property
    def class_names(self) -> list[str] | None:
        """The file's class names, untrusted; None if it has none."""
        names = self.metadata.class_names
        return None if names is None else list(names)

    @property
    def holds_features(self) -> bool:
        """Whether x is the model's own input, such as an audio clip's MFCC, instead of pixels."""
        return self.metadata.states_range

    @property
    def stated_range(self) -> tuple[float, float] | None:
        """The smallest and the largest value of features, as the file states them; None for pixels."""
        return _stated_range(self.metadata) if self.holds_features else None

    @property
    def attack(self) -> str:
        """Name of the attack; `CLEAN` for unattacked samples, "unknown" if the file does not state it."""
        attack = self.metadata.attack
        return "unknown" if attack is None or attack.name is None else attack.name

    @property
    def largest_change(self) -> Mapping[str, float]:
        """Norm -> largest change of a sample by the attack, in its unit; empty where the file does not state it."""
        attack = self.metadata.attack
        return {} if attack is None or attack.largest_change is None else attack.largest_change

    @property
    def correct(self) -> dict[str, int]:
        """Stage of the attack ("clean", "attacked", ...) -> samples that the models got right, as the file records it.

        Other entries are left out; the record is empty where nothing is recorded.
        """
        recorded = self.metadata.float_model
        counts = None if recorded is None else recorded.correct
        return {stage: count for stage, count in (counts or {}).items() if type(count) is int}

    def float_predictions(self, model_hash: str) -> npt.NDArray[np.int64] | None:
        """Recorded classes (N,) of the float model on these samples; None if they are another model's."""
        recorded = self.metadata.float_model
        if recorded is None or recorded.model_hash != model_hash or recorded.predictions is None:
            return None
        return np.array(recorded.predictions, np.int64)

    def first(self, limit: int | None) -> SampleSet:
        """The first `limit` samples (all of them for None), with the metadata that belongs to each."""
        return self if limit is None or limit >= len(self) else self._at(np.arange(limit))

    def spread(self, limit: int) -> SampleSet:
        """`limit` evenly spaced samples, or all: a file sorted by class then gives some of each class."""
        return self if limit >= len(self) else self._at(np.arange(limit) * len(self) // limit)

    def _at(self, indices: npt.NDArray[np.int64]) -> SampleSet:
        metadata = self.metadata
        if metadata.source_indices is not None:
            metadata = replace(metadata, source_indices=tuple(metadata.source_indices[i] for i in indices))
        recorded = metadata.float_model
        if recorded is not None and recorded.predictions is not None:
            kept = replace(recorded, predictions=tuple(recorded.predictions[i] for i in indices))
            metadata = replace(metadata, float_model=kept)
        return SampleSet(self.x[indices], None if self.y is None else self.y[indices], metadata)

    def sha256(self) -> str:
        """SHA-256 (hex) of pixels and labels, without metadata; it ties results to their samples."""
        digest = hashlib.sha256(f"{self.x.dtype.str} {self.x.shape}".encode())
        digest.update(np.ascontiguousarray(self.x).tobytes())
        y = self.y
        if y is None:
            digest.update(b"unlabelled")
        elif y.dtype.kind == "i":
            digest.update((b"" if y.ndim == 1 else f"{y.shape}".encode()) + y.astype("<i8").tobytes())
        else:
            digest.update(f"{y.shape}".encode() + y.astype("<f4").tobytes())
        return digest.hexdigest()

    def _check_per_sample(self, values: tuple[int, ...] | None, unread: object, name: str) -> None:
        """An entry is absent or null, or has one value per sample; `unread` is the entry if it is malformed."""
        if unread is not None or (values is not None and len(values) != len(self)):
            raise StqError(f"metadata {name!r} is not a list of {len(self)} whole numbers")


_CLASS_LABELS = "store each sample's class, a whole number from 0, as y of shape (N,)"


def save_samples(samples: SampleSet, path: str | os.PathLike[str]) -> None:
    """Write a sample file: complete or not at all, and the same bytes for the same samples.

    Raises:
        StqError: the file cannot be written.
    """
    text = json.dumps(samples.metadata.to_json(), sort_keys=True, separators=(",", ":"), allow_nan=False)
    arrays: dict[str, npt.NDArray[Any]] = {"x.npy": samples.x}
    if samples.y is not None:
        whole = samples.y.dtype.kind == "i"
        arrays["y.npy"] = samples.y.astype(_label_type(samples.y)) if whole else samples.y
    arrays["metadata.npy"] = np.array(text.encode())
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            contiguous = np.asarray(array, order="C")
            np.lib.format.write_array(member, contiguous, version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(name, _FIXED_DATE), member.getvalue(), zipfile.ZIP_DEFLATED, 9)
    write_whole(path, content.getvalue())


def is_own_sample_file(path: Path) -> bool:
    """Whether `save_samples` wrote the file, in any version, so that a new one may replace it."""
    try:
        if path.stat().st_size > MAXIMUM_FILE_BYTES:
            return False
        with zipfile.ZipFile(path) as archive:
            _check_members(archive)
            document = _read_document(archive)
            SampleMetadata.from_json(document)
    except Exception:  # whatever the fault, it is not a sample file
        return False
    return isinstance(document, dict) and document.get("format") == FORMAT


def load_samples(path: str | os.PathLike[str]) -> SampleSet:
    """Read and check a sample file.

    Raises:
        StqError: the file is missing, truncated, too large or of a newer version, or has foreign or missing members.
            Also if no model accepts its samples (NaN, outside [0, 1], wrong shape).
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAXIMUM_FILE_BYTES:
                raise StqError(f"the file has {size} bytes, more than the {MAXIMUM_FILE_BYTES} allowed")
            with zipfile.ZipFile(file) as archive:
                return _read_samples(archive)
    except _ForeignMembersError as error:
        raise _no_samples(path) or StqError(error.what, where=str(path), cause=error.cause, next=error.next) from error
    except StqError as error:
        raise StqError(error.what, where=str(path), cause=error.cause, next=error.next) from error
    except FileNotFoundError as error:
        raise StqError("there is no such file", where=str(path), next="check the path") from error
    except OSError as error:
        known = not_wanted(path, _WANTED, _GIVE) if isinstance(error, IsADirectoryError) else None
        raise known or StqError(f"cannot read the file: {error.strerror}", where=str(path)) from error
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        # RuntimeError: zipfile's answer to an encrypted member (and RecursionError, to deeply nested JSON).
        raise _no_samples(path) or StqError(
            f"this is not a usable sample file ({error})",
            where=str(path),
            cause="the file is truncated, damaged, or something else under that name",
            next="make it again with `stq-deploy attack`, or with numpy.savez(path, x=..., y=...)",
        ) from error


def samples_of_dataset(name: str, path: Path | None, limit: int | None = None) -> SampleSet:
    """Test samples of a data set (`stq_deploy.datasets.load_dataset`), unattacked.

    Fewer than all are a random but fixed choice: a data set may be sorted by class, and its first samples would not be
    representative. A smaller `limit` gives the first samples of a larger one.

    Raises:
        StqError: an unknown data set, or data that cannot be found, fetched or read.
    """
    dataset = load_dataset(name, path)
    chosen = np.arange(len(dataset.x_test))
    if limit is not None and limit < len(chosen):
        chosen = np.random.default_rng(0).permutation(chosen)[:limit]
    indices = tuple(int(i) for i in chosen)
    metadata = replace(dataset_metadata(dataset), source_indices=indices, attack=AttackRecord(CLEAN))
    return SampleSet(dataset.x_test[chosen], dataset.y_test[chosen], metadata)


def dataset_metadata(dataset: Dataset) -> SampleMetadata:
    """The facts of a data set that a sample file states."""
    return SampleMetadata(dataset.name, tuple(dataset.class_names), range=dataset.feature_range)


_WANTED = "a sample file (.npz)"
_GIVE = "give samples as `stq-deploy attack` or numpy.savez(path, x=..., y=...) writes them"


class _ForeignMembersError(StqError):
    """An archive of other things."""


def _no_samples(path: Path) -> StqError | None:
    """What else a file is; None if its beginning is that of an archive of arrays, or unknown."""
    kind = kind_of_file(path)
    return None if kind is None or kind is ARRAYS else not_wanted(path, _WANTED, _GIVE)


def _check_members(archive: zipfile.ZipFile) -> None:
    names = archive.namelist()
    foreign = sorted(set(names) - set(_MEMBERS))
    if foreign or len(names) != len(set(names)):
        listed = ", ".join(map(repr, foreign[:5])) or "one twice"
        raise _ForeignMembersError(
            f"the file holds members that do not belong there: {listed}",
            cause="it is not a sample file, or one of another program",
            next="store only x, y and, if you like, metadata",
        )
    missing = [name.removesuffix(".npy") for name in _REQUIRED if name not in names]
    if missing:
        raise StqError(
            f"the file lacks {' and '.join(missing)}",
            cause="it is not a sample file, or was not written to its end",
            next="store the samples as x (N, H, W, C) and, where they are needed, their classes as y (N)",
        )


def _read_samples(archive: zipfile.ZipFile) -> SampleSet:
    """The samples. The large array is read last, after the small members that may show it to be unusable."""
    _check_members(archive)
    x = array_header(archive, "x.npy", MAXIMUM_MEMBER_BYTES)
    stated = "metadata.npy" in archive.namelist()
    metadata = SampleMetadata.from_json(_read_document(archive)) if stated else SampleMetadata()
    _check_shape(x.shape, metadata)
    dtype = _stored_as(x)
    labels = _read_labels(archive, x.shape[0]) if "y.npy" in archive.namelist() else None
    return SampleSet(read_array(archive, "x.npy", MAXIMUM_MEMBER_BYTES, dtype), labels, metadata)


def _read_labels(archive: zipfile.ZipFile, samples: int) -> Labels:
    y = array_header(archive, "y.npy", MAXIMUM_MEMBER_BYTES)
    _check_count(y.shape, samples, y.dtype.kind != "f")
    if y.elements > MAXIMUM_LABELS:
        raise StqError(f"`y` has {y.elements} entries; {MAXIMUM_LABELS} are possible", next="split the file")
    return _labels(read_array(archive, "y.npy", MAXIMUM_MEMBER_BYTES))


def _read_document(archive: zipfile.ZipFile) -> object:
    """The JSON document of the metadata. Raises ValueError: it is not one."""
    array = read_array(archive, "metadata.npy", MAXIMUM_METADATA_BYTES)
    if array.shape != () or array.dtype.kind not in "SU":
        raise ValueError("metadata is not a single text")
    value = array.item()
    text = value.decode() if isinstance(value, bytes) else value
    document: object = parse_json(text, _refuse_constant)
    return document


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"metadata holds {text}, which is not JSON")


def samples_of(x: npt.ArrayLike, y: npt.ArrayLike | None = None, *, features: bool = False) -> SampleSet:
    """Arrays in memory as samples, as if they had been read from a file.

    Args:
        x: pixels (N, H, W, C), uint8 or floats in [0, 1]; or features (N, one to three axes), floats, kept as float32.
        y: see `SampleSet`.
        features: x holds features; their range is that of x.

    Raises:
        StqError: another type or shape, NaN or infinite values, or pixels out of range.
    """
    try:
        values, given = np.asarray(x), None if y is None else np.asarray(y)
    except (ValueError, TypeError) as error:
        raise StqError(f"the samples are not an array ({error})", next="give arrays, a row for each sample") from error
    if values.dtype != np.uint8 and values.dtype.kind != "f":
        raise StqError(
            f"the samples are of type {values.dtype}, neither uint8 nor float",
            next="give pixels as uint8 (0..255) or as floats in [0, 1], features as floats",
        )
    if values.dtype != np.uint8:
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused
            values = values.astype(np.float32)
    labels = None if given is None else _labels(given)
    if not features or values.size == 0 or values.dtype == np.uint8:
        return SampleSet(values, labels, SampleMetadata(range=(0.0, 1.0) if features else None))
    check_finite(values)
    low, high = float(values.min()), float(values.max())
    # A range of equal features needs an end above them; it does not state which values may occur.
    return SampleSet(values, labels, SampleMetadata(range=(low, high if low < high else low + max(1.0, abs(low)))))


def _stored_as(x: ArrayHeader) -> type[np.uint8] | type[np.float32]:
    """The dtype in which samples are kept."""
    if x.dtype == np.uint8:
        return np.uint8
    if x.dtype.kind != "f":
        raise StqError(
            f"x is stored as {x.dtype}, neither uint8 nor float",
            next="store x as uint8 (0..255), or as float in [0, 1]",
        )
    return np.float32


def _check_count(y: tuple[int, ...], samples: int, whole: bool) -> None:
    if not 1 <= len(y) <= _MOST_LABEL_AXES or y[0] != samples or math.prod(y) == 0:
        raise StqError(
            f"there are {samples} samples but {'labels' if whole else 'targets'} of shape {y}",
            next="give as many entries in `y` as in `x`: a whole number per sample is its class",
        )


def _labels(y: npt.NDArray[Any]) -> Labels:
    if y.dtype.kind == "f":
        return y.astype(np.float32)
    if y.dtype.kind not in "biu":
        raise StqError(
            f"y is stored as {y.dtype}, neither whole numbers nor floats",
            next="store class numbers, from 0, as integers; targets of a regression as floats",
        )
    if y.size and int(y.max()) >= MAXIMUM_CLASSES:  # before the cast: a large uint64 would turn negative
        raise StqError(f"label {y.max()} is not a class number", next="number the classes from 0")
    return y.astype(np.int64)


def _label_type(y: Labels) -> np.dtype[Any]:
    """The smallest type that holds the labels."""
    return np.dtype(np.int8) if y.min() < 0 else np.min_scalar_type(int(y.max()))


def _check_labels(y: Labels, samples: int) -> None:
    whole = y.dtype.kind == "i"
    _check_count(y.shape, samples, whole)
    if not whole:
        if not np.isfinite(y).all():
            raise StqError(f"{int((~np.isfinite(y)).sum())} targets in `y` are NaN or infinite", next="repair them")
    elif (y.min() < 0 and not np.isin(y, (-1, 1)).all()) or y.max() >= MAXIMUM_CLASSES:
        raise StqError(
            f"labels run from {y.min()} to {y.max()}",
            next="number the classes from 0; store targets of a regression as floats",
        )


def _check_shape(shape: tuple[int, ...], metadata: SampleMetadata) -> None:
    fits = 2 <= len(shape) <= 4 if metadata.states_range else len(shape) == 4
    if not fits or math.prod(shape) == 0:
        wanted = "(N, one to three axes)" if metadata.states_range else "(N, H, W, C)"
        raise StqError(
            f"x has shape {shape}, not {wanted} with at least one sample",
            next="a gray picture has C = 1: use x[..., numpy.newaxis]; features of fewer axes need their `range` "
            "in the metadata",
        )
    if shape[0] > MAXIMUM_SAMPLES:
        raise StqError(f"there are {shape[0]} samples; {MAXIMUM_SAMPLES} are possible", next="split the file")


def _check_values(x: Pixels, metadata: SampleMetadata) -> None:
    _check_shape(x.shape, metadata)
    least, most = _stated_range(metadata) if metadata.states_range else (0.0, 1.0)
    if x.dtype == np.uint8:
        if metadata.states_range:
            raise StqError("x is stored as uint8, but metadata `range` says it holds features", next="store floats")
        return
    check_finite(x)
    low, high = float(x.min()), float(x.max())
    with np.errstate(over="ignore"):
        least, most = float(np.float32(least)), float(np.float32(most))  # the values were rounded, too
    if low < least or high > most:
        what = f"sample values run from {low:g} to {high:g}, outside [{least:g}, {most:g}]"
        if metadata.states_range:
            raise StqError(
                what,
                cause="metadata `range` was stated for other samples, or these were not clipped after an attack",
                next='state the smallest and the largest value that occur, as in {"range": [-8, 8]}',
            )
        raise StqError(
            what,
            cause="they are on the 0..255 scale, or were not clipped after an attack",
            next="store pixels as uint8, or divide by 255 and clip to [0, 1]; state the range of features in metadata",
        )


def _stated_range(metadata: SampleMetadata) -> tuple[float, float]:
    bounds = metadata.range
    if bounds is None or not all(map(math.isfinite, bounds)) or bounds[0] >= bounds[1]:
        raise StqError(
            "metadata 'range' is not a list of the smallest and the largest value",
            next='state two finite numbers, the smaller first, as in {"range": [-8, 8]}',
        )
    return float(bounds[0]), float(bounds[1])
