"""Signals while a run trains: a flag that is looked at between steps; the second one stops at once."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from segbench.core.errors import Interrupted
from segbench.core.signals import EXIT_CODES, NOTICES, end_worker, stop_signals, write_to_terminal

SAME = 3.0
"""Seconds in which a second signal to one of several processes is the first one, sent on by its launcher as well."""


class StopSignals:
    """While entered, the first signal sets `received`; a second one of any kind exits immediately.

    Args:
        forwarded: Whether a launcher may send on a signal that this process has already got from a scheduler.
        silent: Whether another process says that the run stops.
        watched: Whether a thread calls `listen`: it hears of a signal at once, where Python would handle it only once
            the main thread returns from a call that waits for other processes, perhaps for ever.
        at_first: Called within the handler of the first signal.
        at_second: Called within that of the second, before the process ends.
    """

    def __init__(
        self,
        *,
        forwarded: bool = False,
        silent: bool = False,
        watched: bool = False,
        at_first: Callable[[int], None] | None = None,
        at_second: Callable[[], None] | None = None,
    ) -> None:
        self.received: signal.Signals | None = None
        self.from_others: signal.Signals | None = None
        """What another process of the run has received."""
        self._forwarded = forwarded
        self._silent = silent
        self._watched = watched
        self._ends: tuple[socket.socket, socket.socket] | None = None
        self._wakeup = -1
        self._at_first = at_first
        self._at_second = at_second
        self._when = 0.0
        self._before: dict[signal.Signals, Any] = {}
        self._owner = os.getpid()

    @property
    def wanted(self) -> signal.Signals | None:
        """The signal that asks this run to stop, wherever it was received; None for none."""
        return self.received or self.from_others

    def __enter__(self) -> StopSignals:
        self._before = {number: signal.getsignal(number) for number in stop_signals()}
        self.install()
        if self._watched and self._before:
            self._ends = socket.socketpair()
            for end in self._ends:
                end.setblocking(False)
            self._wakeup = signal.set_wakeup_fd(self._ends[1].fileno(), warn_on_full_buffer=False)
        return self

    def install(self) -> None:
        """Set the handlers, again where a library has replaced them."""
        for number in self._before:
            signal.signal(number, self._handle)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._ends is not None:
            signal.set_wakeup_fd(self._wakeup)
            ends, self._ends = self._ends, None
            for end in ends:
                end.close()

    def listen(self) -> None:
        """Take note of the signals that have arrived since the last call, by whichever thread."""
        ends = self._ends
        if ends is None:
            return
        with suppress(OSError):  # none have, or this is over
            for number in ends[0].recv(64):
                if number in EXIT_CODES:
                    self._note(number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:
            end_worker(number)  # a forked loader worker inherits this handler
            return
        if self._ends is None:
            self._note(number)

    def _note(self, number: int) -> None:
        if self.received is not None:
            if self._forwarded and time.monotonic() - self._when < SAME:
                return
            if self._at_second is not None:
                self._at_second()
            os._exit(EXIT_CODES[signal.Signals(number)])
        self.received = signal.Signals(number)
        self._when = time.monotonic()
        if self._at_first is not None:
            self._at_first(number)
        if not self._silent:
            write_to_terminal(b"\nstopping after this step with a checkpoint; press again to stop at once\n")


def _let_go() -> None:
    """In a fork, such as a loader worker: its signals are not those of the process that it comes from."""
    signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):  # Windows has none
    os.register_at_fork(after_in_child=_let_go)


def interrupted(message: str, number: int) -> Interrupted:
    """Return the error that ends a run which a signal has stopped."""
    received = signal.Signals(number)
    return Interrupted(message, EXIT_CODES[received], requeue=received in NOTICES)
