"""A model file of any form -> the integer network; every command that takes `--model` comes through here."""

from __future__ import annotations

import os
from pathlib import Path

from stq_deploy.errors import StqError
from stq_deploy.frontend.errors import located
from stq_deploy.frontend.importer import read_source
from stq_deploy.network import Network, load_network
from stq_deploy.passes.lower import lower


def convert_model(path: str | os.PathLike[str]) -> Network:
    """Import a QKeras .h5 or .keras file and lower it; imports TensorFlow.

    Raises:
        StqError: the file is damaged, or holds something that cannot be converted.
    """
    source = read_source(path)
    try:
        return lower(source)
    except StqError as error:
        raise located(error, str(path)) from error


def load_any(path: str | os.PathLike[str]) -> Network:
    """Read a .stq network, or convert a QKeras model; TensorFlow is imported for the latter only.

    Raises:
        StqError: absent, damaged, or not convertible.
    """
    if Path(path).suffix.lower() == ".stq":
        return load_network(path)
    return convert_model(path)
