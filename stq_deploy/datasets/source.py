"""What a data set says of itself: its public files, and the forms in which it may lie in a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stq_deploy.datasets.base import Dataset

Reader = Callable[[tuple[Path, ...]], Dataset]
"""Reads one form of a data set from its files, given in the form's order. Raises StqError for unfit content."""


@dataclass(frozen=True)
class PublicFile:
    """One file of the publisher's.

    Attributes:
        name: what it is called, in any folder.
        address: where it is fetched from.
        size: in bytes.
        sha256: hex digest of those bytes.
        repacked: digests of the same content packed otherwise, or not at all (then without `.gz` in its name).
    """

    name: str
    address: str
    size: int
    sha256: str
    repacked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Form:
    """Files that together are the data set, as names within a folder, and how they are read."""

    files: tuple[str, ...]
    read: Reader


@dataclass(frozen=True)
class DataSource:
    """A data set: one row of `registry.SOURCES`.

    Attributes:
        name: what `--dataset` takes.
        title: its name in sentences.
        classes: their names, in the order of the labels.
        prepared: names of .npz files (`npz.load_npz`) that may hold the set; looked for before its other forms.
        forms: what else is looked for in a folder, in this order. Public files are read by the form of the same names.
        public: what is fetched where no folder holds the data; empty if no file is public.
        installed: where a system's package installs it; looked into before anything is fetched.
        advice: what else a person without the data can do; all there is to say where no file is public.
        shares_with: the set whose files these are, if it has another name.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    prepared: tuple[str, ...] = ()
    forms: tuple[Form, ...] = ()
    public: tuple[PublicFile, ...] = ()
    installed: tuple[Path, ...] = ()
    advice: str = ""
    shares_with: str = ""

    @property
    def folder(self) -> str:
        """What the set's folder is called, in the cache and in the user's folders."""
        return self.shares_with or self.name
