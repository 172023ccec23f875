"""Signals while a run trains: a flag that is looked at between steps; the second one stops at once."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType
from typing import Any

from segbench.core.errors import Interrupted
from segbench.core.signals import EXIT_CODES, NOTICES, end_worker, heeded, write_to_terminal


class StopSignals:
    """While entered, the first signal sets `received`; a second one of any kind exits immediately."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._owner = os.getpid()

    @property
    def exit_code(self) -> int:
        """The exit status that tells the parent which signal stopped the run."""
        return EXIT_CODES[self.received] if self.received else 0

    def interrupted(self, message: str, exit_code: int) -> Interrupted:
        """Return the error that ends the run."""
        return Interrupted(message, exit_code, requeue=self.received in NOTICES)

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
            os._exit(EXIT_CODES[signal.Signals(number)])
        self.received = signal.Signals(number)
        write_to_terminal(b"\nstopping after this step with a checkpoint; press again to stop at once\n")


class Unheard(StopSignals):
    """What the further processes of a run do about signals: nothing, they hear from the first one when to stop."""

    def install(self) -> None:
        """Ignore them, again where a library has set a handler."""
        for number in EXIT_CODES:
            signal.signal(number, signal.SIG_IGN)
