"""Types of arguments and results that several functions of the interface share."""

from __future__ import annotations

import os
from typing import Any

import numpy.typing as npt

PathLike = str | os.PathLike[str]
Outputs = npt.NDArray[Any] | Any
"""An array; a tuple of arrays for a network of several outputs.

The second type is `Any` because only the network says which, and `(a == b).all()` must stay free of type errors.
"""
