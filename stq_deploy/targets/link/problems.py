"""Problems between host and board, in words."""

from __future__ import annotations

from stq_deploy.common.errors import StqError
from stq_deploy.targets.link.messages import LinkRefusal, describe_type
from stq_deploy.targets.link.protocol import VERSION, ErrorCode, FrameType, ResetCause
from stq_deploy.targets.link.statistics import LinkStatistics
from stq_deploy.targets.link.timeouts import Timeouts

RESET_CAUSES = {
    ResetCause.UNKNOWN: "unknown",
    ResetCause.POWER: "power came on, or fell too low",
    ResetCause.PIN: "the reset pin (the button, or a probe)",
    ResetCause.SOFTWARE: "software",
    ResetCause.WATCHDOG: "the watchdog, as the firmware made no progress",
    ResetCause.FAULT: "a fault of the firmware",
}
"""Reason for a board's last start, in words."""


class SilentBoardError(StqError):
    """Nothing, or nothing meaningful, arrives from the port."""


class OtherVersionError(StqError):
    """The board uses another version of the protocol."""


class UnusableLineError(StqError):
    """Too much is lost or damaged, or the board restarts repeatedly."""


class RefusedError(StqError):
    """The board understood a request and refused it. `refusal` has its words."""

    def __init__(self, refusal: LinkRefusal, *, where: str) -> None:
        self.refusal = refusal
        super().__init__(
            f"the board refused {describe_type(refusal.request)}: {_reason(refusal)}",
            where=where,
            cause=_CAUSES.get(refusal.code, _VERSIONS_DIFFER),
            next=_NEXT.get(refusal.code, _BUILD_AGAIN),
        )


_VERSIONS_DIFFER = "host and firmware are of different versions of stq-deploy"
_BUILD_AGAIN = "build and flash the firmware again with this version"

_CAUSES: dict[int, str] = {
    ErrorCode.LEVEL: "the samples were prepared for another model",
    ErrorCode.LAYER: "the layer's number comes from another model",
    ErrorCode.KERNEL: "the generated network asks for something its kernel cannot do: a bug in stq-deploy",
}
_NEXT: dict[int, str] = {
    ErrorCode.LEVEL: "prepare the samples with the model that is on the board",
    ErrorCode.LAYER: "name a layer of the model that is on the board",
    ErrorCode.KERNEL: "run `stq-deploy verify` on the model and report its output",
}


def _reason(refusal: LinkRefusal) -> str:
    detail = refusal.detail
    match refusal.code:
        case ErrorCode.TYPE:
            return f"it does not know request {detail:#04x}"
        case ErrorCode.LENGTH:
            return f"the request's length is wrong; {detail} bytes would do"
        case ErrorCode.FLAGS:
            return f"unknown flags; it knows {detail:#x}"
        case ErrorCode.LAYER:
            return f"no such layer; the network has {detail}"
        case ErrorCode.RANGE:
            return f"offset or length lies outside of {detail} bytes"
        case ErrorCode.INPUT_INCOMPLETE:
            return f"the sample is incomplete; {detail} bytes of levels have arrived"
        case ErrorCode.NOTHING_TO_READ:
            return "nothing has been run whose output could be read"
        case ErrorCode.KERNEL:
            return f"the kernel of layer {detail} does not accept its arguments"
        case ErrorCode.LEVEL:
            return f"input level {detail} lies outside the range of the network's input"
        case ErrorCode.OUTPUT:
            return f"no such output; there are {detail}"
        case _:
            return f"error {refusal.code}, detail {detail}"


def silent(port: str, timeouts: Timeouts) -> SilentBoardError:
    """No byte arrived in answer to any HELLO."""
    return SilentBoardError(
        f"the board does not answer ({timeouts.hello_attempts} attempts, {timeouts.hello:g} s each)",
        where=port,
        cause="the board has no power, has not been flashed, hangs, or this is another device's port",
        next="flash the board (`stq-deploy flash`), press its reset button, and repeat the command; "
        "`stq-deploy boards --connected` lists ports",
    )


