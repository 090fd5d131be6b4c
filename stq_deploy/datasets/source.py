"""The description of a data set: its public files, and the forms in which a folder may hold it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stq_deploy.datasets.dataset import Dataset

DatasetReader = Callable[[tuple[Path, ...]], Dataset]
"""Reads one form of a data set from its files, given in the form's order. Raises StqError for unfit content."""


@dataclass(frozen=True)
class PublicFile:
    """One file of the publisher's.

    Attributes:
        name: its name, in any folder.
        address: its public address.
        size: in bytes.
        sha256: hex digest of those bytes.
        repacked: digests of the same content packed differently, or unpacked (then without `.gz` in its name).
    """

    name: str
    address: str
    size: int
    sha256: str
    repacked: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceForm:
    """Files that together are the data set, as names within a folder, and how they are read."""

    files: tuple[str, ...]
    read: DatasetReader


@dataclass(frozen=True)
class DataSource:
    """A data set: one row of `registry.SOURCES`.

    Attributes:
        name: its name for `--dataset`.
        title: its name in sentences.
        classes: their names, in the order of the labels.
        prepared: names of .npz files (`npz.load_npz`) that may hold the set; searched for before its other forms.
        forms: other forms in a folder, in order of search. The form with the same names reads the public files.
        public: the files to fetch where no folder holds the data; empty if no file is public.
        installed: folders where a system's package installs it; searched before anything is fetched.
        advice: what else a person without the data can do.
        shares_with: the set whose files these are, if it has another name.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    prepared: tuple[str, ...] = ()
    forms: tuple[SourceForm, ...] = ()
    public: tuple[PublicFile, ...] = ()
    installed: tuple[Path, ...] = ()
    advice: str = ""
    shares_with: str = ""

    @property
    def folder(self) -> str:
        """Name of the set's folder, in the cache and in the user's folders."""
        return self.shares_with or self.name
