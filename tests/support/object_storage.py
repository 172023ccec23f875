"""A server on this machine that answers as object storage does: sizes, and any run of bytes of a file."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

NO_SUCH_KEY = b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>not there</Message></Error>'


class _Handler(BaseHTTPRequestHandler):
    """Answers HEAD and GET of S3's path style, `/bucket/key`, with or without a range."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        server: Any = self.server
        path = server.root / self.path.split("?")[0].lstrip("/")
        if not path.is_file():
            self._send(404, NO_SUCH_KEY if with_body else b"", {})
            return
        content = path.read_bytes()
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        status = 200
        headers = {"Last-Modified": "Sat, 01 Aug 2026 00:00:00 GMT", "ETag": '"1"'}
        if found:
            start, last = (int(number) for number in found.groups())
            headers["Content-Range"] = f"bytes {start}-{last}/{len(content)}"
            content = content[start : last + 1]
            status = 206
            server.ranges.append((self.path, start, last + 1))
        self._send(status, content, headers, with_body)

    def _send(self, status: int, content: bytes, headers: dict[str, str], with_body: bool = True) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def object_storage(root: Path) -> Iterator[tuple[str, list[tuple[str, int, int]]]]:
    """Serve the folders of `root` as buckets; gives the address, and the runs of bytes that were asked for so far."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.root = root
    server.ranges = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.ranges
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
