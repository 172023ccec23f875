"""`app`: a page that shows what trained networks say of any picture that is dropped on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from threading import Lock
from urllib.parse import parse_qs, urlsplit

from rich.console import Console

from segbench.commands.app_runs import AppRun
from segbench.commands.page_server import PageHandler, PageServer, serve_until_stopped
from segbench.core.errors import ConfigError, DataError, SegbenchError
from segbench.core.text import printable
from segbench.data.rasters import RASTER_SUFFIXES
from segbench.report.html.app import app_page

MOST_BYTES = 1 << 29
"""Of a picture and its background as they are sent."""
PIECE = 1 << 20
"""Bytes that are taken at a time."""
TEXT = "text/plain; charset=utf-8"


class AppServer(PageServer):
    """Serves the page, and what the networks say of the pictures that it sends.

    Args:
        runs: The networks; one works at a time.
        port: Its port; 0 takes any free one.
        host: The address that it is reached by.

    Raises:
        ConfigError: where it cannot be served there.
    """

    def __init__(self, runs: Sequence[AppRun], port: int, *, host: str) -> None:
        self.runs = runs
        self.lock = Lock()
        self.page = app_page([run.facts for run in runs], RASTER_SUFFIXES, most_bytes=MOST_BYTES).encode()
        super().__init__(AppHandler, port, host=host)

    def server_close(self) -> None:
        """Close it once no network works any more: a thread that does cannot be ended with the process."""
        self.lock.acquire()
        super().server_close()


class AppHandler(PageHandler):
    """`GET /` is the page; `POST /predict?run=0&name=a.png` with a picture has what that run says of it.

    Where the run is given a background as well, `behind=SIZE` says that so many bytes at the end are its file.
    """

    server: AppServer

    def do_GET(self) -> None:
        """Send the page."""
        if self.is_for_page():
            self.send(self.server.page, "text/html; charset=utf-8")

    def do_POST(self) -> None:
        """Send what a network says of the picture sent, or in one sentence why not."""
        if self.is_refused():
            return
        place = urlsplit(self.path)
        if place.path != "/predict":
            self.send_error(404)
            return
        try:
            content = self._predicted({name: values[-1] for name, values in parse_qs(place.query).items()})
        except SegbenchError as error:
            self.send(str(error).encode(), TEXT, status=422)
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:  # a network that runs out of memory, say; the next picture may be smaller
            self.send(f"this picture cannot be predicted: {type(error).__name__}: {error}".encode(), TEXT, status=500)
        else:
            self.send(content, "application/octet-stream")

    def _predicted(self, query: dict[str, str]) -> bytes:
        size = _number(self.headers.get("Content-Length") or "")
        behind = _number(query.get("behind", "0"))
        number = _number(query.get("run", "0"))
        if number >= len(self.server.runs):
            raise ConfigError(f"there is no run {number}; choose from 0 to {len(self.server.runs) - 1}")
        if size > MOST_BYTES:
            raise DataError(f"{size:,} bytes, more than the {MOST_BYTES:,} that are taken; segbench predict reads it")
        if not behind < size:
            raise DataError("an empty file")
        with TemporaryDirectory(prefix="segbench-") as folder:
            # nothing but the suffix is taken from what the browser calls it
            file = self._received(Path(folder, f"picture{_suffix(query.get('name', ''))}"), size - behind)
            background = None
            if behind:
                background = self._received(Path(folder, f"background{_suffix(query.get('behind_name', ''))}"), behind)
            return self.server.runs[number].answer(file, background, lock=self.server.lock)

    def _received(self, file: Path, size: int) -> Path:
        with file.open("wb") as opened:
            while size:
                piece = self.rfile.read(min(size, PIECE))
                if not piece:
                    raise ConnectionAbortedError("the browser has gone away")
                opened.write(piece)
                size -= len(piece)
        return file


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ConfigError("the request has no number where one is needed; reload the page")
    return int(text)


def _suffix(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in RASTER_SUFFIXES:
        return suffix
    return ""


def serve_app(runs: Sequence[AppRun], port: int, *, host: str, opens: bool, console: Console) -> None:
    """Serve the page until a signal.

    Args:
        runs: The networks.
        port: The port; 0 takes any free one.
        host: The address that it is reached by.
        opens: Also open it in a browser.
        console: Where the address is said.

    Raises:
        ConfigError: where it cannot be served there.
        Interrupted: on a signal.
    """
    names = ", ".join(printable(run.name) for run in runs)
    with AppServer(runs, port, host=host) as server:
        serve_until_stopped(server, f"predictions of {names}", console=console, opens=opens)
