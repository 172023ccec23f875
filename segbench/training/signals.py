"""Signals while a run trains: a flag that is looked at between steps; the second one stops at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from segbench.core.errors import Interrupted
from segbench.core.signals import EXIT_CODES, NOTICES, end_worker, heeded, write_to_terminal

SAME = 3.0
"""Seconds in which a second signal to one of several processes is the first one, sent on by its launcher as well."""


class StopSignals:
    """While entered, the first signal sets `received`; a second one of any kind exits immediately.

    Args:
        forwarded: Whether a launcher may send on a signal that this process has already got from a scheduler.
        silent: Whether another process says that the run stops.
        at_first: Called within the handler of the first signal.
        at_second: Called within that of the second, before the process ends.
    """

    def __init__(
        self,
        *,
        forwarded: bool = False,
        silent: bool = False,
        at_first: Callable[[int], None] | None = None,
        at_second: Callable[[], None] | None = None,
    ) -> None:
        self.received: signal.Signals | None = None
        self.told: signal.Signals | None = None
        """What another process of the run has received."""
        self._forwarded = forwarded
        self._silent = silent
        self._at_first = at_first
        self._at_second = at_second
        self._when = 0.0
        self._before: dict[signal.Signals, Any] = {}
        self._owner = os.getpid()

    @property
    def wanted(self) -> signal.Signals | None:
        """The signal that asks this run to stop, wherever it was received; None for none."""
        return self.received or self.told

    def __enter__(self) -> StopSignals:
        self._before = {number: signal.getsignal(number) for number in heeded()}
        self.install()
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

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:
            end_worker(number)  # a forked loader worker inherits this handler
            return
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


def interrupted(message: str, number: int) -> Interrupted:
    """Return the error that ends a run which a signal has stopped."""
    received = signal.Signals(number)
    return Interrupted(message, EXIT_CODES[received], requeue=received in NOTICES)
