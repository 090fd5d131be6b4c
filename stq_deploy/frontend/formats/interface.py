"""What every format of model files offers, so that the steps after the import know none of them.

A `ModelFormat` recognizes a file by its content, and has it read in the process of its own (`sandbox`). It gives an
`OpenedModel`: the file's content as plain values. That is checked against the format's allow-list when it is asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.checked import CheckedModel
from stq_deploy.frontend.parsed import ListedModel, ParsedModel


@dataclass(frozen=True)
class FileForm:
    """A kind of file that a format is stored in.

    Attributes:
        name: a word, such as "h5"; also the preferred ending of a file's name.
        what: its name with an article: "an HDF5 file".
        endings: of file names, with the dot and in lower case. A file with one of them and other content is refused.
    """

    name: str
    what: str
    endings: tuple[str, ...]


@dataclass(frozen=True)
class FileFacts:
    """What a model file is; the texts are printable, and otherwise untrusted.

    Attributes:
        name: of the file, without its folder.
        sha256: of its bytes.
        form: `FileForm.name`.
        format: the format with its generation, for people: "Keras 2".
        writer: the program that wrote it, "" if the file does not state one.
        version: of the writer, or of the format; "" if the file does not state one.
    """

    name: str
    sha256: str
    form: str
    format: str
    writer: str = ""
    version: str = ""

    def to_json(self) -> dict[str, str]:
        """As a network's metadata keeps them."""
        written = {"writer": self.writer, "version": self.version}
        return {"name": self.name, "sha256": self.sha256, "format": self.form} | {k: v for k, v in written.items() if v}

    def __str__(self) -> str:
        """The first line of `inspect`."""
        by = " ".join(filter(None, (self.writer, self.version)))
        return f"{self.format} (.{self.form})" + (f", written by {by}" if by else ", its writer is not stated")


@dataclass(frozen=True)
class SupportColumn:
    """A column of the first table of docs/SUPPORT.md.

    Attributes:
        title: the format, as in `FileFacts.format`.
        operators: name of a class of `source` without "Node", such as "Convolve" -> the format's names of what becomes
            such a node.
    """

    title: str
    operators: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class AcceptedOperators:
    """A row of a format's own table in docs/SUPPORT.md.

    Attributes:
        title: the format, as in `SupportColumn.title`.
        names: of operators that one handler reads.
        accepted: which of them are accepted, in a sentence or two.
    """

    title: str
    names: tuple[str, ...]
    accepted: str


@dataclass(frozen=True)
class RefusedOperators:
    """Operators that are refused with a reason and the nearest way; as `AcceptedOperators`."""

    title: str
    names: tuple[str, ...]
    reason: str
    instead: str


class OpenedModel(ABC):
    """The content of one model file, read and unchecked; nothing here reads the file again.

    Attributes:
        runs_in_keras: whether Keras computes this model, so that `check` may give one.
    """

    facts: FileFacts
    runs_in_keras: bool = False

    @abstractmethod
    def list_layers(self) -> ListedModel:
        """Every layer, with what is wrong with it; continues after an unsupported one.

        Raises:
            StqError: the file contradicts itself.
        """

    @abstractmethod
    def parse(self, *, post_training: bool) -> ParsedModel:
        """The nodes, and the weights as stored.

        Args:
            post_training: accept floating-point weights, as kernels without a quantizer.

        Raises:
            StqError: the first layer that cannot be converted. It names layer, setting, reason and the nearest way.
        """

    def check(self) -> CheckedModel:
        """The model for Keras to run unconverted.

        Raises:
            StqError: as `parse`; or Keras cannot run models of this format.
        """
        raise StqError(
            f"the file is of the format {self.facts.format}, and Keras runs models of Keras only",
            next="convert it, and give the network (.stq); its float model runs in NumPy (--float-engine numpy)",
        )


class ModelFormat(ABC):
    """One format; its object is stateless.

    Attributes:
        forms: the kinds of files that it is stored in.
    """

    forms: tuple[FileForm, ...]

    @abstractmethod
    def detect(self, content: bytes) -> FileForm | None:
        """The form of a file of this format, by its first bytes; None for any other file. Reads nothing else of it."""

    @abstractmethod
    def open(self, content: bytes, form: FileForm, name: str, sha256: str) -> OpenedModel:
        """Read a file, in the process of its own.

        Args:
            name, sha256: as in `FileFacts`.

        Raises:
            StqError: truncated, damaged, too large, or no model.
        """

    @abstractmethod
    def columns(self) -> tuple[SupportColumn, ...]:
        """What it reads, as the code has it: a column for each generation of the format."""

    def accepted(self) -> tuple[AcceptedOperators, ...]:
        """What is accepted of each operator, where docs/SUPPORT.md has no section of its own for the format."""
        return ()

    def refused(self) -> tuple[RefusedOperators, ...]:
        """Operators that are refused with a reason of their own, as for `accepted`."""
        return ()
