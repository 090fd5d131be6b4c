"""A hex dump of all bytes, for `--trace`."""

from __future__ import annotations

from collections.abc import Callable

from stq_deploy.targets.link.transport import Transport

_BYTES_PER_LINE = 16


class TracingTransport:
    """Another transport, with every byte shown.

    Args:
        inner: carries the bytes.
        show: receives one line of text without its end.
    """

    def __init__(self, inner: Transport, show: Callable[[str], None]) -> None:
        self._inner = inner
        self._show = show
        self._last = inner.now()

    @property
    def name(self) -> str:
        return self._inner.name

    def read(self, timeout: float) -> bytes:
        data = self._inner.read(timeout)
        if data:
            self._dump("read", data)
        return data

    def write(self, data: bytes) -> None:
        self._dump("write", data)
        self._inner.write(data)

    def now(self) -> float:
        return self._inner.now()

    def close(self) -> None:
        self._inner.close()

    def _dump(self, verb: str, data: bytes) -> None:
        now = self.now()
        self._show(f"TRACE +{now - self._last:.3f} {verb} {len(data)} bytes")
        self._last = now
        for offset in range(0, len(data), _BYTES_PER_LINE):
            line = data[offset : offset + _BYTES_PER_LINE]
            text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
            self._show(f"  {offset:04x}  {line.hex(' '):<{3 * _BYTES_PER_LINE}} |{text}|")
