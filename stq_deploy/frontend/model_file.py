"""The front door: opens a model file of any format, once, through one descriptor; its content decides the format.

`formats/registry.py` lists the formats.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from stq_deploy.common.errors import StqError
from stq_deploy.common.file_kinds import STQ, file_kind, folder_kind
from stq_deploy.common.regular_file import read_regular
from stq_deploy.common.untrusted_json import writable
from stq_deploy.frontend.errors import damaged, located
from stq_deploy.frontend.formats.interface import FileFacts, FileForm, ModelFormat, OpenedModel
from stq_deploy.frontend.formats.registry import detect, endings, form_named
from stq_deploy.sandbox import MAXIMUM_FILE_BYTES


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A model file that has been read.

    Attributes:
        path: where it was read.
        model: its content.
    """

    path: Path
    model: OpenedModel

    @property
    def facts(self) -> FileFacts:
        """What the file is."""
        return self.model.facts


def open_model_file(path: Path) -> ModelFile:
    """Read a model file once.

    Raises:
        StqError: absent, unreadable, too large, truncated, damaged, of another kind, or of a kind that contradicts its
            name.
    """
    try:
        return read_model(_content(path), path)
    except StqError as error:
        raise located(error, str(path)) from error


def _content(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise folder_kind(path).error()
        content = read_regular(path, MAXIMUM_FILE_BYTES)
    except FileNotFoundError as error:
        raise StqError("there is no such file", next="check the path") from error
    except OSError as error:
        raise StqError(f"cannot read the file: {error.strerror}", next="give the path of a model file") from error
    if len(content) > MAXIMUM_FILE_BYTES:
        raise damaged(f"it has more than the {MAXIMUM_FILE_BYTES} bytes allowed")
    return content


def read_model(content: bytes, path: Path) -> ModelFile:
    """A model file of this content.

    Raises:
        StqError: truncated, damaged, of no format that is read, or of one that contradicts its name.
    """
    format, form = _recognized(content, path)
    named = form_named(path.suffix) or form
    if named != form:
        raise StqError(
            f"its name is that of {named.what}, its content that of {form.what}",
            cause="it was renamed, or made so that programs disagree about what it holds",
            next=f"if you know where it comes from, let its name end in {form.endings[0]}",
        )
    return ModelFile(path, format.open(content, form, writable(path.name), hashlib.sha256(content).hexdigest()))


def _recognized(content: bytes, path: Path) -> tuple[ModelFormat, FileForm]:
    found = detect(content)
    if found is not None:
        return found
    kind = file_kind(content, path.name)
    if kind is not None and kind.form in ("", STQ):
        raise kind.error(read=endings())
    raise StqError(
        f"this is not a usable model file: it is of none of the formats that are read ({', '.join(endings())})",
        cause="it is truncated, damaged, or no model",
        next="save the model again, or copy the file again",
    )
