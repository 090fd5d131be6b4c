"""Schemes by layer: a TOML file that changes single layers of one of the schemes by name.

title = "Pixels of 4 bits, and an 8-bit second convolution"
base = "stq"

[weights]          # layer = 1, 2, 4 or 8 bits, or "ternary"
conv2 = 8

[activations]      # layer = 1 to 8 bits, over the range that the base gives it
quantize_input = 4
"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from stq_deploy.common.errors import StqError, no_such
from stq_deploy.common.files import read_bounded
from stq_deploy.zoo.schemes import KERNELS, SCHEMES, Scheme, get_scheme

SUFFIX = ".toml"
_NEXT = "docs/TRAINING.md, Schemes by layer, shows such a file"
_MOST_LAYERS = 10_000


class SchemeFile(BaseModel):
    """The content of such a file; all of it is recorded with a run.

    Attributes:
        title: for tables; "" takes the file's name.
        base: a quantized scheme of `SCHEMES`, for the layers that are not named.
        weights: layer -> bits of its kernel, or "ternary".
        activations: layer -> bits of its activation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    title: str = Field(default="", max_length=200)
    base: str
    weights: dict[str, int | str] = Field(default={}, max_length=_MOST_LAYERS)
    activations: dict[str, int] = Field(default={}, max_length=_MOST_LAYERS)

    @field_validator("base")
    @classmethod
    def _quantized(cls, name: str) -> str:
        if name not in SCHEMES or not SCHEMES[name].quantized:
            known = ", ".join(key for key, scheme in SCHEMES.items() if scheme.quantized)
            raise ValueError(f"{name!r} is not a quantized scheme; choose one of {known}")
        return name

    @field_validator("weights")
    @classmethod
    def _known(cls, bits: dict[str, int | str]) -> dict[str, int | str]:
        for layer, key in bits.items():
            if isinstance(key, bool) or key not in KERNELS:
                known = ", ".join(map(repr, KERNELS))
                raise ValueError(f"{layer} = {key!r} is not possible; choose one of {known}")
        return bits

    @field_validator("activations")
    @classmethod
    def _possible(cls, bits: dict[str, int]) -> dict[str, int]:
        for layer, number in bits.items():
            if isinstance(number, bool) or not 1 <= number <= 8:
                raise ValueError(f"{layer} = {number} bits is not possible; choose 1 to 8")
        return bits

    @classmethod
    def of_base(cls, base: str) -> SchemeFile:
        """A file that changes no layer. Raises StqError: `base` is not a quantized scheme."""
        try:
            return cls(base=base)
        except ValidationError as error:
            raise StqError(_first(error)) from error

    def scheme(self, name: str) -> Scheme:
        """The scheme, under this name."""
        base = get_scheme(self.base)
        return replace(
            base,
            name=name,
            title=self.title or name,
            weights=tuple(sorted(self.weights.items())),
            activations=tuple(sorted(self.activations.items())),
        )


def load_scheme(name_or_path: str) -> tuple[str, SchemeFile | None]:
    """A scheme's name and None; or for a .toml file its own name and its content.

    Raises:
        StqError: no scheme or file has this name, or the file holds something else.
    """
    if name_or_path in SCHEMES:
        return name_or_path, None
    path = Path(name_or_path)
    if path.suffix != SUFFIX:
        raise no_such(
            f"unknown quantization scheme {name_or_path!r}", name_or_path, SCHEMES, also="or give a .toml file"
        )
    try:
        return path.name, SchemeFile.model_validate(tomllib.loads(read_bounded(path)))
    except OSError as error:
        raise StqError(f"cannot read the scheme: {error.strerror}", where=str(path), next=_NEXT) from error
    except ValidationError as error:
        raise StqError(_first(error), where=str(path), next=_NEXT) from error
    except (ValueError, RecursionError) as error:  # TOML's and UTF-8's errors, and numbers of thousands of digits
        raise StqError(f"the scheme is not a TOML file: {error}", where=str(path), next=_NEXT) from error


def is_scheme_file(path: Path) -> bool:
    """Whether the file there is such a scheme, which may be written anew."""
    try:
        return load_scheme(str(path))[1] is not None
    except StqError:
        return False


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][:2])
    if first["type"] == "extra_forbidden":
        return f"a scheme has no entry {place!r}"
    if first["type"] == "missing":
        return f"the entry {place!r} is missing"
    return f"{place}: {first['msg'].removeprefix('Value error, ')}"
