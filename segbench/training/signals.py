"""Ctrl-C, SIGTERM and a scheduler's notice: a flag that training looks at between steps; the second stops at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from segbench.core.errors import Interrupted

NOTICES = tuple(signal.Signals[name] for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name))
"""What schedulers send some time before they end a job: SLURM's `--signal=USR1@90`, submitit. Windows has none."""

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143} | dict.fromkeys(NOTICES, 143)
"""Signals that stop a run, with the process's exit status."""


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


class Unheard(StopSignals):
    """What the further processes of a run do about signals: nothing, they hear from the first one when to stop."""

    def install(self) -> None:
        """Ignore them, again where a library has set a handler."""
        for number in EXIT_CODES:
            signal.signal(number, signal.SIG_IGN)
