"""Every time-out and limit of the link, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timeouts:
    """Times in seconds, and counts.

    Attributes:
        hello: wait for an answer to one HELLO.
        hello_attempts: HELLOs sent before giving up. An earlier run may have left the board `window`
            inferences to finish first, seconds each on an instruction-counting emulator.
        first_answer: wait for the first answer, when the network's speed is unknown. Too short is
            harmless: the board answers a repeated request without running it again.
        shortest_answer: never wait less than this for an answer.
        slowest_factor: wait this multiple of the slowest answer seen.
        attempts: repeats of a request without an answer, each wait twice the one before. The sum of these waits
            is the longest wait for one answer, whatever else arrives.
        transmissions: times that one request is sent on evidence of damage before the line counts as unusable.
        resets: restarts of the board, without an answer between them, before it counts as broken.
        write: wait for the port to accept bytes.
    """

    hello: float = 1.0
    hello_attempts: int = 12
    first_answer: float = 2.0
    shortest_answer: float = 0.25
    slowest_factor: float = 4.0
    attempts: int = 6
    transmissions: int = 40
    resets: int = 3
    write: float = 20.0


TIMEOUTS = Timeouts()
