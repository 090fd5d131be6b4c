"""The formats that are read, in the order in which they are asked; a new one is a folder here and a line below."""

from __future__ import annotations

from stq_deploy.frontend.formats.interface import FileForm, ModelFormat
from stq_deploy.frontend.formats.keras.format import KerasFormat
from stq_deploy.frontend.formats.onnx.format import OnnxFormat
from stq_deploy.frontend.formats.tflite.format import TfliteFormat

FORMATS: tuple[ModelFormat, ...] = (KerasFormat(), OnnxFormat(), TfliteFormat())


def detect(content: bytes) -> tuple[ModelFormat, FileForm] | None:
    """The format of a file, by its content; None if it is none of these."""
    for format in FORMATS:
        form = format.detect(content)
        if form is not None:
            return format, form
    return None


def form_named(ending: str) -> FileForm | None:
    """The form that a file name's ending (".h5") states; None if it states none."""
    return next((form for format in FORMATS for form in format.forms if ending.lower() in form.endings), None)


def endings() -> tuple[str, ...]:
    """The first ending of every form: the names that models have."""
    return tuple(form.endings[0] for format in FORMATS for form in format.forms)
