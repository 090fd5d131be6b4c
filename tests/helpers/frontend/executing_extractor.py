"""An extractor that does what none may: it executes a file's content."""

from __future__ import annotations

from stq_deploy.sandbox.extract import Extract
from stq_deploy.sandbox.limits import Unusable


def extract(content: bytes) -> Extract:
    """Compile and evaluate the content.

    Raises:
        Unusable: always, with the result.
    """
    raise Unusable(str(eval(content)))
