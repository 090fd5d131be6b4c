"""1,327 digits cut out of 595 full-number pictures of SVHN: a small set for a first try, not for comparisons.

Like SVHN, it is free for non-commercial use only.
"""

from __future__ import annotations

from stq_deploy.datasets.source import DataSource
from stq_deploy.datasets.svhn import CLASSES

SVHN_MINI = DataSource(
    name="svhn-mini",
    title="SVHN stand-in of 1,327 digits",
    classes=CLASSES,
    prepared=("svhn_mini_gray.npz",),
    advice="no public file has these digits: docs/DATA.md says what svhn_mini_gray.npz holds; or use svhn",
)
