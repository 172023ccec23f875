"""`compare --serve`: the page live on this machine's own address, while runs are at work."""

from __future__ import annotations

import html
import time
from collections.abc import Callable
from threading import Lock

from rich.console import Console

from segbench.commands.page_server import PageHandler, PageServer, serve_until_stopped
from segbench.compare.comparison import Comparison
from segbench.compare.runs import NoRunsError
from segbench.core.errors import ConfigError

PORT = 8720
SECONDS = 15.0
"""The least time between two looks at the run folders."""
RELOAD = 30
"""Seconds after which a browser asks again, while runs are at work."""
BETWEEN_RUNS = 600.0
"""Seconds after the end of a run for which the next one of its sweep may be on its way."""
AT_WORK = ("running", "queued")


class LivePage:
    """The page of a comparison, made anew at most every few seconds.

    Args:
        read: Reads the run folders; a ConfigError of it becomes the page, but the first look shows mistakes: only that
            there are no runs yet is none.
        seconds: The least time between two looks.
    """

    def __init__(self, read: Callable[[], Comparison], seconds: float = SECONDS) -> None:
        self._read = read
        self._seconds = seconds
        self._lock = Lock()
        self._made = float("-inf")
        self._page = b""
        self._at_work = True

    def get(self) -> tuple[bytes, bool]:
        """Return the page in UTF-8, and whether runs are at work or still to come."""
        with self._lock:
            if time.monotonic() - self._made >= self._seconds:
                self._make()
                self._made = time.monotonic()
            return self._page, self._at_work

    def _make(self) -> None:
        from segbench.report.html.report import to_html  # the template engine costs other forms nothing

        try:
            comparison = self._read()
        except ConfigError as error:
            if not self._page and not isinstance(error, NoRunsError):
                raise
            self._page = f"<!doctype html><p>{html.escape(str(error))}</p>".encode()
            self._at_work = True
            return
        self._page = to_html(comparison).encode()
        self._at_work = _at_work(comparison)


def _at_work(comparison: Comparison) -> bool:
    """Whether runs are at work, or one has just ended: between two runs of a sweep there is none."""
    ended = max((run.finished or 0.0 for run in comparison.runs), default=0.0)
    return any(run.state in AT_WORK for run in comparison.others) or time.time() - ended < BETWEEN_RUNS


def make_server(read: Callable[[], Comparison], port: int = PORT, *, seconds: float = SECONDS) -> PageServer:
    """Return a server of the page that only this machine reaches.

    Args:
        read: Reads the run folders.
        port: Its port; 0 takes any free one.
        seconds: The least time between two looks at the folders.

    Raises:
        ConfigError: where the port is taken, or the runs there have nothing like what is asked for.
    """
    page = LivePage(read, seconds)

    class Handler(PageHandler):
        def do_GET(self) -> None:
            if not self.is_for_page():
                return
            content, at_work = page.get()
            more = {}
            if at_work:
                more = {"Refresh": str(RELOAD)}
            self.send(content, "text/html; charset=utf-8", more=more)

    server = PageServer(Handler, port)
    try:
        page.get()
    except ConfigError:
        server.server_close()
        raise
    return server


def serve(read: Callable[[], Comparison], port: int, *, console: Console) -> None:
    """Serve the page until a signal.

    Args:
        read: Reads the run folders.
        port: The port; 0 takes any free one.
        console: Where the address is said.

    Raises:
        Interrupted: on a signal.
    """
    with make_server(read, port) as server:
        serve_until_stopped(server, "the comparison", console=console)
