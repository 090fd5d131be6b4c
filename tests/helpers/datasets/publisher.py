"""A server of public files, on this computer."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from stq_deploy.datasets.source import PublicFile


class Publisher:
    """Serves `files` on the loopback interface; `asked` counts what was asked for."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.files: dict[str, bytes] = {}
        self.promised: dict[str, int] = {}  # a length to promise that is not the body's
        self.asked: list[str] = []

    def publish(self, name: str, content: bytes) -> PublicFile:
        """Serve `content`; what a data set would state of it."""
        self.files[f"/{name}"] = content
        return PublicFile(name, f"{self.address}/{name}", len(content), hashlib.sha256(content).hexdigest())


@contextmanager
def serving() -> Iterator[Publisher]:
    """A publisher whose files can be asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            published.asked.append(self.path)
            body = published.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(published.promised.get(self.path, len(body))))
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:  # the client has had enough
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        published = Publisher(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield published
        finally:
            server.shutdown()
            thread.join()
