"""A requantization with what conversion proved about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from stq_deploy.network.certificate import Certificate
from stq_deploy.network.requantize import Form

Form_co = TypeVar("Form_co", bound=Form, covariant=True)


@dataclass(frozen=True, eq=False)
class Certified(Generic[Form_co]):
    """A requantization and its certificate."""

    requantize: Form_co
    certificate: Certificate
