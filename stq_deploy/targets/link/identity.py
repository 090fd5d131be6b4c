"""Checks that it is the right board, with the right firmware and model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from stq_deploy.common.errors import StqError
from stq_deploy.targets.link.messages import BoardFacts


@dataclass(frozen=True)
class NetworkFacts:
    """A board's statements about its network, as far as the host relies on them.

    Attributes:
        input_bytes: bytes of one sample's levels.
        output_count: number of logits.
        output_type: 0, 1, 2 for int8, int16, int32.
        layer_count: number of layers.
    """

    input_bytes: int
    output_count: int
    output_type: int
    layer_count: int

    @classmethod
    def stated(cls, facts: BoardFacts) -> Self:
        """A board's statements."""
        return cls(facts.input_bytes, facts.output_count, facts.output_type, facts.layer_count)


_NETWORK_FACTS = {
    "input_bytes": "bytes of input",
    "output_count": "logits",
    "output_type": "as the type of its logits (0 int8, 1 int16, 2 int32)",
    "layer_count": "layers",
}


@dataclass(frozen=True)
class ExpectedBoard:
    """The build that the host expects; None where any value is fine.

    Attributes:
        board: name, as in `boards/`.
        model_hash: hex, `Network.sha256()`.
        build_id: hex, 16 bytes.
        model_name: for messages.
        network: what the board must state about the network.
    """

    board: str | None = None
    model_hash: str | None = None
    build_id: str | None = None
    model_name: str = ""
    network: NetworkFacts | None = None


class WrongBoardError(StqError):
    """The board on the port is not the one of the build."""


def check_identity(facts: BoardFacts, expected: ExpectedBoard, *, where: str) -> None:
    """Compare the board's statements with the expected ones.

    Args:
        where: the port, for the message.

    Raises:
        WrongBoardError: they differ; the error names both, and what to do.
    """
    if expected.board is not None and facts.board != expected.board:
        raise WrongBoardError(
            f"wrong board: expected {expected.board!r}, but the firmware was built for {facts.board!r}",
            where=where,
            cause="the port belongs to another board",
            next="`stq-deploy boards --connected` lists boards and their ports; name the port with --port",
        )
    flash = f"`stq-deploy flash --board {expected.board or facts.board}`"
    if expected.model_hash is not None and facts.model_hash != expected.model_hash:
        named = f" ({expected.model_name})" if expected.model_name else ""
        raise WrongBoardError(
            f"wrong model on the board: expected {expected.model_hash[:16]}{named}, "
            f"the board runs {facts.model_hash[:16]}",
            where=where,
            cause="the board still holds a model that was flashed earlier",
            next=f"{flash} writes the built image; then repeat the command",
        )
    if expected.build_id is not None and facts.build_id != expected.build_id:
        raise WrongBoardError(
            f"other firmware on the board: expected build {expected.build_id}, "
            f"the board runs {facts.build_id} of the same model",
            where=where,
            cause="the firmware was built again (other compiler, flags or sources) and not flashed since",
            next=f"{flash} writes the built image; then repeat the command",
        )
    if expected.network is not None:
        stated = NetworkFacts.stated(facts)
        for name, words in _NETWORK_FACTS.items():
            if getattr(stated, name) != getattr(expected.network, name):
                raise contradiction(words, getattr(stated, name), getattr(expected.network, name), where=where)


def contradiction(words: str, stated: int, right: int, *, where: str) -> WrongBoardError:
    """The error for a board that names the right network but contradicts it.

    Args:
        words: what the number counts.
    """
    return WrongBoardError(
        f"the board contradicts its own model hash: it states {stated} {words}, the network has {right}",
        where=where,
        cause="the image on the board is damaged, or firmware that stq-deploy did not build answers",
        next="build and flash the firmware again (`stq-deploy build`, `stq-deploy flash`), and repeat the command",
    )
