"""ART draws from the global random generators: seed them for an attack, then put them back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def seeded(seed: int, part: int) -> Iterator[None]:
    """Within, Python's and NumPy's global generators depend on (seed, part) alone."""
    derived = int(np.random.SeedSequence([seed, part]).generate_state(1)[0])
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(derived)
    np.random.seed(derived)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
