"""Certificates: what conversion proved about a requantization. Their home is the network's metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from stq_deploy.network.requantize import Form

Certificate = dict[str, Any]
"""JSON-able facts by name. Each has `kind`, the form, and `exact`; an inexact one has `largest_error` in real units."""

Form_co = TypeVar("Form_co", bound=Form, covariant=True)


@dataclass(frozen=True, eq=False)
class Certified(Generic[Form_co]):
    """A requantization and its certificate."""

    requantize: Form_co
    certificate: Certificate
