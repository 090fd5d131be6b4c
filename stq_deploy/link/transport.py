"""What a session needs of the thing that carries its bytes."""

from __future__ import annotations

from typing import Protocol


class Transport(Protocol):
    """A stream of bytes in both directions that keeps their order. It may lose or damage them."""

    @property
    def name(self) -> str:
        """For messages: the port's path or URL."""

    def read(self, timeout: float) -> bytes:
        """Bytes that have arrived, as soon as there are any; b"" if none come within `timeout` seconds.

        Raises:
            StqError: the port is gone.
        """

    def write(self, data: bytes) -> None:
        """Send all of `data`.

        Raises:
            StqError: the port is gone, or does not take the bytes.
        """

    def now(self) -> float:
        """Seconds on the clock by which `read` measures its time-out."""

    def close(self) -> None:
        """Let go of the port; twice is harmless."""