def gibberish(port: str, received: int) -> SilentBoardError:
    """Bytes arrived, but no answer."""
    return SilentBoardError(
        f"{received} bytes came from the port, but no answer to HELLO",
        where=port,
        cause="other firmware is on the board, or the baud rate differs from the firmware's",
        next="build and flash again (`stq-deploy build`, `stq-deploy flash`): "
        "both sides take the baud rate of board.toml",
    )


def stopped(port: str, timeouts: Timeouts) -> SilentBoardError:
    """The board answered before, and no longer does."""
    return SilentBoardError(
        f"the board stopped answering; {timeouts.attempts} repeated requests brought nothing",
        where=port,
        cause="the board lost power, hangs, or the cable is loose",
        next="reset the board and repeat the command; a run resumes where it stopped",
    )


def drowned(port: str, before: LinkStatistics, after: LinkStatistics) -> SilentBoardError:
    """The line was never silent, but no answer arrived. Counts: when the wait began, and now."""
    return SilentBoardError(
        f"the board stopped answering, while other data came: {_counted(before, after)}",
        where=port,
        cause="other firmware or another baud rate since a reset, a floating receive line, or another program "
        "that has a session on the same port",
        next="close other programs on the port, reset the board (or flash it again: `stq-deploy flash`), and repeat "
        "the command; a run resumes where it stopped",
    )


def foreign_frames(port: str, before: LinkStatistics, after: LinkStatistics) -> SilentBoardError:
    """Undamaged frames arrived, but no answer to HELLO. Counts: before the first HELLO, and now."""
    return SilentBoardError(
        f"frames of the link came from the port, but no answer to HELLO: {_counted(before, after)}",
        where=port,
        cause="another program has a session on the same port, or the board does not hear this computer "
        "(its receive pin, or a cable that loops back)",
        next="close other programs on the port, check the wiring, reset the board, and repeat the command",
    )


def _counted(before: LinkStatistics, after: LinkStatistics) -> str:
    return (
        f"{after.bytes_received - before.bytes_received} bytes, among them "
        f"{after.frames_received - before.frames_received} undamaged frames"
    )


def too_noisy(port: str, timeouts: Timeouts) -> UnusableLineError:
    """One request was damaged repeatedly."""
    return UnusableLineError(
        f"a request did not get through in {timeouts.transmissions} transmissions",
        where=port,
        cause="the line damages nearly every frame: baud rate, cable, or a second program on the port",
        next="try another cable or a lower baud rate (`[serial]` in board.toml, then build and flash), "
        "and close other programs on the port",
    )


def keeps_resetting(port: str, resets: int, cause: ResetCause, doing: str = "") -> UnusableLineError:
    """The session was lost repeatedly without a result in between.

    Args:
        cause: cause of the board's last reset.
        doing: where the firmware was when its watchdog reset it, if the board knows.
    """
    watchdog = cause == ResetCause.WATCHDOG
    return UnusableLineError(
        f"the board lost the session {resets} times without one result in between; "
        f"the cause it states for its last reset: {RESET_CAUSES[cause]}{doing and f' {doing}'}",
        where=port,
        cause="a layer takes longer than the watchdog allows: its kernel hangs, or the core runs too slowly"
        if watchdog
        else "the board restarts (power, watchdog), or another program opens sessions on the same port",
        next="run `stq-deploy verify` on the same model; if that passes, report this message"
        if watchdog
        else "check the board's supply, close other programs on the port, and repeat the command",
    )


def other_version(port: str, version: int) -> OtherVersionError:
    """A frame with a correct CRC and another version number."""
    return OtherVersionError(
        f"the board speaks version {version} of the link protocol, this program version {VERSION}",
        where=port,
        cause="the firmware was built by another version of stq-deploy",
        next="build and flash the firmware again with this version",
    )


def wrong_answer(answer: int, request: FrameType) -> str:
    """The problem behind an `AnswerError`."""
    return f"{describe_type(answer)} as the answer to {request.name}"
