"""Ctrl-C and SIGTERM: a flag that training looks at between steps; the second one stops at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


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

    def __enter__(self) -> StopSignals:
        if (
            threading.current_thread() is threading.main_thread()
        ):  # elsewhere, whoever owns the main thread handles them
            self._before = {number: signal.getsignal(number) for number in EXIT_CODES}
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
            # a forked loader worker inherits this handler; the terminal sends Ctrl-C to it as well
            if number == signal.SIGTERM:
                os._exit(EXIT_CODES[signal.SIGTERM])
            return
        if self.received is not None:
            os._exit(EXIT_CODES[signal.Signals(number)])
        self.received = signal.Signals(number)
        os.write(2, b"\nstopping after this step with a checkpoint; press again to stop at once\n")
