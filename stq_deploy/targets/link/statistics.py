"""Events on the link, counted by the host for reports and for the error-recovery figure."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass
class LinkStatistics:
    """Counts since the session object was made.

    Attributes:
        bytes_sent, bytes_received: on the wire, framing included.
        frames_sent, frames_received: undamaged ones; repeats included.
        retries: requests sent again, whatever the evidence of loss.
        timeouts: retries without any evidence of loss.
        damaged_received: answers that arrived damaged (COBS, length or CRC).
        damaged_reported: requests that arrived damaged, as the board reported.
        out_of_order_reported: requests the board dropped because one before them was lost.
        resyncs: times an undamaged frame followed damage.
        duplicates: answers that had arrived before; ignored.
        strays: undamaged frames of an earlier session or of unknown type.
        resets: sessions lost because the board restarted, and opened again.
        watchdog_resets: resets that the board's watchdog caused.
    """

    bytes_sent: int = 0
    bytes_received: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    retries: int = 0
    timeouts: int = 0
    damaged_received: int = 0
    damaged_reported: int = 0
    out_of_order_reported: int = 0
    resyncs: int = 0
    duplicates: int = 0
    strays: int = 0
    resets: int = 0
    watchdog_resets: int = 0

    def as_dict(self) -> dict[str, int]:
        """All counts by name, for JSON."""
        return dataclasses.asdict(self)
