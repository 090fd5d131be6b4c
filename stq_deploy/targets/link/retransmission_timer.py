"""When to send a request again, and when to give up."""

from __future__ import annotations

from stq_deploy.targets.link.timeouts import Timeouts

_FORGET = 0.9


class RetransmissionTimer:
    """Learns how slow a board is, and decides when to ask again and when to give up.

    A repeated request teaches nothing about the board's speed, because its answer may belong to either (Karn's rule,
    RFC 6298 section 3).

    Only an accepted answer moves `give_up`. Noise, frames of another session and repeats cannot: a line that never
    falls silent ends a wait as silence does.

    Attributes:
        deadline: time of the next time-out, by the transport's clock; never after `give_up`.
        give_up: time at which the wait for the next answer ends.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._slowest = 0.0
        self._since = 0.0
        self._wait = 0.0
        self.deadline = 0.0
        self.give_up = 0.0

    def restart(self, now: float) -> None:
        """Start to wait for the next answer."""
        self._since = now
        # The first wait; each later one is twice as long as the one before.
        self.give_up = now + self._first_wait * (2 ** (self._timeouts.attempts + 1) - 1)
        self.heard(now)

    def heard(self, now: float) -> None:
        """The board sent something in this session other than the answer: ask again later, but give up no later."""
        self._wait = self._first_wait
        self.deadline = min(now + self._wait, self.give_up)

    def answered(self, now: float, *, sent_once: bool) -> None:
        """An answer was accepted. Only an answer to a request sent once shows how long the board takes."""
        if sent_once:
            # A single delay decays, or every later loss would cost as much.
            self._slowest = max(now - self._since, _FORGET * self._slowest)
        self.restart(now)

    def timed_out(self, now: float) -> bool:
        """Wait twice as long; False means give up."""
        self._wait *= 2
        self.deadline = min(now + self._wait, self.give_up)
        return now < self.give_up

    @property
    def _first_wait(self) -> float:
        """Seconds until a request is first repeated."""
        if not self._slowest:
            return self._timeouts.first_answer
        return max(self._timeouts.shortest_answer, self._timeouts.slowest_factor * self._slowest)
