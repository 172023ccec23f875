"""Servers of pages in a thread, and what is asked of them."""

from __future__ import annotations

import json
import threading
import zlib
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlencode

import numpy as np

from segbench.commands.app_runs import pack


@contextmanager
def serving(server):
    """Have a server answer within it."""
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def ask(server, path="/", *, method="GET", body=None, **headers):
    """Return the status and the body of an answer, and the answer itself; underlines in names of headers are dashes."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body=body, headers=named)
    answer = connection.getresponse()
    return answer.status, answer.read(), answer


def post(server, content, **query):
    """Send a picture; return the status, and what comes back, unpacked or as text."""
    status, body, _ = ask(server, f"/predict?{urlencode(query)}", method="POST", body=content)
    return status, unpacked(body) if status == 200 else body.decode()


def unpacked(body):
    """Return the facts of an answer with its maps by name, as flat arrays."""
    line, _, rest = body.partition(b"\n")
    facts = json.loads(line)
    maps = {}
    for name, size in facts["parts"].items():
        kind = np.float32 if name == "depth" else np.uint8
        maps[name] = np.frombuffer(zlib.decompress(rest[:size]), kind)
        rest = rest[size:]
    assert rest == b""
    return facts | {"maps": maps}


class FakeRun:
    """A run that says of any picture what it is made with; it keeps the files that it is asked about."""

    def __init__(self, name="fake", classes=("ground", "box"), maps=None, **facts):
        self.name = name
        colours = [[0, 0, 0], *([40 * k, 255 - 10 * k, 7 * k] for k in range(1, len(classes)))]
        known = {"name": name, "classes": list(classes), "colours": colours, "background": False, "heads": ["mask"]}
        self.facts = known | facts
        self.maps = maps or {}
        self.asked = []

    def answer(self, file, background, *, lock):
        behind = background and background.read_bytes()
        self.asked.append((file.name, file.read_bytes(), behind))
        self.folder = file.parent
        with lock:
            height, width = self.maps["mask"].shape
            return pack(self.maps, {"width": width, "height": height, "clips": False})
