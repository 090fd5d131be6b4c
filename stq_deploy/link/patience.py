"""How long to wait for the next answer."""

from __future__ import annotations

from stq_deploy.link.timeouts import Timeouts

_FORGET = 0.9


class Patience:
    """Learns how slow a board is, and says when to ask again and when to give up.

    Attributes:
        deadline: time of the next time-out, by the transport's clock.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._slowest = 0.0
        self._since = 0.0
        self._wait = 0.0
        self._attempts = 0
        self.deadline = 0.0

    def restart(self, now: float) -> None:
        """Begin to wait for the next answer."""
        self._since = now
        self.heard(now)

    def heard(self, now: float) -> None:
        """The board gave a sign of life, if not the answer."""
        self._attempts = 0
        self._wait = self._timeouts.first_answer
        if self._slowest:
            self._wait = max(self._timeouts.shortest_answer, self._timeouts.slowest_factor * self._slowest)
        self.deadline = now + self._wait

    def answered(self, now: float, *, sent_once: bool) -> None:
        """An answer came. Only that of a request sent just once tells how long the board takes."""
        if sent_once:
            # One hiccup is forgotten in time, or every later loss would cost as much.
            self._slowest = max(now - self._since, _FORGET * self._slowest)
        self.restart(now)

    def timed_out(self, now: float) -> bool:
        """Wait twice as long, or give up: False."""
        self._attempts += 1
        self._wait *= 2
        self.deadline = now + self._wait
        return self._attempts <= self._timeouts.attempts
