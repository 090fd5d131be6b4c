"""Is it the right board, with the right firmware and the right model?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from stq_deploy.errors import StqError
from stq_deploy.link.messages import BoardFacts


@dataclass(frozen=True)
class NetworkFacts:
    """What a board states of the network it runs, as far as the host relies on it.

    Attributes:
        input_bytes: bytes of one sample's levels.
        output_count: logits.
        output_type: 0, 1, 2 for int8, int16, int32.
        layer_count: layers that run.
    """

    input_bytes: int
    output_count: int
    output_type: int
    layer_count: int

    @classmethod
    def stated(cls, facts: BoardFacts) -> Self:
        """What a board says."""
        return cls(facts.input_bytes, facts.output_count, facts.output_type, facts.layer_count)


_NETWORK_FACTS = {
    "input_bytes": "bytes of input",
    "output_count": "logits",
    "output_type": "as the type of its logits (0 int8, 1 int16, 2 int32)",
    "layer_count": "layers",
}


@dataclass(frozen=True)
class ExpectedBoard:
    """What the host built and wants to talk to; None where it does not care.

    Attributes:
        board: name, as in `boards/`.
        model_hash: hex, `Network.sha256()`.
        build_id: hex, 16 bytes.
        model_name: for messages.
        network: what the board must state of the network.
    """

    board: str | None = None
    model_hash: str | None = None
    build_id: str | None = None
    model_name: str = ""
    network: NetworkFacts | None = None


class WrongBoardError(StqError):
    """The board on the port is not the one that was built for."""


def check_identity(facts: BoardFacts, expected: ExpectedBoard, *, where: str) -> None:
    """Compare what the board says of itself with what is expected.

    Args:
        where: the port, for the message.

    Raises:
        WrongBoardError: they differ; it names both, and what to do.
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
    """For a board that identifies itself rightly and states something else than the network it names.

    Args:
        words: what the number counts.
    """
    return WrongBoardError(
        f"the board contradicts its own model hash: it states {stated} {words}, the network has {right}",
        where=where,
        cause="the image on the board is damaged, or firmware that stq-deploy did not build answers",
        next="build and flash the firmware again (`stq-deploy build`, `stq-deploy flash`), and repeat the command",
    )
