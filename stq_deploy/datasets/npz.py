"""A data set in one .npz file.

Members: x_train, y_train, x_test, y_test; or x, y and split, where split assigns each sample to training (0),
validation (1) or testing (2). Optionally class names: classes, class_names or words. Other members are ignored.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stq_deploy.common.errors import StqError
from stq_deploy.common.npy_member import ArrayHeader, array_header, read_array
from stq_deploy.common.regular_file import open_regular
from stq_deploy.datasets.dataset import Dataset

MAXIMUM_MEMBER_BYTES = 4 << 30
_PARTED = ("x_train", "y_train", "x_test", "y_test")
_WHOLE = ("x", "y", "split")
_CLASS_KEYS = ("classes", "class_names", "words")
_VALIDATION, _TESTING = 1, 2

Array = NDArray[Any]


def load_npz(path: Path, name: str, class_names: tuple[str, ...] | None = None) -> Dataset:
    """Read `path` without ever unpickling.

    x: (N, H, W) or (N, H, W, C), uint8 or float; y and split: (N,) integers. Class names come from the file, else
    from the argument, else they are the class numbers.
    Raises StqError for a missing, damaged, foreign, incomplete or too large file.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            arrays = _members(archive, path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        # RuntimeError: zipfile's answer to an encrypted member.
        raise StqError("cannot read the data file", where=str(path), cause=str(error)) from error
    for key in _CLASS_KEYS:
        if key in arrays:
            class_names = _class_names(arrays[key], path)
            break
    validation = None
    if "split" in arrays:
        arrays, validation = _part(arrays, path)
    if class_names is None:
        highest = max((int(arrays[part].max()) for part in ("y_train", "y_test") if arrays[part].size), default=-1)
        class_names = tuple(str(number) for number in range(highest + 1))
    return Dataset(
        name=name,
        source=str(path),
        class_names=class_names,
        x_train=_samples(arrays["x_train"]),
        y_train=_whole_numbers(arrays["y_train"], path),
        x_test=_samples(arrays["x_test"]),
        y_test=_whole_numbers(arrays["y_test"], path),
        validation=validation,
    )


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, Array]:
    held = {member.removesuffix(".npy") for member in archive.namelist()}
    wanted = _WHOLE if "split" in held else _PARTED
    missing = [part for part in wanted if part not in held]
    if missing:
        raise StqError(
            f"{', '.join(missing)} missing from the data file",
            where=str(path),
            cause=f"it holds: {', '.join(sorted(held)) or 'nothing'}",
            next=f"the file must hold {', '.join(_PARTED)}; or {', '.join(_WHOLE)}",
        )
    read = (*wanted, *(key for key in _CLASS_KEYS if key in held))
    _check_headers({part: array_header(archive, f"{part}.npy", MAXIMUM_MEMBER_BYTES) for part in wanted}, path)
    arrays = {}
    for part in read:
        kept = _stored_as(part, array_header(archive, f"{part}.npy", MAXIMUM_MEMBER_BYTES))
        arrays[part] = read_array(archive, f"{part}.npy", MAXIMUM_MEMBER_BYTES, kept)
    return arrays


def _check_headers(headers: Mapping[str, ArrayHeader], path: Path) -> None:
    """Check that samples and labels fit each other, before anything large is read."""
    for x, others in (("x_train", ("y_train",)), ("x_test", ("y_test",)), ("x", ("y", "split"))):
        if x not in headers:
            continue
        if headers[x].dtype.kind not in "biuf":
            raise StqError(
                f"{x} holds {headers[x].dtype}, not numbers",
                where=str(path),
                next="store samples as uint8 pixels, or as floats",
            )
        shapes = [headers[part].shape for part in (x, *others)]
        if not shapes[0] or any(math.prod(shape) != shapes[0][0] for shape in shapes[1:]):
            raise StqError(
                f"{x} and {' and '.join(others)} are not of one length: shapes {', '.join(map(str, shapes))}",
                where=str(path),
            )


def _stored_as(part: str, header: ArrayHeader) -> type[np.float32] | None:
    """The dtype to which samples other than uint8 are converted; None: unchanged."""
    numbers = header.dtype.kind in "biuf" and header.dtype != np.uint8
    return np.float32 if part.startswith("x") and numbers else None


def _class_names(names: Array, path: Path) -> tuple[str, ...]:
    found = tuple(str(item) for item in names.reshape(-1))
    try:
        "".join(found).encode("utf-8")
    except UnicodeEncodeError as error:
        raise StqError("a class's name holds half a character", where=str(path), next="rename the classes") from error
    return found


def _part(arrays: dict[str, Array], path: Path) -> tuple[dict[str, Array], NDArray[np.int64] | None]:
    x, y, split = arrays["x"], arrays["y"], _whole_numbers(arrays["split"], path)
    test = split == _TESTING
    validation = np.flatnonzero(split[~test] == _VALIDATION)
    parted = {"x_train": x[~test], "y_train": y[~test], "x_test": x[test], "y_test": y[test]}
    return parted, validation if len(validation) else None


def _samples(x: Array) -> Any:
    x = x if x.dtype == np.uint8 else x.astype(np.float32, copy=False)
    return x[..., np.newaxis] if x.ndim == 3 else x


def _whole_numbers(y: Array, path: Path) -> Any:
    if y.dtype.kind not in "iu":
        raise StqError(f"labels must be whole numbers, not {y.dtype}", where=str(path))
    return y.reshape(-1).astype(np.int64)
