"""The interface that a session needs to send and receive bytes."""

from __future__ import annotations

from typing import Protocol


class Transport(Protocol):
    """A stream of bytes in both directions that keeps their order. It may lose or damage them."""

    @property
    def name(self) -> str:
        """The port's path or URL, for messages."""

    def read(self, timeout: float) -> bytes:
        """Received bytes, as soon as there are any; b"" if none arrive within `timeout` seconds.

        Raises:
            StqError: the port is gone.
        """

    def write(self, data: bytes) -> None:
        """Send all of `data`.

        Raises:
            StqError: the port is gone, or does not accept the bytes.
        """

    def now(self) -> float:
        """Seconds on the clock that `read` uses for its time-out."""

    def close(self) -> None:
        """Release the port; calling it twice is harmless."""
