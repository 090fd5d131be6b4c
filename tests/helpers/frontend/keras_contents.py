"""Keras's files as the process of its own reads them."""

from __future__ import annotations

from stq_deploy import sandbox

EXTRACTOR = "stq_deploy.frontend.formats.keras.extract"


def read_contents(content: bytes) -> sandbox.Contents:
    """`sandbox.read_contents` of an .h5 or .keras file."""
    return sandbox.read_contents(content, EXTRACTOR)
